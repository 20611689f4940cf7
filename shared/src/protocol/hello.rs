//! `hello-ok`: the answer to a `connect` that was accepted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scope::Role;
use super::snapshot::Snapshot;
use super::{MAX_BUFFERED_BYTES, MAX_PAYLOAD, TICK_INTERVAL_MS};
use crate::literals;

literals! {
    /// The mark of a hello.
    pub enum HelloType {
        /// The only one.
        HelloOk = "hello-ok",
    }
}

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerInfo {
    /// The version of the instance.
    pub version: String,
    /// The name of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// This connection, as logs and presence name it.
    pub conn_id: String,
}

/// What works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Features {
    /// The methods that can be called.
    pub methods: Vec<String>,
    /// The events that may arrive.
    pub events: Vec<String>,
}

/// What an approved device is given: its own token, which is accepted in place of the shared secret, from this device alone. It
/// stays the same while it covers what the device asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HelloAuth {
    /// The device's own token for this role.
    pub device_token: String,
    /// The role it is for.
    pub role: Role,
    /// The scopes it covers.
    pub scopes: Vec<String>,
    /// When it was issued, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at_ms: Option<u64>,
}

/// The limits a client must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// The largest frame it may send, in bytes.
    pub max_payload: u64,
    /// How many bytes may wait for it before it is dropped as a slow consumer.
    pub max_buffered_bytes: u64,
    /// How often a tick comes, in milliseconds.
    pub tick_interval_ms: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_payload: MAX_PAYLOAD as u64,
            max_buffered_bytes: MAX_BUFFERED_BYTES as u64,
            tick_interval_ms: TICK_INTERVAL_MS,
        }
    }
}

/// The payload of the answer to `connect`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HelloOk {
    /// Always `hello-ok`.
    #[serde(rename = "type")]
    pub kind: HelloType,
    /// The protocol that was agreed on.
    pub protocol: i64,
    /// Who answers.
    pub server: ServerInfo,
    /// What works.
    pub features: Features,
    /// The state at this moment.
    pub snapshot: Snapshot,
    /// Where canvas pages are, without a path; absent when the canvas host is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canvas_host_url: Option<String>,
    /// The device's token; absent without an approved device, and for one whose token was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<HelloAuth>,
    /// The limits.
    pub policy: Policy,
}
