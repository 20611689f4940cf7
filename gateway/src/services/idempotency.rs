//! Doing what is asked under one key once, and answering every repetition alike, across restarts too.
//!
//! What is worked on in this life is known in memory ([`Idempotency`]); everything else is one row of the store ([`rows`]). The
//! row is durable before anything is done, and the answer is durable before anybody hears it. A row without an answer that
//! nobody works on any more belongs to something that was begun and whose end nobody saw: it is said so, and not done again.
//!
//! Invariant: nobody is told that something was not begun after it may have been. A [`Ticket`] knows, and whoever drops it tells
//! those who wait what is true.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openclaw_shared::digest;
use openclaw_shared::protocol::error::ErrorShape;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::connection::Answer;
use crate::store::{Store, StoreError};

mod rows;

pub(crate) use rows::{Begun, Row, begin, find};

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
}

/// Where a request stands among those with its key.
pub(crate) enum Entered {
    /// It is the first one in this life; what the store knows of it must be asked next.
    First(Ticket),
    /// Another one is worked on, and its answer is the answer.
    Shares(oneshot::Receiver<Answer>),
    /// The key belongs to something else, or too many wait for its answer.
    Refused(ErrorShape),
}

/// The right and the duty to settle a key.
///
/// Whoever has it must outlive those who wait: a connection's own work ends with the connection, and may not hold one across a
/// pause.
#[derive(Debug)]
pub(crate) struct Ticket {
    key: Key,
    params: String,
    running: Arc<Mutex<BTreeMap<Key, Running>>>,
    /// From here on it may have been done.
    is_under_way: bool,
    /// The key is free again.
    is_settled: bool,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Without a word, those who wait hear that it was not begun.
        let told = self.is_under_way.then(unknown_outcome);
        for waiting in self.leave() {
            if let Some(told) = &told {
                // Whoever waited may have left.
                let _ = waiting.send(told.clone());
            }
        }
    }
}

fn lock(running: &Mutex<BTreeMap<Key, Running>>) -> MutexGuard<'_, BTreeMap<Key, Running>> {
    // Each critical section leaves its value whole, so a poisoned lock is as good as any.
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refuse(error: ErrorShape) -> Answer {
    Err(Box::new(error))
}

fn conflict() -> ErrorShape {
    ErrorShape::invalid_request("idempotencyKey was used with other parameters")
        .with_details(json!({ "code": "IDEMPOTENCY_CONFLICT" }))
}

fn unknown_outcome() -> Answer {
    refuse(
        ErrorShape::unavailable("this was begun, and nobody saw its end; its outcome is unknown")
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
                return Entered::Refused(conflict());
            }
            known.waiting.retain(|waiting| !waiting.is_closed());
            if known.waiting.len() >= MOST_WAITING {
                let error = ErrorShape::unavailable("too many requests wait for this answer");
                return Entered::Refused(error);
            }
            return Entered::Shares(wait(known));
        }
        let fresh = Running {
            params: params.clone(),
            waiting: Vec::new(),
        };
        running.insert(key.clone(), fresh);
        Entered::First(Ticket {
            key,
            params,
            running: self.running.clone(),
            is_under_way: false,
            is_settled: false,
        })
    }

    /// Settles a key: keeps the answer, then tells everybody who waits for it. An answer that cannot be kept is told all the same,
    /// and whoever asks later hears that the outcome is unknown.
    pub(crate) async fn settle(&self, store: &Store, ticket: Ticket, answer: Answer) {
        let (key, kept) = (ticket.key.clone(), answer.clone());
        let written: Result<(), StoreError> = store
            .write(move |tx| Ok(rows::keep(tx, &key, &kept)?))
            .await;
        if let Err(error) = written {
            tracing::error!(target: "gateway", kind = ticket.key.kind, %error, "an answer cannot be kept");
        }
        ticket.share(&answer);
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

    /// Whether anybody still waits for the answer.
    pub(crate) fn is_awaited(&self) -> bool {
        let running = lock(&self.running);
        let waiting = running.get(&self.key).map(|running| &running.waiting);
        waiting.is_some_and(|waiting| waiting.iter().any(|waiting| !waiting.is_closed()))
    }

    /// What the row is made of; for [`begin`] inside of a transaction.
    pub(crate) fn row(&self, idempotency: &Idempotency) -> Row {
        Row {
            key: self.key.clone(),
            params: self.params.clone(),
            life: idempotency.life.clone(),
        }
    }

    /// It is done from here on: whoever drops the ticket leaves an outcome that nobody knows.
    pub(crate) fn under_way(mut self) -> Self {
        self.is_under_way = true;
        self
    }

    /// Tells everybody who waits, and keeps nothing: there is an answer already, or nothing was begun.
    pub(crate) fn share(mut self, answer: &Answer) {
        for waiting in self.leave() {
            // Whoever waited may have left.
            let _ = waiting.send(answer.clone());
        }
    }

    /// Takes the key out, with those who wait; once, because it may be another one's from then on.
    fn leave(&mut self) -> Vec<oneshot::Sender<Answer>> {
        if std::mem::replace(&mut self.is_settled, true) {
            return Vec::new();
        }
        let left = lock(&self.running).remove(&self.key);
        left.map(|known| known.waiting).unwrap_or_default()
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
