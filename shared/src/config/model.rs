//! What the configuration can say, as data: keys, what they mean, the values they take, their defaults.
//!
//! It is made from the declarations of the sections ([`super::setting`]), so that the schema, the hints for forms and the page of
//! documentation cannot differ from what is read.

use serde::Serialize;
use serde_json::Value;

use super::Config;
use super::setting::Setting as _;

/// What values a setting takes.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Any value.
    Any,
    /// A text.
    Text,
    /// A text that must not be shown.
    Secret,
    /// True or false.
    Flag,
    /// A number.
    Number,
    /// An integer between two bounds, both included.
    Integer {
        /// The least one.
        min: u64,
        /// The greatest one.
        max: u64,
    },
    /// One of a few words.
    Words(&'static [Word]),
    /// An array.
    List(Box<Shape>),
    /// An object with keys of the owner's choice.
    Map(Box<Shape>),
    /// An object whose keys are known, but not what they hold.
    Block,
    /// An object with these keys.
    Section(Section),
    /// An object with these keys, and others of the owner's choice.
    Open(Section, Box<Shape>),
}

impl Shape {
    /// The keys that are known of an object.
    #[must_use]
    pub const fn section(&self) -> Option<&Section> {
        if let Self::Section(section) | Self::Open(section, _) = self {
            Some(section)
        } else {
            None
        }
    }

    /// Whether it holds other values.
    #[must_use]
    pub const fn is_container(&self) -> bool {
        self.section().is_some() || matches!(self, Self::List(_) | Self::Map(_) | Self::Block)
    }
}

/// A word that a setting can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// The word.
    pub word: &'static str,
    /// What it means.
    pub doc: &'static str,
}

/// Keys that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// What they are about.
    pub doc: &'static str,
    /// The keys, in the order in which they are explained.
    pub fields: Vec<Field>,
}

/// One key.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name.
    pub key: &'static str,
    /// What it means; see [`sentence`].
    pub doc: &'static str,
    /// What it takes.
    pub shape: Shape,
    /// What counts when it is absent, if that is a value that could be written.
    pub default: Option<Value>,
}

impl Field {
    pub(crate) fn new(
        key: &'static str,
        doc: &'static str,
        shape: Shape,
        default: &impl Serialize,
    ) -> Self {
        let default = serde_json::to_value(default).unwrap_or_default();
        let is_nothing = match &default {
            Value::Null => true,
            Value::Array(elements) => elements.is_empty(),
            Value::Object(members) => members.is_empty(),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        };
        Self {
            key,
            doc,
            default: (shape.section().is_none() && !is_nothing).then_some(default),
            shape,
        }
    }
}

/// The whole configuration.
#[must_use]
pub fn root() -> Section {
    let shape = Config::shape();
    let section = shape.section();
    section
        .cloned()
        .expect("the configuration is declared as a section")
}

/// A doc comment as one line.
#[must_use]
pub fn sentence(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A place in the model: `agents.list[].id`, `browser.profiles.*.color`.
#[derive(Debug, Clone, PartialEq)]
pub struct Place<'m> {
    /// The dotted path, `[]` for every element and `*` for every key.
    pub path: String,
    /// The key that stands there.
    pub field: &'m Field,
}

/// Every key of a section and of all below it, each before those inside it.
#[must_use]
pub fn places<'m>(section: &'m Section, above: &str) -> Vec<Place<'m>> {
    let mut found = Vec::new();
    for field in &section.fields {
        let path = if above.is_empty() {
            field.key.to_owned()
        } else {
            format!("{above}.{}", field.key)
        };
        found.push(Place {
            path: path.clone(),
            field,
        });
        below(&field.shape, &path, &mut found);
    }
    found
}

fn below<'m>(shape: &'m Shape, path: &str, found: &mut Vec<Place<'m>>) {
    if let Some(section) = shape.section() {
        found.extend(places(section, path));
    } else if let Shape::List(element) = shape {
        below(element, &format!("{path}[]"), found);
    } else if let Shape::Map(member) = shape {
        below(member, &format!("{path}.*"), found);
    }
}

#[cfg(test)]
mod tests {
    use super::super::sensitive::is_secret;
    use super::{Shape, places, root};

    #[test]
    fn every_key_says_what_it_means() {
        let root = root();
        for place in places(&root, "") {
            assert!(!place.field.doc.trim().is_empty(), "{}", place.path);
        }
    }

    #[test]
    fn what_is_a_secret_by_type_is_one_by_name() {
        let root = root();
        let mut seen = 0;
        for place in places(&root, "") {
            if place.field.shape == Shape::Secret {
                let path = place.path.replace("[]", "[0]").replace(".*", ".x");
                assert!(is_secret(&path.parse().unwrap()), "{path}");
                seen += 1;
            }
        }
        assert!(seen > 5, "{seen}");
    }
}
