//! The local sockets that the supervisor answers: one for each child's control channel, one for the command line.
//!
//! These tasks only carry messages; whatever they mean is decided by the loop that owns everything. A connection that sends
//! garbage, half a message or nothing at all ends by itself and costs nobody else anything.
//!
//! Every connection can be stopped where it is ([`Freeze`]), without a byte lost, and gone on with by another life of this process.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use interprocess::local_socket::traits::tokio::Listener as _;
use openclaw_shared::control::{
    ChildName, CliReply, CliRequest, Generation, Spoken, ToChild, ToSupervisor,
};
use openclaw_shared::ipc::codec::{MessageReader, frame, write_message};
use openclaw_shared::ipc::{self, Listener, Stream};
use tokio::io::{AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::vigil::Sight;

/// How long a peer may take to say its first message.
const HELLO_DEADLINE: Duration = Duration::from_secs(5);
/// How long an asker who waits for the end of the instance may wait; a drain may take ten minutes by its configuration.
const LONGEST_STOP: Duration = Duration::from_secs(900);
/// Connections to one local socket that may be under way at once.
const MAX_PEERS: usize = 32;
/// Orders that may wait for a child; one that takes none is found by its heartbeat.
const MAX_ORDERS: usize = 64;

/// How long an answer that is being written may take when everything else stands still.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Tells every connection to stop where it is.
#[derive(Debug, Clone)]
pub(crate) struct Freeze(watch::Receiver<bool>);

impl Freeze {
    /// A way to stop connections, and what they listen to.
    pub(crate) fn new() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Waits until connections are to stop.
    async fn come(&mut self) {
        if self.0.wait_for(|is_frozen| *is_frozen).await.is_err() {
            // Whoever could stop them is gone, and this process is about to end.
            std::future::pending::<()>().await;
        }
    }
}

/// A connection that was stopped before it was done.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) stream: Stream,
    /// What was read of it that is no whole message yet.
    pub(crate) unread: BytesMut,
    /// What was asked over it and is not answered.
    pub(crate) request: Option<CliRequest>,
    /// The answer, when whoever goes on knows it already.
    pub(crate) answer: Option<CliReply>,
}

impl Held {
    fn new(
        reader: MessageReader<ReadHalf<Stream>>,
        writer: WriteHalf<Stream>,
        request: Option<CliRequest>,
    ) -> Self {
        let (receive, unread) = reader.into_parts();
        Self {
            stream: receive.unsplit(writer),
            unread,
            request,
            answer: None,
        }
    }
}

/// A socket that is not answered any more, and who had come to it.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) listener: Listener,
    pub(crate) held: Vec<Held>,
}

/// A child's process has said hello.
#[derive(Debug)]
pub(crate) struct Greeting {
    pub(crate) child: ChildName,
    pub(crate) generation: Generation,
    pub(crate) pid: Option<u32>,
    pub(crate) channel: Channel,
}

/// A control channel that is not used yet, or was stopped.
#[derive(Debug)]
pub(crate) struct Channel {
    reader: MessageReader<ReadHalf<Stream>>,
    writer: WriteHalf<Stream>,
    /// What is still to be written to it.
    unsent: BytesMut,
}

/// A control channel in use.
#[derive(Debug)]
pub(crate) struct Orders {
    waiting: mpsc::Sender<ToChild>,
    reading: JoinHandle<Option<MessageReader<ReadHalf<Stream>>>>,
    writing: JoinHandle<(WriteHalf<Stream>, BytesMut)>,
}

impl Orders {
    /// Gives an order; whether it fits.
    pub(crate) fn give(&self, order: ToChild) -> bool {
        self.waiting.try_send(order).is_ok()
    }

    /// The channel, after it was told to stop; nothing when the child had closed it.
    pub(crate) async fn stopped(self) -> Option<Channel> {
        let (reader, writer) = (self.reading.await, self.writing.await);
        let (Ok(Some(reader)), Ok((writer, unsent))) = (reader, writer) else {
            return None;
        };
        Some(Channel {
            reader,
            writer,
            unsent,
        })
    }
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
    /// A look at the watched instance of this profile has ended.
    Saw(String, Sight),
    /// A new binary was asked whether it can take over.
    Examined(Result<String, String>),
    /// The processes were replaced for an upgrade, or why one could not be.
    Replaced(Result<(), String>),
}

/// Answers a child's control socket for as long as the instance lives, those first who came to it before.
pub(crate) fn serve_children(
    listener: Listener,
    child: ChildName,
    held: Vec<Held>,
    arrivals: mpsc::Sender<Arrival>,
    freeze: Freeze,
) -> JoinHandle<Closed> {
    tokio::spawn(accept(listener, held, freeze, move |held, freeze| {
        greet(held, child, arrivals.clone(), freeze)
    }))
}

