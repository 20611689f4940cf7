//! The door: a run is written down, is acknowledged, and waits for its turn.

use std::sync::Arc;

use openclaw_shared::clock::WallTime;
use serde_json::json;

use super::dropped::Dropped;
use super::lanes::Manner;
use super::request::{Outcome, RunRequest};
use super::{MOST_WAITING, Which, estate, find, journal, stop};
use crate::context::Context;
use crate::methods::MethodError;
use crate::services::idempotency::fingerprint;
use crate::services::sessions;
use crate::settings::queue::{DropPolicy, Queue, QueueMode};
use crate::store::StoreError;

/// What became of a request for a run.
#[derive(Debug, Clone)]
pub(crate) struct Entered {
    pub(crate) run_id: String,
    /// When it was accepted, in milliseconds since the epoch.
    pub(crate) accepted_at: u64,
    pub(crate) standing: Standing,
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Standing {
    /// It was just taken in.
    New,
    /// It was asked for before.
    UnderWay,
    /// It was asked for before, and is over.
    Done(Box<Outcome>),
}

/// Takes a run in. When this returns it is written down, and will be done or be said not to have been.
///
/// # Errors
/// When it was not taken in; then nothing was done.
pub(crate) async fn enter(
    context: &Arc<Context>,
    request: RunRequest,
) -> Result<Entered, MethodError> {
    enter_instead(context, request, None).await
}

async fn enter_instead(
    context: &Arc<Context>,
    request: RunRequest,
    instead_of: Option<&Dropped>,
) -> Result<Entered, MethodError> {
    let (entered, number) = write_down(context, &request, instead_of).await?;
    if let Some(number) = number {
        line_up(context, number, &request).await;
    }
    Ok(entered)
}

/// Writes a run down, and in the same commit the end of one that has to make room for it. Its number, if it is a new one and this life is
/// to do it.
pub(super) async fn write_down(
    context: &Arc<Context>,
    request: &RunRequest,
    instead_of: Option<&Dropped>,
) -> Result<(Entered, Option<i64>), MethodError> {
    let runs = &context.runs;
    if runs.state().lanes.waiting() >= MOST_WAITING {
        return Err(MethodError::unavailable(
            "too many runs wait already; try again when some are done",
        ));
    }
    let now = WallTime::now();
    let print = print_of(request);
    let life = runs.life_that_stays();
    let mut written = request.clone();
    let kept = life.clone();
    let leaves = instead_of.map(Dropped::leaves);
    let entered = context
        .store
        .write(move |tx| {
            if let Some(leaves) = &leaves {
                leaves.hand_over(tx, &mut written)?;
            }
            let entered = journal::enter(tx, &written, &print, kept.as_deref(), now)?;
            if let (journal::Entered::New(_), Some(leaves)) = (&entered, &leaves) {
                leaves.end(tx)?;
            }
            Ok::<_, StoreError>(entered)
        })
        .await?;
    let standing = |accepted_at: u64, standing: Standing| Entered {
        run_id: request.run_id.clone(),
        accepted_at,
        standing,
    };
    Ok(match entered {
        journal::Entered::New(number) => (
            standing(now.as_millis(), Standing::New),
            life.is_some().then_some(number),
        ),
        journal::Entered::UnderWay { accepted_ms } => {
            (standing(accepted_ms, Standing::UnderWay), None)
        }
        journal::Entered::Done {
            accepted_ms,
            outcome,
        } => (standing(accepted_ms, Standing::Done(outcome)), None),
        journal::Entered::Conflict => {
            return Err(
                MethodError::invalid("idempotencyKey was used with other parameters")
                    .with_details(json!({ "code": "IDEMPOTENCY_CONFLICT" })),
            );
        }
    })
}

/// What tells a request from others under the same key.
fn print_of(request: &RunRequest) -> String {
    fingerprint(&json!({
        "session": request.session.as_str(),
        "kind": request.kind,
        "work": request.work,
    }))
}

/// Writes a run down that comes of another one, in the commit that says so of that one. Its number, if it is a new one and this life is to
/// do it.
pub(super) fn enter_within(
    tx: &rusqlite::Connection,
    request: &RunRequest,
    life: Option<&str>,
    now: WallTime,
) -> Result<Option<i64>, StoreError> {
    let entered = journal::enter(tx, request, &print_of(request), life, now)?;
    Ok(match entered {
        journal::Entered::New(number) => life.map(|_| number),
        journal::Entered::UnderWay { .. }
        | journal::Entered::Done { .. }
        | journal::Entered::Conflict => None,
    })
}

/// A run that is written down waits for its turn from here on.
pub(super) async fn line_up(context: &Arc<Context>, number: i64, request: &RunRequest) {
    let queue = queue_for(context, request);
    let manner = Manner {
        mode: queue.mode,
        quiet: queue.quiet(),
    };
    let is_leaving = {
        let mut state = context.runs.state();
        if !state.is_leaving {
            state.take(number, request, manner);
        }
        state.is_leaving
    };
    if is_leaving {
        // This life was asked to leave while the run was written down: its successor looks for such rows.
        estate::release(context).await;
    }
    context.runs.bell.notify_one();
}

/// What becomes of messages that come while this session is busy.
pub(crate) fn queue_of(context: &Context, session: &str) -> Queue {
    let configured = &context.settings().runs.queue;
    let entry = context
        .store
        .read(|reader| Ok(sessions::find(reader, session)));
    match entry {
        Ok(Ok(Some(entry))) => configured.within(&entry.other),
        Ok(Ok(None)) => configured.clone(),
        Ok(Err(error)) | Err(error) => {
            tracing::warn!(target: "runs", session, %error, "how a session queues cannot be read; it does as configured");
            configured.clone()
        }
    }
}

/// What becomes of this message if its session is busy.
pub(super) fn queue_for(context: &Context, request: &RunRequest) -> Queue {
    let of_session = queue_of(context, request.session.as_str());
    of_session.within(&request.work.queue)
}

/// Takes a message of a person in, as the queue of its session is configured.
///
/// # Errors
/// When it was not taken in; then nothing was done.
pub(crate) async fn say(
    context: &Arc<Context>,
    request: RunRequest,
) -> Result<Entered, MethodError> {
    let session = request.session.as_str().to_owned();
    let queue = queue_for(context, &request);
    let is_known = find(context, &request.run_id).is_some();
    let waiting = context.runs.state().lanes.messages_in(&session);
    let mut dropped = None;
    if !is_known && waiting >= queue.cap {
        match queue.drop {
            DropPolicy::Old | DropPolicy::Summarize => {
                dropped = Dropped::oldest(context, &session, queue.drop);
            }
            DropPolicy::New => {
                return Err(MethodError::unavailable(format!(
                    "{waiting} messages wait in this session already; try again when some are answered"
                )));
            }
        }
    }
    let run = request.run_id.clone();
    let entered = enter_instead(context, request, dropped.as_ref()).await?;
    if let Some(dropped) = dropped
        && entered.standing == Standing::New
    {
        dropped.tell();
    }
    if queue.mode == QueueMode::Interrupt && entered.standing == Standing::New {
        let older: Vec<String> = {
            let state = context.runs.state();
            let older = state
                .known
                .iter()
                .filter(|(id, it)| it.session == session && **id != run);
            older.map(|(id, _)| id.clone()).collect()
        };
        for run in older {
            if let Err(error) = stop(context, Which::Run(&run), "interrupt").await {
                // It ends all the same, as soon as that can be kept.
                let error = error.into_shape().message;
                tracing::warn!(target: "runs", run, error, "a run that waits cannot be closed");
            }
        }
    }
    Ok(entered)
}
