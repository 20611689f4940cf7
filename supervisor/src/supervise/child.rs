//! One child under supervision: its lives, and what follows from whatever happens to them. Pure.
//!
//! At most one life serves, at most one successor is being brought up, and predecessors that were told to leave are
//! remembered until they have. Everything that happens carries the generation it belongs to, so an exit or a timer of an
//! earlier life finds nobody and changes nothing.
//!
//! Invariant: a life that serves is told to leave only after its successor serves, and after whoever asked for that has been told.

use std::time::Duration;

use openclaw_shared::clock::Moment;
use openclaw_shared::control::{ChildState, Generation, StopReason};

use super::intensity::{Intensity, Limits, Verdict};

pub(crate) mod kept;
#[cfg(test)]
mod tests;

/// Names a configuration that lives were launched with; two lives with the same number run the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub(crate) struct Revision(pub(crate) u64);

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// From spawn to serving.
    pub(crate) ready: Duration,
    /// From the order to leave to the exit.
    pub(crate) drain: Duration,
    /// Between two questions whether a life is alive.
    pub(crate) beat: Duration,
    /// Questions in a row that may stay unanswered.
    pub(crate) missed_beats: u32,
    /// Between two attempts at a child that failed for good.
    pub(crate) retry: Duration,
}

/// Whatever can happen to a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// Bring it up.
    Start(Revision),
    /// Bring up a successor with this configuration, then let the predecessor leave.
    Replace(Revision),
    /// A life has built everything and waits.
    Ready(Generation),
    /// A life serves.
    Activated(Generation),
    /// A life has ended, or could not be spawned, and why.
    Exited(Generation, String),
    /// A life answered a heartbeat.
    Alive(Generation),
    /// A timer that was armed has run out.
    Fired(Timer),
    /// A life uses more memory than can be borne, and why that is its end.
    Overgrown(Generation, String),
    /// The configuration switches it off.
    Disable,
    /// The instance stops.
    Stop,
    /// The instance stops at once.
    Hurry,
}

/// What a timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Timer {
    /// The back-off before this generation is over.
    Restart(Generation),
    /// This generation should serve by now.
    Ready(Generation),
    /// This generation should be gone by now.
    Drain(Generation),
    /// Time to ask whether this generation is alive.
    Beat(Generation),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start a process for this generation, with this configuration.
    Spawn(Generation, Revision),
    /// Let it serve.
    Activate(Generation),
    /// Let it leave.
    Drain(Generation, StopReason),
    /// End it now.
    Kill(Generation),
    /// Ask whether it is alive.
    AskAlive(Generation),
    /// Wake up later.
    Arm(Timer, Duration),
    /// A start or replacement that was asked for has come to its end: this revision serves, or why it does not.
    Settled(Revision, Result<(), String>),
    /// It cannot be kept alive.
    Escalate(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Standby,
    Active,
}

#[derive(Debug, Clone)]
struct Life {
    generation: Generation,
    revision: Revision,
    phase: Phase,
    unanswered: u32,
    /// Why it is being killed, which tells more than the signal it dies of.
    doom: Option<String>,
}

#[derive(Debug, Clone)]
enum Serving {
    /// Switched off, or not started yet.
    Absent,
    /// The life that serves, or the first one on its way there.
    Life(Life),
    /// Dead; this generation starts when its timer runs out.
    Backoff(Generation),
    /// Died too often; this generation is tried when its timer runs out.
    Failed(Generation),
}

/// One child.
#[derive(Debug, Clone)]
pub(crate) struct Child {
    timing: Timing,
    intensity: Intensity,
    last_generation: Generation,
    wanted: Revision,
    serving: Serving,
    successor: Option<Life>,
    leaving: Vec<Generation>,
    /// A start or replacement was asked for and has not come to its end.
    unsettled: bool,
    stopping: bool,
    restarts: u32,
    forced: bool,
    last_error: Option<String>,
}

impl Child {
    pub(crate) const fn new(limits: Limits, timing: Timing) -> Self {
        Self {
            timing,
            intensity: Intensity::new(limits),
            last_generation: Generation(0),
            wanted: Revision(0),
            serving: Serving::Absent,
            successor: None,
            leaving: Vec::new(),
            unsettled: false,
            stopping: false,
            restarts: 0,
            forced: false,
            last_error: None,
        }
    }

    /// Changes how long things may take, from now on.
    pub(crate) const fn set_timing(&mut self, timing: Timing) {
        self.timing = timing;
    }

