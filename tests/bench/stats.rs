//! Medians and percentiles.

use std::time::Duration;

/// The middle of the values; `None` when there are none.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted.get(middle).copied()
    } else {
        Some(f64::midpoint(
            *sorted.get(middle.checked_sub(1)?)?,
            *sorted.get(middle)?,
        ))
    }
}

/// The duration that `per_mille` of all are not longer than (nearest rank).
pub(crate) fn percentile(mut durations: Vec<Duration>, per_mille: usize) -> Option<Duration> {
    durations.sort_unstable();
    let rank = (durations.len() * per_mille).div_ceil(1000);
    durations.get(rank.saturating_sub(1)).copied()
}

/// Milliseconds, with their fraction.
pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Microseconds, with their fraction.
pub(crate) fn us(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// A count as a number that can be averaged.
pub(crate) fn count(number: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
    let number = number as f64;
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middles() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let durations = |n: u64| (1..=n).map(Duration::from_millis).collect::<Vec<_>>();
        assert_eq!(
            percentile(durations(100), 990),
            Some(Duration::from_millis(99))
        );
        assert_eq!(
            percentile(durations(100), 500),
            Some(Duration::from_millis(50))
        );
        assert_eq!(
            percentile(durations(1), 990),
            Some(Duration::from_millis(1))
        );
        assert_eq!(percentile(Vec::new(), 990), None);
    }
}
