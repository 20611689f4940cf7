//! From one life of the gateway to the next: who does what waits, what becomes of what was under way, and who tells of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::protocol::event::{Agent, Chat, Event as _};
use openclaw_shared::transcript::{AssistantMessage, Message, StopReason};
use rusqlite::{Connection, params};
use tokio::time::sleep;

use super::feed::Feed;
use super::journal::{self, Orphan};
use super::lanes::Manner;
use super::request::{Outcome, RunStatus};
use super::telling::{self, Telling};
use super::{GLANCE, Known, enter_within, lives, queue_for, stopping};
use crate::context::Context;
use crate::prepared::Prepared;
use crate::services::sessions::{self, Register};
use crate::services::{system_events, transcripts};
use crate::settings::Settings;
use crate::store::StoreError;
use crate::toolbox;

/// Of how many runs that were closed clients are told when they come in.
const MOST_CLOSED: usize = 100;
/// What a run is closed with that was under way when its process ended.
const CUT_OFF: &str = "the gateway ended while the run was under way; what it had done until then stands, the rest was not done";

/// This life serves from now on: it says that it is here, and takes up what others have left.
pub(super) async fn take_over(context: &Arc<Context>) {
    let life = context.runs.life().to_owned();
    let entered: Result<(), StoreError> =
        context.store.write(move |tx| lives::enter(tx, &life)).await;
    if let Err(error) = entered {
        tracing::error!(target: "runs", %error, "this life cannot be written down");
    }
    see_off_the_dead(context).await;
    adopt(context).await;
    stopping::heed(context).await;
    context.runs.lives.notify_one();
}

/// Looks at what other lives do, as long as there are any, and sees to it that what is told reaches the clients of the next one.
pub(super) async fn look_after(context: &Arc<Context>) {
    let mut seen = None;
    loop {
        let (has_others, is_leaving) = {
            let state = context.runs.state();
            (state.has_others, state.is_leaving)
        };
        if is_leaving {
            flush(context).await;
            let version = context.store.version().ok();
            if version != seen {
                seen = version;
                stopping::heed(context).await;
            }
        } else if has_others {
            let version = context.store.version().ok();
            if version != seen {
                seen = version;
                tell_for_others(context).await;
                see_off_the_dead(context).await;
                adopt(context).await;
                stopping::heed(context).await;
            } else if is_anybody_dead(context) {
                seen = None;
                continue;
            }
        } else {
            context.runs.lives.notified().await;
            continue;
        }
        sleep(GLANCE).await;
    }
}

/// Takes up what nobody does.
async fn adopt(context: &Arc<Context>) {
    let life = context.runs.life().to_owned();
    let adopted: Result<_, StoreError> = context
        .store
        .write(move |tx| journal::adopt(tx, &life))
        .await;
    match adopted {
        Ok(adopted) => {
            // What has come in another life has waited long enough.
            let adopted: Vec<_> = adopted
                .into_iter()
                .map(|(number, request)| {
                    let mode = queue_for(context, &request).mode;
                    let quiet = Duration::ZERO;
                    (number, request, Manner { mode, quiet })
                })
                .collect();
            let mut state = context.runs.state();
            state.lanes.let_go();
            for (number, request, manner) in adopted {
                if !state.known.contains_key(&request.run_id) {
                    state.take(number, &request, manner);
                }
            }
        }
        Err(error) => {
            tracing::error!(target: "runs", %error, "the runs that wait cannot be read");
        }
    }
    context.runs.bell.notify_one();
}

fn others(context: &Context) -> Vec<lives::Life> {
    let found = context
        .store
        .read(|reader| Ok(lives::others(reader, context.runs.life())));
    match found {
        Ok(Ok(others)) => others,
        Ok(Err(error)) | Err(error) => {
            tracing::error!(target: "runs", %error, "the lives before this one cannot be read");
            Vec::new()
        }
    }
}

fn is_anybody_dead(context: &Context) -> bool {
    others(context).iter().any(|life| !life.is_here())
}

