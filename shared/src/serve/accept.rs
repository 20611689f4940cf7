//! The accept loop: one task that owns the listeners and all connections of a server.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use nix::errno::Errno;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet, yield_now};
use tokio::time::sleep;
use tracing::{error, warn};

use super::progress::{Floor, Progress};
use super::stream::Stream;
use super::{Drained, Limits, Peer, Stage, connection, inherited};
use crate::clock::Moment;

/// How long to wait when the process or the machine is out of descriptors or memory. The
/// listener stays readable all the while, so without a pause the loop would spin.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Connections accepted before everybody else gets a turn. A thousand that come at once would otherwise all be accepted
/// before the first of them is served, and whoever is connected already would wait for all of them.
const ACCEPTED_PER_TURN: usize = 1;

/// The listeners, asked in turn so that a busy one cannot starve the others.
pub(super) struct Listeners {
    tcp: Vec<TcpListener>,
    local: Option<UnixListener>,
    turn: usize,
}

impl Listeners {
    pub(super) fn new(tcp: Vec<TcpListener>, local: Option<UnixListener>) -> Self {
        for listener in &tcp {
            if let Err(error) = inherited::set(listener) {
                warn!(target: "http", %error, "cannot set how connections are buffered");
            }
        }
        Self {
            tcp,
            local,
            turn: 0,
        }
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, Peer)>> {
        let count = self.tcp.len() + 1;
        for step in 0..count {
            let index = (self.turn + step) % count;
            let accepted = match (self.tcp.get(index), &self.local) {
                (Some(listener), _) => listener
                    .poll_accept(cx)
                    .map_ok(|(stream, address)| (Stream::Tcp(stream), Peer::Tcp(address))),
                (None, Some(listener)) => listener
                    .poll_accept(cx)
                    .map_ok(|(stream, _address)| (Stream::Local(stream), Peer::Local)),
                (None, None) => Poll::Pending,
            };
            if accepted.is_ready() {
                self.turn = index + 1;
                return accepted;
            }
        }
        Poll::Pending
    }
}

/// The loop and all it owns.
pub(super) struct Accepting<S> {
    listeners: Listeners,
    service: S,
    limits: Limits,
    stage: watch::Receiver<Stage>,
    floor: Arc<Floor>,
    connections: JoinSet<()>,
    progress: HashMap<Id, Arc<Progress>>,
    open: Arc<AtomicUsize>,
    /// The one connection that was accepted above the limit and waits for a slot. It proves
    /// that somebody needs one: without it no quiet connection is closed.
    waiting: Option<(Stream, Peer)>,
}

