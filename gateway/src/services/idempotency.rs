//! Doing what is asked under one key once, and answering every repetition alike, across restarts too.
//!
//! What is worked on in this life is known in memory ([`Idempotency`]); everything else is one row of the store. The row is
//! durable before anything is done, and the answer is durable before anybody hears it. A row without an answer that no life
//! works on any more belongs to something that was begun and whose end nobody saw: it is said so, and not done again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use openclaw_shared::clock::WallTime;
use openclaw_shared::digest;
use openclaw_shared::protocol::error::ErrorShape;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::connection::Answer;
use crate::store::{Store, StoreError};

/// How long an answer is repeated.
const KEPT_FOR: Duration = Duration::from_hours(24);
/// How many answers are kept at most; the oldest go.
const MOST_ROWS: i64 = 100_000;
/// How many old rows go with each new one, so that no write takes long.
const PRUNED_AT_ONCE: i64 = 64;
/// The largest answer that is kept, in bytes.
const LARGEST_ANSWER: usize = 256 * 1024;
/// Requests that may wait for one and the same answer.
const MOST_WAITING: usize = 64;

/// What makes requests one: the kind of work, and the caller's key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) kind: &'static str,
    pub(crate) key: String,
}

/// What is worked on in this life.
#[derive(Debug)]
pub(crate) struct Idempotency {
    life: String,
    running: Arc<Mutex<BTreeMap<Key, Running>>>,
}

#[derive(Debug)]
struct Running {
    params: String,
    waiting: Vec<oneshot::Sender<Answer>>,
    /// It is over, and its answer could not be written.
    unwritten: bool,
}

/// Where a request stands among those with its key.
pub(crate) enum Entered {
    /// It is the first one in this life; what the store knows of it must be asked next.
    First(Ticket),
    /// Another one is worked on, and its answer is the answer.
    Shares(oneshot::Receiver<Answer>),
    /// There is an answer already.
    Answered(Answer),
}

/// The right and the duty to settle a key. Dropped without that, it counts as never begun in this life.
#[derive(Debug)]
pub(crate) struct Ticket {
    key: Key,
    params: String,
    running: Arc<Mutex<BTreeMap<Key, Running>>>,
    settled: bool,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.settled {
            lock(&self.running).remove(&self.key);
        }
    }
}

/// What the store knows of a key.
#[derive(Debug)]
pub(crate) enum Begun {
    /// Nothing: from now on it is worked on.
    New,
    /// It is over, or nobody knows how it ended.
    Over(Answer),
}

fn lock(running: &Mutex<BTreeMap<Key, Running>>) -> MutexGuard<'_, BTreeMap<Key, Running>> {
    // Each critical section leaves its value whole, so a poisoned lock is as good as any.
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refuse(error: ErrorShape) -> Answer {
    Err(Box::new(error))
}

fn conflict() -> Answer {
    refuse(
        ErrorShape::invalid_request("idempotencyKey was used with other parameters")
            .with_details(json!({ "code": "IDEMPOTENCY_CONFLICT" })),
    )
}

fn unknown_outcome() -> Answer {
    refuse(
        ErrorShape::unavailable(
            "the gateway ended while this was under way; its outcome is unknown",
        )
        .with_details(json!({ "code": "OUTCOME_UNKNOWN" })),
    )
}

impl Default for Idempotency {
    fn default() -> Self {
        Self {
            life: uuid::Uuid::new_v4().to_string(),
            running: Arc::default(),
        }
    }
}

impl Idempotency {
    /// What tells this life from others in rows of the store.
    pub(crate) fn life(&self) -> &str {
        &self.life
    }

    /// Takes a request in. `params` is the [`fingerprint`] of its parameters.
    pub(crate) fn enter(&self, key: Key, params: String) -> Entered {
        let mut running = lock(&self.running);
        if let Some(known) = running.get_mut(&key) {
            if known.params != params {
                return Entered::Answered(conflict());
            }
            if known.unwritten {
                return Entered::Answered(unknown_outcome());
            }
            known.waiting.retain(|waiting| !waiting.is_closed());
            if known.waiting.len() >= MOST_WAITING {
                let error = ErrorShape::unavailable("too many requests wait for this answer");
                return Entered::Answered(refuse(error));
            }
            return Entered::Shares(wait(known));
        }
        let fresh = Running {
            params: params.clone(),
            waiting: Vec::new(),
            unwritten: false,
        };
        running.insert(key.clone(), fresh);
        Entered::First(Ticket {
            key,
            params,
            running: self.running.clone(),
            settled: false,
        })
    }

