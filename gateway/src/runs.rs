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
use openclaw_shared::protocol::params::activity::RunActivity;
use openclaw_shared::protocol::params::chat::ChatPayload;
use openclaw_shared::trace::{Trace, following, inherited};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use crate::connection::link::LinkId;
use crate::context::Context;
use crate::methods::MethodError;
use crate::phase::Phase;
use crate::prepared::Prepared;

mod aside;
pub(crate) mod attachments;
pub(crate) mod commands;
mod door;
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
pub(crate) use door::{Entered, Standing, enter, queue_of, say};
pub(crate) use feed::{Follower, Step};
pub(crate) use lanes::{Bounds, Load};
pub(crate) use request::{Outcome, RunKind, RunRequest, RunStatus, Work};
pub(crate) use stopping::{Which, clear, find, stop};

pub(crate) use execute::{SHUTDOWN, TIMEOUT};

use door::{enter_within, line_up, queue_for, write_down};
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
    /// What it was asked for within.
    trace: Trace,
    is_under_way: bool,
    /// Since when it has waited, or been under way.
    since: Moment,
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
            trace: inherited(),
            is_under_way: false,
            since: Moment::now(),
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
    pub(crate) fn is_beside_another(&self) -> bool {
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

    /// How much there is to do.
    pub(crate) fn load(&self) -> Load {
        self.state().lanes.load()
    }

    /// What waits and what is under way, in the order of the sessions.
    pub(crate) fn list(&self, now: Moment, most: usize) -> Vec<RunActivity> {
        let state = self.state();
        let runs = state.known.iter().map(|(run, it)| RunActivity {
            run_id: run.clone(),
            session_key: it.session.clone(),
            kind: it.kind.as_str().to_owned(),
            is_active: it.is_under_way,
            for_ms: u64::try_from(now.since(it.since).as_millis()).unwrap_or(u64::MAX),
        });
        let mut runs: Vec<RunActivity> = runs.collect();
        drop(state);
        let order = |run: &RunActivity| (run.session_key.clone(), !run.is_active);
        runs.sort_by_cached_key(order);
        runs.truncate(most);
        runs
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
    known.since = Moment::now();
    let (feed, stopped) = (known.feed.clone(), known.stop.subscribe());
    let trace = known.trace;
    state.under_way += 1;
    drop(state);
    let within = context.clone();
    let task = async move {
        let doing = execute::run(within, start.clone(), feed, stopped);
        let done = following(trace, doing).await;
        (start, done)
    };
    Some(Box::pin(task))
}

fn ended(context: &Context, start: &Start, done: Done) {
    // Read before the lock is taken.
    let done = match done {
        Done::Over => None,
        Done::Held(stored) => {
            let of_session = queue_of(context, &start.session);
            Some((stored, of_session))
        }
    };
    let mut state = context.runs.state();
    state.under_way -= 1;
    match done {
        None => {
            for run in start.with.iter().chain([&start.run]) {
                state.known.remove(run);
            }
            state.lanes.ended(&start.session, &start.run);
        }
        Some((stored, of_session)) => {
            let (now, quiet) = (Moment::now(), Duration::ZERO);
            for it in stored {
                let RunRequest {
                    run_id, kind, work, ..
                } = it.request;
                let mode = of_session.within(&work.queue).mode;
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
