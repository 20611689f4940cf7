//! What a file holds under keys that have no type yet: kept whole, and shown without its secrets.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::{Setting, Walk};
use crate::config::model::Shape;
use crate::config::sensitive;

/// Whatever the file holds under a key that has no type yet. Printed and serialised without its secrets.
#[derive(Clone, PartialEq)]
pub struct Untyped(Value);

impl Untyped {
    /// The plain value, secrets included.
    pub const fn expose(&self) -> &Value {
        &self.0
    }
}

impl Setting for Untyped {
    fn read(value: &Value, _: &mut Walk<'_>) -> Option<Self> {
        Some(Self(value.clone()))
    }

    fn shape() -> Shape {
        Shape::Any
    }
}

impl fmt::Debug for Untyped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", sensitive::redacted(&self.0))
    }
}

impl Serialize for Untyped {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        sensitive::redacted(&self.0).serialize(serializer)
    }
}

/// An object whose members have no type yet. Printed and serialised without its secrets.
#[derive(Clone, Default, PartialEq)]
pub struct Block(Map<String, Value>);

impl Block {
    /// The plain members, secrets included.
    pub const fn expose(&self) -> &Map<String, Value> {
        &self.0
    }
}

impl Setting for Block {
    fn read(value: &Value, walk: &mut Walk<'_>) -> Option<Self> {
        walk.object(value).cloned().map(Self)
    }

    fn shape() -> Shape {
        Shape::Block
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", sensitive::redacted(&Value::Object(self.0.clone())))
    }
}

impl Serialize for Block {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        sensitive::redacted(&Value::Object(self.0.clone())).serialize(serializer)
    }
}
