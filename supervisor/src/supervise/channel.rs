//! The local sockets that the supervisor answers: one for each child's control channel, one for the command line.
//!
//! These tasks only carry messages; whatever they mean is decided by the loop that owns everything. A connection that sends
//! garbage, half a message or nothing at all ends by itself and costs nobody else anything.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use interprocess::local_socket::traits::tokio::Listener as _;
use openclaw_shared::control::{
    CONTROL_VERSION, ChildName, CliReply, CliRequest, Generation, ToChild, ToSupervisor,
};
use openclaw_shared::ipc::codec::{MessageReader, write_message};
use openclaw_shared::ipc::{self, Listener, Stream};
use tokio::io::{ReadHalf, WriteHalf};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

/// How long a peer may take to say its first message.
const HELLO_DEADLINE: Duration = Duration::from_secs(5);
/// How long an asker who waits for the end of the instance may wait; a drain may take ten minutes by its configuration.
const LONGEST_STOP: Duration = Duration::from_secs(900);
/// Connections to one local socket that may be under way at once.
const MAX_PEERS: usize = 32;
/// Orders that may wait for a child; one that takes none is found by its heartbeat.
const MAX_ORDERS: usize = 64;

/// A child's process has said hello.
#[derive(Debug)]
pub(crate) struct Greeting {
    pub(crate) child: ChildName,
    pub(crate) generation: Generation,
    pub(crate) pid: Option<u32>,
    pub(crate) channel: Channel,
}

/// A control channel that is not used yet.
#[derive(Debug)]
pub(crate) struct Channel {
    reader: MessageReader<ReadHalf<Stream>>,
    writer: WriteHalf<Stream>,
}

/// What arrives from outside.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// A process claims to be a child.
    Greeting(Greeting),
    /// A child said something.
    Said(ChildName, Generation, ToSupervisor),
    /// A child will say nothing more.
    Silent(ChildName, Generation),
    /// The command line asks something.
    Asked(CliRequest, oneshot::Sender<CliReply>),
}

/// Answers a child's control socket for as long as the instance lives.
///
/// # Errors
/// As the system says, when the socket cannot be bound.
pub(crate) fn serve_children(
    path: &Path,
    child: ChildName,
    arrivals: mpsc::Sender<Arrival>,
) -> io::Result<()> {
    let listener = ipc::bind(path)?;
    tokio::spawn(accept(listener, move |stream| {
        greet(stream, child, arrivals.clone())
    }));
    Ok(())
}

/// Answers the command line for as long as the instance lives.
///
/// # Errors
/// As the system says, when the socket cannot be bound.
pub(crate) fn serve_cli(path: &Path, arrivals: mpsc::Sender<Arrival>) -> io::Result<()> {
    let listener = ipc::bind(path)?;
    tokio::spawn(accept(listener, move |stream| {
        answer(stream, arrivals.clone())
    }));
    Ok(())
}

async fn accept<F>(listener: Listener, mut serve: impl FnMut(Stream) -> F)
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let peers = Arc::new(Semaphore::new(MAX_PEERS));
    loop {
        let Ok(permit) = Arc::clone(&peers).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok(stream) => {
                let served = serve(stream);
                tokio::spawn(async move {
                    if let Err(error) = served.await {
                        tracing::debug!(target: "supervisor", %error, "a local connection ended early");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(target: "supervisor", %error, "a local socket did not accept");
                // Out of descriptors, most likely: trying again at once would only burn the processor.
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn greet(
    stream: Stream,
    child: ChildName,
    arrivals: mpsc::Sender<Arrival>,
) -> io::Result<()> {
    let peer = ipc::check_peer(&stream)?;
    let (receive, writer) = tokio::io::split(stream);
    let mut reader = MessageReader::new(receive);
    let hello = timeout(HELLO_DEADLINE, reader.next::<ToSupervisor>()).await??;
    let Some(ToSupervisor::Hello {
        version,
        child: claimed,
        generation,
    }) = hello
    else {
        return Err(io::Error::other("the first message was no hello"));
    };
    if version != CONTROL_VERSION || claimed != child {
        return Err(io::Error::other(format!(
            "a hello of {claimed}, version {version}, on the socket of {child}, version {CONTROL_VERSION}"
        )));
    }
    let channel = Channel { reader, writer };
    let greeting = Greeting {
        child,
        generation,
        pid: peer.pid,
        channel,
    };
    arrivals
        .send(Arrival::Greeting(greeting))
        .await
        .map_err(io::Error::other)
}

async fn answer(stream: Stream, arrivals: mpsc::Sender<Arrival>) -> io::Result<()> {
    ipc::check_peer(&stream)?;
    let (receive, mut writer) = tokio::io::split(stream);
    let mut reader = MessageReader::new(receive);
    let first = timeout(HELLO_DEADLINE, reader.next::<CliRequest>()).await??;
    let Some(request) = first else { return Ok(()) };
    let waits_for_the_end = matches!(request, CliRequest::Stop);
    let (reply, replied) = oneshot::channel();
    arrivals
        .send(Arrival::Asked(request, reply))
        .await
        .map_err(io::Error::other)?;
    if let Ok(reply) = replied.await {
        write_message(&mut writer, &reply).await?;
    }
    // The connection is kept until the asker closes it, so that one who asked for a stop sees when it is over. Anybody else has
    // what was asked for, and must not keep a place.
    let kept_for = if waits_for_the_end {
        LONGEST_STOP
    } else {
        HELLO_DEADLINE
    };
    while timeout(kept_for, reader.next::<CliRequest>())
        .await??
        .is_some()
    {}
    Ok(())
}

impl Channel {
    /// Takes the channel into use: orders go out from the returned sender, what the child says arrives.
    pub(crate) fn open(
        self,
        child: ChildName,
        generation: Generation,
        arrivals: mpsc::Sender<Arrival>,
    ) -> mpsc::Sender<ToChild> {
        let Self {
            mut reader,
            mut writer,
        } = self;
        tokio::spawn(async move {
            while let Ok(Some(message)) = reader.next::<ToSupervisor>().await {
                if arrivals
                    .send(Arrival::Said(child, generation, message))
                    .await
                    .is_err()
                {
                    return;
                }
            }
            // The loop that is told outlives its children, unless it is ending itself.
            let _ = arrivals.send(Arrival::Silent(child, generation)).await;
        });
        let (orders, mut waiting) = mpsc::channel::<ToChild>(MAX_ORDERS);
        tokio::spawn(async move {
            while let Some(order) = waiting.recv().await {
                if write_message(&mut writer, &order).await.is_err() {
                    // The child is gone; its exit is on the way.
                    return;
                }
            }
        });
        orders
    }
}
