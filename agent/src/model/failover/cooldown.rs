//! Keys that were refused, are used up or are not paid for are left alone for a while.  (pure)
//!
//! A cooldown never shuts anything out: it only puts a candidate behind those whose keys work.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openclaw_shared::clock::WallTime;

use crate::model::ModelErrorKind;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
/// How long a key rests after its first failure, and how much longer after each further one.
const FIRST: Duration = MINUTE;
const GROWTH: u32 = 5;
/// The longest rest of a key that is paid for.
const LONGEST: Duration = HOUR;
/// Nobody means a longer rest; whoever finds one has a clock that was set.
const LONGEST_OF_ALL: Duration = HOUR.saturating_mul(24 * 31);

/// How long keys of a provider rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestRules {
    /// After a provider has said for the first time that nothing is paid for; twice as long after each further time.
    pub unpaid: Duration,
    /// The longest of these rests.
    pub longest_unpaid: Duration,
    /// After so long without a failure the next one is a first one.
    pub window: Duration,
}

impl Default for RestRules {
    fn default() -> Self {
        Self {
            unpaid: HOUR.saturating_mul(5),
            longest_unpaid: HOUR.saturating_mul(24),
            window: HOUR.saturating_mul(24),
        }
    }
}

/// A rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    /// Until when the key rests.
    pub until: WallTime,
    /// How often it has failed.
    pub failures: u32,
    /// Whether that is because nothing is paid for.
    pub is_unpaid: bool,
    /// When it failed last.
    pub failed: WallTime,
}

impl Rest {
    /// Whether it says anything about the next failure.
    #[must_use]
    pub fn is_forgotten(&self, now: WallTime, window: Duration) -> bool {
        now >= self.until && now.since(self.failed) > window
    }
}

/// Which keys rest, and until when.
#[derive(Debug, Clone, Default)]
pub struct Cooldowns {
    rests: BTreeMap<String, Rest>,
    /// Keys of which something has changed since [`Cooldowns::take_changes`].
    changed: BTreeSet<String>,
}

impl Cooldowns {
    /// Until when a key rests, if it does.
    #[must_use]
    pub fn until(&self, now: WallTime, key: &str) -> Option<WallTime> {
        let until = self.rests.get(key)?.until;
        (until > now && until.since(now) <= LONGEST_OF_ALL).then_some(until)
    }

    /// A key has worked.
    pub fn worked(&mut self, key: &str) {
        if self.rests.remove(key).is_some() {
            self.changed.insert(key.to_owned());
        }
    }

    /// Something went wrong with a key; only some of it is the key's fault.
    pub fn failed(&mut self, now: WallTime, rules: &RestRules, key: &str, kind: ModelErrorKind) {
        let (wish, is_unpaid) = match kind {
            ModelErrorKind::Auth => (None, false),
            ModelErrorKind::Unpaid => (None, true),
            ModelErrorKind::Limited(wish) => (wish, false),
            ModelErrorKind::Overloaded(_)
            | ModelErrorKind::Unreachable
            | ModelErrorKind::TimedOut
            | ModelErrorKind::BrokeOff
            | ModelErrorKind::Malformed
            | ModelErrorKind::TooLarge
            | ModelErrorKind::ContextFull
            | ModelErrorKind::Refused
            | ModelErrorKind::Unknown => return,
        };
        // Several runs that fail at once are one failure.
        if self.until(now, key).is_some() && wish.is_none() {
            return;
        }
        let before = self
            .rests
            .get(key)
            .filter(|rest| rest.is_unpaid == is_unpaid && !rest.is_forgotten(now, rules.window));
        let failures = before.map_or(0, |rest| rest.failures).saturating_add(1);
        let steps = failures.min(8) - 1;
        let length = if is_unpaid {
            let doubled = rules.unpaid.saturating_mul(2_u32.saturating_pow(steps));
            doubled.min(rules.longest_unpaid)
        } else {
            let usual = FIRST.saturating_mul(GROWTH.saturating_pow(steps));
            wish.unwrap_or(usual).min(LONGEST)
        };
        let rest = Rest {
            until: later(now, length),
            failures,
            is_unpaid,
            failed: now,
        };
        self.rests.insert(key.to_owned(), rest);
        self.changed.insert(key.to_owned());
    }

    /// What was known before. What has happened meanwhile counts.
    pub fn adopt(&mut self, known: impl IntoIterator<Item = (String, Rest)>) {
        for (key, rest) in known {
            if !self.changed.contains(&key) {
                self.rests.insert(key, rest);
            }
        }
    }

    /// What has changed, key by key; nothing stands for a rest that is over.
    pub fn take_changes(&mut self) -> Vec<(String, Option<Rest>)> {
        let changed = std::mem::take(&mut self.changed).into_iter();
        changed
            .map(|key| {
                let rest = self.rests.get(&key).copied();
                (key, rest)
            })
            .collect()
    }

    /// What could not be kept has still changed.
    pub fn put_back(&mut self, keys: impl IntoIterator<Item = String>) {
        self.changed.extend(keys);
    }
}

