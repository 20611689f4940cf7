use std::fmt::Write as _;
use std::time::Duration;

use openclaw_shared::backoff::Backoff;
use openclaw_shared::clock::Moment;
use openclaw_shared::control::{ChildState, Generation};
use proptest::prelude::*;

use super::{Action, Child, Event, Revision, Timer, Timing};
use crate::supervise::intensity::Limits;

const LIMITS: Limits = Limits {
    restarts: 3,
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

fn event(text: &str) -> Event {
    let words: Vec<&str> = text.split_whitespace().collect();
    let generation = |word: &str| Generation(word.trim_start_matches('g').parse().unwrap());
    let revision = |word: &str| Revision(word.trim_start_matches('r').parse().unwrap());
    match *words.as_slice() {
        ["start", r] => Event::Start(revision(r)),
        ["replace", r] => Event::Replace(revision(r)),
        ["disable"] => Event::Disable,
        ["stop"] => Event::Stop,
        ["hurry"] => Event::Hurry,
        [g, "ready"] => Event::Ready(generation(g)),
        [g, "activated"] => Event::Activated(generation(g)),
        [g, "exited"] => Event::Exited(generation(g), "boom".into()),
        [g, "overgrown"] => Event::Overgrown(generation(g), "too large".into()),
        [g, "alive"] => Event::Alive(generation(g)),
        ["timer", "restart", g] => Event::Fired(Timer::Restart(generation(g))),
        ["timer", "ready", g] => Event::Fired(Timer::Ready(generation(g))),
        ["timer", "drain", g] => Event::Fired(Timer::Drain(generation(g))),
        ["timer", "beat", g] => Event::Fired(Timer::Beat(generation(g))),
        _ => panic!("not an event: {text}"),
    }
}

fn told(action: &Action) -> String {
    match action {
        Action::Spawn(g, r) => format!("spawn {g} r{}", r.0),
        Action::Activate(g) => format!("activate {g}"),
        Action::Drain(g, reason) => format!("drain {g} {reason:?}").to_lowercase(),
        Action::Kill(g) => format!("kill {g}"),
        Action::AskAlive(g) => format!("ask {g}"),
        Action::Arm(timer, delay) => {
            let timer = match timer {
                Timer::Restart(g) => format!("restart {g}"),
                Timer::Ready(g) => format!("ready {g}"),
                Timer::Drain(g) => format!("drain {g}"),
                Timer::Beat(g) => format!("beat {g}"),
            };
            format!("arm {timer} {delay:?}")
        }
        Action::Settled(r, Ok(())) => format!("settled r{}", r.0),
        Action::Settled(r, Err(why)) => format!("unsettled r{}: {why}", r.0),
        Action::Escalate(why) => format!("escalate: {why}"),
    }
}

/// Plays a story: every line is `event => actions | state`.
fn check(story: &str) {
    let mut child = Child::new(LIMITS, TIMING);
    let now = Moment::now();
    let mut seen = String::new();
    let mut expected = String::new();
    for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (cause, effect) = line.split_once("=>").unwrap();
        let actions: Vec<String> = child.on(now, event(cause), 0.0).iter().map(told).collect();
        let actions = if actions.is_empty() {
            "nothing".to_owned()
        } else {
            actions.join(", ")
        };
        writeln!(seen, "{} => {actions} | {}", cause.trim(), child.state()).unwrap();
        writeln!(expected, "{} => {}", cause.trim(), effect.trim()).unwrap();
    }
    assert_eq!(seen, expected);
}

#[test]
fn rule_108_a_child_is_brought_up_and_a_first_death_restarts_it_at_once() {
    check(
        "
        start r1      => spawn g1 r1, arm ready g1 30s | starting
        g1 ready      => activate g1 | standby
        g1 activated  => arm beat g1 5s, settled r1 | active
        timer ready g1 => nothing | active
        g1 exited     => spawn g2 r1, arm ready g2 30s | starting
        g1 exited     => nothing | starting
        g2 exited     => arm restart g3 500ms | backoff
        timer restart g2 => nothing | backoff
        timer restart g3 => spawn g3 r1, arm ready g3 30s | starting
        g3 exited     => arm restart g4 1s | backoff
    ",
    );
}

