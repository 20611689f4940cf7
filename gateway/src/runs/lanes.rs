//! Whose turn it is.  (pure)
//!
//! Invariant: a session never has two runs under way, and no more are under way at once than their class may have. What waits is
//! started in the order of its arrival, except where its session or its class is busy.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use openclaw_shared::clock::Moment;

use crate::settings::queue::QueueMode;

/// What shares a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// Whatever people, programs and timers ask for.
    Main,
    /// What agents ask other agents for. With a bound of its own, so that agents who wait for theirs do not wait for ever.
    Subagent,
}

/// How many runs may be under way at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) main: usize,
    pub(crate) subagent: usize,
}

impl Bounds {
    const fn of(self, class: Class) -> usize {
        match class {
            Class::Main => self.main,
            Class::Subagent => self.subagent,
        }
    }
}

/// A run that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// The run.
    pub(crate) run: String,
    /// Grows with every run that is accepted.
    pub(crate) number: i64,
    pub(crate) class: Class,
    /// What is to become of it while its session is busy, if it is what a person says.
    pub(crate) message: Option<Manner>,
    /// Whether the run that is under way has heard it already.
    pub(crate) is_heard: bool,
}

impl Waiting {
    /// Whether it is answered together with others of its kind that wait in its session.
    fn merges(&self) -> bool {
        self.message.is_some_and(|it| match it.mode {
            QueueMode::Collect | QueueMode::Interrupt => true,
            QueueMode::Followup | QueueMode::Steer | QueueMode::SteerBacklog => false,
        })
    }
}

/// How a message waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Manner {
    pub(crate) mode: QueueMode,
    /// How long its session is quiet before it is answered, if it was not idle when the message came.
    pub(crate) quiet: Duration,
}

/// A message that the run under way hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Overheard {
    pub(crate) run: String,
    /// Whether it is answered by itself later as well.
    pub(crate) waits_on: bool,
}

#[derive(Debug, Default)]
struct Lane {
    /// The run that is under way.
    under_way: Option<(String, Class)>,
    waiting: VecDeque<Waiting>,
    /// Another process has a run under way in this session.
    is_held: bool,
    /// When the last message came that had to wait, and how long the session is to be quiet after it.
    quiet: Option<(Moment, Duration)>,
}

impl Lane {
    /// How long what is first here must not begin yet, so that whoever writes can go on.
    fn rest(&self, now: Moment) -> Duration {
        let (Some(first), Some((last, quiet))) = (self.waiting.front(), self.quiet) else {
            return Duration::ZERO;
        };
        match first.message {
            Some(_) => quiet.saturating_sub(now.since(last)),
            None => Duration::ZERO,
        }
    }

    fn is_free(&self) -> bool {
        self.under_way.is_none() && !self.is_held
    }
}

/// All sessions that have something to do.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: BTreeMap<String, Lane>,
    /// How many wait, in all sessions.
    waiting: usize,
    is_closed: bool,
}

/// How much there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    /// Runs that wait.
    pub(crate) waiting: usize,
    /// Those under way, by class.
    pub(crate) main: usize,
    pub(crate) subagent: usize,
    /// Sessions that have anything to do.
    pub(crate) lanes: usize,
}

/// What is to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) session: String,
    /// The run; of messages that are answered together the newest, which whoever wrote them waits for.
    pub(crate) run: String,
    /// Older messages that are answered with it, the oldest first.
    pub(crate) with: Vec<String>,
}

impl Lanes {
    fn messages(&self, session: &str) -> impl Iterator<Item = &Waiting> {
        let waiting = self.lanes.get(session).into_iter();
        let waiting = waiting.flat_map(|lane| &lane.waiting);
        waiting.filter(|it| it.message.is_some())
    }

    /// How many messages wait in a session.
    pub(crate) fn messages_in(&self, session: &str) -> usize {
        self.messages(session).count()
    }

    /// The message that has waited longest in a session.
    pub(crate) fn oldest_message(&self, session: &str) -> Option<String> {
        self.messages(session).next().map(|it| it.run.clone())
    }

