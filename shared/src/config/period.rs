//! A period as settings name it.                                                                          (pure)

use std::time::Duration;

/// Reads `30m`, `1.5h`, `90s`, `500ms`, `1d`; a bare number is minutes.
#[must_use]
pub fn period(text: &str) -> Option<Duration> {
    let text = text.trim().to_lowercase();
    let split = text
        .find(|letter: char| !(letter.is_ascii_digit() || letter == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit.trim() {
        "ms" => 0.001,
        "s" => 1.0,
        "" | "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_minutes_when_they_do_not_say() {
        for (text, millis) in [
            ("30m", Some(1_800_000)),
            ("45", Some(2_700_000)),
            (" 1.5H ", Some(5_400_000)),
            ("90s", Some(90_000)),
            ("500ms", Some(500)),
            ("1d", Some(86_400_000)),
            ("0m", Some(0)),
            ("", None),
            ("soon", None),
            ("1w", None),
            ("1.2.3m", None),
            ("99999999999999999999d", None),
        ] {
            assert_eq!(period(text), millis.map(Duration::from_millis), "{text}");
        }
    }
}
