//! Integers, with and without bounds.

use std::num::NonZeroU16;

use serde::Serialize;
use serde_json::Value;

use super::{Setting, Walk};
use crate::config::model::Shape;

/// An integer with bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Whole<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Whole<MIN, MAX> {
    /// Wraps a constant that lies within the bounds.
    pub const fn of(value: u64) -> Self {
        assert!(
            MIN <= value && value <= MAX,
            "a default lies within its bounds"
        );
        Self(value)
    }

    /// The integer.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl<const MIN: u64, const MAX: u64> Setting for Whole<MIN, MAX> {
    fn read(value: &Value, walk: &mut Walk<'_>) -> Option<Self> {
        integer(value)
            .filter(|number| (MIN..=MAX).contains(number))
            .map(Self)
            .or_else(|| not_one(walk, &format!("an integer from {MIN} to {MAX}"), value))
    }

    fn shape() -> Shape {
        Shape::Integer { min: MIN, max: MAX }
    }
}

/// A value as an integer that is not negative; a float counts when it has no fraction.
fn integer(value: &Value) -> Option<u64> {
    /// Above this a float no longer tells neighbouring integers apart.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    value.as_u64().or_else(|| {
        let float = value
            .as_f64()
            .filter(|f| f.fract() == 0.0 && (0.0..=EXACT).contains(f))?;
        #[expect(clippy::cast_possible_truncation, reason = "checked just above")]
        let exact = float as u64;
        Some(exact)
    })
}

/// Reports a value that is no such integer, with what is wrong about the ways in which people write one.
fn not_one<T>(walk: &mut Walk<'_>, what: &str, found: &Value) -> Option<T> {
    let hint = found.as_str().map(str::trim).and_then(|text| {
        let begins_as_one = text.starts_with(|c: char| c.is_ascii_digit());
        match (text.parse::<u64>(), begins_as_one) {
            (Ok(_), _) => Some("write it without quotes"),
            (Err(_), true) => Some("write the number alone, without a unit and without quotes"),
            (Err(_), false) => None,
        }
    });
    walk.expected_with(what, found, hint.map(str::to_owned))
}

impl Setting for NonZeroU16 {
    fn read(value: &Value, walk: &mut Walk<'_>) -> Option<Self> {
        let read = integer(value)
            .and_then(|n| u16::try_from(n).ok())
            .and_then(Self::new);
        read.or_else(|| not_one(walk, "an integer from 1 to 65535", value))
    }

    fn shape() -> Shape {
        Shape::Integer {
            min: 1,
            max: u16::MAX.into(),
        }
    }
}

impl Setting for u64 {
    fn read(value: &Value, walk: &mut Walk<'_>) -> Option<Self> {
        integer(value).or_else(|| not_one(walk, "an integer of 0 or more", value))
    }

    fn shape() -> Shape {
        Shape::Integer {
            min: 0,
            max: u64::MAX,
        }
    }
}

impl Setting for u32 {
    fn read(value: &Value, walk: &mut Walk<'_>) -> Option<Self> {
        let read = integer(value).and_then(|n| Self::try_from(n).ok());
        read.or_else(|| not_one(walk, "an integer from 0 to 4294967295", value))
    }

    fn shape() -> Shape {
        Shape::Integer {
            min: 0,
            max: Self::MAX.into(),
        }
    }
}
