//! Amounts of memory, written as people say them: `512MB`, `1.5 GB`, `2GiB`, or a number of bytes.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{Setting, Walk};
use crate::config::model::Shape;

/// The least bound that makes sense: no process of ours lives with less.
const LEAST: u64 = 1_000_000;

/// How much memory something may use, or that nobody minds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemoryBound(Option<u64>);

impl MemoryBound {
    /// No bound.
    pub const OFF: Self = Self(None);

    /// A bound of so many bytes.
    pub const fn of(bytes: u64) -> Self {
        Self(Some(bytes))
    }

    /// The bound in bytes, if there is one.
    pub const fn bytes(self) -> Option<u64> {
        self.0
    }
}

/// What it is to be.
const EXPECTED: &str = "an amount of memory of 1MB or more such as \"512MB\", or \"off\"";

impl FromStr for MemoryBound {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("off") {
            return Ok(Self::OFF);
        }
        let digits = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit: u64 = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kb" => 1_000,
            "m" | "mb" => 1_000_000,
            "g" | "gb" => 1_000_000_000,
            "kib" => 1 << 10,
            "mib" => 1 << 20,
            "gib" => 1 << 30,
            _ => return Err(EXPECTED),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.len() > 3 {
            return Err(EXPECTED);
        }
        let thousandths = format!("{whole}{fraction:0<3}")
            .parse::<u64>()
            .map_err(|_| EXPECTED)?;
        thousandths
            .checked_mul(unit)
            .map(|bytes| bytes / 1_000)
            .filter(|bytes| *bytes >= LEAST)
            .map(Self::of)
            .ok_or(EXPECTED)
    }
}

impl fmt::Display for MemoryBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(bytes) = self.0 else {
            return f.write_str("off");
        };
        let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "KB")];
        match units.into_iter().find(|(unit, _)| bytes % unit == 0) {
            Some((unit, name)) => write!(f, "{}{name}", bytes / unit),
            None => write!(f, "{bytes}"),
        }
    }
}

impl Serialize for MemoryBound {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Setting for MemoryBound {
    fn read(value: &Value, walk: &mut Walk<'_>) -> Option<Self> {
        let read = match value {
            Value::String(text) => text.parse().ok(),
            Value::Number(number) => number.to_string().parse().ok(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        read.or_else(|| walk.expected(EXPECTED, value))
    }

    fn shape() -> Shape {
        Shape::Text
    }
}

#[cfg(test)]
mod tests {
    use super::MemoryBound;

    #[test]
    fn amounts_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("512MB", 512_000_000),
            ("512 mb", 512_000_000),
            ("1.5GB", 1_500_000_000),
            ("2GiB", 2 << 30),
            ("1m", 1_000_000),
            ("536870912", 536_870_912),
        ] {
            assert_eq!(text.parse(), Ok(MemoryBound::of(bytes)), "{text}");
        }
        assert_eq!("off".parse(), Ok(MemoryBound::OFF));
        for text in [
            "",
            "MB",
            "-1MB",
            "1XB",
            "999",
            "1e9",
            "1.2.3MB",
            "99999999999999GB",
        ] {
            assert!(text.parse::<MemoryBound>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read() {
        for bound in [
            MemoryBound::OFF,
            MemoryBound::of(512_000_000),
            MemoryBound::of(2_000_000_000),
            MemoryBound::of((1 << 30) + 1),
        ] {
            assert_eq!(bound.to_string().parse(), Ok(bound));
        }
        assert_eq!(MemoryBound::of(512_000_000).to_string(), "512MB");
    }
}
