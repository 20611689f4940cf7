//! What is to happen at set times.

use super::methods;
use crate::protocol::params::cron::{
    CronAddParams, CronJob, CronListParams, CronListReply, CronRemoveParams, CronRemoveReply,
    CronRunParams, CronRunReply, CronRunsParams, CronRunsReply, CronStatusParams, CronStatusReply,
    CronUpdateParams,
};

methods! {
    "Cron";
    /// The jobs, the one that is due first at the front.
    CronList = "cron.list", Read, CronListParams => CronListReply;
    /// Whether jobs are run, and how many there are.
    CronStatus = "cron.status", Read, CronStatusParams => CronStatusReply;
    /// Adds a job; it is switched on unless it says otherwise.
    CronAdd = "cron.add", Admin, CronAddParams => CronJob;
    /// Changes a job.
    CronUpdate = "cron.update", Admin, CronUpdateParams => CronJob;
    /// Removes a job and what is known of its runs.
    CronRemove = "cron.remove", Admin, CronRemoveParams => CronRemoveReply;
    /// Runs a job that is due, or any with the mode `force`. Answers when the run is over.
    CronRun = "cron.run", Admin, CronRunParams => CronRunReply;
    /// How the newest runs of a job went.
    CronRuns = "cron.runs", Read, CronRunsParams => CronRunsReply;
}
