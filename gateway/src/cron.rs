//! Jobs, when they are due: waits for the time, begins what is due, sees it through.
//!
//! One loop for all jobs ([`look_after`]). It keeps nothing that the store does not: what runs is found there, so that a life
//! that comes after a kill -9, or takes over from another one, goes on with it under the same run. Only the life that holds the lease
//! begins anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use openclaw_shared::clock::{Moment, WallTime, local_zone};
use openclaw_shared::protocol::error::ErrorCode;
use openclaw_shared::protocol::event::Cron;
use openclaw_shared::protocol::params::cron::{
    CronAction, CronEventPayload, CronJob, CronPayload, CronStatus, Turn,
};
use openclaw_shared::protocol::params::heartbeat::WakeMode;
use openclaw_shared::transcript::Thinking;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use crate::context::Context;
use crate::heartbeat;
use crate::methods::MethodError;
use crate::phase::Phase;
use crate::prepared::Prepared;
use crate::runs::{self, Outcome, RunKind, RunRequest, RunStatus, Work};
use crate::services::cron::agenda::{self, Begun, Finished, Occurrence, Places, Which};
use crate::services::cron::told::{self, Answer};
use crate::services::session_key::{SessionKey, agent_id};
use crate::settings::Settings;
use crate::store::{StoreError, lease};

/// How long the loop waits at most: clocks are set, and machines sleep.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How long it leaves a store alone that has failed.
const RETRY: Duration = Duration::from_secs(5);
/// How much the clock may fall behind before all times are looked at again.
const SET_BACK: Duration = Duration::from_secs(30);
/// The distance at which jobs begin that were missed while nothing ran, and how long that may take for all of them.
const SPREAD: Duration = Duration::from_secs(2);
const SPREAD_AT_MOST: Duration = Duration::from_secs(120);

/// How others talk to the loop.
#[derive(Debug)]
pub(crate) struct Bells {
    /// Rings when jobs have changed, or a run is wanted.
    changed: Notify,
    /// Grows when a run is over.
    over: watch::Sender<u64>,
}

impl Default for Bells {
    fn default() -> Self {
        Self {
            changed: Notify::new(),
            over: watch::Sender::new(0),
        }
    }
}

impl Bells {
    /// Jobs have changed.
    pub(crate) fn jobs_changed(&self) {
        self.changed.notify_one();
    }
}

impl Places for Settings {
    fn agent(&self, job: &CronJob) -> String {
        let named = job.agent_id.as_deref().and_then(agent_id);
        named
            .filter(|id| self.agents.iter().any(|agent| agent.id == *id))
            .unwrap_or_else(|| self.default_agent().to_owned())
    }

    fn main_session(&self, agent: &str) -> Option<String> {
        let is_other = agent != self.default_agent();
        is_other.then(|| heartbeat::main_session(self, agent).as_str().to_owned())
    }
}

/// Runs for as long as it is polled.
pub(crate) async fn look_after(context: &Arc<Context>) {
    // The store is open before clients are served, or after it.
    context.store.opened().await;
    context.phases.active().await;
    let mut held = take_over(context).await;
    let mut at_work = AtWork::default();
    let mut clocks = (Moment::now(), WallTime::now());
    loop {
        let pause = match begin_what_is_due(context, &mut at_work, &mut held).await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::warn!(target: "cron", %error, "jobs cannot be looked at");
                RETRY
            }
        };
        tokio::select! {
            () = context.cron.changed.notified() => {}
            Some(run_id) = at_work.runs.next() => {
                at_work.ids.remove(&run_id);
                context.cron.over.send_modify(|count| *count = count.wrapping_add(1));
            }
            () = sleep(pause) => {}
        }
        let now = (Moment::now(), WallTime::now());
        if was_set_back(clocks, now) {
            tracing::warn!(target: "cron", "the clock was set back; all times are looked at again");
            plan(context).await;
        }
        clocks = now;
    }
}

/// What runs in this life.
#[derive(Default)]
struct AtWork {
    ids: BTreeSet<String>,
    runs: FuturesUnordered<LocalBoxFuture<'static, String>>,
}

