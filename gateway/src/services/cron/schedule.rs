//! When a job is due.  (pure)
//!
//! Times are points on the time line of the world. A calendar is asked only for expressions, in the zone that the job names or
//! the machine is in: when the clocks go forward, what was due at an hour that is left out is due right after it; when they go back, what is due
//! at one hour of the day is due in the first of the two, and what is due every so often goes on through both.

use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use openclaw_shared::protocol::params::cron::CronSchedule;

/// Reads an expression of five fields, or of six that begin with the seconds.
pub(crate) fn expression(text: &str) -> Result<Cron, CronError> {
    let parser = CronParser::builder().seconds(Seconds::Optional).build();
    parser.parse(text.trim())
}

/// The zone that a job names; the machine's when it names none, or one that is not known here any more.
pub(crate) fn zone(name: Option<&str>, local: &TimeZone) -> TimeZone {
    let named = name.map(str::trim).filter(|name| !name.is_empty());
    named
        .and_then(|name| TimeZone::get(name).ok())
        .unwrap_or_else(|| local.clone())
}

/// The first time after `after` at which something is due, in milliseconds since the epoch like everything here. `made` is when the
/// job was. None when there is no such time.
pub(crate) fn next(
    schedule: &CronSchedule,
    made: u64,
    after: u64,
    local: &TimeZone,
) -> Option<u64> {
    match schedule {
        CronSchedule::At { at_ms } => {
            let at = at_ms.get_unsigned();
            (at > after).then_some(at)
        }
        CronSchedule::Every {
            every_ms,
            anchor_ms,
        } => {
            let anchor = anchor_ms.map_or(made, |anchor| anchor.get_unsigned());
            every(every_ms.get_unsigned(), anchor, after)
        }
        CronSchedule::Cron { expr, tz } => by_calendar(expr, &zone(tz.as_deref(), local), after),
    }
}

/// The first point after `after` of those at even distances from the anchor on.
fn every(distance: u64, anchor: u64, after: u64) -> Option<u64> {
    if anchor > after {
        return Some(anchor);
    }
    let steps = ((after - anchor) / distance.max(1)).checked_add(1)?;
    anchor.checked_add(steps.checked_mul(distance.max(1))?)
}

fn by_calendar(text: &str, zone: &TimeZone, after: u64) -> Option<u64> {
    let cron = expression(text).ok()?;
    let after = Timestamp::from_millisecond(i64::try_from(after).ok()?).ok()?;
    // An expression that names days which do not exist has no next time.
    let next = cron
        .find_next_occurrence(&after.to_zoned(zone.clone()), false)
        .ok()?;
    u64::try_from(next.timestamp().as_millisecond()).ok()
}

#[cfg(test)]
mod tests;
