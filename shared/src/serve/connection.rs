//! One connection, from accept to the last byte.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::answer::Answering;
use super::progress::{Phase, Progress, Waiting};
use super::stream::{Stream, Watched, discard};
use super::{Limits, Peer, Stage};
use crate::clock::Moment;

/// What is read and thrown away at most after the last answer.
const LINGER_BYTES: usize = 1024 * 1024;

type Conn<S> = http1::UpgradeableConnection<TokioIo<Watched>, Answering<S>>;

/// HTTP on one connection. hyper, whose buffers take 16 KB, comes in when the client has said something: a flood of
/// silent sockets costs little more than the sockets.
enum Http<S, C> {
    Quiet(Option<(Watched, Answering<S>)>, usize),
    Speaking(C),
}

impl<S, B> Http<S, Conn<S>>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Unpin + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        loop {
            match self {
                Self::Speaking(conn) => return Pin::new(conn).poll(cx),
                Self::Quiet(waiting, max_header_bytes) => {
                    if let Some((io, _)) = waiting
                        && io.stream.poll_read_ready(cx).is_pending()
                    {
                        return Poll::Pending;
                    }
                    let (io, service) = waiting.take().expect("it is taken once, just here");
                    *self = Self::Speaking(
                        http1::Builder::new()
                            // hyper would time a quiet connection by the deadline for headers; see `allowance`.
                            .header_read_timeout(None)
                            .max_header_size(*max_header_bytes)
                            .max_buf_size(*max_header_bytes)
                            .serve_connection(TokioIo::new(io), service)
                            .with_upgrades(),
                    );
                }
            }
        }
    }

    fn graceful_shutdown(&mut self) {
        match self {
            Self::Speaking(conn) => Pin::new(conn).graceful_shutdown(),
            Self::Quiet(..) => {}
        }
    }

    fn into_stream(self) -> Option<Stream> {
        match self {
            Self::Speaking(conn) => Some(conn.into_parts()?.io.into_inner().stream),
            Self::Quiet(waiting, _) => Some(waiting?.0.stream),
        }
    }
}

/// Why a connection's HTTP life ended.
enum Ended {
    /// It is over, in order or by an error of the client's, and may have been upgraded.
    ByItself,
    /// A deadline passed.
    Late(Waiting),
    /// It had to make room.
    Evicted,
}

pub(super) async fn serve<S, B>(
    (stream, peer): (Stream, Peer),
    service: S,
    limits: Limits,
    stage: watch::Receiver<Stage>,
    progress: Arc<Progress>,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Unpin + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let io = Watched::new(stream, progress.clone());
    let service = Answering {
        service,
        peer,
        progress: progress.clone(),
    };
    let mut http = Http::Quiet(Some((io, service)), limits.max_header_bytes);
    match drive(&mut http, &limits, stage, &progress).await {
        Ended::ByItself => {
            progress.leave();
            if let Some(stream) = http.into_stream() {
                linger(stream, limits.linger, &progress).await;
            }
        }
        Ended::Late(waiting) => debug!(target: "http", ?waiting, "closed a late connection"),
        Ended::Evicted => debug!(target: "http", "closed a quiet connection to make room"),
    }
}

async fn drive<S, B>(
    http: &mut Http<S, Conn<S>>,
    limits: &Limits,
    mut stage: watch::Receiver<Stage>,
    progress: &Progress,
) -> Ended
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Unpin + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut drain = pin!(stage.wait_for(|stage| matches!(stage, Stage::Draining { .. })));
    let mut evicted = pin!(progress.evicted.notified());
    let mut draining = false;
    let mut told = false;
    let mut armed = (progress.waiting(), draining);
    let mut allowed = allowance(armed, limits);
    let mut deadline = pin!(sleep(limits.header_timeout));
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(outcome) = http.poll(cx) {
                if let Err(error) = outcome {
                    debug!(target: "http", %error, "a connection ended by an error");
                }
                return Poll::Ready(Ended::ByItself);
            }
            if evicted.as_mut().poll(cx).is_ready() {
                if progress.yields(Moment::now()) {
                    return Poll::Ready(Ended::Evicted);
                }
                evicted.set(progress.evicted.notified());
                continue;
            }
            // A server that was dropped drains too: the sender is gone.
            draining = draining || drain.as_mut().poll(cx).is_ready();
            let waiting = progress.waiting();
            if (waiting, draining) != armed {
                armed = (waiting, draining);
                allowed = allowance(armed, limits);
                if let Some(allowed) = allowed {
                    deadline.set(sleep(allowed));
                }
            }
            if allowed.is_some() && deadline.as_mut().poll(cx).is_ready() {
                let is_idle = waiting
                    == Waiting {
                        phase: Phase::Idle,
                        stalled_at: None,
                    };
                if !is_idle || told {
                    return Poll::Ready(Ended::Late(waiting));
                }
                // Nobody waits for an answer, so hyper may close the connection in order.
                told = true;
                deadline.set(sleep(limits.linger));
                http.graceful_shutdown();
                continue;
            }
            return Poll::Pending;
        }
    })
    .await
}

/// How long the client may take to end this wait.
const fn allowance((waiting, draining): (Waiting, bool), limits: &Limits) -> Option<Duration> {
    match (waiting.phase, waiting.stalled_at) {
        (Phase::Fresh, _) if draining => Some(limits.newcomer),
        (Phase::Fresh | Phase::Head, _) => Some(limits.header_timeout),
        (Phase::Busy | Phase::Idle | Phase::Leaving, Some(_)) => Some(limits.write_timeout),
        (Phase::Idle, None) if draining => Some(limits.farewell),
        (Phase::Idle | Phase::Leaving, None) => Some(limits.idle_timeout),
        // The handler's own time; it has its own deadlines.
        (Phase::Busy, None) => None,
    }
}

/// Says goodbye in a way that cannot destroy the last answer.
///
/// Closing a socket that holds unread bytes makes the kernel send a reset, upon which the client's
/// kernel throws away what the client has not read yet. So: no more from us, then read to the end.
async fn linger(mut stream: Stream, budget: Duration, progress: &Progress) {
    let goodbye = async {
        // Fails when the client has gone already, and then there is nobody to be polite to.
        if stream.shutdown().await.is_ok() {
            discard(&mut stream, LINGER_BYTES).await;
        }
    };
    tokio::select! {
        // Over either way; what is left is to drop the socket.
        _ = timeout(budget, goodbye) => {}
        () = progress.evicted.notified() => {}
    }
}
