//! Every rung, from the events and actions of the real cores.

use std::time::Duration;

use openclaw_shared::backoff::Backoff;
use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::control::{ChildName, ChildState, Generation};
use openclaw_shared::exit::Exit;
use openclaw_shared::recovery::Rung;

use super::super::child::{Event as OfChild, Revision, Timer, Timing};
use super::super::fleet::{Effect, Event, Fleet};
use super::super::intensity::Limits;
use super::{Climb, Ending, Ladder, climbs};

use ChildName::{CanvasHost, Gateway};

const LIMITS: Limits = Limits {
    restarts: 2,
    window: Duration::from_secs(60),
    backoff: Backoff {
        initial: Duration::from_millis(500),
        max: Duration::from_secs(10),
    },
};

const TIMING: Timing = Timing {
    ready: Duration::from_secs(30),
    drain: Duration::from_secs(10),
    beat: Duration::from_secs(5),
    missed_beats: 2,
    retry: Duration::from_secs(60),
};

/// A fleet, and the words of what it climbs.
struct Play {
    fleet: Fleet,
    is_ready: bool,
}

impl Play {
    fn new() -> Self {
        let mut play = Self {
            fleet: Fleet::new(LIMITS, TIMING),
            is_ready: false,
        };
        play.happen(Event::Launch {
            children: vec![Gateway, CanvasHost],
            revision: Revision(1),
            fallback: None,
        });
        play
    }

    fn serving() -> Self {
        let mut play = Self::new();
        for child in [Gateway, CanvasHost] {
            play.serves(child, 1);
        }
        play.is_ready = true;
        play
    }

    fn serves(&mut self, child: ChildName, generation: u64) -> String {
        let ready = self.happen(Event::Child(child, OfChild::Ready(Generation(generation))));
        let active = OfChild::Activated(Generation(generation));
        ready + &self.happen(Event::Child(child, active))
    }

    fn exits(&mut self, child: ChildName, generation: u64) -> String {
        let event = OfChild::Exited(Generation(generation), "boom".to_owned());
        self.happen(Event::Child(child, event))
    }

    fn waited(&mut self, child: ChildName, generation: u64) -> String {
        let event = OfChild::Fired(Timer::Restart(Generation(generation)));
        self.happen(Event::Child(child, event))
    }

    fn happen(&mut self, event: Event) -> String {
        let ending = Ending::of(&event, &self.fleet);
        let actions = self.fleet.on(Moment::now(), event, 0.0);
        let told = climbs(ending, &actions, self.is_ready);
        let told = told.iter().map(|climb| {
            let child = climb
                .child
                .map(|child| format!(" {child}"))
                .unwrap_or_default();
            let wait = climb
                .wait
                .map(|wait| format!(" {wait:?}"))
                .unwrap_or_default();
            format!("{}{child}{wait}: {}", climb.rung, climb.reason)
        });
        told.collect::<Vec<_>>().join("; ")
    }
}

#[test]
fn the_ladder_of_a_child_that_others_can_do_without() {
    let mut play = Play::serving();
    assert_eq!(play.exits(CanvasHost, 1), "restarted canvas-host: boom");
    assert_eq!(
        play.exits(CanvasHost, 2),
        "backing-off canvas-host 500ms: boom"
    );
    assert_eq!(play.waited(CanvasHost, 3), "");
    assert_eq!(play.exits(CanvasHost, 3), "given-up canvas-host: boom");
    // Tried again slowly, and told each time.
    assert_eq!(play.waited(CanvasHost, 4), "");
    assert_eq!(play.exits(CanvasHost, 4), "given-up canvas-host: boom");
}

#[test]
fn the_ladder_of_the_gateway_ends_with_a_loud_stop() {
    let mut play = Play::serving();
    assert_eq!(play.exits(Gateway, 1), "restarted gateway: boom");
    assert_eq!(play.exits(Gateway, 2), "backing-off gateway 500ms: boom");
    play.waited(Gateway, 3);
    assert_eq!(play.exits(Gateway, 3), "stopped gateway: boom");
}

