//! Changing the configuration: edits in its text, and the file written so that it is never half.
//!
//! Edits ([`set`], [`unset`], [`merge_patch`]) are pure: text in, text out, with comments, order, `${VAR}` references,
//! `$include` and unknown keys left as they are. Whether the result is a valid configuration is asked of
//! [`load_candidate`](super::load_candidate); [`write_atomically`] then puts it in place.

mod draft;
mod edit;
mod file;
mod layout;
mod splice;

use serde_json::Value;

pub use edit::{merge_patch, refuse_forbidden_keys, set, unset};
pub use file::{WriteError, Written, create_private, current, replace_private, write_atomically};

use super::path::KeyPath;
use super::tree;

/// Why a text cannot be edited as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The text is not JSON5.
    #[error("edit a file that cannot be read: line {line}, column {column}: {message}")]
    Unreadable {
        /// The line, counted from 1.
        line: u32,
        /// The column, counted from 1.
        column: u32,
        /// What is wrong there.
        message: String,
    },
    /// There is nothing at the path.
    #[error("find {path} in the configuration")]
    NotFound {
        /// The path as asked.
        path: KeyPath,
    },
    /// A step leads into a value that holds no others, or into an array by name.
    #[error("follow the path {path}: there is {found} at {at}")]
    NotAContainer {
        /// The path as asked.
        path: KeyPath,
        /// Where it ends.
        at: KeyPath,
        /// What stands there.
        found: &'static str,
    },
    /// An element is set that would leave a gap in its array.
    #[error("set {path}: the array has {length} elements")]
    BeyondEnd {
        /// The path as asked.
        path: KeyPath,
        /// How long the array is.
        length: usize,
    },
    /// The value comes from an included file, and the main file cannot take it away.
    #[error(
        "change {path} in the main file: its value comes from an included file; change it there"
    )]
    Included {
        /// The path as asked.
        path: KeyPath,
    },
    /// A key that JavaScript programs would take for something else.
    #[error("use the key {key:?}: it has a meaning of its own in JavaScript")]
    ForbiddenKey {
        /// The key.
        key: String,
    },
    /// A secret would become the placeholder that hides it.
    #[error("set {path}: this is what stands for a hidden value, and there is none")]
    Placeholder {
        /// The path as asked.
        path: KeyPath,
    },
    /// The configuration as a whole can only be an object.
    #[error("make the configuration {found}: it has to be an object")]
    RootNotAnObject {
        /// What it would have become.
        found: &'static str,
    },
}

/// Reads one JSON5 value, as people type it on a command line. The error is a sentence about the text.
pub fn parse_value(text: &str) -> Result<Value, String> {
    match tree::parse(text) {
        Ok(document) => Ok(document.root.to_value()),
        Err(error) => {
            let (line, column) = tree::position(text, error.offset);
            Err(format!("line {line}, column {column}: {}", error.message))
        }
    }
}

/// What a value is, for a sentence.
fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
