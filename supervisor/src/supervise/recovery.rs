//! The ladder of recovery: from one failed child over the roll-back of a configuration to a loud stop. Pure.
//!
//! It decides nothing; the cores of the children and of the fleet do. It reads from an event and the actions that followed which
//! rung was climbed, so that every rung is told in the same words in the log, in `health` and in `gateway status`.
//!
//! What it keeps is plain data: a supervisor that hands over to its successor can hand it over as it is.

use std::collections::VecDeque;
use std::time::Duration;

use openclaw_shared::clock::WallTime;
use openclaw_shared::control::{ChildName, ChildState};
use openclaw_shared::exit::Exit;
use openclaw_shared::recovery::{LastStop, Recovery, Rung, Step};
use serde::{Deserialize, Serialize};

use super::child;
use super::fleet::{Action, Event, Fleet, is_essential};

/// How long a child has to live without another failure until it is well again.
pub(crate) const QUIET: Duration = Duration::from_secs(60);
/// How many steps are remembered.
const MAX_STEPS: usize = 16;

/// One step that was just taken, before it gets its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Climb {
    pub(crate) rung: Rung,
    pub(crate) child: Option<ChildName>,
    pub(crate) reason: String,
    pub(crate) wait: Option<Duration>,
}

impl Climb {
    pub(crate) fn of(rung: Rung, child: Option<ChildName>, reason: impl Into<String>) -> Self {
        Self {
            rung,
            child,
            reason: reason.into(),
            wait: None,
        }
    }
}

/// What an event says about a life that ended, read before the core takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    child: ChildName,
    /// Whether it was the life that serves, or is to.
    serves: bool,
    why: String,
}

impl Ending {
    /// The end of a life that somebody misses.
    pub(crate) fn of(event: &Event, fleet: &Fleet) -> Option<Self> {
        let Event::Child(child, child::Event::Exited(generation, why)) = event else {
            return None;
        };
        if fleet.is_stopping() {
            return None;
        }
        let core = fleet.child(*child);
        let serves = core.listening() == Some(*generation);
        let is_missed = serves || core.revision_of(*generation).is_some();
        let why = core.doom_of(*generation).unwrap_or(why);
        is_missed.then(|| Self {
            child: *child,
            serves,
            why: why.to_owned(),
        })
    }
}

/// The steps that one event and what followed from it come to.
pub(crate) fn climbs(ending: Option<Ending>, actions: &[Action], was_ready: bool) -> Vec<Climb> {
    let mut climbs = Vec::new();
    if let Some(ending) = &ending {
        climbs.extend(of_ending(ending, actions));
    }
    for action in actions {
        match action {
            Action::GaveUp(child, why) if is_essential(*child) => {
                climbs.push(Climb::of(Rung::Stopped, Some(*child), why.as_str()));
            }
            Action::GaveUp(child, why) => {
                climbs.push(Climb::of(Rung::GivenUp, Some(*child), why.as_str()));
            }
            Action::RolledBack { why, .. } => {
                let rung = if was_ready {
                    Rung::RolledBack
                } else {
                    Rung::LastGood
                };
                climbs.push(Climb::of(rung, None, why.as_str()));
            }
            Action::Child(..)
            | Action::Reload(..)
            | Action::InForce(_)
            | Action::Restarted(..)
            | Action::Finish(_) => {}
        }
    }
    climbs
}

fn of_ending(ending: &Ending, actions: &[Action]) -> Option<Climb> {
    let Ending { child, serves, why } = ending;
    let climb = |rung| Climb::of(rung, Some(*child), why.as_str());
    if !*serves {
        return Some(climb(Rung::Discarded));
    }
    let gave_up = |action: &Action| matches!(action, Action::GaveUp(name, _) if name == child);
    if actions.iter().any(gave_up) {
        // Told by what the fleet makes of it.
        return None;
    }
    let mut of_child = actions.iter().filter_map(|action| match action {
        Action::Child(name, action) if name == child => Some(action),
        Action::Child(..)
        | Action::Reload(..)
        | Action::InForce(_)
        | Action::RolledBack { .. }
        | Action::Restarted(..)
        | Action::GaveUp(..)
        | Action::Finish(_) => None,
    });
    // One that dies while its successor is on its way is followed by that.
    let waits = of_child.find_map(|action| {
        if let child::Action::Arm(child::Timer::Restart(_), wait) = action {
            let wait = Some(*wait);
            return Some(Climb {
                wait,
                ..climb(Rung::BackingOff)
            });
        }
        None
    });
    Some(waits.unwrap_or_else(|| climb(Rung::Restarted)))
}

