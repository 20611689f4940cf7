//! A configuration put in force: after an edit of the file, after a change that came through us ([`super::rewrite`]), or by a
//! restart that reads the file again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use openclaw_shared::config::{Loaded, load};
use openclaw_shared::control::{ChildName, CliReply, ConfigState};
use openclaw_shared::recovery::Rung;
use openclaw_shared::{log, trace};
use tokio::sync::oneshot;

use super::child::Revision;
use super::notify::{self, Notice};
use super::recovery::Climb;
use super::reload::{self, Change};
use super::start::read_token;
use super::view::ConfigView;
use super::{Supervisor, Until, Waiter, WaitsFor, fleet};
use crate::settings::{Settings, resolve};

/// What each child concerned has to do.
pub(super) type Effects = BTreeMap<ChildName, fleet::Effect>;

/// A configuration that can be taken, and what that asks for. Nothing has been changed yet.
pub(super) struct Prospect {
    settings: Settings,
    pub(super) change: Change,
    course: Course,
}

impl Prospect {
    /// Whether it would have to wait for a restart.
    pub(super) fn waits(&self) -> bool {
        self.course == Course::Waits
    }
}

/// What taking a configuration comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// It is what runs already.
    Unchanged,
    /// It is what this revision brings, which is being rolled out.
    Underway(Revision),
    /// It has to wait for a restart.
    Waits,
    /// It is rolled out.
    Rolls,
}

/// What came of taking a configuration.
pub(super) enum Taken {
    /// It is what runs already.
    Unchanged,
    /// It is what is being rolled out already.
    Underway(Revision),
    /// It is to be rolled out, with [`Supervisor::roll_out`]. Who waits for its end is written down before that, because a
    /// change that concerns nobody is in force at once.
    Ready(Revision, Effects),
    /// It waits for a restart.
    Waits,
}

impl Supervisor {
    /// The files have changed, or somebody says so.
    pub(super) fn reload_files(&mut self) {
        match self.read_files() {
            Ok(settings) => match self.take(settings, None) {
                Ok(Taken::Ready(revision, effects)) => self.roll_out(revision, effects),
                Ok(Taken::Unchanged | Taken::Underway(_) | Taken::Waits) => {}
                Err(why) => self.reject(why),
            },
            Err(why) => self.reject(why),
        }
    }

    /// Replaces these children on what the files say, or on what runs when the files are broken.
    pub(super) fn restart(
        &mut self,
        children: &[ChildName],
        reply: Option<oneshot::Sender<CliReply>>,
    ) {
        notify::tell(Notice::Reloading, "restarting");
        let taken = match self.read_files() {
            Ok(settings) => self.take(settings, Some(children)),
            Err(why) => Err(why),
        };
        let ready = match taken {
            Ok(Taken::Ready(revision, effects)) => Some((revision, effects)),
            Ok(Taken::Unchanged | Taken::Underway(_) | Taken::Waits) => None,
            Err(why) => {
                self.reject(why);
                None
            }
        };
        let wanted = &self.settings_in_force().children;
        let children: BTreeSet<ChildName> = children
            .iter()
            .filter(|child| wanted.contains(child))
            .copied()
            .collect();
        let until = match &ready {
            Some((revision, _)) => Until::Revision(*revision),
            None => Until::Restart(children.clone()),
        };
        self.waiters.extend(reply.map(|reply| Waiter {
            until,
            waits_for: WaitsFor::Restart(reply),
        }));
        match ready {
            Some((revision, effects)) => self.roll_out(revision, effects),
            None => self.happen(fleet::Event::Restart(children)),
        }
    }

    fn read_files(&self) -> Result<Settings, String> {
        let path = self
            .settings_in_force()
            .instance
            .identity
            .config_path
            .clone();
        let loaded =
            load(&path, self.environment.variables()).map_err(|error| error.to_string())?;
        if !loaded.exists && self.settings_in_force().config_exists {
            // An editor that replaces the file, or a mistake: an empty configuration is never what was meant.
            return Err(format!("{} is gone", path.display()));
        }
        self.resolve(loaded)
    }

    pub(super) fn resolve(&self, loaded: Loaded) -> Result<Settings, String> {
        let identity = &self.settings_in_force().instance.identity;
        let token = read_token(&identity.state_dir);
        let settings = resolve(identity, loaded, &self.flags, &self.environment, token)
            .map_err(|refusal| refusal.to_string())?;
        settings
            .check_safe()
            .map_err(|refusal| refusal.to_string())?;
        Ok(settings)
    }

