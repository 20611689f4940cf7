use std::collections::BTreeMap;
use std::time::Duration;

use openclaw_shared::backoff::Backoff;
use openclaw_shared::clock::Moment;
use openclaw_shared::control::{ChildName, ChildState, Generation};
use openclaw_shared::exit::Exit;
use proptest::prelude::*;

use super::{Action, Effect, Event, Fleet};
use crate::supervise::child::{self, Revision, Timer, Timing};
use crate::supervise::intensity::Limits;

use ChildName::{BrowserControl, CanvasHost, Gateway};

mod interleaved;

fn limits() -> Limits {
    Limits {
        restarts: 3,
        window: Duration::from_secs(60),
        backoff: Backoff {
            initial: Duration::from_millis(500),
            max: Duration::from_secs(10),
        },
    }
}

fn timing() -> Timing {
    Timing {
        ready: Duration::from_secs(30),
        drain: Duration::from_secs(10),
        beat: Duration::from_secs(5),
        missed_beats: 2,
        retry: Duration::from_secs(60),
    }
}

/// A fleet with obedient processes: whatever is spawned gets ready and active at once, unless its revision is said to be bad for it.
struct Play {
    fleet: Fleet,
    now: Moment,
    bad: Vec<(ChildName, u64)>,
    running: BTreeMap<(ChildName, Generation), Revision>,
    timers: Vec<(ChildName, Timer)>,
    told: Vec<String>,
}

impl Play {
    fn new() -> Self {
        Self {
            fleet: Fleet::new(limits(), timing()),
            now: Moment::now(),
            bad: Vec::new(),
            running: BTreeMap::new(),
            timers: Vec::new(),
            told: Vec::new(),
        }
    }

    fn launched() -> Self {
        let mut play = Self::new();
        play.launch(None);
        play.told.clear();
        play
    }

    fn launch(&mut self, fallback: Option<u64>) {
        self.happen(Event::Launch {
            children: ChildName::ALL.to_vec(),
            revision: Revision(1),
            fallback: fallback.map(Revision),
        });
    }

    fn happen(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for action in self.fleet.on(self.now, event, 0.0) {
                self.perform(action, &mut events);
            }
        }
    }

    fn perform(&mut self, action: Action, events: &mut Vec<Event>) {
        match action {
            Action::Child(name, action) => self.perform_child(name, action, events),
            Action::Reload(name, generation, revision) => {
                let result = if self.bad.contains(&(name, revision.0)) {
                    Err("cannot".to_owned())
                } else {
                    Ok(())
                };
                events.push(Event::Reloaded(name, generation, result));
            }
            Action::InForce(revision) => self.told.push(format!("in force r{}", revision.0)),
            Action::RolledBack { from, to, why } => {
                self.told
                    .push(format!("rolled back r{} to r{}: {why}", from.0, to.0));
            }
            Action::Restarted(children, result) => {
                self.told.push(format!("restarted {children:?} {result:?}"));
            }
            Action::GaveUp(name, why) => self.told.push(format!("gave up {name}: {why}")),
            Action::Finish(exit) => self.told.push(format!("finish {exit:?}")),
        }
    }

    fn perform_child(&mut self, name: ChildName, action: child::Action, events: &mut Vec<Event>) {
        match action {
            child::Action::Spawn(generation, revision) => {
                self.running.insert((name, generation), revision);
                let first = if self.bad.contains(&(name, revision.0)) {
                    self.running.remove(&(name, generation));
                    child::Event::Exited(generation, "bad configuration".into())
                } else {
                    child::Event::Ready(generation)
                };
                events.insert(0, Event::Child(name, first));
            }
            child::Action::Activate(generation) => {
                events.insert(0, Event::Child(name, child::Event::Activated(generation)));
            }
            child::Action::Drain(generation, _) | child::Action::Kill(generation) => {
                if self.running.remove(&(name, generation)).is_some() {
                    let exited = child::Event::Exited(generation, "left".into());
                    events.insert(0, Event::Child(name, exited));
                }
            }
            child::Action::Arm(timer, _) => self.timers.push((name, timer)),
            child::Action::AskAlive(_)
            | child::Action::Settled(..)
            | child::Action::Escalate(_) => {}
        }
    }

    fn change(&mut self, revision: u64, effects: &[(ChildName, Effect)]) {
        self.happen(Event::Change(
            Revision(revision),
            effects.iter().copied().collect(),
        ));
    }

    fn die(&mut self, name: ChildName) {
        let generation = self.fleet.child(name).generation();
        self.running.remove(&(name, generation));
        self.happen(Event::Child(
            name,
            child::Event::Exited(generation, "killed".into()),
        ));
    }

    fn revisions(&self) -> [Option<u64>; 3] {
        ChildName::ALL.map(|name| self.fleet.child(name).revision().map(|revision| revision.0))
    }

    fn states(&self) -> [ChildState; 3] {
        ChildName::ALL.map(|name| self.fleet.child(name).state())
    }
}

