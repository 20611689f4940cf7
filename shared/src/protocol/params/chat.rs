//! `chat.*`: messages of a session as people see them, and the `chat` event.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::literals;
use crate::protocol::strict::{Int, NonEmpty, Text, strict_options};

/// Parameters of `chat.history`.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChatHistoryParams {
    /// The session, by its key or an alias.
    pub session_key: NonEmpty,
    /// How many messages at most, the newest; 200 when absent.
    pub limit: Option<Int<1, 1000>>,
}

/// Reply of `chat.history`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatHistoryReply {
    /// The session, as the request named it.
    pub session_key: String,
    /// Its transcript; absent before the first message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The messages, oldest first, as the transcript has them: each has `role` (`user`, `assistant` or `toolResult`),
    /// `content` (a list of parts with a `type`) and `timestamp` (milliseconds since the epoch).
    pub messages: Vec<Value>,
    /// How much the model may think.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking_level: Option<String>,
}

/// Parameters of `chat.send`.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChatSendParams {
    /// The session, by its key or an alias; events carry it as it is written here.
    pub session_key: NonEmpty,
    /// The text; may be empty when something is attached.
    pub message: String,
    /// How much the model may think, for this run.
    pub thinking: Option<String>,
    /// Whether the answer also goes to the session's channel.
    pub deliver: Option<bool>,
    /// Images: `{type?, mimeType?, fileName?, content}`, the content in base64 or as a data URL.
    pub attachments: Option<Vec<Value>>,
    /// How long the run may take, in milliseconds; the configured time when absent or zero.
    pub timeout_ms: Option<Int<0>>,
    /// Makes a repetition harmless, and names the run.
    pub idempotency_key: NonEmpty,
}

literals! {
    /// What became of a message.
    pub enum ChatSendStatus {
        /// A run has begun.
        Started = "started",
        /// The run of this key has begun earlier and goes on.
        InFlight = "in_flight",
        /// The run of this key is over.
        Ok = "ok",
    }
}

/// A run that a message began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatRun {
    /// The run: the idempotency key.
    pub run_id: String,
    /// What became of it.
    pub status: ChatSendStatus,
}

/// Reply of `chat.send`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ChatSendReply {
    /// A run began, or had begun.
    Run(ChatRun),
    /// The message was a word that stops runs.
    Stopped(ChatAbortReply),
}

/// Parameters of `chat.abort`.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChatAbortParams {
    /// The session, exactly as the run was begun with.
    pub session_key: NonEmpty,
    /// One run of it; all of them when absent.
    pub run_id: Option<NonEmpty>,
}

/// Reply of `chat.abort`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatAbortReply {
    /// Always true.
    pub ok: bool,
    /// Whether a run was stopped.
    pub aborted: bool,
    /// The runs that were stopped.
    pub run_ids: Vec<String>,
}

/// Parameters of `chat.inject`.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChatInjectParams {
    /// The session.
    pub session_key: NonEmpty,
    /// The text.
    pub message: NonEmpty,
    /// A mark in front of the text.
    pub label: Option<Text<0, 100>>,
}

/// Reply of `chat.inject`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatInjectReply {
    /// Always true.
    pub ok: bool,
    /// The message in the transcript.
    pub message_id: String,
}

literals! {
    /// How far the answer of a run is.
    pub enum ChatState {
        /// It grows.
        Delta = "delta",
        /// It is complete.
        Final = "final",
        /// The run was stopped.
        Aborted = "aborted",
        /// The run failed.
        Error = "error",
    }
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChatTextPart {
    /// `text`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The text.
    pub text: String,
}

/// A message as a `chat` event carries it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatMessage {
    /// `assistant`.
    pub role: String,
    /// The text, so far or whole.
    pub content: Vec<ChatTextPart>,
    /// When it was written, in milliseconds since the epoch.
    pub timestamp: u64,
    /// `injected` when no model wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// What it cost, in tokens; all zero when no model wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Value>,
}

/// Payload of the `chat` event: the answer of a run, for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatPayload {
    /// The run.
    pub run_id: String,
    /// The session, as the request named it.
    pub session_key: String,
    /// The number, within the run, of the `agent` event this follows from.
    pub seq: u64,
    /// How far the answer is.
    pub state: ChatState,
    /// The answer so far, cumulative; absent when there is no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<ChatMessage>,
    /// Why the run failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// Why it was stopped: `rpc`, `stop` or `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// What the run cost, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Value>,
}
