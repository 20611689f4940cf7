//! Who waits for a decision, and until when.                                              (pure)

use std::collections::BTreeMap;

use openclaw_shared::clock::Moment;
use openclaw_shared::protocol::params::approvals::ApprovalDecision;
use tokio::sync::oneshot;

/// Requests that wait for people, of everybody together.
const MOST: usize = 256;
/// Requests of one asker that wait for people.
const MOST_PER_ASKER: usize = 32;

/// What somebody who waits is told; nothing when nobody decided in time.
pub(crate) type Decided = Option<ApprovalDecision>;

#[derive(Debug)]
struct Entry {
    asker: String,
    deadline: Moment,
    waiter: Option<oneshot::Sender<Decided>>,
}

/// All requests that wait for a decision.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    pending: BTreeMap<String, Entry>,
    is_closed: bool,
}

/// Why nobody can wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crowded {
    /// Too many wait.
    Full,
    /// Somebody waits for this one.
    Taken,
    /// This life ends.
    Leaving,
}

impl Waiting {
    /// Begins to wait for a decision, also for one that was asked for in an earlier life.
    ///
    /// # Errors
    /// When that cannot be.
    pub(crate) fn wait(
        &mut self,
        id: &str,
        asker: &str,
        deadline: Moment,
    ) -> Result<oneshot::Receiver<Decided>, Crowded> {
        if self.is_closed {
            return Err(Crowded::Leaving);
        }
        let (tell, told) = oneshot::channel();
        if let Some(entry) = self.pending.get_mut(id) {
            if entry
                .waiter
                .as_ref()
                .is_some_and(|waiter| !waiter.is_closed())
                || entry.asker != asker
            {
                return Err(Crowded::Taken);
            }
            entry.waiter = Some(tell);
            return Ok(told);
        }
        let of_asker = self
            .pending
            .values()
            .filter(|entry| entry.asker == asker)
            .count();
        if self.pending.len() >= MOST || of_asker >= MOST_PER_ASKER {
            return Err(Crowded::Full);
        }
        self.adopt(id.to_owned(), asker.to_owned(), deadline);
        if let Some(entry) = self.pending.get_mut(id) {
            entry.waiter = Some(tell);
        }
        Ok(told)
    }

    /// Looks after a request that nobody waits for.
    pub(crate) fn adopt(&mut self, id: String, asker: String, deadline: Moment) {
        self.pending.entry(id).or_insert(Entry {
            asker,
            deadline,
            waiter: None,
        });
    }

    /// A decision was made, or none can be made any more.
    pub(crate) fn decide(&mut self, id: &str, decided: Decided) {
        if let Some(waiter) = self.pending.remove(id).and_then(|entry| entry.waiter) {
            // Whoever asked may have left.
            let _ = waiter.send(decided);
        }
    }

    /// Requests for which it is too late.
    pub(crate) fn due(&self, now: Moment) -> Vec<String> {
        let due = self
            .pending
            .iter()
            .filter(|(_, entry)| entry.deadline <= now);
        due.map(|(id, _)| id.clone()).collect()
    }

    /// When the next request is too late.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        self.pending.values().map(|entry| entry.deadline).min()
    }

    /// This life ends; what waits is decided in the next.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
        self.pending.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use openclaw_shared::clock::Moment;
    use openclaw_shared::protocol::params::approvals::ApprovalDecision;

    use super::{Crowded, Waiting};

    #[test]
    fn one_waits_for_each_and_hears_what_was_decided() {
        let mut waiting = Waiting::default();
        let now = Moment::now();
        let mut told = waiting.wait("1", "a", now).unwrap();
        assert_eq!(waiting.wait("1", "a", now).unwrap_err(), Crowded::Taken);
        assert_eq!(waiting.due(now), ["1"]);
        waiting.decide("1", Some(ApprovalDecision::Deny));
        assert_eq!(told.try_recv(), Ok(Some(ApprovalDecision::Deny)));
        assert_eq!(waiting.next_deadline(), None);
    }

    #[test]
    fn only_who_asked_can_wait_again_after_a_restart() {
        let mut waiting = Waiting::default();
        let later = Moment::now() + Duration::from_secs(9);
        waiting.adopt("1".to_owned(), "a".to_owned(), later);
        assert_eq!(waiting.wait("1", "b", later).unwrap_err(), Crowded::Taken);
        let mut told = waiting.wait("1", "a", later).unwrap();
        assert_eq!(waiting.next_deadline(), Some(later));
        waiting.close();
        assert!(told.try_recv().is_err());
        assert_eq!(waiting.wait("2", "a", later).unwrap_err(), Crowded::Leaving);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut waiting = Waiting::default();
        let now = Moment::now();
        let kept: Vec<_> = (0..1_000)
            .map_while(|number| waiting.wait(&number.to_string(), "a", now).ok())
            .collect();
        assert_eq!(kept.len(), 32);
        let others = (0..1_000).filter(|number| {
            waiting
                .wait(&format!("o{number}"), &format!("o{number}"), now)
                .is_ok()
        });
        assert_eq!(others.count(), 256 - 32);
    }
}