#[test]
fn a_launch_brings_everybody_up() {
    let mut play = Play::new();
    play.launch(None);
    assert_eq!(play.told, ["in force r1"]);
    assert_eq!(play.states(), [ChildState::Active; 3]);
}

#[test]
fn a_change_replaces_and_reloads_only_whom_it_concerns() {
    let mut play = Play::launched();
    play.change(2, &[(Gateway, Effect::Hot), (CanvasHost, Effect::Replace)]);
    assert_eq!(play.told, ["in force r2"]);
    assert_eq!(play.revisions(), [Some(2), Some(2), Some(1)]);
    let generations = ChildName::ALL.map(|name| play.fleet.child(name).generation().0);
    assert_eq!(generations, [1, 2, 1]);
}

#[test]
fn a_change_one_child_cannot_take_is_rolled_back_everywhere() {
    let mut play = Play::launched();
    play.bad.push((CanvasHost, 2));
    play.change(
        2,
        &[(Gateway, Effect::Replace), (CanvasHost, Effect::Replace)],
    );
    let why = "canvas-host: bad configuration";
    assert_eq!(
        play.told,
        [format!("rolled back r2 to r1: {why}"), "in force r1".into()]
    );
    assert_eq!(play.revisions(), [Some(1), Some(1), Some(1)]);
    assert_eq!(play.states(), [ChildState::Active; 3]);
}

#[test]
fn a_change_that_fails_elsewhere_never_touches_the_gateway() {
    for effect in [Effect::Replace, Effect::Hot] {
        let mut play = Play::launched();
        play.bad.push((CanvasHost, 2));
        play.change(2, &[(Gateway, effect), (CanvasHost, Effect::Replace)]);
        assert_eq!(play.fleet.child(Gateway).generation(), Generation(1));
        assert_eq!(play.revisions(), [Some(1), Some(1), Some(1)]);
    }
}

#[test]
fn a_change_is_in_force_before_the_gateway_it_replaces_is_told_to_leave() {
    let mut play = Play::launched();
    let change = Event::Change(
        Revision(2),
        BTreeMap::from([(Gateway, Effect::Replace), (CanvasHost, Effect::Replace)]),
    );
    let at = |name, generation, event: fn(Generation) -> child::Event| {
        Event::Child(name, event(Generation(generation)))
    };
    // The gateway's turn comes when the canvas host serves.
    let mut said = Vec::new();
    for event in [
        change,
        at(CanvasHost, 2, child::Event::Ready),
        at(CanvasHost, 2, child::Event::Activated),
        at(Gateway, 2, child::Event::Ready),
        at(Gateway, 2, child::Event::Activated),
    ] {
        let actions = play.fleet.on(play.now, event, 0.0);
        said.extend(actions.into_iter().filter_map(|action| match action {
            Action::Child(name, child::Action::Spawn(..)) => Some(format!("spawn {name}")),
            Action::Child(name, child::Action::Drain(..)) => Some(format!("drain {name}")),
            Action::InForce(_) => Some("in force".to_owned()),
            Action::Child(..)
            | Action::Reload(..)
            | Action::RolledBack { .. }
            | Action::Restarted(..)
            | Action::GaveUp(..)
            | Action::Finish(_) => None,
        }));
    }
    assert_eq!(
        said,
        [
            "spawn canvas-host",
            "spawn gateway",
            "drain canvas-host",
            "in force",
            "drain gateway"
        ]
    );
}

#[test]
fn a_hot_change_that_is_refused_is_rolled_back_too() {
    let mut play = Play::launched();
    play.bad.push((Gateway, 2));
    play.change(2, &[(Gateway, Effect::Hot), (BrowserControl, Effect::Hot)]);
    assert_eq!(
        play.told,
        ["rolled back r2 to r1: gateway: cannot", "in force r1"]
    );
    assert_eq!(play.revisions(), [Some(1), Some(1), Some(1)]);
}

#[test]
fn a_gateway_that_cannot_start_falls_back_to_the_last_good_configuration() {
    let mut play = Play::new();
    play.bad.push((Gateway, 1));
    play.launch(Some(7));
    assert_eq!(
        play.told,
        [
            "rolled back r1 to r7: gateway: bad configuration",
            "in force r7"
        ]
    );
    assert_eq!(play.states(), [ChildState::Active; 3]);
    assert_eq!(play.revisions(), [Some(7), Some(7), Some(7)]);
}

#[test]
fn a_child_that_is_not_essential_never_takes_the_instance_along() {
    let mut play = Play::new();
    play.bad.push((CanvasHost, 1));
    play.launch(Some(7));
    assert_eq!(play.told, ["in force r1"]);
    for _ in 0..4 {
        play.happen(Event::Child(
            CanvasHost,
            child::Event::Fired(Timer::Restart(Generation(
                play.fleet.child(CanvasHost).generation().0 + 1,
            ))),
        ));
    }
    assert!(
        play.told
            .contains(&"gave up canvas-host: bad configuration".to_owned())
    );
    assert_eq!(play.states()[0], ChildState::Active);
}

