//! How plain values become typed settings, with every mistake named and none ending the walk.
//!
//! A section declares its keys once, with [`section!`]: the key, the field, the type, the default. The same
//! declaration reads it, knows which keys are unknown and proposes the nearest known one. The types are
//! strict where JavaScript is not: a number is not a string, null and an array are not an object; a float
//! without a fraction counts as an integer.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::issue::Finding;
use super::model::Shape;
use super::path::{KeyPath, Step};
use super::sensitive;
use crate::secret::Secret;

/// A type that a value of the configuration can be read into.
pub(crate) trait Setting: Sized {
    /// Reads a value, or reports to the walk why it cannot be read.
    fn read(value: &Value, walk: &mut Walk<'_>) -> Option<Self>;

    /// What values it takes, for everything that describes the configuration.
    fn shape() -> Shape;
}

/// The walk through a configuration: where it stands and what it found.
#[derive(Debug)]
pub(crate) struct Walk<'r> {
    path: KeyPath,
    /// The configuration with its `${VAR}` references, so that a message shows the reference and never the
    /// variable's content.
    raw: Option<&'r Value>,
    findings: Vec<Finding>,
}

impl<'r> Walk<'r> {
    pub(crate) fn new(raw: Option<&'r Value>) -> Self {
        Self {
            path: KeyPath::root(),
            raw,
            findings: Vec::new(),
        }
    }

    pub(crate) fn into_findings(self) -> Vec<Finding> {
        self.findings
    }

    pub(crate) fn report(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Reads a value one step further down.
    pub(crate) fn below<T: Setting>(&mut self, step: Step, value: &Value) -> Option<T> {
        self.path.push(step);
        let read = T::read(value, self);
        self.path.pop();
        read
    }

    /// Reports that the value here is not what it should be.
    pub(crate) fn expected<T>(&mut self, what: &str, found: &Value) -> Option<T> {
        let found = self.describe(found);
        self.report(Finding::error(
            self.path.clone(),
            format!("expected {what}, found {found}"),
        ));
        None
    }

    /// The value as an object, or a report that it is none.
    pub(crate) fn object<'v>(&mut self, value: &'v Value) -> Option<&'v Map<String, Value>> {
        value
            .as_object()
            .or_else(|| self.expected("an object", value))
    }

    /// Warns about keys that are not known here, with the nearest known one if it is close.
    pub(crate) fn unknown_keys(&mut self, object: &Map<String, Value>, known: &[&str]) {
        for key in object.keys().filter(|key| !known.contains(&key.as_str())) {
            let finding = Finding::warning(
                self.path.key(key),
                "this key is not known; it is kept, but has no effect",
            );
            self.report(match nearest(key, known) {
                Some(name) => finding.hint(format!("did you mean \"{name}\"?")),
                None => finding,
            });
        }
    }

    /// A value as a message may show it.
    fn describe(&self, value: &Value) -> String {
        let hidden = sensitive::is_secret(&self.path);
        let shown = self
            .raw
            .and_then(|raw| self.path.find(raw))
            .unwrap_or(value);
        match shown {
            Value::Null => "null".to_owned(),
            Value::Array(_) => "an array".to_owned(),
            Value::Object(_) => "an object".to_owned(),
            Value::String(_) if hidden => "a string".to_owned(),
            Value::Number(_) if hidden => "a number".to_owned(),
            Value::Bool(flag) => flag.to_string(),
            Value::Number(number) => format!("the number {number}"),
            Value::String(text) => format!("the string {}", shortened(text)),
        }
    }
}

/// A string in quotes, cut when it is long.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", Value::from(&text[..end])),
        None => Value::from(text).to_string(),
    }
}