    /// Refuses what cannot be taken while running, before anything is changed.
    fn check(&self, settings: &Settings) -> Result<(), String> {
        let running = self.settings_in_force();
        if settings.credentials.active().is_none() {
            return Err("nobody could authenticate: no token and no password is left".to_owned());
        }
        if settings.instance.run_dir != running.instance.run_dir {
            return Err("the state folder of a running instance cannot be moved".to_owned());
        }
        Ok(())
    }

    /// Puts a configuration in force, as far as the reload mode or the restart allows.
    fn take(&mut self, settings: Settings, restart: Option<&[ChildName]>) -> Result<Taken, String> {
        let prospect = self.consider(settings, restart)?;
        Ok(self.commit(prospect))
    }

    /// Judges what taking a configuration comes to, and whether it can be taken at all. The addresses it needs are bound.
    pub(super) fn consider(
        &mut self,
        settings: Settings,
        restart: Option<&[ChildName]>,
    ) -> Result<Prospect, String> {
        self.check(&settings)?;
        let change = reload::plan(&self.newest_settings(), &settings, restart);
        let course = match self.rolling {
            None if change.keys.is_empty() => Course::Unchanged,
            // Our own write of the file is seen by the watch as well, while its successors are still starting.
            Some(rolling) if change.keys.is_empty() && restart.is_none() => {
                Course::Underway(rolling)
            }
            _ if !change.waiting.is_empty() => Course::Waits,
            _ => Course::Rolls,
        };
        if course == Course::Rolls {
            self.listeners
                .ensure(&settings.instance, &settings.children)
                .map_err(|error| error.to_string())?;
        }
        Ok(Prospect {
            settings,
            change,
            course,
        })
    }

    /// What was considered is not taken.
    pub(super) fn dismiss(&mut self, prospect: Prospect) {
        if prospect.course == Course::Rolls && self.rolling.is_none() {
            let settings = self.settings_in_force();
            self.listeners
                .release_others(&settings.instance, &settings.children);
        }
    }

    /// Takes what was considered.
    pub(super) fn commit(&mut self, prospect: Prospect) -> Taken {
        let Prospect {
            settings,
            change,
            course,
        } = prospect;
        self.watch.follow(settings.source.watched());
        for warning in &settings.warnings {
            tracing::warn!(target: "config", warning = %warning, "odd configuration");
        }
        match course {
            Course::Unchanged => {
                // Comments or order, or the file is again what runs; unless it is so because we have just put it back.
                if self.put_back.as_ref() != Some(&settings.source.hash) {
                    self.put_back = None;
                    self.config = ConfigView::ok();
                }
                self.adopt_source(self.in_force, settings);
                Taken::Unchanged
            }
            Course::Underway(revision) => {
                self.adopt_source(revision, settings);
                Taken::Underway(revision)
            }
            Course::Waits => {
                let keys = change.waiting.join(", ");
                tracing::warn!(target: "reload", keys = %keys, "changed keys wait for a restart");
                self.config = ConfigView::not_ok(
                    ConfigState::Pending,
                    format!("restart the gateway to apply {keys}"),
                );
                Taken::Waits
            }
            Course::Rolls => {
                tracing::info!(target: "reload", keys = %change.keys.join(", "), effects = ?change.effects, "configuration changed");
                self.config = ConfigView::ok();
                self.put_back = None;
                self.last_revision = Revision(self.last_revision.0 + 1);
                let revision = self.last_revision;
                self.rolling = Some(revision);
                self.traces.begin(revision, trace::current());
                log::reconfigure(&settings.logging);
                self.settings.insert(revision, Arc::new(settings));
                Taken::Ready(revision, change.effects)
            }
        }
    }

    /// Other texts that say the same: what runs stays, what is kept as its source follows the files.
    fn adopt_source(&mut self, revision: Revision, settings: Settings) {
        if settings.source != self.settings_of(revision).source {
            self.settings.insert(revision, Arc::new(settings));
        }
    }

    pub(super) fn roll_out(&mut self, revision: Revision, effects: Effects) {
        notify::tell(Notice::Reloading, "taking a new configuration");
        self.happen(fleet::Event::Change(revision, effects));
    }

    /// What runs, or is on its way to.
    fn newest_settings(&self) -> Arc<Settings> {
        self.settings_of(self.rolling.unwrap_or(self.in_force))
    }

    fn reject(&mut self, why: String) {
        self.climb(&Climb::of(Rung::Refused, None, why.as_str()));
        let state = match self.config.state {
            ConfigState::Degraded => ConfigState::Degraded,
            ConfigState::Ok | ConfigState::Rejected | ConfigState::Pending => ConfigState::Rejected,
        };
        self.config = ConfigView::not_ok(state, why);
    }
}
