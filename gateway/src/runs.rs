//! The one door by which every run of an agent comes in, and the rooms behind it.
//!
//! A run is journaled, then acknowledged, then done when it is its turn ([`lanes`]), as a task of this life ([`look_after`]): it
//! belongs to no connection. Whoever waits for it follows its [`feed`] or asks for its [`outcome`].
//!
//! When this life is replaced, what it has not begun is its successor's, what it has begun it ends within the budget, and what it tells
//! goes through the store to the clients of the successor. A life that ends without that is seen off by the next one: what
//! nobody outside was told of is done again, the rest is closed with an error.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::protocol::event::{Chat, Event};
use openclaw_shared::protocol::params::chat::ChatPayload;
use serde_json::json;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use crate::connection::link::LinkId;
use crate::context::Context;
use crate::methods::MethodError;
use crate::phase::Phase;
use crate::prepared::Prepared;
use crate::services::idempotency::fingerprint;
use crate::services::sessions;
use crate::settings::queue::{DropPolicy, Queue, QueueMode};
use crate::store::StoreError;

mod aside;
pub(crate) mod attachments;
pub(crate) mod commands;
mod dropped;
mod ending;
mod estate;
mod execute;
pub(crate) mod feed;
mod flush;
mod journal;
mod lanes;
mod lives;
mod notebook;
mod prepare;
pub(crate) mod request;
mod stopping;
pub(crate) mod telling;

pub(crate) use aside::command;
pub(crate) use feed::{Follower, Step};
pub(crate) use lanes::Bounds;
pub(crate) use request::{Outcome, RunKind, RunRequest, RunStatus, Work};
pub(crate) use stopping::{Which, clear, find, stop};

pub(crate) use execute::{SHUTDOWN, TIMEOUT};

use dropped::Dropped;
use execute::Done;
use feed::Feed;
use lanes::{Lanes, Manner, Overheard, Start};

/// Runs that wait at most, in all sessions together.
const MOST_WAITING: usize = 10_000;
/// How often a life looks at what the one before it tells and does.
const GLANCE: Duration = Duration::from_millis(20);
/// How long clients that come in are told what was closed when this life began.
const LATECOMERS: Duration = Duration::from_secs(120);
/// How many events wait at most for the successor's clients. They are written together, so this many are a burst.
const MOST_HANDED_ON: usize = 10_000;

/// The runs of this life.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    state: Mutex<State>,
    /// Rings when something may begin, has ended, or is to be stopped.
    bell: Notify,
    /// Rings when a run has ended.
    ended: Notify,
    /// Rings when this life begins to leave, or another one is found at work.
    lives: Notify,
    life: String,
}

#[derive(Debug, Default)]
struct State {
    lanes: Lanes,
    /// What waits and what is under way.
    known: BTreeMap<String, Known>,
    /// How many are under way.
    under_way: usize,
    /// What is to be told by the successor.
    handed_on: Vec<(&'static str, String)>,
    is_leaving: bool,
    /// What was closed when this life began. Those whom it concerns come back a moment later.
    closed: Vec<(Moment, Prepared<ChatPayload>)>,
    /// Whether a life before this one may still be at work.
    has_others: bool,
}

#[derive(Debug)]
struct Known {
    session: String,
    asked_as: String,
    kind: RunKind,
    /// The session of whoever has given it as a task.
    spawned_by: Option<String>,
    feed: Arc<Feed>,
    stop: watch::Sender<Option<String>>,
    is_under_way: bool,
}

impl Known {
    fn new(request: &RunRequest) -> Self {
        let is_task = request.kind == RunKind::Subagent && request.session.is_subagent();
        Self {
            session: request.session.to_string(),
            asked_as: request.asked_as.clone(),
            kind: request.kind,
            spawned_by: request.work.spawned_by.clone().filter(|_| is_task),
            feed: Arc::default(),
            stop: watch::Sender::new(None),
            is_under_way: false,
        }
    }

