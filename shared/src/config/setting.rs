//! How plain values become typed settings, with every mistake named and none ending the walk.
//!
//! A section declares its keys once, with [`section!`]: the key, the field, the type, the default. The same
//! declaration reads it, knows which keys are unknown and proposes the nearest known one. The types are
//! strict where JavaScript is not: a number is not a string, null and an array are not an object; a float
//! without a fraction counts as an integer.

use serde_json::Value;

use super::model::Shape;

mod plain;
mod size;
mod untyped;
mod walk;
mod whole;

pub use size::MemoryBound;
pub use untyped::{Block, Untyped};
pub(crate) use walk::{UNKNOWN_KEY, Walk};
pub use whole::Whole;

/// A type that a value of the configuration can be read into.
pub(crate) trait Setting: Sized {
    /// Reads a value, or reports to the walk why it cannot be read.
    fn read(value: &Value, walk: &mut Walk<'_>) -> Option<Self>;

    /// What values it takes, for everything that describes the configuration.
    fn shape() -> Shape;
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
                    walk.expected_word(&what, value, Self::WORDS)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::num::NonZeroU16;

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
            (
                json!("18789"),
                "the string \"18789\"; write it without quotes",
            ),
            (
                json!("5s"),
                "the string \"5s\"; write the number alone, without a unit and without quotes",
            ),
            (json!("x"), "the string \"x\""),
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
            "expected true or false, found the string \"true\"; write it without quotes",
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
}