impl AtWork {
    fn see_through(&mut self, context: &Arc<Context>, run: Occurrence) {
        if self.ids.insert(run.run_id.clone()) {
            self.runs.push(Box::pin(see_through(context.clone(), run)));
        }
    }
}

/// Whether the clock has fallen behind the time that passed.
fn was_set_back(before: (Moment, WallTime), now: (Moment, WallTime)) -> bool {
    let passed = now.0.since(before.0);
    let shown = now.1.since(before.1);
    shown + SET_BACK < passed || now.1 < before.1 && before.1.since(now.1) > SET_BACK
}

async fn plan(context: &Context) {
    let planned = context
        .store
        .write(|tx| {
            if lease::is_ours(tx)? {
                agenda::plan(tx, WallTime::now(), &local_zone())
            } else {
                Ok(0)
            }
        })
        .await;
    if let Err(error) = planned {
        tracing::warn!(target: "cron", %error, "the times of jobs cannot be looked at");
    }
}

/// Looks at what the last life has left: every job gets its next time, and those that were missed are spread.
async fn take_over(context: &Context) -> BTreeMap<String, Moment> {
    plan(context).await;
    let missed = context
        .store
        .read(|reader| agenda::due(reader, WallTime::now()))
        .unwrap_or_default();
    if !missed.is_empty() {
        tracing::info!(target: "cron", missed = missed.len(), "jobs were due while nothing ran");
    }
    let now = Moment::now();
    let waits = spread(missed.len());
    missed
        .into_iter()
        .map(|due| due.id)
        .zip(waits.map(|wait| now + wait))
        .collect()
}

/// How long each of so many waits: the first one not at all, the others evenly.
fn spread(count: usize) -> impl Iterator<Item = Duration> {
    let count = u32::try_from(count).unwrap_or(u32::MAX).max(1);
    let distance = SPREAD.min(SPREAD_AT_MOST / count);
    (0..count).map(move |number| distance * number)
}

/// Begins what is due and has a place, and says for how long nothing will be.
async fn begin_what_is_due(
    context: &Arc<Context>,
    at_work: &mut AtWork,
    held: &mut BTreeMap<String, Moment>,
) -> Result<Duration, StoreError> {
    let is_ours = context.store.read(lease::is_ours)?;
    if !is_ours || context.phases.get() != Phase::Active {
        return Ok(LOOK_AGAIN);
    }
    let settings = context.settings();
    let most = settings.cron.most_at_once;
    for run in context.store.read(|reader| Ok(agenda::open(reader)))?? {
        if at_work.ids.len() < most {
            at_work.see_through(context, run);
        }
    }
    if !settings.cron.is_enabled {
        return Ok(LOOK_AGAIN);
    }
    // One moment for both looks, or what comes due between them is found by neither.
    let (now, wall) = (Moment::now(), WallTime::now());
    held.retain(|_, until| *until > now);
    let due = context.store.read(|reader| agenda::due(reader, wall))?;
    for due in due {
        let has_place = !due.asks_agent || at_work.ids.len() < most;
        if !has_place || held.contains_key(&due.id) {
            continue;
        }
        if let Begun::Open(run) = begin(context, &due.id, Which::Due).await? {
            at_work.see_through(context, *run);
        }
    }
    // Whoever was due by then and waits for a place is looked at when one is free.
    let next = context
        .store
        .read(|reader| agenda::next_wake_after(reader, wall))?;
    let until_next = next.map(|next| WallTime::from_millis(next).since(WallTime::now()));
    let until_held = held.values().min().map(|until| until.since(now));
    let waits = [until_next, until_held];
    let shortest = waits.into_iter().flatten().min().unwrap_or(LOOK_AGAIN);
    // A moment at least, so that a clock that stands still does not make a busy loop of this one.
    Ok(shortest.clamp(Duration::from_millis(1), LOOK_AGAIN))
}