/// The known name that somebody who wrote `key` most likely meant.
pub(crate) fn nearest<'n>(key: &str, known: &[&'n str]) -> Option<&'n str> {
    let lower = key.to_lowercase();
    known
        .iter()
        .map(|name| {
            (
                strsim::damerau_levenshtein(&lower, &name.to_lowercase()),
                *name,
            )
        })
        .filter(|(distance, name)| {
            *distance <= (name.chars().count().min(lower.chars().count()) / 3).max(1)
        })
        .filter(|(distance, name)| *distance < name.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Declares a section: its keys, fields, types and defaults.
///
/// ```text
/// section! {
///     /// What the section is for.
///     pub struct Reload {
///         /// What the key means.
///         "debounceMs" => debounce_ms: u64 = 300;
///     }
/// }
/// ```
macro_rules! section {
    (
        $(#[doc = $doc:literal])+
        pub struct $name:ident {
            $( $(#[doc = $field_doc:literal])+ $key:literal => $field:ident : $type:ty = $default:expr; )*
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, ::serde::Serialize)]
        pub struct $name {
            $( $(#[doc = $field_doc])+ #[serde(rename = $key)] pub $field: $type, )*
        }

        impl $name {
            /// The keys this section knows.
            pub const KEYS: &[&str] = &[$($key),*];
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        impl $crate::config::setting::Setting for $name {
            fn read(
                value: &::serde_json::Value,
                walk: &mut $crate::config::setting::Walk<'_>,
            ) -> Option<Self> {
                let object = walk.object(value)?;
                let mut section = Self::default();
                $(
                    if let Some(value) = object.get($key) {
                        let step = $crate::config::path::Step::Key($key.to_owned());
                        if let Some(read) = walk.below(step, value) {
                            section.$field = read;
                        }
                    }
                )*
                walk.unknown_keys(object, Self::KEYS);
                Some(section)
            }

            fn shape() -> $crate::config::model::Shape {
                let section = Self::default();
                $crate::config::model::Shape::Section($crate::config::model::Section {
                    doc: concat!($($doc, "\n"),+),
                    fields: vec![$(
                        $crate::config::model::Field::new(
                            $key,
                            concat!($($field_doc, "\n"),+),
                            <$type as $crate::config::setting::Setting>::shape(),
                            &section.$field,
                        )
                    ),*],
                })
            }
        }
    };
}

/// Declares a setting that is one of a few words.
macro_rules! choice {
    (
        $(#[doc = $doc:literal])+
        pub enum $name:ident { $( $(#[doc = $variant_doc:literal])+ $variant:ident = $word:literal, )* }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ::serde::Serialize, ::serde::Deserialize)]
        pub enum $name {
            $( $(#[doc = $variant_doc])+ #[serde(rename = $word)] $variant, )*
        }

        impl $name {
            /// The words this setting can be, in the order they are documented.
            pub const WORDS: &[&str] = &[$($word),*];

            /// The word that stands for this choice in the configuration.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word, )* }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::config::setting::UnknownWord;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $( $word => Ok(Self::$variant), )*
                    _ => Err($crate::config::setting::UnknownWord { known: Self::WORDS }),
                }
            }
        }

        impl $crate::config::setting::Setting for $name {
            fn read(
                value: &::serde_json::Value,
                walk: &mut $crate::config::setting::Walk<'_>,
            ) -> Option<Self> {
                let read = value.as_str().and_then(|word| word.parse().ok());
                read.or_else(|| {
                    let what = $crate::config::setting::UnknownWord { known: Self::WORDS }.one_of();
                    walk.expected(&what, value)
                })
            }

            fn shape() -> $crate::config::model::Shape {
                $crate::config::model::Shape::Words(&[$(
                    $crate::config::model::Word { word: $word, doc: concat!($($variant_doc, "\n"),+) }
                ),*])
            }
        }
    };
}

pub(crate) use {choice, section};

/// A word that is none of those a setting knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {}", self.one_of())]
pub struct UnknownWord {
    pub(crate) known: &'static [&'static str],
}

impl UnknownWord {
    /// `one of "a", "b", "c"`.
    pub(crate) fn one_of(&self) -> String {
        let words: Vec<_> = self
            .known
            .iter()
            .map(|word| format!("\"{word}\""))
            .collect();
        format!("one of {}", words.join(", "))
    }
}

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
            .or_else(|| walk.expected(&format!("an integer from {MIN} to {MAX}"), value))
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

impl Setting for NonZeroU16 {
    fn read(value: &Value, walk: &mut Walk<'_>) -> Option<Self> {
        let read = integer(value)
            .and_then(|n| u16::try_from(n).ok())
            .and_then(Self::new);
        read.or_else(|| walk.expected("an integer from 1 to 65535", value))
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
        integer(value).or_else(|| walk.expected("an integer of 0 or more", value))
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
        read.or_else(|| walk.expected("an integer from 0 to 4294967295", value))
    }

    fn shape() -> Shape {
        Shape::Integer {
            min: 0,
            max: Self::MAX.into(),
        }
    }
}

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
        value
            .as_bool()
            .or_else(|| walk.expected("true or false", value))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check<T: Setting + std::fmt::Debug>(value: Value, expected: &str) {
        let mut walk = Walk::new(None);
        let outcome = match T::read(&value, &mut walk) {
            Some(read) => format!("{read:?}"),
            None => walk
                .into_findings()
                .into_iter()
                .map(|finding| finding.without_place().to_string())
                .collect::<Vec<_>>()
                .join(" | "),
        };
        assert_eq!(outcome, expected, "value {value}");
    }

    #[test]
    fn values_become_types_or_a_sentence() {
        check::<NonZeroU16>(json!(18789), "18789");
        check::<NonZeroU16>(json!(18789.0), "18789");
        for (wrong, found) in [
            (json!(0), "the number 0"),
            (json!(70000), "the number 70000"),
            (json!(-1), "the number -1"),
            (json!(1.5), "the number 1.5"),
            (json!(null), "null"),
            (json!("18789"), "the string \"18789\""),
            (json!([1]), "an array"),
            (json!(true), "true"),
        ] {
            check::<NonZeroU16>(
                wrong,
                &format!("expected an integer from 1 to 65535, found {found}"),
            );
        }
        check::<Whole<0, 5>>(json!(5), "Whole(5)");
        check::<Whole<0, 5>>(
            json!(6),
            "expected an integer from 0 to 5, found the number 6",
        );
        check::<bool>(
            json!("true"),
            "expected true or false, found the string \"true\"",
        );
        check::<String>(json!(1), "expected a string, found the number 1");
        check::<u64>(
            json!(1e300),
            "expected an integer of 0 or more, found the number 1e+300",
        );
        check::<Block>(json!([]), "expected an object, found an array");
        check::<Vec<bool>>(
            json!([1, true, "x"]),
            "[0]: expected true or false, found the number 1 | [2]: expected true or false, found the string \"x\"",
        );
        check::<BTreeMap<String, bool>>(
            json!({"a": true, "b.c": 1}),
            "[\"b.c\"]: expected true or false, found the number 1",
        );
    }

    #[test]
    fn a_message_shows_the_reference_and_hides_the_secret() {
        let effective = json!({"port": "hunter2", "token": 7});
        let raw = json!({"port": "${PW}", "token": 7});
        let mut walk = Walk::new(Some(&raw));
        walk.below::<NonZeroU16>(Step::Key("port".into()), &effective["port"]);
        walk.below::<String>(Step::Key("token".into()), &effective["token"]);
        let texts: Vec<_> = walk
            .into_findings()
            .into_iter()
            .map(|f| f.message)
            .collect();
        assert_eq!(
            texts,
            [
                "expected an integer from 1 to 65535, found the string \"${PW}\"",
                "expected a string, found a number"
            ]
        );
    }

    #[test]
    fn a_slip_of_the_pen_finds_the_key_that_was_meant() {
        let known = ["port", "bind", "mode", "customBindHost", "trustedProxies"];
        for (written, meant) in [
            ("prot", Some("port")),
            ("Port", Some("port")),
            ("custombindhost", Some("customBindHost")),
            ("trustedProxy", Some("trustedProxies")),
            ("wat", None),
            ("x", None),
        ] {
            assert_eq!(nearest(written, &known), meant, "{written}");
        }
    }
}