#[test]
fn a_gateway_that_keeps_dying_ends_the_instance_with_its_own_code() {
    let mut play = Play::launched();
    for _ in 0..4 {
        play.die(Gateway);
        let next = Generation(play.fleet.child(Gateway).generation().0 + 1);
        play.happen(Event::Child(
            Gateway,
            child::Event::Fired(Timer::Restart(next)),
        ));
    }
    assert_eq!(play.told, ["gave up gateway: killed", "finish KeptDying"]);
    assert!(play.running.is_empty());
}

#[test]
fn a_stop_tells_the_gateways_clients_first_and_leaves_nothing_behind() {
    let mut play = Play::launched();
    play.happen(Event::Stop);
    assert_eq!(play.told, ["finish Ok"]);
    assert!(play.running.is_empty());
    play.happen(Event::Restart([Gateway].into()));
    assert_eq!(
        play.told.last().unwrap(),
        "restarted {Gateway} Err(\"the instance is stopping\")"
    );
}

#[test]
fn switching_a_child_off_and_on_is_a_change_like_any_other() {
    let mut play = Play::launched();
    play.change(2, &[(CanvasHost, Effect::Stop)]);
    assert_eq!(play.states()[1], ChildState::Disabled);
    play.change(3, &[(CanvasHost, Effect::Start)]);
    assert_eq!(play.states()[1], ChildState::Active);
    assert_eq!(play.told, ["in force r2", "in force r3"]);
}

#[test]
fn a_restart_replaces_everybody_once_however_often_it_was_asked_for() {
    let mut play = Play::launched();
    let restart = || Event::Restart(ChildName::ALL.into());
    let first: Vec<Action> = play.fleet.on(play.now, restart(), 0.0);
    let spawned = first
        .iter()
        .filter(|action| matches!(action, Action::Child(_, child::Action::Spawn(..))));
    assert_eq!(spawned.count(), 3);
    assert_eq!(play.fleet.on(play.now, restart(), 0.0), []);
}

#[test]
fn a_restart_of_others_than_those_under_way_follows_and_is_told_by_itself() {
    let mut play = Play::launched();
    let one = Event::Restart([CanvasHost].into());
    let first: Vec<Action> = play.fleet.on(play.now, one, 0.0);
    for more in [[CanvasHost, Gateway], [CanvasHost, BrowserControl]] {
        assert_eq!(
            play.fleet.on(play.now, Event::Restart(more.into()), 0.0),
            []
        );
    }
    let mut events = Vec::new();
    for action in first {
        play.perform(action, &mut events);
    }
    for event in events {
        play.happen(event);
    }
    assert_eq!(
        play.told,
        [
            "restarted {CanvasHost} Ok(())",
            "restarted {Gateway, CanvasHost, BrowserControl} Ok(())"
        ]
    );
    let generations = ChildName::ALL.map(|name| play.fleet.child(name).generation().0);
    assert_eq!(generations, [2, 3, 2]);
}

#[test]
fn a_restart_that_waits_is_refused_when_the_instance_stops() {
    let mut play = Play::launched();
    let one = Event::Restart([CanvasHost].into());
    let _ = play.fleet.on(play.now, one, 0.0);
    let _ = play
        .fleet
        .on(play.now, Event::Restart([Gateway].into()), 0.0);
    let actions = play.fleet.on(play.now, Event::Stop, 0.0);
    let refused = Err("the instance is stopping".to_owned());
    assert!(actions.contains(&Action::Restarted([Gateway].into(), refused)));
}

proptest! {
    /// Whatever changes arrive and whatever dies: with obedient processes the fleet ends with everybody serving the one
    /// revision that is in force, or stopped as a whole.
    #[test]
    fn changes_and_deaths_in_any_order_end_in_one_consistent_fleet(
        steps in prop::collection::vec((0_u8..3, 0_usize..3, any::<bool>()), 1..40),
    ) {
        let mut play = Play::launched();
        let mut revision = 1;
        for (kind, index, is_bad) in steps {
            let name = ChildName::ALL[index];
            match kind {
                0 => {
                    revision += 1;
                    if is_bad {
                        play.bad.push((name, revision));
                    }
                    let effects = [(Gateway, Effect::Replace), (CanvasHost, Effect::Replace), (BrowserControl, Effect::Hot)];
                    play.change(revision, &effects);
                }
                1 => play.happen(Event::Restart([name].into())),
                _ => {
                    // Healthy for long enough that a death is not the beginning of a series.
                    play.now = play.now + Duration::from_secs(120);
                    play.die(name);
                }
            }
            let in_force = play.fleet.in_force.0;
            prop_assert_eq!(play.states(), [ChildState::Active; 3]);
            prop_assert_eq!(play.revisions(), [Some(in_force); 3], "{:?}", play.told);
            prop_assert_eq!(play.running.len(), 3);
        }
        play.happen(Event::Stop);
        prop_assert_eq!(play.told.last().map(String::as_str), Some("finish Ok"));
        let _ = Exit::Ok;
    }
}
