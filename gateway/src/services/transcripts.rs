//! Conversations: every message that was said, in its order, kept in the store.
//!
//! A conversation belongs to a session id. When a session goes on to another one, the old one stays for [`LEFT_FOR`]; when it is
//! deleted, for [`DELETED_FOR`]; then [`sweep`] removes it, so that what is kept is bounded by what is said in that time. What
//! was used is counted by day when it is said, and outlives it.
//!
//! Invariant: an entry is never changed. A compaction is one more entry, which says what the model is to read instead.

use std::time::Duration;

use openclaw_shared::clock::WallTime;
use openclaw_shared::transcript::{AssistantMessage, Message, Part, UserMessage};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::store::StoreError;

pub(crate) mod export;
pub(crate) mod preview;
pub(crate) mod shown;
pub(crate) mod usage;
mod words;

pub(crate) use words::cleaned;
use words::in_short;

/// How long a conversation stays that its session has left.
pub(crate) const LEFT_FOR: Duration = Duration::from_secs(180 * 24 * 3600);
/// How long a conversation stays that was deleted.
pub(crate) const DELETED_FOR: Duration = Duration::from_secs(30 * 24 * 3600);
/// How many conversations one sweep removes, so that nobody waits long for it.
const MOST_SWEPT: i64 = 50;
/// The longest title, in characters.
const LONGEST_TITLE: usize = 60;
/// The longest preview, in characters.
const LONGEST_PREVIEW: usize = 120;
/// The kind of an entry that is a message.
pub(crate) const MESSAGE: &str = "message";
/// The kind of an entry that sums up what comes before it.
pub(crate) const COMPACTION: &str = "compaction";

/// An entry of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) number: i64,
    /// Eight hexadecimal digits.
    pub(crate) id: String,
    pub(crate) at: WallTime,
    /// [`MESSAGE`], [`COMPACTION`], or what another version wrote.
    pub(crate) kind: String,
    /// Who has said a message.
    pub(crate) role: Option<String>,
    /// The message, or the rest of the entry, as JSON.
    pub(crate) body: String,
}

/// A message and the entry it is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Said {
    pub(crate) id: String,
    pub(crate) message: Message,
}

/// What stands in for older messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Compaction {
    /// What they came to.
    pub(crate) summary: String,
    /// The first entry that is still read as it is.
    #[serde(default)]
    pub(crate) first_kept_entry_id: String,
    /// How much the model had to read before, in tokens.
    #[serde(default)]
    pub(crate) tokens_before: u64,
}

/// Appends a message and counts what it took. The id of the entry.
pub(crate) fn append(
    tx: &Connection,
    session_id: &str,
    message: &Message,
) -> Result<String, StoreError> {
    let role = role(message);
    let body = written(message);
    let at = match message.timestamp() {
        0 => WallTime::now(),
        at => WallTime::from_millis(at),
    };
    let id = add(tx, session_id, at, MESSAGE, Some(role), &body)?;
    show(tx, session_id, message)?;
    if let Message::Assistant(said) = message {
        usage::count(tx, at, &said.usage, false)?;
    }
    Ok(id)
}

/// Appends what the assistant is to have said though no model said it. The id of the entry.
pub(crate) fn inject(
    tx: &Connection,
    session_id: &str,
    now: WallTime,
    text: &str,
) -> Result<String, StoreError> {
    // Other versions write no more than this, and clients tell such a message by it.
    let body = json!({
        "role": "assistant",
        "content": [{"type": "text", "text": text}],
        "timestamp": now.as_millis(),
        "stopReason": "injected",
        "usage": {"input": 0, "output": 0, "totalTokens": 0},
    });
    let id = add(
        tx,
        session_id,
        now,
        MESSAGE,
        Some("assistant"),
        &body.to_string(),
    )?;
    let message = AssistantMessage {
        content: vec![Part::text(text)],
        ..AssistantMessage::default()
    };
    show(tx, session_id, &Message::Assistant(message))?;
    Ok(id)
}

