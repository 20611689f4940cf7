//! `health` and `status`: how the gateway is, in full and in short.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::control::FleetStatus;
use crate::protocol::params::sessions::SessionKind;

/// Parameters of `health`; unknown ones are ignored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthParams {
    /// Look again, even when the last look is recent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<bool>,
}

/// Parameters of `status`; unknown ones are ignored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusParams {}

/// Which channel the owner is reached by, and whether it is linked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkChannel {
    /// The channel.
    pub id: String,
    /// Its name for people.
    pub label: String,
    /// Whether it is authenticated.
    pub linked: bool,
    /// How old its credentials are, in milliseconds.
    pub auth_age_ms: Option<u64>,
}

/// How an agent's heartbeat is set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentHeartbeat {
    /// Whether it beats.
    pub enabled: bool,
    /// The interval for people, `disabled` when it does not beat.
    pub every: String,
    /// The interval in milliseconds.
    pub every_ms: Option<u64>,
    /// What the agent is asked at each beat.
    pub prompt: String,
    /// Where an answer goes.
    pub target: String,
    /// An answer up to this long is taken for "all is well".
    pub ack_max_chars: u64,
}

/// A session among the newest of a store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecentSession {
    /// Its key.
    pub key: String,
    /// When it last changed, in milliseconds since the epoch.
    pub updated_at: Option<u64>,
    /// How long ago that was, in milliseconds.
    pub age: Option<u64>,
}

/// A session store in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionStoreSummary {
    /// The store, for people.
    pub path: String,
    /// How many sessions it has.
    pub count: u64,
    /// The newest, at most five.
    pub recent: Vec<RecentSession>,
}

/// One agent in the health summary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentHealth {
    /// The agent.
    pub agent_id: String,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it answers when none is named.
    pub is_default: bool,
    /// Its heartbeat.
    pub heartbeat: AgentHeartbeat,
    /// Its sessions.
    pub sessions: SessionStoreSummary,
}

/// Reply of `health` and payload of the `health` event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthSummary {
    /// Whether the gateway works.
    pub ok: bool,
    /// When this was found out, in milliseconds since the epoch.
    pub ts: u64,
    /// How long that took, in milliseconds.
    pub duration_ms: u64,
    /// Which channel the owner is reached by; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_channel: Option<LinkChannel>,
    /// Each channel; the shape differs by channel.
    pub channels: BTreeMap<String, Value>,
    /// The channels, in the order to show them.
    pub channel_order: Vec<String>,
    /// Their names for people.
    pub channel_labels: BTreeMap<String, String>,
    /// The default agent's heartbeat interval; zero when it does not beat.
    pub heartbeat_seconds: u64,
    /// The agent that answers when none is named.
    pub default_agent_id: String,
    /// Each agent.
    pub agents: Vec<AgentHealth>,
    /// The default agent's sessions.
    pub sessions: SessionStoreSummary,
    /// The supervisor's view of the instance.
    pub supervisor: FleetStatus,
}

/// One agent's heartbeat in the status summary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentHeartbeatStatus {
    /// The agent.
    pub agent_id: String,
    /// Whether it beats.
    pub enabled: bool,
    /// The interval for people, `disabled` when it does not beat.
    pub every: String,
    /// The interval in milliseconds.
    pub every_ms: Option<u64>,
}

/// The heartbeats in the status summary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatStatus {
    /// The agent that answers when none is named.
    pub default_agent_id: String,
    /// Each agent.
    pub agents: Vec<AgentHeartbeatStatus>,
}

/// What sessions use unless they say otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionModelDefaults {
    /// The model.
    pub model: Option<String>,
    /// How much it can read, in tokens.
    pub context_tokens: Option<u64>,
}

/// A session in the status summary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusSession {
    /// The agent.
    pub agent_id: String,
    /// Its key.
    pub key: String,
    /// What kind of conversation it is.
    pub kind: SessionKind,
    /// Which conversation it is.
    pub session_id: String,
    /// When it last changed, in milliseconds since the epoch.
    pub updated_at: u64,
    /// How long ago that was, in milliseconds.
    pub age: u64,
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
    /// Whether the system prompt was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_sent: Option<bool>,
    /// Whether the last run was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aborted_last_run: Option<bool>,
    /// Tokens read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Tokens written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Tokens in its context.
    pub total_tokens: u64,
    /// Tokens that still fit; null when nobody knows how many do.
    pub remaining_tokens: Option<u64>,
    /// How full its context is; null when nobody knows its size.
    pub percent_used: Option<u64>,
    /// Its model; null when none is configured.
    pub model: Option<String>,
    /// The size of its context; null when nobody knows it.
    pub context_tokens: Option<u64>,
    /// How it is set, in short.
    pub flags: Vec<String>,
}

/// One agent's sessions in the status summary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentSessionsStatus {
    /// The agent.
    pub agent_id: String,
    /// Its store, for people.
    pub path: String,
    /// How many sessions it has.
    pub count: u64,
    /// The newest.
    pub recent: Vec<StatusSession>,
}

/// The sessions in the status summary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionsStatus {
    /// The stores, for people.
    pub paths: Vec<String>,
    /// How many sessions there are.
    pub count: u64,
    /// What they use unless they say otherwise.
    pub defaults: SessionModelDefaults,
    /// The newest, at most ten.
    pub recent: Vec<StatusSession>,
    /// The same for each agent.
    pub by_agent: Vec<AgentSessionsStatus>,
}

/// Reply of `status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusSummary {
    /// Which channel the owner is reached by; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_channel: Option<LinkChannel>,
    /// The heartbeats.
    pub heartbeat: HeartbeatStatus,
    /// One line per channel.
    pub channel_summary: Vec<String>,
    /// Notes that wait for the main session.
    pub queued_system_events: Vec<String>,
    /// The sessions.
    pub sessions: SessionsStatus,
    /// The supervisor's view of the instance.
    pub supervisor: FleetStatus,
}
