//! `openclaw logs`: shows the gateway's log, through the gateway, and follows it across restarts.
//!
//! When the gateway of this machine does not answer, the file is read directly, because that is when its log matters most.

use std::time::Duration;

use clap::Args;
use openclaw_client::{As, CallError, Client};
use openclaw_shared::clock::WallTime;
use openclaw_shared::exit::Exit;
use openclaw_shared::log::{files, newest_file, printable};

use super::args::{RpcFlags, millis};
use super::call_failure::IntoFailure as _;
use super::context::Context;
use super::failure::{Failure, Kind};
use super::output::Output;
use super::target::{Target, find_target};

mod file;
mod filter;
mod history;
mod line;

use file::Chunk;
use filter::Filter;
use history::History;
use line::Line;

/// `logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Go on as lines are written
    #[arg(long, short)]
    follow: bool,
    /// Show at most so many lines at once
    #[arg(long, value_name = "LINES", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=5000))]
    limit: u64,
    /// Read at most so much at once
    #[arg(long, value_name = "BYTES", default_value_t = 250_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    max_bytes: u64,
    /// Look for new lines every so many milliseconds [default: 1000]
    #[arg(long, value_name = "MS", value_parser = millis, allow_negative_numbers = true)]
    interval: Option<Duration>,
    /// Print plain text, also on a terminal
    #[arg(long)]
    plain: bool,
    /// Accepted for scripts; the log has no final answer
    #[arg(long, hide = true)]
    expect_final: bool,
    #[command(flatten, next_help_heading = "Which lines")]
    filter: Filter,
    #[command(flatten)]
    rpc: RpcFlags,
}

/// The most lines the gateway gives at once.
const MOST_LINES: u64 = 5_000;
/// The most bytes the gateway gives at once.
const MOST_BYTES: u64 = 1_000_000;
const INTERVAL: Duration = Duration::from_secs(1);

/// Where lines come from at the moment.
#[derive(Debug)]
enum Feed {
    /// The gateway.
    Gateway(Box<Client>),
    /// The file on this machine.
    File,
    /// Nowhere; the gateway is tried again.
    Nowhere,
}

/// A tail that is under way.
struct Tail<'a> {
    context: &'a Context,
    arguments: &'a LogsArgs,
    target: Target,
    feed: Feed,
    cursor: Option<u64>,
    file: String,
    /// Whether the reader has been told that the gateway does not answer.
    told: bool,
}

pub(crate) async fn perform(context: &Context, arguments: LogsArgs) -> Result<Exit, Failure> {
    let target = find_target(context, &arguments.rpc, false).await?;
    let mut tail = Tail {
        context,
        arguments: &arguments,
        target,
        feed: Feed::Nowhere,
        cursor: None,
        file: String::new(),
        told: false,
    };
    let mut first = true;
    loop {
        match tail.poll().await {
            Ok(Some(chunk)) => tail.show(&chunk, first),
            Ok(None) => {}
            Err(error) if first || !error.may_pass() => {
                return Err(error.into_failure(
                    "Gateway not reachable. Is it running and accessible?\n",
                    &tail.target,
                    context,
                ));
            }
            Err(_) => {}
        }
        first = false;
        if context.out.is_gone() {
            context.out.note("Output closed; the tail ends.");
            return Ok(Exit::Ok);
        }
        if !arguments.follow || arguments.filter.is_over(WallTime::now()) {
            return Ok(Exit::Ok);
        }
        tokio::time::sleep(arguments.interval.unwrap_or(INTERVAL)).await;
    }
}

/// Shows the end of the log of an instance of this machine, from its file.
///
/// # Errors
/// When there is none, or it cannot be read.
pub(crate) fn show_file(context: &Context, limit: u64) -> Result<Exit, Failure> {
    let settings = context.log_settings();
    let failed = |reason: String| Failure::new(Kind::Failed, reason);
    let path = newest_file(&settings, WallTime::now()).ok_or_else(|| {
        let folder = context.shown(&settings.dir);
        failed(format!("There is no log in {folder}."))
    })?;
    let name = context.shown(&path);
    let chunk = file::read(&path, &name, None, (limit, 1_000_000))
        .map_err(|error| failed(format!("{name} cannot be read: {error}.")))?;
    let out = &context.out;
    out.note(format!("Log file: {name}"));
    for raw in &chunk.lines {
        let line = Line::parse(raw);
        match (out.is_json(), Output::is_terminal()) {
            (true, _) => out.json_line(&line.to_json()),
            (false, true) => out.line(line.for_terminal(out)),
            (false, false) => out.line(line.plain()),
        }
    }
    Ok(Exit::Ok)
}

