//! `last-heartbeat`, `set-heartbeats` and `wake`: what wakes an agent by itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::literals;
use crate::protocol::strict::NonEmpty;

/// Parameters of `last-heartbeat`; whatever is sent is ignored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LastHeartbeatParams {}

/// Parameters of `set-heartbeats`; unknown ones are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetHeartbeatsParams {
    /// Whether hearts beat.
    pub enabled: bool,
}

/// Reply of `set-heartbeats`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetHeartbeatsReply {
    /// Always true.
    pub ok: bool,
    /// Whether hearts beat.
    pub enabled: bool,
}

literals! {
    /// When a note is told to the agent.
    pub enum WakeMode {
        /// At once.
        Now = "now",
        /// When it wakes up next.
        NextHeartbeat = "next-heartbeat",
    }
}

/// Parameters of `wake`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WakeParams {
    /// When the agent is told.
    pub mode: WakeMode,
    /// What it is told.
    pub text: NonEmpty,
}

/// Reply of `wake`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WakeReply {
    /// Whether the note waits; false when it is blank.
    pub ok: bool,
}
