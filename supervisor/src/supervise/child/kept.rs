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