#[test]
fn rule_109_a_child_that_dies_too_often_escalates_and_is_retried_slowly() {
    check(
        "
        start r1      => spawn g1 r1, arm ready g1 30s | starting
        g1 exited     => spawn g2 r1, arm ready g2 30s, unsettled r1: boom | starting
        g2 exited     => arm restart g3 500ms | backoff
        timer restart g3 => spawn g3 r1, arm ready g3 30s | starting
        g3 exited     => arm restart g4 1s | backoff
        timer restart g4 => spawn g4 r1, arm ready g4 30s | starting
        g4 exited     => arm restart g5 60s, escalate: boom | failed
        timer restart g5 => spawn g5 r1, arm ready g5 30s | starting
    ",
    );
}

#[test]
fn a_successor_serves_before_its_predecessor_leaves() {
    check(
        "
        start r1      => spawn g1 r1, arm ready g1 30s | starting
        g1 ready      => activate g1 | standby
        g1 activated  => arm beat g1 5s, settled r1 | active
        replace r2    => spawn g2 r2, arm ready g2 30s | active
        g2 ready      => activate g2 | active
        g2 activated  => arm beat g2 5s, settled r2, drain g1 replaced, arm drain g1 10s | active
        timer beat g1 => nothing | active
        g1 exited     => nothing | active
        timer drain g1 => nothing | active
    ",
    );
}

#[test]
fn a_successor_that_never_gets_ready_is_discarded() {
    check(
        "
        start r1      => spawn g1 r1, arm ready g1 30s | starting
        g1 ready      => activate g1 | standby
        g1 activated  => arm beat g1 5s, settled r1 | active
        replace r2    => spawn g2 r2, arm ready g2 30s | active
        timer ready g2 => kill g2 | active
        g2 exited     => unsettled r2: it was not ready within 30s | active
        replace r3    => spawn g3 r3, arm ready g3 30s | active
        g3 exited     => unsettled r3: boom | active
    ",
    );
}

#[test]
fn rule_114_several_requests_at_once_are_one_replacement() {
    check(
        "
        start r1      => spawn g1 r1, arm ready g1 30s | starting
        replace r1    => nothing | starting
        g1 ready      => activate g1 | standby
        g1 activated  => arm beat g1 5s, settled r1 | active
        replace r2    => spawn g2 r2, arm ready g2 30s | active
        replace r2    => nothing | active
        replace r3    => kill g2, spawn g3 r3, arm ready g3 30s | active
        g2 exited     => nothing | active
        g3 ready      => activate g3 | active
        g3 activated  => arm beat g3 5s, settled r3, drain g1 replaced, arm drain g1 10s | active
    ",
    );
}

#[test]
fn a_predecessor_that_dies_during_a_replacement_leaves_the_place_to_its_successor() {
    check(
        "
        start r1      => spawn g1 r1, arm ready g1 30s | starting
        g1 ready      => activate g1 | standby
        g1 activated  => arm beat g1 5s, settled r1 | active
        replace r2    => spawn g2 r2, arm ready g2 30s | active
        g1 exited     => nothing | starting
        g2 ready      => activate g2 | standby
        g2 activated  => arm beat g2 5s, settled r2 | active
    ",
    );
}

#[test]
fn rule_111_a_child_that_hangs_is_killed_and_started_again() {
    check(
        "
        start r1      => spawn g1 r1, arm ready g1 30s | starting
        g1 ready      => activate g1 | standby
        g1 activated  => arm beat g1 5s, settled r1 | active
        timer beat g1 => ask g1, arm beat g1 5s | active
        g1 alive      => nothing | active
        timer beat g1 => ask g1, arm beat g1 5s | active
        timer beat g1 => ask g1, arm beat g1 5s | active
        timer beat g1 => kill g1 | active
        g1 exited     => spawn g2 r1, arm ready g2 30s | starting
    ",
    );
}

