//! `activity`: what the gateway is doing at this moment, for a person who watches it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of `activity`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivityParams {}

/// Reply of `activity`. What is counted only grows while one life of the gateway lasts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Activity {
    /// When it was so, in milliseconds since the epoch.
    pub ts: u64,
    /// How long this life of the gateway has lasted, in milliseconds.
    pub uptime_ms: u64,
    /// Clients that are connected and let in, nodes among them.
    pub clients: u64,
    /// Sockets on which nobody has said yet who it is.
    pub unauthenticated: u64,
    /// Nodes that are connected.
    pub nodes: u64,
    /// Events that were sent, one for each client.
    pub events_sent: u64,
    /// Clients that were closed because they did not read.
    pub slow_readers: u64,
    /// Requests that were answered, by method, as far as there were any.
    pub requests: Vec<MethodActivity>,
    /// Runs that wait or are under way, in the order of their sessions; the first thousand.
    pub runs: Vec<RunActivity>,
    /// Everything that something can wait in.
    pub queues: Vec<QueueActivity>,
}

/// The requests for one method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MethodActivity {
    /// The method, or `other` for all that there are not.
    pub method: String,
    /// How many were answered.
    pub answered: u64,
    /// How many of them by an error.
    pub failed: u64,
    /// How long all of them took together, in milliseconds.
    pub took_ms: f64,
}

/// A run of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunActivity {
    /// The run.
    pub run_id: String,
    /// Its session.
    pub session_key: String,
    /// What has asked for it: `chat`, `agent`, `cron`, …
    pub kind: String,
    /// Whether it is under way, and does not wait.
    pub is_active: bool,
    /// How long it has been so, in milliseconds.
    pub for_ms: u64,
}

/// Something that others wait in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueActivity {
    /// What it is.
    pub name: String,
    /// How much is in it.
    pub count: u64,
    /// How much there can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}