/// From here on the model reads a summary in place of what comes before an entry. The id of the new entry.
pub(crate) fn compact(
    tx: &Connection,
    session_id: &str,
    now: WallTime,
    compaction: &Compaction,
) -> Result<String, StoreError> {
    let body = written(compaction);
    add(tx, session_id, now, COMPACTION, None, &body)
}

/// The conversation of a session exists from here on.
pub(crate) fn begin(
    tx: &Connection,
    session_id: &str,
    session_key: &str,
    now: WallTime,
) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO transcripts (session_id, session_key, begun_ms) VALUES (?1, ?2, ?3)
         ON CONFLICT (session_id) DO NOTHING",
    )?
    .execute(params![session_id, session_key, millis(now)])?;
    Ok(())
}

fn add(
    tx: &Connection,
    session_id: &str,
    at: WallTime,
    kind: &str,
    role: Option<&str>,
    body: &str,
) -> Result<String, StoreError> {
    tx.prepare_cached(
        "INSERT INTO transcripts (session_id, session_key, begun_ms)
         VALUES (?1, coalesce((SELECT key FROM sessions WHERE session_id = ?1 LIMIT 1), ''), ?2)
         ON CONFLICT (session_id) DO NOTHING",
    )?
    .execute(params![session_id, millis(at)])?;
    let mut insert = tx.prepare_cached(
        "INSERT INTO transcript_entries (session_id, id, at_ms, kind, role, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (session_id, id) DO NOTHING",
    )?;
    loop {
        let id = fresh_id();
        if insert.execute(params![session_id, id, millis(at), kind, role, body])? > 0 {
            return Ok(id);
        }
    }
}

/// Eight hexadecimal digits, as other versions have them.
fn fresh_id() -> String {
    let mut id = uuid::Uuid::new_v4().simple().to_string();
    id.truncate(8);
    id
}

/// Keeps how a conversation is shown in lists.
pub(crate) fn show(tx: &Connection, session_id: &str, message: &Message) -> Result<(), StoreError> {
    let text = match message {
        Message::User(_) | Message::Assistant(_) => message.text(),
        Message::ToolResult(_) => String::new(),
    };
    let is_user = matches!(message, Message::User(_));
    let text = if is_user { words::said(&text) } else { text };
    let title = is_user.then(|| in_short(&text, LONGEST_TITLE));
    let preview = in_short(&text, LONGEST_PREVIEW);
    let or_none = |text: String| Some(text).filter(|text| !text.is_empty());
    tx.prepare_cached(
        "UPDATE transcripts SET messages = messages + 1, title = coalesce(title, ?2), preview = coalesce(?3, preview)
         WHERE session_id = ?1",
    )?
    .execute(params![session_id, title.and_then(or_none), or_none(preview)])?;
    Ok(())
}

/// What a model is to read: everything since the last compaction, its summary first.
#[cfg(test)]
pub(crate) fn history(
    connection: &Connection,
    session_id: &str,
) -> Result<Vec<Message>, StoreError> {
    let (compaction, said) = since_compaction(connection, session_id)?;
    let summary = compaction.map(|(at, compaction)| summary(at, &compaction));
    let said = said.into_iter().map(|said| said.message);
    Ok(summary.into_iter().chain(said).collect())
}

