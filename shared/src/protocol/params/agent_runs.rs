//! `agent` and `agent.wait`: one piece of work of an agent, and the `agent` event that follows it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::literals;
use crate::protocol::strict::{Int, NonEmpty, Text, strict_options};

/// Parameters of `agent`.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentParams {
    /// What the agent is asked.
    pub message: NonEmpty,
    /// The agent; the default one when absent.
    pub agent_id: Option<NonEmpty>,
    /// Whom the session is with, as a channel names people.
    pub to: Option<String>,
    /// Where the answer goes, when not to `to`.
    pub reply_to: Option<String>,
    /// The session, by its transcript.
    pub session_id: Option<String>,
    /// The session, by its key or an alias.
    pub session_key: Option<String>,
    /// How much the model may think, for this run.
    pub thinking: Option<String>,
    /// Whether clients see what tools do, for this run: `on`, `off` or `full`. Our own addition.
    pub verbose: Option<String>,
    /// Whether the answer also goes to a channel.
    pub deliver: Option<bool>,
    /// Images: `{type?, mimeType?, fileName?, content}`, the content in base64 or as a data URL.
    pub attachments: Option<Vec<Value>>,
    /// The channel the message counts as coming from.
    pub channel: Option<String>,
    /// The channel the answer goes to.
    pub reply_channel: Option<String>,
    /// The account on the channel.
    pub account_id: Option<String>,
    /// The account the answer is sent by.
    pub reply_account_id: Option<String>,
    /// The thread on the channel.
    pub thread_id: Option<String>,
    /// The group on the channel.
    pub group_id: Option<String>,
    /// The channel within the group.
    pub group_channel: Option<String>,
    /// The space the group belongs to.
    pub group_space: Option<String>,
    /// How long the run may take, in seconds; the configured time when absent.
    pub timeout: Option<Int<0>>,
    /// The lane the run waits on.
    pub lane: Option<String>,
    /// Put in front of the conversation.
    pub extra_system_prompt: Option<String>,
    /// Makes a repetition harmless, and names the run.
    pub idempotency_key: NonEmpty,
    /// A name for the session.
    pub label: Option<Text<1, 64>>,
    /// The session that started this one.
    pub spawned_by: Option<String>,
}

literals! {
    /// The mark of the first answer.
    pub enum AcceptedStatus {
        /// The run is journaled and will be done.
        Accepted = "accepted",
    }
}

/// The first answer of `agent`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentAccepted {
    /// The run: the idempotency key.
    pub run_id: String,
    /// Always `accepted`.
    pub status: AcceptedStatus,
    /// When, in milliseconds since the epoch.
    pub accepted_at: u64,
}

literals! {
    /// How a run ended.
    pub enum AgentOutcome {
        /// It is done, whatever the model said.
        Ok = "ok",
        /// It could not be done; the response carries an error too.
        Error = "error",
    }
}

/// The second answer of `agent`, under the same request id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentFinished {
    /// The run.
    pub run_id: String,
    /// How it ended.
    pub status: AgentOutcome,
    /// One line for people.
    pub summary: String,
    /// What came out of it; absent after an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<AgentResult>,
}

/// What came out of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentResult {
    /// The answer, in parts.
    pub payloads: Vec<AgentResultPart>,
    /// How it came about: `durationMs`, `agentMeta` (session, provider, model, usage), `aborted`.
    pub meta: Value,
}

/// A part of an answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentResultPart {
    /// The text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// A picture or a sound.
    pub media_url: Option<String>,
}

/// Replies of `agent`: one when it is accepted, one when it is finished.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum AgentReply {
    /// The first.
    Accepted(AgentAccepted),
    /// The second.
    Finished(AgentFinished),
}

/// Parameters of `agent.wait`.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentWaitParams {
    /// The run.
    pub run_id: NonEmpty,
    /// How long to wait, in milliseconds; 30,000 when absent, zero only looks.
    pub timeout_ms: Option<Int<0>>,
}

literals! {
    /// What is known of a run.
    pub enum AgentWaitStatus {
        /// It is done.
        Ok = "ok",
        /// It failed.
        Error = "error",
        /// It is not known to have ended.
        Timeout = "timeout",
    }
}

/// Reply of `agent.wait`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentWaitReply {
    /// The run.
    pub run_id: String,
    /// What is known of it.
    pub status: AgentWaitStatus,
    /// When it began, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<u64>,
    /// When it ended, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<u64>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Payload of the `agent` event: one step of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentPayload {
    /// The run.
    pub run_id: String,
    /// What kind of step: `lifecycle`, `assistant`, `tool`, `compaction` or `error`.
    pub stream: String,
    /// The step; its shape differs by stream.
    pub data: Map<String, Value>,
    /// The session, as the request named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// Counts the steps of the run from 1; absent on a step that the gateway made up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// When, in milliseconds since the epoch.
    pub ts: u64,
}
