//! When a client is sent away because it is refused whatever it asks.                      (pure)
//!
//! Each refusal is cheap, but a client that gets nothing else has no use for its connection and may be looking for a hole, or for
//! a way to keep us busy. Anything that is granted starts the count over, and so does time.

use openclaw_shared::clock::Moment;

use crate::limits::{REFUSALS_FORGOTTEN_PER_SECOND, REFUSALS_IN_A_ROW};

/// The refusals of one connection since something was granted.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// How many count.
    count: u32,
    /// Up to when time has been taken off.
    since: Option<Moment>,
}

impl Refusals {
    /// Something was granted.
    pub(super) const fn forget(&mut self) {
        self.count = 0;
    }

    /// One more was refused. Whether that is enough.
    pub(super) fn one_more(&mut self, now: Moment) -> bool {
        let since = *self.since.get_or_insert(now);
        let seconds = u32::try_from(now.since(since).as_secs()).unwrap_or(u32::MAX);
        if seconds > 0 {
            let forgotten = seconds.saturating_mul(REFUSALS_FORGOTTEN_PER_SECOND);
            self.count = self.count.saturating_sub(forgotten);
            self.since = Some(now);
        }
        self.count = self.count.saturating_add(1);
        self.count >= REFUSALS_IN_A_ROW
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use openclaw_shared::clock::Moment;

    use super::Refusals;
    use crate::limits::{REFUSALS_FORGOTTEN_PER_SECOND, REFUSALS_IN_A_ROW};

    /// How many of these refusals it takes, so many milliseconds apart; none when that is never enough.
    fn enough(apart: u64) -> Option<u32> {
        let begin = Moment::now();
        let mut refusals = Refusals::default();
        (1..=100_000).find(|number| {
            let passed = Duration::from_millis(u64::from(*number) * apart);
            refusals.one_more(begin + passed)
        })
    }

    #[test]
    fn rule_70_a_flood_of_refusals_is_enough_and_a_trickle_never_is() {
        assert_eq!(enough(0), Some(REFUSALS_IN_A_ROW));
        assert!(enough(10).is_some());
        assert_eq!(
            enough(1_000 / u64::from(REFUSALS_FORGOTTEN_PER_SECOND)),
            None
        );
        assert_eq!(enough(5_000), None);
    }

    #[test]
    fn whatever_is_granted_starts_the_count_over() {
        let now = Moment::now();
        let mut refusals = Refusals::default();
        for _ in 0..10 {
            for _ in 1..REFUSALS_IN_A_ROW {
                assert!(!refusals.one_more(now));
            }
            refusals.forget();
        }
    }
}
