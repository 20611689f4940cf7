//! `cron.*`: what is to happen at set times.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::literals;
use crate::protocol::strict::strict_options;

mod by_id;
mod job;
mod payload;
mod schedule;

pub use self::by_id::{
    CronRemoveParams, CronRunMode, CronRunParams, CronRunsParams, CronUpdateParams,
};
pub use self::job::{
    CronAddParams, CronIsolation, CronJob, CronJobPatch, CronJobState, CronStatus, PostMode,
    SessionTarget,
};
pub use self::payload::{CronPayload, CronPayloadPatch, Note, NotePatch, Turn, TurnPatch};
pub use self::schedule::CronSchedule;
pub use super::heartbeat::WakeMode;

/// Parameters of `cron.status`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CronStatusParams {}

/// Reply of `cron.status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CronStatusReply {
    /// Whether jobs are run.
    pub enabled: bool,
    /// Where jobs are kept, for people.
    pub store_path: String,
    /// How many there are.
    pub jobs: u64,
    /// When the next one is due, in milliseconds since the epoch; null when nothing would happen.
    pub next_wake_at_ms: Option<u64>,
}

/// Parameters of `cron.list`.
#[strict_options]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CronListParams {
    /// Whether jobs that are switched off are listed.
    pub include_disabled: Option<bool>,
}

/// Reply of `cron.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CronListReply {
    /// The jobs, the one that is due first at the front.
    pub jobs: Vec<CronJob>,
}

/// Reply of `cron.remove`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CronRemoveReply {
    /// Always true.
    pub ok: bool,
    /// Whether there was such a job.
    pub removed: bool,
}

/// Reply of `cron.run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CronRunReply {
    /// Always true.
    pub ok: bool,
    /// Whether it ran.
    pub ran: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How a run went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CronRunEntry {
    /// When this was noted, in milliseconds since the epoch.
    pub ts: u64,
    /// The job.
    pub job_id: String,
    /// Always `finished`.
    pub action: CronAction,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<CronStatus>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What came of it, in short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// When it began, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_at_ms: Option<u64>,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// When the job is due next, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_at_ms: Option<u64>,
}

/// Reply of `cron.runs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CronRunsReply {
    /// The newest runs, the oldest of them first.
    pub entries: Vec<CronRunEntry>,
}

literals! {
    /// What happened to a job.
    pub enum CronAction {
        /// It is new.
        Added = "added",
        /// It was changed.
        Updated = "updated",
        /// It is gone.
        Removed = "removed",
        /// It runs.
        Started = "started",
        /// It ran.
        Finished = "finished",
    }
}

/// Payload of the `cron` event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CronEventPayload {
    /// The job.
    pub job_id: String,
    /// What happened to it.
    pub action: CronAction,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<CronStatus>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What came of it, in short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// When the run began, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_at_ms: Option<u64>,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// When the job is due next, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_at_ms: Option<u64>,
}