/// Begins a run of a job, and tells everybody.
///
/// # Errors
/// When the store cannot do it.
pub(crate) async fn begin(context: &Context, id: &str, which: Which) -> Result<Begun, StoreError> {
    let (settings, id) = (context.settings(), id.to_owned());
    let begun = context
        .store
        .write(move |tx| {
            let local = local_zone();
            agenda::begin(tx, WallTime::now(), &local, &id, which, &*settings)
        })
        .await?;
    match &begun {
        Begun::Open(run) => tell_started(context, &run.job.id, run.began.as_millis()),
        Begun::Over(finished) => {
            let began = finished.entry.run_at_ms.unwrap_or_default();
            tell_started(context, &finished.job.id, began);
            tell_finished(context, finished);
        }
        Begun::NotOurs | Begun::Unknown | Begun::NotDue | Begun::Running => {}
    }
    Ok(begun)
}

/// Has a run of a job begun that somebody asks for, and waits for its end. Why not, when it is not.
///
/// # Errors
/// When there is no such job, or the store fails.
pub(crate) async fn run_now(
    context: &Context,
    id: &str,
    which: Which,
) -> Result<Result<Option<String>, &'static str>, MethodError> {
    match begin(context, id, which).await? {
        Begun::Open(run) => {
            context.cron.jobs_changed();
            Ok(Ok(Some(run.run_id)))
        }
        Begun::Over(_) => {
            context.cron.jobs_changed();
            Ok(Ok(None))
        }
        Begun::NotDue => Ok(Err("not-due")),
        Begun::Running => Ok(Err("already-running")),
        Begun::Unknown => Err(MethodError::unavailable(format!(
            "Error: unknown cron job id: {id}"
        ))),
        Begun::NotOurs => Err(MethodError::unavailable(
            "this gateway is being replaced; ask again",
        )),
    }
}

/// Waits until a run is over.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn over(context: &Context, run_id: &str) -> Result<(), StoreError> {
    let mut over = context.cron.over.subscribe();
    while context
        .store
        .read(|reader| agenda::is_open(reader, run_id))?
    {
        // The sender lives as long as the context.
        let _ = over.changed().await;
    }
    Ok(())
}

/// Asks the agent, and notes the answer. Returns which run it was.
async fn see_through(context: Arc<Context>, run: Occurrence) -> String {
    let settings = context.settings();
    let agent = settings.agent(&run.job);
    let main_session = settings.main_session(&agent);
    let answer = ask(&context, &run).await;
    loop {
        let (noted, answer, main) = (run.clone(), answer.clone(), main_session.clone());
        let finished = context
            .store
            .write(move |tx| {
                // Otherwise it is a successor's, whose clients hear of it.
                if !lease::is_ours(tx)? {
                    return Ok(None);
                }
                let (now, local) = (WallTime::now(), local_zone());
                agenda::finish(tx, now, &local, &noted, &answer, main.as_deref())
            })
            .await;
        match finished {
            Ok(Some(finished)) => tell_finished(&context, &finished),
            Ok(None) => {}
            Err::<_, StoreError>(error) => {
                tracing::warn!(target: "cron", run = run.run_id, %error, "the end of a run cannot be noted yet");
                sleep(RETRY).await;
                continue;
            }
        }
        return run.run_id;
    }
}

