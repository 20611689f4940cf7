//! What a job does.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::schedule::branch;
use crate::protocol::strict::{Int, NonEmpty, strict_options};

/// What a job does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum CronPayload {
    /// Leaves a note for the main session.
    SystemEvent(Note),
    /// Asks an agent.
    AgentTurn(Turn),
}

/// A note for the main session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Note {
    /// What it says.
    pub text: NonEmpty,
}

/// A question to an agent.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Turn {
    /// What it is asked.
    pub message: NonEmpty,
    /// The model.
    pub model: Option<String>,
    /// How much it thinks.
    pub thinking: Option<String>,
    /// How long it may take, in seconds.
    pub timeout_seconds: Option<Int<1>>,
    /// Whether the answer is delivered.
    pub deliver: Option<bool>,
    /// The channel it is delivered on; `last` is the one used last.
    pub channel: Option<NonEmpty>,
    /// Whom it is delivered to.
    pub to: Option<String>,
    /// Whether a delivery that fails is no failure.
    pub best_effort_deliver: Option<bool>,
}

/// What a job does, as a change: what is left out stays, as long as the kind does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum CronPayloadPatch {
    /// Leaves a note for the main session.
    SystemEvent(NotePatch),
    /// Asks an agent.
    AgentTurn(TurnPatch),
}

/// A change of a note.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NotePatch {
    /// What it says.
    pub text: Option<NonEmpty>,
}

/// A change of a question.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TurnPatch {
    /// What it is asked.
    pub message: Option<NonEmpty>,
    /// The model.
    pub model: Option<String>,
    /// How much it thinks.
    pub thinking: Option<String>,
    /// How long it may take, in seconds.
    pub timeout_seconds: Option<Int<1>>,
    /// Whether the answer is delivered.
    pub deliver: Option<bool>,
    /// The channel it is delivered on; `last` is the one used last.
    pub channel: Option<NonEmpty>,
    /// Whom it is delivered to.
    pub to: Option<String>,
    /// Whether a delivery that fails is no failure.
    pub best_effort_deliver: Option<bool>,
}

fn payload_schema(is_patch: bool) -> Schema {
    let text = json!({ "type": "string" });
    let word = json!({ "type": "string", "minLength": 1 });
    let switch = json!({ "type": "boolean" });
    let channel = json!({ "anyOf": [{ "type": "string", "const": "last" }, word] });
    json_schema!({ "anyOf": [
        branch("systemEvent", &[("text", word.clone(), !is_patch)]),
        branch("agentTurn", &[
            ("message", word.clone(), !is_patch),
            ("model", text.clone(), false),
            ("thinking", text.clone(), false),
            ("timeoutSeconds", json!({ "type": "integer", "minimum": 1 }), false),
            ("deliver", switch.clone(), false),
            ("channel", channel, false),
            ("to", text, false),
            ("bestEffortDeliver", switch, false),
        ]),
    ] })
}

impl JsonSchema for CronPayload {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "CronPayload".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        payload_schema(false)
    }
}

impl JsonSchema for CronPayloadPatch {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "CronPayloadPatch".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        payload_schema(true)
    }
}
