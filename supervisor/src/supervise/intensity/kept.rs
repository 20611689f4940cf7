//! The failures of a child as they are handed over: by their age, because no two processes share a monotonic clock. Pure.

use std::time::Duration;

use openclaw_shared::clock::Moment;

use super::{Intensity, Limits};

impl Intensity {
    /// How long ago each failure of the window was, in milliseconds.
    pub(crate) fn ages(&self, now: Moment) -> Vec<u64> {
        let age = |failure: &Moment| now.since(*failure).as_millis();
        let ages = self.failures.iter().map(age);
        ages.map(|age| u64::try_from(age).unwrap_or(u64::MAX))
            .collect()
    }

    /// Goes on with failures of these ages.
    pub(crate) fn resume(limits: Limits, now: Moment, ages: &[u64]) -> Self {
        let failures = ages
            .iter()
            .map(|age| now.before(Duration::from_millis(*age)));
        Self {
            limits,
            failures: failures.collect(),
        }
    }
}
