//! Edits of the main file's text: set a value, remove one, merge a patch.
//!
//! Each takes, beside the text, the effective configuration that the text leads to, if it leads to one. A new
//! value that equals the effective one leaves the text alone there: a `${VAR}` keeps standing for its value and an
//! include keeps supplying it, also when a client sends back a configuration in which both are resolved.

use serde_json::Value;

use super::draft::Draft;
use super::{EditError, describe};
use crate::config::path::{KeyPath, Step};

/// Keys that are refused in a change: in a JavaScript program they would reach beyond the object.
const FORBIDDEN: &[&str] = &["__proto__", "constructor", "prototype"];

/// The text with a value set. An object is set member by member, so that what stays equal stays as it was
/// written.
pub fn set(
    text: &str,
    path: &KeyPath,
    value: &Value,
    effective: Option<&Value>,
) -> Result<String, EditError> {
    if path.is_root() && !value.is_object() {
        return Err(EditError::RootNotAnObject {
            found: describe(value),
        });
    }
    refuse_forbidden_path(path)?;
    refuse_forbidden_keys(value)?;
    let mut draft = Draft::new(text)?;
    draft.refuse_joined_arrays(path, effective)?;
    draft.set(
        path,
        value,
        effective.and_then(|root| path.find(root)),
        effective,
    )?;
    Ok(draft.into_text())
}

/// The text with a value removed.
pub fn unset(text: &str, path: &KeyPath, effective: Option<&Value>) -> Result<String, EditError> {
    if path.is_root() {
        return Err(EditError::RootNotAnObject { found: "nothing" });
    }
    let mut draft = Draft::new(text)?;
    draft.refuse_joined_arrays(path, effective)?;
    if !draft.remove(path)? {
        return Err(match effective.and_then(|root| path.find(root)) {
            Some(_) => EditError::Included { path: path.clone() },
            None => EditError::NotFound { path: path.clone() },
        });
    }
    Ok(draft.into_text())
}

/// The text with a JSON merge patch applied (RFC 7386): null removes, objects merge, everything else replaces.
pub fn merge_patch(
    text: &str,
    patch: &Value,
    effective: Option<&Value>,
) -> Result<String, EditError> {
    let Value::Object(members) = patch else {
        return Err(EditError::RootNotAnObject {
            found: describe(patch),
        });
    };
    refuse_forbidden_keys(patch)?;
    let mut draft = Draft::new(text)?;
    draft.merge(&KeyPath::root(), members, effective, effective)?;
    Ok(draft.into_text())
}

fn refuse_forbidden_path(path: &KeyPath) -> Result<(), EditError> {
    path.steps().iter().try_for_each(|step| match step {
        Step::Key(key) if FORBIDDEN.contains(&key.as_str()) => {
            Err(EditError::ForbiddenKey { key: key.clone() })
        }
        Step::Key(_) | Step::Index(_) => Ok(()),
    })
}

/// Refuses keys, at any depth, that JavaScript programs would take for something else.
///
/// # Errors
/// With the first such key.
pub fn refuse_forbidden_keys(patch: &Value) -> Result<(), EditError> {
    match patch {
        Value::Object(members) => members.iter().try_for_each(|(key, value)| {
            if FORBIDDEN.contains(&key.as_str()) {
                return Err(EditError::ForbiddenKey { key: key.clone() });
            }
            refuse_forbidden_keys(value)
        }),
        Value::Array(elements) => elements.iter().try_for_each(refuse_forbidden_keys),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
