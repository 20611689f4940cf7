//! A job as it is made, changed and shown.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::payload::{CronPayload, CronPayloadPatch};
use super::schedule::CronSchedule;
use crate::literals;
use crate::protocol::params::heartbeat::WakeMode;
use crate::protocol::strict::{Int, NonEmpty, OrNull, object, present_object, strict_options};

literals! {
    /// Which session a job belongs to.
    pub enum SessionTarget {
        /// The main one; it is left a note.
        Main = "main",
        /// One of its own.
        Isolated = "isolated",
    }
}

literals! {
    /// What of an isolated run is told to the main session.
    pub enum PostMode {
        /// A summary.
        Summary = "summary",
        /// All of it.
        Full = "full",
    }
}

/// How an isolated run is told to the main session.
#[strict_options]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CronIsolation {
    /// What the note begins with.
    pub post_to_main_prefix: Option<String>,
    /// How much of the answer.
    pub post_to_main_mode: Option<PostMode>,
    /// How many characters at most.
    pub post_to_main_max_chars: Option<Int<0>>,
}

/// Parameters of `cron.add`: the job. Before they are looked at, `{job: …}` and `{data: …}` are unwrapped, times are read from
/// texts, and what follows from the rest is filled in.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CronAddParams {
    /// Its name for people.
    pub name: NonEmpty,
    /// The agent; the default one when null or absent.
    pub agent_id: Option<OrNull<NonEmpty>>,
    /// What it is for.
    pub description: Option<String>,
    /// Whether it happens at all; true when absent.
    pub enabled: Option<bool>,
    /// Whether it is gone after it went well once.
    pub delete_after_run: Option<bool>,
    /// When it is due.
    #[serde(deserialize_with = "object")]
    pub schedule: CronSchedule,
    /// Which session it belongs to.
    pub session_target: SessionTarget,
    /// When the agent is told.
    pub wake_mode: WakeMode,
    /// What it does.
    #[serde(deserialize_with = "object")]
    pub payload: CronPayload,
    /// How an isolated run is told to the main session.
    #[serde(
        default,
        deserialize_with = "present_object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "CronIsolation")]
    pub isolation: Option<CronIsolation>,
}

/// A change of a job: what is left out stays.
#[strict_options]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CronJobPatch {
    /// Its name for people.
    pub name: Option<NonEmpty>,
    /// The agent; null for the default one.
    pub agent_id: Option<OrNull<NonEmpty>>,
    /// What it is for; empty for nothing.
    pub description: Option<String>,
    /// Whether it happens at all.
    pub enabled: Option<bool>,
    /// Whether it is gone after it went well once.
    pub delete_after_run: Option<bool>,
    /// When it is due.
    #[serde(
        default,
        deserialize_with = "present_object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "CronSchedule")]
    pub schedule: Option<CronSchedule>,
    /// Which session it belongs to.
    pub session_target: Option<SessionTarget>,
    /// When the agent is told.
    pub wake_mode: Option<WakeMode>,
    /// What it does.
    #[serde(
        default,
        deserialize_with = "present_object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "CronPayloadPatch")]
    pub payload: Option<CronPayloadPatch>,
    /// How an isolated run is told to the main session.
    #[serde(
        default,
        deserialize_with = "present_object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "CronIsolation")]
    pub isolation: Option<CronIsolation>,
}

literals! {
    /// How a run of a job ended.
    pub enum CronStatus {
        /// Well.
        Ok = "ok",
        /// Not well.
        Error = "error",
        /// There was nothing to do.
        Skipped = "skipped",
    }
}

/// How it is going with a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CronJobState {
    /// When it is due next, in milliseconds since the epoch; absent when nothing would happen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_at_ms: Option<u64>,
    /// Since when it runs, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_at_ms: Option<u64>,
    /// When it ran last, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run_at_ms: Option<u64>,
    /// How that ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_status: Option<CronStatus>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_duration_ms: Option<u64>,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CronJob {
    /// Its id.
    pub id: String,
    /// The agent; the default one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Its name for people.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether it happens at all.
    pub enabled: bool,
    /// Whether it is gone after it went well once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_after_run: Option<bool>,
    /// When it was made, in milliseconds since the epoch.
    pub created_at_ms: u64,
    /// When it was changed last, in milliseconds since the epoch.
    pub updated_at_ms: u64,
    /// When it is due.
    pub schedule: CronSchedule,
    /// Which session it belongs to.
    pub session_target: SessionTarget,
    /// When the agent is told.
    pub wake_mode: WakeMode,
    /// What it does.
    pub payload: CronPayload,
    /// How an isolated run is told to the main session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<CronIsolation>,
    /// How it is going.
    pub state: CronJobState,
}
