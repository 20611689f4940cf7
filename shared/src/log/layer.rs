//! The `tracing` layer: turns events and spans into records, and hands them to file and console.

use std::cell::Cell;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::Source;
use super::console::Console;
use super::file::{LogFile, Written};
use super::record::{Collect, Fields, Origin, Record, put};
use super::repeats::{Lapsed, Repeats, Verdict};
use super::settings::LogSettings;
use crate::clock::WallTime;
use crate::trace;

/// So many of the same line a second are written where an operator reads; the rest are summarised.
const ALLOWANCE: u32 = 20;
/// Whoever turned debugging on wants to see what happens, within what a disk stands.
const DEBUG_ALLOWANCE: u32 = 1_000;

thread_local! {
    /// Set while this thread writes a record, so that a panic in there does not wait for itself.
    static WRITING: Cell<bool> = const { Cell::new(false) };
}

/// Ends [`WRITING`], also when writing panicked.
struct Writing;

impl Drop for Writing {
    fn drop(&mut self) {
        WRITING.set(false);
    }
}

/// Identifies a line when repeats are counted.
#[derive(Debug, Clone, PartialEq)]
struct Key {
    level: Level,
    subsystem: String,
    text: String,
}

#[derive(Debug)]
struct Sinks {
    file: LogFile,
    console: Console,
    repeats: Repeats<Key>,
}

/// Where the records of this process go.
#[derive(Debug)]
pub(super) struct Logger {
    origin: Origin,
    file_filter: AtomicU8,
    console_filter: AtomicU8,
    sinks: Mutex<Sinks>,
}

impl Logger {
    pub(super) fn new(settings: &LogSettings, source: Source) -> Self {
        let hostname = nix::unistd::gethostname().unwrap_or_default();
        Self {
            origin: Origin {
                process: source.process,
                generation: source.generation,
                pid: std::process::id(),
                hostname: hostname.to_string_lossy().into_owned(),
            },
            file_filter: AtomicU8::new(rank(settings.file_filter())),
            console_filter: AtomicU8::new(rank(settings.console_filter())),
            sinks: Mutex::new(Sinks {
                file: LogFile::new(settings),
                console: Console::new(settings),
                repeats: Repeats::new(),
            }),
        }
    }

    pub(super) fn reconfigure(&self, settings: &LogSettings) {
        self.file_filter
            .store(rank(settings.file_filter()), Ordering::Relaxed);
        self.console_filter
            .store(rank(settings.console_filter()), Ordering::Relaxed);
        self.with_sinks(|sinks| {
            sinks.file.reconfigure(settings);
            sinks.console.reconfigure(settings);
        });
    }

    /// Writes the summaries that are still held back.
    pub(super) fn flush(&self, now: WallTime) {
        self.with_sinks(|sinks| {
            for lapsed in sinks.repeats.finish() {
                self.put(sinks, &summary(now, lapsed));
            }
        });
    }

    fn accept(&self, record: &Record) {
        let key = Key {
            level: record.level,
            subsystem: record.subsystem.clone(),
            text: record.text.clone(),
        };
        let allowance = if record.level <= Level::INFO {
            ALLOWANCE
        } else {
            DEBUG_ALLOWANCE
        };
        self.with_sinks(|sinks| {
            for lapsed in sinks.repeats.lapse(record.time) {
                self.put(sinks, &summary(record.time, lapsed));
            }
            match sinks.repeats.judge(record.time, &key, allowance) {
                Verdict::Write => self.put(sinks, record),
                Verdict::Suppress => {}
            }
        });
    }

    fn put(&self, sinks: &mut Sinks, record: &Record) {
        let rank = rank(LevelFilter::from_level(record.level));
        if rank <= self.console_filter.load(Ordering::Relaxed) {
            sinks.console.write(record);
        }
        if rank > self.file_filter.load(Ordering::Relaxed) {
            return;
        }
        match sinks
            .file
            .write(record.time, &record.to_json_line(&self.origin))
        {
            Written::Yes | Written::Lost => {}
            Written::FirstLost(reason) => {
                let path = sinks.file.path(record.time).display().to_string();
                sinks.console.write(&own_record(
                    record.time,
                    Level::ERROR,
                    "the log file cannot be written; records are lost until it can",
                    [("path", Value::from(path)), ("reason", Value::from(reason))],
                ));
            }
            Written::Recovered(loss) => {
                let note = own_record(
                    record.time,
                    Level::WARN,
                    "records were lost while the log file could not be written",
                    [
                        ("lost", Value::from(loss.records)),
                        ("reason", Value::from(loss.reason)),
                    ],
                );
                sinks.console.write(&note);
                // Should this fail, the next line that gets through reports the loss again.
                let _ = sinks
                    .file
                    .write(record.time, &note.to_json_line(&self.origin));
            }
        }
    }

