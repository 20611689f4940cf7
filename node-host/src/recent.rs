//! Requests that were seen before: the same key is carried out once and answered each time.              (pure)
//!
//! Invariant: a key is never carried out twice while it is remembered, whether or not its answer is.
//!
//! Invariant: what is kept has a bound, whatever is asked: of each key there is a digest, and what runs is bounded by whoever runs it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use openclaw_shared::clock::Moment;
use openclaw_shared::digest;

/// How long a key is remembered after its end.
const WINDOW: Duration = Duration::from_secs(600);
/// How many keys are remembered.
const KEYS: usize = 1_024;
/// How many bytes of answers are kept; older ones are forgotten, their keys are not.
const BYTES: usize = 8 * 1024 * 1024;
/// How many requests wait for the same answer.
const WAITING: usize = 16;

/// What has to be done about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen<A> {
    /// Carry it out.
    Fresh,
    /// Nothing: it is being carried out, and will be answered with that.
    Joined,
    /// Say that it is being carried out, and that too many wait for its answer already.
    Crowded,
    /// Answer this again.
    Answered(A),
    /// Say that it was carried out, or interrupted, and that nobody knows any more how it ended.
    Forgotten,
    /// Say that the key belongs to another request.
    Misused,
}

#[derive(Debug)]
enum State<A> {
    Running(Vec<String>),
    Answered(A, usize),
    Forgotten,
}

#[derive(Debug)]
struct Entry<A> {
    fingerprint: String,
    /// When it began, or had its end.
    since: Moment,
    state: State<A>,
}

/// What a key is known by: its digest.
type Name = String;

/// The requests of the last minutes.
#[derive(Debug)]
pub(crate) struct Recent<A> {
    entries: BTreeMap<Name, Entry<A>>,
    /// Those of the entries, in the order of `since`.
    order: VecDeque<Name>,
    bytes: usize,
}

impl<A> Default for Recent<A> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            order: VecDeque::new(),
            bytes: 0,
        }
    }
}

impl<A: Clone> Recent<A> {
    /// Takes a request. `id` is what its answer is known by, `fingerprint` what it asks for.
    pub(crate) fn begin(&mut self, key: &str, id: &str, fingerprint: &str, now: Moment) -> Seen<A> {
        self.forget_old(now);
        let name = name(key);
        if let Some(entry) = self.entries.get_mut(&name) {
            if entry.fingerprint != fingerprint {
                return Seen::Misused;
            }
            return match &mut entry.state {
                State::Running(ids) if ids.len() >= WAITING => Seen::Crowded,
                State::Running(ids) => {
                    ids.push(id.to_owned());
                    Seen::Joined
                }
                State::Answered(answer, _) => Seen::Answered(answer.clone()),
                State::Forgotten => Seen::Forgotten,
            };
        }
        self.order.push_back(name.clone());
        self.entries.insert(
            name,
            Entry {
                fingerprint: fingerprint.to_owned(),
                since: now,
                state: State::Running(vec![id.to_owned()]),
            },
        );
        Seen::Fresh
    }

    /// Keeps the answer of a request, and says which ids wait for it.
    pub(crate) fn finish(&mut self, key: &str, answer: A, size: usize, now: Moment) -> Vec<String> {
        let ids = self.end(key, State::Answered(answer, size), now);
        self.bytes += size;
        self.forget_answers();
        ids
    }

    /// Takes back a request that was begun and is not carried out: it may be made again.
    pub(crate) fn withdraw(&mut self, key: &str) {
        let name = name(key);
        self.entries.remove(&name);
        self.order.retain(|other| *other != name);
    }

    /// Remembers that a request will have no answer.
    pub(crate) fn interrupt(&mut self, key: &str, now: Moment) {
        self.end(key, State::Forgotten, now);
    }

    /// Takes back that an id waits for the answer of a request. Says whether it was the last one.
    pub(crate) fn stop_waiting(&mut self, key: &str, id: &str) -> bool {
        match self
            .entries
            .get_mut(&name(key))
            .map(|entry| &mut entry.state)
        {
            Some(State::Running(ids)) => {
                let before = ids.len();
                ids.retain(|other| other != id);
                ids.len() < before && ids.is_empty()
            }
            Some(State::Answered(..) | State::Forgotten) | None => false,
        }
    }

    /// Forgets who waits for answers: whoever asked them cannot hear any more. The answers are kept for those who ask again.
    pub(crate) fn forget_waiting(&mut self) {
        for entry in self.entries.values_mut() {
            if let State::Running(ids) = &mut entry.state {
                ids.clear();
            }
        }
    }

    /// Ends what is being carried out, and says who waited for it. From here on its time counts: whoever lost an answer that took long
    /// is to have as long to ask for it as others.
    fn end(&mut self, key: &str, end: State<A>, now: Moment) -> Vec<String> {
        let name = name(key);
        let entry = self.entries.get_mut(&name);
        let entry = entry.expect("what runs is not forgotten");
        let State::Running(ids) = std::mem::replace(&mut entry.state, end) else {
            unreachable!("a request ends once")
        };
        entry.since = now;
        self.order.retain(|other| *other != name);
        self.order.push_back(name);
        ids
    }

