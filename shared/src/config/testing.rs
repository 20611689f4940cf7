//! Generated values for the property tests of this module.

use proptest::prelude::*;
use serde_json::{Map, Value};

/// Names that collide often, and some that need quotes.
pub(crate) fn any_key() -> impl Strategy<Value = String> {
    prop_oneof![8 => "[a-d]", 1 => "[a-z]{1,5}", 1 => any::<String>()]
}

/// Scalars of every kind.
pub(crate) fn any_scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0u64..3).prop_map(Value::from),
        (-1e6f64..1e6).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ]
}

/// Objects of all of them.
pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    let nested = any_scalar().prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            3 => object_of(inner),
        ]
    });
    object_of(nested)
}

fn object_of(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop::collection::vec((any_key(), inner), 0..4)
        .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>()))
}

/// A JSON5 text and what it means, in as many spellings as there are: quotes or none, comments, blanks,
/// trailing commas, line ends.
pub(crate) fn any_document() -> impl Strategy<Value = (String, Value)> {
    (any_value(), prop::collection::vec(any::<u8>(), 1..64)).prop_map(|(value, choices)| {
        let mut writer = Writer {
            choices: choices.into_iter().cycle(),
            text: String::new(),
        };
        writer.gap();
        writer.value(&value);
        writer.gap();
        (writer.text, value)
    })
}

struct Writer<I> {
    choices: I,
    text: String,
}

impl<I: Iterator<Item = u8>> Writer<I> {
    fn choose(&mut self, count: u8) -> u8 {
        self.choices.next().map_or(0, |choice| choice % count)
    }

    fn gap(&mut self) {
        let gap = match self.choose(8) {
            0 => " ",
            1 => "\n  ",
            2 => "/* a, comment: { */",
            3 => " /* lines\n of it */\n",
            4 => "\t// until the end, }\n",
            5 => "\r\n",
            _ => "",
        };
        self.text.push_str(gap);
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Object(members) => {
                self.items('{', members.iter(), '}', |writer, (key, value)| {
                    writer.key(key);
                    writer.gap();
                    writer.text.push(':');
                    writer.gap();
                    writer.value(value);
                });
            }
            Value::Array(elements) => self.items('[', elements.iter(), ']', Self::value),
            Value::String(text) => self.string(text),
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                self.text.push_str(&value.to_string())
            }
        }
    }

    fn items<T>(
        &mut self,
        open: char,
        items: impl ExactSizeIterator<Item = T>,
        close: char,
        write: impl Fn(&mut Self, T),
    ) {
        self.text.push(open);
        self.gap();
        let last = items.len();
        for (position, item) in items.enumerate() {
            write(self, item);
            self.gap();
            if position + 1 < last || self.choose(2) == 0 {
                self.text.push(',');
                self.gap();
            }
        }
        self.text.push(close);
    }

    fn key(&mut self, key: &str) {
        if super::tree::is_identifier(key) && self.choose(2) == 0 {
            self.text.push_str(key);
        } else {
            self.string(key);
        }
    }

    fn string(&mut self, text: &str) {
        let escaped = Value::from(text).to_string();
        if self.choose(2) == 0 {
            self.text.push_str(&escaped);
        } else {
            let inside = escaped[1..escaped.len() - 1]
                .replace("\\\"", "\"")
                .replace('\'', "\\'");
            self.text.push_str(&format!("'{inside}'"));
        }
    }
}
