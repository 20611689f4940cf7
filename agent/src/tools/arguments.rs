//! What a model has written into a call.                                                          (pure)
//!
//! Models send numbers as texts, and leave out what they should not. What can only mean one thing is taken; everything else is told
//! to the model, which then knows better.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::tool::ToolError;

/// The arguments of one call of a tool.
pub(super) struct Arguments<'a> {
    tool: &'a str,
    given: &'a Map<String, Value>,
}

impl<'a> Arguments<'a> {
    pub(super) const fn new(tool: &'a str, given: &'a Map<String, Value>) -> Self {
        Self { tool, given }
    }

    /// The text under the first of these names that has one.
    pub(super) fn text(&self, names: &[&str]) -> Option<&'a str> {
        names
            .iter()
            .find_map(|name| self.given.get(*name)?.as_str())
    }

    /// The same, which has to be there; the error names the first.
    pub(super) fn required(&self, names: &[&str]) -> Result<&'a str, ToolError> {
        self.text(names)
            .ok_or_else(|| self.wrong(names[0], "must be given, as a text"))
    }

    /// A number of 0 or more.
    pub(super) fn number(&self, name: &str) -> Result<Option<f64>, ToolError> {
        let number = match self.given.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => None,
        };
        match number {
            Some(number) if number.is_finite() && number >= 0.0 => Ok(Some(number)),
            Some(_) | None => Err(self.wrong(name, "must be a number of 0 or more")),
        }
    }

    /// An integer of 0 or more.
    pub(super) fn integer(&self, name: &str) -> Result<Option<usize>, ToolError> {
        let number = self.number(name)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is not negative, and one that is too large becomes the largest"
        )]
        let integer = number.map(|number| number as usize);
        Ok(integer)
    }

    /// Whether it is switched on.
    pub(super) fn flag(&self, name: &str) -> bool {
        match self.given.get(name) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => text == "true",
            Some(Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_)) | None => {
                false
            }
        }
    }

    /// Texts by name.
    pub(super) fn texts(&self, name: &str) -> Result<BTreeMap<String, String>, ToolError> {
        let object = match self.given.get(name) {
            None | Some(Value::Null) => return Ok(BTreeMap::new()),
            Some(Value::Object(object)) => object,
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                return Err(self.wrong(name, "must be an object"));
            }
        };
        let read = object.iter().map(|(key, value)| match value {
            Value::String(text) => Ok((key.clone(), text.clone())),
            Value::Number(_) | Value::Bool(_) => Ok((key.clone(), value.to_string())),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                Err(self.wrong(&format!("{name}.{key}"), "must be a text"))
            }
        });
        read.collect()
    }

    /// An error about one argument.
    pub(super) fn wrong(&self, name: &str, what: &str) -> ToolError {
        ToolError(format!(
            "Validation failed for tool \"{}\":\n  - {name}: {what}",
            self.tool
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_can_mean_one_thing_only_is_taken() {
        let given = json!({"path": "a", "limit": "3", "offset": 2.0, "timeout": -1, "eof": "true",
            "env": {"A": 1, "B": "x", "C": true}, "odd": {"A": []}});
        let given = given.as_object().unwrap();
        let arguments = Arguments::new("t", given);
        assert_eq!(arguments.required(&["file_path", "path"]), Ok("a"));
        assert_eq!(arguments.integer("limit"), Ok(Some(3)));
        assert_eq!(arguments.integer("offset"), Ok(Some(2)));
        assert_eq!(arguments.integer("none"), Ok(None));
        assert!(arguments.flag("eof"));
        let env = arguments.texts("env").unwrap();
        assert_eq!(env.into_values().collect::<Vec<_>>(), ["1", "x", "true"]);
        let says = |error: ToolError| error.0;
        assert_eq!(
            says(arguments.required(&["command"]).unwrap_err()),
            "Validation failed for tool \"t\":\n  - command: must be given, as a text"
        );
        assert!(says(arguments.number("timeout").unwrap_err()).contains("timeout"));
        assert!(says(arguments.texts("odd").unwrap_err()).contains("odd.A"));
    }
}
