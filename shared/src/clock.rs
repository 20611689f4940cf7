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

mod zone;

pub use zone::local_zone;

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

    /// The point that lies this long ago, or as long ago as the clock knows.
    #[must_use]
    pub fn before(self, age: Duration) -> Self {
        Self(self.0.checked_sub(age).unwrap_or(self.0))
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
            .to_zoned(local_zone())
            .strftime("%Y-%m-%d")
            .to_string()
    }

    /// `07:12:07`, in the zone of the machine; for people at a terminal.
    #[must_use]
    pub fn local_time(self) -> String {
        self.timestamp()
            .to_zoned(local_zone())
            .strftime("%H:%M:%S")
            .to_string()
    }

    /// How a person in a time zone writes it. Without a zone, or with one that this machine does not know, it is the machine's own.
    #[must_use]
    pub fn in_zone(self, zone: Option<&str>) -> LocalTime {
        let zone = zone
            .and_then(|name| TimeZone::get(name).ok())
            .unwrap_or_else(local_zone);
        let zoned = self.timestamp().to_zoned(zone);
        let name = zoned.time_zone().iana_name().unwrap_or("UTC").to_owned();
        LocalTime {
            date: zoned.strftime("%Y-%m-%d").to_string(),
            weekday: zoned.strftime("%A").to_string(),
            time: zoned.strftime("%H:%M").to_string(),
            zone: name,
        }
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

    /// The last time, this moment included, that the clocks in the zone of the machine showed this hour.
    #[must_use]
    pub fn last_at_hour(self, hour: u8) -> Self {
        self.last_at_hour_in(hour, local_zone())
    }

    fn last_at_hour_in(self, hour: u8, zone: TimeZone) -> Self {
        let here = self.timestamp().to_zoned(zone);
        let at = |day: jiff::civil::Date| {
            let hour = i8::try_from(hour).unwrap_or_default();
            let time = jiff::civil::Time::new(hour, 0, 0, 0).unwrap_or_default();
            // Where the clocks skip the hour, it is the moment they go on from.
            let zoned = day
                .to_datetime(time)
                .to_zoned(here.time_zone().clone())
                .ok()?;
            u64::try_from(zoned.timestamp().as_millisecond())
                .ok()
                .map(Self)
        };
        let today = at(here.date()).filter(|today| *today <= self);
        let yesterday = || here.date().yesterday().ok().and_then(at);
        today.or_else(yesterday).unwrap_or_default()
    }

    /// The day so many days before, in the zone of the machine.
    #[must_use]
    pub fn local_date_before(self, days: u64) -> String {
        let date = self.timestamp().to_zoned(local_zone()).date();
        let span = jiff::Span::new().try_days(i64::try_from(days).unwrap_or(i64::MAX));
        let before = span.and_then(|span| date.checked_sub(span));
        before
            .unwrap_or(jiff::civil::Date::MIN.max(jiff::civil::Date::ZERO))
            .to_string()
    }

    fn timestamp(self) -> Timestamp {
        i64::try_from(self.0)
            .ok()
            .and_then(|millis| Timestamp::from_millisecond(millis).ok())
            .unwrap_or(Timestamp::MAX)
    }
}

/// A time as a person writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalTime {
    /// `2026-11-22`.
    pub date: String,
    /// `Sunday`.
    pub weekday: String,
    /// `07:12`.
    pub time: String,
    /// The IANA name of the zone, such as `Europe/Vienna`.
    pub zone: String,
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
    fn the_last_time_of_an_hour_is_found_across_midnight_and_clock_changes() {
        for (now, hour, expected) in [
            ("2026-11-22T03:00:00Z", 4, "2026-11-22T03:00:00.000Z"),
            ("2026-11-22T02:59:59Z", 4, "2026-11-21T03:00:00.000Z"),
            // The clocks skip two o'clock on this day.
            ("2026-03-29T10:00:00Z", 2, "2026-03-29T01:00:00.000Z"),
            ("2026-10-25T10:00:00Z", 4, "2026-10-25T03:00:00.000Z"),
        ] {
            let zone = jiff::tz::TimeZone::get("Europe/Vienna").unwrap();
            let now = WallTime::parse_iso8601(now).unwrap();
            assert_eq!(now.last_at_hour_in(hour, zone).to_rfc3339(), expected);
        }
    }

    #[test]
    fn an_absurd_time_does_not_panic() {
        assert!(
            !WallTime::from_millis(u64::MAX)
                .local_date_before(u64::MAX)
                .is_empty()
        );
        assert!(WallTime::from_millis(0).last_at_hour(4) <= WallTime::from_millis(0));
        assert!(
            WallTime::from_millis(u64::MAX)
                .to_rfc3339()
                .starts_with("9999")
        );
    }
}
