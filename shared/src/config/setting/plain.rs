//! The other plain values, and what holds several.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;

use super::{Setting, Walk};
use crate::config::model::Shape;
use crate::config::path::Step;
use crate::secret::Secret;

impl Setting for f64 {
    fn read(value: &Value, walk: &mut Walk<'_>) -> Option<Self> {
        value.as_f64().or_else(|| walk.expected("a number", value))
    }

    fn shape() -> Shape {
        Shape::Number
    }
}

impl Setting for bool {
    fn read(value: &Value, walk: &mut Walk<'_>) -> Option<Self> {
        value.as_bool().or_else(|| {
            let quoted = matches!(value.as_str(), Some("true" | "false"));
            let hint = quoted.then(|| "write it without quotes".to_owned());
            walk.expected_with("true or false", value, hint)
        })
    }

    fn shape() -> Shape {
        Shape::Flag
    }
}

impl Setting for String {
    fn read(value: &Value, walk: &mut Walk<'_>) -> Option<Self> {
        value
            .as_str()
            .map(str::to_owned)
            .or_else(|| walk.expected("a string", value))
    }

    fn shape() -> Shape {
        Shape::Text
    }
}

impl Setting for Secret<String> {
    fn read(value: &Value, walk: &mut Walk<'_>) -> Option<Self> {
        String::read(value, walk).map(Secret::new)
    }

    fn shape() -> Shape {
        Shape::Secret
    }
}

impl Setting for IpAddr {
    fn read(value: &Value, walk: &mut Walk<'_>) -> Option<Self> {
        let read = value.as_str().and_then(|text| text.parse().ok());
        read.or_else(|| walk.expected("an IP address", value))
    }

    fn shape() -> Shape {
        Shape::Text
    }
}

impl<T: Setting> Setting for Option<T> {
    fn read(value: &Value, walk: &mut Walk<'_>) -> Option<Self> {
        T::read(value, walk).map(Some)
    }

    fn shape() -> Shape {
        T::shape()
    }
}

impl<T: Setting> Setting for Box<T> {
    fn read(value: &Value, walk: &mut Walk<'_>) -> Option<Self> {
        T::read(value, walk).map(Box::new)
    }

    fn shape() -> Shape {
        T::shape()
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn read(value: &Value, walk: &mut Walk<'_>) -> Option<Self> {
        let Some(elements) = value.as_array() else {
            return walk.expected("an array", value);
        };
        // Every element is read before the first failure counts, so that all of them are reported.
        let read: Vec<Option<T>> = elements
            .iter()
            .enumerate()
            .map(|(index, element)| walk.below(Step::Index(index), element))
            .collect();
        read.into_iter().collect()
    }

    fn shape() -> Shape {
        Shape::List(Box::new(T::shape()))
    }
}

impl<T: Setting> Setting for BTreeMap<String, T> {
    fn read(value: &Value, walk: &mut Walk<'_>) -> Option<Self> {
        let members = walk.object(value)?;
        let read: Vec<(String, Option<T>)> = members
            .iter()
            .map(|(key, member)| (key.clone(), walk.below(Step::Key(key.clone()), member)))
            .collect();
        read.into_iter()
            .map(|(key, member)| Some((key, member?)))
            .collect()
    }

    fn shape() -> Shape {
        Shape::Map(Box::new(T::shape()))
    }
}
