//! `node.*` and `skills.bins`: devices that offer commands, and asking them to run one.
//!
//! Pairing them is in [`devices`](super::devices).

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::protocol::strict::{Int, NonEmpty, Text, object_or_null, strict_options};

/// How long a command may be waited for at most, in milliseconds.
pub const MOST_INVOKE_MILLIS: i64 = 600_000;
/// The longest idempotency key, in characters and in bytes.
pub const LONGEST_KEY: usize = 256;

/// Parameters of `node.list`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeListParams {}

/// One node: what it last said about itself, and whether it is here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeRow {
    /// Its device id.
    pub node_id: String,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The platform it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The version of its core, if that is a program of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub core_version: Option<String>,
    /// The version of its user interface, if that is a program of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ui_version: Option<String>,
    /// The family of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    /// The model of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_identifier: Option<String>,
    /// Where it connects from; absent for this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    /// Groups of commands it offers, in order.
    pub caps: Vec<String>,
    /// Commands it offers and may be asked for, in order.
    pub commands: Vec<String>,
    /// Its search path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_env: Option<String>,
    /// Permissions it says it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<BTreeMap<String, bool>>,
    /// When it connected, in milliseconds since the epoch; absent while it is away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_at_ms: Option<u64>,
    /// When it was last connected, in milliseconds since the epoch; absent while it is here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_at_ms: Option<u64>,
    /// Whether its device is paired.
    pub paired: bool,
    /// Whether it is here.
    pub connected: bool,
}

/// Reply of `node.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeListReply {
    /// The gateway's time, in milliseconds since the epoch.
    pub ts: u64,
    /// Connected ones first, then by name, then by id.
    pub nodes: Vec<NodeRow>,
}

/// Parameters of `node.describe`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeDescribeParams {
    /// Which node.
    pub node_id: NonEmpty,
}

/// Reply of `node.describe`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeDescription {
    /// The gateway's time, in milliseconds since the epoch.
    pub ts: u64,
    /// The node.
    #[serde(flatten)]
    pub node: NodeRow,
}

/// Parameters of `node.invoke`.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeInvokeParams {
    /// Which node.
    pub node_id: NonEmpty,
    /// Which of its commands.
    pub command: NonEmpty,
    /// The parameters of the command.
    pub params: Option<Value>,
    /// How long to wait for the answer, in milliseconds; 30,000 when absent or 0, and 600,000 at most, whatever it says.
    pub timeout_ms: Option<Int<0>>,
    /// What makes repeated requests one, at most 256 bytes: the same key with the same parameters is carried out once and has the
    /// same answer, for 24 hours.
    pub idempotency_key: Text<1, LONGEST_KEY>,
}

/// Reply of `node.invoke`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeInvokeReply {
    /// Always true.
    pub ok: bool,
    /// Which node.
    pub node_id: String,
    /// Which of its commands.
    pub command: String,
    /// What it answered; absent when it answered nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Value>")]
    pub payload: Option<Arc<RawValue>>,
    /// The same as text, when the node sent text; else null.
    #[serde(rename = "payloadJSON")]
    pub payload_json: Option<String>,
}

/// Payload of the event `node.invoke.request`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeInvokeRequestPayload {
    /// What the result is known by.
    pub id: String,
    /// The node that is asked.
    pub node_id: String,
    /// Which of its commands.
    pub command: String,
    /// The parameters of the command as text; null when there are none.
    #[serde(rename = "paramsJSON")]
    pub params_json: Option<String>,
    /// How long the gateway waits for the result, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// What makes repeated requests one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// Payload of the event `node.invoke.cancel`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeInvokeCancelPayload {
    /// The id of the request.
    pub id: String,
    /// The node that was asked.
    pub node_id: String,
}

/// Why a node did not do what it was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeError {
    /// What kind of failure it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// One sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Parameters of `node.invoke.result`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeInvokeResultParams {
    /// The id of the request.
    pub id: NonEmpty,
    /// The node that answers: the caller.
    pub node_id: NonEmpty,
    /// Whether it was done.
    pub ok: bool,
    /// What it answers, as a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Value")]
    pub payload: Option<Box<RawValue>>,
    /// What it answers, as text; null counts as absent, and what is no string counts as `payload`.
    #[serde(
        rename = "payloadJSON",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Value")]
    pub payload_json: Option<Box<RawValue>>,
    /// Why it was not done; null counts as absent.
    #[serde(
        default,
        deserialize_with = "object_or_null",
        skip_serializing_if = "Option::is_none"
    )]
    pub error: Option<NodeError>,
}

/// Reply of `node.invoke.result`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeInvokeResultReply {
    /// Always true.
    pub ok: bool,
    /// True when nobody waits for this result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignored: Option<bool>,
}

/// Parameters of `node.event`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeEventParams {
    /// What happened; unknown events are accepted and ignored.
    pub event: NonEmpty,
    /// More about it, as a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Value")]
    pub payload: Option<Value>,
    /// More about it, as text; null counts as absent.
    #[serde(
        rename = "payloadJSON",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub payload_json: Option<String>,
}

/// Reply of `node.event`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeEventReply {
    /// Always true.
    pub ok: bool,
}

/// Parameters of `skills.bins`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SkillsBinsParams {}

/// Reply of `skills.bins`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkillsBinsReply {
    /// Names of programs that known skills need, in order.
    pub bins: Vec<String>,
}
