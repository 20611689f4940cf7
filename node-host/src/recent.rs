//! Requests that were seen before: the same key is carried out once and answered each time.              (pure)
//!
//! Invariant: a key is never carried out twice while it is remembered, whether or not its answer is.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use openclaw_shared::clock::Moment;

/// How long a key is remembered.
const WINDOW: Duration = Duration::from_secs(600);
/// How many keys are remembered.
const KEYS: usize = 1_024;
/// How many bytes of answers are kept; older ones are forgotten, their keys are not.
const BYTES: usize = 8 * 1024 * 1024;

/// What has to be done about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen<A> {
    /// Carry it out.
    Fresh,
    /// Nothing: it is being carried out, and will be answered with that.
    Joined,
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
    since: Moment,
    state: State<A>,
}

/// The requests of the last minutes.
#[derive(Debug)]
pub(crate) struct Recent<A> {
    entries: BTreeMap<String, Entry<A>>,
    /// The keys, the oldest first.
    order: VecDeque<String>,
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
        if let Some(entry) = self.entries.get_mut(key) {
            if entry.fingerprint != fingerprint {
                return Seen::Misused;
            }
            return match &mut entry.state {
                State::Running(ids) => {
                    ids.push(id.to_owned());
                    Seen::Joined
                }
                State::Answered(answer, _) => Seen::Answered(answer.clone()),
                State::Forgotten => Seen::Forgotten,
            };
        }
        self.order.push_back(key.to_owned());
        self.entries.insert(
            key.to_owned(),
            Entry {
                fingerprint: fingerprint.to_owned(),
                since: now,
                state: State::Running(vec![id.to_owned()]),
            },
        );
        Seen::Fresh
    }

    /// Keeps the answer of a request, and says which ids wait for it.
    pub(crate) fn finish(&mut self, key: &str, answer: A, size: usize) -> Vec<String> {
        let Some(entry) = self.entries.get_mut(key) else {
            return Vec::new();
        };
        let ended = std::mem::replace(&mut entry.state, State::Answered(answer, size));
        self.bytes += size;
        self.forget_answers();
        match ended {
            State::Running(ids) => ids,
            State::Answered(..) | State::Forgotten => Vec::new(),
        }
    }

    /// Takes back a request that was begun and is not carried out: it may be made again.
    pub(crate) fn withdraw(&mut self, key: &str) {
        self.entries.remove(key);
        self.order.retain(|other| other != key);
    }

    /// Remembers that a request will have no answer.
    pub(crate) fn interrupt(&mut self, key: &str) {
        if let Some(entry) = self.entries.get_mut(key)
            && matches!(entry.state, State::Running(_))
        {
            entry.state = State::Forgotten;
        }
    }

    fn forget_old(&mut self, now: Moment) {
        let is_done = |entry: &Entry<A>| !matches!(entry.state, State::Running(_));
        while let Some(oldest) = self.order.front() {
            let too_many = self.order.len() >= KEYS;
            let gone = self.entries.get(oldest).is_none_or(|entry| {
                is_done(entry) && (too_many || now.since(entry.since) > WINDOW)
            });
            if !gone {
                return;
            }
            if let Some(Entry {
                state: State::Answered(_, size),
                ..
            }) = self
                .entries
                .remove(&self.order.pop_front().unwrap_or_default())
            {
                self.bytes -= size;
            }
        }
    }

    fn forget_answers(&mut self) {
        for key in &self.order {
            if self.bytes <= BYTES {
                return;
            }
            if let Some(entry) = self.entries.get_mut(key)
                && let State::Answered(_, size) = entry.state
            {
                self.bytes -= size;
                entry.state = State::Forgotten;
            }
        }
    }
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
        assert_eq!(recent.finish("k", "done", 4), ["1", "2"]);
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
        recent.interrupt("k");
        assert_eq!(recent.begin("k", "2", "f", now), Seen::Forgotten);
    }

    #[test]
    fn answers_and_keys_are_bounded() {
        let now = Moment::now();
        let mut recent = Recent::default();
        for number in 0..KEYS * 2 {
            let key = number.to_string();
            recent.begin(&key, "1", "f", now);
            recent.finish(&key, number, BYTES / 4);
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
}
