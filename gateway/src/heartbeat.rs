//! What wakes agents by itself: at even distances, and when somebody wants an agent to know something at once.
//!
//! One loop for all hearts ([`look_after`]); each beats at most once at a time, and whatever asks for a beat meanwhile asks for
//! one more, however often. Whether it beats is decided in [`heartbeats`]. Only the life that holds the lease wakes anybody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use openclaw_shared::clock::{Moment, WallTime, local_zone};
use openclaw_shared::protocol::event::{Heartbeat, HeartbeatPayload};
use openclaw_shared::protocol::params::heartbeat::WakeMode;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::context::Context;
use crate::methods::MethodError;
use crate::phase::Phase;
use crate::prepared::Prepared;
use crate::runs::{self, Outcome, RunKind, RunRequest, RunStatus, Work};
use crate::services::beneath::Folder;
use crate::services::heartbeats::{self, Beat, Cause, Checklist, Facts, Skip};
use crate::services::session_key::SessionKey;
use crate::services::system_events::{self, Kind, Queued, Told, Waiting};
use crate::settings::Settings;
use crate::settings::hearts::Heart;
use crate::settings::models::ModelRef;
use crate::store::{StoreError, lease};

/// How long the loop waits at most: clocks are set, and machines sleep.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How long a heart waits whose session is at work.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// How long a heart waits at least that should have beaten while nothing ran.
const SETTLE: Duration = Duration::from_secs(60);
/// The largest file that is read, in bytes.
const LARGEST_FILE: u64 = 64 * 1024;

/// How others talk to the loop.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    bell: Notify,
    /// The agents that are to be woken at once.
    asked: Mutex<BTreeSet<String>>,
}

