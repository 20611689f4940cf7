//! `logging`: what is written down, where, and what is left out.

use crate::config::setting::{choice, section};

section! {
    /// Logging.
    pub struct Logging {
        /// The least important level that reaches the file.
        "level" => level: LogLevel = LogLevel::Info;
        /// The log file; absent means a file in the instance's state directory.
        "file" => file: Option<String> = None;
        /// The least important level that reaches the console.
        "consoleLevel" => console_level: LogLevel = LogLevel::Info;
        /// How the console looks; absent depends on whether it is a terminal.
        "consoleStyle" => console_style: Option<ConsoleStyle> = None;
        /// Whether tool output is searched for secrets before it is logged.
        "redactSensitive" => redact_sensitive: RedactSensitive = RedactSensitive::Tools;
        /// Further patterns of what is left out.
        "redactPatterns" => redact_patterns: Vec<String> = Vec::new();
        /// The size at which a log file is rotated; absent means a built-in size. Our own key: the Node
        /// implementation refuses it.
        "maxFileBytes" => max_file_bytes: Option<u64> = None;
        /// How many days of log files are kept; absent means a built-in number. Our own key: the Node
        /// implementation refuses it.
        "keepDays" => keep_days: Option<u32> = None;
    }
}

choice! {
    /// How important a record is; a level lets through itself and everything more important.
    pub enum LogLevel {
        /// Nothing is written.
        Silent = "silent",
        /// The process cannot go on.
        Fatal = "fatal",
        /// Somebody must act.
        Error = "error",
        /// Odd, but handled.
        Warn = "warn",
        /// A change of state.
        Info = "info",
        /// A decision.
        Debug = "debug",
        /// Every frame.
        Trace = "trace",
    }
}

choice! {
    /// How records look on the console.
    pub enum ConsoleStyle {
        /// For people, in colour.
        Pretty = "pretty",
        /// For people, short.
        Compact = "compact",
        /// One JSON object a line.
        Json = "json",
    }
}

choice! {
    /// What is searched for secrets before it is logged.
    pub enum RedactSensitive {
        /// Nothing.
        Off = "off",
        /// The output of tools.
        Tools = "tools",
    }
}
