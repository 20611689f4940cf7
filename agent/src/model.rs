//! What a model is, whoever provides it.

pub mod failover;
pub mod offline;
pub mod provider;

use std::time::Duration;

use futures_util::stream::LocalBoxStream;
use openclaw_shared::transcript::{Message, StopReason, Thinking, Usage};
use serde_json::{Map, Value};

/// Something that goes on a conversation.
pub trait Model {
    /// Asks for the next message. The request leaves this machine when the stream is polled first; dropping the stream closes the
    /// connection.
    ///
    /// The stream ends after [`ModelEvent::Done`] or an error.
    fn ask(&self, request: ModelRequest) -> LocalBoxStream<'_, Result<ModelEvent, ModelError>>;
}

/// What a model is asked.
#[derive(Debug, Clone, Default)]
pub struct ModelRequest {
    /// What comes before the conversation.
    pub system: String,
    /// The conversation, the oldest message first.
    pub messages: Vec<Message>,
    /// What it may call.
    pub tools: Vec<ToolSpec>,
    /// Whether it must, may or must not call one.
    pub tool_choice: ToolChoice,
    /// How much it is to think.
    pub thinking: Thinking,
    /// How much it may answer, in tokens; the provider's own limit when absent.
    pub max_tokens: Option<u32>,
    /// The conversation's name for caches of the provider; nothing a person could be known by.
    pub cache_key: Option<String>,
}

/// A tool as a model sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSpec {
    /// Its name.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// The JSON Schema of its arguments, an object.
    pub parameters: Value,
}

/// Whether a model calls tools.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// As it likes.
    #[default]
    Auto,
    /// None.
    None,
    /// At least one.
    Required,
    /// This one.
    Named(String),
}

/// A step of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelEvent {
    /// This model answers. Comes first; comes again when another one takes over, and then nothing that came before counts.
    Began(Answering),
    /// More of the text.
    Text(String),
    /// More of what it thinks.
    Thinking(String),
    /// What the provider wants to see again with what was thought before this; it is opaque.
    ThinkingSignature(String),
    /// A tool is to be called.
    ToolCall(ToolCall),
    /// That was all.
    Done(Done),
}

/// Who answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answering {
    /// The protocol that the provider speaks: `openai-completions`, `anthropic-messages`, …
    pub api: String,
    /// The provider, as the configuration names it.
    pub provider: String,
    /// The model, as the provider names it.
    pub model: String,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// What tells it from others in one conversation.
    pub id: String,
    /// The tool.
    pub name: String,
    /// What it is given.
    pub arguments: Map<String, Value>,
}

/// How an answer ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// Why it ended.
    pub stop: StopReason,
    /// What it took, as the provider says, its cost included.
    pub usage: Usage,
}

/// Why there is no answer. The text is what people see; no key and no other secret is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ModelError {
    /// What went wrong.
    pub kind: ModelErrorKind,
    /// In words: `HTTP 400: …` with the provider's own text, where it has given one.
    pub message: String,
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelErrorKind {
    /// The key is missing, or not accepted (401, 403).
    Auth,
    /// Nothing is paid for any longer.
    Unpaid,
    /// Too many requests (429), and when to come again, if the provider says so.
    Limited(Option<Duration>),
    /// The provider cannot answer at the moment (5xx).
    Overloaded(Option<Duration>),
    /// Nobody answers at the address.
    Unreachable,
    /// Nothing came for too long.
    TimedOut,
    /// The connection ended in the middle of an answer.
    BrokeOff,
    /// What came cannot be read.
    Malformed,
    /// More came than anybody keeps.
    TooLarge,
    /// The conversation is too long for the model.
    ContextFull,
    /// The request is refused for what it says (other 4xx).
    Refused,
    /// There is no such model or provider here.
    Unknown,
}
