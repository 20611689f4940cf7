//! Logging, the same in all processes of an instance.
//!
//! Each record goes, in one write, as one JSON line into the instance's own folder, and as text to standard error.
//! The file is shared by all processes; it is rotated by day and by size, and what is older or larger than the
//! bounds is deleted. Secrets and control characters never get as far as a file or a terminal.
//!
//! Invariant: logging never fails and never waits. A full disk, an unwritable folder or a terminal that has stopped
//! reading costs records, which are counted and reported once it recovers.
//!
//! Code logs through `tracing`, with a constant message, fields, and the subsystem as the target:
//! `tracing::info!(target: "gateway/ws", conn = %id, "connection closed")`.

mod console;
mod file;
mod layer;
mod record;
mod redact;
mod repeats;
mod rotation;
mod settings;
mod text;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use tracing_subscriber::layer::SubscriberExt;

pub use redact::{redact, redact_with};
pub use settings::{ConsoleStyle, Level, LogSettings, WsLog};
pub use text::printable;

use crate::clock::WallTime;
use layer::{LogLayer, Logger};

static LOGGER: OnceLock<Arc<Logger>> = OnceLock::new();

/// Which process writes; part of every record.
#[derive(Debug, Clone)]
pub struct Source {
    /// The name of the process: `supervisor`, `gateway`, `canvas-host`, `browser-control`.
    pub process: String,
    /// The n-th life of a child; none for the supervisor.
    pub generation: Option<u64>,
}

/// Writes what is still held back (summaries of repeated lines) when it is dropped at the end of `main`.
#[derive(Debug)]
#[must_use = "dropping the guard ends the log"]
pub struct Guard {
    logger: Arc<Logger>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.logger.flush(WallTime::now());
    }
}

/// Starts logging in this process. A later call only changes the settings.
pub fn start(settings: &LogSettings, source: Source) -> Guard {
    let logger = LOGGER.get_or_init(|| {
        let logger = Arc::new(Logger::new(settings, source));
        let subscriber = tracing_subscriber::registry().with(LogLayer::new(Arc::clone(&logger)));
        if tracing::subscriber::set_global_default(subscriber).is_ok() {
            log_panics();
        }
        logger
    });
    reconfigure(settings);
    Guard {
        logger: Arc::clone(logger),
    }
}

/// Applies changed settings (levels, console style, bounds, file) to the running process; without effect before [`start`].
pub fn reconfigure(settings: &LogSettings) {
    if let Some(logger) = LOGGER.get() {
        logger.reconfigure(settings);
        tracing::callsite::rebuild_interest_cache();
    }
}

/// The file that a record written at `now` goes to; where `logs.tail` reads.
#[must_use]
pub fn current_file(settings: &LogSettings, now: WallTime) -> PathBuf {
    rotation::Naming::of(settings).live_path(&now.local_date())
}

/// The newest log file that exists: the current one, or else the one of the last day on which something was logged.
#[must_use]
pub fn newest_file(settings: &LogSettings, now: WallTime) -> Option<PathBuf> {
    file::newest(&rotation::Naming::of(settings), &now.local_date())
}

/// Every log file that is kept, the oldest first: what is searched when the newest does not reach far enough back.
#[must_use]
pub fn files(settings: &LogSettings) -> Vec<PathBuf> {
    file::all(&rotation::Naming::of(settings))
}

/// A panic is reported where an operator looks for everything else, as one line with secrets hidden; the default
/// hook would print it raw.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic
            .payload()
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.payload().downcast_ref::<String>().cloned())
            .unwrap_or_default();
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(target: "panic", message_of_panic = %message, place = %place, "a bug made a task panic");
    }));
}
