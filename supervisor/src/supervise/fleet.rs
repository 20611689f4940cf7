//! All children together: who is essential, how a configuration is rolled out and rolled back, and how everything stops. Pure.
//!
//! A change of configuration is one rollout: every child it concerns takes it, in place or by a successor. It is in force when all
//! of them have, and rolled back when one could not; the next change waits for the end of the one before, and only the
//! latest of those that wait counts. The gateway comes last in a change: when its successor serves, the change is in force, and
//! the predecessor can answer the client that asked for it before it leaves; and a change that fails elsewhere never touches it.
//!
//! Invariant: a child that is not essential never takes the instance along; an essential one that cannot be kept alive ends
//! it, with an exit code that says so.

use std::collections::{BTreeMap, BTreeSet};

use openclaw_shared::clock::Moment;
use openclaw_shared::control::{ChildName, Generation};
use openclaw_shared::exit::Exit;

use super::child::{self, Child, Revision, Timing};
use super::intensity::Limits;

mod kept;
#[cfg(test)]
mod tests;

/// How often children that fail on the way back are tried again, all together. Then what serves is left to serve.
const TRIES_TO_GO_BACK: u8 = 3;

/// What a change means for one child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It takes the configuration in place.
    Hot,
    /// A successor takes over.
    Replace,
    /// It is switched on.
    Start,
    /// It is switched off.
    Stop,
}

/// Whatever can happen to the instance.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// Bring up these children. When an essential one cannot start on `revision`, `fallback` is tried.
    Launch {
        children: Vec<ChildName>,
        revision: Revision,
        fallback: Option<Revision>,
    },
    /// Something happened to a child.
    Child(ChildName, child::Event),
    /// A child has taken a configuration in place, or why not.
    Reloaded(ChildName, Generation, Result<(), String>),
    /// A new configuration.
    Change(Revision, BTreeMap<ChildName, Effect>),
    /// Replace these children on the configuration they have.
    Restart(BTreeSet<ChildName>),
    /// The instance is to stop; a second time, at once.
    Stop,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// As the child's core says.
    Child(ChildName, child::Action),
    /// Hand this configuration to a life that takes it in place.
    Reload(ChildName, Generation, Revision),
    /// Every child concerned runs on this revision.
    InForce(Revision),
    /// The first revision could not be put in force; the second one is again.
    RolledBack {
        from: Revision,
        to: Revision,
        why: String,
    },
    /// The restart of these children is over.
    Restarted(BTreeSet<ChildName>, Result<(), String>),
    /// A child cannot be kept alive; it is tried again slowly.
    GaveUp(ChildName, String),
    /// Nothing lives any more: leave with this code.
    Finish(Exit),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Launch { fallback: Option<Revision> },
    Change,
    Restart,
    RollBack,
}

#[derive(Debug, Clone)]
struct Rollout {
    kind: Kind,
    from: Revision,
    to: Revision,
    effects: BTreeMap<ChildName, Effect>,
    /// Who was switched off before.
    were_off: BTreeSet<ChildName>,
    waiting: BTreeSet<ChildName>,
    /// What the gateway has to do when all others are done.
    last: Option<Effect>,
    failed: Option<String>,
    /// How often a child that fails on the way back is tried again.
    more_tries: u8,
}

impl Rollout {
    /// Whether it is a restart of all of these.
    fn restarts(&self, children: &BTreeSet<ChildName>) -> bool {
        self.kind == Kind::Restart
            && children
                .iter()
                .all(|child| self.effects.contains_key(child))
    }

    /// Whether this child's turn has not come yet.
    fn has_yet_to_ask(&self, name: ChildName) -> bool {
        name == ChildName::Gateway && self.last.is_some()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Stopping { exit: Exit },
    Finished,
}

/// All children of an instance.
#[derive(Debug)]
pub(crate) struct Fleet {
    children: BTreeMap<ChildName, Child>,
    phase: Phase,
    in_force: Revision,
    rollout: Option<Rollout>,
    next_change: Option<(Revision, BTreeMap<ChildName, Effect>)>,
    next_restart: Option<BTreeSet<ChildName>>,
}

/// Whether the instance is worth nothing without this child.
pub(crate) const fn is_essential(name: ChildName) -> bool {
    match name {
        ChildName::Gateway => true,
        ChildName::CanvasHost | ChildName::BrowserControl => false,
    }
}

impl Fleet {
    pub(crate) fn new(limits: Limits, timing: Timing) -> Self {
        Self {
            children: ChildName::ALL
                .into_iter()
                .map(|name| (name, Child::new(limits, timing)))
                .collect(),
            phase: Phase::Running,
            in_force: Revision(0),
            rollout: None,
            next_change: None,
            next_restart: None,
        }
    }

