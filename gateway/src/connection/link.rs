//! The handle by which the rest of the process reaches one connection: queue an event, ask it to leave.
//!
//! The connection's own task owns the socket; everybody else only touches the outbound queue, under a short lock, and wakes
//! the task.

use std::fmt;
use std::io::IoSlice;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use openclaw_shared::protocol::MAX_BUFFERED_BYTES;
use openclaw_shared::protocol::event::Audience;
use openclaw_shared::protocol::scope::{Rights, Role};
use openclaw_shared::serve::WriteHalf;

use super::care::{Care, Seen, Vigil};
use super::handshake::close_code;
use super::outbound::{Budget, Offered, Outbound};
use crate::limits::WAITING_ANSWERS;

/// The reason that a client reads which does not read.
pub(crate) const SLOW_CONSUMER: &str = "slow consumer";
/// The reason of every close that comes with the end of this life of the gateway.
pub(crate) const SERVICE_RESTART: &str = "service restart";

/// Events up to this size are written where they are published when nothing else waits for the client. For a thousand clients
/// that saves a thousand turns of their tasks; a large event would keep everybody else waiting for as long as it is copied.
const AT_ONCE: usize = 8 * 1024;
/// Of how many pieces such an event consists at most.
const PIECES_AT_ONCE: usize = 4;

/// Which connection, within this life of the gateway; the oldest has the smallest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LinkId(pub(crate) u64);

impl fmt::Display for LinkId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

/// What a client was admitted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AdmittedBy {
    /// A shared secret, of this generation.
    Secret(u64),
    /// The device's own token.
    DeviceToken,
    /// An identity that the local network vouches for.
    Tailnet,
}

/// A client that was let in, as far as others need to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Admitted {
    /// What it may do.
    pub(crate) rights: Rights,
    /// What let it in.
    pub(crate) by: AdmittedBy,
    /// Its verified device.
    pub(crate) device: Option<Arc<str>>,
}

/// Why a client is asked to leave, and so what is still done for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// This life of the gateway ends: what has arrived is read and answered, however long that takes.
    Restart,
    /// What it was let in by counts no more, for this reason: nothing more is read, it sees no further event, and what it has
    /// asked is answered if that takes a moment.
    Revoked(&'static str),
}

impl Leave {
    /// The close code and its reason.
    pub(crate) const fn close(self) -> (u16, &'static str) {
        match self {
            Self::Restart => (close_code::RESTART, SERVICE_RESTART),
            Self::Revoked(why) => (close_code::POLICY, why),
        }
    }
}

/// One connection, seen from outside of its task.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: LinkId,
    waker: AtomicWaker,
    /// What it has sent of a frame that is not complete, in bytes, while it is a stranger. Changed under the lock of the hub.
    held: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) outbound: Outbound,
    /// None before it is admitted, and from the moment that is revoked.
    admitted: Option<Admitted>,
    /// How many events were addressed to it. A skipped one leaves a gap that the client sees.
    seq: u64,
    /// It shall finish and go.
    leaving: Option<Leave>,
    /// It shall end at once: there is no use in being polite.
    cut: bool,
    /// The direction to the client, while the task sleeps and nothing waits.
    writer: Option<WriteHalf>,
    pub(crate) heard: bool,
    pub(crate) drained: bool,
    vigil: Vigil,
}

impl State {
    /// Whether the connection shall end without a word.
    pub(crate) const fn is_cut(&self) -> bool {
        self.cut
    }

    /// Whether it may neither ask nor hear anything more.
    pub(crate) const fn is_revoked(&self) -> bool {
        matches!(self.leaving, Some(Leave::Revoked(_)))
    }

    /// Leaves the direction to the client here while the task sleeps.
    pub(crate) fn park(&mut self, writer: WriteHalf) {
        debug_assert!(
            self.outbound.is_empty(),
            "what waits is written by the task"
        );
        self.writer = Some(writer);
    }

    /// Takes it back.
    pub(crate) fn unpark(&mut self) -> Option<WriteHalf> {
        self.writer.take()
    }

    /// Writes what waits, if that is little and the task sleeps. Whether all of it went out; the rest is for the task.
    fn write_at_once(&mut self) -> bool {
        let Some(writer) = self.writer.as_ref() else {
            return false;
        };
        let mut slices = [IoSlice::new(&[]); PIECES_AT_ONCE];
        let filled = self.outbound.slices(&mut slices, usize::MAX);
        // The task finds out what is wrong with a socket that takes nothing.
        let Ok(count @ 1..) = writer.try_write_vectored(&slices[..filled]) else {
            return false;
        };
        self.outbound.advance(count);
        self.drained = true;
        self.outbound.is_empty()
    }
}