#[test]
fn a_stop_drains_what_serves_and_kills_what_does_not_yet() {
    check("
        start r1      => spawn g1 r1, arm ready g1 30s | starting
        g1 ready      => activate g1 | standby
        g1 activated  => arm beat g1 5s, settled r1 | active
        replace r2    => spawn g2 r2, arm ready g2 30s | active
        stop          => kill g2, drain g1 stop, arm drain g1 10s, unsettled r2: the child was told to leave meanwhile | draining
        g2 exited     => nothing | draining
        replace r3    => nothing | draining
        g1 exited     => nothing | stopped
    ");
}

#[test]
fn rules_112_113_a_drain_that_is_too_long_is_cut_and_a_second_stop_makes_it_faster() {
    check(
        "
        start r1      => spawn g1 r1, arm ready g1 30s | starting
        g1 ready      => activate g1 | standby
        g1 activated  => arm beat g1 5s, settled r1 | active
        stop          => drain g1 stop, arm drain g1 10s | draining
        timer drain g1 => kill g1 | draining
        hurry         => kill g1 | draining
        g1 exited     => nothing | stopped
    ",
    );
}

#[test]
fn a_child_that_is_switched_off_stays_off_until_it_is_switched_on() {
    check(
        "
        start r1      => spawn g1 r1, arm ready g1 30s | starting
        g1 ready      => activate g1 | standby
        g1 activated  => arm beat g1 5s, settled r1 | active
        disable       => drain g1 disabled, arm drain g1 10s | draining
        g1 exited     => nothing | disabled
        start r2      => spawn g2 r2, arm ready g2 30s | starting
    ",
    );
}

#[derive(Debug, Clone, Copy)]
enum Push {
    Replace(u64),
    Ready(usize),
    Activated(usize),
    Exited(usize),
    Fire(usize),
    Alive(usize),
    Disable,
}

fn push() -> impl Strategy<Value = Push> {
    prop_oneof![
        (1_u64..4).prop_map(Push::Replace),
        (0_usize..4).prop_map(Push::Ready),
        (0_usize..4).prop_map(Push::Activated),
        (0_usize..4).prop_map(Push::Exited),
        (0_usize..8).prop_map(Push::Fire),
        (0_usize..4).prop_map(Push::Alive),
        Just(Push::Disable),
    ]
}

proptest! {
    /// Whatever happens in whatever order: no generation is spawned twice, only living ones are told anything, a life that
    /// serves is never drained for a replacement before another serves, and a child that is wanted always has a life or a timer.
    #[test]
    fn random_histories_keep_the_invariants(pushes in prop::collection::vec(push(), 1..120)) {
        let mut child = Child::new(LIMITS, TIMING);
        let now = Moment::now();
        let mut alive: Vec<Generation> = Vec::new();
        let mut active: Vec<Generation> = Vec::new();
        let mut timers: Vec<Timer> = Vec::new();
        let mut newest = Generation(0);
        let mut wanted = false;
        for push in pushes {
            let pick = |index: usize| alive.get(index % alive.len().max(1)).copied();
            let event = match push {
                Push::Replace(r) => { wanted = true; Some(Event::Replace(Revision(r))) }
                Push::Ready(i) => pick(i).map(Event::Ready),
                Push::Activated(i) => pick(i).map(Event::Activated),
                Push::Exited(i) => pick(i).map(|g| Event::Exited(g, "boom".into())),
                Push::Alive(i) => pick(i).map(Event::Alive),
                Push::Fire(i) if timers.is_empty() => { let _ = i; None }
                Push::Fire(i) => Some(Event::Fired(timers.swap_remove(i % timers.len()))),
                Push::Disable => { wanted = false; Some(Event::Disable) }
            };
            let Some(event) = event else { continue };
            if let Event::Exited(gone, _) = &event {
                alive.retain(|g| g != gone);
                active.retain(|g| g != gone);
            }
            if let Event::Activated(g) = &event
                && child.living().contains(g)
                && !active.contains(g)
            {
                active.push(*g);
            }
            for action in child.on(now, event, 0.5) {
                match action {
                    Action::Spawn(g, _) => {
                        prop_assert!(g > newest);
                        newest = g;
                        alive.push(g);
                    }
                    Action::Activate(g) | Action::AskAlive(g) => prop_assert!(alive.contains(&g)),
                    Action::Kill(g) => prop_assert!(alive.contains(&g)),
                    Action::Drain(g, reason) => {
                        prop_assert!(alive.contains(&g));
                        if reason == openclaw_shared::control::StopReason::Replaced {
                            prop_assert!(active.iter().any(|other| *other > g));
                        }
                    }
                    Action::Arm(timer, _) => timers.push(timer),
                    Action::Settled(..) | Action::Escalate(_) => {}
                }
            }
            for living in child.living() {
                prop_assert!(alive.contains(&living));
            }
            if wanted {
                let waits = timers.iter().any(|timer| matches!(timer, Timer::Restart(_)));
                prop_assert!(!alive.is_empty() || waits, "nobody lives and nothing will start");
            } else {
                prop_assert!(!matches!(child.state(), ChildState::Active | ChildState::Backoff));
            }
        }
    }
}