/// The last compaction, and the messages that are read after it as they are.
#[expect(
    clippy::type_complexity,
    reason = "the pair has no life of its own: its one use is to be taken apart"
)]
pub(crate) fn since_compaction(
    connection: &Connection,
    session_id: &str,
) -> Result<(Option<(WallTime, Compaction)>, Vec<Said>), StoreError> {
    let last: Option<(i64, i64, String)> = connection
        .prepare_cached(
            "SELECT number, at_ms, body FROM transcript_entries WHERE session_id = ?1 AND kind = 'compaction'
             ORDER BY number DESC LIMIT 1",
        )?
        .query_row([session_id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let last = last.and_then(|(number, at, body)| {
        let compaction: Compaction = readable(session_id, &body)?;
        Some((number, WallTime::from_millis(at.unsigned_abs()), compaction))
    });
    let first = match &last {
        None => 0,
        Some((number, _, compaction)) => connection
            .prepare_cached(
                "SELECT number FROM transcript_entries WHERE session_id = ?1 AND id = ?2",
            )?
            .query_row([session_id, &compaction.first_kept_entry_id], |row| {
                row.get(0)
            })
            .optional()?
            .unwrap_or(*number),
    };
    let mut statement = connection.prepare_cached(
        "SELECT id, body FROM transcript_entries
         WHERE session_id = ?1 AND number >= ?2 AND kind = 'message' ORDER BY number",
    )?;
    let mut rows = statement.query(params![session_id, first])?;
    let mut said = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, body) = (row.get(0)?, row.get_ref(1)?.as_str().unwrap_or_default());
        if let Some(message) = readable(session_id, body) {
            said.push(Said { id, message });
        }
    }
    Ok((last.map(|(_, at, compaction)| (at, compaction)), said))
}

/// A summary as the model reads it.
pub(crate) fn summary(at: WallTime, compaction: &Compaction) -> Message {
    Message::User(UserMessage {
        content: vec![Part::text(format!(
            "What was said before in this conversation, in short:\n\n<summary>\n{}\n</summary>",
            compaction.summary
        ))],
        timestamp: at.as_millis(),
    })
}

/// One entry that cannot be read must not hide the others.
fn readable<'a, T: Deserialize<'a>>(session_id: &str, body: &'a str) -> Option<T> {
    serde_json::from_str(body)
        .inspect_err(|error| {
            tracing::error!(target: "store", session = session_id, %error, "an entry of a transcript is left out");
        })
        .ok()
}

/// The newest messages, the oldest of them first.
#[cfg(test)]
pub(crate) fn rows(
    connection: &Connection,
    session_id: &str,
    limit: usize,
) -> Result<Vec<Row>, StoreError> {
    let mut rows = Vec::new();
    newest(connection, session_id, |row| {
        if rows.len() < limit {
            rows.push(row);
        }
        rows.len() < limit
    })?;
    rows.reverse();
    Ok(rows)
}

/// Goes from the newest message back for as long as the answer is yes.
pub(crate) fn newest(
    connection: &Connection,
    session_id: &str,
    mut go_on: impl FnMut(Row) -> bool,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT number, id, at_ms, kind, role, body FROM transcript_entries
         WHERE session_id = ?1 AND kind = 'message' ORDER BY number DESC",
    )?;
    let mut found = statement.query([session_id])?;
    while let Some(row) = found.next()? {
        if !go_on(read(row)?) {
            break;
        }
    }
    Ok(())
}

/// Entries of any kind after a number, in their order.
pub(crate) fn after(
    connection: &Connection,
    session_id: &str,
    number: i64,
    limit: usize,
) -> Result<Vec<Row>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(
        "SELECT number, id, at_ms, kind, role, body FROM transcript_entries
         WHERE session_id = ?1 AND number > ?2 ORDER BY number LIMIT ?3",
    )?;
    let rows = statement.query_map(params![session_id, number, limit], read)?;
    rows.collect::<Result<_, _>>().map_err(StoreError::from)
}

fn read(row: &rusqlite::Row<'_>) -> Result<Row, rusqlite::Error> {
    let at: i64 = row.get(2)?;
    Ok(Row {
        number: row.get(0)?,
        id: row.get(1)?,
        at: WallTime::from_millis(at.unsigned_abs()),
        kind: row.get(3)?,
        role: row.get(4)?,
        body: row.get(5)?,
    })
}

/// The newest words of a person or a model, in short.
#[cfg(test)]
pub(crate) fn last_text(
    connection: &Connection,
    session_id: &str,
) -> Result<Option<String>, StoreError> {
    shown(connection, session_id, "preview")
}

/// The first words of a person, in short.
#[cfg(test)]
pub(crate) fn first_user_text(
    connection: &Connection,
    session_id: &str,
) -> Result<Option<String>, StoreError> {
    shown(connection, session_id, "title")
}

