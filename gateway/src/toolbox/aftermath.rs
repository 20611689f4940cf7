//! What agents do among themselves when nobody waits any more: one tells another what came of its task, two go on answering each other.
//!
//! Invariant: it is bounded, and nothing waits for it. When this life ends it ends too; what was taken in as a run is in the
//! journal by then and is done by the next one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openclaw_shared::clock::Moment;
use tokio::sync::Semaphore;
use tokio::task::spawn_local;

/// How much of it goes on at one time.
const MOST: usize = 256;
/// How often one conversation writes to others in [`WHILE`], so that agents that answer each other without end come to one.
const MOST_SENDS: usize = 30;
const WHILE: Duration = Duration::from_secs(600);

/// Everything that goes on.
#[derive(Debug)]
pub(crate) struct Aftermath {
    places: Arc<Semaphore>,
    talk: Arc<Mutex<Talk>>,
}

/// Who talks to whom.
#[derive(Debug, Default)]
struct Talk {
    /// Pairs that answer each other.
    exchanges: BTreeSet<(String, String)>,
    /// When each conversation has written to others lately.
    sends: BTreeMap<String, VecDeque<Moment>>,
}

/// Two conversations that answer each other, until this is dropped.
#[derive(Debug)]
pub(crate) struct Exchange {
    talk: Arc<Mutex<Talk>>,
    pair: (String, String),
}

impl Drop for Exchange {
    fn drop(&mut self) {
        lock(&self.talk).exchanges.remove(&self.pair);
    }
}

fn lock(talk: &Mutex<Talk>) -> MutexGuard<'_, Talk> {
    // Each critical section leaves its value whole, so a poisoned lock is as good as any.
    talk.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Aftermath {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(MOST)),
            talk: Arc::default(),
        }
    }
}

impl Aftermath {
    /// Two conversations begin to answer each other; none when they do already.
    pub(crate) fn exchange(&self, one: &str, other: &str) -> Option<Exchange> {
        let (one, other) = (one.min(other).to_owned(), one.max(other).to_owned());
        let pair = (one, other);
        let is_new = lock(&self.talk).exchanges.insert(pair.clone());
        is_new.then(|| Exchange {
            talk: self.talk.clone(),
            pair,
        })
    }

    /// Whether a conversation may write to another one once more; that counts as written.
    pub(crate) fn may_send(&self, from: &str, now: Moment) -> bool {
        let mut talk = lock(&self.talk);
        talk.sends.retain(|_, sends| {
            while sends.front().is_some_and(|sent| now.since(*sent) >= WHILE) {
                sends.pop_front();
            }
            !sends.is_empty()
        });
        let sends = talk.sends.entry(from.to_owned()).or_default();
        let may = sends.len() < MOST_SENDS;
        if may {
            sends.push_back(now);
        }
        may
    }

    /// Begins something. Whether there was a place for it.
    #[must_use = "what has no place is not done"]
    pub(crate) fn begin(&self, work: impl Future<Output = ()> + 'static) -> bool {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return false;
        };
        // The task owns itself: it ends with its work or with the runtime, and a panic costs only itself.
        drop(spawn_local(async move {
            let _place = place;
            work.await;
        }));
        true
    }
}

#[cfg(test)]
mod tests {
    use openclaw_shared::clock::Moment;
    use tokio::sync::oneshot;

    use super::{Aftermath, MOST, MOST_SENDS, WHILE};

    #[test]
    fn two_answer_each_other_once_at_a_time_and_nobody_writes_without_end() {
        let aftermath = Aftermath::default();
        let first = aftermath.exchange("a", "b").unwrap();
        assert!(aftermath.exchange("b", "a").is_none());
        assert!(aftermath.exchange("a", "c").is_some());
        drop(first);
        assert!(aftermath.exchange("b", "a").is_some());
        let now = Moment::now();
        for _ in 0..MOST_SENDS {
            assert!(aftermath.may_send("a", now));
        }
        assert!(!aftermath.may_send("a", now));
        assert!(aftermath.may_send("b", now));
        assert!(aftermath.may_send("a", now + WHILE));
    }

    #[tokio::test(flavor = "local")]
    async fn it_is_bounded_and_places_come_back() {
        let aftermath = Aftermath::default();
        let (go, gone) = oneshot::channel::<()>();
        assert!(aftermath.begin(async move { drop(gone.await) }));
        for _ in 1..MOST {
            assert!(aftermath.begin(std::future::pending()));
        }
        assert!(!aftermath.begin(async {}));
        go.send(()).unwrap();
        while !aftermath.begin(async {}) {
            tokio::task::yield_now().await;
        }
    }
}
