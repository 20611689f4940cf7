//! The HTTP server that every child runs on the sockets it was handed.
//!
//! A [`Server`] accepts from several TCP listeners and one local socket at once and gives each
//! request to one service. It is responsible for what a handler cannot see: how many connections
//! are open, how long one may take to say what it wants, framing that two parsers could read
//! differently, and leaving without cutting anybody off. It knows nothing of routes, and it
//! never binds.
//!
//! Life: [`Server::new`] holds the listeners and accepts nothing (standby), [`Server::activate`]
//! opens the door, [`Server::drain`] closes it and waits for those inside.
//!
//! Invariant: a connection is never refused for being one too many. At the limit it waits in the
//! kernel's backlog until a slot is free, and the connection that has been waiting for its client
//! for longest is closed to make one.
//!
//! Invariant: a connection that was accepted gets its first request answered, also while
//! draining.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinHandle;

mod accept;
mod answer;
pub mod body;
mod connection;
mod framing;
mod guard;
pub mod host;
pub mod inherited;
pub mod origin;
mod progress;
mod stream;
#[cfg(test)]
mod tests;

#[cfg(fuzzing)]
pub use framing::fuzz as fuzz_framing;
pub use guard::{Guarded, Refusal};
pub use stream::{NotUpgraded, ReadHalf, Stream, Upgrade, WriteHalf, discard, upgrade};

/// Who is at the other end of the connection a request came by; a request extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A TCP client, at this address.
    Tcp(SocketAddr),
    /// A process of our own user, by the local socket.
    Local,
}

impl Peer {
    /// Whether the request came by the local socket, that is from another process of the
    /// instance.
    #[must_use]
    pub const fn is_local_socket(self) -> bool {
        match self {
            Self::Local => true,
            Self::Tcp(_) => false,
        }
    }
}

/// What one server grants its clients.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections that speak HTTP at the same time. An upgraded connection no longer counts:
    /// it belongs to the handler that took it.
    pub max_connections: usize,
    /// How long a connection is left alone, from accept, before it may have to make room for another. Of a thousand that come at once
    /// the last is here before the first has said what it wants.
    pub patience: Duration,
    /// From accept, or from the first byte of a later request, to the end of its headers.
    pub header_timeout: Duration,
    /// How long a connection is kept for a further request.
    pub idle_timeout: Duration,
    /// How long a connection that has not sent its first request is waited for while draining. Whoever connects to ask
    /// something asks within this; one that was opened in advance must not hold a stop for as long as headers may take.
    pub newcomer: Duration,
    /// How long an idle connection is kept while draining. A client that is about to use it again is
    /// answered and told to close; without this its request would meet our goodbye half-way.
    pub farewell: Duration,
    /// How long a client may leave an answer unread without taking a single byte of it.
    pub write_timeout: Duration,
    /// How long we read on after the last answer, so that the kernel does not discard it.
    pub linger: Duration,
    /// Request line and headers together. More is answered with 431.
    pub max_header_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 512,
            patience: Duration::from_millis(250),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            newcomer: Duration::from_secs(2),
            farewell: Duration::from_millis(500),
            write_timeout: Duration::from_secs(30),
            linger: Duration::from_secs(1),
            max_header_bytes: 32 * 1024,
        }
    }
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Drained {
    /// Connections that were still open when the budget was over and had to be cut.
    pub cut: usize,
}

/// What the accept loop is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Standby,
    Active,
    Draining { budget: Duration },
}

/// An HTTP server on inherited listeners. Dropping it without [`Server::drain`] cuts everything.
#[derive(Debug)]
pub struct Server {
    stage: watch::Sender<Stage>,
    open: Arc<AtomicUsize>,
    accepting: JoinHandle<Drained>,
}

impl Server {
    /// Takes the listeners and stays on standby: nothing is accepted before
    /// [`Server::activate`]. Must be called inside a tokio runtime.
    ///
    /// A `warp` filter becomes a service by
    /// `hyper_util::service::TowerToHyperService::new(warp::service(filter))`.
    #[must_use]
    pub fn new<S, B>(
        tcp: Vec<TcpListener>,
        local: Option<UnixListener>,
        service: S,
        limits: Limits,
    ) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + Unpin + 'static,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (stage, orders) = watch::channel(Stage::Standby);
        let open = Arc::new(AtomicUsize::new(0));
        let listeners = accept::Listeners::new(tcp, local);
        let accepting = accept::Accepting::new(listeners, service, limits, orders, open.clone());
        Self {
            stage,
            open,
            accepting: tokio::spawn(accepting.run()),
        }
    }

    /// Begins to accept.
    pub fn activate(&self) {
        self.stage.send_if_modified(|stage| match stage {
            Stage::Standby => {
                *stage = Stage::Active;
                true
            }
            Stage::Active | Stage::Draining { .. } => false,
        });
    }

    /// The number of connections that speak HTTP at this moment.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Stops accepting at once and resolves when every connection is gone, or when the budget is
    /// over and the rest was cut.
    ///
    /// The listeners are closed here only; whoever else holds them (the supervisor, a successor)
    /// goes on accepting from the same backlog. Requests in flight are answered, a connection
    /// that has not sent its first request may still do so for a moment ([`Limits::newcomer`]), idle ones
    /// are closed after a last chance ([`Limits::farewell`]). Upgraded connections are not waited for.
    pub async fn drain(mut self, budget: Duration) -> Drained {
        self.stage.send_replace(Stage::Draining { budget });
        // A loop that panicked has dropped, and thereby cut, all it had.
        (&mut self.accepting).await.unwrap_or(Drained { cut: 0 })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