/// What the run of an occurrence is.
fn request(settings: &Settings, run: &Occurrence, turn: &Turn) -> Result<RunRequest, MethodError> {
    let agent = run
        .job
        .agent_id
        .clone()
        .unwrap_or_else(|| settings.agent(&run.job));
    let key = format!("agent:{agent}:cron:{}", run.job.id);
    let session = SessionKey::parse(&key, settings.naming())
        .map_err(|error| MethodError::invalid(error.to_string()))?;
    let words = |text: &Option<String>| {
        let text = text.as_deref().map(str::trim);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    Ok(RunRequest {
        run_id: run.run_id.clone(),
        kind: RunKind::Cron,
        asked_as: session.as_str().to_owned(),
        session,
        work: Work {
            agent,
            message: told::question(&run.job, &turn.message),
            model: words(&turn.model),
            thinking: words(&turn.thinking).and_then(|level| Thinking::from_text(&level)),
            timeout_ms: turn
                .timeout_seconds
                .map(|seconds| seconds.get_unsigned().saturating_mul(1_000)),
            ..Work::default()
        },
    })
}

async fn ask(context: &Arc<Context>, run: &Occurrence) -> Answer {
    let turn = match &run.job.payload {
        CronPayload::AgentTurn(turn) => turn,
        CronPayload::SystemEvent(_) => return Answer::failed("a note asks no agent", ""),
    };
    loop {
        let asked = async {
            let request = request(&context.settings(), run, turn)?;
            runs::enter(context, request).await?;
            runs::outcome(context, &run.run_id, None).await
        };
        match asked.await {
            Ok(Some(outcome)) => return answer(&outcome),
            // Nobody gives up waiting, so it is known how it ended.
            Ok(None) => sleep(RETRY).await,
            Err(error) => {
                let shape = error.into_shape();
                // What is refused for what it says will be refused again.
                if shape.code != ErrorCode::Unavailable {
                    return Answer::failed(&shape.message, "");
                }
                tracing::warn!(target: "cron", run = run.run_id, error = shape.message, "an agent cannot be asked yet");
                sleep(RETRY).await;
            }
        }
    }
}

fn answer(outcome: &Outcome) -> Answer {
    let failure = match (outcome.status, &outcome.model_error, &outcome.aborted) {
        (RunStatus::Error, _, _) => Some(outcome.error.as_deref().unwrap_or("the run failed")),
        (RunStatus::Ok, Some(error), _) => Some(error.as_str()),
        (RunStatus::Ok, None, Some(why)) => Some(why.as_str()),
        (RunStatus::Ok, None, None) => None,
    };
    match failure {
        None => Answer::said(outcome.text()),
        Some(error) => Answer::failed(error, outcome.text()),
    }
}

fn tell(context: &Context, payload: &CronEventPayload) {
    context
        .hub
        .publish::<Cron>(&Prepared::new(payload), context.state_version());
}

/// Tells everybody what became of a job, and when it is done next.
pub(crate) fn tell_of(context: &Context, job_id: &str, action: CronAction, next: Option<u64>) {
    tell(
        context,
        &CronEventPayload {
            next_run_at_ms: next,
            ..event(job_id, action)
        },
    );
}

fn event(job_id: &str, action: CronAction) -> CronEventPayload {
    CronEventPayload {
        job_id: job_id.to_owned(),
        action,
        status: None,
        error: None,
        summary: None,
        run_at_ms: None,
        duration_ms: None,
        next_run_at_ms: None,
    }
}

fn tell_started(context: &Context, job_id: &str, began: u64) {
    tracing::info!(target: "cron", job = job_id, "job started");
    tell(
        context,
        &CronEventPayload {
            run_at_ms: Some(began),
            ..event(job_id, CronAction::Started)
        },
    );
}

fn tell_finished(context: &Context, finished: &Finished) {
    let entry = finished.entry.clone();
    let job = &finished.job;
    let tally = &context.metrics.jobs;
    match entry.status {
        Some(CronStatus::Error) => tally.error.one(),
        Some(CronStatus::Skipped) => tally.skipped.one(),
        Some(CronStatus::Ok) | None => tally.ok.one(),
    }
    tracing::info!(target: "cron", job = job.id, status = ?entry.status, error = entry.error, "job finished");
    tell(
        context,
        &CronEventPayload {
            job_id: entry.job_id,
            action: CronAction::Finished,
            status: entry.status,
            error: entry.error,
            summary: entry.summary,
            run_at_ms: entry.run_at_ms,
            duration_ms: entry.duration_ms,
            next_run_at_ms: entry.next_run_at_ms,
        },
    );
    if finished.is_gone {
        tell_of(context, &job.id, CronAction::Removed, None);
    }
    if job.wake_mode == WakeMode::Now {
        heartbeat::wake_agent(context, &context.settings().agent(job));
    }
}

#[cfg(test)]
mod tests;
