//! The console: how a record looks to a person, and how it gets to standard error without ever waiting for it.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Map, Value};
use tracing::Level;

use super::record::Record;
use super::settings::{ConsoleStyle, LogSettings};
use super::text::cut;

/// Not more than a pipe takes in one piece, so that a write never waits and lines of several processes never mix.
const LINE_BYTES: usize = 4_000;

const DIM: &str = "\x1b[2m";
const CYAN: &str = "\x1b[36m";
const YELLOW: &str = "\x1b[33m";
const RED: &str = "\x1b[31m";
const RESET: &str = "\x1b[0m";

/// The look of a console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    style: ConsoleStyle,
    color: bool,
}

impl Look {
    pub(super) fn of(settings: &LogSettings, terminal: bool) -> Self {
        let by_default = if terminal {
            ConsoleStyle::Pretty
        } else {
            ConsoleStyle::Compact
        };
        let style = settings.console_style.unwrap_or(by_default);
        Self {
            style,
            color: terminal && settings.color && style != ConsoleStyle::Json,
        }
    }

    /// The line of a record, with its line feed.
    pub(super) fn render(self, record: &Record) -> String {
        let mut line = match self.style {
            ConsoleStyle::Json => return json(record),
            ConsoleStyle::Pretty => self.paint(DIM, &record.time.local_time()),
            ConsoleStyle::Compact => self.paint(DIM, &record.time.to_rfc3339()),
        };
        let shown = shown_subsystem(&record.subsystem);
        let _ = write!(line, " {} ", self.paint(CYAN, &format!("[{shown}]")));
        match record.level {
            Level::ERROR => line.push_str(&self.paint(RED, "error: ")),
            Level::WARN => line.push_str(&self.paint(YELLOW, "warning: ")),
            _ => {}
        }
        line.push_str(without_prefix(&record.text, shown));
        for (name, value) in &record.fields {
            let _ = write!(
                line,
                " {}{}",
                self.paint(DIM, &format!("{name}=")),
                shown_value(value)
            );
        }
        cut(&mut line, LINE_BYTES, 0);
        line.push('\n');
        line
    }

    fn paint(self, color: &str, text: &str) -> String {
        if self.color {
            format!("{color}{text}{RESET}")
        } else {
            text.to_owned()
        }
    }
}

fn json(record: &Record) -> String {
    let mut object = Map::new();
    object.insert("time".to_owned(), Value::from(record.time.to_rfc3339()));
    object.insert(
        "level".to_owned(),
        Value::from(record.level.as_str().to_ascii_lowercase()),
    );
    object.insert(
        "subsystem".to_owned(),
        Value::from(record.subsystem.clone()),
    );
    object.insert("message".to_owned(), Value::from(record.text.clone()));
    if let Some(trace) = record.trace {
        object.insert("traceId".to_owned(), Value::from(trace.to_string()));
    }
    for (name, value) in &record.fields {
        object.entry(name.clone()).or_insert_with(|| value.clone());
    }
    let mut line = Value::Object(object).to_string();
    line.push('\n');
    line
}

/// At most two segments, without the leading `gateway/` that most of them share.
fn shown_subsystem(subsystem: &str) -> &str {
    let short = subsystem.strip_prefix("gateway/").unwrap_or(subsystem);
    let end = short
        .match_indices('/')
        .nth(1)
        .map_or(short.len(), |(at, _)| at);
    &short[..end]
}

/// "heartbeat: started" under `[heartbeat]` says it twice.
fn without_prefix<'a>(text: &'a str, shown: &str) -> &'a str {
    text.strip_prefix(shown)
        .and_then(|rest| rest.strip_prefix(':'))
        .map_or(text, |rest| rest.trim_start())
}

fn shown_value(value: &Value) -> String {
    match value {
        Value::String(text) if is_uuid(text) => format!("{}…{}", &text[..8], &text[32..]),
        Value::String(text) if text.is_empty() || text.contains([' ', '"', '=']) => {
            format!("\"{}\"", text.replace('"', "\\\""))
        }
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Standard error, as long as it takes what it is given.
#[derive(Debug)]
pub(super) struct Console {
    look: Look,
    lost: u64,
}

impl Console {
    pub(super) fn new(settings: &LogSettings) -> Self {
        Self {
            look: Look::of(settings, io::stderr().is_terminal()),
            lost: 0,
        }
    }

    pub(super) fn reconfigure(&mut self, settings: &LogSettings) {
        self.look = Look::of(settings, io::stderr().is_terminal());
    }

    /// Writes the record, or counts it when standard error would make us wait: a stopped terminal and a pipe that
    /// nobody reads must not stop the process.
    pub(super) fn write(&mut self, record: &Record) {
        if !takes_more() {
            self.lost += 1;
            return;
        }
        if self.lost > 0 {
            let note = format!("({} lines were lost while nobody read this)\n", self.lost);
            self.put(&note);
        }
        self.put(&self.look.render(record));
    }

    fn put(&mut self, line: &str) {
        // There is nowhere left to report that standard error is gone.
        if io::stderr().write_all(line.as_bytes()).is_ok() {
            self.lost = 0;
        }
    }
}

fn takes_more() -> bool {
    let stderr = io::stderr();
    let mut descriptors = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    match poll(&mut descriptors, PollTimeout::ZERO) {
        Ok(_) => descriptors[0]
            .revents()
            .is_some_and(|ready| ready.contains(PollFlags::POLLOUT)),
        // A descriptor that cannot be asked, such as a file on some systems, does not make us wait either.
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::record::put;
    use crate::log::record::tests::sample;

    fn look(style: ConsoleStyle, color: bool) -> Look {
        Look { style, color }
    }

    #[test]
    fn a_line_for_a_pipe() {
        let mut record = sample("ws: handshake refused");
        put(
            &mut record.fields,
            "conn",
            Value::from("95a35969-1111-4222-8333-4444555564e6"),
        );
        put(&mut record.fields, "reason", Value::from("a b"));
        put(&mut record.fields, "n", Value::from(3));
        assert_eq!(
            look(ConsoleStyle::Compact, false).render(&record),
            "2026-11-22T07:12:07.274Z [ws] warning: handshake refused conn=95a35969…64e6 reason=\"a b\" n=3\n"
        );
    }

    #[test]
    fn colour_only_where_it_is_wanted() {
        let record = sample("x");
        assert!(
            look(ConsoleStyle::Pretty, true)
                .render(&record)
                .contains('\x1b')
        );
        assert!(
            !look(ConsoleStyle::Pretty, false)
                .render(&record)
                .contains('\x1b')
        );
        let mut settings = LogSettings::in_dir("/logs".into());
        assert!(Look::of(&settings, true).color);
        assert!(!Look::of(&settings, false).color);
        settings.color = false;
        assert!(!Look::of(&settings, true).color);
    }

    #[test]
    fn json_style_is_one_object_a_line() {
        let mut record = sample("x");
        put(&mut record.fields, "level", Value::from("not mine"));
        put(&mut record.fields, "n", Value::from(3));
        assert_eq!(
            look(ConsoleStyle::Json, false).render(&record),
            "{\"time\":\"2026-11-22T07:12:07.274Z\",\"level\":\"warn\",\"subsystem\":\"gateway/ws\",\"message\":\"x\",\"n\":3}\n"
        );
    }

    #[test]
    fn subsystems_are_shown_short() {
        assert_eq!(shown_subsystem("gateway/ws"), "ws");
        assert_eq!(shown_subsystem("gateway"), "gateway");
        assert_eq!(shown_subsystem("browser/service/x"), "browser/service");
    }
}
