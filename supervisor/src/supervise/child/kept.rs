//! A child's core as it is handed over to the successor of the supervisor. Pure.
//!
//! A child with a successor of its own is not handed over: its replacement is waited for.

use openclaw_shared::clock::Moment;
use openclaw_shared::control::Generation;
use serde::{Deserialize, Serialize};

use super::{Child, Intensity, Life, Limits, Phase, Revision, Serving, Timer, Timing};

/// One child, in words that do not change with the code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Kept {
    last_generation: Generation,
    wanted: u64,
    serving: KeptServing,
    leaving: Vec<Generation>,
    #[serde(default)]
    unsettled: bool,
    #[serde(default)]
    restarts: u32,
    #[serde(default)]
    forced: bool,
    #[serde(default)]
    last_error: Option<String>,
    /// How long ago it failed, in milliseconds, the longest first.
    #[serde(default)]
    failures: Vec<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "state",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
enum KeptServing {
    Absent,
    Life {
        generation: Generation,
        revision: u64,
        phase: KeptPhase,
        #[serde(default)]
        unanswered: u32,
        #[serde(default)]
        doom: Option<String>,
    },
    Backoff {
        generation: Generation,
    },
    Failed {
        generation: Generation,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum KeptPhase {
    Starting,
    Standby,
    Active,
}

/// A timer of a child, in words that do not change with the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "for", content = "generation", rename_all = "kebab-case")]
pub(crate) enum KeptTimer {
    Restart(Generation),
    Ready(Generation),
    Drain(Generation),
    Beat(Generation),
}

impl From<Timer> for KeptTimer {
    fn from(timer: Timer) -> Self {
        match timer {
            Timer::Restart(generation) => Self::Restart(generation),
            Timer::Ready(generation) => Self::Ready(generation),
            Timer::Drain(generation) => Self::Drain(generation),
            Timer::Beat(generation) => Self::Beat(generation),
        }
    }
}

impl From<KeptTimer> for Timer {
    fn from(timer: KeptTimer) -> Self {
        match timer {
            KeptTimer::Restart(generation) => Self::Restart(generation),
            KeptTimer::Ready(generation) => Self::Ready(generation),
            KeptTimer::Drain(generation) => Self::Drain(generation),
            KeptTimer::Beat(generation) => Self::Beat(generation),
        }
    }
}

impl Child {
    /// What there is to hand over; nothing while a successor is on its way, or when the child is told to stop.
    pub(crate) fn keep(&self, now: Moment) -> Option<Kept> {
        if self.successor.is_some() || self.stopping {
            return None;
        }
        let serving = match &self.serving {
            Serving::Absent => KeptServing::Absent,
            Serving::Life(life) => KeptServing::Life {
                generation: life.generation,
                revision: life.revision.0,
                phase: match life.phase {
                    Phase::Starting => KeptPhase::Starting,
                    Phase::Standby => KeptPhase::Standby,
                    Phase::Active => KeptPhase::Active,
                },
                unanswered: life.unanswered,
                doom: life.doom.clone(),
            },
            Serving::Backoff(generation) => KeptServing::Backoff {
                generation: *generation,
            },
            Serving::Failed(generation) => KeptServing::Failed {
                generation: *generation,
            },
        };
        Some(Kept {
            last_generation: self.last_generation,
            wanted: self.wanted.0,
            serving,
            leaving: self.leaving.clone(),
            unsettled: self.unsettled,
            restarts: self.restarts,
            forced: self.forced,
            last_error: self.last_error.clone(),
            failures: self.intensity.ages(now),
        })
    }

    /// Goes on with what was handed over.
    pub(crate) fn resume(kept: Kept, limits: Limits, timing: Timing, now: Moment) -> Self {
        let serving = match kept.serving {
            KeptServing::Absent => Serving::Absent,
            KeptServing::Life {
                generation,
                revision,
                phase,
                unanswered,
                doom,
            } => Serving::Life(Life {
                generation,
                revision: Revision(revision),
                phase: match phase {
                    KeptPhase::Starting => Phase::Starting,
                    KeptPhase::Standby => Phase::Standby,
                    KeptPhase::Active => Phase::Active,
                },
                unanswered,
                doom,
            }),
            KeptServing::Backoff { generation } => Serving::Backoff(generation),
            KeptServing::Failed { generation } => Serving::Failed(generation),
        };
        Self {
            last_generation: kept.last_generation,
            wanted: Revision(kept.wanted),
            serving,
            leaving: kept.leaving,
            unsettled: kept.unsettled,
            restarts: kept.restarts,
            forced: kept.forced,
            last_error: kept.last_error,
            intensity: Intensity::resume(limits, now, &kept.failures),
            ..Self::new(limits, timing)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use openclaw_shared::backoff::Backoff;
    use openclaw_shared::clock::Moment;
    use openclaw_shared::control::{ChildState, Generation};

    use super::super::{Action, Event};
    use super::{Child, Kept, Limits, Revision, Timer, Timing};

    const LIMITS: Limits = Limits {
        restarts: 2,
        window: Duration::from_secs(60),
        backoff: Backoff {
            initial: Duration::from_millis(250),
            max: Duration::from_secs(10),
        },
    };
    const TIMING: Timing = Timing {
        ready: Duration::from_secs(30),
        drain: Duration::from_secs(10),
        beat: Duration::from_secs(5),
        missed_beats: 3,
        retry: Duration::from_secs(60),
    };

    /// Hands a child over, and checks that nothing can be told apart.
    fn hand_over(child: &Child, now: Moment) -> Child {
        let kept = child.keep(now).expect("it rests");
        let text = serde_json::to_string(&kept).unwrap();
        let read: Kept = serde_json::from_str(&text).unwrap();
        assert_eq!(read, kept);
        let resumed = Child::resume(read, LIMITS, TIMING, now);
        assert_eq!(resumed.state(), child.state());
        assert_eq!(resumed.living(), child.living());
        assert_eq!(resumed.generation(), child.generation());
        assert_eq!(resumed.restarts(), child.restarts());
        assert_eq!(resumed.last_error(), child.last_error());
        assert_eq!(resumed.keep(now), Some(kept));
        resumed
    }

    #[test]
    fn a_child_goes_on_where_it_was_after_every_event() {
        let mut now = Moment::now();
        let mut child = Child::new(LIMITS, TIMING);
        let g = Generation;
        let mut seen = Vec::new();
        for event in [
            Event::Start(Revision(1)),
            Event::Ready(g(1)),
            Event::Activated(g(1)),
            Event::Fired(Timer::Beat(g(1))),
            Event::Exited(g(1), "boom".into()),
            Event::Ready(g(2)),
            Event::Activated(g(2)),
            Event::Exited(g(2), "boom".into()),
            Event::Fired(Timer::Restart(g(3))),
            Event::Exited(g(3), "boom".into()),
        ] {
            now = now + Duration::from_secs(1);
            let _ = child.on(now, event, 0.0);
            child = hand_over(&child, now);
            seen.push(child.state());
        }
        // The failures of earlier programs count: the third one within the minute is one too many.
        assert_eq!(seen.last(), Some(&ChildState::Failed));
        assert!(seen.contains(&ChildState::Backoff), "{seen:?}");
    }

    #[test]
    fn a_child_that_is_replaced_is_not_handed_over() {
        let now = Moment::now();
        let mut child = Child::new(LIMITS, TIMING);
        for event in [
            Event::Start(Revision(1)),
            Event::Ready(Generation(1)),
            Event::Activated(Generation(1)),
            Event::Replace(Revision(2)),
        ] {
            let _ = child.on(now, event, 0.0);
        }
        assert_eq!(child.keep(now), None);
        let _ = child.on(now, Event::Ready(Generation(2)), 0.0);
        let leaves = child.on(now, Event::Activated(Generation(2)), 0.0);
        assert!(
            leaves
                .iter()
                .any(|action| matches!(action, Action::Drain(..)))
        );
        // The predecessor may still be leaving.
        let resumed = hand_over(&child, now);
        assert_eq!(resumed.living(), [Generation(1), Generation(2)]);
    }
}
