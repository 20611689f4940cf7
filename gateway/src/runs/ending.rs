//! The end of a run: kept first, then told.
//!
//! Invariant: nobody is told of an end that is not kept. While the store cannot keep it the run is still under way; when this life
//! is over before it can, the next one finds the row and closes it.

use std::sync::Arc;
use std::time::Duration;

use openclaw_shared::clock::WallTime;
use tokio::time::sleep;

use super::execute::Heard;
use super::feed::Feed;
use super::journal;
use super::request::{Outcome, RunKind, RunRequest, RunStatus};
use super::telling::Telling;
use super::{enter_within, line_up};
use crate::context::Context;
use crate::methods::MethodError;
use crate::metrics::RunEnd;
use crate::services::heartbeats::{self, Meaning};
use crate::services::sessions::{Register, Used};
use crate::services::system_events;
use crate::toolbox;

/// Between two attempts at something of a run that the store refuses.
pub(super) const AGAIN: Duration = Duration::from_secs(1);

/// How a run ended.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) outcome: Outcome,
    /// The messages that were answered with it.
    pub(super) heard: Vec<Heard>,
    /// What it took, if it was done to its end.
    pub(super) used: Option<Used>,
}

/// Makes the end of a run durable, however long that takes, and says so to everybody who waits.
pub(super) async fn settle(
    context: &Arc<Context>,
    request: &RunRequest,
    telling: &Telling,
    feed: &Feed,
    mut end: End,
) {
    while let Err(error) = keep(context, request, &end).await {
        let error = error.into_shape().message;
        tracing::error!(target: "runs", run = request.run_id, error, "the end of a run cannot be kept, and is tried again");
        // What the session has used is worth less than the end, should that be what the store refuses.
        end.used = None;
        sleep(AGAIN).await;
    }
    tell(context, request, telling, feed, end);
}

/// Makes the end of a run durable, and with it what somebody else is told because of it.
///
/// # Errors
/// When the store cannot keep it; then nothing has changed.
pub(super) async fn keep(
    context: &Arc<Context>,
    request: &RunRequest,
    end: &End,
) -> Result<(), MethodError> {
    let settings = context.settings();
    let announced = toolbox::announcement(&settings, request, &end.outcome);
    let is_silent = is_silent(context, request, &end.outcome);
    let register = Register::new(settings);
    let (key, run, kept) = (
        request.session.clone(),
        request.run_id.clone(),
        end.outcome.clone(),
    );
    let answered: Vec<String> = end.heard.iter().map(|it| it.run.clone()).collect();
    let used = end.used.clone().unwrap_or_else(|| Used {
        was_aborted: kept.aborted.is_some(),
        ..Used::default()
    });
    let used = Used { is_silent, ..used };
    let life = context.runs.life_that_stays();
    let announcing = announced.clone();
    let is_last = request.work.goes_with_its_session;
    let number = context
        .store
        .write(move |tx| {
            journal::end(tx, &run, &kept)?;
            system_events::give_back(tx, &run)?;
            let with = Outcome {
                answered_with: Some(run),
                ..kept.clone()
            };
            for run in &answered {
                journal::end(tx, run, &with)?;
            }
            let ended = WallTime::from_millis(kept.ended_at);
            if !kept.session_id.is_empty() {
                register.ended(tx, ended, &key, &kept.session_id, &used)?;
            }
            if is_last {
                register.delete(tx, ended, &key, true)?;
            }
            let announcing = announcing.as_ref();
            let number = announcing.map(|it| enter_within(tx, it, life.as_deref(), ended));
            Ok::<_, MethodError>(number.transpose()?.flatten())
        })
        .await?;
    if let (Some(number), Some(announced)) = (number, &announced) {
        line_up(context, number, announced).await;
    }
    Ok(())
}

/// Whether it is no sign of life: a wake-up that had nothing to say does not keep a conversation from ending.
fn is_silent(context: &Context, request: &RunRequest, outcome: &Outcome) -> bool {
    if request.kind != RunKind::Heartbeat {
        return false;
    }
    let heart = context.settings().hearts.woken(&request.work.agent);
    match heartbeats::meaning(outcome.text(), heart.ack_max_chars) {
        Meaning::Empty | Meaning::Ok => true,
        Meaning::Alert(_) => false,
    }
}

/// Counts a run that is over.
fn count(context: &Context, outcome: &Outcome) {
    let tally = &context.metrics.runs;
    let how = match (&outcome.aborted, outcome.status, &outcome.model_error) {
        (Some(_), _, _) => RunEnd::Aborted,
        (None, RunStatus::Ok, None) => RunEnd::Ok,
        (None, RunStatus::Ok, Some(_)) => RunEnd::ModelError,
        (None, _, _) => RunEnd::Error,
    };
    let took = outcome
        .started_at
        .map(|began| Duration::from_millis(outcome.ended_at.saturating_sub(began)));
    tally.ended(how, took);
    let usage = &outcome.usage;
    tally.input.add(usage.input);
    tally.output.add(usage.output);
    tally.cache_read.add(usage.cache_read);
    tally.cache_write.add(usage.cache_write);
}

/// Tells everybody how a run ended, and lets go whoever waits for it.
pub(super) fn tell(
    context: &Arc<Context>,
    request: &RunRequest,
    telling: &Telling,
    feed: &Feed,
    end: End,
) {
    let End { outcome, heard, .. } = end;
    count(context, &outcome);
    match (&outcome.aborted, &outcome.error) {
        (Some(why), _) => telling.is_stopped(outcome.started_at, outcome.ended_at, why),
        (None, error) => {
            if let Some(error) = &outcome.model_error {
                telling.adds(error);
            } else if request.work.compacts.is_some() {
                telling.adds(outcome.text());
            }
            telling.ends(outcome.started_at, outcome.ended_at, error.as_deref());
        }
    }
    for one in heard {
        let feed = Arc::new(Feed::default());
        Telling::new(context.clone(), &one.run, &one.asked_as, feed).answers(None);
    }
    feed.ends(outcome);
}