impl Tail<'_> {
    /// The next piece of the log, from wherever it can be had.
    async fn poll(&mut self) -> Result<Option<Chunk>, CallError> {
        match self.ask_gateway().await {
            // A successor accepts connections before its predecessor leaves.
            Err(error) if error.may_pass() && matches!(self.feed, Feed::Gateway(_)) => {
                self.feed = Feed::Nowhere;
                match self.ask_gateway().await {
                    Err(error) => self.without_gateway(error),
                    answered => answered,
                }
            }
            Err(error) => self.without_gateway(error),
            answered => answered,
        }
    }

    async fn ask_gateway(&mut self) -> Result<Option<Chunk>, CallError> {
        let limit = self.arguments.rpc.limit();
        if !matches!(self.feed, Feed::Gateway(_)) {
            let client = Client::connect(&self.target.gateway, As::Cli, limit).await?;
            if self.told {
                self.notice("The gateway answers again.");
                self.told = false;
            }
            self.feed = Feed::Gateway(Box::new(client));
        }
        let lines = self.lines_wanted();
        let mut params = serde_json::json!({
            "limit": lines,
            "maxBytes": self.bytes_wanted(),
        });
        if let Some(cursor) = self.cursor {
            params["cursor"] = cursor.into();
        }
        let Feed::Gateway(client) = &mut self.feed else {
            return Ok(None);
        };
        client.allow(limit);
        let answer = client.call("logs.tail", &params, false).await?;
        Ok(Chunk::from_answer(&answer))
    }

    /// The limit is for the first look; what comes later is wanted whole.
    fn lines_wanted(&self) -> u64 {
        if self.cursor.is_some() || self.arguments.filter.chooses() {
            MOST_LINES
        } else {
            self.arguments.limit
        }
    }

    /// What is wanted may lie far back.
    fn bytes_wanted(&self) -> u64 {
        if self.arguments.filter.chooses() {
            MOST_BYTES
        } else {
            self.arguments.max_bytes
        }
    }

    /// Reads the file when the gateway is down and the log is on this machine.
    fn without_gateway(&mut self, error: CallError) -> Result<Option<Chunk>, CallError> {
        if !self.target.source.is_local() || !error.may_pass() {
            return Err(error);
        }
        let settings = self.context.log_settings();
        let Some(path) = newest_file(&settings, WallTime::now()) else {
            return Err(error);
        };
        // The gateway names the file as people see it.
        let name = self.context.shown(&path);
        let cursor = self
            .cursor
            .map(|cursor| if self.file == name { cursor } else { u64::MAX });
        let limits = (self.lines_wanted(), self.bytes_wanted());
        let Ok(chunk) = file::read(&path, &name, cursor, limits) else {
            return Err(error);
        };
        if !self.told {
            self.notice(&format!(
                "The gateway does not answer ({error}); reading its file."
            ));
            self.told = true;
        }
        self.feed = Feed::File;
        Ok(Some(chunk))
    }

    fn show(&mut self, chunk: &Chunk, first: bool) {
        let out = &self.context.out;
        if chunk.file != self.file {
            if out.is_json() {
                out.json_line(&serde_json::json!({
                    "type": "meta", "file": chunk.file, "cursor": chunk.cursor, "size": chunk.size,
                }));
            } else {
                out.line(format!("Log file: {}", printable(&chunk.file)));
            }
        }
        // Cut by the number of lines is what was asked for; cut by bytes may come as a surprise.
        let fewer = (chunk.lines.len() as u64) < self.arguments.limit;
        let chooses = self.arguments.filter.chooses();
        if first && chunk.truncated && fewer && !chooses {
            self.notice("Log tail truncated (increase --max-bytes).");
        }
        if !first && chunk.reset {
            self.notice("Log cursor reset (file rotated).");
        }
        let terminal = Output::is_terminal() && !self.arguments.plain;
        for line in self.wanted(chunk, first) {
            if out.is_json() {
                out.json_line(&line.to_json());
            } else if terminal {
                out.line(line.for_terminal(out));
            } else {
                out.line(line.plain());
            }
        }
        self.cursor = Some(chunk.cursor);
        self.file.clone_from(&chunk.file);
    }

    /// The lines of a piece that are wanted; the first time also those that lie further back, as far as they can be had.
    fn wanted(&self, chunk: &Chunk, first: bool) -> Vec<Line> {
        let filter = &self.arguments.filter;
        if !filter.chooses() {
            return chunk.lines.iter().map(|raw| Line::parse(raw)).collect();
        }
        let limit = usize::try_from(self.arguments.limit).unwrap_or(usize::MAX);
        if first && let Some(history) = self.history(chunk) {
            let found = history.search(filter, limit);
            return found.iter().map(|raw| Line::parse(raw)).collect();
        }
        let possible = chunk.lines.iter().filter(|raw| filter.may_take(raw));
        let mut lines: Vec<Line> = possible
            .map(|raw| Line::parse(raw))
            .filter(|line| filter.takes(line))
            .collect();
        if first {
            if chunk.truncated {
                self.notice("Only the newest part of the log was searched.");
            }
            lines.drain(..lines.len().saturating_sub(limit));
        }
        lines
    }

    /// All that is kept of the log that this is a piece of, if it is on this machine.
    fn history(&self, chunk: &Chunk) -> Option<History> {
        if !self.target.source.is_local() {
            return None;
        }
        let mut files = files(&self.context.log_settings());
        let newest = files
            .iter()
            .position(|path| self.context.shown(path) == chunk.file)?;
        files.truncate(newest + 1);
        Some(History {
            files,
            until: chunk.cursor,
        })
    }

    /// Something about the tail itself.
    fn notice(&self, text: &str) {
        let out = &self.context.out;
        if out.is_json() {
            out.json_line(&serde_json::json!({ "type": "notice", "message": text }));
        } else {
            out.note(text);
        }
    }
}