impl Link {
    pub(crate) fn new(id: LinkId) -> Self {
        let budget = Budget {
            events: MAX_BUFFERED_BYTES,
            answers: WAITING_ANSWERS,
        };
        Self {
            id,
            waker: AtomicWaker::new(),
            held: AtomicUsize::new(0),
            state: Mutex::new(State {
                outbound: Outbound::new(budget),
                admitted: None,
                seq: 0,
                leaving: None,
                cut: false,
                writer: None,
                heard: false,
                drained: false,
                vigil: Vigil::default(),
            }),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // Each critical section leaves the state whole, so a poisoned one is as good as any.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down what it holds of an incomplete frame, and returns what was written there before.
    pub(crate) fn hold(&self, bytes: usize) -> usize {
        self.held.swap(bytes, Ordering::Relaxed)
    }

    pub(crate) fn holds_something(&self) -> bool {
        self.held.load(Ordering::Relaxed) > 0
    }

    /// The task that is to be woken when something is queued or asked.
    pub(crate) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    pub(crate) fn admit(&self, admitted: Admitted) {
        self.state().admitted = Some(admitted);
    }

    /// Who it is; none before it is admitted and after that is revoked.
    pub(crate) fn admitted(&self) -> Option<Admitted> {
        self.state().admitted.clone()
    }

    /// Its verified device, while it is admitted.
    pub(crate) fn device(&self) -> Option<Arc<str>> {
        self.state().admitted.as_ref()?.device.clone()
    }

    /// Queues an event, if the client may see it. `version` is what follows `seq` in the frame, with its comma.
    pub(crate) fn offer(&self, event: &Published<'_>) {
        let mut state = self.state();
        if !state
            .admitted
            .as_ref()
            .is_some_and(|admitted| may_see(admitted.rights, event.audience))
        {
            return;
        }
        state.seq += 1;
        let mut tail = Tail::new();
        tail.push(b",\"seq\":");
        tail.push_number(state.seq);
        tail.push(event.version);
        tail.push(b"}");
        match state
            .outbound
            .event(event.head, tail.as_slice(), event.may_be_lost)
        {
            Offered::Queued => {
                if event.head.len() <= AT_ONCE && state.write_at_once() {
                    return;
                }
            }
            Offered::Skipped => return,
            Offered::Overflow => {
                tracing::info!(target: "gateway/ws", conn = %self.id, waiting = state.outbound.waiting(), "closed a slow consumer");
                state.outbound.condemn(close_code::POLICY, SLOW_CONSUMER);
            }
        }
        drop(state);
        self.waker.wake();
    }

    /// Queues an event for this client alone, without `seq`. `head` is the frame up to and including the payload. Whether it
    /// was taken; a client with too much waiting is closed for it, because nobody else can have this event.
    pub(crate) fn send(&self, head: &Bytes) -> bool {
        let taken = {
            let mut state = self.state();
            if state.is_revoked() {
                return false;
            }
            let offered = state.outbound.event(head, b"}", false);
            if offered == Offered::Overflow {
                state.outbound.condemn(close_code::POLICY, SLOW_CONSUMER);
            }
            offered == Offered::Queued
        };
        self.waker.wake();
        taken
    }

    /// Asks the connection to finish, then to close. The first reason stands, but whoever is revoked while this life ends is
    /// revoked.
    pub(crate) fn leave(&self, why: Leave) {
        {
            let mut state = self.state();
            match (state.leaving, why) {
                (None | Some(Leave::Restart), Leave::Revoked(_)) => {
                    state.leaving = Some(why);
                    // Whoever is not admitted is offered no event, and no rule about clients names it again.
                    state.admitted = None;
                }
                (None, Leave::Restart) => state.leaving = Some(why),
                (Some(Leave::Restart | Leave::Revoked(_)), Leave::Restart)
                | (Some(Leave::Revoked(_)), Leave::Revoked(_)) => {}
            }
        }
        self.waker.wake();
    }

    pub(crate) fn leaving(&self) -> Option<Leave> {
        self.state().leaving
    }

    /// Closes without finishing anything but the frame under way.
    pub(crate) fn condemn(&self, code: u16, reason: &str) {
        self.state().outbound.condemn(code, reason);
        self.waker.wake();
    }

    /// Ends the connection without a word.
    pub(crate) fn cut(&self) {
        self.state().cut = true;
        self.waker.wake();
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.state().cut
    }

    /// Looks after the connection, and does what is to be done.
    pub(crate) fn look_after(&self, elapsed: Duration) {
        let mut state = self.state();
        let seen = Seen {
            heard: std::mem::take(&mut state.heard),
            drained: std::mem::take(&mut state.drained),
            waiting: !state.outbound.is_empty(),
        };
        match state.vigil.look(elapsed, seen) {
            Care::Leave => return,
            Care::Ping => state.outbound.ping(),
            Care::Vanished => {
                tracing::info!(target: "gateway/ws", conn = %self.id, "gave up a client that does not answer");
                state.cut = true;
            }
            Care::Stalled => {
                tracing::info!(target: "gateway/ws", conn = %self.id, waiting = state.outbound.waiting(), "gave up a client that does not read");
                state.outbound.condemn(close_code::POLICY, SLOW_CONSUMER);
            }
        }
        drop(state);
        self.waker.wake();
    }
}

fn may_see(rights: Rights, audience: Audience) -> bool {
    match audience {
        Audience::Everybody => true,
        Audience::Operators => rights.role() == Role::Operator,
        Audience::Holders(scope) => rights.check(scope).is_ok(),
        Audience::One => false,
    }
}

/// An event on its way to everybody.
#[derive(Debug)]
pub(crate) struct Published<'a> {
    /// The frame up to and including the payload.
    pub(crate) head: &'a Bytes,
    /// What follows `seq`, with its comma; empty for an event without `stateVersion`.
    pub(crate) version: &'a [u8],
    /// Who may see it.
    pub(crate) audience: Audience,
    /// Whether a slow client loses it instead of its connection.
    pub(crate) may_be_lost: bool,
}

/// The end of an event frame, built without an allocation.
struct Tail {
    bytes: [u8; 128],
    length: usize,
}

impl Tail {
    const fn new() -> Self {
        Self {
            bytes: [0; 128],
            length: 0,
        }
    }

