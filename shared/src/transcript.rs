//! The messages of a conversation, as transcripts keep them and clients read them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::literals;

/// A message of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "camelCase")]
pub enum Message {
    /// What a person, or a program in their place, has said.
    User(UserMessage),
    /// What a model has said.
    Assistant(AssistantMessage),
    /// What came out of a tool that a model has called.
    ToolResult(ToolResultMessage),
}

/// What was said to an agent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserMessage {
    /// The parts.
    #[serde(deserialize_with = "parts")]
    pub content: Vec<Part>,
    /// When, in milliseconds since the epoch.
    #[serde(default)]
    pub timestamp: u64,
}

/// What a model has said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssistantMessage {
    /// The parts.
    #[serde(deserialize_with = "parts")]
    pub content: Vec<Part>,
    /// The protocol that the provider speaks.
    #[serde(default)]
    pub api: String,
    /// The provider, as the configuration names it.
    #[serde(default)]
    pub provider: String,
    /// The model, as the provider names it.
    #[serde(default)]
    pub model: String,
    /// What it took.
    #[serde(default)]
    pub usage: Usage,
    /// Why it ended.
    #[serde(default)]
    pub stop_reason: StopReason,
    /// What went wrong, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// When, in milliseconds since the epoch.
    #[serde(default)]
    pub timestamp: u64,
}

/// What came out of a tool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolResultMessage {
    /// The call it answers.
    pub tool_call_id: String,
    /// The tool.
    #[serde(default)]
    pub tool_name: String,
    /// The parts.
    #[serde(deserialize_with = "parts")]
    pub content: Vec<Part>,
    /// For programs that show it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub details: Value,
    /// Whether it failed.
    #[serde(default)]
    pub is_error: bool,
    /// When, in milliseconds since the epoch.
    #[serde(default)]
    pub timestamp: u64,
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Part {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// A picture.
    Image {
        /// Its bytes in base64; empty where they are left out.
        #[serde(default)]
        data: String,
        /// `image/png`, …
        mime_type: String,
    },
    /// A call of a tool.
    ToolCall {
        /// What tells it from others in one conversation.
        id: String,
        /// The tool.
        name: String,
        /// What it is given.
        arguments: Map<String, Value>,
    },
    /// What a model thought.
    Thinking {
        /// The text; empty where the provider keeps it to itself.
        thinking: String,
        /// What the provider wants to see again with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        thinking_signature: Option<String>,
    },
}

impl Part {
    /// A text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }
}

literals! {
    /// Why a model stopped.
    #[derive(Default)]
    pub enum StopReason {
        /// It had said everything.
        #[default]
        Stop = "stop",
        /// It had said as much as it may.
        Length = "length",
        /// It calls tools.
        ToolUse = "toolUse",
        /// Something went wrong.
        Error = "error",
        /// It was stopped.
        Aborted = "aborted",
        /// No model said this; the gateway, or whoever asked it to, put it in.
        Injected = "injected",
    }
}

literals! {
    /// How much a model thinks before it answers.
    #[derive(Default)]
    pub enum Thinking {
        /// Not at all.
        #[default]
        Off = "off",
        /// As little as it can.
        Minimal = "minimal",
        /// A little.
        Low = "low",
        /// Some.
        Medium = "medium",
        /// Much.
        High = "high",
        /// As much as it can.
        Xhigh = "xhigh",
    }
}

/// What a message took, in tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    /// Read, without what came from a cache.
    pub input: u64,
    /// Written.
    pub output: u64,
    /// Read from the provider's cache.
    pub cache_read: u64,
    /// Written to it.
    pub cache_write: u64,
    /// All of it.
    pub total_tokens: u64,
    /// What it cost, in dollars.
    pub cost: Cost,
}

/// What a message cost, in dollars.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cost {
    /// For what was read.
    pub input: f64,
    /// For what was written.
    pub output: f64,
    /// For what came from a cache.
    pub cache_read: f64,
    /// For what went to it.
    pub cache_write: f64,
    /// All of it.
    pub total: f64,
}

impl Usage {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            input: self.input + other.input,
            output: self.output + other.output,
            cache_read: self.cache_read + other.cache_read,
            cache_write: self.cache_write + other.cache_write,
            total_tokens: self.total_tokens + other.total_tokens,
            cost: Cost {
                input: self.cost.input + other.cost.input,
                output: self.cost.output + other.cost.output,
                cache_read: self.cost.cache_read + other.cost.cache_read,
                cache_write: self.cost.cache_write + other.cost.cache_write,
                total: self.cost.total + other.cost.total,
            },
        }
    }
}

impl Message {
    /// Its parts.
    #[must_use]
    pub fn content(&self) -> &[Part] {
        match self {
            Self::User(message) => &message.content,
            Self::Assistant(message) => &message.content,
            Self::ToolResult(message) => &message.content,
        }
    }

    /// Its texts, joined by line ends.
    #[must_use]
    pub fn text(&self) -> String {
        text_of(self.content())
    }

    /// When, in milliseconds since the epoch.
    #[must_use]
    pub const fn timestamp(&self) -> u64 {
        match self {
            Self::User(message) => message.timestamp,
            Self::Assistant(message) => message.timestamp,
            Self::ToolResult(message) => message.timestamp,
        }
    }
}

/// The texts among parts, joined by line ends.
#[must_use]
pub fn text_of(parts: &[Part]) -> String {
    let texts = parts.iter().filter_map(|part| match part {
        Part::Text { text } => Some(text.as_str()),
        Part::Image { .. } | Part::ToolCall { .. } | Part::Thinking { .. } => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// Parts, or one text in their place, as older transcripts have it.
fn parts<'de, D: serde::Deserializer<'de>>(reader: D) -> Result<Vec<Part>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Parts(Vec<Part>),
    }
    Ok(match Written::deserialize(reader)? {
        Written::Text(text) => vec![Part::text(text)],
        Written::Parts(parts) => parts,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Message;

    #[test]
    fn messages_are_written_as_existing_clients_read_them() {
        for message in [
            json!({"role":"user","content":[{"type":"text","text":"hi"}],"timestamp":1}),
            json!({"role":"assistant","content":[{"type":"toolCall","id":"call_1","name":"exec","arguments":{"command":"echo hi"}}],
                "api":"openai-completions","provider":"mock","model":"m1",
                "usage":{"input":11,"output":5,"cacheRead":0,"cacheWrite":0,"totalTokens":16,
                    "cost":{"input":0.0,"output":0.0,"cacheRead":0.0,"cacheWrite":0.0,"total":0.0}},
                "stopReason":"toolUse","timestamp":2}),
            json!({"role":"toolResult","toolCallId":"call_1","toolName":"exec","content":[{"type":"text","text":"hi"}],
                "details":{"status":"completed","exitCode":0},"isError":false,"timestamp":3}),
        ] {
            let read: Message = serde_json::from_value(message.clone()).unwrap();
            let written: Value = serde_json::to_value(read).unwrap();
            assert_eq!(written, message);
        }
    }
}