    /// The first reason counts.
    fn stop(&self, why: &str) {
        self.stop.send_if_modified(|stop| {
            let is_first = stop.is_none();
            stop.get_or_insert_with(|| why.to_owned());
            is_first
        });
    }
}

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

impl State {
    /// A run waits for its turn from here on.
    fn take(&mut self, number: i64, request: &RunRequest, manner: Manner) {
        let session = request.session.as_str();
        let known = self.known.entry(request.run_id.clone());
        known.or_insert_with(|| Known::new(request));
        let waiting = journal::waiting(request.run_id.clone(), number, request.kind, manner);
        self.lanes.enter(session, waiting, Moment::now());
    }
}

impl Runs {
    pub(crate) fn new(life: &str) -> Self {
        Self {
            life: life.to_owned(),
            ..Self::default()
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each critical section leaves its value whole, so a poisoned lock is as good as any.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What tells this life from others.
    pub(crate) fn life(&self) -> &str {
        &self.life
    }

    /// Whether this life begins nothing any more.
    fn is_leaving(&self) -> bool {
        self.state().is_leaving
    }

    /// Whether another life may be at work beside this one.
    fn is_beside_another(&self) -> bool {
        let state = self.state();
        state.has_others || state.is_leaving
    }

    /// This life, for what it is to do; none when that is its successor's.
    fn life_that_stays(&self) -> Option<String> {
        (!self.is_leaving()).then(|| self.life.clone())
    }

    /// Whether anybody would hear what is told: clients of this life, or of its successor.
    pub(crate) fn is_anybody_there(&self, context: &Context) -> bool {
        context.hub.counts().0 > 0 || context.phases.get() == Phase::Draining
    }

    /// Whether a session has a run under way, or one that waits.
    pub(crate) fn is_busy(&self, session: &str) -> bool {
        self.state().lanes.is_busy(session)
    }

    /// Messages that wait in a session, for the run that is under way.
    fn overhear(&self, session: &str) -> Vec<Overheard> {
        self.state().lanes.overhear(session)
    }

    /// While this life leaves, its successor's clients are told as well.
    fn hand_on<E: Event>(&self, context: &Context, payload: &Prepared<E::Payload>) {
        if context.phases.get() != Phase::Draining {
            return;
        }
        let mut state = self.state();
        if state.handed_on.len() < MOST_HANDED_ON
            && let Ok(text) = String::from_utf8(payload.json().to_vec())
        {
            state.handed_on.push((E::NAME, text));
        }
    }
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
async fn write_down(
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
fn enter_within(
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
async fn line_up(context: &Arc<Context>, number: i64, request: &RunRequest) {
    let queue = queue_of(context, request.session.as_str());
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

/// Takes a message of a person in, as the queue of its session is configured.
///
/// # Errors
/// When it was not taken in; then nothing was done.
pub(crate) async fn say(
    context: &Arc<Context>,
    request: RunRequest,
) -> Result<Entered, MethodError> {
    let session = request.session.as_str().to_owned();
    let queue = queue_of(context, &session);
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

/// How a run ended, waiting for it as long as is said; for ever when nothing is said. None when it is not known to have.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn outcome(
    context: &Context,
    run: &str,
    patience: Option<Duration>,
) -> Result<Option<Outcome>, MethodError> {
    let begun = Moment::now();
    loop {
        let ended = context.runs.ended.notified();
        tokio::pin!(ended);
        ended.as_mut().enable();
        let known = context
            .store
            .read(|reader| Ok(journal::outcome(reader, run)))??;
        if known.is_some() {
            return Ok(known);
        }
        let left = patience.map(|patience| patience.saturating_sub(Moment::now().since(begun)));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(None);
        }
        // Another process may be at work on it, and rings no bell here.
        let glance = if context.runs.is_beside_another() {
            GLANCE
        } else {
            Duration::from_secs(3600)
        };
        let wait = left.map_or(glance, |left| left.min(glance));
        let _ = timeout(wait, ended).await;
    }
}

/// Follows a run of this life from its beginning; none when it is over, or another process's.
pub(crate) fn follow(context: &Context, run: &str) -> Option<Follower> {
    let state = context.runs.state();
    let known = state.known.get(run);
    known.map(|it| Follower::new(it.feed.clone()))
}

/// Whoever comes in soon after this life began hears what was closed then.
pub(crate) fn tell_latecomer(context: &Context, link: LinkId) {
    let told: Vec<_> = {
        let mut state = context.runs.state();
        let now = Moment::now();
        state
            .closed
            .retain(|(closed, _)| now.since(*closed) < LATECOMERS);
        state.closed.iter().map(|(_, it)| it.clone()).collect()
    };
    for payload in told {
        context.hub.send_to::<Chat>(link, &payload);
    }
}

/// Does runs, for as long as it is polled.
pub(crate) async fn look_after(context: &Arc<Context>) {
    context.store.opened().await;
    estate::take_over(context).await;
    tokio::join!(work(context), estate::look_after(context));
}

async fn work(context: &Arc<Context>) {
    let runs = &context.runs;
    let mut doing: FuturesUnordered<LocalBoxFuture<'_, (Start, Done)>> = FuturesUnordered::new();
    loop {
        while let Some(begun) = next(context) {
            doing.push(begun);
        }
        let rest = runs.state().lanes.rest(Moment::now());
        let is_quiet = async {
            match rest {
                Some(rest) => sleep(rest).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = runs.bell.notified() => {}
            () = is_quiet => {}
            Some((start, done)) = doing.next() => ended(context, &start, done),
        }
    }
}

/// Begins the next run, if one may begin.
fn next<'a>(context: &Arc<Context>) -> Option<LocalBoxFuture<'a, (Start, Done)>> {
    let settings = context.settings();
    let mut state = context.runs.state();
    let start = loop {
        let start = state.lanes.next(settings.runs.bounds, Moment::now())?;
        if state.known.contains_key(&start.run) {
            break start;
        }
        // It was given up while it was looked for; nobody rings for the ones behind it.
        state.lanes.ended(&start.session, &start.run);
    };
    let known = state.known.get_mut(&start.run)?;
    known.is_under_way = true;
    let (feed, stopped) = (known.feed.clone(), known.stop.subscribe());
    state.under_way += 1;
    drop(state);
    let within = context.clone();
    let task = async move {
        let done = execute::run(within, start.clone(), feed, stopped).await;
        (start, done)
    };
    Some(Box::pin(task))
}

fn ended(context: &Context, start: &Start, done: Done) {
    let mode = match &done {
        Done::Over => QueueMode::default(),
        Done::Held(_) => queue_of(context, &start.session).mode,
    };
    let mut state = context.runs.state();
    state.under_way -= 1;
    match done {
        Done::Over => {
            for run in start.with.iter().chain([&start.run]) {
                state.known.remove(run);
            }
            state.lanes.ended(&start.session, &start.run);
        }
        Done::Held(stored) => {
            let (now, quiet) = (Moment::now(), Duration::ZERO);
            for it in stored {
                let RunRequest { run_id, kind, .. } = it.request;
                let is_first = run_id == start.run;
                let waiting = journal::waiting(run_id, it.number, kind, Manner { mode, quiet });
                if is_first {
                    state.lanes.hold(&start.session, waiting, now);
                } else {
                    state.lanes.enter(&start.session, waiting, now);
                }
            }
        }
    }
    drop(state);
    context.runs.ended.notify_waiters();
}

/// Waits until nothing is under way.
pub(crate) async fn finished(context: &Context) {
    loop {
        let ended = context.runs.ended.notified();
        tokio::pin!(ended);
        ended.as_mut().enable();
        if context.runs.state().under_way == 0 {
            return;
        }
        ended.await;
    }
}

/// This life leaves: nothing begins any more.
pub(crate) fn close(context: &Context) {
    {
        let mut state = context.runs.state();
        state.is_leaving = true;
        state.lanes.close();
        state.known.retain(|_, it| it.is_under_way);
    }
    context.runs.lives.notify_one();
}

/// What waits in a life that leaves is its successor's.
pub(crate) async fn release(context: &Arc<Context>) {
    estate::release(context).await;
}

/// Nobody comes after this life soon: what is under way is stopped, for this reason.
pub(crate) fn stop_all(context: &Context, why: &str) {
    for it in context.runs.state().known.values() {
        it.stop(why);
    }
}

/// What is known of runs that have ended long ago is forgotten.
pub(crate) async fn forget(context: &Context) {
    let forgotten = context
        .store
        .write(|tx| journal::forget(tx, WallTime::now()))
        .await;
    if let Err(error) = forgotten {
        tracing::warn!(target: "runs", %error, "old runs cannot be forgotten");
    }
}

/// Nothing is under way any more, and nothing is left to be told.
pub(crate) async fn depart(context: &Arc<Context>) {
    estate::depart(context).await;
}

#[cfg(test)]
mod tests;