/// Where the instance stands, and how it came there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ladder {
    steps: VecDeque<Step>,
    last_stop: Option<LastStop>,
}

impl Ladder {
    /// The foot of the ladder; the life before this one may have ended badly.
    pub(crate) const fn new(last_stop: Option<LastStop>) -> Self {
        Self {
            steps: VecDeque::new(),
            last_stop,
        }
    }

    /// Remembers a step.
    pub(crate) fn climb(&mut self, now: WallTime, climb: &Climb) {
        if self.steps.len() == MAX_STEPS {
            self.steps.pop_front();
        }
        self.steps.push_back(Step {
            ts: now.as_millis(),
            rung: climb.rung,
            child: climb.child,
            reason: climb.reason.clone(),
            wait_ms: climb
                .wait
                .map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        });
    }

    /// The rung of a child in this state.
    pub(crate) fn of_child(&self, now: WallTime, child: ChildName, state: ChildState) -> Rung {
        let recent = self.steps.iter().rev().find(|step| {
            step.child == Some(child) && now.since(WallTime::from_millis(step.ts)) < QUIET
        });
        let recent = recent.map_or(Rung::Well, |step| step.rung);
        match state {
            ChildState::Backoff => Rung::BackingOff,
            ChildState::Failed => Rung::GivenUp,
            ChildState::Disabled => Rung::Well,
            // It serves again, or is about to, after whatever it was.
            ChildState::Starting
            | ChildState::Standby
            | ChildState::Active
            | ChildState::Draining
            | ChildState::Stopped => match recent {
                Rung::GivenUp | Rung::BackingOff => Rung::Restarted,
                Rung::Well
                | Rung::Restarted
                | Rung::Replaced
                | Rung::Discarded
                | Rung::Refused
                | Rung::RolledBack
                | Rung::LastGood
                | Rung::Stopped => recent,
            },
        }
    }

    /// Everything, with the highest rung among these and the configuration's.
    pub(crate) fn view(&self, children: impl Iterator<Item = Rung>, config: Rung) -> Recovery {
        Recovery {
            rung: children.fold(config, Rung::max),
            steps: self.steps.iter().cloned().collect(),
            last_stop: self.last_stop.clone(),
        }
    }

    /// How this life ends, for the next one and for whoever asks meanwhile.
    pub(crate) fn end(&self, now: WallTime, exit: Exit) -> Option<LastStop> {
        if exit == Exit::Ok {
            return None;
        }
        let why = self.steps.back().filter(|step| step.rung == Rung::Stopped);
        let reason = match why {
            Some(step) => format!("{}: {}", exit.meaning(), step.reason),
            None => exit.meaning().to_owned(),
        };
        Some(LastStop {
            ts: now.as_millis(),
            code: exit.code(),
            reason,
        })
    }
}

/// The words for a step; each rung has one line of its own in the log.
pub(crate) const fn words(rung: Rung) -> &'static str {
    match rung {
        Rung::Well => "recovered",
        Rung::Restarted => "child died; it is restarted at once",
        Rung::Replaced => "child uses more memory than it may; it is replaced",
        Rung::Discarded => "successor discarded; the predecessor serves on",
        Rung::Refused => "the configuration file was refused; the running one stays",
        Rung::BackingOff => "child failed again; it waits",
        Rung::GivenUp => "child cannot be kept alive; it is tried again slowly",
        Rung::RolledBack => "configuration rolled back",
        Rung::LastGood => "the last-known-good configuration takes over",
        Rung::Stopped => {
            "the instance stops: it is worth nothing without a child that cannot be kept alive"
        }
    }
}

#[cfg(test)]
mod tests;