fn later(now: WallTime, length: Duration) -> WallTime {
    let millis = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    WallTime::from_millis(now.as_millis().saturating_add(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: WallTime = WallTime::from_millis(1_700_000_000_000);

    fn after(seconds: u64) -> WallTime {
        later(BEGIN, Duration::from_secs(seconds))
    }

    /// How long each of these failures makes a key rest, in seconds, when the next one comes as soon as the rest is over.
    fn rests(rules: &RestRules, kinds: &[ModelErrorKind]) -> Vec<u64> {
        let mut now = BEGIN;
        let mut cooldowns = Cooldowns::default();
        let rest = |kind: &ModelErrorKind| {
            cooldowns.failed(now, rules, "k", *kind);
            // A second run that fails meanwhile changes nothing.
            cooldowns.failed(now, rules, "k", ModelErrorKind::Auth);
            let until = cooldowns.until(now, "k").unwrap_or(now);
            assert_eq!(cooldowns.until(until, "k"), None);
            let length = until.since(now).as_secs();
            now = until;
            length
        };
        kinds.iter().map(rest).collect()
    }

    #[test]
    fn a_key_rests_longer_each_time_until_it_works() {
        let rules = RestRules::default();
        let refused = [ModelErrorKind::Auth; 5];
        assert_eq!(rests(&rules, &refused), [60, 300, 1_500, 3_600, 3_600]);
        let mut cooldowns = Cooldowns::default();
        cooldowns.failed(BEGIN, &rules, "k", ModelErrorKind::Auth);
        cooldowns.worked("k");
        assert_eq!(cooldowns.until(BEGIN, "k"), None);
        cooldowns.failed(BEGIN, &rules, "k", ModelErrorKind::Limited(None));
        assert_eq!(cooldowns.until(BEGIN, "k"), Some(after(60)));
    }

    #[test]
    fn what_is_not_paid_for_rests_for_hours() {
        let hours = |hours: u32| HOUR.saturating_mul(hours);
        let rules = RestRules::default();
        let unpaid = [ModelErrorKind::Unpaid; 4];
        assert_eq!(
            rests(&rules, &unpaid),
            [5, 10, 20, 24].map(|hours| hours * 3_600)
        );
        let own = RestRules {
            unpaid: hours(1),
            longest_unpaid: hours(3),
            window: hours(100),
        };
        assert_eq!(
            rests(&own, &unpaid),
            [1, 2, 3, 3].map(|hours| hours * 3_600)
        );
        // A refused key is another matter than an unpaid one.
        let mixed = [ModelErrorKind::Unpaid, ModelErrorKind::Auth];
        assert_eq!(rests(&own, &mixed), [3_600, 60]);
    }

    #[test]
    fn after_a_while_without_failures_the_next_one_is_the_first() {
        let rules = RestRules {
            window: Duration::from_secs(1_000),
            ..RestRules::default()
        };
        for (pause, rest) in [(1_000, 300), (1_001, 60)] {
            let mut cooldowns = Cooldowns::default();
            cooldowns.failed(BEGIN, &rules, "k", ModelErrorKind::Auth);
            cooldowns.failed(after(pause), &rules, "k", ModelErrorKind::Auth);
            assert_eq!(
                cooldowns.until(after(pause), "k"),
                Some(after(pause + rest)),
                "{pause}"
            );
        }
    }

    #[test]
    fn the_providers_own_wish_counts_and_other_failures_do_not() {
        let rules = RestRules::default();
        let wish = Some(Duration::from_secs(7));
        assert_eq!(rests(&rules, &[ModelErrorKind::Limited(wish)]), [7]);
        let mut cooldowns = Cooldowns::default();
        for kind in [
            ModelErrorKind::Overloaded(None),
            ModelErrorKind::Unreachable,
            ModelErrorKind::Refused,
            ModelErrorKind::TooLarge,
        ] {
            cooldowns.failed(BEGIN, &rules, "other", kind);
        }
        assert_eq!(cooldowns.until(BEGIN, "other"), None);
        assert!(cooldowns.take_changes().is_empty());
    }

    #[test]
    fn what_was_kept_is_known_again() {
        let rules = RestRules::default();
        let mut first = Cooldowns::default();
        first.failed(BEGIN, &rules, "k", ModelErrorKind::Unpaid);
        first.failed(BEGIN, &rules, "other", ModelErrorKind::Auth);
        first.worked("other");
        let changes = first.take_changes();
        assert_eq!((changes.len(), changes[1].1), (2, None));
        assert!(first.take_changes().is_empty());
        let kept = changes
            .into_iter()
            .filter_map(|(key, rest)| Some((key, rest?)));
        let kept: Vec<_> = kept.collect();
        let mut second = Cooldowns::default();
        second.adopt(kept.clone());
        assert_eq!(second.until(BEGIN, "k"), first.until(BEGIN, "k"));
        assert!(second.take_changes().is_empty(), "it is kept already");
        let mut third = Cooldowns::default();
        third.failed(BEGIN, &rules, "k", ModelErrorKind::Auth);
        third.adopt(kept.clone());
        assert_eq!(third.until(BEGIN, "k"), Some(after(60)));
        // A clock that was set back does not make a rest last for ever.
        let mut fourth = Cooldowns::default();
        fourth.adopt(kept);
        assert_eq!(fourth.until(WallTime::from_millis(1_000), "k"), None);
    }
}
