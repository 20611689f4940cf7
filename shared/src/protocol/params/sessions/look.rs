//! Which sessions there are, and what they look like.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::change::{ResponseUsage, SendPolicy};
use crate::literals;
use crate::protocol::strict::{Int, List, NonEmpty, Text, strict_options};

/// The longest label, in characters.
pub const LONGEST_LABEL: usize = 64;

/// A name a person gave to a session.
pub type Label = Text<1, LONGEST_LABEL>;

/// Parameters of `sessions.list`.
#[strict_options]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionsListParams {
    /// How many rows at most.
    pub limit: Option<Int<1>>,
    /// Only sessions that were active in the last so many minutes.
    pub active_minutes: Option<Int<1>>,
    /// Whether the session `global` is listed.
    pub include_global: Option<bool>,
    /// Whether the session `unknown` is listed.
    pub include_unknown: Option<bool>,
    /// Whether each row has a title made of what is known.
    pub include_derived_titles: Option<bool>,
    /// Whether each row has the newest message in short.
    pub include_last_message: Option<bool>,
    /// Only the session with this label.
    pub label: Option<Label>,
    /// Only sessions that this session started.
    pub spawned_by: Option<NonEmpty>,
    /// Only sessions of this agent.
    pub agent_id: Option<NonEmpty>,
    /// Only sessions whose key, id or names contain this text, whatever the case.
    pub search: Option<String>,
}

/// What a session uses that says nothing else; null when the configuration names no model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionsDefaults {
    /// The provider of the model.
    pub model_provider: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// How much it can read, in tokens.
    pub context_tokens: Option<u64>,
}

literals! {
    /// What kind of conversation a session is.
    pub enum SessionKind {
        /// Between an agent and one other.
        Direct = "direct",
        /// In a group or a channel.
        Group = "group",
        /// The one for everybody.
        Global = "global",
        /// Of which nothing is known.
        Unknown = "unknown",
    }
}

/// A row of `sessions.list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionRow {
    /// The canonical key.
    pub key: String,
    /// What kind of conversation it is.
    pub kind: SessionKind,
    /// The name a person gave to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What to show as its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The channel of a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// What a group is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The channel within a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_channel: Option<String>,
    /// What the group belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// `direct`, `group` or `channel`, as its channel says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_type: Option<String>,
    /// Where it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Value>,
    /// When it last changed, in milliseconds since the epoch.
    pub updated_at: Option<u64>,
    /// Which conversation it is; a reset begins another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
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
    /// Whether tools run elevated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elevated_level: Option<String>,
    /// Whether messages may be sent to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_policy: Option<SendPolicy>,
    /// Tokens read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Tokens written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Tokens in its context.
    pub total_tokens: u64,
    /// What is told about usage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_usage: Option<ResponseUsage>,
    /// The provider of the last run, or of the model it is set to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_provider: Option<String>,
    /// The model of the last run, or the one it is set to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How much that model can read, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    /// Where answers go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_context: Option<Value>,
    /// The channel that was last used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_channel: Option<String>,
    /// To whom the last answer went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_to: Option<String>,
    /// The account that was last used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_account_id: Option<String>,
    /// A title made of what is known; only when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derived_title: Option<String>,
    /// The newest message in short; only when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_message_preview: Option<String>,
}

/// Reply of `sessions.list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionsListReply {
    /// The gateway's time, in milliseconds since the epoch.
    pub ts: u64,
    /// Where sessions are kept, for people.
    pub path: String,
    /// How many rows there are.
    pub count: u64,
    /// What a session uses that says nothing else.
    pub defaults: SessionsDefaults,
    /// The rows, the newest first.
    pub sessions: Vec<SessionRow>,
}

/// Parameters of `sessions.preview`.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionsPreviewParams {
    /// The sessions; the first 64 count.
    pub keys: List<NonEmpty, 1>,
    /// How many messages of each; 12 when absent, at most 50.
    pub limit: Option<Int<1>>,
    /// How many characters of each message; 240 when absent, at most 2,000.
    pub max_chars: Option<Int<20>>,
}

literals! {
    /// What became of a preview.
    pub enum PreviewStatus {
        /// There are messages.
        Ok = "ok",
        /// The session has no messages.
        Empty = "empty",
        /// There is no such session.
        Missing = "missing",
        /// The key is none, or the messages cannot be read.
        Error = "error",
    }
}

/// A message in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PreviewItem {
    /// Who said it.
    pub role: String,
    /// What was said.
    pub text: String,
}

/// The newest messages of a session in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionPreview {
    /// The key as it was asked for.
    pub key: String,
    /// What became of it.
    pub status: PreviewStatus,
    /// The messages, the oldest first.
    pub items: Vec<PreviewItem>,
}

/// Reply of `sessions.preview`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionsPreviewReply {
    /// The gateway's time, in milliseconds since the epoch.
    pub ts: u64,
    /// One for each key.
    pub previews: Vec<SessionPreview>,
}

/// Parameters of `sessions.resolve`: exactly one of `key`, `sessionId` and `label`.
#[strict_options]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionsResolveParams {
    /// A key or an alias of one.
    pub key: Option<NonEmpty>,
    /// The id of the conversation.
    pub session_id: Option<NonEmpty>,
    /// The name a person gave to it.
    pub label: Option<Label>,
    /// Only sessions of this agent.
    pub agent_id: Option<NonEmpty>,
    /// Only sessions that this session started.
    pub spawned_by: Option<NonEmpty>,
    /// Whether the session `global` counts.
    pub include_global: Option<bool>,
    /// Whether the session `unknown` counts.
    pub include_unknown: Option<bool>,
}

/// Reply of `sessions.resolve`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionsResolveReply {
    /// Always true.
    pub ok: bool,
    /// The canonical key.
    pub key: String,
}
