//! What differs from one recording to the next, and tells of the machine that records, in words that never change.
//!
//! The same identifier gets the same word wherever it appears, so that a later request still means what an earlier one made.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// A time that no clock shows; far enough from now that what is planned for it waits.
const TIME: u64 = 4_000_000_000_000;

/// The words that were given so far.
#[derive(Debug, Default)]
pub(crate) struct Words {
    uuids: BTreeMap<String, String>,
    hashes: BTreeMap<String, String>,
}

impl Words {
    /// The parameters of a request.
    pub(crate) fn params(&mut self, method: &str, params: &mut Value) {
        if method == "connect" {
            // Every connection has its own, and none of them means anything to another gateway.
            for (object, key, word) in [
                ("/client", "instanceId", json!("instance")),
                ("/device", "id", json!("0".repeat(64))),
                ("/device", "publicKey", json!("A".repeat(43))),
                ("/device", "signature", json!("A".repeat(86))),
                ("/device", "nonce", json!("nonce")),
                ("/auth", "token", json!("token")),
            ] {
                if let Some(Value::Object(object)) = params.pointer_mut(object)
                    && object.contains_key(key)
                {
                    object.insert(key.to_owned(), word);
                }
            }
        }
        self.value(params);
    }

    fn value(&mut self, value: &mut Value) {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|it| self.value(it)),
            Value::Object(object) => self.object(object),
            Value::Number(number) => {
                if number.as_f64().is_some_and(|it| it > 1e12) {
                    *value = json!(TIME);
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn object(&mut self, object: &mut Map<String, Value>) {
        for (key, value) in object {
            if key == "pathEnv" {
                // The search path of the machine that records is nobody's business.
                *value = json!("/usr/bin:/bin");
            } else {
                self.value(value);
            }
        }
    }

    /// Identifiers within a text; the same word for the same one.
    fn text(&mut self, text: &mut String) {
        let is_of_one = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
        let mut plain = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let length = rest.bytes().take_while(|byte| is_of_one(*byte)).count();
            let (word, behind) = rest.split_at(length);
            plain.push_str(&self.word(word));
            let other = behind.bytes().take_while(|byte| !is_of_one(*byte)).count();
            let (between, behind) = behind.split_at(other);
            plain.push_str(between);
            rest = behind;
        }
        *text = plain;
    }

    fn word(&mut self, word: &str) -> String {
        let bytes = word.as_bytes();
        let is_uuid = bytes.len() == 36
            && [8, 13, 18, 23]
                .iter()
                .all(|at| bytes.get(*at) == Some(&b'-'));
        if is_uuid {
            let number = self.uuids.len() + 1;
            let given = format!("00000000-0000-4000-8000-{number:012}");
            return (self.uuids.entry(word.to_owned()).or_insert(given)).clone();
        }
        // Zeros are what a client made up to be wrong.
        if bytes.len() == 64 && bytes.iter().any(|byte| *byte != b'0') {
            let number = self.hashes.len() + 1;
            let given = format!("{number:064x}");
            return (self.hashes.entry(word.to_owned()).or_insert(given)).clone();
        }
        word.to_owned()
    }
}
