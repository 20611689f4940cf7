//! Whether an agent is woken, what it is asked, and what its answer means.  (pure, but for the rows of the store)
//!
//! A heart beats by itself at even distances, or because somebody asks for it. In both cases it may have a reason not to.

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::event::{HeartbeatIndicator, HeartbeatPayload, HeartbeatStatus};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::services::system_events::{self, Told, Waiting};
use crate::settings::hearts::Heart;
use crate::store::StoreError;

/// The file of an agent's workspace that says what is to be looked after.
pub(crate) const FILE: &str = "HEARTBEAT.md";
/// What an agent answers that has nothing to say.
const TOKEN: &str = "HEARTBEAT_OK";
/// How much of an answer is shown, in characters.
const PREVIEW: usize = 200;

/// Why a heart is to beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It is time.
    Interval,
    /// Somebody wants the agent to know something at once.
    Asked,
}

/// What the file says that an agent is to look after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checklist {
    /// There is no such file; the agent decides.
    Missing,
    /// There is nothing in it but headings.
    Empty,
    /// There is something in it.
    Says,
}

/// What a beat depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Whether hearts beat at all.
    pub(crate) is_on: bool,
    /// Whether it is one of the hours of the day.
    pub(crate) is_active_hour: bool,
    /// Whether the session is at work.
    pub(crate) is_busy: bool,
    /// Whether a model is configured; the built-in one is never woken at set times.
    pub(crate) has_model: bool,
    pub(crate) checklist: Checklist,
    pub(crate) waiting: Waiting,
}

/// Why a heart does not beat; the text is what clients are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skip {
    /// Hearts are switched off.
    Disabled,
    /// It is none of the hours of the day.
    QuietHours,
    /// The session is at work; it is tried again.
    Busy,
    /// There is nothing to look after.
    EmptyFile,
    /// There is nobody to wake.
    NoModel,
}

impl Skip {
    /// The reason, as clients know it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::QuietHours => "quiet-hours",
            Self::Busy => "requests-in-flight",
            Self::EmptyFile => "empty-heartbeat-file",
            Self::NoModel => "no-model",
        }
    }
}

/// Whether a heart beats.
pub(crate) fn decide(cause: Cause, facts: &Facts) -> Result<(), Skip> {
    let is_asked = match cause {
        Cause::Interval => false,
        Cause::Asked => true,
    };
    // A file without a task saves calls; it does not keep from an agent what it is to be told.
    let is_told = facts.waiting.wakes || (is_asked && facts.waiting.news);
    if !facts.is_on {
        Err(Skip::Disabled)
    } else if !facts.has_model && !is_asked {
        Err(Skip::NoModel)
    } else if !facts.is_active_hour {
        Err(Skip::QuietHours)
    } else if facts.checklist == Checklist::Empty && !is_told {
        Err(Skip::EmptyFile)
    } else if facts.is_busy {
        Err(Skip::Busy)
    } else {
        Ok(())
    }
}

/// What a file says. Blank lines, headings, and list items without a word are nothing.
pub(crate) fn checklist(text: Option<&str>) -> Checklist {
    let Some(text) = text else {
        return Checklist::Missing;
    };
    let says = |line: &str| {
        let line = line.trim();
        let is_heading = line.starts_with('#');
        let is_bare_item = matches!(line, "-" | "*" | "+" | "- [ ]" | "* [ ]");
        !(line.is_empty() || is_heading || is_bare_item)
    };
    if without_comments(text).lines().any(says) {
        Checklist::Says
    } else {
        Checklist::Empty
    }
}