    fn with_sinks(&self, act: impl FnOnce(&mut Sinks)) {
        if WRITING.replace(true) {
            return;
        }
        let _writing = Writing;
        act(&mut self.sinks.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let most = self.most_detailed();
        if is_foreign(metadata.target()) {
            return *metadata.level() <= Level::WARN && rank_of(metadata) <= most;
        }
        // Spans carry the context of whatever is logged inside them, a warning as well as a debug line.
        let most = if metadata.is_span() {
            most.max(rank(LevelFilter::INFO))
        } else {
            most
        };
        rank_of(metadata) <= most
    }

    fn most_detailed(&self) -> u8 {
        let file = self.file_filter.load(Ordering::Relaxed);
        file.max(self.console_filter.load(Ordering::Relaxed))
    }
}

/// Connects `tracing` with the [`Logger`] of this process.
#[derive(Debug)]
pub(super) struct LogLayer {
    logger: Arc<Logger>,
}

impl LogLayer {
    pub(super) const fn new(logger: Arc<Logger>) -> Self {
        Self { logger }
    }
}

struct SpanFields(Fields);

impl<S> Layer<S> for LogLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.logger.wants(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.logger.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let most = self.logger.most_detailed().max(rank(LevelFilter::INFO));
        LEVELS.get(usize::from(most)).copied()
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut collect = Collect::default();
        attributes.record(&mut collect);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(SpanFields(collect.fields));
        }
    }

    fn on_record(&self, id: &Id, values: &tracing::span::Record<'_>, context: Context<'_, S>) {
        let mut collect = Collect::default();
        values.record(&mut collect);
        let Some(span) = context.span(id) else { return };
        if let Some(SpanFields(fields)) = span.extensions_mut().get_mut::<SpanFields>() {
            for (name, value) in collect.fields {
                put(fields, &name, value);
            }
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut collect = Collect::default();
        event.record(&mut collect);
        let mut fields = Fields::new();
        for span in context
            .event_scope(event)
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            if let Some(SpanFields(of_span)) = span.extensions().get::<SpanFields>() {
                for (name, value) in of_span {
                    put(&mut fields, name, value.clone());
                }
            }
        }
        for (name, value) in collect.fields {
            put(&mut fields, &name, value);
        }
        self.logger.accept(&Record {
            time: WallTime::now(),
            level: *event.metadata().level(),
            subsystem: subsystem(event.metadata().target()),
            text: collect.message,
            fields,
            trace: trace::current(),
        });
    }
}

fn summary(now: WallTime, lapsed: Lapsed<Key>) -> Record {
    let mut fields = Fields::new();
    put(&mut fields, "repeated", Value::from(lapsed.key.text));
    Record {
        time: now,
        level: lapsed.key.level,
        subsystem: lapsed.key.subsystem,
        text: format!("last message repeated {} times", lapsed.times),
        fields,
        trace: None,
    }
}

fn own_record<const N: usize>(
    time: WallTime,
    level: Level,
    text: &str,
    fields: [(&str, Value); N],
) -> Record {
    let fields = fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    Record {
        time,
        level,
        subsystem: "log".to_owned(),
        text: text.to_owned(),
        fields,
        trace: None,
    }
}

/// The subsystem that a target means: our own code names it outright, or else its module path is translated
/// (`openclaw_gateway::hub` is `gateway/hub`).
fn subsystem(target: &str) -> String {
    let target = match target.split_once("::") {
        Some((name, module)) => format!("{}/{module}", own_crate(name)),
        None => own_crate(target).to_owned(),
    };
    target.replace("::", "/").replace('_', "-")
}

fn own_crate(name: &str) -> &str {
    if name == "openclaw" {
        "supervisor"
    } else {
        name.strip_prefix("openclaw_").unwrap_or(name)
    }
}

/// Libraries name their targets by module path; only their warnings are of interest.
fn is_foreign(target: &str) -> bool {
    target.contains("::") && !target.starts_with("openclaw")
}

