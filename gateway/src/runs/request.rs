//! What a run is to do, as it is journaled.

use std::time::Duration;

use openclaw_agent::model::{ToolCall, ToolChoice, ToolSpec};
use openclaw_shared::transcript::{Message, Part, StopReason, Thinking, Usage};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::services::session_key::SessionKey;

openclaw_shared::literals! {
    /// Where a run comes from.
    pub enum RunKind {
        /// The method `agent`.
        Agent = "agent",
        /// A message of a person: `chat.send`, a channel.
        Chat = "chat",
        /// `/v1/…`.
        Http = "http",
        /// `/hooks/…`.
        Hook = "hook",
        /// A job.
        Cron = "cron",
        /// The regular wake-up.
        Heartbeat = "heartbeat",
        /// Another agent.
        Subagent = "subagent",
    }
}

/// What a run is to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RunRequest {
    /// The run: the key by which a repetition is known.
    pub(crate) run_id: String,
    pub(crate) kind: RunKind,
    /// The session.
    pub(crate) session: SessionKey,
    /// The session as whoever asks has named it: events carry it so.
    pub(crate) asked_as: String,
    /// The rest.
    pub(crate) work: Work,
}

/// What is kept as JSON until the run is over.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Work {
    /// The agent.
    pub(crate) agent: String,
    /// What is said to it.
    pub(crate) message: String,
    /// Earlier messages that had to make room for it, in a line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) left_out: Vec<String>,
    /// Pictures with it.
    pub(crate) images: Vec<Part>,
    /// What comes before the conversation, beside the agent's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) extra_system: Option<String>,
    /// What the conversation was so far, when whoever asks brings it along: then the session's own is not read.
    pub(crate) history: Vec<Message>,
    /// How much the model thinks, for this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) thinking: Option<Thinking>,
    /// The model, for this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    /// Whether people see what tools do, for this run: `on`, `off` or `full`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) verbose: Option<String>,
    /// What becomes of it while its session is busy, where that differs from the session's own; by the names a session keeps it under.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(crate) queue: Map<String, Value>,
    /// How long it may take, in milliseconds; the configured time when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timeout_ms: Option<u64>,
    /// How much the model may answer, in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_tokens: Option<u32>,
    /// What whoever asks does by themselves when the model calls it.
    pub(crate) client_tools: Vec<KeptTool>,
    /// Whether the model must, may or must not call a tool: `auto`, `none`, `required` or `=<name>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tool_choice: Option<String>,
    /// A name for the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) label: Option<String>,
    /// The session that has started this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) spawned_by: Option<String>,
    /// The conversation is made shorter, and nothing is said; with what the notes are to mind, which may be nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) compacts: Option<String>,
    /// Whether the model gets no tools but the client's.
    pub(crate) is_without_tools: bool,
    /// Whether its session is deleted when it ends.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) goes_with_its_session: bool,
    /// Whether people see nothing of it: a wake-up that may have nothing to say.
    pub(crate) is_quiet: bool,
}

/// A tool, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeptTool {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) parameters: Value,
}

impl From<ToolSpec> for KeptTool {
    fn from(spec: ToolSpec) -> Self {
        let ToolSpec {
            name,
            description,
            parameters,
        } = spec;
        Self {
            name,
            description,
            parameters,
        }
    }
}

impl From<KeptTool> for ToolSpec {
    fn from(kept: KeptTool) -> Self {
        let KeptTool {
            name,
            description,
            parameters,
        } = kept;
        Self {
            name,
            description,
            parameters,
        }
    }
}

impl Work {
    /// How long it may take, if it says so.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.timeout_ms.map(Duration::from_millis)
    }

    /// Whether tools are to be called.
    pub(crate) fn choice(&self) -> ToolChoice {
        match self.tool_choice.as_deref() {
            None | Some("auto") => ToolChoice::Auto,
            Some("none") => ToolChoice::None,
            Some("required") => ToolChoice::Required,
            Some(named) => ToolChoice::Named(named.trim_start_matches('=').to_owned()),
        }
    }
}

openclaw_shared::literals! {
    /// Whether a run was done.
    pub enum RunStatus {
        /// It was, whatever the model has said.
        Ok = "ok",
        /// It was not.
        Error = "error",
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Outcome {
    pub(crate) status: RunStatus,
    /// Why it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// When it began, in milliseconds since the epoch; it may never have begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) started_at: Option<u64>,
    /// When it ended.
    pub(crate) ended_at: u64,
    /// What was said, one text for each time the model was asked and said any.
    #[serde(default)]
    pub(crate) texts: Vec<String>,
    #[serde(default)]
    pub(crate) usage: Usage,
    #[serde(default)]
    pub(crate) provider: String,
    #[serde(default)]
    pub(crate) model: String,
    #[serde(default)]
    pub(crate) session_id: String,
    /// Why it was stopped: `rpc`, `stop`, `timeout`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) aborted: Option<String>,
    #[serde(default)]
    pub(crate) stop: StopReason,
    /// What the provider, or the way to it, has said instead of an answer; the texts hold it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) model_error: Option<String>,
    /// What whoever asked is to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) client_calls: Vec<KeptCall>,
    /// What the model was told before the conversation, in sizes.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(crate) prompt_report: Value,
    /// The run that this one was answered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) answered_with: Option<String>,
}

/// A call of a client's tool, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeptCall {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: Map<String, Value>,
}

impl From<ToolCall> for KeptCall {
    fn from(call: ToolCall) -> Self {
        let ToolCall {
            id,
            name,
            arguments,
        } = call;
        Self {
            id,
            name,
            arguments,
        }
    }
}

impl Outcome {
    /// A run that ended with nothing said.
    pub(crate) fn ended(status: RunStatus, error: Option<String>, at: u64) -> Self {
        Self {
            status,
            error,
            started_at: None,
            ended_at: at,
            texts: Vec::new(),
            usage: Usage::default(),
            provider: String::new(),
            model: String::new(),
            session_id: String::new(),
            aborted: None,
            stop: StopReason::Stop,
            model_error: None,
            client_calls: Vec::new(),
            prompt_report: Value::Null,
            answered_with: None,
        }
    }

    /// The last thing that was said.
    pub(crate) fn text(&self) -> &str {
        self.texts.last().map_or("", String::as_str)
    }
}