impl Pulse {
    fn asked(&self) -> MutexGuard<'_, BTreeSet<String>> {
        // Each critical section leaves its value whole, so a poisoned lock is as good as any.
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The main session of an agent.
pub(crate) fn main_session(settings: &Settings, agent: &str) -> SessionKey {
    SessionKey::parse(&format!("agent:{agent}:main"), settings.naming())
        .expect("an agent of the configuration has an agent's id")
}

/// An agent is to be woken at once, for what waits for it.
pub(crate) fn wake_agent(context: &Context, agent: &str) {
    context.pulse.asked().insert(agent.to_owned());
    context.pulse.bell.notify_one();
}

/// Leaves a note for the main session, and wakes those who are to be woken. The note is durable when this returns.
///
/// # Errors
/// When the store cannot keep it.
pub(crate) async fn wake(
    context: &Context,
    mode: WakeMode,
    text: &str,
) -> Result<Queued, StoreError> {
    let text = text.to_owned();
    let queued = context
        .store
        .write(move |tx| {
            let now = WallTime::now();
            system_events::enqueue(tx, now, None, Kind::Wake(mode), &text)
        })
        .await?;
    match (queued, mode) {
        (Queued::Waits, WakeMode::Now) => wake_all(context),
        (Queued::Waits, WakeMode::NextHeartbeat)
        | (
            Queued::Blank | Queued::TooLong | Queued::Full,
            WakeMode::Now | WakeMode::NextHeartbeat,
        ) => {}
    }
    Ok(queued)
}

/// The agents with a heart, and the one whose session the note waits in.
fn wake_all(context: &Context) {
    let settings = context.settings();
    let mut asked = context.pulse.asked();
    asked.insert(settings.default_agent().to_owned());
    asked.extend(
        settings
            .hearts
            .beating()
            .iter()
            .map(|heart| heart.agent.clone()),
    );
    drop(asked);
    context.pulse.bell.notify_one();
}

/// Settings or the switch have changed.
pub(crate) fn look_again(context: &Context) {
    context.pulse.bell.notify_one();
}

/// Runs for as long as it is polled.
pub(crate) async fn look_after(context: &Arc<Context>) {
    // The store is open before clients are served, or after it.
    context.store.opened().await;
    context.phases.active().await;
    take_over(context).await;
    let mut rhythm = Rhythm::new(WallTime::now());
    let mut at_work = BTreeSet::new();
    let mut beats: FuturesUnordered<LocalBoxFuture<'_, Beaten>> = FuturesUnordered::new();
    loop {
        let pause = if may_wake(context) {
            let now = (Moment::now(), WallTime::now());
            let ready = rhythm.ready(context, now, &at_work);
            for (heart, cause) in ready {
                at_work.insert(heart.agent.clone());
                beats.push(Box::pin(beat(context, heart, cause)));
            }
            rhythm.pause(now, &at_work)
        } else {
            LOOK_AGAIN
        };
        tokio::select! {
            () = context.pulse.bell.notified() => {}
            Some(beaten) = beats.next() => {
                at_work.remove(&beaten.agent);
                rhythm.beaten(context, (Moment::now(), WallTime::now()), beaten);
            }
            () = sleep(pause) => {}
        }
    }
}

fn may_wake(context: &Context) -> bool {
    let is_ours = context.store.read(lease::is_ours).unwrap_or(false);
    is_ours && context.phases.get() == Phase::Active
}

/// Notes that the last life was about to tell are told again or gone, and those that nobody was woken for wake somebody.
async fn take_over(context: &Context) {
    let settled = context
        .store
        .write(|tx| {
            if lease::is_ours(tx)? {
                system_events::settle(tx, None)?;
            }
            Ok::<_, StoreError>(())
        })
        .await;
    if let Err(error) = settled {
        tracing::warn!(target: "heartbeat", %error, "notes that wait cannot be looked at");
    }
    let settings = context.settings();
    for agent in &settings.agents {
        let session = main_session(&settings, &agent.id);
        if waiting(context, &settings, &session).is_ok_and(|waiting| waiting.now) {
            wake_agent(context, &agent.id);
        }
    }
}

fn waiting(
    context: &Context,
    settings: &Settings,
    session: &SessionKey,
) -> Result<Waiting, StoreError> {
    let is_default = session.is_main(settings.naming());
    context
        .store
        .read(|reader| system_events::waiting_for(reader, session.as_str(), is_default))
}

/// What came of a beat.
struct Beaten {
    agent: String,
    cause: Cause,
    /// None when there was nothing to wake the agent for.
    payload: Option<HeartbeatPayload>,
    /// Whether it is tried again soon.
    is_put_off: bool,
}

/// When each heart beats next.
struct Rhythm {
    began: WallTime,
    next: BTreeMap<String, WallTime>,
    /// Those whose session was at work.
    put_off: BTreeMap<String, (Cause, Moment)>,
}

impl Rhythm {
    const fn new(began: WallTime) -> Self {
        Self {
            began,
            next: BTreeMap::new(),
            put_off: BTreeMap::new(),
        }
    }

    /// The hearts that beat now, and why.
    fn ready(
        &mut self,
        context: &Context,
        now: (Moment, WallTime),
        at_work: &BTreeSet<String>,
    ) -> Vec<(Heart, Cause)> {
        let settings = context.settings();
        self.follow(context, &settings, now.1);
        let mut ready = BTreeMap::new();
        for (agent, next) in &self.next {
            if *next <= now.1 {
                ready.insert(agent.clone(), Cause::Interval);
            }
        }
        for (agent, (cause, at)) in &self.put_off {
            if *at <= now.0 {
                ready.insert(agent.clone(), *cause);
            } else {
                ready.remove(agent);
            }
        }
        let mut asked = context.pulse.asked();
        let asked_now: Vec<String> = asked
            .iter()
            .filter(|agent| !at_work.contains(*agent))
            .cloned()
            .collect();
        for agent in asked_now {
            asked.remove(&agent);
            ready.insert(agent, Cause::Asked);
        }
        drop(asked);
        ready.retain(|agent, _| !at_work.contains(agent));
        for agent in ready.keys() {
            self.put_off.remove(agent);
            if let Some(every) = settings
                .hearts
                .of_agent(agent)
                .and_then(|heart| heart.every)
            {
                self.next.insert(agent.clone(), after(now.1, every));
            }
        }
        ready
            .into_iter()
            .map(|(agent, cause)| (settings.hearts.woken(&agent), cause))
            .collect()
    }

