//! How often a child may fail, as Erlang/OTP defines it: at most so many times in a window, then the failure escalates. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use openclaw_shared::backoff::Backoff;
use openclaw_shared::clock::Moment;

mod kept;

/// The limits of restarting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Failures within `window` that are answered by a restart.
    pub(crate) restarts: usize,
    /// The window. A child that outlives it starts with a clean slate.
    pub(crate) window: Duration,
    /// The wait before the second restart in the window and those after it.
    pub(crate) backoff: Backoff,
}

/// The failures of one child within the window.
#[derive(Debug, Clone)]
pub(crate) struct Intensity {
    limits: Limits,
    failures: VecDeque<Moment>,
}

/// What a failure leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Start again at once: the first failure after a healthy period.
    Now,
    /// Start again after a wait.
    After(Duration),
    /// Too often.
    Escalate,
}

impl Intensity {
    pub(crate) const fn new(limits: Limits) -> Self {
        Self {
            limits,
            failures: VecDeque::new(),
        }
    }

    /// Counts a failure at `now`. `jitter` is a number from 0 to 1.
    #[must_use]
    pub(crate) fn failed(&mut self, now: Moment, jitter: f64) -> Verdict {
        while self
            .failures
            .front()
            .is_some_and(|first| now.since(*first) > self.limits.window)
        {
            self.failures.pop_front();
        }
        if self.failures.len() >= self.limits.restarts {
            return Verdict::Escalate;
        }
        self.failures.push_back(now);
        match u32::try_from(self.failures.len()).unwrap_or(u32::MAX) {
            1 => Verdict::Now,
            failures => Verdict::After(self.limits.backoff.delay(failures - 1, jitter)),
        }
    }

    /// Forgets every failure, because the operator asked for a start.
    pub(crate) fn forgive(&mut self) {
        self.failures.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use openclaw_shared::backoff::Backoff;
    use openclaw_shared::clock::Moment;
    use proptest::prelude::*;

    use super::{Intensity, Limits, Verdict};

    const LIMITS: Limits = Limits {
        restarts: 4,
        window: Duration::from_secs(60),
        backoff: Backoff {
            initial: Duration::from_millis(250),
            max: Duration::from_secs(10),
        },
    };

    #[test]
    fn rule_109_the_first_failure_restarts_at_once_and_the_fifth_in_a_window_escalates() {
        let start = Moment::now();
        let mut intensity = Intensity::new(LIMITS);
        let mut fail = |seconds| intensity.failed(start + Duration::from_secs(seconds), 0.0);
        assert_eq!(fail(0), Verdict::Now);
        assert_eq!(fail(1), Verdict::After(Duration::from_millis(250)));
        assert_eq!(fail(2), Verdict::After(Duration::from_millis(500)));
        assert_eq!(fail(3), Verdict::After(Duration::from_secs(1)));
        assert_eq!(fail(4), Verdict::Escalate);
        // The window slides: a minute later all but the last two have left it.
        assert_eq!(fail(62), Verdict::After(Duration::from_millis(500)));
        assert_eq!(fail(300), Verdict::Now);
    }

    proptest! {
        #[test]
        fn restarts_in_any_window_never_exceed_the_limit(
            gaps in prop::collection::vec(0_u64..40_000, 1..80),
        ) {
            let start = Moment::now();
            let mut intensity = Intensity::new(LIMITS);
            let mut at = 0;
            let mut restarted = Vec::new();
            for gap in gaps {
                at += gap;
                let verdict = intensity.failed(start + Duration::from_millis(at), 0.5);
                if verdict != Verdict::Escalate {
                    restarted.push(at);
                }
            }
            for (index, first) in restarted.iter().enumerate() {
                let within = restarted[index..].iter().filter(|at| *at - first <= 60_000).count();
                prop_assert!(within <= LIMITS.restarts);
            }
        }
    }
}