#[cfg(test)]
fn shown(
    connection: &Connection,
    session_id: &str,
    column: &'static str,
) -> Result<Option<String>, StoreError> {
    let sql = format!("SELECT {column} FROM transcripts WHERE session_id = ?1");
    let text: Option<Option<String>> = connection
        .prepare_cached(&sql)?
        .query_row([session_id], |row| row.get(0))
        .optional()?;
    Ok(text.flatten())
}

/// How many messages there are.
#[cfg(test)]
pub(crate) fn count(connection: &Connection, session_id: &str) -> Result<u64, StoreError> {
    let count: Option<i64> = connection
        .prepare_cached("SELECT messages FROM transcripts WHERE session_id = ?1")?
        .query_row([session_id], |row| row.get(0))
        .optional()?;
    Ok(count.unwrap_or_default().unsigned_abs())
}

/// How many entries of any kind there are.
pub(crate) fn entries(connection: &Connection, session_id: &str) -> Result<u64, StoreError> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM transcript_entries WHERE session_id = ?1")?
        .query_row([session_id], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// No session has this conversation any more; it is removed at some time. Whether there is one.
pub(crate) fn archive(
    tx: &Connection,
    session_id: &str,
    now: WallTime,
    kept_for: Duration,
) -> Result<bool, StoreError> {
    let expires =
        millis(now).saturating_add(i64::try_from(kept_for.as_millis()).unwrap_or(i64::MAX));
    let changed = tx
        .prepare_cached("UPDATE transcripts SET expires_ms = ?2 WHERE session_id = ?1")?
        .execute(params![session_id, expires])?;
    Ok(changed > 0)
}

/// Puts all but the newest entries aside, as a conversation of their own. How many stay, and where the others are; none when
/// there are no more than that.
pub(crate) fn cut(
    tx: &Connection,
    session_id: &str,
    now: WallTime,
    keep: u64,
) -> Result<Option<(u64, String)>, StoreError> {
    let first: Option<i64> = tx
        .prepare_cached(
            "SELECT number FROM transcript_entries WHERE session_id = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2",
        )?
        .query_row(params![session_id, i64::try_from(keep).unwrap_or(i64::MAX)], |row| row.get(0))
        .optional()?;
    let Some(first) = first else {
        return Ok(None);
    };
    let aside = format!("{session_id}.bak.{}", now.to_rfc3339().replace(':', "-"));
    tx.prepare_cached(
        "INSERT INTO transcripts (session_id, session_key, begun_ms, title)
         SELECT ?2, session_key, begun_ms, title FROM transcripts WHERE session_id = ?1",
    )?
    .execute([session_id, &aside])?;
    tx.prepare_cached(
        "UPDATE transcript_entries SET session_id = ?2 WHERE session_id = ?1 AND number <= ?3",
    )?
    .execute(params![session_id, aside, first])?;
    for id in [session_id, &aside] {
        tx.prepare_cached(
            "UPDATE transcripts SET messages =
                 (SELECT count(*) FROM transcript_entries AS entry WHERE entry.session_id = ?1 AND kind = 'message')
             WHERE session_id = ?1",
        )?
        .execute([id])?;
    }
    archive(tx, &aside, now, LEFT_FOR)?;
    Ok(Some((keep, aside)))
}

/// Removes what has been kept for long enough. How many conversations went.
pub(crate) fn sweep(tx: &Connection, now: WallTime) -> Result<usize, StoreError> {
    let gone = tx
        .prepare_cached(
            "DELETE FROM transcripts WHERE session_id IN
                 (SELECT session_id FROM transcripts WHERE expires_ms <= ?1 ORDER BY expires_ms LIMIT ?2)",
        )?
        .execute(params![millis(now), MOST_SWEPT])?;
    Ok(gone)
}

/// A value as a column holds it.
fn written(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("what is kept has string keys and no failing parts")
}

fn role(message: &Message) -> &'static str {
    match message {
        Message::User(_) => "user",
        Message::Assistant(_) => "assistant",
        Message::ToolResult(_) => "toolResult",
    }
}

fn millis(time: WallTime) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
