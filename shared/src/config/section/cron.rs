//! `cron`: runs at set times.

use crate::config::setting::section;

section! {
    /// Runs at set times.
    pub struct Cron {
        /// Whether jobs are run.
        "enabled" => enabled: bool = true;
        /// The file of the jobs; absent means the instance's own.
        "store" => store: Option<String> = None;
        /// How many jobs may run at once.
        "maxConcurrentRuns" => max_concurrent_runs: u32 = 1;
    }
}