    /// Changes how long things may take, from now on.
    pub(crate) fn set_timing(&mut self, timing: Timing) {
        for child in self.children.values_mut() {
            child.set_timing(timing);
        }
    }

    /// The child of this name.
    pub(crate) fn child(&self, name: ChildName) -> &Child {
        self.children
            .get(&name)
            .expect("every name has a child from the beginning")
    }

    /// Something that people should know of a child, although it serves.
    pub(crate) fn remark(&mut self, name: ChildName, why: String) {
        if let Some(child) = self.children.get_mut(&name) {
            child.remark(why);
        }
    }

    /// Whether a change, a restart or a way back is under way.
    pub(crate) const fn is_changing(&self) -> bool {
        self.rollout.is_some()
    }

    /// Whether the instance is on its way out.
    pub(crate) const fn is_stopping(&self) -> bool {
        matches!(self.phase, Phase::Stopping { .. } | Phase::Finished)
    }

    /// Takes an event and says what follows. `jitter` is a number from 0 to 1.
    #[must_use = "actions that are not performed are restarts that never happen"]
    pub(crate) fn on(&mut self, now: Moment, event: Event, jitter: f64) -> Vec<Action> {
        let mut turn = Turn {
            now,
            jitter,
            actions: Vec::new(),
        };
        match event {
            Event::Launch {
                children,
                revision,
                fallback,
            } => {
                let effects = children
                    .into_iter()
                    .map(|name| (name, Effect::Start))
                    .collect();
                self.begin(&mut turn, Kind::Launch { fallback }, revision, effects);
            }
            Event::Child(name, event) => self.tell(&mut turn, name, event),
            Event::Reloaded(name, generation, result) => {
                self.reloaded(&mut turn, name, generation, result);
            }
            Event::Change(revision, effects) if !self.is_stopping() => {
                if let Some(rollout) = &self.rollout {
                    // The change was planned against what is being rolled out or waits before it. Either may never be in
                    // force, so whom they concern is concerned by this one too.
                    let mut all = rollout.effects.clone();
                    merge(
                        &mut all,
                        self.next_change
                            .take()
                            .map(|(_, before)| before)
                            .unwrap_or_default(),
                    );
                    merge(&mut all, effects);
                    self.next_change = Some((revision, all));
                } else {
                    self.begin(&mut turn, Kind::Change, revision, effects);
                }
            }
            Event::Restart(children) if !self.is_stopping() => self.restart(&mut turn, children),
            Event::Change(..) => {}
            Event::Restart(children) => turn.refuse_restart(children),
            Event::Stop => self.stop(&mut turn, Exit::Ok),
        }
        self.advance_stop(&mut turn);
        turn.actions
    }

    fn restart(&mut self, turn: &mut Turn, children: BTreeSet<ChildName>) {
        match &self.rollout {
            // It brings up what was asked for already; its end answers both.
            Some(rollout) if rollout.restarts(&children) => {}
            Some(_) => self.next_restart.get_or_insert_default().extend(children),
            None => {
                let effects = children
                    .into_iter()
                    .map(|name| {
                        // The change before this one may have switched it off; so it shall stay.
                        let is_off = self.child(name).is_off();
                        (name, if is_off { Effect::Hot } else { Effect::Replace })
                    })
                    .collect();
                self.begin(turn, Kind::Restart, self.in_force, effects);
            }
        }
    }

    fn begin(
        &mut self,
        turn: &mut Turn,
        kind: Kind,
        to: Revision,
        effects: BTreeMap<ChildName, Effect>,
    ) {
        let waiting = effects
            .iter()
            .filter(|(_, effect)| **effect != Effect::Stop)
            .map(|(name, _)| *name)
            .collect();
        let were_off = effects
            .keys()
            .filter(|name| self.child(**name).is_off())
            .copied()
            .collect();
        let from = self.in_force;
        let mut steps = effects.clone();
        let last = match kind {
            Kind::Change => steps.remove(&ChildName::Gateway),
            Kind::Launch { .. } | Kind::Restart | Kind::RollBack => None,
        };
        self.rollout = Some(Rollout {
            kind,
            from,
            to,
            effects,
            were_off,
            waiting,
            last,
            failed: None,
            more_tries: TRIES_TO_GO_BACK,
        });
        for (name, effect) in steps {
            self.step(turn, name, effect, to);
        }
        self.conclude(turn);
    }

    /// Lets one child begin its part of a rollout.
    fn step(&mut self, turn: &mut Turn, name: ChildName, effect: Effect, to: Revision) {
        match effect {
            Effect::Start => self.tell(turn, name, child::Event::Start(to)),
            Effect::Replace => self.tell(turn, name, child::Event::Replace(to)),
            Effect::Stop => self.tell(turn, name, child::Event::Disable),
            Effect::Hot => match self.child(name).listening() {
                Some(generation) => turn.actions.push(Action::Reload(name, generation, to)),
                // Nobody lives who could take it; the next life starts with it.
                None => self.settled(turn, name, to, Ok(())),
            },
        }
    }

