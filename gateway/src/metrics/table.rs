//! Every metric: its name, what it is, and what it is told apart by. The page in `docs/OPERATIONS.md` is made of this.

/// What kind of number it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It only grows, until its process is another one.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How long something takes, by upper bounds.
    Histogram,
}

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) labels: &'static [&'static str],
    /// One sentence.
    pub(crate) help: &'static str,
}

macro_rules! metrics {
    ($($id:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(pub(crate) static $id: Metric = Metric {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
        };)+

        /// All of them, in the order of the page.
        #[cfg(test)]
        pub(crate) static ALL: &[&Metric] = &[$(&$id),+];
    };
}

metrics! {
    BUILD_INFO = Gauge "openclaw_build_info" ["version"] "Always 1; the version of the gateway is the label.";
    START_TIME = Gauge "openclaw_gateway_start_time_seconds" [] "When this life of the gateway began, in seconds since 1970.";
    READY = Gauge "openclaw_gateway_active" [] "Whether this life of the gateway serves, and is neither on standby nor draining.";

    SUPERVISOR_MEMORY = Gauge "openclaw_supervisor_resident_memory_bytes" [] "Resident memory of the supervisor itself when it has last looked.";
    CHILD_STATE = Gauge "openclaw_child_state" ["child", "state"] "1 for the state that a child is in, as the supervisor sees it.";
    CHILD_GENERATION = Gauge "openclaw_child_generation" ["child"] "Which of its lives a child is in.";
    CHILD_RESTARTS = Counter "openclaw_child_restarts_total" ["child"] "How often a child was started again after it died by itself.";
    CHILD_MEMORY = Gauge "openclaw_child_resident_memory_bytes" ["child"] "Resident memory of a child when the supervisor has last looked.";
    CHILD_MEMORY_LIMIT = Gauge "openclaw_child_memory_limit_bytes" ["child"] "How much resident memory a child may use; absent when it has no bound.";
    CHILD_CPU = Counter "openclaw_child_cpu_seconds_total" ["child"] "Processor time of this life of a child when the supervisor has last looked.";
    CONFIG_STATE = Gauge "openclaw_config_state" ["state"] "1 for how the running configuration relates to its file.";
    RECOVERY = Gauge "openclaw_recovery_rung" ["rung"] "1 for how far the supervisor had to go to keep the instance alive.";

    CLIENTS = Gauge "openclaw_clients" [] "Clients that are connected and let in, nodes among them.";
    STRANGERS = Gauge "openclaw_clients_unauthenticated" [] "Sockets on which nobody has said yet who it is.";
    OPENED = Counter "openclaw_connections_total" [] "WebSocket connections that were opened.";
    TURNED = Counter "openclaw_handshakes_refused_total" ["reason"] "Connections that were not let in, by reason.";
    SLOW_READERS = Counter "openclaw_slow_readers_dropped_total" [] "Clients that were closed because they did not read.";
    REQUESTS = Counter "openclaw_requests_total" ["method", "outcome"] "Requests of clients that were answered, by method and outcome; `other` is any method that does not exist.";
    REQUEST_SECONDS = Histogram "openclaw_request_duration_seconds" ["method"] "How long requests of clients took to be answered (runs: to be accepted).";
    EVENTS = Counter "openclaw_events_sent_total" [] "Events that were sent, one for each client.";
    EVENTS_SKIPPED = Counter "openclaw_events_skipped_total" [] "Events that slow clients have lost because a later one says it too.";
    HTTP = Counter "openclaw_http_responses_total" ["code"] "Answers over HTTP on the base port, by class of status.";

    RUNS_QUEUED = Gauge "openclaw_runs_queued" [] "Runs of agents that wait for their turn.";
    RUNS_ACTIVE = Gauge "openclaw_runs_active" ["class"] "Runs of agents that are under way.";
    RUNS_BOUND = Gauge "openclaw_runs_active_limit" ["class"] "How many runs may be under way at once.";
    LANES = Gauge "openclaw_lanes" [] "Sessions that have a run under way, or one that waits.";
    RUNS = Counter "openclaw_runs_total" ["outcome"] "Runs that are over, by outcome.";
    RUN_SECONDS = Histogram "openclaw_run_duration_seconds" [] "How long runs took, from their beginning to their end.";
    TOKENS = Counter "openclaw_tokens_total" ["kind"] "Tokens of models, as their providers count them.";

    STORE_OPEN = Gauge "openclaw_store_open" [] "Whether the store can be used.";
    COMMITS = Histogram "openclaw_store_commit_duration_seconds" [] "How long commits of the store took, the sync to the disk included; writes that wait at once share one.";
    COMMITS_FAILED = Counter "openclaw_store_commits_failed_total" [] "Commits that failed; what they were to keep was refused.";
    WRITES = Counter "openclaw_store_writes_total" [] "Writes that were committed, or failed.";
    WRITES_WAITING = Gauge "openclaw_store_writes_waiting" [] "Writes that wait for their turn.";
    STORE_BYTES = Gauge "openclaw_store_file_bytes" ["file"] "Size of the store on the disk: the database and its log of changes.";

    CRON_JOBS = Gauge "openclaw_cron_jobs" [] "Jobs that are kept.";
    CRON_RUNS = Counter "openclaw_cron_runs_total" ["outcome"] "Occurrences of jobs that are over, by outcome.";
    CRON_NEXT = Gauge "openclaw_cron_next_run_time_seconds" [] "When the next job is due, in seconds since 1970; absent when none is.";

    NODES = Gauge "openclaw_nodes_connected" [] "Nodes that are connected.";
    INVOKES = Gauge "openclaw_node_invokes_pending" [] "Requests to nodes that have no answer yet.";
}

/// The table as a person reads it.
#[cfg(test)]
pub(crate) fn markdown() -> String {
    use std::fmt::Write as _;
    let mut text = String::from("| metric | type | labels | meaning |\n|---|---|---|---|\n");
    for metric in ALL {
        let labels: Vec<String> = metric.labels.iter().map(|it| format!("`{it}`")).collect();
        let (name, kind, help) = (metric.name, metric.kind.as_str(), metric.help);
        // Writing to a text does not fail.
        let _ = writeln!(
            text,
            "| `{name}` | {kind} | {} | {help} |",
            labels.join(", ")
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{ALL, Kind};

    #[test]
    fn names_say_what_they_count_and_in_which_unit() {
        let mut seen = BTreeSet::new();
        for metric in ALL {
            let name = metric.name;
            assert!(seen.insert(name), "{name} is there twice");
            assert!(name.starts_with("openclaw_"), "{name}");
            assert!(
                name.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
                "{name}"
            );
            assert_eq!(
                name.ends_with("_total"),
                metric.kind == Kind::Counter,
                "{name}"
            );
            if metric.kind == Kind::Histogram {
                assert!(name.ends_with("_seconds"), "{name}");
            }
            assert!(metric.help.ends_with('.'), "{name}");
            assert!(!metric.labels.contains(&"le"), "{name}");
        }
    }

    /// The page of the operator is made here, and is to say what is there.
    #[test]
    fn the_operators_page_says_what_is_there() {
        const BEGIN: &str = "<!-- metrics: made by the tests of gateway/src/metrics/table.rs -->\n";
        const END: &str = "<!-- end of metrics -->";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/OPERATIONS.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (before, rest) = page.split_once(BEGIN).expect("the page has a place for it");
        let (table, after) = rest.split_once(END).expect("and an end of it");
        let wanted = format!("\n{}\n", super::markdown());
        let update = openclaw_shared::instance::Environment::from_process();
        if update.get("UPDATE").is_some() {
            std::fs::write(path, format!("{before}{BEGIN}{wanted}{END}{after}")).unwrap();
        } else {
            assert_eq!(table, wanted, "run it again with UPDATE=1");
        }
    }
}
