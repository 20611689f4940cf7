//! Who waits for a decision, and until when.                                              (pure)

use std::collections::BTreeMap;

use openclaw_shared::clock::Moment;
use openclaw_shared::protocol::params::approvals::ApprovalDecision;
use tokio::sync::oneshot;

use super::record::Asker;

/// Requests that wait for people, of everybody together.
const MOST: usize = 256;
/// Of these, what is kept free for the owner's own devices.
const RESERVED: usize = 32;
/// Requests of all clients without a device: each of their connections counts as another asker, and new ones cost nothing.
const MOST_WITHOUT_DEVICE: usize = 64;
/// Requests of one asker that wait for people.
const MOST_PER_ASKER: usize = 32;

/// What somebody who waits is told; nothing when nobody decided in time.
pub(crate) type Decided = Option<ApprovalDecision>;

/// Who waits, as far as there is room for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Who {
    name: String,
    standing: Standing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// A connection without a device. What it has asked for can be used by nobody else and ends with it.
    Passing,
    Device,
    /// A device that may do everything.
    Owner,
}

impl Who {
    /// An asker, and whether it may do everything.
    pub(crate) fn new(asker: &Asker, is_admin: bool) -> Self {
        Self {
            name: asker.name(),
            standing: match asker {
                Asker::Connection { .. } => Standing::Passing,
                Asker::Device(_) if is_admin => Standing::Owner,
                Asker::Device(_) => Standing::Device,
            },
        }
    }

    /// Whether what it asks for ends with its connection.
    pub(crate) fn is_passing(&self) -> bool {
        self.standing == Standing::Passing
    }
}

#[derive(Debug)]
struct Entry {
    who: Who,
    deadline: Moment,
    waiter: Option<oneshot::Sender<Decided>>,
    /// Whether there is a record of it.
    is_kept: bool,
}

impl Entry {
    fn is_waited_for(&self) -> bool {
        let waiter = self.waiter.as_ref();
        waiter.is_some_and(|waiter| !waiter.is_closed())
    }

    /// Whether nobody will ever use it.
    fn is_forsaken(&self) -> bool {
        self.is_kept && self.who.is_passing() && !self.is_waited_for()
    }
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
    /// Begins to wait for a decision, also for one that was asked for in an earlier life. The record must be kept next, or the
    /// wait given up.
    ///
    /// # Errors
    /// When that cannot be.
    pub(crate) fn wait(
        &mut self,
        id: &str,
        who: &Who,
        deadline: Moment,
    ) -> Result<oneshot::Receiver<Decided>, Crowded> {
        if self.is_closed {
            return Err(Crowded::Leaving);
        }
        let (tell, told) = oneshot::channel();
        if let Some(entry) = self.pending.get_mut(id) {
            if entry.is_waited_for() || entry.who.name != who.name {
                return Err(Crowded::Taken);
            }
            entry.waiter = Some(tell);
            return Ok(told);
        }
        if !self.has_room(who) {
            return Err(Crowded::Full);
        }
        self.pending.insert(
            id.to_owned(),
            Entry {
                who: who.clone(),
                deadline,
                waiter: Some(tell),
                is_kept: false,
            },
        );
        Ok(told)
    }

    fn has_room(&self, who: &Who) -> bool {
        let count = |is_meant: &dyn Fn(&Who) -> bool| {
            let meant = self.pending.values().filter(|entry| is_meant(&entry.who));
            meant.count()
        };
        let all = match who.standing {
            Standing::Owner => MOST,
            Standing::Device | Standing::Passing => MOST - RESERVED,
        };
        self.pending.len() < all
            && count(&|other| other.name == who.name) < MOST_PER_ASKER
            && (!who.is_passing() || count(&Who::is_passing) < MOST_WITHOUT_DEVICE)
    }

    /// There is a record of what is waited for.
    pub(crate) fn kept(&mut self, id: &str) {
        if let Some(entry) = self.pending.get_mut(id) {
            entry.is_kept = true;
        }
    }

    /// What was to be asked for is refused. An earlier request of the same id waits on.
    pub(crate) fn give_up(&mut self, id: &str) {
        match self.pending.get_mut(id) {
            Some(entry) if entry.is_kept => entry.waiter = None,
            Some(_) => drop(self.pending.remove(id)),
            None => {}
        }
    }

    /// Looks after a request of an earlier life, for which nobody waits.
    pub(crate) fn adopt(&mut self, id: String, who: Who, deadline: Moment) {
        self.pending.entry(id).or_insert(Entry {
            who,
            deadline,
            waiter: None,
            is_kept: true,
        });
    }