    /// Lets the gateway begin its part when all others have done theirs, or leaves it alone when one of them could not.
    fn step_last(&mut self, turn: &mut Turn) {
        let Some(rollout) = &mut self.rollout else {
            return;
        };
        let others_wait = rollout
            .waiting
            .iter()
            .any(|name| *name != ChildName::Gateway);
        if others_wait {
            return;
        }
        let Some(effect) = rollout.last.take() else {
            return;
        };
        let to = rollout.to;
        if rollout.failed.is_some() {
            rollout.waiting.remove(&ChildName::Gateway);
            rollout.effects.remove(&ChildName::Gateway);
        } else {
            self.step(turn, ChildName::Gateway, effect, to);
        }
    }

    fn tell(&mut self, turn: &mut Turn, name: ChildName, event: child::Event) {
        let ended = match &event {
            child::Event::Exited(generation, why) => Some((*generation, why.clone())),
            child::Event::Start(_)
            | child::Event::Replace(_)
            | child::Event::Ready(_)
            | child::Event::Activated(_)
            | child::Event::Alive(_)
            | child::Event::Fired(_)
            | child::Event::Overgrown(..)
            | child::Event::Disable
            | child::Event::Stop
            | child::Event::Hurry => None,
        };
        let Some(core) = self.children.get_mut(&name) else {
            return;
        };
        let listener = core.listening();
        let actions = core.on(turn.now, event, turn.jitter);
        for action in actions {
            match action {
                child::Action::Settled(revision, result) => {
                    self.settled(turn, name, revision, result);
                }
                child::Action::Escalate(why) => self.escalate(turn, name, why),
                child::Action::Spawn(..)
                | child::Action::Activate(_)
                | child::Action::Drain(..)
                | child::Action::Kill(_)
                | child::Action::AskAlive(_)
                | child::Action::Arm(..) => turn.actions.push(Action::Child(name, action)),
            }
        }
        if let Some((generation, why)) = ended
            && listener == Some(generation)
        {
            self.hot_taker_died(turn, name, why);
        }
    }

    /// A life that was to take a configuration in place died over it, or by chance; either way it is not in force there.
    fn hot_taker_died(&mut self, turn: &mut Turn, name: ChildName, why: String) {
        if let Some(rollout) = &self.rollout
            && rollout.effects.get(&name) == Some(&Effect::Hot)
            && rollout.waiting.contains(&name)
            && !rollout.has_yet_to_ask(name)
        {
            let to = rollout.to;
            self.settled(turn, name, to, Err(why));
        }
    }

    fn reloaded(
        &mut self,
        turn: &mut Turn,
        name: ChildName,
        generation: Generation,
        result: Result<(), String>,
    ) {
        let Some(rollout) = &self.rollout else { return };
        let to = rollout.to;
        if rollout.effects.get(&name) == Some(&Effect::Hot)
            && !rollout.has_yet_to_ask(name)
            && self.child(name).listening() == Some(generation)
        {
            self.settled(turn, name, to, result);
        }
    }

    fn settled(
        &mut self,
        turn: &mut Turn,
        name: ChildName,
        revision: Revision,
        result: Result<(), String>,
    ) {
        let Some(rollout) = &mut self.rollout else {
            return;
        };
        if revision != rollout.to || !rollout.waiting.remove(&name) {
            return;
        }
        match result {
            Ok(()) => {
                if rollout.effects.get(&name) == Some(&Effect::Hot)
                    && let Some(core) = self.children.get_mut(&name)
                {
                    core.took(revision);
                }
            }
            // A launch is judged by the essential children: the others are retried by themselves.
            Err(_) if matches!(rollout.kind, Kind::Launch { .. }) && !is_essential(name) => {}
            // What it cannot go back to in place, its successor starts with; and whoever died on the way back is tried again, because
            // nothing else would ever take it off what was rejected.
            Err(_) if rollout.kind == Kind::RollBack && rollout.more_tries > 0 => {
                rollout.more_tries -= 1;
                rollout.effects.insert(name, Effect::Replace);
                rollout.waiting.insert(name);
                self.step(turn, name, Effect::Replace, revision);
            }
            Err(why) => {
                rollout
                    .failed
                    .get_or_insert_with(|| format!("{name}: {why}"));
            }
        }
        self.conclude(turn);
    }