/// Answers the command line for as long as the instance lives, those first who came before.
pub(crate) fn serve_cli(
    listener: Listener,
    held: Vec<Held>,
    arrivals: mpsc::Sender<Arrival>,
    freeze: Freeze,
) -> JoinHandle<Closed> {
    tokio::spawn(accept(listener, held, freeze, move |held, freeze| {
        answer(held, arrivals.clone(), freeze)
    }))
}

async fn accept<F>(
    listener: Listener,
    held: Vec<Held>,
    mut freeze: Freeze,
    mut serve: impl FnMut(Held, Freeze) -> F,
) -> Closed
where
    F: Future<Output = io::Result<Option<Held>>> + Send + 'static,
{
    let mut peers = JoinSet::new();
    for held in held {
        peers.spawn(serve(held, freeze.clone()));
    }
    loop {
        let accepted = tokio::select! {
            biased;
            () = freeze.come() => break,
            Some(served) = peers.join_next() => {
                if let Ok(Err(error)) = served {
                    tracing::debug!(target: "supervisor", %error, "a local connection ended early");
                }
                continue;
            }
            accepted = listener.accept(), if peers.len() < MAX_PEERS => accepted,
        };
        match accepted {
            Ok(stream) => {
                let held = Held {
                    stream,
                    unread: BytesMut::new(),
                    request: None,
                    answer: None,
                };
                peers.spawn(serve(held, freeze.clone()));
            }
            Err(error) => {
                tracing::warn!(target: "supervisor", %error, "a local socket did not accept");
                // Out of descriptors, most likely: trying again at once would only burn the processor.
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
    let mut held = Vec::new();
    while let Some(stopped) = peers.join_next().await {
        held.extend(stopped.ok().and_then(Result::ok).flatten());
    }
    Closed { listener, held }
}

async fn greet(
    held: Held,
    child: ChildName,
    arrivals: mpsc::Sender<Arrival>,
    mut freeze: Freeze,
) -> io::Result<Option<Held>> {
    let peer = ipc::check_peer(&held.stream)?;
    if cfg!(target_os = "linux") && peer.pid.is_none() {
        // Whatever this supervisor has spawned it can see.
        return Err(io::Error::other(
            "a process that cannot be seen is no child",
        ));
    }
    let (receive, writer) = tokio::io::split(held.stream);
    let mut reader = MessageReader::resumed(receive, &held.unread);
    let hello = tokio::select! {
        biased;
        () = freeze.come() => return Ok(Some(Held::new(reader, writer, None))),
        hello = timeout(HELLO_DEADLINE, reader.next::<ToSupervisor>()) => hello??,
    };
    let Some(ToSupervisor::Hello {
        version,
        oldest,
        child: claimed,
        generation,
    }) = hello
    else {
        return Err(io::Error::other("the first message was no hello"));
    };
    let (theirs, ours) = (Spoken::told(version, oldest), Spoken::OURS);
    if ours.common(theirs).is_none() || claimed != child {
        return Err(io::Error::other(format!(
            "a hello of {claimed}, {theirs}, on the socket of {child}, {ours}"
        )));
    }
    let greeting = Greeting {
        child,
        generation,
        pid: peer.pid,
        channel: Channel {
            reader,
            writer,
            unsent: BytesMut::new(),
        },
    };
    arrivals
        .send(Arrival::Greeting(greeting))
        .await
        .map_err(io::Error::other)?;
    Ok(None)
}

async fn answer(
    held: Held,
    arrivals: mpsc::Sender<Arrival>,
    mut freeze: Freeze,
) -> io::Result<Option<Held>> {
    ipc::check_peer(&held.stream)?;
    let (receive, mut writer) = tokio::io::split(held.stream);
    let mut reader = MessageReader::resumed(receive, &held.unread);
    if let Some(answer) = held.answer {
        timeout(LAST_WORDS, write_message(&mut writer, &answer)).await??;
        return Ok(None);
    }
    let request = match held.request {
        Some(request) => request,
        None => {
            let first = tokio::select! {
                biased;
                () = freeze.come() => return Ok(Some(Held::new(reader, writer, None))),
                first = timeout(HELLO_DEADLINE, reader.next::<CliRequest>()) => first??,
            };
            let Some(request) = first else {
                return Ok(None);
            };
            request
        }
    };
    let waits_for_the_end = matches!(request, CliRequest::Stop);
    let (reply, replied) = oneshot::channel();
    arrivals
        .send(Arrival::Asked(request.clone(), reply))
        .await
        .map_err(io::Error::other)?;
    let reply = tokio::select! {
        biased;
        reply = replied => reply,
        // Whoever goes on asks it again: nothing that was begun by it is left undone then.
        () = freeze.come() => return Ok(Some(Held::new(reader, writer, Some(request)))),
    };
    if let Ok(reply) = reply {
        let too_late = async {
            freeze.come().await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        tokio::select! {
            biased;
            written = write_message(&mut writer, &reply) => written?,
            () = too_late => return Ok(None),
        }
    }
    // The connection is kept until the asker closes it, so that one who asked for a stop sees when it is over. Anybody else has
    // what was asked for, and must not keep a place.
    let kept_for = if waits_for_the_end {
        LONGEST_STOP
    } else {
        HELLO_DEADLINE
    };
    let until_it_leaves = async {
        while timeout(kept_for, reader.next::<CliRequest>())
            .await??
            .is_some()
        {}
        Ok(None)
    };
    tokio::select! {
        biased;
        left = until_it_leaves => left,
        () = freeze.come() => Ok(None),
    }
}

impl Channel {
    /// A channel to go on with, by its parts.
    pub(crate) fn resumed(stream: Stream, unread: &[u8], unsent: &[u8]) -> Self {
        let (receive, writer) = tokio::io::split(stream);
        Self {
            reader: MessageReader::resumed(receive, unread),
            writer,
            unsent: BytesMut::from(unsent),
        }
    }

    /// Its parts: the stream, what was read and is no whole message yet, and what is still to be written.
    pub(crate) fn into_parts(self) -> (Stream, BytesMut, BytesMut) {
        let (receive, unread) = self.reader.into_parts();
        (receive.unsplit(self.writer), unread, self.unsent)
    }

    /// Takes the channel into use: orders go out, what the child says arrives.
    pub(crate) fn open(
        self,
        child: ChildName,
        generation: Generation,
        arrivals: mpsc::Sender<Arrival>,
        freeze: Freeze,
    ) -> Orders {
        let (waiting, orders) = mpsc::channel::<ToChild>(MAX_ORDERS);
        let reading = listen(self.reader, (child, generation), arrivals, freeze.clone());
        let writing = tell(self.writer, self.unsent, orders, freeze);
        Orders {
            waiting,
            reading: tokio::spawn(reading),
            writing: tokio::spawn(writing),
        }
    }
}

/// Hears what a child says. Gives the reader back when it is stopped, and nothing when the child has closed the channel.
async fn listen(
    mut reader: MessageReader<ReadHalf<Stream>>,
    (child, generation): (ChildName, Generation),
    arrivals: mpsc::Sender<Arrival>,
    mut freeze: Freeze,
) -> Option<MessageReader<ReadHalf<Stream>>> {
    loop {
        let said = tokio::select! {
            biased;
            () = freeze.come() => return Some(reader),
            said = reader.next::<ToSupervisor>() => said,
        };
        let arrival = match said {
            Ok(Some(message)) => Arrival::Said(child, generation, message),
            Ok(None) | Err(_) => Arrival::Silent(child, generation),
        };
        let is_over = matches!(arrival, Arrival::Silent(..));
        // The loop that is told outlives its children, unless it is ending itself.
        if arrivals.send(arrival).await.is_err() || is_over {
            return None;
        }
    }
}

/// Writes orders. Gives the writer back, and what was not written of them, when it is stopped or nobody gives any more.
async fn tell(
    mut writer: WriteHalf<Stream>,
    mut unsent: BytesMut,
    mut orders: mpsc::Receiver<ToChild>,
    mut freeze: Freeze,
) -> (WriteHalf<Stream>, BytesMut) {
    loop {
        if unsent.is_empty() {
            let order = tokio::select! {
                biased;
                () = freeze.come() => break,
                order = orders.recv() => order,
            };
            match order {
                Some(order) => put(&mut unsent, &order),
                None => return (writer, unsent),
            }
        } else {
            let written = tokio::select! {
                biased;
                () = freeze.come() => break,
                written = writer.write_buf(&mut unsent) => written,
            };
            if written.unwrap_or(0) == 0 {
                // The child is gone; its exit is on the way.
                unsent.clear();
                orders.close();
                return (writer, unsent);
            }
        }
    }
    while let Ok(order) = orders.try_recv() {
        put(&mut unsent, &order);
    }
    (writer, unsent)
}

fn put(unsent: &mut BytesMut, order: &ToChild) {
    match frame(order) {
        Ok(framed) => unsent.extend_from_slice(&framed),
        Err(error) => {
            tracing::warn!(target: "supervisor", %error, "an order cannot be written");
        }
    }
}
