//! How far one connection has come, seen from outside of hyper.
//!
//! hyper does not tell whether a connection is waiting for its client or working for it. The
//! three places that can tell (the socket, the service, the body of the answer) write it down
//! here; the connection's own task reads which deadline applies, and the accept loop which
//! connection may be closed to make room.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::framing::Framing;
use crate::clock::Moment;

/// What the connections of one server share.
#[derive(Debug, Default)]
pub(super) struct Floor {
    /// Orders events without a clock.
    sequence: AtomicU64,
    /// Rings whenever a connection has become evictable.
    pub(super) idled: Notify,
    /// A connection was asked to make room and has not gone yet.
    pub(super) evicting: AtomicBool,
    /// The server takes no more connections, and the ones it has end with their next answer.
    pub(super) draining: AtomicBool,
}

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Accepted; its first request is not complete.
    Fresh,
    /// A later request has begun and its head is not complete.
    Head,
    /// A request is with the handler, or its answer is on the way.
    Busy,
    /// Answered, and kept for a further request.
    Idle,
    /// Nothing more will be answered.
    Leaving,
}

/// What a deadline is running for. A change of this value starts a new deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) phase: Phase,
    /// While the client takes nothing: how much it had taken when it stopped.
    pub(super) stalled_at: Option<u64>,
}

/// The shared record of one connection.
#[derive(Debug)]
pub(super) struct Progress {
    floor: Arc<Floor>,
    /// Rings when the connection shall be closed to make room for another.
    pub(super) evicted: Notify,
    record: Mutex<Record>,
}

#[derive(Debug)]
struct Record {
    framing: Framing,
    phase: Phase,
    /// The moment, in the floor's sequence, at which the phase began.
    since: u64,
    /// Until when it is left alone if it says nothing.
    patience: Moment,
    requests: u64,
    written: u64,
    blocked: bool,
}

impl Progress {
    /// A connection that was just accepted, which is left alone until `patience` is over.
    pub(super) fn new(floor: Arc<Floor>, patience: Moment) -> Self {
        let since = floor.sequence.fetch_add(1, Ordering::Relaxed);
        let record = Record {
            framing: Framing::default(),
            phase: Phase::Fresh,
            since,
            patience,
            requests: 0,
            written: 0,
            blocked: false,
        };
        Self {
            floor,
            evicted: Notify::new(),
            record: Mutex::new(record),
        }
    }

    /// Bytes arrived from the client.
    pub(super) fn received(&self, bytes: &[u8]) {
        let mut record = self.record();
        record.framing.observe(bytes);
        if record.phase == Phase::Idle && record.framing.has_begun_after(record.requests) {
            self.enter(&mut record, Phase::Head);
        }
    }

    /// The client took so many bytes of an answer, or none because its buffers are full.
    pub(super) fn sent(&self, bytes: Option<usize>) {
        let mut record = self.record();
        let was_blocked = std::mem::replace(&mut record.blocked, bytes.is_none());
        record.written += bytes.unwrap_or(0) as u64;
        if was_blocked && !record.blocked {
            self.floor.idled.notify_one();
        }
    }

    /// A request goes to the handler. False when its framing is ambiguous.
    #[must_use]
    pub(super) fn begin_request(&self) -> bool {
        let mut record = self.record();
        record.requests += 1;
        self.enter(&mut record, Phase::Busy);
        !record.framing.is_ambiguous(record.requests)
    }

    /// The answer was handed over to the socket, or given up.
    pub(super) fn end_answer(&self) {
        let mut record = self.record();
        let next = if record.framing.has_begun_after(record.requests) {
            Phase::Head
        } else {
            Phase::Idle
        };
        self.enter(&mut record, next);
    }

    /// Whether the answer that is about to be given should be the last one.
    pub(super) fn is_last_answer(&self) -> bool {
        self.floor.draining.load(Ordering::Relaxed)
    }

    /// The connection was asked to make room. False when it declines, because its client has
    /// sent a request in the meantime.
    #[must_use]
    pub(super) fn yields(&self, now: Moment) -> bool {
        let yields = self.evictable_since(now).is_some();
        if !yields {
            self.floor.evicting.store(false, Ordering::Relaxed);
            self.floor.idled.notify_one();
        }
        yields
    }

    /// The last answer is out; only the goodbye is left.
    pub(super) fn leave(&self) {
        let mut record = self.record();
        self.enter(&mut record, Phase::Leaving);
    }

    pub(super) fn waiting(&self) -> Waiting {
        let record = self.record();
        Waiting {
            phase: record.phase,
            stalled_at: record.blocked.then_some(record.written),
        }
    }

    /// When the connection began to wait for its client; nothing while it is being worked for, while an answer is still on its
    /// way out, or as long as it is left alone.
    pub(super) fn evictable_since(&self, now: Moment) -> Option<u64> {
        let record = self.record();
        match record.phase {
            _ if record.blocked => None,
            Phase::Fresh if now < record.patience => None,
            Phase::Fresh | Phase::Head | Phase::Idle | Phase::Leaving => Some(record.since),
            Phase::Busy => None,
        }
    }

    fn enter(&self, record: &mut Record, phase: Phase) {
        record.phase = phase;
        record.since = self.floor.sequence.fetch_add(1, Ordering::Relaxed);
        match phase {
            Phase::Idle | Phase::Head | Phase::Leaving => self.floor.idled.notify_one(),
            Phase::Fresh | Phase::Busy => {}
        }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        // Nothing in here can panic half-way, so a poisoned record is as good as any.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_connection_is_evictable_exactly_while_it_waits_for_its_client() {
        let start = Moment::now();
        let patience = start + Duration::from_millis(250);
        let progress = Progress::new(Arc::default(), patience);
        assert_eq!(progress.waiting().phase, Phase::Fresh);
        assert_eq!(progress.evictable_since(start), None, "it has just come");
        assert!(progress.evictable_since(patience).is_some());
        progress.received(b"GET / HTTP/1.1\r\n\r\n");
        assert!(progress.begin_request());
        assert_eq!(progress.evictable_since(start), None);
        progress.end_answer();
        assert_eq!(progress.waiting().phase, Phase::Idle);
        assert!(progress.evictable_since(start).is_some());
        progress.received(b"G");
        assert_eq!(progress.waiting().phase, Phase::Head);
    }

    #[test]
    fn a_pipelined_request_leaves_no_idle_gap() {
        let progress = Progress::new(Arc::default(), Moment::now());
        progress.received(b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n");
        assert!(progress.begin_request());
        progress.end_answer();
        assert_eq!(progress.waiting().phase, Phase::Head);
    }

    #[test]
    fn a_stall_is_one_deadline_until_a_byte_is_taken() {
        let progress = Progress::new(Arc::default(), Moment::now());
        progress.sent(Some(10));
        progress.sent(None);
        let stalled = progress.waiting();
        progress.sent(None);
        assert_eq!(progress.waiting(), stalled);
        progress.sent(Some(1));
        progress.sent(None);
        assert_ne!(progress.waiting(), stalled);
    }
}
