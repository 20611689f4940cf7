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
use super::notice::{AT_ONCE, Notice};
use super::outbound::{Budget, Offered, Outbound};
use crate::limits::WAITING_ANSWERS;
use crate::metrics::Traffic;

/// The reason that a client reads which does not read.
pub(crate) const SLOW_CONSUMER: &str = "slow consumer";
/// The reason of every close that comes with the end of this life of the gateway.
pub(crate) const SERVICE_RESTART: &str = "service restart";

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
    traffic: Arc<Traffic>,
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

    /// Writes a frame if the task sleeps and nothing is before it. How much of it went out; the rest is for the task, and so is to
    /// find out what is wrong with a socket that takes nothing.
    fn write_at_once(&mut self, frame: &[u8]) -> usize {
        let Some(writer) = self.writer.as_ref() else {
            return 0;
        };
        if !self.outbound.is_empty() || self.outbound.is_sealed() {
            return 0;
        }
        let count = writer.try_write(frame).unwrap_or(0);
        self.drained |= count > 0;
        count
    }

    /// Writes what is queued if the task sleeps and it is little: it has been queued since the task fell asleep.
    fn write_queued(&mut self) {
        let Some(writer) = self.writer.as_ref() else {
            return;
        };
        if self.outbound.is_sealed() {
            // The task is to close.
            return;
        }
        let mut slices = [IoSlice::new(&[])];
        let filled = self.outbound.slices(&mut slices, AT_ONCE);
        let count = slices[..filled]
            .first()
            .map_or(0, |slice| writer.try_write(slice).unwrap_or(0));
        self.drained |= count > 0;
        self.outbound.advance(count);
    }
}

impl Link {
    pub(crate) fn new(id: LinkId, traffic: Arc<Traffic>) -> Self {
        let budget = Budget {
            events: MAX_BUFFERED_BYTES,
            answers: WAITING_ANSWERS,
        };
        Self {
            id,
            waker: AtomicWaker::new(),
            held: AtomicUsize::new(0),
            traffic,
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

    /// Sends an event to the client, if it may see it: at once if that is possible, and otherwise by its task. Whether it was sent, or
    /// will be.
    pub(crate) fn offer(&self, notice: &mut Notice) -> bool {
        let mut state = self.state();
        if !state
            .admitted
            .as_ref()
            .is_some_and(|admitted| may_see(admitted.rights, notice.audience))
        {
            return false;
        }
        state.seq += 1;
        notice.address(state.seq);
        let mut sent = 0;
        if !notice.is_followed
            && let Some(frame) = notice.whole()
        {
            sent = state.write_at_once(frame);
            if sent == frame.len() {
                return true;
            }
        }
        let offered = state
            .outbound
            .event(notice.head(), notice.tail(), notice.may_be_lost);
        match offered {
            Offered::Queued => state.outbound.advance(sent),
            Offered::Skipped => {
                self.traffic.skipped.one();
                return false;
            }
            Offered::Overflow => {
                tracing::info!(target: "gateway/ws", conn = %self.id, waiting = state.outbound.waiting(), "closed a slow consumer");
                self.traffic.slow_readers.one();
                state.outbound.condemn(close_code::POLICY, SLOW_CONSUMER);
            }
        }
        drop(state);
        // What is queued is not forgotten: the last of the events that follow each other is let go.
        if !notice.is_followed {
            self.waker.wake();
        }
        offered == Offered::Queued
    }

    /// Writes the events that were queued to go out together, if that can be done at once; otherwise the task does.
    pub(crate) fn let_go(&self) {
        {
            let mut state = self.state();
            if state.outbound.is_empty() {
                return;
            }
            state.write_queued();
            if state.outbound.is_empty() {
                return;
            }
        }
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
                self.traffic.slow_readers.one();
                state.outbound.condemn(close_code::POLICY, SLOW_CONSUMER);
            }
            offered == Offered::Queued
        };
        self.traffic.events.add(taken.into());
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
                self.traffic.slow_readers.one();
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

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use bytes::Bytes;
    use openclaw_shared::protocol::event::Audience;
    use openclaw_shared::protocol::scope::{Rights, Role};
    use openclaw_shared::serve::Stream;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::UnixStream;

    use super::{Admitted, AdmittedBy, Link, LinkId};
    use crate::connection::notice::{AT_ONCE, Notice};

    fn admitted() -> Link {
        let link = Link::new(LinkId(1), std::sync::Arc::default());
        link.admit(Admitted {
            rights: Rights::new(Role::Operator, ["operator.read"]),
            by: AdmittedBy::DeviceToken,
            device: None,
        });
        link
    }

    fn offer(link: &Link, payload: &str) {
        let head = Bytes::from(payload.to_owned());
        link.offer(&mut Notice::new(
            head,
            String::new(),
            Audience::Everybody,
            true,
        ));
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
        let mut offered = 0;
        while link.state().outbound.is_empty() {
            offer(&link, &large);
            offered += 1;
        }
        let waiting = link.state().outbound.waiting();
        offer(&link, "behind it");
        assert!(link.state().outbound.waiting() > waiting);
        assert!(link.state().unpark().is_some());

        // What the socket took and what waits is each frame once, to its last byte.
        let mut received = vec![0; 1 << 20];
        let mut length = 0;
        while let Ok(count @ 1..) = client.try_read(&mut received[length..]) {
            length += count;
        }
        received.truncate(length);
        let mut state = link.state();
        while !state.outbound.is_empty() {
            let mut slices = [IoSlice::new(&[]); 1];
            state.outbound.slices(&mut slices, usize::MAX);
            received.extend_from_slice(&slices[0]);
            let count = slices[0].len();
            state.outbound.advance(count);
        }
        let mut rest = &received[..];
        for seq in 2..offered + 2 {
            let body = format!("{large},\"seq\":{seq}}}");
            let header = [0x81, 126];
            let length = u16::try_from(body.len()).unwrap().to_be_bytes();
            let frame = [&header, &length, body.as_bytes()].concat();
            rest = rest.strip_prefix(&frame[..]).expect("the next frame");
        }
        assert_eq!(
            &rest[2..],
            format!("behind it,\"seq\":{}}}", offered + 2).as_bytes()
        );
    }

    #[tokio::test]
    async fn events_that_go_out_together_are_written_once_and_in_their_order() {
        let link = admitted();
        let (ours, mut client) = UnixStream::pair().unwrap();
        let (_reader, writer) = Stream::Local(ours).into_split();
        link.state().park(writer);
        for payload in ["first", "second"] {
            let head = Bytes::from_static(payload.as_bytes());
            let mut notice = Notice::new(head, String::new(), Audience::Everybody, false);
            notice.is_followed = true;
            link.offer(&mut notice);
        }
        assert!(client.try_read(&mut [0; 1]).is_err());
        assert!(!link.state().outbound.is_empty());
        link.let_go();
        assert!(link.state().outbound.is_empty());
        let mut frames = [0; 33];
        client.read_exact(&mut frames).await.unwrap();
        assert_eq!(&frames[2..16], b"first,\"seq\":1}");
        assert_eq!(&frames[18..], b"second,\"seq\":2}");
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
        offer(&link, &"x".repeat(AT_ONCE + 1));
        assert!(!link.state().outbound.is_empty());
    }
}