    /// Takes an event and says what follows. `jitter` is a number from 0 to 1.
    #[must_use = "actions that are not performed are restarts that never happen"]
    pub(crate) fn on(&mut self, now: Moment, event: Event, jitter: f64) -> Vec<Action> {
        match event {
            Event::Start(revision) | Event::Replace(revision) => self.replace(revision),
            Event::Ready(generation) => self.ready(generation),
            Event::Activated(generation) => self.activated(generation),
            Event::Exited(generation, why) => self.exited(now, generation, why, jitter),
            Event::Alive(generation) => {
                if let Some(life) = self.life(generation) {
                    life.unanswered = 0;
                }
                Vec::new()
            }
            Event::Fired(timer) => self.fired(timer),
            Event::Overgrown(generation, why) => match self.life(generation) {
                Some(life) => {
                    life.doom = Some(why);
                    vec![Action::Kill(generation)]
                }
                None => Vec::new(),
            },
            Event::Disable => self.leave(StopReason::Disabled),
            Event::Stop => {
                self.stopping = true;
                self.leave(StopReason::Stop)
            }
            Event::Hurry => self.hurry(),
        }
    }

    /// The state as people see it.
    pub(crate) fn state(&self) -> ChildState {
        match &self.serving {
            Serving::Life(life) => match life.phase {
                Phase::Starting => ChildState::Starting,
                Phase::Standby => ChildState::Standby,
                Phase::Active => ChildState::Active,
            },
            Serving::Backoff(_) => ChildState::Backoff,
            Serving::Failed(_) => ChildState::Failed,
            Serving::Absent if !self.leaving.is_empty() => ChildState::Draining,
            Serving::Absent if self.stopping => ChildState::Stopped,
            Serving::Absent => ChildState::Disabled,
        }
    }

    /// Whether it is switched off: no life is to serve.
    pub(crate) const fn is_off(&self) -> bool {
        matches!(self.serving, Serving::Absent)
    }

    /// The life that people see: the one that serves, or the last one.
    pub(crate) fn generation(&self) -> Generation {
        match &self.serving {
            Serving::Life(life) => life.generation,
            Serving::Absent | Serving::Backoff(_) | Serving::Failed(_) => {
                self.leaving.last().copied().unwrap_or(self.last_generation)
            }
        }
    }

    /// Every generation with a process.
    pub(crate) fn living(&self) -> Vec<Generation> {
        let mut living = self.leaving.clone();
        if let Serving::Life(life) = &self.serving {
            living.push(life.generation);
        }
        living.extend(self.successor.as_ref().map(|life| life.generation));
        living
    }

    /// The life that may be told of changes.
    pub(crate) fn listening(&self) -> Option<Generation> {
        match &self.serving {
            Serving::Life(life) => Some(life.generation),
            Serving::Absent | Serving::Backoff(_) | Serving::Failed(_) => None,
        }
    }

    /// The configuration that the serving life runs on.
    pub(crate) fn revision(&self) -> Option<Revision> {
        match &self.serving {
            Serving::Life(life) => Some(life.revision),
            Serving::Absent | Serving::Backoff(_) | Serving::Failed(_) => None,
        }
    }

    /// The configuration that a living generation was launched with.
    pub(crate) fn revision_of(&self, generation: Generation) -> Option<Revision> {
        let serving = match &self.serving {
            Serving::Life(life) => Some(life),
            Serving::Absent | Serving::Backoff(_) | Serving::Failed(_) => None,
        };
        let mut lives = serving.into_iter().chain(&self.successor);
        lives
            .find(|life| life.generation == generation)
            .map(|life| life.revision)
    }

    /// Why a life is being killed, when it is.
    pub(crate) fn doom_of(&self, generation: Generation) -> Option<&str> {
        let serving = match &self.serving {
            Serving::Life(life) => Some(life),
            Serving::Absent | Serving::Backoff(_) | Serving::Failed(_) => None,
        };
        let mut lives = serving.into_iter().chain(&self.successor);
        let life = lives.find(|life| life.generation == generation)?;
        life.doom.as_deref()
    }

    /// Whether a successor is on its way.
    pub(crate) const fn has_successor(&self) -> bool {
        self.successor.is_some()
    }

    /// Something that people should know of it, although it serves.
    pub(crate) fn remark(&mut self, why: String) {
        self.last_error = Some(why);
    }

    /// The serving life has taken this configuration in place.
    pub(crate) const fn took(&mut self, revision: Revision) {
        self.wanted = revision;
        if let Serving::Life(life) = &mut self.serving {
            life.revision = revision;
        }
    }

    pub(crate) const fn restarts(&self) -> u32 {
        self.restarts
    }

    /// Whether a life had to be killed because it did not leave in time.
    pub(crate) const fn was_forced(&self) -> bool {
        self.forced
    }

