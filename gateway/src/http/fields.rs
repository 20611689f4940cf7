//! Reading JSON that programs of many makes send, with a place and a reason for what does not fit.   (pure)

use serde_json::{Map, Value};

/// What does not fit, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {text}")]
pub(super) struct Misfit {
    pub(super) path: String,
    pub(super) text: String,
}

/// A value and where it stands; none when it is absent.
#[derive(Debug, Clone)]
pub(super) struct Field<'v> {
    path: String,
    value: Option<&'v Value>,
}

/// An object and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Object<'v> {
    path: String,
    members: &'v Map<String, Value>,
}

impl<'v> Object<'v> {
    /// A whole body.
    pub(super) const fn body(members: &'v Map<String, Value>) -> Self {
        Self {
            path: String::new(),
            members,
        }
    }

    /// One of its members.
    pub(super) fn get(&self, key: &str) -> Field<'v> {
        let path = if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        };
        Field {
            path,
            value: self.members.get(key),
        }
    }

    /// Whether it has a member that is not null.
    pub(super) fn has(&self, key: &str) -> bool {
        self.members.get(key).is_some_and(|value| !value.is_null())
    }

    /// Refuses members that are none of these.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Misfit> {
        let unknown: Vec<String> = self
            .members
            .keys()
            .filter(|key| !known.contains(&key.as_str()))
            .map(|key| format!("{:?}", shown(key)))
            .collect();
        let text = match unknown.as_slice() {
            [] => return Ok(()),
            [one] => format!("Unrecognized key: {one}"),
            several => format!("Unrecognized keys: {}", several.join(", ")),
        };
        Err(self.misfit(text))
    }

    pub(super) fn misfit(&self, text: impl Into<String>) -> Misfit {
        Misfit {
            path: self.path.clone(),
            text: text.into(),
        }
    }
}

impl<'v> Field<'v> {
    pub(super) const fn value(&self) -> Option<&'v Value> {
        self.value
    }

    pub(super) fn misfit(&self, text: impl Into<String>) -> Misfit {
        Misfit {
            path: self.path.clone(),
            text: text.into(),
        }
    }

    /// What was expected and what is there.
    pub(super) fn expected(&self, what: &str) -> Misfit {
        let found = match self.value {
            None => "undefined",
            Some(Value::Null) => "null",
            Some(Value::Bool(_)) => "boolean",
            Some(Value::Number(_)) => "number",
            Some(Value::String(_)) => "string",
            Some(Value::Array(_)) => "array",
            Some(Value::Object(_)) => "object",
        };
        self.misfit(format!("Invalid input: expected {what}, received {found}"))
    }

    /// The same, absent when it is null: many programs write what they leave out so.
    pub(super) fn or_null(self) -> Option<Self> {
        match self.value {
            None | Some(Value::Null) => None,
            Some(_) => Some(self),
        }
    }

    pub(super) fn text(&self) -> Result<&'v str, Misfit> {
        self.value
            .and_then(Value::as_str)
            .ok_or_else(|| self.expected("string"))
    }

    pub(super) fn flag(&self) -> Result<bool, Misfit> {
        self.value
            .and_then(Value::as_bool)
            .ok_or_else(|| self.expected("boolean"))
    }

    pub(super) fn object(&self) -> Result<Object<'v>, Misfit> {
        let members = self
            .value
            .and_then(Value::as_object)
            .ok_or_else(|| self.expected("object"))?;
        Ok(Object {
            path: self.path.clone(),
            members,
        })
    }

    pub(super) fn items(&self) -> Result<Vec<Self>, Misfit> {
        let items = self
            .value
            .and_then(Value::as_array)
            .ok_or_else(|| self.expected("array"))?;
        let item = |(index, value)| Self {
            path: format!("{}.{index}", self.path),
            value: Some(value),
        };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// A whole number above zero.
    pub(super) fn count(&self) -> Result<u64, Misfit> {
        let value = self.value.filter(|value| value.is_number());
        let value = value.ok_or_else(|| self.expected("number"))?;
        match value.as_u64() {
            Some(0) => Err(self.misfit("Too small: expected number to be >0")),
            Some(count) => Ok(count),
            None if value.as_f64().is_some_and(|number| number < 0.0) => {
                Err(self.misfit("Too small: expected number to be >0"))
            }
            None => Err(self.misfit("Invalid input: expected int, received number")),
        }
    }

    /// One of a few words.
    pub(super) fn word(&self, words: &[&'static str]) -> Result<&'static str, Misfit> {
        let found = self.value.and_then(Value::as_str);
        let known = words.iter().find(|word| Some(**word) == found);
        known.copied().ok_or_else(|| {
            let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
            self.misfit(format!(
                "Invalid option: expected one of {}",
                words.join("|")
            ))
        })
    }
}

/// A foreign name as far as it is worth repeating.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 64;
    text.chars()
        .filter(|letter| !letter.is_control())
        .take(LONGEST)
        .collect()
}