    /// Keeps to the hearts that the configuration names.
    fn follow(&mut self, context: &Context, settings: &Settings, now: WallTime) {
        let beating = settings.hearts.beating();
        self.next.retain(|agent, _| {
            beating
                .iter()
                .any(|heart| heart.agent == *agent && heart.every.is_some())
        });
        for heart in beating {
            let Some(every) = heart.every else {
                continue;
            };
            let latest = after(now, every);
            let next = self.next.entry(heart.agent.clone()).or_insert_with(|| {
                let last = context
                    .store
                    .read(|reader| heartbeats::last_of(reader, &heart.agent));
                // A heart that has missed its time does not beat before the house is in order.
                last.ok().flatten().map_or(latest, |last| {
                    after(last, every).max(after(self.began, SETTLE.min(every)))
                })
            });
            // The distance may have become shorter, and the clock may have been set back.
            *next = (*next).min(latest);
        }
    }

    /// How long until one beats. A heart that beats rings by itself when it has, however late the next beat is by then.
    fn pause(&self, now: (Moment, WallTime), at_work: &BTreeSet<String>) -> Duration {
        let waits = self
            .next
            .iter()
            .filter(|(agent, _)| !at_work.contains(*agent));
        let next = waits.map(|(_, next)| next.since(now.1));
        let put_off = self.put_off.values().map(|(_, at)| at.since(now.0));
        let shortest = next.chain(put_off).min().unwrap_or(LOOK_AGAIN);
        shortest.clamp(Duration::from_millis(1), LOOK_AGAIN)
    }

