//! Performs what the ladder, the memory bounds and the watch ask for, and tells it: in the log here, in `health` and `gateway status`
//! by the view.

use std::collections::BTreeMap;

use openclaw_shared::clock::WallTime;
use openclaw_shared::config::write::replace_private;
use openclaw_shared::control::{ChildName, ChildState, Generation};
use openclaw_shared::exit::Exit;
use openclaw_shared::paths::StatePaths;
use openclaw_shared::recovery::{LastStop, Rung, WatchedState};
use serde::{Deserialize, Serialize};

use super::bounds::{self, Bound, Verdict};
use super::channel::Arrival;
use super::recovery::{self, Climb, Ladder};
use super::vigil::look::{self, Target};
use super::vigil::{News, Sight, Vigil};
use super::{Due, Supervisor, child, fleet, sample};

/// What is remembered of failures, memory and the watched instance. Plain data: a supervisor that hands over to its successor hands
/// it over as it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) ladder: Ladder,
    bounds: BTreeMap<ChildName, bounds::Watch>,
    pub(super) vigil: Option<Vigil>,
}

impl Record {
    /// The rung of a child in this state.
    pub(super) fn rung(
        &self,
        now: WallTime,
        child: ChildName,
        life: Generation,
        state: ChildState,
    ) -> Rung {
        let waits = |watch: &bounds::Watch| watch.is_waiting(now, life);
        match self.bounds.get(&child).is_some_and(waits) {
            true => Rung::BackingOff,
            false => self.ladder.of_child(now, child, state),
        }
    }

    /// What the life before this one has left.
    pub(super) fn recall(state_dir: &std::path::Path) -> Self {
        Self {
            ladder: Ladder::new(last_stop(state_dir)),
            ..Self::default()
        }
    }
}

/// How the last life of the instance ended, when it ended by itself.
pub(crate) fn last_stop(state_dir: &std::path::Path) -> Option<LastStop> {
    let text = std::fs::read_to_string(StatePaths(state_dir).last_stop()).ok()?;
    serde_json::from_str(&text).ok()
}

impl Supervisor {
    /// Remembers and tells a step.
    pub(super) fn climb(&mut self, climb: &Climb) {
        self.record.ladder.climb(WallTime::now(), climb);
        let rung = climb.rung.as_str();
        let child = climb.child.map(ChildName::as_str);
        let error = climb.reason.as_str();
        let wait_ms = climb.wait.map(|wait| wait.as_millis());
        let words = recovery::words(climb.rung);
        match climb.rung {
            Rung::Well => {}
            Rung::Restarted | Rung::Replaced | Rung::Discarded | Rung::BackingOff => {
                tracing::warn!(target: "recovery", rung, child, error, wait_ms, "{words}");
            }
            Rung::Refused | Rung::GivenUp | Rung::RolledBack | Rung::LastGood | Rung::Stopped => {
                tracing::error!(target: "recovery", rung, child, error, wait_ms, "{words}");
            }
        }
        self.await_quiet();
    }

    /// Looks in a minute whether everything is well again.
    pub(super) fn await_quiet(&mut self) {
        self.due.retain(|_, due| *due != Due::Quiet);
        self.arm(recovery::QUIET, Due::Quiet);
    }

    /// A minute without a step: the children are well, or what still is wrong stays as it is.
    pub(super) fn quiet(&self) {
        if self.view().recovery.rung == Rung::Well {
            tracing::info!(target: "recovery", "{}", recovery::words(Rung::Well));
        }
    }

