//! `config.*`: the configuration file, as a client reads, describes and changes it.
//!
//! Secrets are shown as [`REDACTED`](crate::config::shown::REDACTED); sent back, that stands for the secret at the same place.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::schema::UiHint;
use crate::config::{Issue, Outcome};
use crate::protocol::strict::{Int, NonEmpty, strict_options};

/// Parameters of `config.get`.
#[strict_options]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigGetParams {
    /// Whether secrets are shown in clear.
    pub include_secrets: Option<bool>,
}

/// Something wrong, or odd, in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigIssue {
    /// The dotted path of the value; empty for the root.
    pub path: String,
    /// What is wrong, and what to do about it.
    pub message: String,
    /// The line in its file, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The column in its line, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
}

impl From<&Issue> for ConfigIssue {
    fn from(issue: &Issue) -> Self {
        let message = match &issue.hint {
            Some(hint) => format!("{}; {hint}", issue.message),
            None => issue.message.clone(),
        };
        Self {
            path: issue.key.clone(),
            message,
            line: issue.line,
            column: issue.column,
        }
    }
}

/// Reply of `config.get`: the file as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigSnapshot {
    /// The file.
    pub path: String,
    /// Whether it exists.
    pub exists: bool,
    /// Its text; null when it does not exist.
    pub raw: Option<String>,
    /// What the text alone says, without includes and variables; empty when it cannot be read.
    pub parsed: Value,
    /// Whether an instance could run on it.
    pub valid: bool,
    /// What it comes to: includes merged, variables replaced, no defaults added; empty when it is not valid.
    pub config: Value,
    /// SHA-256 of its bytes, in hexadecimal; of no bytes when it does not exist. A change is made on it.
    pub hash: String,
    /// Why it is not valid.
    pub issues: Vec<ConfigIssue>,
    /// What is odd about it.
    pub warnings: Vec<ConfigIssue>,
    /// Keys that belong to an older version.
    pub legacy_issues: Vec<ConfigIssue>,
}

/// Parameters of `config.set`.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigSetParams {
    /// The new text, JSON5.
    pub raw: NonEmpty,
    /// The hash of the file that the change was made on; needed when it exists.
    pub base_hash: Option<NonEmpty>,
}

/// Parameters of `config.apply` and `config.patch`.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigApplyParams {
    /// The new text, or the merge patch (null removes, objects merge, everything else replaces); JSON5.
    pub raw: NonEmpty,
    /// The hash of the file that the change was made on; needed when it exists.
    pub base_hash: Option<NonEmpty>,
    /// The session that asks.
    pub session_key: Option<String>,
    /// Why, for people.
    pub note: Option<String>,
    /// Accepted and without effect: a successor is ready before its predecessor leaves, so there is nothing to put off.
    pub restart_delay_ms: Option<Int<0>>,
}

/// Reply of `config.set`: the change is in the file for good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigSetReply {
    /// Always true.
    pub ok: bool,
    /// The file.
    pub path: String,
    /// What it comes to.
    pub config: Value,
    /// What became of the change.
    pub outcome: Outcome,
}

/// Reply of `config.apply` and `config.patch`: the change is in the file for good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigApplyReply {
    /// Always true.
    pub ok: bool,
    /// The file.
    pub path: String,
    /// What it comes to.
    pub config: Value,
    /// What was restarted for it.
    pub restart: ConfigRestart,
    /// What a session may be told after the restart.
    pub sentinel: ConfigSentinel,
    /// What became of the change.
    pub outcome: Outcome,
}

/// The restart that belongs to a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigRestart {
    /// Whether a child was replaced. Nothing is restarted for a change that the processes take while they run.
    pub ok: bool,
    /// The process that answers; it leaves when it is itself replaced.
    pub pid: u32,
    /// What stands for a restart.
    pub signal: String,
    /// Always 0: successors serve already.
    pub delay_ms: u64,
    /// The method.
    pub reason: String,
    /// `replace`, or `none` when nothing had to be.
    pub mode: String,
}

/// A note about a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigSentinel {
    /// Where the note is kept; null, because it is told in the answer and kept nowhere.
    pub path: Option<String>,
    /// The note.
    pub payload: ConfigSentinelPayload,
}

/// What a note about a restart says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigSentinelPayload {
    /// `config-apply`.
    pub kind: String,
    /// `ok`.
    pub status: String,
    /// When, in milliseconds since 1970.
    pub ts: u64,
    /// The session that asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// The note of whoever asked, or null.
    pub message: Option<String>,
    /// What to do when something does not work.
    pub doctor_hint: String,
    /// What was done.
    pub stats: ConfigSentinelStats,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigSentinelStats {
    /// The method.
    pub mode: String,
    /// The file.
    pub root: String,
}

/// Parameters of `config.schema`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigSchemaParams {}

/// Reply of `config.schema`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigSchemaReply {
    /// The JSON Schema (draft-07) of the configuration file.
    pub schema: Value,
    /// What a form shows, by dotted path; `[]` stands for every element and `*` for every key.
    pub ui_hints: BTreeMap<String, UiHint>,
    /// The version of the gateway.
    pub version: String,
    /// When it was made, ISO 8601.
    pub generated_at: String,
}
