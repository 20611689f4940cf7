//! What a session is set to, and how it ends.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::look::Label;
use crate::literals;
use crate::protocol::strict::{Int, NonEmpty, OrNull, strict_options};

literals! {
    /// Whether messages may be sent to a session.
    pub enum SendPolicy {
        /// They may.
        Allow = "allow",
        /// They may not.
        Deny = "deny",
    }
}

literals! {
    /// When an agent answers in a group.
    pub enum GroupActivation {
        /// When it is mentioned.
        Mention = "mention",
        /// Always.
        Always = "always",
    }
}

literals! {
    /// What is told about usage after an answer.
    pub enum ResponseUsage {
        /// Nothing.
        Off = "off",
        /// Tokens.
        Tokens = "tokens",
        /// Tokens and cost.
        Full = "full",
        /// The same as tokens.
        On = "on",
    }
}

/// Parameters of `sessions.patch`: null clears a field, what is left out stays.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionsPatchParams {
    /// The session; it is created when there is none.
    pub key: NonEmpty,
    /// The name a person gives to it; no two sessions share one.
    pub label: Option<OrNull<Label>>,
    /// `off`, `minimal`, `low`, `medium` or `high`.
    pub thinking_level: Option<OrNull<NonEmpty>>,
    /// `on`, `off` or `full`.
    pub verbose_level: Option<OrNull<NonEmpty>>,
    /// `on`, `off` or `stream`.
    pub reasoning_level: Option<OrNull<NonEmpty>>,
    /// What is told about usage after an answer.
    pub response_usage: Option<OrNull<ResponseUsage>>,
    /// `on`, `off`, `ask` or `full`.
    pub elevated_level: Option<OrNull<NonEmpty>>,
    /// `sandbox`, `gateway` or `node`.
    pub exec_host: Option<OrNull<NonEmpty>>,
    /// `deny`, `allowlist` or `full`.
    pub exec_security: Option<OrNull<NonEmpty>>,
    /// `off`, `on-miss` or `always`.
    pub exec_ask: Option<OrNull<NonEmpty>>,
    /// The node that runs commands.
    pub exec_node: Option<OrNull<NonEmpty>>,
    /// The model, as `provider/model` or an alias.
    pub model: Option<OrNull<NonEmpty>>,
    /// The session that started it; it is set once and only on `subagent:` keys.
    pub spawned_by: Option<OrNull<NonEmpty>>,
    /// Whether messages may be sent to it.
    pub send_policy: Option<OrNull<SendPolicy>>,
    /// When an agent answers in a group.
    pub group_activation: Option<OrNull<GroupActivation>>,
}

/// What is kept of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionEntry {
    /// Which conversation it is; a reset begins another.
    pub session_id: String,
    /// When it last changed, in milliseconds since the epoch.
    pub updated_at: u64,
    /// Whether the system prompt was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_sent: Option<bool>,
    /// Whether the last run was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aborted_last_run: Option<bool>,
    /// How much is thought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking_level: Option<String>,
    /// How much is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verbose_level: Option<String>,
    /// Whether reasoning is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_level: Option<String>,
    /// What is told about usage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_usage: Option<ResponseUsage>,
    /// Whether tools run elevated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elevated_level: Option<String>,
    /// Where commands run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec_host: Option<String>,
    /// Which commands may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec_security: Option<String>,
    /// When a person is asked before a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec_ask: Option<String>,
    /// The node that runs commands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec_node: Option<String>,
    /// The provider of its model, when it is not the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_override: Option<String>,
    /// Its model, when it is not the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_override: Option<String>,
    /// Whether messages may be sent to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_policy: Option<SendPolicy>,
    /// When an agent answers in a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_activation: Option<GroupActivation>,
    /// The name a person gave to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The session that started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spawned_by: Option<String>,
    /// Tokens read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Tokens written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Tokens in its context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_tokens: Option<u64>,
    /// How much the model of the last run can read, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    /// The provider of the last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_provider: Option<String>,
    /// The model of the last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How often it was summed up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compaction_count: Option<u64>,
    /// What another version wrote; kept as it is.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Reply of `sessions.patch`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionsPatchReply {
    /// Always true.
    pub ok: bool,
    /// Where the session is kept, for people.
    pub path: String,
    /// The canonical key.
    pub key: String,
    /// What is kept.
    pub entry: SessionEntry,
}

/// Parameters of `sessions.reset`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionsResetParams {
    /// The session; it is created when there is none.
    pub key: NonEmpty,
}

/// Reply of `sessions.reset`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionsResetReply {
    /// Always true.
    pub ok: bool,
    /// The canonical key.
    pub key: String,
    /// What is kept.
    pub entry: SessionEntry,
}

/// Parameters of `sessions.delete`.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionsDeleteParams {
    /// The session.
    pub key: NonEmpty,
    /// Whether its messages go, too; true when absent.
    pub delete_transcript: Option<bool>,
}

/// Reply of `sessions.delete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionsDeleteReply {
    /// Always true.
    pub ok: bool,
    /// The canonical key.
    pub key: String,
    /// Whether there was such a session.
    pub deleted: bool,
    /// The conversation that is kept for some time, and can be exported by this name.
    pub archived: Vec<String>,
}

/// Parameters of `sessions.compact`.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionsCompactParams {
    /// The session.
    pub key: NonEmpty,
    /// How many of the newest entries stay; 400 when absent.
    pub max_lines: Option<Int<1>>,
}

/// Reply of `sessions.compact`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionsCompactReply {
    /// Always true.
    pub ok: bool,
    /// The canonical key.
    pub key: String,
    /// Whether messages were put aside.
    pub compacted: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The conversation the others were moved to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<String>,
    /// How many entries stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<u64>,
}
