//! When a burst of changes is over.                                                    (pure)
//!
//! A file that is being written is left alone until it has not been touched for a while, and
//! what happens in quick succession makes one reload. Something that never comes to rest must
//! not keep a page from ever reloading, so there is an end to waiting.

use std::time::Duration;

use openclaw_shared::clock::Moment;

/// A file counts as written when nothing has touched it for this long.
pub(crate) const SETTLE: Duration = Duration::from_millis(75);
/// Changes closer together than this are one.
pub(crate) const DEBOUNCE: Duration = Duration::from_millis(75);
/// The longest time from the first change of a burst to its reload.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// What happened in the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Bytes were written, and more may come.
    Written,
    /// Something appeared as a whole, moved or went away.
    Moved,
}

/// The burst of changes under way, if any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Burst {
    /// Nothing has changed since the last reload.
    #[default]
    None,
    /// Something has; the reload is due when nothing more happens.
    Going { since: Moment, due: Moment },
}

impl Burst {
    /// Takes a change into account.
    pub(crate) fn on_change(&mut self, now: Moment, change: Change) {
        let quiet = match change {
            Change::Written => now + SETTLE + DEBOUNCE,
            Change::Moved => now + DEBOUNCE,
        };
        *self = match *self {
            Self::None => Self::Going {
                since: now,
                due: quiet,
            },
            Self::Going { since, due } => Self::Going {
                since,
                due: due.max(quiet).min(since + PATIENCE),
            },
        };
    }

    /// When to ask [`Burst::on_time`] next.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        match self {
            Self::None => None,
            Self::Going { due, .. } => Some(*due),
        }
    }

    /// Whether the burst is over, which it says once.
    #[must_use = "a reload that is not sent leaves a page out of date"]
    pub(crate) fn on_time(&mut self, now: Moment) -> bool {
        match *self {
            Self::Going { due, .. } if due <= now => {
                *self = Self::None;
                true
            }
            Self::Going { .. } | Self::None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Change::{Moved, Written};
    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// Plays changes at their times, and returns the times of the reloads.
    fn reloads(changes: &[(u64, Change)]) -> Vec<u64> {
        let start = Moment::now();
        let mut burst = Burst::default();
        let mut seen = Vec::new();
        let mut changes = changes.iter().peekable();
        loop {
            let due = burst.deadline().map(|due| due.since(start));
            match (changes.peek(), due) {
                (Some((at, change)), due) if due.is_none_or(|due| ms(*at) < due) => {
                    burst.on_change(start + ms(*at), *change);
                    changes.next();
                }
                (_, Some(due)) => {
                    assert!(
                        burst.on_time(start + due),
                        "the deadline is when it is over"
                    );
                    seen.push(u64::try_from(due.as_millis()).unwrap());
                }
                (_, None) => return seen,
            }
        }
    }

    #[test]
    fn a_change_makes_one_reload_after_it_has_settled() {
        assert_eq!(reloads(&[(0, Written)]), [150]);
        assert_eq!(reloads(&[(0, Moved)]), [75]);
        assert_eq!(reloads(&[(0, Written), (50, Written)]), [200]);
        assert_eq!(reloads(&[(0, Written), (10, Moved)]), [150]);
        assert_eq!(reloads(&[(0, Moved), (10, Written)]), [160]);
        assert_eq!(reloads(&[(0, Moved), (200, Moved)]), [75, 275]);
    }

    #[test]
    fn a_file_that_never_rests_does_not_wait_for_ever() {
        let log: Vec<_> = (0..60).map(|step| (step * 50, Written)).collect();
        assert_eq!(reloads(&log), [2000, 3100]);
    }

    proptest! {
        #[test]
        fn every_change_is_followed_by_a_reload_in_time(
            steps in prop::collection::vec((0u64..400, prop::bool::ANY), 1..40),
        ) {
            let mut at = 0;
            let changes: Vec<_> = steps.iter().map(|(step, written)| {
                at += step;
                (at, if *written { Written } else { Moved })
            }).collect();
            let reloads = reloads(&changes);
            prop_assert!(reloads.len() <= changes.len());
            for (at, _) in &changes {
                let next = reloads.iter().find(|reload| *reload >= at);
                prop_assert!(next.is_some_and(|reload| ms(reload - at) <= PATIENCE));
            }
        }
    }
}