    /// A decision was made, or none can be made any more.
    pub(crate) fn decide(&mut self, id: &str, decided: Decided) {
        if let Some(waiter) = self.pending.remove(id).and_then(|entry| entry.waiter) {
            // Whoever asked may have left.
            let _ = waiter.send(decided);
        }
    }

    /// Requests for which it is too late, or that nobody will use.
    pub(crate) fn due(&self, now: Moment) -> Vec<String> {
        let due = self
            .pending
            .iter()
            .filter(|(_, entry)| entry.is_kept && (entry.deadline <= now || entry.is_forsaken()));
        due.map(|(id, _)| id.clone()).collect()
    }

    /// When the next request is too late.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        let kept = self.pending.values().filter(|entry| entry.is_kept);
        kept.map(|entry| entry.deadline).min()
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

    use super::super::record::Asker;
    use super::{Crowded, Waiting, Who};

    fn device(name: &str) -> Who {
        Who::new(&Asker::Device(name.to_owned()), false)
    }

    fn passing(link: u64) -> Who {
        let life = "l".to_owned();
        Who::new(&Asker::Connection { life, link }, true)
    }

    #[test]
    fn one_waits_for_each_and_hears_what_was_decided() {
        let mut waiting = Waiting::default();
        let (now, who) = (Moment::now(), device("a"));
        let mut told = waiting.wait("1", &who, now).unwrap();
        assert_eq!(waiting.wait("1", &who, now).unwrap_err(), Crowded::Taken);
        assert!(waiting.due(now).is_empty(), "it is not kept yet");
        waiting.kept("1");
        assert_eq!(waiting.due(now), ["1"]);
        waiting.decide("1", Some(ApprovalDecision::Deny));
        assert_eq!(told.try_recv(), Ok(Some(ApprovalDecision::Deny)));
        assert_eq!(waiting.next_deadline(), None);
    }

    #[test]
    fn only_who_asked_can_wait_again_after_a_restart() {
        let mut waiting = Waiting::default();
        let later = Moment::now() + Duration::from_secs(9);
        waiting.adopt("1".to_owned(), device("a"), later);
        let taken = waiting.wait("1", &device("b"), later);
        assert_eq!(taken.unwrap_err(), Crowded::Taken);
        let mut told = waiting.wait("1", &device("a"), later).unwrap();
        assert_eq!(waiting.next_deadline(), Some(later));
        waiting.close();
        assert!(told.try_recv().is_err());
        let late = waiting.wait("2", &device("a"), later);
        assert_eq!(late.unwrap_err(), Crowded::Leaving);
    }

    #[test]
    fn a_wait_that_is_refused_leaves_an_earlier_one_as_it_is() {
        let mut waiting = Waiting::default();
        let later = Moment::now() + Duration::from_secs(9);
        let _told = waiting.wait("1", &device("a"), later).unwrap();
        waiting.give_up("1");
        assert_eq!(waiting.next_deadline(), None);
        waiting.adopt("1".to_owned(), device("a"), later);
        let _told = waiting.wait("1", &device("a"), later).unwrap();
        waiting.give_up("1");
        assert_eq!(waiting.next_deadline(), Some(later), "it still runs out");
        assert!(waiting.wait("1", &device("a"), later).is_ok());
    }

    #[test]
    fn what_a_connection_asked_for_ends_with_it_and_what_a_device_asked_for_does_not() {
        let mut waiting = Waiting::default();
        let (now, later) = (Moment::now(), Moment::now() + Duration::from_secs(9));
        let told: Vec<_> = [device("a"), passing(1), passing(2)]
            .iter()
            .map(|who| {
                let told = waiting.wait(&who.name, who, later).unwrap();
                waiting.kept(&who.name);
                told
            })
            .collect();
        assert!(waiting.due(now).is_empty());
        drop(told);
        assert_eq!(waiting.due(now), ["l/1", "l/2"]);
    }

    #[test]
    fn what_waits_is_bounded_and_nobody_s_requests_keep_the_owner_out() {
        let mut waiting = Waiting::default();
        let now = Moment::now();
        let mut fill = |who: &dyn Fn(u64) -> Who, prefix: &str| {
            let ids = (0..1_000).map(|number| (number, format!("{prefix}{number}")));
            ids.filter(|(number, id)| waiting.wait(id, &who(*number), now).is_ok())
                .count()
        };
        assert_eq!(fill(&|_| device("a"), "one"), 32);
        assert_eq!(fill(&passing, "passing"), 64);
        let devices = fill(&|number| device(&number.to_string()), "devices");
        assert_eq!(devices, 256 - 32 - 64 - 32);
        let owner = Who::new(&Asker::Device("me".to_owned()), true);
        assert_eq!(fill(&|_| owner.clone(), "mine"), 32);
    }
}