    fn push(&mut self, piece: &[u8]) {
        self.bytes[self.length..self.length + piece.len()].copy_from_slice(piece);
        self.length += piece.len();
    }

    fn push_number(&mut self, number: u64) {
        use std::io::Write as _;
        let mut rest = &mut self.bytes[self.length..];
        let before = rest.len();
        write!(rest, "{number}").expect("the longest number has twenty digits");
        self.length += before - rest.len();
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use openclaw_shared::protocol::event::Audience;
    use openclaw_shared::protocol::scope::{Rights, Role};
    use openclaw_shared::serve::Stream;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::UnixStream;

    use super::{Admitted, AdmittedBy, Link, LinkId, Published};

    fn admitted() -> Link {
        let link = Link::new(LinkId(1));
        link.admit(Admitted {
            rights: Rights::new(Role::Operator, ["operator.read"]),
            by: AdmittedBy::DeviceToken,
            device: None,
        });
        link
    }

    fn offer(link: &Link, payload: &str) {
        link.offer(&Published {
            head: &Bytes::from(payload.to_owned()),
            version: b"",
            audience: Audience::Everybody,
            may_be_lost: true,
        });
    }

    #[tokio::test]
    async fn an_event_goes_out_where_it_is_published_and_the_rest_waits_for_the_task() {
        let link = admitted();
        let (ours, mut client) = UnixStream::pair().unwrap();
        let (_reader, writer) = Stream::Local(ours).into_split();
        link.state().park(writer);
        offer(&link, "small");
        assert!(link.state().outbound.is_empty());
        let mut frame = [0; 16];
        client.read_exact(&mut frame).await.unwrap();
        assert_eq!(&frame[2..], b"small,\"seq\":1}");

        let large = "x".repeat(4000);
        while link.state().outbound.is_empty() {
            offer(&link, &large);
        }
        let waiting = link.state().outbound.waiting();
        offer(&link, "behind it");
        assert!(link.state().outbound.waiting() > waiting);
        assert!(link.state().unpark().is_some());
    }

    #[tokio::test]
    async fn while_the_task_has_the_socket_or_the_event_is_large_it_waits() {
        let link = admitted();
        offer(&link, "small");
        assert!(!link.state().outbound.is_empty());

        let link = admitted();
        let (ours, _client) = UnixStream::pair().unwrap();
        let (_reader, writer) = Stream::Local(ours).into_split();
        link.state().park(writer);
        offer(&link, &"x".repeat(super::AT_ONCE + 1));
        assert!(!link.state().outbound.is_empty());
    }
}
