//! What is to happen at set times.

use super::methods;
use crate::protocol::params::cron::{
    CronAddParams, CronJob, CronListParams, CronListReply, CronRemoveParams, CronRemoveReply,
    CronRunParams, CronRunReply, CronRunsParams, CronRunsReply, CronStatusParams, CronStatusReply,
    CronUpdateParams,
};

methods! {
    "Cron";
    /// The jobs. No job runs before there are agent runs, so none has a next time.
    CronList = "cron.list", Read, CronListParams => CronListReply;
    /// Whether jobs are run, and how many there are.
    CronStatus = "cron.status", Read, CronStatusParams => CronStatusReply;
    /// Adds a job; it is switched on unless it says otherwise.
    CronAdd = "cron.add", Admin, CronAddParams => CronJob;
    /// Changes a job.
    CronUpdate = "cron.update", Admin, CronUpdateParams => CronJob;
    /// Removes a job and what is known of its runs.
    CronRemove = "cron.remove", Admin, CronRemoveParams => CronRemoveReply;
    /// Runs a job.
    CronRun = "cron.run", Admin, CronRunParams => CronRunReply, planned "jobs run when there are agent runs";
    /// How the newest runs of a job went.
    CronRuns = "cron.runs", Read, CronRunsParams => CronRunsReply;
}