/// The text without `<!-- … -->`; one that is not closed goes to the end.
fn without_comments(text: &str) -> String {
    let mut rest = text;
    let mut kept = String::new();
    while let Some((before, comment)) = rest.split_once("<!--") {
        kept.push_str(before);
        rest = comment.split_once("-->").map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    kept
}

/// What an agent is asked: what it is to be told, and the question.
pub(crate) fn question(told: &[Told], prompt: &str) -> String {
    if told.is_empty() {
        prompt.to_owned()
    } else {
        format!("{}\n{prompt}", system_events::lines(told))
    }
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// There was none.
    Empty,
    /// All is well.
    Ok,
    /// People should read this.
    Alert(String),
}

/// Reads an answer.
pub(crate) fn meaning(answer: &str, ack_max_chars: u64) -> Meaning {
    let answer = answer.trim();
    if answer.is_empty() {
        return Meaning::Empty;
    }
    let (rest, has_token) = without_token(answer);
    let is_short = u64::try_from(rest.chars().count()).unwrap_or(u64::MAX) <= ack_max_chars;
    if has_token && (rest.is_empty() || is_short) {
        Meaning::Ok
    } else {
        Meaning::Alert(rest)
    }
}

/// The answer without the token at its beginning and its end, however it is set, and whether it was there. In the middle it is a word like
/// any other.
fn without_token(answer: &str) -> (String, bool) {
    let set =
        |letter: char| matches!(letter, '*' | '`' | '_' | '"' | '\'') || letter.is_whitespace();
    let mut rest = answer.trim();
    let mut has_token = false;
    loop {
        if let Some(after) = rest.trim_start_matches(set).strip_prefix(TOKEN) {
            rest = after.trim_start_matches(set);
            rest = rest.trim_start_matches(['.', '!', ',', ':']).trim_start();
        } else if let Some(before) = rest
            .trim_end_matches(set)
            .trim_end_matches(['.', '!'])
            .trim_end_matches(set)
            .strip_suffix(TOKEN)
        {
            rest = before.trim_end_matches(set);
        } else {
            return (rest.trim().to_owned(), has_token);
        }
        has_token = true;
    }
}

/// How a beat went, as clients are shown it.
pub(crate) fn report(now: WallTime, took_ms: u64, heart: &Heart, ended: Beat) -> HeartbeatPayload {
    let mut payload = HeartbeatPayload {
        ts: now.as_millis(),
        status: HeartbeatStatus::Skipped,
        to: None,
        preview: None,
        reason: None,
        duration_ms: Some(took_ms),
        has_media: None,
        channel: None,
        silent: None,
        indicator_type: None,
    };
    match ended {
        Beat::Skipped(skip) => payload.reason = Some(skip.as_str().to_owned()),
        Beat::Failed(error) => {
            payload.status = HeartbeatStatus::Failed;
            payload.reason = Some(error);
            payload.indicator_type = Some(HeartbeatIndicator::Error);
        }
        Beat::Answered(Meaning::Empty) => {
            payload.status = HeartbeatStatus::OkEmpty;
            payload.silent = Some(true);
            payload.indicator_type = Some(HeartbeatIndicator::Ok);
        }
        Beat::Answered(Meaning::Ok) => {
            payload.status = HeartbeatStatus::OkToken;
            payload.silent = Some(true);
            payload.indicator_type = Some(HeartbeatIndicator::Ok);
        }
        Beat::Answered(Meaning::Alert(text)) => {
            // It is in the conversation; no channel carries it further.
            let reason = if heart.target == "none" {
                "target-none"
            } else {
                "no-target"
            };
            payload.reason = Some(reason.to_owned());
            payload.preview = Some(text.chars().take(PREVIEW).collect());
            payload.has_media = Some(false);
        }
    }
    payload
}

/// How a beat ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Beat {
    /// It did not take place.
    Skipped(Skip),
    /// The agent could not be asked.
    Failed(String),
    /// The agent has answered.
    Answered(Meaning),
}

/// Keeps how a beat of an agent went.
pub(crate) fn keep(
    connection: &Connection,
    agent: &str,
    payload: &HeartbeatPayload,
) -> Result<(), StoreError> {
    let text =
        serde_json::to_string(payload).map_err(|error| StoreError::Failed(error.to_string()))?;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO heartbeats (agent, beat_ms, payload) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![
            agent,
            i64::try_from(payload.ts).unwrap_or(i64::MAX),
            text
        ])?;
    Ok(())
}

/// How the last beat went, of whichever agent.
pub(crate) fn last(connection: &Connection) -> Result<Option<HeartbeatPayload>, StoreError> {
    let text: Option<String> = connection
        .prepare_cached("SELECT payload FROM heartbeats ORDER BY beat_ms DESC LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    text.map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|error| StoreError::Failed(format!("a heartbeat cannot be read: {error}")))
}

/// When an agent's heart beat last.
pub(crate) fn last_of(
    connection: &Connection,
    agent: &str,
) -> Result<Option<WallTime>, rusqlite::Error> {
    let at: Option<i64> = connection
        .prepare_cached("SELECT beat_ms FROM heartbeats WHERE agent = ?1")?
        .query_row([agent], |row| row.get(0))
        .optional()?;
    Ok(at.map(|at| WallTime::from_millis(at.unsigned_abs())))
}

/// Whether hearts beat.
pub(crate) fn is_on(connection: &Connection) -> Result<bool, rusqlite::Error> {
    let is_on: Option<bool> = connection
        .prepare_cached("SELECT is_on FROM heartbeat_switch WHERE id = 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(is_on.unwrap_or(true))
}

/// Switches hearts on or off, until they are switched again.
pub(crate) fn switch(connection: &Connection, is_on: bool) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO heartbeat_switch (id, is_on) VALUES (1, ?1)")?
        .execute([is_on])?;
    Ok(())
}

#[cfg(test)]
mod tests;
