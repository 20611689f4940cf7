//! The only place of the command line that prints.
//!
//! stdout carries the answer and nothing else, stderr the talk. Colour goes to terminals only. A reader that closes the pipe
//! ends the output quietly: the rest is dropped, and long-running commands look at [`Output::is_gone`].

use std::cell::Cell;
use std::io::{self, IsTerminal, Write};

use openclaw_shared::log::printable;
use serde::Serialize;

use super::failure::Failure;

/// A colour with a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it should be.
    Good,
    /// Worth a look.
    Odd,
    /// Wrong.
    Bad,
    /// Of less interest.
    Faint,
}

/// Where a command's words go.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    json: bool,
    color: bool,
    gone: Cell<bool>,
}

impl Output {
    pub(crate) fn new(json: bool, color: bool) -> Self {
        Self {
            json,
            color: color && io::stdout().is_terminal(),
            gone: Cell::new(false),
        }
    }

    /// Whether the answer is one JSON document.
    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a person watches stdout.
    pub(crate) fn is_terminal() -> bool {
        io::stdout().is_terminal()
    }

    /// Whether nobody reads stdout any more.
    pub(crate) const fn is_gone(&self) -> bool {
        self.gone.get()
    }

    /// A line of the answer.
    pub(crate) fn line(&self, text: impl AsRef<str>) {
        self.write(text.as_ref());
        self.write("\n");
    }

    /// A piece of the answer that brings its own line ends.
    pub(crate) fn write(&self, text: &str) {
        if self.gone.get() {
            return;
        }
        let mut stdout = io::stdout().lock();
        if stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
            .is_err()
        {
            self.gone.set(true);
        }
    }

    /// What a program elsewhere wrote to its standard error, passed on as it is.
    pub(crate) fn write_error(&self, text: &str) {
        // Nobody is left to be told when standard error is gone.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    /// The answer as one JSON document, two spaces deep.
    pub(crate) fn document(&self, value: &impl Serialize) {
        match serde_json::to_string_pretty(value) {
            Ok(text) => self.line(text),
            Err(error) => self.note(format!("The answer cannot be shown as JSON: {error}.")),
        }
    }

    /// An answer of the gateway: as it came under `--json`, else in these lines.
    pub(crate) fn answer(&self, answer: &serde_json::Value, lines: impl FnOnce() -> Vec<String>) {
        if self.json {
            return self.document(answer);
        }
        for line in lines() {
            self.line(printable(&line));
        }
    }

    /// One JSON value on a line of its own, for output that goes on.
    pub(crate) fn json_line(&self, value: &serde_json::Value) {
        self.line(value.to_string());
    }

    /// A line of talk.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        // Nobody is left to be told when standard error is gone.
        let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
    }

    /// Reports a failure: as text on stderr, and under `--json` as a document on stdout instead.
    pub(crate) fn failure(&self, failure: &Failure) {
        if self.json {
            self.document(&failure.to_json());
            return;
        }
        for line in failure_lines(failure) {
            self.note(line);
        }
    }

    /// `text` in a colour, on a terminal that wants it.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => 32,
            Tone::Odd => 33,
            Tone::Bad => 31,
            Tone::Faint => 2,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// A failure for a person. Some of its words may be somebody else's: a gateway's, a node's, those of a file.
fn failure_lines(failure: &Failure) -> Vec<String> {
    let details = failure.details.iter();
    let details = details.map(|(name, value)| format!("{name}: {}", printable(value)));
    // Line ends are ours: what is told in several lines was put together here.
    let in_lines = |text: &str| text.split('\n').map(printable).collect::<Vec<_>>();
    let mut lines = in_lines(&failure.message);
    lines.extend(details);
    lines.extend(failure.hints.iter().flat_map(|hint| in_lines(hint)));
    lines
}

/// Lays rows out in columns, two spaces apart; the first row is the heading.
pub(crate) fn columns(rows: &[Vec<String>]) -> Vec<String> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..count)
        .map(|column| width(column).unwrap_or(0))
        .collect();
    rows.iter()
        .map(|row| {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{cell:width$}  "));
            }
            line.truncate(line.trim_end().len());
            line
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::failure::{Failure, Kind};
    use super::{columns, failure_lines};

    #[test]
    fn what_a_gateway_says_of_a_failure_commands_no_terminal() {
        let failure = Failure::new(Kind::Refused, "x failed: no\u{1b}[2J\nin two lines")
            .detail("Code", "A\nB")
            .hint("Run: y\u{202e}");
        assert_eq!(
            failure_lines(&failure),
            [
                "x failed: no\\u{1b}[2J",
                "in two lines",
                "Code: A\\nB",
                "Run: y\\u{202e}"
            ]
        );
    }

    #[test]
    fn columns_line_up() {
        let rows = [["NAME", "PID"], ["gateway", "1"], ["x", ""]];
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.iter().map(|cell| (*cell).to_owned()).collect())
            .collect();
        assert_eq!(columns(&rows), ["NAME     PID", "gateway  1", "x"]);
    }
}
