//! A change of the configuration: by an edit of the file, by the command line, or by a restart that reads it again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openclaw_shared::config::write::{self, Written};
use openclaw_shared::config::{Loaded, load, load_candidate};
use openclaw_shared::control::{ChildName, CliReply, ConfigState};
use openclaw_shared::{digest, log};
use tokio::sync::oneshot;

use super::child::Revision;
use super::notify::{self, Notice};
use super::reload;
use super::start::read_token;
use super::view::ConfigView;
use super::{Supervisor, Waiter, fleet};
use crate::settings::{Settings, resolve};

/// A change of the file that came through us. It is put back when it does not work, if the file still is what we wrote.
#[derive(Debug)]
pub(super) struct Rewrite {
    revision: Revision,
    written: String,
    before: Option<String>,
}

/// What each child concerned has to do.
type Effects = BTreeMap<ChildName, fleet::Effect>;

/// What came of putting a configuration in force.
enum Taken {
    /// It is what runs already.
    Unchanged,
    /// It is to be rolled out, with [`Supervisor::roll_out`]. Who waits for its end is written down before that, because a
    /// change that concerns nobody is in force at once.
    Ready(Revision, Effects),
    /// These keys wait for a restart.
    Waits(Vec<String>),
}

impl Supervisor {
    /// The files have changed, or somebody says so.
    pub(super) fn reload_files(&mut self) {
        match self.read_files() {
            Ok(settings) => match self.take(settings, None) {
                Ok(Taken::Ready(revision, effects)) => self.roll_out(revision, effects),
                Ok(Taken::Unchanged | Taken::Waits(_)) => {}
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
            Ok(Taken::Unchanged | Taken::Waits(_)) => None,
            Err(why) => {
                self.reject(why);
                None
            }
        };
        let revision = ready.as_ref().map(|(revision, _)| *revision);
        self.waiters
            .extend(reply.map(|reply| Waiter { revision, reply }));
        if let Some((revision, effects)) = ready {
            self.roll_out(revision, effects);
        } else {
            let wanted = &self.settings_in_force().children;
            let children = children
                .iter()
                .filter(|child| wanted.contains(child))
                .copied();
            self.happen(fleet::Event::Restart(children.collect()));
        }
    }

    /// Writes the file on behalf of the command line.
    pub(super) fn write_config(
        &mut self,
        base_hash: Option<&str>,
        text: &str,
        reply: oneshot::Sender<CliReply>,
    ) {
        match self.try_write(base_hash, text) {
            Ok(Taken::Ready(revision, effects)) => {
                self.waiters.push(Waiter {
                    revision: Some(revision),
                    reply,
                });
                self.roll_out(revision, effects);
            }
            Ok(Taken::Unchanged) => {
                let message = "The configuration is in force.".to_owned();
                // Whoever asked may have left.
                let _ = reply.send(CliReply::Done { message });
            }
            Ok(Taken::Waits(keys)) => {
                let message = format!("Written. Restart the gateway to apply {}.", keys.join(", "));
                let _ = reply.send(CliReply::Done { message });
            }
            Err(message) => {
                let _ = reply.send(CliReply::Failed { message });
            }
        }
    }

    fn try_write(&mut self, base_hash: Option<&str>, text: &str) -> Result<Taken, String> {
        let path = self
            .settings_in_force()
            .instance
            .identity
            .config_path
            .clone();
        let loaded = load_candidate(&path, text, self.environment.variables())
            .map_err(|error| error.to_string())?;
        let settings = self.resolve(loaded)?;
        // Known before the write, so that a configuration that cannot be taken never reaches the file.
        self.check(&settings)?;
        let before = std::fs::read_to_string(&path).ok();
        let Written { hash, .. } =
            write::write_atomically(&path, text, base_hash).map_err(|error| error.to_string())?;
        let taken = self.take(settings, None)?;
        if let Taken::Ready(revision, _) = &taken {
            self.rewrite = Some(Rewrite {
                revision: *revision,
                written: hash,
                before,
            });
        }
        Ok(taken)
    }

    /// A revision has come to its end: in force, or not and why.
    pub(super) fn settle_rewrite(&mut self, revision: Revision, failed: Option<&str>) {
        let Some(rewrite) = self.rewrite.take_if(|rewrite| rewrite.revision <= revision) else {
            return;
        };
        let Some(why) = failed else { return };
        let path = self
            .settings_in_force()
            .instance
            .identity
            .config_path
            .clone();
        match put_back(&path, &rewrite) {
            Ok(Some(kept)) => {
                tracing::warn!(target: "config", error = why, rejected = %kept.display(), "configuration file put back");
                self.config = ConfigView::not_ok(ConfigState::Rejected, why.to_owned());
            }
            Ok(None) => {
                tracing::warn!(target: "config", "the configuration file was edited meanwhile and is left alone");
            }
            Err(error) => {
                tracing::error!(target: "config", %error, "the configuration file cannot be put back");
            }
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

    fn resolve(&self, loaded: Loaded) -> Result<Settings, String> {
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
        self.check(&settings)?;
        let running = self.newest_settings();
        let change = reload::plan(&running, &settings, restart);
        self.watch.follow(settings.source.watched());
        for warning in &settings.warnings {
            tracing::warn!(target: "config", warning = %warning, "odd configuration");
        }
        if change.keys.is_empty() && self.rolling.is_none() {
            // Comments or order, or the file is again what runs.
            self.config = ConfigView::ok();
            if settings.source.hash != running.source.hash {
                self.settings.insert(self.in_force, Arc::new(settings));
            }
            return Ok(Taken::Unchanged);
        }
        if !change.waiting.is_empty() {
            let keys = change.waiting.join(", ");
            tracing::warn!(target: "reload", keys = %keys, "changed keys wait for a restart");
            self.config = ConfigView::not_ok(
                ConfigState::Pending,
                format!("restart the gateway to apply {keys}"),
            );
            return Ok(Taken::Waits(change.waiting));
        }
        self.listeners
            .ensure(&settings.instance, &settings.children)
            .map_err(|error| error.to_string())?;
        tracing::info!(target: "reload", keys = %change.keys.join(", "), effects = ?change.effects, "configuration changed");
        self.config = ConfigView::ok();
        self.last_revision = Revision(self.last_revision.0 + 1);
        let revision = self.last_revision;
        self.rolling = Some(revision);
        log::reconfigure(&settings.logging);
        self.settings.insert(revision, Arc::new(settings));
        Ok(Taken::Ready(revision, change.effects))
    }

    fn roll_out(&mut self, revision: Revision, effects: Effects) {
        notify::tell(Notice::Reloading, "taking a new configuration");
        self.happen(fleet::Event::Change(revision, effects));
    }

    /// What runs, or is on its way to.
    fn newest_settings(&self) -> Arc<Settings> {
        self.settings_of(self.rolling.unwrap_or(self.in_force))
    }

    fn reject(&mut self, why: String) {
        tracing::error!(target: "config", error = %why, "the configuration file was refused; the running one stays");
        let state = match self.config.state {
            ConfigState::Degraded => ConfigState::Degraded,
            ConfigState::Ok | ConfigState::Rejected | ConfigState::Pending => ConfigState::Rejected,
        };
        self.config = ConfigView::not_ok(state, why);
    }
}

/// Puts the file back as it was before our own change, and keeps the rejected text beside it. `None` when somebody else has
/// edited the file since.
fn put_back(path: &Path, rewrite: &Rewrite) -> Result<Option<PathBuf>, String> {
    let current = std::fs::read_to_string(path).unwrap_or_default();
    if digest::hex(current.as_bytes()) != rewrite.written {
        return Ok(None);
    }
    let beside = PathBuf::from(format!("{}.rejected", path.display()));
    write::replace_private(&beside, current.as_bytes()).map_err(|error| error.to_string())?;
    match &rewrite.before {
        Some(before) => {
            write::write_atomically(path, before, Some(&rewrite.written))
                .map_err(|error| error.to_string())?;
        }
        None => std::fs::remove_file(path).map_err(|error| error.to_string())?,
    }
    Ok(Some(beside))
}