const LEVELS: [LevelFilter; 6] = [
    LevelFilter::OFF,
    LevelFilter::ERROR,
    LevelFilter::WARN,
    LevelFilter::INFO,
    LevelFilter::DEBUG,
    LevelFilter::TRACE,
];

fn rank(filter: LevelFilter) -> u8 {
    match filter.into_level() {
        None => 0,
        Some(Level::ERROR) => 1,
        Some(Level::WARN) => 2,
        Some(Level::INFO) => 3,
        Some(Level::DEBUG) => 4,
        Some(Level::TRACE) => 5,
    }
}

fn rank_of(metadata: &Metadata<'_>) -> u8 {
    rank(LevelFilter::from_level(*metadata.level()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::log::Level as Configured;

    fn settings(dir: &Path) -> LogSettings {
        let mut settings = LogSettings::in_dir(dir.to_path_buf());
        settings.console_level = Configured::Silent;
        settings
    }

    /// What `act` logs under `settings`, as the records of the file.
    fn logged(settings: &LogSettings, act: impl FnOnce(&Logger)) -> Vec<Value> {
        let source = Source {
            process: "gateway".to_owned(),
            generation: Some(1),
        };
        let logger = Arc::new(Logger::new(settings, source));
        let subscriber = tracing_subscriber::registry().with(LogLayer::new(Arc::clone(&logger)));
        tracing::subscriber::with_default(subscriber, || act(&logger));
        logger.flush(WallTime::now());
        let path = super::super::current_file(settings, WallTime::now());
        std::fs::read_to_string(path)
            .unwrap_or_default()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn events_carry_their_fields_and_those_of_their_spans() {
        let dir = tempfile::tempdir().unwrap();
        let records = logged(&settings(dir.path()), |_| {
            let span = tracing::info_span!(target: "gateway/ws", "connection", conn = "c1", n = 1);
            span.in_scope(|| {
                tracing::warn!(target: "gateway/ws", n = 2, token = "t0p", "a token=t0p was refused");
            });
        });
        assert_eq!(records.len(), 1);
        assert_eq!(records[0]["0"], "{\"subsystem\":\"gateway/ws\"}");
        assert_eq!(
            records[0]["1"],
            serde_json::json!({"conn": "c1", "n": 2, "token": "***"})
        );
        assert_eq!(records[0]["2"], "a token=*** was refused");
        assert_eq!(records[0]["_meta"]["logLevelName"], "WARN");
        assert_eq!(records[0]["_meta"]["process"], "gateway");
    }

    #[test]
    fn levels_change_while_running() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(dir.path());
        let records = logged(&settings, |logger| {
            let say = || tracing::debug!(target: "gateway", "a decision");
            say();
            let mut detailed = settings.clone();
            detailed.level = Configured::Debug;
            logger.reconfigure(&detailed);
            tracing::callsite::rebuild_interest_cache();
            say();
        });
        assert_eq!(records.len(), 1);
        assert_eq!(records[0]["1"], "a decision");
    }

    #[test]
    fn a_flood_is_summarised() {
        let dir = tempfile::tempdir().unwrap();
        let records = logged(&settings(dir.path()), |_| {
            for n in 0..50 {
                tracing::warn!(target: "gateway/ws", n, "refused");
            }
        });
        let last = records.last().unwrap();
        assert_eq!(last["1"]["repeated"], "refused");
        assert!(
            last["2"]
                .as_str()
                .unwrap()
                .starts_with("last message repeated ")
        );
        assert!(records.len() < 50, "{}", records.len());
    }

    #[test]
    fn a_value_that_logs_while_it_is_logged_does_not_block() {
        struct Chatty;
        impl std::fmt::Debug for Chatty {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                tracing::info!(target: "gateway", "inner");
                f.write_str("chatty")
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let records = logged(&settings(dir.path()), |_| {
            tracing::info!(target: "gateway", value = ?Chatty, "outer");
        });
        assert_eq!(records.last().unwrap()["1"]["value"], "chatty");
    }

    #[test]
    fn targets_become_subsystems() {
        assert_eq!(subsystem("gateway/ws"), "gateway/ws");
        assert_eq!(
            subsystem("openclaw_canvas_host::live_reload"),
            "canvas-host/live-reload"
        );
        assert_eq!(subsystem("openclaw"), "supervisor");
        assert_eq!(subsystem("openclaw::supervise"), "supervisor/supervise");
        assert!(is_foreign("hyper::proto") && !is_foreign("openclaw_gateway::hub"));
    }
}