    fn conclude(&mut self, turn: &mut Turn) {
        self.step_last(turn);
        let Some(rollout) = self.rollout.take_if(|rollout| rollout.waiting.is_empty()) else {
            return;
        };
        match (rollout.kind, rollout.failed.clone()) {
            (Kind::Restart, failed) => {
                let children = rollout.effects.into_keys().collect();
                turn.actions
                    .push(Action::Restarted(children, failed.map_or(Ok(()), Err)));
            }
            (Kind::Launch { .. } | Kind::Change | Kind::RollBack, None) => {
                self.in_force = rollout.to;
                turn.actions.push(Action::InForce(rollout.to));
            }
            (Kind::Change, Some(why)) => self.roll_back(turn, &rollout, rollout.from, why),
            (
                Kind::Launch {
                    fallback: Some(fallback),
                },
                Some(why),
            ) => {
                self.roll_back(turn, &rollout, fallback, why);
            }
            // There is nothing to fall back to: the children's own restarts and their intensity decide.
            (Kind::Launch { fallback: None } | Kind::RollBack, Some(_)) => {
                self.in_force = rollout.to;
            }
        }
        if self.rollout.is_some() || self.is_stopping() {
            return;
        }
        if let Some((revision, effects)) = self.next_change.take() {
            self.begin(turn, Kind::Change, revision, effects);
        } else if let Some(children) = self.next_restart.take() {
            self.restart(turn, children);
        }
    }

    fn roll_back(&mut self, turn: &mut Turn, rollout: &Rollout, to: Revision, why: String) {
        turn.actions.push(Action::RolledBack {
            from: rollout.to,
            to,
            why,
        });
        let mut effects = BTreeMap::new();
        for (name, effect) in &rollout.effects {
            // A child whose successor was discarded still serves on what it had.
            if self.child(*name).revision() == Some(to) && *effect != Effect::Stop {
                continue;
            }
            let was_off = rollout.were_off.contains(name);
            let back = match (effect, rollout.kind) {
                (_, Kind::Launch { .. }) => Effect::Replace,
                (_, Kind::Change | Kind::Restart | Kind::RollBack) if was_off => Effect::Stop,
                (Effect::Hot, _) => Effect::Hot,
                (Effect::Replace | Effect::Start, _) => Effect::Replace,
                (Effect::Stop, _) => Effect::Start,
            };
            effects.insert(*name, back);
        }
        self.in_force = to;
        self.begin(turn, Kind::RollBack, to, effects);
    }

    fn escalate(&mut self, turn: &mut Turn, name: ChildName, why: String) {
        turn.actions.push(Action::GaveUp(name, why));
        if is_essential(name) {
            self.stop(turn, Exit::KeptDying);
        }
    }

    fn stop(&mut self, turn: &mut Turn, exit: Exit) {
        match self.phase {
            Phase::Running => {
                self.phase = Phase::Stopping { exit };
                self.next_change = None;
                if let Some(children) = self.next_restart.take() {
                    turn.refuse_restart(children);
                }
                // Clients are told first. What the gateway still needs to finish, it finds serving.
                self.tell(turn, ChildName::Gateway, child::Event::Stop);
            }
            Phase::Stopping { .. } => {
                for name in ChildName::ALL {
                    self.tell(turn, name, child::Event::Hurry);
                }
            }
            Phase::Finished => {}
        }
    }

    fn advance_stop(&mut self, turn: &mut Turn) {
        let Phase::Stopping { exit } = self.phase else {
            return;
        };
        if !self.child(ChildName::Gateway).living().is_empty() {
            return;
        }
        for name in [ChildName::CanvasHost, ChildName::BrowserControl] {
            self.tell(turn, name, child::Event::Stop);
        }
        if self
            .children
            .values()
            .all(|child| child.living().is_empty())
        {
            let forced = self.children.values().any(Child::was_forced);
            let exit = if forced && exit == Exit::Ok {
                Exit::Forced
            } else {
                exit
            };
            self.phase = Phase::Finished;
            turn.actions.push(Action::Finish(exit));
        }
    }
}

/// Adds what a later change asks for to what an earlier one does.
fn merge(earlier: &mut BTreeMap<ChildName, Effect>, later: BTreeMap<ChildName, Effect>) {
    for (name, effect) in later {
        let merged = match (earlier.get(&name), effect) {
            (_, Effect::Start | Effect::Stop) | (None, _) => effect,
            (Some(Effect::Start), _) => Effect::Start,
            (Some(Effect::Replace), Effect::Hot | Effect::Replace)
            | (Some(Effect::Hot | Effect::Stop), Effect::Replace) => Effect::Replace,
            (Some(Effect::Hot | Effect::Stop), Effect::Hot) => Effect::Hot,
        };
        earlier.insert(name, merged);
    }
}

/// One event's worth of work.
struct Turn {
    now: Moment,
    jitter: f64,
    actions: Vec<Action>,
}

impl Turn {
    fn refuse_restart(&mut self, children: BTreeSet<ChildName>) {
        let why = "the instance is stopping".to_owned();
        self.actions.push(Action::Restarted(children, Err(why)));
    }
}
