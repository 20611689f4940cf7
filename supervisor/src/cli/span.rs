//! Spans of time as people write and read them.                                                        (pure)

use std::time::Duration;

use openclaw_shared::clock::WallTime;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Reads `500ms`, `30s`, `20m`, `1h`, `7d`, or several of them in a row; a number alone is milliseconds.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || {
        format!("Invalid duration {text:?} (use for example \"30s\", \"20m\", \"1h30m\" or \"7d\")")
    };
    let mut rest = text.trim();
    if let Ok(millis) = rest.parse::<u64>() {
        return Ok(Duration::from_millis(millis));
    }
    let mut total = 0_u64;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let unit = match unit.trim() {
            "ms" => 1,
            "s" => SECOND,
            "m" => MINUTE,
            "h" => HOUR,
            "d" => DAY,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let part = number.checked_mul(unit).ok_or_else(wrong)?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = after;
    }
    match total {
        0 => Err(wrong()),
        total => Ok(Duration::from_millis(total)),
    }
}

/// A span in its largest unit, rounded down: `3m`.
pub(crate) fn short(span: Duration) -> String {
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    match millis {
        0..SECOND => format!("{millis}ms"),
        SECOND..MINUTE => format!("{}s", millis / SECOND),
        MINUTE..HOUR => format!("{}m", millis / MINUTE),
        HOUR..DAY => format!("{}h", millis / HOUR),
        DAY.. => format!("{}d", millis / DAY),
    }
}

/// When something was, or will be: `3m ago`, `in 2h`.
pub(crate) fn relative(now: WallTime, then: WallTime) -> String {
    if then > now {
        return format!("in {}", short(then.since(now)));
    }
    match now.since(then) {
        just if just < Duration::from_secs(1) => "just now".to_owned(),
        span => format!("{} ago", short(span)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        for (text, millis) in [
            ("250", 250),
            ("500ms", 500),
            ("30s", 30_000),
            ("20m", 1_200_000),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for wrong in [
            "",
            "x",
            "m",
            "5 apples",
            "-1s",
            "0s",
            "99999999999999999999d",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn spans_are_shown_in_one_unit() {
        let now = WallTime::from_millis(1_000_000_000);
        let at = |offset: i64| WallTime::from_millis(now.as_millis().saturating_add_signed(offset));
        assert_eq!(relative(now, at(-500)), "just now");
        assert_eq!(relative(now, at(-90_000)), "1m ago");
        assert_eq!(relative(now, at(7_200_001)), "in 2h");
        assert_eq!(relative(now, at(-500_000_000)), "5d ago");
    }
}
