//! One connection, from accept to the last byte.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::answer::Answering;
use super::progress::{Phase, Progress, Waiting};
use super::stream::{Stream, Watched};
use super::{Limits, Peer, Stage};

/// What is read and thrown away at most after the last answer.
const LINGER_BYTES: usize = 1024 * 1024;

type Http<S> = http1::UpgradeableConnection<TokioIo<Watched>, Answering<S>>;

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
    let io = TokioIo::new(Watched::new(stream, progress.clone()));
    let service = Answering {
        service,
        peer,
        progress: progress.clone(),
    };
    let mut http = http1::Builder::new()
        // hyper would time a quiet connection by the deadline for headers; see `allowance`.
        .header_read_timeout(None)
        .max_header_size(limits.max_header_bytes)
        .max_buf_size(limits.max_header_bytes)
        .serve_connection(io, service)
        .with_upgrades();
    match drive(&mut http, &limits, stage, &progress).await {
        Ended::ByItself => {
            progress.leave();
            if let Some(parts) = http.into_parts() {
                linger(parts.io.into_inner().stream, limits.linger, &progress).await;
            }
        }
        Ended::Late(waiting) => debug!(target: "http", ?waiting, "closed a late connection"),
        Ended::Evicted => debug!(target: "http", "closed a quiet connection to make room"),
    }
}

async fn drive<S, B>(
    http: &mut Http<S>,
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
            if let Poll::Ready(outcome) = Pin::new(&mut *http).poll(cx) {
                if let Err(error) = outcome {
                    debug!(target: "http", %error, "a connection ended by an error");
                }
                return Poll::Ready(Ended::ByItself);
            }
            if evicted.as_mut().poll(cx).is_ready() {
                if progress.yields() {
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
                Pin::new(&mut *http).graceful_shutdown();
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
        if stream.shutdown().await.is_err() {
            return;
        }
        let mut scrap = [0; 4096];
        let mut read = 0;
        while read < LINGER_BYTES {
            match stream.read(&mut scrap).await {
                Ok(0) | Err(_) => return,
                Ok(count) => read += count,
            }
        }
    };
    tokio::select! {
        // Over either way; what is left is to drop the socket.
        _ = timeout(budget, goodbye) => {}
        () = progress.evicted.notified() => {}
    }
}
