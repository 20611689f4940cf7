//! Whose turn it is.  (pure)
//!
//! Invariant: a session never has two runs under way, and no more are under way at once than their class may have. What waits is
//! started in the order of its arrival, except where its session or its class is busy.

use std::collections::{BTreeMap, VecDeque};

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
    /// Whether it may be answered together with others that wait in its session, or within the one that is under way.
    pub(crate) is_message: bool,
}

#[derive(Debug, Default)]
struct Lane {
    /// The run that is under way.
    under_way: Option<(String, Class)>,
    waiting: VecDeque<Waiting>,
    /// Another process has a run under way in this session.
    is_held: bool,
}

/// All sessions that have something to do.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: BTreeMap<String, Lane>,
    /// How many wait, in all sessions.
    waiting: usize,
    is_closed: bool,
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
    /// How many wait in a session.
    pub(crate) fn waiting_in(&self, session: &str) -> usize {
        self.lanes.get(session).map_or(0, |lane| lane.waiting.len())
    }

    /// What has waited longest in a session.
    pub(crate) fn oldest(&self, session: &str) -> Option<String> {
        let lane = self.lanes.get(session)?;
        lane.waiting.front().map(|it| it.run.clone())
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
    pub(crate) fn enter(&mut self, session: &str, waiting: Waiting) {
        let lane = self.lanes.entry(session.to_owned()).or_default();
        let is_known = lane.waiting.iter().any(|it| it.run == waiting.run)
            || (lane.under_way.as_ref()).is_some_and(|(run, _)| *run == waiting.run);
        if is_known {
            return;
        }
        let at = lane
            .waiting
            .partition_point(|it| it.number < waiting.number);
        lane.waiting.insert(at, waiting);
        self.waiting += 1;
    }

    /// What may begin now, the one that has waited longest first. `merges` says whether messages that wait in a session are
    /// answered together.
    pub(crate) fn next(&mut self, bounds: Bounds, merges: bool) -> Option<Start> {
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
            .filter(|(_, lane)| lane.under_way.is_none() && !lane.is_held)
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
        while merges && run.is_message && lane.waiting.front().is_some_and(|it| it.is_message) {
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

    /// Messages that wait in a session, taken out: the run that is under way hears them.
    pub(crate) fn take_messages(&mut self, session: &str) -> Vec<String> {
        let Some(lane) = self.lanes.get_mut(session) else {
            return Vec::new();
        };
        let mut taken = Vec::new();
        while lane.waiting.front().is_some_and(|it| it.is_message) {
            taken.extend(lane.waiting.pop_front().map(|it| it.run));
            self.waiting -= 1;
        }
        taken
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
    pub(crate) fn hold(&mut self, session: &str, waiting: Waiting) {
        self.ended(session, &waiting.run);
        self.enter(session, waiting);
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

    use proptest::prelude::*;

    use super::{Bounds, Class, Lanes, Waiting};

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
            is_message: false,
        }
    }

    fn message(number: i64) -> Waiting {
        Waiting {
            is_message: true,
            ..run(number)
        }
    }

    fn next(lanes: &mut Lanes) -> Option<String> {
        lanes.next(BOUNDS, true).map(|start| {
            let with: Vec<String> = start.with.into_iter().chain([start.run]).collect();
            with.join("+")
        })
    }

    #[test]
    fn a_session_has_one_run_and_all_have_few() {
        let mut lanes = Lanes::default();
        lanes.enter("a", run(1));
        lanes.enter("a", run(2));
        lanes.enter("b", run(3));
        lanes.enter("c", run(4));
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
            lanes.enter(session, run(number));
            next(&mut lanes);
        }
        let sub = |number| Waiting {
            class: Class::Subagent,
            ..run(number)
        };
        lanes.enter("s", sub(3));
        lanes.enter("t", sub(4));
        assert_eq!(next(&mut lanes).as_deref(), Some("r3"));
        assert_eq!(next(&mut lanes), None);
    }

    #[test]
    fn messages_that_wait_are_answered_together_unless_that_is_not_wanted() {
        for (merges, expected) in [(true, ["r2+r3", "r4"]), (false, ["r2", "r3"])] {
            let mut lanes = Lanes::default();
            lanes.enter("a", message(1));
            assert!(lanes.next(BOUNDS, merges).is_some());
            lanes.enter("a", message(2));
            lanes.enter("a", message(3));
            lanes.enter("a", run(4));
            for wanted in expected {
                assert_eq!(lanes.next(BOUNDS, merges), None);
                let under_way = under_way(&lanes, "a").unwrap();
                lanes.ended("a", &under_way);
                let start = lanes.next(BOUNDS, merges).unwrap();
                let all: Vec<String> = start.with.into_iter().chain([start.run]).collect();
                assert_eq!(all.join("+"), wanted);
            }
        }
    }

    #[test]
    fn what_another_process_does_is_waited_for() {
        let mut lanes = Lanes::default();
        lanes.enter("a", run(1));
        assert!(next(&mut lanes).is_some());
        lanes.hold("a", run(1));
        assert_eq!(next(&mut lanes), None);
        lanes.let_go();
        assert_eq!(next(&mut lanes).as_deref(), Some("r1"));
    }

    #[test]
    fn a_run_is_taken_once_and_given_up_once() {
        let mut lanes = Lanes::default();
        lanes.enter("a", run(1));
        lanes.enter("a", run(1));
        lanes.enter("a", run(2));
        assert_eq!(lanes.waiting(), 2);
        assert_eq!(lanes.give_up("a", "r2"), Some(run(2)));
        assert_eq!(lanes.give_up("a", "r2"), None);
        assert_eq!(next(&mut lanes).as_deref(), Some("r1"));
        lanes.enter("a", run(1));
        assert_eq!(lanes.waiting_in("a"), 0);
        lanes.enter("a", message(3));
        assert_eq!(lanes.take_messages("a"), ["r3"]);
        lanes.close();
        lanes.ended("a", "r1");
        lanes.enter("a", run(4));
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
                    lanes.enter(&session, Waiting { is_message: what == 0, ..run(entered) });
                } else if let Some(run) = under_way.remove(&session) {
                    lanes.ended(&session, &run);
                }
                while let Some(start) = lanes.next(BOUNDS, true) {
                    ended += 1 + i64::try_from(start.with.len()).unwrap();
                    prop_assert!(under_way.insert(start.session, start.run).is_none());
                }
                prop_assert!(under_way.len() <= BOUNDS.main);
            }
            while let Some((session, run)) = under_way.pop_first() {
                lanes.ended(&session, &run);
                while let Some(start) = lanes.next(BOUNDS, true) {
                    ended += 1 + i64::try_from(start.with.len()).unwrap();
                    prop_assert!(under_way.insert(start.session, start.run).is_none());
                }
            }
            prop_assert_eq!(entered, ended);
            prop_assert_eq!(lanes.waiting(), 0);
        }
    }
}
