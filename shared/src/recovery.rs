//! What the supervisor does when something fails, as a ladder of rungs, and what a second instance sees of the one it watches.
//!
//! The types are those of `health.supervisor` and of `gateway status`. They decide nothing: the supervisor climbs, everybody else
//! only shows.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control::ChildName;

/// How far recovery had to go, from nothing at all to the end of the instance. A later rung is more than an earlier one.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// Nothing has failed within the last minute.
    #[default]
    Well,
    /// A child died and was started again at once.
    Restarted,
    /// A child used more memory than it may, and a successor took its place.
    Replaced,
    /// A successor did not come up; the predecessor serves on.
    Discarded,
    /// An edit of the configuration was refused; the one before it runs.
    Refused,
    /// A child failed again, and waits before its next start or its next replacement.
    BackingOff,
    /// A child cannot be kept alive; it is tried again once a minute.
    GivenUp,
    /// A configuration could not be put in force; the one before it runs again.
    RolledBack,
    /// The file could not be used at the start; the last configuration that was good runs.
    LastGood,
    /// The instance ends, because it is worth nothing without a child that cannot be kept alive.
    Stopped,
}

impl Rung {
    /// The word on the wire and in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Restarted => "restarted",
            Self::Replaced => "replaced",
            Self::Discarded => "discarded",
            Self::Refused => "refused",
            Self::BackingOff => "backing-off",
            Self::GivenUp => "given-up",
            Self::RolledBack => "rolled-back",
            Self::LastGood => "last-good",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One step up the ladder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// When, in milliseconds since the epoch.
    pub ts: u64,
    /// To which rung.
    pub rung: Rung,
    /// The child that failed; absent when it was the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child: Option<ChildName>,
    /// Why.
    pub reason: String,
    /// How long the child waits, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// How the life of an instance ended that did not end as it should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastStop {
    /// When, in milliseconds since the epoch.
    pub ts: u64,
    /// The exit code.
    pub code: u8,
    /// What the code means, and what led to it.
    pub reason: String,
}

/// How recovery stands; `health.supervisor.recovery` on the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Recovery {
    /// The highest rung that is in effect.
    pub rung: Rung,
    /// The last steps, the oldest first.
    pub steps: Vec<Step>,
    /// How the life before this one ended, when it ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_stop: Option<LastStop>,
}

/// How a watched instance is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WatchedState {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    /// Its supervisor answers, and its gateway may be trusted with traffic.
    Up,
    /// Its supervisor answers, and its gateway is not ready.
    Unwell,
    /// Its supervisor does not answer.
    Down,
}

impl fmt::Display for WatchedState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Unwell => "unwell",
            Self::Down => "down",
        })
    }
}

/// What this instance knows of the one it watches; `health.supervisor.watch` on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WatchedStatus {
    /// The profile of the watched instance; `default` for the one without a name.
    pub profile: String,
    /// How it is.
    pub state: WatchedState,
    /// Since when, in milliseconds since the epoch; absent before the first look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    /// Why it is not up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How often it has fallen since this instance watches.
    pub falls: u32,
}
