//! Exponential back-off with jitter. Pure: the random number is an argument.

use std::time::Duration;

/// How waiting grows from one failure to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub initial: Duration,
    /// The longest wait.
    pub max: Duration,
}

impl Backoff {
    /// The wait after `failures` failures in a row (1 is the first), at most a quarter shorter by `jitter`, a number from
    /// 0 to 1, so that several instances on one machine do not fail in step.
    #[must_use]
    pub fn delay(self, failures: u32, jitter: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(30);
        let full = self.initial.saturating_mul(1 << doublings).min(self.max);
        full.mul_f64(1.0 - 0.25 * jitter.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::Backoff;

    const BACKOFF: Backoff = Backoff {
        initial: Duration::from_millis(500),
        max: Duration::from_secs(30),
    };

    #[test]
    fn it_doubles_up_to_the_limit() {
        let delays: Vec<u128> = (1..=8)
            .map(|failures| BACKOFF.delay(failures, 0.0).as_millis())
            .collect();
        assert_eq!(delays, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
    }

    proptest! {
        #[test]
        fn it_stays_within_bounds(failures in any::<u32>(), jitter in -1.0..2.0_f64) {
            let delay = BACKOFF.delay(failures, jitter);
            prop_assert!(delay <= BACKOFF.max);
            prop_assert!(delay >= BACKOFF.initial.mul_f64(0.75));
        }
    }
}