    /// Settles a key: keeps the answer, then tells everybody who waits for it.
    pub(crate) async fn settle(&self, store: &Store, mut ticket: Ticket, answer: Answer) {
        let (key, kept) = (ticket.key.clone(), keep(&answer));
        let written: Result<(), StoreError> = store
            .write(move |tx| {
                tx.prepare_cached(
                    "UPDATE idempotency SET answer = ?3 WHERE kind = ?1 AND key = ?2",
                )?
                .execute(params![key.kind, key.key, kept])?;
                Ok(())
            })
            .await;
        ticket.settled = true;
        let waiting = {
            let mut running = lock(&self.running);
            match (&written, running.get_mut(&ticket.key)) {
                (Ok(()), _) | (Err(_), None) => {
                    running.remove(&ticket.key).map(|known| known.waiting)
                }
                (Err(error), Some(known)) => {
                    tracing::error!(target: "gateway", kind = ticket.key.kind, %error, "an answer cannot be kept");
                    known.unwritten = true;
                    Some(std::mem::take(&mut known.waiting))
                }
            }
        };
        for waiting in waiting.into_iter().flatten() {
            // Whoever waited may have left.
            let _ = waiting.send(answer.clone());
        }
    }
}

fn wait(running: &mut Running) -> oneshot::Receiver<Answer> {
    let (settle, settled) = oneshot::channel();
    running.waiting.push(settle);
    settled
}

impl Ticket {
    /// Waits for the answer like everybody else.
    pub(crate) fn wait(&self) -> oneshot::Receiver<Answer> {
        match lock(&self.running).get_mut(&self.key) {
            Some(running) => wait(running),
            // Nobody settles it any more.
            None => oneshot::channel().1,
        }
    }

    /// What the row is made of; for [`begin`] inside of a transaction.
    pub(crate) fn row(&self, idempotency: &Idempotency) -> Row {
        Row {
            key: self.key.clone(),
            params: self.params.clone(),
            life: idempotency.life.clone(),
        }
    }
}

/// A key on its way into the store.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    key: Key,
    params: String,
    life: String,
}

/// What the store has to say on a key.
pub(crate) fn find(connection: &Connection, row: &Row) -> Result<Option<Answer>, rusqlite::Error> {
    let Row {
        key,
        params: hash,
        life,
    } = row;
    let found: Option<(String, String, Option<String>)> = connection
        .prepare_cached(
            "SELECT params, life, answer FROM idempotency WHERE kind = ?1 AND key = ?2",
        )?
        .query_row(params![key.kind, key.key], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    Ok(match found {
        Some((known, ..)) if known != *hash => Some(conflict()),
        Some((_, _, Some(answer))) => Some(read(&answer)),
        // Of this life and not worked on: it was given up before it began.
        Some((_, owner, None)) if owner == *life => None,
        Some((_, _, None)) => Some(unknown_outcome()),
        None => None,
    })
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
        "INSERT OR REPLACE INTO idempotency (kind, key, params, life, created_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![key.kind, key.key, hash, life, millis(now)])?;
    Ok(Begun::New)
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

fn keep(answer: &Answer) -> String {
    let kept = match answer {
        Ok(payload) if payload.len() > LARGEST_ANSWER => Kept::Error(
            ErrorShape::unavailable("this was done before, and its answer was too large to keep")
                .with_details(json!({ "code": "ANSWER_NOT_KEPT", "bytes": payload.len() })),
        ),
        Ok(payload) => match serde_json::from_slice(payload) {
            Ok(payload) => Kept::Ok(payload),
            Err(_) => Kept::Error(ErrorShape::unavailable(
                "this was done before, and its answer is lost",
            )),
        },
        Err(error) => Kept::Error((**error).clone()),
    };
    serde_json::to_string(&kept).expect("an answer has string keys")
}

fn read(kept: &str) -> Answer {
    match serde_json::from_str(kept) {
        Ok(Kept::Ok(payload)) => Ok(Bytes::from(String::from(Box::<str>::from(payload)))),
        Ok(Kept::Error(error)) => refuse(error),
        // Written by another version; that it was done is certain.
        Err(_) => refuse(ErrorShape::unavailable(
            "this was done before, and its answer cannot be read",
        )),
    }
}

/// The SHA-256 of parameters, whatever the order of their keys.
pub(crate) fn fingerprint(params: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(object) => {
                let sorted_keys: BTreeMap<&String, Value> = object
                    .iter()
                    .map(|(key, value)| (key, sorted(value)))
                    .collect();
                sorted_keys
                    .into_iter()
                    .map(|(key, value)| (key.clone(), value))
                    .collect()
            }
            Value::Array(items) => items.iter().map(sorted).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        }
    }
    digest::hex(sorted(params).to_string().as_bytes())
}

#[cfg(test)]
mod tests;
