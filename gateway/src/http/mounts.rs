//! The canvas host's routes on the base port.
//!
//! A request below one of the mounts is asked again of the canvas host, by its local socket, and its
//! answer passed on as it comes. The gateway adds what concerns its own origin: pages are sandboxed,
//! and nothing that a browser or a client attached as a credential goes further than here.
//!
//! While the canvas host is being started its socket exists and requests wait in it; the client
//! notices nothing. When it stays away the answer is 503, never a page of somebody else's.
//!
//! The caller judges `Host` first; `Origin` is judged by the canvas host.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use openclaw_shared::ipc;
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

mod answer;
mod headers;
mod live;

pub(crate) use answer::Body;
use answer::{refusal, relay, switching, unavailable};
use live::pump;

/// What belongs to the canvas host.
const MOUNTS: [&str; 3] = [
    "/__openclaw__/canvas",
    "/__openclaw__/a2ui",
    "/__openclaw__/ws",
];

/// How long the canvas host may take to begin an answer, a restart of it included.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long to wait after a canvas host that died while it was answering.
const RETRY: Duration = Duration::from_millis(50);
/// Answers under way at the same time.
const MAX_ANSWERS: usize = 128;
/// Live pages at the same time; the canvas host has its own bound.
const MAX_SOCKETS: u16 = 256;

/// The mounts, and what is under way through them.
#[derive(Debug, Clone)]
pub(crate) struct Mounts {
    socket: Arc<PathBuf>,
    answers: Arc<Semaphore>,
    sockets: Arc<Semaphore>,
    closing: Arc<watch::Sender<bool>>,
}

impl Mounts {
    /// Relays to the canvas host behind this local socket.
    pub(crate) fn new(socket: PathBuf) -> Self {
        let (closing, _) = watch::channel(false);
        Self {
            socket: Arc::new(socket),
            answers: Arc::new(Semaphore::new(MAX_ANSWERS)),
            sockets: Arc::new(Semaphore::new(MAX_SOCKETS.into())),
            closing: Arc::new(closing),
        }
    }

    /// Whether a path is the canvas host's to answer.
    pub(crate) fn is_mounted(path: &str) -> bool {
        MOUNTS.iter().any(|mount| {
            let rest = path.strip_prefix(mount);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// Answers a request to one of the mounts. A request body is not looked at.
    pub(crate) async fn handle<B>(&self, mut request: Request<B>) -> Response<Body> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
            response
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let wants_socket = request.headers().contains_key(header::UPGRADE);
        let slots = if wants_socket {
            &self.sockets
        } else {
            &self.answers
        };
        let Ok(slot) = slots.clone().try_acquire_owned() else {
            return unavailable("canvas host busy");
        };
        let client = wants_socket.then(|| hyper::upgrade::on(&mut request));
        let Ok(asked) = timeout(PATIENCE, self.ask(&request)).await else {
            warn!(target: "gateway/canvas", "the canvas host does not answer");
            return unavailable("canvas host unavailable");
        };
        let Asked {
            mut response,
            connection,
        } = asked;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let host = hyper::upgrade::on(&mut response);
            return match client {
                Some(client) => {
                    // Owned by its slot: `close` ends it and waits for it.
                    tokio::spawn(pump(
                        client,
                        host,
                        self.closing.subscribe(),
                        slot,
                        connection,
                    ));
                    switching(response.headers())
                }
                None => refusal(StatusCode::BAD_GATEWAY, "canvas host confused"),
            };
        }
        relay(response, slot, connection)
    }

    /// Ends the live pages' sockets, which makes the pages look for the successor, and waits until
    /// they are gone.
    pub(crate) async fn close(&self) {
        self.closing.send_replace(true);
        // Every pump holds a slot until it has ended. The semaphore itself is never closed.
        let _ = self.sockets.acquire_many(MAX_SOCKETS.into()).await;
    }

    /// Asks until there is an answer. Asking twice is safe, because nothing but GET and HEAD is asked;
    /// it is needed when a canvas host dies with the question in hand.
    async fn ask<B>(&self, request: &Request<B>) -> Asked {
        loop {
            match self.ask_once(request).await {
                Ok(asked) => return asked,
                Err(error) => {
                    debug!(target: "gateway/canvas", %error, "the canvas host is asked again");
                    sleep(RETRY).await;
                }
            }
        }
    }

    async fn ask_once<B>(&self, request: &Request<B>) -> io::Result<Asked> {
        let stream = ipc::connect(&self.socket).await?;
        ipc::check_peer(&stream)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        let connection = tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                debug!(target: "gateway/canvas", %error, "a connection to the canvas host broke");
            }
        });
        let connection = Connection(connection.abort_handle());
        let response = sender
            .send_request(headers::question(request))
            .await
            .map_err(io::Error::other)?;
        Ok(Asked {
            response,
            connection,
        })
    }
}

/// An answer that has begun.
struct Asked {
    response: Response<Incoming>,
    connection: Connection,
}

/// The task that drives a connection to the canvas host; it ends with whoever needs it.
#[derive(Debug)]
struct Connection(AbortHandle);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests;
