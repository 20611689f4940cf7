//! Keys that were refused or are used up are left alone for a while.  (pure)
//!
//! A cooldown never shuts anything out: it only puts a candidate behind those whose keys work.

use std::collections::BTreeMap;
use std::time::Duration;

use openclaw_shared::clock::Moment;

use crate::model::ModelErrorKind;

/// How long a key rests after its first failure, and how much longer after each further one.
const FIRST: Duration = Duration::from_secs(60);
const GROWTH: u32 = 5;
/// The longest rest.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Which keys rest, and until when.
#[derive(Debug, Clone, Default)]
pub struct Cooldowns(BTreeMap<String, Rest>);

#[derive(Debug, Clone, Copy)]
struct Rest {
    until: Moment,
    failures: u32,
}

impl Cooldowns {
    /// Whether a key rests.
    #[must_use]
    pub fn is_cooling(&self, now: Moment, key: &str) -> bool {
        self.0.get(key).is_some_and(|rest| rest.until > now)
    }

    /// A key has worked.
    pub fn worked(&mut self, key: &str) {
        self.0.remove(key);
    }

    /// Something went wrong with a key; only some of it is the key's fault.
    pub fn failed(&mut self, now: Moment, key: &str, kind: ModelErrorKind) {
        let wish = match kind {
            ModelErrorKind::Auth => None,
            ModelErrorKind::Limited(wish) => wish,
            ModelErrorKind::Overloaded(_)
            | ModelErrorKind::Unreachable
            | ModelErrorKind::TimedOut
            | ModelErrorKind::BrokeOff
            | ModelErrorKind::Malformed
            | ModelErrorKind::ContextFull
            | ModelErrorKind::Refused
            | ModelErrorKind::Unknown => return,
        };
        let before = self.0.get(key);
        // Several runs that fail at once are one failure.
        if before.is_some_and(|rest| rest.until > now && wish.is_none()) {
            return;
        }
        let failures = before.map_or(0, |rest| rest.failures).saturating_add(1);
        let usual = FIRST.saturating_mul(GROWTH.saturating_pow(failures.min(8) - 1));
        let rest = Rest {
            until: now + wish.unwrap_or(usual).min(LONGEST),
            failures,
        };
        self.0.insert(key.to_owned(), rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_rests_longer_each_time_until_it_works() {
        let mut now = Moment::now();
        let mut cooldowns = Cooldowns::default();
        for rest in [60, 300, 1_500, 3_600, 3_600] {
            cooldowns.failed(now, "k", ModelErrorKind::Auth);
            // A second run that fails meanwhile changes nothing.
            cooldowns.failed(now, "k", ModelErrorKind::Auth);
            assert!(cooldowns.is_cooling(now + Duration::from_secs(rest - 1), "k"));
            now = now + Duration::from_secs(rest);
            assert!(!cooldowns.is_cooling(now, "k"), "{rest}");
        }
        cooldowns.worked("k");
        cooldowns.failed(now, "k", ModelErrorKind::Limited(None));
        assert!(!cooldowns.is_cooling(now + Duration::from_secs(61), "k"));
    }

    #[test]
    fn the_providers_own_wish_counts_and_other_failures_do_not() {
        let now = Moment::now();
        let mut cooldowns = Cooldowns::default();
        let wish = Some(Duration::from_secs(7));
        cooldowns.failed(now, "k", ModelErrorKind::Limited(wish));
        assert!(cooldowns.is_cooling(now + Duration::from_secs(6), "k"));
        assert!(!cooldowns.is_cooling(now + Duration::from_secs(7), "k"));
        for kind in [
            ModelErrorKind::Overloaded(None),
            ModelErrorKind::Unreachable,
            ModelErrorKind::Refused,
        ] {
            cooldowns.failed(now, "other", kind);
        }
        assert!(!cooldowns.is_cooling(now, "other"));
    }
}