    /// How long it takes until something may begin that is only waiting for quiet.
    pub(crate) fn rest(&self, now: Moment) -> Option<Duration> {
        let free = self.lanes.values().filter(|lane| lane.is_free());
        let rests = free.map(|lane| lane.rest(now));
        rests.filter(|rest| !rest.is_zero()).min()
    }

    /// How much there is to do.
    pub(crate) fn load(&self) -> Load {
        let under_way = self.lanes.values().filter_map(|it| it.under_way.as_ref());
        let (main, subagent): (Vec<_>, Vec<_>) =
            under_way.partition(|(_, class)| *class == Class::Main);
        Load {
            waiting: self.waiting,
            main: main.len(),
            subagent: subagent.len(),
            lanes: self.lanes.len(),
        }
    }

    /// How many wait.
    pub(crate) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether a session has anything to do.
    pub(crate) fn is_busy(&self, session: &str) -> bool {
        self.lanes
            .get(session)
            .is_some_and(|lane| lane.under_way.is_some() || !lane.waiting.is_empty())
    }

    /// A run was accepted. One that is known already is not taken twice.
    pub(crate) fn enter(&mut self, session: &str, waiting: Waiting, now: Moment) {
        let lane = self.lanes.entry(session.to_owned()).or_default();
        let is_known = lane.waiting.iter().any(|it| it.run == waiting.run)
            || (lane.under_way.as_ref()).is_some_and(|(run, _)| *run == waiting.run);
        if is_known {
            return;
        }
        let is_idle = lane.is_free() && lane.waiting.is_empty();
        if let Some(manner) = waiting.message
            && !is_idle
        {
            lane.quiet = Some((now, manner.quiet));
        }
        let at = lane
            .waiting
            .partition_point(|it| it.number < waiting.number);
        lane.waiting.insert(at, waiting);
        self.waiting += 1;
    }

    /// What may begin now, the one that has waited longest first.
    pub(crate) fn next(&mut self, bounds: Bounds, now: Moment) -> Option<Start> {
        if self.is_closed {
            return None;
        }
        let used = |class: Class| {
            let under_way = self
                .lanes
                .values()
                .filter_map(|lane| lane.under_way.as_ref());
            under_way.filter(|(_, it)| *it == class).count()
        };
        let free = |class: Class| used(class) < bounds.of(class).max(1);
        let (is_main_free, is_subagent_free) = (free(Class::Main), free(Class::Subagent));
        let (session, lane) = self
            .lanes
            .iter_mut()
            .filter(|(_, lane)| lane.is_free() && lane.rest(now).is_zero())
            .filter(|(_, lane)| {
                lane.waiting.front().is_some_and(|first| match first.class {
                    Class::Main => is_main_free,
                    Class::Subagent => is_subagent_free,
                })
            })
            .min_by_key(|(_, lane)| lane.waiting.front().map(|first| first.number))?;
        let mut run = lane.waiting.pop_front()?;
        self.waiting -= 1;
        let mut with = Vec::new();
        while run.merges() && lane.waiting.front().is_some_and(Waiting::merges) {
            if let Some(next) = lane.waiting.pop_front() {
                self.waiting -= 1;
                with.push(std::mem::replace(&mut run, next).run);
            }
        }
        lane.under_way = Some((run.run.clone(), run.class));
        Some(Start {
            session: session.clone(),
            run: run.run,
            with,
        })
    }