#[test]
fn a_successor_that_dies_is_discarded_and_a_change_that_needed_it_is_rolled_back() {
    let mut play = Play::serving();
    let restart = Event::Restart([CanvasHost].into());
    assert_eq!(play.happen(restart), "");
    assert_eq!(play.exits(CanvasHost, 2), "discarded canvas-host: boom");
    let change = Event::Change(Revision(2), [(CanvasHost, Effect::Replace)].into());
    assert_eq!(play.happen(change), "");
    assert_eq!(
        play.exits(CanvasHost, 3),
        "discarded canvas-host: boom; rolled-back: canvas-host: boom"
    );
}

#[test]
fn a_life_that_dies_while_its_successor_starts_is_followed_by_that() {
    let mut play = Play::serving();
    play.happen(Event::Restart([Gateway].into()));
    assert_eq!(play.exits(Gateway, 1), "restarted gateway: boom");
    assert_eq!(play.serves(Gateway, 2), "");
}

#[test]
fn a_life_that_was_told_to_leave_is_missed_by_nobody() {
    let mut play = Play::serving();
    play.happen(Event::Restart([Gateway].into()));
    play.serves(Gateway, 2);
    assert_eq!(play.exits(Gateway, 1), "");
    play.happen(Event::Stop);
    assert_eq!(play.exits(Gateway, 2), "");
}

#[test]
fn a_start_that_falls_back_says_so() {
    let mut play = Play::new();
    play.fleet = Fleet::new(LIMITS, TIMING);
    play.happen(Event::Launch {
        children: vec![Gateway],
        revision: Revision(1),
        fallback: Some(Revision(2)),
    });
    assert_eq!(
        play.exits(Gateway, 1),
        "restarted gateway: boom; last-good: gateway: boom"
    );
}

#[test]
fn a_child_is_well_again_after_a_quiet_minute() {
    let mut ladder = Ladder::default();
    let at = |second: u64| WallTime::from_millis(1_000_000 + second * 1_000);
    let climb = |rung| Climb::of(rung, Some(Gateway), "boom");
    ladder.climb(at(0), &climb(Rung::BackingOff));
    let of = |ladder: &Ladder, second, state| ladder.of_child(at(second), Gateway, state);
    assert_eq!(of(&ladder, 1, ChildState::Backoff), Rung::BackingOff);
    assert_eq!(of(&ladder, 2, ChildState::Active), Rung::Restarted);
    assert_eq!(of(&ladder, 59, ChildState::Active), Rung::Restarted);
    assert_eq!(of(&ladder, 60, ChildState::Active), Rung::Well);
    assert_eq!(of(&ladder, 99, ChildState::Failed), Rung::GivenUp);
    assert_eq!(
        ladder.of_child(at(1), CanvasHost, ChildState::Active),
        Rung::Well
    );
}

#[test]
fn the_ladder_is_bounded_survives_a_hand_over_and_says_how_it_ended() {
    let mut ladder = Ladder::default();
    let now = WallTime::from_millis(5);
    for _ in 0..100 {
        ladder.climb(now, &Climb::of(Rung::Restarted, Some(CanvasHost), "boom"));
    }
    ladder.climb(now, &Climb::of(Rung::Stopped, Some(Gateway), "boom"));
    let text = serde_json::to_string(&ladder).unwrap();
    let handed: Ladder = serde_json::from_str(&text).unwrap();
    assert_eq!(handed, ladder);
    let view = handed.view([Rung::Well, Rung::Restarted].into_iter(), Rung::Refused);
    assert_eq!((view.steps.len(), view.rung), (16, Rung::Refused));
    assert_eq!(handed.end(now, Exit::Ok), None);
    let end = handed.end(now, Exit::KeptDying).unwrap();
    assert_eq!(
        (end.code, end.reason.as_str()),
        (70, "the gateway died too often to be kept alive: boom")
    );
}