/// What a life that has ended had not begun waits again, and what it had begun is closed.
async fn see_off_the_dead(context: &Arc<Context>) {
    let others = others(context);
    let dead: Vec<String> = others
        .iter()
        .filter(|life| !life.is_here())
        .map(|life| life.id.clone())
        .collect();
    let (buried, now) = (dead.clone(), WallTime::now());
    let settings = context.settings();
    let orphans: Result<Vec<Orphan>, StoreError> = context
        .store
        .write(move |tx| {
            let mut orphans = Vec::new();
            for life in &buried {
                system_events::give_back_of(tx, life)?;
                orphans.extend(journal::bereave(tx, life)?);
                lives::leave(tx, life)?;
            }
            for orphan in &orphans {
                close(tx, &settings, orphan, now)?;
            }
            Ok(orphans)
        })
        .await;
    // What it has told last is heard before its end.
    tell_for_others(context).await;
    match orphans {
        Ok(orphans) => {
            for orphan in &orphans {
                tracing::warn!(target: "runs", run = orphan.run, session = orphan.session, "a run was under way when the gateway ended, and is closed");
                let feed = Arc::new(Feed::default());
                Telling::new(context.clone(), &orphan.run, &orphan.asked_as, feed).ends(
                    orphan.started_ms,
                    now.as_millis(),
                    Some(CUT_OFF),
                );
                let told = telling::failed(&orphan.run, &orphan.asked_as, CUT_OFF);
                let mut state = context.runs.state();
                if state.closed.len() < MOST_CLOSED {
                    state.closed.push((Moment::now(), Prepared::new(&told)));
                }
            }
        }
        Err(error) => {
            tracing::error!(target: "runs", %error, "what an earlier life has left cannot be taken up");
            return;
        }
    }
    let mut state = context.runs.state();
    let had_others = state.has_others;
    state.has_others = others.len() > dead.len();
    let is_other = state.has_others != had_others;
    drop(state);
    // Whoever waits for a run looks more often while others may be at work on it, also who came before that was known.
    if is_other || !dead.is_empty() {
        context.runs.ended.notify_waiters();
    }
}

fn close(
    tx: &Connection,
    settings: &Arc<Settings>,
    orphan: &Orphan,
    now: WallTime,
) -> Result<(), StoreError> {
    let mut outcome = Outcome::ended(RunStatus::Error, Some(CUT_OFF.to_owned()), now.as_millis());
    outcome.started_at = orphan.started_ms;
    if let Some(entry) = sessions::find(tx, &orphan.session)? {
        outcome.session_id.clone_from(&entry.session_id);
        let message = Message::Assistant(AssistantMessage {
            stop_reason: StopReason::Error,
            error_message: Some(CUT_OFF.to_owned()),
            timestamp: now.as_millis(),
            ..AssistantMessage::default()
        });
        transcripts::append(tx, &entry.session_id, &message)?;
    }
    journal::end(tx, &orphan.run, &outcome)?;
    if let Some(request) = orphan.request.as_ref()
        && request.work.goes_with_its_session
    {
        let deleted = Register::new(settings.clone()).delete(tx, now, &request.session, true);
        if let Err(error) = deleted {
            let error = error.into_shape().message;
            tracing::warn!(target: "runs", session = orphan.session, error, "the session of a task stays");
        }
    }
    // Whoever gave it as a task waits to hear of it; that is a run of whoever takes up what waits.
    let announced = orphan.request.as_ref();
    let announced = announced.and_then(|it| toolbox::announcement(settings, it, &outcome));
    if let Some(announced) = announced {
        enter_within(tx, &announced, None, now)?;
    }
    Ok(())
}

/// A run that waited is not to begin any more. Nobody is told before that is kept.
pub(super) async fn never_begins(
    context: &Arc<Context>,
    run: &str,
    known: &Known,
    why: &str,
) -> Result<(), StoreError> {
    let outcome = not_begun(why);
    let (id, kept) = (run.to_owned(), outcome.clone());
    context
        .store
        .write(move |tx| journal::end(tx, &id, &kept))
        .await?;
    tell_never_begins(context, run, known, outcome);
    Ok(())
}