    /// Messages that wait in a session for the run that is under way. Each is heard once; one that is answered by itself as well waits on.
    pub(crate) fn overhear(&mut self, session: &str) -> Vec<Overheard> {
        let Some(lane) = self.lanes.get_mut(session) else {
            return Vec::new();
        };
        let mut heard = Vec::new();
        let mut at = 0;
        while let Some(waiting) = lane.waiting.get_mut(at)
            && let Some(manner) = waiting.message
        {
            match manner.mode {
                QueueMode::Steer => {
                    let taken = lane.waiting.remove(at);
                    self.waiting -= 1;
                    heard.extend(taken.map(|it| Overheard {
                        run: it.run,
                        waits_on: false,
                    }));
                    continue;
                }
                QueueMode::SteerBacklog if !waiting.is_heard => {
                    waiting.is_heard = true;
                    heard.push(Overheard {
                        run: waiting.run.clone(),
                        waits_on: true,
                    });
                }
                QueueMode::SteerBacklog
                | QueueMode::Collect
                | QueueMode::Followup
                | QueueMode::Interrupt => {}
            }
            at += 1;
        }
        heard
    }

    /// A run is not to begin any more. What waited, if it did.
    pub(crate) fn give_up(&mut self, session: &str, run: &str) -> Option<Waiting> {
        let lane = self.lanes.get_mut(session)?;
        let at = lane.waiting.iter().position(|it| it.run == run)?;
        let taken = lane.waiting.remove(at)?;
        self.waiting -= 1;
        self.tidy(session);
        Some(taken)
    }

    /// The run of a session has ended.
    pub(crate) fn ended(&mut self, session: &str, run: &str) {
        if let Some(lane) = self.lanes.get_mut(session)
            && lane.under_way.as_ref().is_some_and(|(it, _)| it == run)
        {
            lane.under_way = None;
        }
        self.tidy(session);
    }

    /// The run could not begin, because another process has one under way in the session: it waits again until that is over.
    pub(crate) fn hold(&mut self, session: &str, waiting: Waiting, now: Moment) {
        self.ended(session, &waiting.run);
        self.enter(session, waiting, now);
        if let Some(lane) = self.lanes.get_mut(session) {
            lane.is_held = true;
        }
    }

    /// Other processes may have come to an end with their runs.
    pub(crate) fn let_go(&mut self) {
        for lane in self.lanes.values_mut() {
            lane.is_held = false;
        }
    }

