//! Processes that take their time: whatever is spawned, killed, told or dies, in any order and in the middle of anything else.

use std::collections::BTreeMap;
use std::time::Duration;

use openclaw_shared::clock::Moment;
use openclaw_shared::control::{ChildName, ChildState, Generation};
use proptest::prelude::*;
use proptest::sample::Index;

use super::{Action, Effect, Event, Fleet, limits, timing};
use crate::supervise::child::{self, Revision, Timer};

use ChildName::{BrowserControl, CanvasHost, Gateway};

/// What a process is about to do, when its turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    GetReady,
    Wait,
    Activate,
    Serve,
    Leave,
}

#[derive(Debug)]
struct Process {
    revision: Revision,
    next: Next,
    /// Configurations to be taken in place, oldest first.
    reloads: Vec<Revision>,
}

#[derive(Debug, Clone)]
enum Step {
    /// One of the processes goes on.
    GoOn(Index),
    /// One of them is killed from outside.
    Kill(Index),
    Change {
        bad_for: Option<usize>,
        gateway: bool,
    },
    Restart(usize),
}

struct World {
    fleet: Fleet,
    now: Moment,
    bad: Vec<(ChildName, Revision)>,
    running: BTreeMap<(ChildName, Generation), Process>,
    timers: Vec<(ChildName, Timer)>,
    newest: u64,
    finished: bool,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            fleet: Fleet::new(limits(), timing()),
            now: Moment::now(),
            bad: Vec::new(),
            running: BTreeMap::new(),
            timers: Vec::new(),
            newest: 1,
            finished: false,
        };
        world.happen(Event::Launch {
            children: ChildName::ALL.to_vec(),
            revision: Revision(1),
            fallback: None,
        });
        world
    }

    fn happen(&mut self, event: Event) {
        for action in self.fleet.on(self.now, event, 0.0) {
            match action {
                Action::Child(name, action) => self.perform(name, action),
                Action::Reload(name, generation, revision) => {
                    if let Some(process) = self.running.get_mut(&(name, generation)) {
                        process.reloads.push(revision);
                    }
                }
                Action::Finish(_) => self.finished = true,
                Action::InForce(_)
                | Action::RolledBack { .. }
                | Action::Restarted(..)
                | Action::GaveUp(..) => {}
            }
        }
    }

    fn perform(&mut self, name: ChildName, action: child::Action) {
        let mut tell = |generation, next| {
            if let Some(process) = self.running.get_mut(&(name, generation)) {
                process.next = next;
            }
        };
        match action {
            child::Action::Spawn(generation, revision) => {
                let process = Process {
                    revision,
                    next: Next::GetReady,
                    reloads: Vec::new(),
                };
                self.running.insert((name, generation), process);
            }
            child::Action::Activate(generation) => tell(generation, Next::Activate),
            child::Action::Drain(generation, _) | child::Action::Kill(generation) => {
                tell(generation, Next::Leave);
            }
            child::Action::Arm(timer, _) => self.timers.push((name, timer)),
            child::Action::AskAlive(_)
            | child::Action::Settled(..)
            | child::Action::Escalate(_) => {}
        }
    }

    /// One process does the next thing that is its own to do. False when it waits for somebody else.
    fn go_on(&mut self, name: ChildName, generation: Generation) -> bool {
        let Some(process) = self.running.get_mut(&(name, generation)) else {
            return false;
        };
        if process.next == Next::Serve && !process.reloads.is_empty() {
            let revision = process.reloads.remove(0);
            let result = if self.bad.contains(&(name, revision)) {
                Err("cannot".to_owned())
            } else {
                Ok(())
            };
            self.happen(Event::Reloaded(name, generation, result));
            return true;
        }
        let event = match process.next {
            Next::GetReady if self.bad.contains(&(name, process.revision)) => {
                self.running.remove(&(name, generation));
                child::Event::Exited(generation, "bad configuration".into())
            }
            Next::GetReady => {
                process.next = Next::Wait;
                child::Event::Ready(generation)
            }
            Next::Activate => {
                process.next = Next::Serve;
                child::Event::Activated(generation)
            }
            Next::Leave => {
                self.running.remove(&(name, generation));
                child::Event::Exited(generation, "left".into())
            }
            Next::Wait | Next::Serve => return false,
        };
        self.happen(Event::Child(name, event));
        true
    }

    fn take(&mut self, step: &Step) {
        // A death now and then is not the beginning of a series.
        self.now = self.now + Duration::from_secs(120);
        let keys: Vec<_> = self.running.keys().copied().collect();
        match step {
            Step::GoOn(index) if !keys.is_empty() => {
                let (name, generation) = *index.get(&keys);
                self.go_on(name, generation);
            }
            Step::Kill(index) if !keys.is_empty() && !self.is_worn_out() => {
                let (name, generation) = *index.get(&keys);
                self.running.remove(&(name, generation));
                let exited = child::Event::Exited(generation, "killed".into());
                self.happen(Event::Child(name, exited));
            }
            Step::GoOn(_) | Step::Kill(_) => {}
            Step::Change { bad_for, gateway } => {
                self.newest += 1;
                let revision = Revision(self.newest);
                self.bad
                    .extend(bad_for.map(|index| (ChildName::ALL[index], revision)));
                let of_gateway = if *gateway {
                    Effect::Replace
                } else {
                    Effect::Hot
                };
                let effects = BTreeMap::from([
                    (Gateway, of_gateway),
                    (CanvasHost, Effect::Replace),
                    (BrowserControl, Effect::Hot),
                ]);
                self.happen(Event::Change(revision, effects));
            }
            Step::Restart(index) => {
                self.happen(Event::Restart([ChildName::ALL[*index]].into()));
            }
        }
    }

    /// Whether a way back has been tried as often as it is: what dies now may stay on what was rejected.
    fn is_worn_out(&self) -> bool {
        let rollout = self.fleet.rollout.as_ref();
        rollout.is_some_and(|rollout| rollout.more_tries == 0)
    }

    /// Lets everybody do what is theirs to do, and backed off children come up, until nothing is left to do.
    fn settle(&mut self) {
        loop {
            let keys: Vec<_> = self.running.keys().copied().collect();
            let mut moved = false;
            for (name, generation) in keys {
                moved |= self.go_on(name, generation);
            }
            let (restarts, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.timers)
                .into_iter()
                .partition(|(_, timer)| matches!(timer, Timer::Restart(_)));
            self.timers = others;
            for (name, timer) in restarts {
                moved = true;
                self.happen(Event::Child(name, child::Event::Fired(timer)));
            }
            if !moved {
                return;
            }
        }
    }

    /// What runs is what the fleet knows of, and whoever is to leave has been told so.
    fn check(&self) -> Result<(), TestCaseError> {
        for name in ChildName::ALL {
            let core = self.fleet.child(name);
            let mut known = core.living();
            known.sort_unstable();
            let running: Vec<Generation> = self
                .running
                .keys()
                .filter(|(child, _)| *child == name)
                .map(|(_, generation)| *generation)
                .collect();
            prop_assert_eq!(&running, &known, "{}", name);
            for generation in known {
                if core.revision_of(generation).is_none() {
                    let process = &self.running[&(name, generation)];
                    prop_assert_eq!(process.next, Next::Leave, "{} {}", name, generation);
                }
            }
        }
        Ok(())
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => any::<Index>().prop_map(Step::GoOn),
        2 => any::<Index>().prop_map(Step::Kill),
        2 => (prop::option::of(0_usize..3), any::<bool>())
            .prop_map(|(bad_for, gateway)| Step::Change { bad_for, gateway }),
        1 => (0_usize..3).prop_map(Step::Restart),
    ]
}

proptest! {
    /// At every moment what runs is what the fleet knows of; left alone, everybody ends on the one revision in force; and a stop
    /// ends everything.
    #[test]
    fn nothing_is_lost_sight_of_in_the_middle_of_a_change(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
            world.check()?;
        }
        if !world.finished {
            world.settle();
            world.check()?;
            prop_assert_eq!(
                ChildName::ALL.map(|name| world.fleet.child(name).state()),
                [ChildState::Active; 3]
            );
            let in_force = Some(world.fleet.in_force);
            prop_assert_eq!(
                ChildName::ALL.map(|name| world.fleet.child(name).revision()),
                [in_force; 3]
            );
            world.happen(Event::Stop);
            world.settle();
        }
        prop_assert!(world.finished);
        prop_assert!(world.running.is_empty());
    }
}