    pub(crate) fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    fn replace(&mut self, revision: Revision) -> Vec<Action> {
        if self.stopping {
            return Vec::new();
        }
        self.wanted = revision;
        self.unsettled = true;
        match &self.serving {
            Serving::Absent | Serving::Backoff(_) | Serving::Failed(_) => {
                self.intensity.forgive();
                self.spawn_serving()
            }
            // A life on its way up with this very configuration is the answer to this request too.
            Serving::Life(life) if life.phase != Phase::Active => {
                if life.revision == revision {
                    Vec::new()
                } else {
                    self.supersede_serving()
                }
            }
            Serving::Life(_) => match &mut self.successor {
                Some(successor) if successor.revision == revision => Vec::new(),
                Some(successor) => {
                    let superseded = successor.generation;
                    self.leaving.push(superseded);
                    let mut actions = vec![Action::Kill(superseded)];
                    actions.extend(self.spawn_successor());
                    actions
                }
                None => self.spawn_successor(),
            },
        }
    }

    /// The first life is still starting, with a configuration nobody wants any more.
    fn supersede_serving(&mut self) -> Vec<Action> {
        let Serving::Life(life) = &self.serving else {
            return Vec::new();
        };
        let superseded = life.generation;
        self.leaving.push(superseded);
        let mut actions = vec![Action::Kill(superseded)];
        actions.extend(self.spawn_serving());
        actions
    }

    fn spawn_serving(&mut self) -> Vec<Action> {
        let (life, actions) = self.new_life();
        self.serving = Serving::Life(life);
        actions
    }

    fn spawn_successor(&mut self) -> Vec<Action> {
        let (life, actions) = self.new_life();
        self.successor = Some(life);
        actions
    }

    fn new_life(&mut self) -> (Life, Vec<Action>) {
        let generation = Generation(self.last_generation.0 + 1);
        self.last_generation = generation;
        let life = Life {
            generation,
            revision: self.wanted,
            phase: Phase::Starting,
            unanswered: 0,
            doom: None,
        };
        let actions = vec![
            Action::Spawn(generation, self.wanted),
            Action::Arm(Timer::Ready(generation), self.timing.ready),
        ];
        (life, actions)
    }

    fn ready(&mut self, generation: Generation) -> Vec<Action> {
        match self.life(generation) {
            Some(life) if life.phase == Phase::Starting => {
                life.phase = Phase::Standby;
                vec![Action::Activate(generation)]
            }
            Some(_) | None => Vec::new(),
        }
    }

    fn activated(&mut self, generation: Generation) -> Vec<Action> {
        let Some(life) = self.life(generation) else {
            return Vec::new();
        };
        if life.phase != Phase::Standby {
            return Vec::new();
        }
        life.phase = Phase::Active;
        let revision = life.revision;
        let mut actions = vec![Action::Arm(Timer::Beat(generation), self.timing.beat)];
        // Before the predecessor is told to leave: it may be what has to tell how its own replacement ended.
        if std::mem::take(&mut self.unsettled) {
            actions.push(Action::Settled(revision, Ok(())));
        }
        if let Some(successor) = self.successor.take_if(|life| life.generation == generation) {
            let predecessor = std::mem::replace(&mut self.serving, Serving::Life(successor));
            if let Serving::Life(predecessor) = predecessor {
                actions.extend(self.send_away(predecessor.generation, StopReason::Replaced));
            }
        }
        actions
    }

    fn exited(
        &mut self,
        now: Moment,
        generation: Generation,
        why: String,
        jitter: f64,
    ) -> Vec<Action> {
        if let Some(index) = self
            .leaving
            .iter()
            .position(|leaving| *leaving == generation)
        {
            self.leaving.remove(index);
            return Vec::new();
        }
        if let Some(successor) = self.successor.take_if(|life| life.generation == generation) {
            let why = successor.doom.unwrap_or(why);
            self.last_error = Some(format!("successor {generation} was discarded: {why}"));
            self.unsettled = false;
            if let Serving::Life(predecessor) = &self.serving {
                // Should the predecessor die, what follows it must be what it was, not what has just failed.
                self.wanted = predecessor.revision;
            }
            return vec![Action::Settled(successor.revision, Err(why))];
        }
        let Serving::Life(life) = &mut self.serving else {
            return Vec::new();
        };
        if life.generation != generation {
            return Vec::new();
        }
        let why = life.doom.take().unwrap_or(why);
        let was_active = life.phase == Phase::Active;
        let revision = life.revision;
        self.last_error = Some(why.clone());
        if self.stopping {
            self.serving = Serving::Absent;
            return Vec::new();
        }
        if was_active && let Some(successor) = self.successor.take() {
            // The successor is on its way already; starting a third life would only compete with it.
            self.serving = Serving::Life(successor);
            self.restarts += 1;
            return Vec::new();
        }
        let settled = (!was_active && std::mem::take(&mut self.unsettled))
            .then(|| Action::Settled(revision, Err(why.clone())));
        let mut actions = Vec::new();
        let next = Generation(self.last_generation.0 + 1);
        let verdict = self.intensity.failed(now, jitter);
        // The end of a revision makes the fleet decide anew, on the life that is there by then; so whatever starts one comes before.
        match verdict {
            Verdict::Now => {
                self.restarts += 1;
                actions.extend(self.spawn_serving());
                actions.extend(settled);
            }
            Verdict::After(delay) => {
                self.serving = Serving::Backoff(next);
                actions.push(Action::Arm(Timer::Restart(next), delay));
                actions.extend(settled);
            }
            Verdict::Escalate => {
                self.serving = Serving::Failed(next);
                actions.push(Action::Arm(Timer::Restart(next), self.timing.retry));
                actions.extend(settled);
                actions.push(Action::Escalate(why));
            }
        }
        actions
    }