impl<S, B> Accepting<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Unpin + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    pub(super) fn new(
        listeners: Listeners,
        service: S,
        limits: Limits,
        stage: watch::Receiver<Stage>,
        open: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            listeners,
            service,
            limits,
            stage,
            floor: Arc::default(),
            connections: JoinSet::new(),
            progress: HashMap::new(),
            open,
            waiting: None,
        }
    }

    pub(super) async fn run(mut self) -> Drained {
        let ordered = self.stage.wait_for(|stage| *stage != Stage::Standby).await;
        if !ordered.is_ok_and(|stage| *stage == Stage::Active) {
            return Drained { cut: 0 };
        }
        self.accept().await;
        self.floor.draining.store(true, Ordering::Relaxed);
        // A standby that shares these listeners accepts from them; ours must not keep them open.
        self.listeners = Listeners::new(Vec::new(), None);
        if let Some(last) = self.waiting.take() {
            self.open_connection(last);
        }
        let budget = match *self.stage.borrow() {
            Stage::Draining { budget } => budget,
            Stage::Standby | Stage::Active => Duration::ZERO,
        };
        self.finish(budget).await
    }

    async fn accept(&mut self) {
        let mut in_a_row = 0;
        loop {
            if in_a_row == ACCEPTED_PER_TURN {
                in_a_row = 0;
                turn_of_the_others().await;
            }
            let floor = self.floor.clone();
            tokio::select! {
                biased;
                changed = self.stage.changed() => match (changed, *self.stage.borrow()) {
                    (Ok(()), Stage::Standby | Stage::Active) => {}
                    (Ok(()), Stage::Draining { .. }) | (Err(_), _) => return,
                },
                Some(ended) = self.connections.join_next_with_id() => self.close_connection(ended),
                () = floor.idled.notified(), if self.waiting.is_some() => self.make_room(),
                () = sleep(self.limits.patience / 4), if self.waiting.is_some() => self.make_room(),
                accepted = poll_fn(|cx| self.listeners.poll_accept(cx)), if self.waiting.is_none() => {
                    match accepted {
                        Ok(accepted) => {
                            in_a_row += 1;
                            self.admit(accepted);
                        }
                        Err(error) => self.survive(&error).await,
                    }
                }
            }
        }
    }

    /// Waits for those inside, then cuts the rest.
    async fn finish(mut self, budget: Duration) -> Drained {
        let late = sleep(budget);
        tokio::pin!(late);
        loop {
            tokio::select! {
                ended = self.connections.join_next_with_id() => match ended {
                    Some(ended) => self.close_connection(ended),
                    None => return Drained { cut: 0 },
                },
                () = &mut late => break,
            }
        }
        let cut = self.connections.len();
        self.connections.shutdown().await;
        self.open.store(0, Ordering::Relaxed);
        Drained { cut }
    }

    fn admit(&mut self, (stream, peer): (Stream, Peer)) {
        if let Stream::Local(local) = &stream
            && !is_ours(local)
        {
            warn!(target: "http", "refused another user on the local socket");
            return;
        }
        if self.connections.len() < self.limits.max_connections {
            self.open_connection((stream, peer));
        } else {
            self.waiting = Some((stream, peer));
            self.make_room();
        }
    }

    fn open_connection(&mut self, accepted: (Stream, Peer)) {
        let patience = Moment::now() + self.limits.patience;
        let progress = Arc::new(Progress::new(self.floor.clone(), patience));
        let service = self.service.clone();
        let stage = self.stage.clone();
        let serving = connection::serve(accepted, service, self.limits, stage, progress.clone());
        let id = self.connections.spawn(serving).id();
        self.progress.insert(id, progress);
        self.open.store(self.connections.len(), Ordering::Relaxed);
    }

    fn close_connection(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(failure) => {
                error!(target: "http", error = %failure, "a connection ended by a panic");
                failure.id()
            }
        };
        self.progress.remove(&id);
        self.floor.evicting.store(false, Ordering::Relaxed);
        self.open.store(self.connections.len(), Ordering::Relaxed);
        if let Some(next) = self.waiting.take() {
            self.open_connection(next);
        }
    }

    /// Closes the connection that has been waiting for its client for longest, if any does.
    fn make_room(&self) {
        if self.floor.evicting.load(Ordering::Relaxed) {
            return;
        }
        let now = Moment::now();
        let quiet = self
            .progress
            .values()
            .filter_map(|one| Some((one.evictable_since(now)?, one)));
        if let Some((_, oldest)) = quiet.min_by_key(|(since, _)| *since) {
            self.floor.evicting.store(true, Ordering::Relaxed);
            oldest.evicted.notify_one();
        }
    }

    async fn survive(&mut self, error: &io::Error) {
        if is_exhaustion(error) {
            warn!(target: "http", %error, "cannot accept connections at the moment");
            self.make_room();
            sleep(EXHAUSTED_PAUSE).await;
        }
        // Everything else concerns the one connection that was about to be accepted.
    }
}

/// Waits until everybody who was ready has run and the runtime has looked who else is.
///
/// A plain yield in the loop would be over as soon as anything wakes the loop, and each connection that ends does.
async fn turn_of_the_others() {
    // It can neither panic nor be aborted.
    let _ = tokio::spawn(yield_now()).await;
}

fn is_exhaustion(error: &io::Error) -> bool {
    const EXHAUSTED: [Errno; 4] = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM];
    let code = error.raw_os_error().map(Errno::from_raw);
    code.is_some_and(|code| EXHAUSTED.contains(&code))
}

fn is_ours(stream: &tokio::net::UnixStream) -> bool {
    let ours = nix::unistd::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == ours)
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn the_kernel_keeps_little_for_a_client_that_does_not_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut listeners = Listeners::new(vec![listener], None);
        let silent = TcpStream::connect(address).await.unwrap();
        let (accepted, _) = poll_fn(|cx| listeners.poll_accept(cx)).await.unwrap();
        let Stream::Tcp(accepted) = accepted else {
            panic!("it came by TCP");
        };
        assert!(SockRef::from(&accepted).tcp_nodelay().unwrap());

        let piece = vec![0; 16 * 1024];
        let mut taken = 0;
        while let Ok(count) = accepted.try_write(&piece) {
            taken += count;
        }
        // What is on its way is bounded by the client's own buffer.
        assert!(taken < 512 * 1024, "{taken} bytes");
        drop(silent);
    }

    #[tokio::test]
    async fn a_turn_of_the_others_is_not_over_because_something_else_happens() {
        let mut turn = std::pin::pin!(turn_of_the_others());
        poll_fn(|cx| {
            assert!(turn.as_mut().poll(cx).is_pending());
            // A connection has ended, and nobody else has run.
            assert!(turn.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        turn.await;
    }
}