    /// Keeps how this life ends, for whoever asks when it is gone.
    pub(super) fn keep_end(&self, exit: Exit) {
        let state_dir = &self.settings_in_force().instance.identity.state_dir;
        let path = StatePaths(state_dir).last_stop();
        let kept = match self.record.ladder.end(WallTime::now(), exit) {
            Some(end) => serde_json::to_vec_pretty(&end)
                .map_err(std::io::Error::other)
                .and_then(|text| replace_private(&path, &text)),
            None => match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => Ok(()),
            },
        };
        if let Err(error) = kept {
            tracing::warn!(target: "recovery", %error, "how this life ended cannot be kept");
        }
    }

    /// Begins to look at memory, and at the watched instance, as the configuration in force says.
    pub(super) fn keep_watch(&mut self) {
        self.due
            .retain(|_, due| *due != Due::Bounds && *due != Due::Look);
        let settings = self.settings_in_force();
        if !settings.bounds.is_empty() {
            self.arm(settings.check_bounds, Due::Bounds);
        }
        match self.watched() {
            None => self.record.vigil = None,
            Some(Err(error)) => {
                tracing::warn!(target: "watch", %error, "no other instance is watched");
                self.record.vigil = None;
            }
            Some(Ok(target)) => {
                let profile = target.profile.clone();
                let goes_on = |vigil: &Vigil| vigil.profile() == profile;
                if !self.record.vigil.as_ref().is_some_and(goes_on) {
                    tracing::info!(target: "watch", profile = %profile, "watching another instance");
                    self.record.vigil = Some(Vigil::new(profile));
                }
                self.look();
            }
        }
    }

    fn watched(&self) -> Option<Result<Target, String>> {
        let settings = self.settings_in_force();
        let profile = settings.config.gateway.watch.profile.as_deref()?;
        let own = &settings.instance.identity;
        Some(Target::of(own, profile, &self.environment))
    }

    /// Looks at the watched instance; what is seen arrives as an event.
    pub(super) fn look(&self) {
        let Some(Ok(target)) = self.watched() else {
            return;
        };
        let arrivals = self.arrivals.clone();
        // It ends by itself within its time, and the next look begins only when it has.
        tokio::spawn(async move {
            let sight = look::look(&target).await;
            // The loop that is told may be ending.
            let _ = arrivals.send(Arrival::Saw(target.profile, sight)).await;
        });
    }

    /// A look at the watched instance has ended.
    pub(super) fn saw(&mut self, profile: &str, sight: Sight) {
        let interval = self.settings_in_force().config.gateway.watch.interval_ms;
        let interval = std::time::Duration::from_millis(interval.get());
        let Some(vigil) = &mut self.record.vigil else {
            return;
        };
        if vigil.profile() != profile {
            // Of one that is not watched any more.
            return;
        }
        let news = vigil.saw(WallTime::now(), sight);
        let next = vigil.next_look(interval);
        match news {
            None => {}
            Some(News::Found) => {
                tracing::info!(target: "watch", profile, "the watched instance is up");
            }
            Some(News::Back(after)) => {
                tracing::info!(target: "watch", profile, after_ms = after.as_millis(), "the watched instance is up again");
            }
            Some(News::Fell(WatchedState::Unwell, reason)) => {
                tracing::error!(target: "watch", profile, error = %reason, "the watched instance is unwell");
            }
            Some(News::Fell(_, reason)) => {
                tracing::error!(target: "watch", profile, error = %reason, "the watched instance is down");
            }
        }
        self.due.retain(|_, due| *due != Due::Look);
        self.arm(next, Due::Look);
    }

    /// Looks at the memory of the children that have a bound.
    pub(super) fn check_bounds(&mut self) {
        let settings = self.settings_in_force();
        if settings.bounds.is_empty() {
            return;
        }
        self.arm(settings.check_bounds, Due::Bounds);
        if self.fleet.is_stopping() {
            return;
        }
        for (child, bound) in &settings.bounds {
            self.check_bound(*child, *bound);
        }
    }

    fn check_bound(&mut self, child: ChildName, bound: Bound) {
        let core = self.fleet.child(child);
        if core.state() != ChildState::Active {
            return;
        }
        let life = core.generation();
        let is_replacing = core.has_successor() || self.fleet.is_changing();
        let used = self.lives.pid(child, life).and_then(sample::resident);
        let Some(used) = used else { return };
        let watch = self.record.bounds.entry(child).or_default();
        let verdict = watch.looked(WallTime::now(), life, used, bound, is_replacing);
        let over = || {
            let key = format!("gateway.limits.{}.memory", key_of(child));
            let (used, memory) = (megabytes(used), megabytes(bound.memory));
            format!("it uses {used} MB of memory, more than the {memory} MB of {key}")
        };
        match verdict {
            Verdict::Leave => {}
            Verdict::Replace => {
                let why = over();
                self.climb(&Climb::of(Rung::Replaced, Some(child), why.as_str()));
                self.fleet.remark(child, why);
                self.happen(fleet::Event::Restart([child].into()));
            }
            Verdict::Wait(wait) => {
                let seconds = wait.as_secs();
                let why = format!(
                    "{}, soon after it was replaced for that; the next replacement waits {seconds} s",
                    over()
                );
                self.climb(&Climb {
                    wait: Some(wait),
                    ..Climb::of(Rung::BackingOff, Some(child), why.as_str())
                });
                self.fleet.remark(child, why);
            }
            Verdict::Kill => {
                let (used, ceiling) = (megabytes(used), megabytes(bound.ceiling));
                let why = format!(
                    "it was killed: it used {used} MB of memory, beyond its ceiling of {ceiling} MB, and no successor took its place"
                );
                self.child(child, child::Event::Overgrown(life, why));
            }
        }
    }
}

/// The key of a child in `gateway.limits`.
const fn key_of(child: ChildName) -> &'static str {
    match child {
        ChildName::Gateway => "gateway",
        ChildName::CanvasHost => "canvasHost",
        ChildName::BrowserControl => "browserControl",
    }
}

const fn megabytes(bytes: u64) -> u64 {
    bytes / 1_000_000
}