    /// Makes room for one more. What is being carried out stays, whatever its age.
    fn forget_old(&mut self, now: Moment) {
        let mut surplus = (self.order.len() + 1).saturating_sub(KEYS);
        let mut at = 0;
        while let Some(entry) = self.order.get(at).and_then(|name| self.entries.get(name)) {
            if surplus == 0 && now.since(entry.since) <= WINDOW {
                return;
            }
            if matches!(entry.state, State::Running(_)) {
                at += 1;
                continue;
            }
            let forgotten = self
                .order
                .remove(at)
                .and_then(|name| self.entries.remove(&name));
            if let Some(State::Answered(_, size)) = forgotten.map(|entry| entry.state) {
                self.bytes -= size;
            }
            surplus = surplus.saturating_sub(1);
        }
    }

    fn forget_answers(&mut self) {
        for name in &self.order {
            if self.bytes <= BYTES {
                return;
            }
            if let Some(entry) = self.entries.get_mut(name)
                && let State::Answered(_, size) = entry.state
            {
                self.bytes -= size;
                entry.state = State::Forgotten;
            }
        }
    }
}

fn name(key: &str) -> Name {
    digest::hex(key.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_key_is_carried_out_once() {
        let now = Moment::now();
        let mut recent = Recent::default();
        assert_eq!(recent.begin("k", "1", "run a", now), Seen::Fresh);
        assert_eq!(recent.begin("k", "2", "run a", now), Seen::Joined);
        assert_eq!(recent.begin("k", "3", "run b", now), Seen::Misused);
        assert_eq!(recent.finish("k", "done", 4, now), ["1", "2"]);
        assert_eq!(recent.begin("k", "4", "run a", now), Seen::Answered("done"));
        assert_eq!(
            recent.begin("k", "5", "run a", now + WINDOW),
            Seen::Answered("done")
        );
        let later = now + WINDOW + Duration::from_millis(1);
        assert_eq!(recent.begin("k", "6", "run a", later), Seen::Fresh);
    }

    #[test]
    fn what_was_interrupted_is_not_begun_again() {
        let now = Moment::now();
        let mut recent = Recent::<&str>::default();
        recent.begin("k", "1", "f", now);
        recent.interrupt("k", now);
        assert_eq!(recent.begin("k", "2", "f", now), Seen::Forgotten);
    }

    #[test]
    fn answers_and_keys_are_bounded() {
        let now = Moment::now();
        let mut recent = Recent::default();
        for number in 0..KEYS * 2 {
            let key = number.to_string();
            recent.begin(&key, "1", "f", now);
            recent.finish(&key, number, BYTES / 4, now);
        }
        assert!(recent.entries.len() <= KEYS && recent.order.len() <= KEYS);
        assert!(recent.bytes <= BYTES);
        let last = (KEYS * 2 - 1).to_string();
        assert_eq!(
            recent.begin(&last, "2", "f", now),
            Seen::Answered(KEYS * 2 - 1)
        );
        let earlier = (KEYS * 2 - 10).to_string();
        assert_eq!(recent.begin(&earlier, "2", "f", now), Seen::Forgotten);
    }

    #[test]
    fn the_bound_holds_while_the_oldest_runs() {
        let now = Moment::now();
        let mut recent = Recent::default();
        recent.begin("oldest", "1", "f", now);
        for number in 0..KEYS * 2 {
            let key = format!("{number}{}", "k".repeat(1_000));
            assert_eq!(recent.begin(&key, "1", "f", now), Seen::Fresh);
            recent.finish(&key, "denied", 0, now);
        }
        assert!(recent.entries.len() <= KEYS && recent.order.len() <= KEYS);
        assert!(recent.order.iter().all(|name| name.len() == 64));
        assert_eq!(recent.begin("oldest", "2", "f", now), Seen::Joined);
        // What is old is forgotten too, and what is younger than it is not.
        let later = now + WINDOW + Duration::from_millis(1);
        assert_eq!(recent.begin("new", "1", "f", later), Seen::Fresh);
        assert_eq!(recent.entries.len(), 2);
    }

    #[test]
    fn an_answer_that_took_long_is_kept_as_long_as_others() {
        let now = Moment::now();
        let mut recent = Recent::default();
        recent.begin("k", "1", "f", now);
        let end = now + WINDOW * 2;
        assert_eq!(recent.finish("k", "done", 4, end), ["1"]);
        assert_eq!(
            recent.begin("k", "2", "f", end + WINDOW),
            Seen::Answered("done")
        );
    }

    #[test]
    fn so_many_wait_for_one_answer_and_those_who_have_gone_do_not() {
        let now = Moment::now();
        let mut recent = Recent::default();
        recent.begin("k", "0", "f", now);
        for id in 1..WAITING {
            let id = id.to_string();
            assert_eq!(recent.begin("k", &id, "f", now), Seen::Joined);
        }
        assert_eq!(recent.begin("k", "more", "f", now), Seen::Crowded);
        recent.forget_waiting();
        assert_eq!(recent.begin("k", "again", "f", now), Seen::Joined);
        assert_eq!(recent.begin("k", "another", "f", now), Seen::Joined);
        assert!(!recent.stop_waiting("k", "0"));
        assert!(!recent.stop_waiting("k", "another"));
        assert_eq!(recent.finish("k", "done", 4, now), ["again"]);
        recent.begin("other", "1", "f", now);
        assert!(recent.stop_waiting("other", "1"));
    }
}
