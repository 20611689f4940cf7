//! What the store knows of keys: one row each, from the moment it is worked on until it is forgotten.
//!
//! Rows are bounded in number and in age, and their answers in bytes: the oldest answers make room, and their rows still say that it
//! was done. How many bytes there are is counted by the tables themselves, so that another version of the gateway counts, too.

use std::time::Duration;

use bytes::Bytes;
use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::error::ErrorShape;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::{Key, conflict, refuse, unknown_outcome};
use crate::connection::Answer;

/// How long an answer is repeated.
const KEPT_FOR: Duration = Duration::from_hours(24);
/// How many answers are kept at most; the oldest go.
const MOST_ROWS: i64 = 100_000;
/// How many old rows go with each new one, so that no write takes long.
const PRUNED_AT_ONCE: i64 = 64;
/// The largest answer that is kept, in bytes.
const LARGEST_ANSWER: usize = 256 * 1024;
/// What all kept answers may have together, in bytes.
const MOST_BYTES: i64 = 64 * 1024 * 1024;
/// What makes room when answers have more: each of these frees more than [`SMALLEST_EXPELLED`] bytes, and together they free more
/// than the largest answer takes.
const EXPELLED_AT_ONCE: usize = LARGEST_ANSWER / SMALLEST_EXPELLED + 1;
/// Answers up to this size, in bytes, stay: the note in their place would be no smaller. The index of the table says the same.
const SMALLEST_EXPELLED: usize = 512;

/// A key on its way into the store.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(super) key: Key,
    pub(super) params: String,
    pub(super) life: String,
}

/// What the store knows of a key.
#[derive(Debug)]
pub(crate) enum Begun {
    /// Nothing: from now on it is worked on.
    New,
    /// It is over, or nobody knows how it ended.
    Over(Answer),
}

/// What the store has to say on a key that nobody works on.
pub(crate) fn find(connection: &Connection, row: &Row) -> Result<Option<Answer>, rusqlite::Error> {
    let Row {
        key, params: hash, ..
    } = row;
    let found: Option<(String, Option<String>)> = connection
        .prepare_cached("SELECT params, answer FROM idempotency WHERE kind = ?1 AND key = ?2")?
        .query_row(params![key.kind, key.key], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    Ok(found.map(|(known, answer)| match answer {
        _ if known != *hash => refuse(conflict()),
        Some(answer) => read(&answer),
        None => unknown_outcome(),
    }))
}

/// Looks up a key and notes that it is worked on, unless the store has a word on it already.
pub(crate) fn begin(tx: &Connection, now: WallTime, row: &Row) -> Result<Begun, rusqlite::Error> {
    prune(tx, now)?;
    if let Some(answer) = find(tx, row)? {
        return Ok(Begun::Over(answer));
    }
    let Row {
        key,
        params: hash,
        life,
    } = row;
    tx.prepare_cached(
        "INSERT INTO idempotency (kind, key, params, life, created_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![key.kind, key.key, hash, life, millis(now)])?;
    Ok(Begun::New)
}

/// Keeps the answer of a key.
pub(super) fn keep(tx: &Connection, key: &Key, answer: &Answer) -> Result<(), rusqlite::Error> {
    tx.prepare_cached("UPDATE idempotency SET answer = ?3 WHERE kind = ?1 AND key = ?2")?
        .execute(params![key.kind, key.key, kept(answer)])?;
    make_room(tx, MOST_BYTES)
}

fn prune(tx: &Connection, now: WallTime) -> Result<(), rusqlite::Error> {
    let too_old = now
        .as_millis()
        .saturating_sub(KEPT_FOR.as_millis().try_into().unwrap_or(u64::MAX));
    tx.prepare_cached(
        "DELETE FROM idempotency WHERE id IN (SELECT id FROM idempotency WHERE created_ms < ?1 ORDER BY created_ms LIMIT ?2)",
    )?
    .execute(params![millis(WallTime::from_millis(too_old)), PRUNED_AT_ONCE])?;
    tx.prepare_cached(
        "DELETE FROM idempotency WHERE id IN
         (SELECT id FROM idempotency WHERE id <= (SELECT max(id) FROM idempotency) - ?1 ORDER BY id LIMIT ?2)",
    )?
    .execute(params![MOST_ROWS - 1, PRUNED_AT_ONCE])?;
    Ok(())
}

/// Puts a note in the place of the oldest answers until the rest has no more than so many bytes.
pub(super) fn make_room(tx: &Connection, most: i64) -> Result<(), rusqlite::Error> {
    let mut total = tx.prepare_cached("SELECT bytes FROM idempotency_total")?;
    let mut expel = tx.prepare_cached(
        "UPDATE idempotency SET answer = ?1 WHERE id =
         (SELECT id FROM idempotency WHERE octet_length(answer) > 512 ORDER BY id LIMIT 1)",
    )?;
    let note = note(
        "this was answered before, and the answer is not kept any more",
        None,
    );
    for _ in 0..EXPELLED_AT_ONCE {
        let bytes: i64 = total.query_row([], |row| row.get(0))?;
        if bytes <= most || expel.execute([&note])? == 0 {
            break;
        }
    }
    Ok(())
}

fn millis(time: WallTime) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// An answer as its row holds it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kept {
    Ok(Box<RawValue>),
    Error(ErrorShape),
}

impl Kept {
    fn to_text(&self) -> String {
        serde_json::to_string(self).expect("an answer has string keys")
    }
}

/// What stands in the place of an answer.
fn note(message: &str, bytes: Option<usize>) -> String {
    let mut details = json!({ "code": "ANSWER_NOT_KEPT" });
    if let Some(bytes) = bytes {
        details["bytes"] = bytes.into();
    }
    Kept::Error(ErrorShape::unavailable(message).with_details(details)).to_text()
}

fn kept(answer: &Answer) -> String {
    let too_large = |bytes| {
        let message = "this was answered before, and the answer was too large to keep";
        note(message, Some(bytes))
    };
    let kept = match answer {
        Ok(payload) if payload.len() > LARGEST_ANSWER => return too_large(payload.len()),
        Ok(payload) => match serde_json::from_slice(payload) {
            Ok(payload) => Kept::Ok(payload),
            Err(_) => return note("this was answered before, and the answer is lost", None),
        },
        Err(error) => Kept::Error((**error).clone()),
    };
    let text = kept.to_text();
    if text.len() > LARGEST_ANSWER + "{\"error\":}".len() {
        return too_large(text.len());
    }
    text
}

fn read(kept: &str) -> Answer {
    match serde_json::from_str(kept) {
        Ok(Kept::Ok(payload)) => Ok(Bytes::from(String::from(Box::<str>::from(payload)))),
        Ok(Kept::Error(error)) => refuse(error),
        // Written by another version; that it was done is certain.
        Err(_) => refuse(ErrorShape::unavailable(
            "this was answered before, and the answer cannot be read",
        )),
    }
}
