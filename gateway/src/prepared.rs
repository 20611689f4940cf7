//! Values that are serialised once and sent many times.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// The JSON of a `T`.
pub(crate) struct Prepared<T> {
    json: Bytes,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Prepared<T> {
    fn clone(&self) -> Self {
        Self {
            json: self.json.clone(),
            of: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Prepared<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Prepared({} bytes)", self.json.len())
    }
}

impl<T: Serialize> Prepared<T> {
    /// Serialises a value.
    pub(crate) fn new(value: &T) -> Self {
        let json =
            serde_json::to_vec(value).expect("wire types have string keys and no failing parts");
        Self {
            json: json.into(),
            of: PhantomData,
        }
    }
}

impl<T> Prepared<T> {
    /// What was serialised before.
    pub(crate) const fn of_json(json: Bytes) -> Self {
        Self {
            json,
            of: PhantomData,
        }
    }

    /// The JSON.
    pub(crate) const fn json(&self) -> &Bytes {
        &self.json
    }

    /// The JSON as a part of a larger value.
    pub(crate) fn raw(&self) -> Arc<RawValue> {
        let text = String::from_utf8(self.json.to_vec()).expect("serde_json writes UTF-8");
        RawValue::from_string(text)
            .expect("serde_json writes JSON")
            .into()
    }
}
