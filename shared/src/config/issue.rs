//! What is wrong, or odd, in a configuration, and where.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Config;
use super::path::KeyPath;

/// How much an issue matters.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum IssueLevel {
    /// The configuration is refused.
    Error,
    /// The configuration works, but probably not as its author thinks.
    Warning,
}

/// One remark about one place in the configuration.
///
/// Printed, it is one line: `/path/openclaw.json:3:11: gateway.port: expected …; write it without quotes`.
/// The value of a secret, or of an environment variable, never appears in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Issue {
    /// The file that holds the place, if the configuration came from files.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file: Option<PathBuf>,
    /// The line, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub line: Option<u32>,
    /// The column, counted from 1 in characters.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub column: Option<u32>,
    /// The dotted path of the value; empty for the root.
    pub key: String,
    /// What is wrong, as a lowercase fragment.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hint: Option<String>,
    /// How much it matters.
    pub level: IssueLevel,
}

impl Issue {
    /// Whether it is about a key that belongs to an older version.
    #[must_use]
    pub fn is_legacy(&self) -> bool {
        self.message == super::legacy::MESSAGE
    }

    /// Whether it is about a key that means nothing.
    #[must_use]
    pub fn is_unknown_key(&self) -> bool {
        self.message == super::setting::UNKNOWN_KEY
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}", file.display())?;
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
            }
            if let (Some(_), Some(column)) = (self.line, self.column) {
                write!(f, ":{column}")?;
            }
            f.write_str(": ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// A fragment, such as a message or a hint, as a sentence.
#[must_use]
pub fn sentence(fragment: &str) -> String {
    let mut chars = fragment.chars();
    let first = chars.next().map(char::to_uppercase).into_iter().flatten();
    let mut sentence: String = first.chain(chars).collect();
    if !sentence.ends_with(['.', '?', '!']) {
        sentence.push('.');
    }
    sentence
}

/// Why a configuration is refused: every error that was found, in the order of the files.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadError {
    /// The errors, at least one, and the warnings found beside them.
    pub issues: Vec<Issue>,
    /// The settings that could be read all the same, with defaults for the rest, if the files are JSON5 at all.
    /// Nothing runs on it; it lets a command that explains a broken instance ask at the right port.
    pub readable: Option<Box<Config>>,
}

impl LoadError {
    /// The issues that refuse the configuration.
    pub fn errors(&self) -> impl Iterator<Item = &Issue> {
        self.issues
            .iter()
            .filter(|issue| issue.level == IssueLevel::Error)
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, issue) in self.errors().enumerate() {
            if position > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{issue}")?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadError {}

/// An issue before its place in a file is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) path: KeyPath,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    pub(crate) level: IssueLevel,
}

impl Finding {
    pub(crate) fn error(path: KeyPath, message: impl Into<String>) -> Self {
        Self {
            path,
            message: message.into(),
            hint: None,
            level: IssueLevel::Error,
        }
    }

    pub(crate) fn warning(path: KeyPath, message: impl Into<String>) -> Self {
        Self {
            level: IssueLevel::Warning,
            ..Self::error(path, message)
        }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// The issue of a configuration that came from no file.
    pub(crate) fn without_place(self) -> Issue {
        Issue {
            file: None,
            line: None,
            column: None,
            key: self.path.to_string(),
            message: self.message,
            hint: self.hint,
            level: self.level,
        }
    }
}