    fn beaten(&mut self, context: &Context, now: (Moment, WallTime), beaten: Beaten) {
        if beaten.is_put_off {
            let again = (beaten.cause, now.0 + TRY_AGAIN);
            self.put_off.insert(beaten.agent.clone(), again);
        }
        if let Some(payload) = beaten.payload {
            tracing::info!(target: "heartbeat", agent = beaten.agent, status = %payload.status, reason = payload.reason, "heartbeat");
            context
                .hub
                .publish::<Heartbeat>(&Prepared::new(&payload), context.state_version());
        }
    }
}

fn after(time: WallTime, wait: Duration) -> WallTime {
    let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    WallTime::from_millis(time.as_millis().saturating_add(wait))
}

/// Lets a heart beat, or finds out why it does not.
async fn beat(context: &Arc<Context>, heart: Heart, cause: Cause) -> Beaten {
    let began = WallTime::now();
    let clock = Moment::now();
    let ended = match try_to_beat(context, &heart, cause, began).await {
        Ok(ended) => ended,
        Err(error) => Some(Beat::Failed(error.into_shape().message)),
    };
    let is_put_off = ended == Some(Beat::Skipped(Skip::Busy));
    let took = u64::try_from(Moment::now().since(clock).as_millis()).unwrap_or(u64::MAX);
    let payload = ended.map(|ended| heartbeats::report(WallTime::now(), took, &heart, ended));
    if let Some(kept) = payload.clone() {
        let agent = heart.agent.clone();
        let kept = context
            .store
            .write(move |tx| heartbeats::keep(tx, &agent, &kept))
            .await;
        if let Err(error) = kept {
            tracing::warn!(target: "heartbeat", %error, "how a heartbeat went cannot be kept");
        }
    }
    Beaten {
        agent: heart.agent,
        cause,
        payload,
        is_put_off,
    }
}

async fn try_to_beat(
    context: &Arc<Context>,
    heart: &Heart,
    cause: Cause,
    began: WallTime,
) -> Result<Option<Beat>, MethodError> {
    let settings = context.settings();
    let named = heart.session.as_deref().filter(|name| *name != "main");
    let session = named
        .and_then(|name| SessionKey::parse(name, settings.naming()).ok())
        .unwrap_or_else(|| main_session(&settings, &heart.agent));
    let waiting = waiting(context, &settings, &session)?;
    if cause == Cause::Asked && waiting == Waiting::default() {
        // It was told by a beat that was under way.
        return Ok(None);
    }
    let hours = heart.hours.as_ref();
    let facts = Facts {
        is_on: context.store.read(heartbeats::is_on)?,
        is_active_hour: hours.is_none_or(|hours| hours.contain(began, &local_zone())),
        is_busy: context.runs.is_busy(session.as_str()),
        has_model: has_model(&settings, heart),
        checklist: checklist(&settings, &heart.agent).await,
        waiting,
    };
    if let Err(skip) = heartbeats::decide(cause, &facts) {
        return Ok(Some(Beat::Skipped(skip)));
    }
    let run_id = format!("heartbeat:{}:{}", heart.agent, began.as_millis());
    let told = claim(context, &settings, &session, &run_id).await?;
    let request = RunRequest {
        run_id: run_id.clone(),
        kind: RunKind::Heartbeat,
        asked_as: session.as_str().to_owned(),
        session,
        work: Work {
            agent: heart.agent.clone(),
            message: heartbeats::question(&told, &heart.prompt),
            model: heart.model.clone(),
            is_quiet: true,
            ..Work::default()
        },
    };
    let entered = runs::enter(context, request).await;
    let settled = run_id.clone();
    context
        .store
        .write(move |tx| system_events::settle(tx, Some(&settled)))
        .await?;
    entered?;
    let outcome = runs::outcome(context, &run_id, None).await?;
    Ok(outcome.map(|outcome| ended(&outcome, heart)))
}

fn ended(outcome: &Outcome, heart: &Heart) -> Beat {
    let failure = match (outcome.status, &outcome.model_error, &outcome.aborted) {
        (RunStatus::Error, _, _) => Some(outcome.error.as_deref().unwrap_or("the run failed")),
        (RunStatus::Ok, Some(error), _) => Some(error.as_str()),
        (RunStatus::Ok, None, Some(why)) => Some(why.as_str()),
        (RunStatus::Ok, None, None) => None,
    };
    match failure {
        Some(error) => Beat::Failed(error.to_owned()),
        None => Beat::Answered(heartbeats::meaning(outcome.text(), heart.ack_max_chars)),
    }
}

async fn claim(
    context: &Context,
    settings: &Settings,
    session: &SessionKey,
    run_id: &str,
) -> Result<Vec<Told>, MethodError> {
    let is_default = session.is_main(settings.naming());
    let (session, run_id) = (session.as_str().to_owned(), run_id.to_owned());
    context
        .store
        .write(move |tx| {
            if !lease::is_ours(tx).map_err(StoreError::from)? {
                return Err(MethodError::unavailable("another gateway has taken over"));
            }
            Ok(system_events::claim(tx, &session, is_default, &run_id)?)
        })
        .await
}

/// Whether there is a model to wake, besides the built-in one.
fn has_model(settings: &Settings, heart: &Heart) -> bool {
    let wish = heart.model.as_deref().and_then(ModelRef::parse);
    let chain = settings.catalog.models.chain(&heart.agent, wish);
    chain.first().is_some_and(|model| !model.is_offline())
}

async fn checklist(settings: &Settings, agent: &str) -> Checklist {
    let is_default = agent == settings.default_agent();
    let workspace = settings.catalog.workspace(agent, is_default);
    let read = spawn_blocking(move || {
        let bytes = Folder::open(&workspace)?.read(heartbeats::FILE, LARGEST_FILE)?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    });
    // A file that cannot be read is as good as none: the agent decides.
    let text = read.await.ok().flatten();
    heartbeats::checklist(text.as_deref())
}

#[cfg(test)]
mod tests;
