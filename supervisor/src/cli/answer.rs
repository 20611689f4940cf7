//! What is said to a gateway and what it answers. It is read leniently: `--url` may lead to a gateway of another version, and
//! what that leaves out is blank.

use openclaw_shared::clock::WallTime;
use serde_json::Value;

/// What commands want to know of an object in an answer.
pub(crate) trait Answer {
    /// A text, empty when there is none.
    fn text(&self, key: &str) -> String;
    /// A text, if there is one with content.
    fn some_text(&self, key: &str) -> Option<String>;
    /// The items of a list.
    fn items(&self, key: &str) -> &[Value];
    /// The texts in a list.
    fn texts(&self, key: &str) -> Vec<String>;
    /// Whether it is set.
    fn is_on(&self, key: &str) -> bool;
    /// A time.
    fn time(&self, key: &str) -> Option<WallTime>;
}

impl Answer for Value {
    fn text(&self, key: &str) -> String {
        self[key].as_str().unwrap_or_default().to_owned()
    }

    fn some_text(&self, key: &str) -> Option<String> {
        Some(self.text(key)).filter(|text| !text.trim().is_empty())
    }

    fn items(&self, key: &str) -> &[Value] {
        self[key].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    fn texts(&self, key: &str) -> Vec<String> {
        let texts = self.items(key).iter().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    }

    fn is_on(&self, key: &str) -> bool {
        self[key].as_bool() == Some(true)
    }

    fn time(&self, key: &str) -> Option<WallTime> {
        self[key].as_u64().map(WallTime::from_millis)
    }
}

/// The first characters of an id: enough to tell a few of them apart, and for commands to find it by.
pub(crate) fn short_id(id: &str) -> String {
    const SHOWN: usize = 12;
    // The ids of devices are 64 digits long; those of requests come in groups.
    match id.chars().count() {
        0..=SHOWN => id.to_owned(),
        _ => id.chars().take(SHOWN).collect(),
    }
}

/// Removes from parameters what was not given.
pub(crate) fn given(params: Value) -> Value {
    let Value::Object(map) = params else {
        return params;
    };
    let given = map.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(given.collect())
}
