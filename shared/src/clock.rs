//! The only file that reads a clock.
//!
//! Cores take a [`Moment`] or a [`WallTime`] as an argument. Durations are measured with [`Moment`], which never jumps;
//! [`WallTime`] is for people and for the wire.

use std::ops::Add;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// A point in monotonic time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Instant);

impl Moment {
    /// Reads the monotonic clock.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the monotonic clock"
    )]
    pub fn now() -> Self {
        Self(Instant::now())
    }

    /// The time that passed since `earlier`, zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// The same point for `tokio::time::sleep_until`.
    #[must_use]
    pub fn into_std(self) -> Instant {
        self.0
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0 + duration)
    }
}

/// Milliseconds since the Unix epoch, as the protocol counts time.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(transparent)]
pub struct WallTime(u64);

impl WallTime {
    /// Reads the wall clock.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the wall clock"
    )]
    pub fn now() -> Self {
        Self::from(SystemTime::now())
    }

    /// From milliseconds since the epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The time that passed since `earlier`, zero when the clock was set back.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// `2026-11-22T07:12:07.274Z`.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        format!("{:.3}", self.timestamp())
    }

    /// `2026-11-22`, in the zone of the machine; names the log file of the day.
    #[must_use]
    pub fn local_date(self) -> String {
        self.timestamp()
            .to_zoned(TimeZone::system())
            .strftime("%Y-%m-%d")
            .to_string()
    }

    /// `07:12:07`, in the zone of the machine; for people at a terminal.
    #[must_use]
    pub fn local_time(self) -> String {
        self.timestamp()
            .to_zoned(TimeZone::system())
            .strftime("%H:%M:%S")
            .to_string()
    }

    /// Reads `2030-01-01T09:00:00+01:00`; without a zone it is UTC, and without a time the day begins.
    #[must_use]
    pub fn parse_iso8601(text: &str) -> Option<Self> {
        let utc = |text: &str| text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok();
        let timestamp = text
            .parse::<Timestamp>()
            .ok()
            .or_else(|| utc(text).map(|zoned| zoned.timestamp()))?;
        u64::try_from(timestamp.as_millisecond()).ok().map(Self)
    }

    fn timestamp(self) -> Timestamp {
        i64::try_from(self.0)
            .ok()
            .and_then(|millis| Timestamp::from_millisecond(millis).ok())
            .unwrap_or(Timestamp::MAX)
    }
}

/// Whether this machine knows a time zone, by its IANA name.
#[must_use]
pub fn is_time_zone(name: &str) -> bool {
    TimeZone::get(name).is_ok()
}

impl From<SystemTime> for WallTime {
    fn from(time: SystemTime) -> Self {
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::WallTime;

    #[test]
    fn wall_time_prints_as_the_wire_shows_it() {
        let time = WallTime::from_millis(1_795_331_527_274);
        assert_eq!(time.to_rfc3339(), "2026-11-22T07:12:07.274Z");
        assert_eq!(serde_json::to_string(&time).unwrap(), "1795331527274");
    }

    #[test]
    fn an_absurd_time_does_not_panic() {
        assert!(
            WallTime::from_millis(u64::MAX)
                .to_rfc3339()
                .starts_with("9999")
        );
    }
}