    fn fired(&mut self, timer: Timer) -> Vec<Action> {
        match timer {
            Timer::Restart(generation) => match self.serving {
                Serving::Backoff(next) | Serving::Failed(next)
                    if next == generation && !self.stopping =>
                {
                    self.restarts += 1;
                    self.spawn_serving()
                }
                Serving::Absent | Serving::Life(_) | Serving::Backoff(_) | Serving::Failed(_) => {
                    Vec::new()
                }
            },
            Timer::Ready(generation) => {
                let within = self.timing.ready;
                match self.life(generation) {
                    Some(life) if life.phase != Phase::Active => {
                        life.doom = Some(format!("it was not ready within {within:?}"));
                        vec![Action::Kill(generation)]
                    }
                    Some(_) | None => Vec::new(),
                }
            }
            Timer::Drain(generation) => {
                if self.leaving.contains(&generation) {
                    self.forced = true;
                    vec![Action::Kill(generation)]
                } else {
                    Vec::new()
                }
            }
            Timer::Beat(generation) => self.beat(generation),
        }
    }

    fn beat(&mut self, generation: Generation) -> Vec<Action> {
        let Timing {
            beat, missed_beats, ..
        } = self.timing;
        let Some(life) = self.life(generation) else {
            return Vec::new();
        };
        if life.unanswered >= missed_beats {
            life.doom = Some(format!(
                "it hung: {missed_beats} heartbeats, {beat:?} apart, stayed unanswered"
            ));
            return vec![Action::Kill(generation)];
        }
        life.unanswered += 1;
        vec![
            Action::AskAlive(generation),
            Action::Arm(Timer::Beat(generation), beat),
        ]
    }

    fn leave(&mut self, reason: StopReason) -> Vec<Action> {
        let mut actions = Vec::new();
        if let Some(successor) = self.successor.take() {
            // It serves nobody yet, so there is nothing to drain.
            self.leaving.push(successor.generation);
            actions.push(Action::Kill(successor.generation));
        }
        if let Serving::Life(life) = std::mem::replace(&mut self.serving, Serving::Absent) {
            match life.phase {
                Phase::Active => actions.extend(self.send_away(life.generation, reason)),
                // It has accepted nothing: there is nothing to finish.
                Phase::Starting | Phase::Standby => {
                    self.leaving.push(life.generation);
                    actions.push(Action::Kill(life.generation));
                }
            }
        }
        if std::mem::take(&mut self.unsettled) {
            let why = "the child was told to leave meanwhile".to_owned();
            actions.push(Action::Settled(self.wanted, Err(why)));
        }
        actions
    }

    fn hurry(&mut self) -> Vec<Action> {
        self.stopping = true;
        let mut actions = self.leave(StopReason::Stop);
        self.forced |= !self.leaving.is_empty();
        actions.retain(|action| !matches!(action, Action::Drain(..) | Action::Kill(_)));
        actions.extend(self.leaving.iter().copied().map(Action::Kill));
        actions
    }

    fn send_away(&mut self, generation: Generation, reason: StopReason) -> Vec<Action> {
        self.leaving.push(generation);
        vec![
            Action::Drain(generation, reason),
            Action::Arm(Timer::Drain(generation), self.timing.drain),
        ]
    }

    fn life(&mut self, generation: Generation) -> Option<&mut Life> {
        let serving = match &mut self.serving {
            Serving::Life(life) => Some(life),
            Serving::Absent | Serving::Backoff(_) | Serving::Failed(_) => None,
        };
        serving
            .into_iter()
            .chain(self.successor.as_mut())
            .find(|life| life.generation == generation)
    }
}