/// The end of a run that was stopped while it waited.
pub(super) fn not_begun(why: &str) -> Outcome {
    let mut outcome = Outcome::ended(RunStatus::Ok, None, WallTime::now().as_millis());
    outcome.aborted = Some(why.to_owned());
    outcome.stop = StopReason::Aborted;
    outcome
}

/// Says that a run that waited does not begin any more, which is kept.
pub(super) fn tell_never_begins(
    context: &Arc<Context>,
    run: &str,
    known: &Known,
    outcome: Outcome,
) {
    let telling = Telling::new(context.clone(), run, &known.asked_as, known.feed.clone());
    let why = outcome.aborted.clone().unwrap_or_default();
    telling.is_stopped(None, outcome.ended_at, &why);
    known.feed.ends(outcome);
    context.runs.ended.notify_waiters();
}

/// What this life has not begun is the next one's.
pub(super) async fn release(context: &Arc<Context>) {
    let life = context.runs.life().to_owned();
    let released: Result<usize, StoreError> = context
        .store
        .write(move |tx| journal::release(tx, &life))
        .await;
    match released {
        Ok(0) => {}
        Ok(released) => {
            tracing::info!(target: "runs", released, "runs that wait are left to the next life");
        }
        Err(error) => {
            // The next life finds them when this one has ended.
            tracing::error!(target: "runs", %error, "runs that wait cannot be left to the next life");
        }
    }
}

/// Writes down what the clients of the next life are to hear.
async fn flush(context: &Arc<Context>) {
    let events = std::mem::take(&mut context.runs.state().handed_on);
    if events.is_empty() {
        return;
    }
    let written: Result<(), StoreError> = context
        .store
        .write(move |tx| {
            let mut insert =
                tx.prepare_cached("INSERT INTO run_events (name, payload) VALUES (?1, ?2)")?;
            for (name, payload) in &events {
                insert.execute(params![name, payload])?;
            }
            Ok(())
        })
        .await;
    if let Err(error) = written {
        tracing::error!(target: "runs", %error, "the next life cannot be told of a run");
    }
}

/// This life has ended everything it had begun.
pub(super) async fn depart(context: &Arc<Context>) {
    flush(context).await;
    let life = context.runs.life().to_owned();
    let left: Result<(), StoreError> = context.store.write(move |tx| lives::leave(tx, &life)).await;
    if let Err(error) = left {
        tracing::warn!(target: "runs", %error, "this life cannot be taken off the list");
    }
}

/// Tells the clients of this life what another one had to say.
async fn tell_for_others(context: &Arc<Context>) {
    let found = context.store.read(|reader| {
        let mut statement =
            reader.prepare_cached("SELECT id, name, payload FROM run_events ORDER BY id")?;
        let rows = statement.query_map([], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
            ))
        })?;
        rows.collect::<Result<Vec<_>, _>>()
    });
    let found = match found {
        Ok(found) if !found.is_empty() => found,
        Ok(_) => return,
        Err(error) => {
            tracing::error!(target: "runs", %error, "what another life tells cannot be read");
            return;
        }
    };
    let told: BTreeSet<i64> = found.iter().map(|(id, _, _)| *id).collect();
    let version = context.state_version();
    for (_, name, payload) in found {
        let payload = Bytes::from(payload);
        match name.as_str() {
            Agent::NAME => context
                .hub
                .publish::<Agent>(&Prepared::of_json(payload), version),
            Chat::NAME => context
                .hub
                .publish::<Chat>(&Prepared::of_json(payload), version),
            other => {
                tracing::warn!(target: "runs", event = other, "an event of another life is not known")
            }
        }
    }
    let forgotten: Result<(), StoreError> = context
        .store
        .write(move |tx| {
            let mut delete = tx.prepare_cached("DELETE FROM run_events WHERE id = ?1")?;
            for id in &told {
                delete.execute([id])?;
            }
            Ok(())
        })
        .await;
    if let Err(error) = forgotten {
        tracing::error!(target: "runs", %error, "what another life has told cannot be taken away");
    }
}
