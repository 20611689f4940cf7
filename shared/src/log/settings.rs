//! What can be set about logging, as plain data; it crosses the control channel with the launch of a child.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::level_filters::LevelFilter;

pub use crate::config::section::{ConsoleStyle, LogLevel as Level};

const MIB: u64 = 1024 * 1024;

/// Settings of the log; where the values come from is the business of whoever parsed the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogSettings {
    /// The folder of the daily files; created with mode 0700.
    pub dir: PathBuf,
    /// One fixed file instead of the daily ones (`logging.file`).
    pub file: Option<PathBuf>,
    /// The least important level that goes into the file.
    pub level: Level,
    /// The least important level that goes to the console.
    pub console_level: Level,
    /// How console lines look; none means pretty on a terminal and compact elsewhere.
    pub console_style: Option<ConsoleStyle>,
    /// `--verbose`: debug on the console, whatever `console_level` says.
    pub verbose: bool,
    /// Whether a terminal may be sent colours; false for `--no-color` and `NO_COLOR`.
    pub color: bool,
    /// A file that would grow past this is renamed and a new one begun.
    pub max_file_bytes: u64,
    /// Files of days before these are deleted.
    pub keep_days: u32,
    /// All files together; the oldest are deleted first.
    pub max_total_bytes: u64,
    /// How WebSocket frames are logged.
    pub ws_log: WsLog,
}

impl LogSettings {
    /// The defaults, writing into `dir`.
    #[must_use]
    pub const fn in_dir(dir: PathBuf) -> Self {
        Self {
            dir,
            file: None,
            level: Level::Info,
            console_level: Level::Info,
            console_style: None,
            verbose: false,
            color: true,
            max_file_bytes: 10 * MIB,
            keep_days: 7,
            max_total_bytes: 100 * MIB,
            ws_log: WsLog::Auto,
        }
    }

    pub(super) fn file_filter(&self) -> LevelFilter {
        filter(self.level)
    }

    pub(super) fn console_filter(&self) -> LevelFilter {
        let configured = filter(self.console_level);
        if self.verbose {
            configured.max(LevelFilter::DEBUG)
        } else {
            configured
        }
    }
}

/// The level of the configuration as `tracing` knows it.
const fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Silent => LevelFilter::OFF,
        // `tracing` knows nothing above an error; what ends a process is written as one.
        Level::Fatal | Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    }
}

/// How WebSocket traffic is logged (`--ws-log`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WsLog {
    /// Failed and slow answers; with `--verbose` paired one-liners.
    #[default]
    Auto,
    /// Every frame.
    Full,
    /// Paired one-liners.
    Compact,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_the_right_way_round() {
        let mut settings = LogSettings::in_dir(PathBuf::from("/logs"));
        settings.level = Level::Debug;
        assert!(settings.file_filter() >= tracing::Level::DEBUG);
        assert!(settings.file_filter() < tracing::Level::TRACE);
        settings.level = Level::Error;
        assert!(settings.file_filter() >= tracing::Level::ERROR);
        assert!(settings.file_filter() < tracing::Level::WARN);
        settings.level = Level::Silent;
        assert!(settings.file_filter() < tracing::Level::ERROR);
    }

    #[test]
    fn verbose_raises_the_console_and_nothing_else() {
        let mut settings = LogSettings::in_dir(PathBuf::from("/logs"));
        settings.verbose = true;
        assert_eq!(settings.console_filter(), LevelFilter::DEBUG);
        assert_eq!(settings.file_filter(), LevelFilter::INFO);
        settings.console_level = Level::Trace;
        assert_eq!(settings.console_filter(), LevelFilter::TRACE);
    }

    #[test]
    fn settings_survive_the_control_channel() {
        let settings = LogSettings::in_dir(PathBuf::from("/logs"));
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(
            serde_json::from_str::<LogSettings>(&text).unwrap(),
            settings
        );
    }
}
