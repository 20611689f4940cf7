//! Stopping runs: those of this life at once, those of another one by a word in the store.
//!
//! Invariant: nobody is told that a run which waited is stopped before that is kept.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use openclaw_shared::clock::Moment;

use super::request::RunKind;
use super::{Known, estate, journal, outcome};
use crate::context::Context;
use crate::methods::MethodError;
use crate::store::StoreError;

/// How long runs may take to stop that are in the way of something.
const PATIENCE: Duration = Duration::from_secs(15);

/// Which runs are meant.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Which<'a> {
    /// This one.
    Run(&'a str),
    /// All of a session, by its canonical key.
    Session(&'a str),
    /// Those of a session that people have begun by a message.
    Messages(&'a str),
}

/// Stops runs, also such that wait, and says which. Those that are under way end a moment later. The tasks that a session has given
/// to other agents are stopped with it.
///
/// # Errors
/// When it cannot be kept that one which waits is not to begin. It is closed as soon as it can be.
pub(crate) async fn stop(
    context: &Arc<Context>,
    which: Which<'_>,
    why: &str,
) -> Result<Vec<String>, MethodError> {
    let mut stopped = stop_own(context, which, why).await?;
    if context.runs.is_beside_another() {
        stopped.extend(ask_others(context, which, why).await?);
    }
    Ok(stopped)
}

async fn stop_own(
    context: &Arc<Context>,
    which: Which<'_>,
    why: &str,
) -> Result<Vec<String>, StoreError> {
    let (mut stopped, waiting) = {
        let mut state = context.runs.state();
        let is_meant = |run: &str, it: &Known| match which {
            Which::Run(wanted) => run == wanted,
            Which::Session(session) => {
                it.session == session || it.spawned_by.as_deref() == Some(session)
            }
            Which::Messages(session) => {
                it.session == session && it.kind == RunKind::Chat
                    || it.spawned_by.as_deref() == Some(session)
            }
        };
        let meant: Vec<String> = (state.known.iter())
            .filter(|(run, it)| is_meant(run, it))
            .map(|(run, _)| run.clone())
            .collect();
        let mut waiting = Vec::new();
        for run in &meant {
            let Some(known) = state.known.get(run) else {
                continue;
            };
            known.stop(why);
            let session = known.session.clone();
            if let Some(place) = state.lanes.give_up(&session, run)
                && let Some(known) = state.known.remove(run)
            {
                waiting.push((place, known));
            }
        }
        (meant, waiting)
    };
    let mut failure = None;
    for (place, known) in waiting {
        let Err(error) = estate::never_begins(context, &place.run, &known, why).await else {
            continue;
        };
        tracing::error!(target: "runs", run = place.run, %error, "the end of a run that waited cannot be kept");
        stopped.retain(|run| *run != place.run);
        let mut state = context.runs.state();
        // It is closed when it is its turn, unless somebody else does it then.
        if !state.is_leaving {
            let session = known.session.clone();
            state.known.insert(place.run.clone(), known);
            state.lanes.enter(&session, place, Moment::now());
        }
        failure = Some(error);
    }
    context.runs.bell.notify_one();
    match failure {
        Some(error) => Err(error),
        None => Ok(stopped),
    }
}

/// A run that is under way or waits, as far as others need to know it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Its session, as whoever asked has named it.
    pub(crate) asked_as: String,
    pub(crate) kind: RunKind,
}

/// Stops everything in a session, and says whether it has ended soon: then nothing is written to what comes after it.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn clear(
    context: &Arc<Context>,
    session: &str,
    why: &str,
) -> Result<bool, MethodError> {
    let stopped = stop(context, Which::Session(session), why).await?;
    let ends = stopped
        .iter()
        .map(|run| outcome(context, run, Some(PATIENCE)));
    for ended in join_all(ends).await {
        if ended?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What is known of a run that is under way or waits.
pub(crate) fn find(context: &Context, run: &str) -> Option<Seen> {
    let here = context.runs.state().known.get(run).map(|it| Seen {
        asked_as: it.asked_as.clone(),
        kind: it.kind,
    });
    if here.is_some() || !context.runs.is_beside_another() {
        return here;
    }
    let elsewhere = context
        .store
        .read(|reader| Ok(journal::find(reader, run)))
        .and_then(|found| found);
    // What cannot be read is not known.
    let request = elsewhere.ok().flatten()?.request;
    Some(Seen {
        asked_as: request.asked_as,
        kind: request.kind,
    })
}

/// The life that does these runs is asked to stop them: the one that leaves has not ended them yet, or its successor has taken them up.
async fn ask_others(
    context: &Context,
    which: Which<'_>,
    why: &str,
) -> Result<Vec<String>, StoreError> {
    let (own, why) = (context.runs.life().to_owned(), why.to_owned());
    let (by_run, text) = match which {
        Which::Run(run) => (Some(run), None),
        Which::Session(session) => (None, Some((session, false))),
        Which::Messages(session) => (None, Some((session, true))),
    };
    let by_run = by_run.map(str::to_owned);
    let by_session = text.map(|(session, is_said)| (session.to_owned(), is_said));
    context
        .store
        .write(move |tx| journal::ask_to_stop(tx, &own, by_run.as_deref(), by_session, &why))
        .await
}

/// Stops what another life has asked this one to stop.
pub(super) async fn heed(context: &Arc<Context>) {
    let asked = context
        .store
        .read(|reader| Ok(journal::asked_to_stop(reader, context.runs.life())));
    let asked = match asked {
        Ok(Ok(asked)) => asked,
        Ok(Err(error)) | Err(error) => {
            tracing::error!(target: "runs", %error, "what is to be stopped cannot be read");
            return;
        }
    };
    for (run, why) in asked {
        if let Err(error) = stop_own(context, Which::Run(&run), &why).await {
            // It is closed as soon as that can be kept.
            tracing::warn!(target: "runs", run, %error, "a run that waits cannot be closed");
        }
    }
}