    /// Nothing begins any more. The runs that wait are somebody else's from here on.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
        for lane in self.lanes.values_mut() {
            lane.waiting.clear();
        }
        self.waiting = 0;
    }

    fn tidy(&mut self, session: &str) {
        if self.lanes.get(session).is_some_and(|lane| {
            lane.under_way.is_none() && lane.waiting.is_empty() && !lane.is_held
        }) {
            self.lanes.remove(session);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use std::time::Duration;

    use openclaw_shared::clock::Moment;
    use proptest::prelude::*;

    use super::{Bounds, Class, Lanes, Manner, Overheard, QueueMode, Start, Waiting};

    const BOUNDS: Bounds = Bounds {
        main: 2,
        subagent: 1,
    };

    fn under_way(lanes: &Lanes, session: &str) -> Option<String> {
        let lane = lanes.lanes.get(session)?;
        lane.under_way.as_ref().map(|(run, _)| run.clone())
    }

    fn run(number: i64) -> Waiting {
        Waiting {
            run: format!("r{number}"),
            number,
            class: Class::Main,
            message: None,
            is_heard: false,
        }
    }

    fn message(number: i64, mode: QueueMode, quiet: Duration) -> Waiting {
        Waiting {
            message: Some(Manner { mode, quiet }),
            ..run(number)
        }
    }

    fn enter(lanes: &mut Lanes, session: &str, waiting: Waiting) {
        lanes.enter(session, waiting, Moment::now());
    }

    fn joined(start: Start) -> String {
        let all: Vec<String> = start.with.into_iter().chain([start.run]).collect();
        all.join("+")
    }

    fn next(lanes: &mut Lanes) -> Option<String> {
        lanes.next(BOUNDS, Moment::now()).map(joined)
    }

    #[test]
    fn a_session_has_one_run_and_all_have_few() {
        let mut lanes = Lanes::default();
        enter(&mut lanes, "a", run(1));
        enter(&mut lanes, "a", run(2));
        enter(&mut lanes, "b", run(3));
        enter(&mut lanes, "c", run(4));
        assert_eq!(next(&mut lanes).as_deref(), Some("r1"));
        assert_eq!(next(&mut lanes).as_deref(), Some("r3"));
        assert_eq!(next(&mut lanes), None);
        lanes.ended("a", "r1");
        assert_eq!(next(&mut lanes).as_deref(), Some("r2"));
        lanes.ended("a", "r2");
        lanes.ended("b", "r3");
        assert_eq!(next(&mut lanes).as_deref(), Some("r4"));
        lanes.ended("c", "r4");
        assert!(lanes.lanes.is_empty());
    }

    #[test]
    fn agents_of_agents_do_not_wait_for_those_who_wait_for_them() {
        let mut lanes = Lanes::default();
        for (session, number) in [("a", 1), ("b", 2)] {
            enter(&mut lanes, session, run(number));
            next(&mut lanes);
        }
        let sub = |number| Waiting {
            class: Class::Subagent,
            ..run(number)
        };
        enter(&mut lanes, "s", sub(3));
        enter(&mut lanes, "t", sub(4));
        assert_eq!(next(&mut lanes).as_deref(), Some("r3"));
        assert_eq!(next(&mut lanes), None);
    }

    #[test]
    fn messages_that_wait_are_answered_together_unless_that_is_not_wanted() {
        for (mode, expected) in [
            (QueueMode::Collect, ["r2+r3", "r4"]),
            (QueueMode::Followup, ["r2", "r3"]),
        ] {
            let mut lanes = Lanes::default();
            let message = |number| message(number, mode, Duration::ZERO);
            enter(&mut lanes, "a", message(1));
            assert!(next(&mut lanes).is_some());
            enter(&mut lanes, "a", message(2));
            enter(&mut lanes, "a", message(3));
            enter(&mut lanes, "a", run(4));
            for wanted in expected {
                assert_eq!(next(&mut lanes), None);
                let under_way = under_way(&lanes, "a").unwrap();
                lanes.ended("a", &under_way);
                assert_eq!(next(&mut lanes).as_deref(), Some(wanted));
            }
        }
    }

    #[test]
    fn what_waits_begins_when_it_is_quiet_and_what_does_not_at_once() {
        let quiet = Duration::from_secs(3600);
        let message = |number| message(number, QueueMode::Collect, quiet);
        let mut lanes = Lanes::default();
        let now = Moment::now();
        lanes.enter("a", message(1), now);
        assert_eq!(lanes.rest(now), None);
        assert_eq!(lanes.next(BOUNDS, now).map(joined).as_deref(), Some("r1"));
        lanes.enter("a", message(2), now);
        lanes.enter("a", message(3), now);
        assert_eq!(lanes.rest(now), None, "the session is busy");
        lanes.ended("a", "r1");
        assert_eq!(lanes.next(BOUNDS, now), None);
        assert_eq!(lanes.rest(now), Some(quiet));
        assert!(lanes.is_busy("a"));
        // What a program asks for does not wait for people.
        lanes.enter("b", run(4), now);
        assert_eq!(lanes.next(BOUNDS, now).map(joined).as_deref(), Some("r4"));
        // One that interrupts ends the quiet.
        let interrupts = super::tests::message(5, QueueMode::Interrupt, Duration::ZERO);
        lanes.enter("a", interrupts, now);
        assert_eq!(
            lanes.next(BOUNDS, now).map(joined).as_deref(),
            Some("r2+r3+r5")
        );
    }

    #[test]
    fn a_message_that_steers_is_heard_once_and_one_with_a_backlog_waits_on() {
        let mut lanes = Lanes::default();
        let message = |number, mode| message(number, mode, Duration::ZERO);
        enter(&mut lanes, "a", message(1, QueueMode::Steer));
        assert!(next(&mut lanes).is_some());
        enter(&mut lanes, "a", message(2, QueueMode::SteerBacklog));
        enter(&mut lanes, "a", message(3, QueueMode::Steer));
        enter(&mut lanes, "a", message(4, QueueMode::Collect));
        enter(&mut lanes, "a", run(5));
        enter(&mut lanes, "a", message(6, QueueMode::Steer));
        let heard = |run: &str, waits_on| Overheard {
            run: run.to_owned(),
            waits_on,
        };
        assert_eq!(lanes.overhear("a"), [heard("r2", true), heard("r3", false)]);
        assert_eq!(lanes.overhear("a"), []);
        assert_eq!(lanes.waiting(), 4);
        lanes.ended("a", "r1");
        for expected in ["r2", "r4", "r5", "r6"] {
            assert_eq!(next(&mut lanes).as_deref(), Some(expected));
            lanes.ended("a", expected);
        }
        assert_eq!(lanes.waiting(), 0);
    }

    #[test]
    fn only_messages_are_counted_as_such() {
        let mut lanes = Lanes::default();
        enter(&mut lanes, "a", run(1));
        enter(
            &mut lanes,
            "a",
            message(2, QueueMode::Collect, Duration::ZERO),
        );
        enter(
            &mut lanes,
            "a",
            message(3, QueueMode::Steer, Duration::ZERO),
        );
        assert_eq!(lanes.messages_in("a"), 2);
        assert_eq!(lanes.oldest_message("a").as_deref(), Some("r2"));
        assert_eq!(lanes.oldest_message("b"), None);
    }

    #[test]
    fn what_another_process_does_is_waited_for() {
        let mut lanes = Lanes::default();
        enter(&mut lanes, "a", run(1));
        assert!(next(&mut lanes).is_some());
        lanes.hold("a", run(1), Moment::now());
        assert_eq!(next(&mut lanes), None);
        lanes.let_go();
        assert_eq!(next(&mut lanes).as_deref(), Some("r1"));
    }

    #[test]
    fn a_run_is_taken_once_and_given_up_once() {
        let mut lanes = Lanes::default();
        enter(&mut lanes, "a", run(1));
        enter(&mut lanes, "a", run(1));
        enter(&mut lanes, "a", run(2));
        assert_eq!(lanes.waiting(), 2);
        assert_eq!(lanes.give_up("a", "r2"), Some(run(2)));
        assert_eq!(lanes.give_up("a", "r2"), None);
        assert_eq!(next(&mut lanes).as_deref(), Some("r1"));
        enter(&mut lanes, "a", run(1));
        assert_eq!(lanes.waiting(), 0);
        lanes.close();
        lanes.ended("a", "r1");
        enter(&mut lanes, "a", run(4));
        assert_eq!(next(&mut lanes), None);
    }

    proptest! {
        #[test]
        fn whatever_comes_and_ends_no_session_has_two_and_all_are_done(
            steps in proptest::collection::vec((0_u8..4, 0_u8..5), 1..200)
        ) {
            let mut lanes = Lanes::default();
            let mut under_way: BTreeMap<String, String> = BTreeMap::new();
            let (mut entered, mut ended) = (0, 0);
            for (what, session) in steps {
                let session = format!("s{session}");
                if what < 2 {
                    entered += 1;
                    let waiting = if what == 0 { message(entered, QueueMode::Collect, Duration::ZERO) } else { run(entered) };
                    enter(&mut lanes, &session, waiting);
                } else if let Some(run) = under_way.remove(&session) {
                    lanes.ended(&session, &run);
                }
                while let Some(start) = lanes.next(BOUNDS, Moment::now()) {
                    ended += 1 + i64::try_from(start.with.len()).unwrap();
                    prop_assert!(under_way.insert(start.session, start.run).is_none());
                }
                prop_assert!(under_way.len() <= BOUNDS.main);
            }
            while let Some((session, run)) = under_way.pop_first() {
                lanes.ended(&session, &run);
                while let Some(start) = lanes.next(BOUNDS, Moment::now()) {
                    ended += 1 + i64::try_from(start.with.len()).unwrap();
                    prop_assert!(under_way.insert(start.session, start.run).is_none());
                }
            }
            prop_assert_eq!(entered, ended);
            prop_assert_eq!(lanes.waiting(), 0);
        }
    }
}
