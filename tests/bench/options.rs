//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::load::Plan;
use crate::measure::{Measurement, RunsPart};
use crate::subject::{Programs, Subject};

/// Measure the peer, this gateway and a bare echo in turn, in one run
///
/// Run it as `cargo xtask bench -- OPTIONS`, which builds and installs what takes part. The table goes to stdout, the
/// progress to stderr. Everything at its defaults takes more than an hour, much of it idle.
#[derive(Debug, Parser)]
#[command(name = "bench")]
pub(crate) struct Options {
    /// Measure these only (several: separated by commas) [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Measurement>,

    /// Measure these subjects only [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    subjects: Vec<Subject>,

    /// Leave the peer out
    #[arg(long)]
    no_peer: bool,

    /// How many launches of each subject a median is taken over
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,

    /// Seconds between the first hello and the idle measurements
    #[arg(long, default_value_t = 5)]
    settle_seconds: u64,

    /// Seconds of the idle span whose processor time is taken
    #[arg(long, default_value_t = 60)]
    pub(crate) idle_seconds: u64,

    /// Seconds for each combination of method and shape
    #[arg(long, default_value_t = 2)]
    rate_seconds: u64,

    /// Clients in a request loop, for kills and replacements
    #[arg(long, default_value_t = 50)]
    pub(crate) clients: usize,

    /// Milliseconds that a client waits after a connect that failed
    #[arg(long, default_value_t = 100)]
    retry_ms: u64,

    /// Restarts, and configuration changes, in a row
    #[arg(long, default_value_t = 30)]
    pub(crate) replacements: usize,

    /// Measure these of the runs of agents only (several: separated by commas) [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    runs_parts: Vec<RunsPart>,

    /// Runs over which memory is watched
    #[arg(long, default_value_t = 10_000)]
    pub(crate) runs: usize,

    /// The same for the peer, which takes a hundred times as long
    #[arg(long, default_value_t = 500)]
    pub(crate) peer_runs: usize,

    /// Sessions of which a list is asked for
    #[arg(long, default_value_t = 10_000)]
    pub(crate) sessions: usize,

    /// Messages of the conversation whose history is asked for
    #[arg(long, default_value_t = 10_000)]
    pub(crate) messages: usize,

    /// Folder that `cargo xtask peer` filled [default: ~/.cache/peer-openclaw]
    #[arg(long)]
    peer_dir: Option<PathBuf>,

    /// Folder of our binaries [default: where this program lies]
    #[arg(long)]
    bin_dir: Option<PathBuf>,

    /// Also write every sample to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

impl Options {
    pub(crate) fn measures(&self, measurement: Measurement) -> bool {
        self.only.is_empty() || self.only.contains(&measurement)
    }

    pub(crate) fn measures_runs(&self, part: RunsPart) -> bool {
        self.runs_parts.is_empty() || self.runs_parts.contains(&part)
    }

    /// Whether anything is measured on one life of a subject after the other.
    pub(crate) fn measures_lives(&self) -> bool {
        [
            Measurement::Startup,
            Measurement::Memory,
            Measurement::IdleCpu,
            Measurement::Rate,
            Measurement::Connect,
            Measurement::Fanout,
            Measurement::Durable,
            Measurement::Stopped,
            Measurement::Flood,
            Measurement::Runs,
        ]
        .into_iter()
        .any(|measurement| self.measures(measurement))
    }

    pub(crate) fn subjects(&self) -> Vec<Subject> {
        [Subject::Peer, Subject::Ours, Subject::Echo]
            .into_iter()
            .filter(|subject| self.subjects.is_empty() || self.subjects.contains(subject))
            .filter(|subject| !(self.no_peer && *subject == Subject::Peer))
            .collect()
    }

    pub(crate) fn programs(&self) -> Programs {
        let beside = || std::env::current_exe().ok()?.parent().map(PathBuf::from);
        let cache = || Some(std::env::home_dir()?.join(".cache/peer-openclaw"));
        Programs {
            ours: self.bin_dir.clone().or_else(beside).unwrap_or_default(),
            peer: self.peer_dir.clone().or_else(cache).unwrap_or_default(),
        }
    }

    pub(crate) fn settle(&self) -> Duration {
        Duration::from_secs(self.settle_seconds)
    }

    pub(crate) fn idle_span(&self) -> Duration {
        Duration::from_secs(self.idle_seconds)
    }

    pub(crate) fn rate_span(&self) -> Duration {
        Duration::from_secs(self.rate_seconds)
    }

    pub(crate) fn fanout_span(&self) -> Duration {
        self.rate_span().min(Duration::from_secs(1))
    }

    /// The clients of the measurements with faults.
    pub(crate) fn load(&self, method: &'static str) -> Plan {
        Plan {
            clients: self.clients,
            method,
            retry_after: Duration::from_millis(self.retry_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Options;

    #[test]
    fn the_command_line_is_well_formed() {
        Options::command().debug_assert();
    }
}
