//! launchd, through `launchctl`: an agent of the user who is logged in.

use std::path::{Path, PathBuf};
use std::time::Duration;

use openclaw_shared::instance::Identity;

use super::command::{Said, run};
use super::definition::Definition;
use super::file::{ServiceFile, remove};
use super::names::Names;
use super::{
    Begin, RuntimeStatus, ServiceCommand, ServiceManager, ServiceRuntime, ServiceView, Unavailable,
};

mod agent;

/// Looking is quick or not worth waiting for.
const LOOK_LIMIT: Duration = Duration::from_secs(3);
/// A stop may have to drain.
const JOB_LIMIT: Duration = Duration::from_secs(90);
const LAUNCHCTL: &str = "/bin/launchctl";

/// The agent of one profile.
#[derive(Debug)]
pub(super) struct Launchd {
    folder: PathBuf,
    names: Names,
    uid: u32,
}

impl Launchd {
    /// The agent of this name, when this system has launchd.
    pub(super) fn find(identity: &Identity, names: Names) -> Option<Self> {
        let is_here = cfg!(target_os = "macos") && Path::new(LAUNCHCTL).exists();
        is_here.then(|| Self::anywhere(identity, names))
    }

    /// As [`Launchd::find`], also where there is no launchd: its files can be written for another machine.
    pub(super) fn anywhere(identity: &Identity, names: Names) -> Self {
        Self {
            folder: identity.home.join("Library/LaunchAgents"),
            names,
            uid: nix::unistd::geteuid().as_raw(),
        }
    }

    fn path_of(&self, label: &str) -> PathBuf {
        self.folder.join(format!("{label}.plist"))
    }

    fn domain(&self) -> String {
        format!("gui/{}", self.uid)
    }

    fn target(&self, label: &str) -> String {
        format!("{}/{label}", self.domain())
    }

    fn call(arguments: &[&str], limit: Duration) -> Result<Said, String> {
        run(Path::new(LAUNCHCTL), arguments, limit)
    }

    fn job(arguments: &[&str]) -> Result<(), String> {
        let said = Self::call(arguments, JOB_LIMIT)?;
        if said.status.success() {
            return Ok(());
        }
        let verb = arguments.first().copied().unwrap_or_default();
        let why = said.stderr.lines().next().unwrap_or("it gave no reason");
        Err(format!("launchctl {verb} failed: {}", why.trim()))
    }

    fn is_loaded(&self, label: &str) -> bool {
        let said = Self::call(&["print", &self.target(label)], LOOK_LIMIT);
        said.is_ok_and(|said| said.status.success())
    }

    /// Unloads an agent; one that is not loaded is fine.
    fn bootout(&self, label: &str) -> Result<bool, String> {
        if !self.is_loaded(label) {
            return Ok(false);
        }
        Self::job(&["bootout", &self.target(label)])?;
        Ok(true)
    }

    fn bootstrap(&self) -> Result<(), String> {
        let label = &self.names.label;
        // A switch that somebody set long ago outlives the file; without this the agent would not be loaded.
        Self::job(&["enable", &self.target(label)])?;
        let path = self.path_of(label).display().to_string();
        Self::job(&["bootstrap", &self.domain(), &path])
    }
}

impl ServiceManager for Launchd {
    fn view(&self) -> ServiceView {
        let label = &self.names.label;
        let said = Self::call(&["print", &self.target(label)], LOOK_LIMIT);
        let path = self.path_of(label);
        let command = path.is_file().then(|| {
            let mut command = ServiceCommand::at(&path);
            let start = agent::Start::of(&std::fs::read_to_string(&path).unwrap_or_default());
            command.say(start.command, start.environment, start.working_dir);
            command
        });
        let (loaded, runtime) = match said {
            Ok(said) if said.status.success() => (true, runtime(&said.stdout)),
            Ok(_) => (
                false,
                ServiceRuntime {
                    status: RuntimeStatus::Stopped,
                    missing_unit: command.is_none(),
                    ..ServiceRuntime::default()
                },
            ),
            Err(reason) => (
                false,
                ServiceRuntime {
                    detail: Some(reason),
                    ..ServiceRuntime::default()
                },
            ),
        };
        ServiceView {
            label: "LaunchAgent",
            unit: Some(label.clone()),
            loaded,
            loaded_text: "loaded",
            not_loaded_text: "not loaded",
            command,
            runtime,
        }
    }

    fn check(&self) -> Result<(), Unavailable> {
        let said = Self::call(&["print", &self.domain()], LOOK_LIMIT);
        let message = match said {
            Ok(said) if said.status.success() => return Ok(()),
            Ok(said) => format!(
                "launchctl unavailable: {}",
                said.stderr
                    .lines()
                    .next()
                    .unwrap_or("it gave no reason")
                    .trim()
            ),
            Err(reason) => reason,
        };
        Err(Unavailable {
            message,
            hints: vec!["LaunchAgents need a session on the screen of this machine; log in there, or run the gateway under your own supervisor.".to_owned()],
        })
    }

    fn files(&self, definition: &Definition) -> Result<Vec<ServiceFile>, String> {
        let text = agent::plist(definition)
            .map_err(|error| format!("no property list can be written: {error}"))?;
        let path = self.path_of(&self.names.label);
        Ok(vec![ServiceFile { path, text }])
    }

    fn install(&self, files: &[ServiceFile], begin: Begin) -> Result<Vec<String>, String> {
        self.bootout(&self.names.label)?;
        for file in files {
            file.write()?;
        }
        // To load an agent is to start it, so one that is to begin later is left to the next session.
        match begin {
            Begin::Anew => self.bootstrap()?,
            Begin::No => {}
        }
        Ok(Vec::new())
    }

    fn uninstall(&self) -> Result<Vec<String>, String> {
        let label = &self.names.label;
        let mut told = Vec::new();
        if self.bootout(label)? {
            told.push(format!("Stopped LaunchAgent: {label}"));
        }
        let path = self.path_of(label);
        if remove(&path)? {
            told.push(format!("Removed LaunchAgent: {}", path.display()));
        }
        Ok(told)
    }

    fn remove_legacy(&self) -> Result<Vec<String>, String> {
        let mut told = Vec::new();
        for label in &self.names.legacy_labels {
            let unloaded = self.bootout(label)?;
            let path = self.path_of(label);
            if remove(&path)? || unloaded {
                told.push(format!(
                    "Removed the LaunchAgent of an earlier name: {label}"
                ));
            }
        }
        Ok(told)
    }

    fn start(&self) -> Result<(), String> {
        match self.is_loaded(&self.names.label) {
            true => Self::job(&["kickstart", &self.target(&self.names.label)]),
            false => self.bootstrap(),
        }
    }

    fn stop(&self) -> Result<(), String> {
        // An agent that is kept alive stops only by being unloaded; the next session loads it again.
        self.bootout(&self.names.label).map(|_| ())
    }

    fn restart(&self) -> Result<(), String> {
        match self.is_loaded(&self.names.label) {
            true => Self::job(&["kickstart", "-k", &self.target(&self.names.label)]),
            false => self.bootstrap(),
        }
    }

    fn start_hint(&self) -> Option<String> {
        let path = self.path_of(&self.names.label);
        Some(format!(
            "launchctl bootstrap {} {}",
            self.domain(),
            path.display()
        ))
    }

    fn logs_hint(&self) -> Option<String> {
        None
    }
}

/// Reads what `launchctl print` says of an agent.                                                                    (pure)
fn runtime(text: &str) -> ServiceRuntime {
    let value = |name: &str| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        })
    };
    let state = value("state");
    let pid = value("pid").and_then(|pid| pid.parse().ok());
    let status = match (state.as_deref(), pid) {
        (Some("running"), _) | (_, Some(_)) => RuntimeStatus::Running,
        (Some(_), None) => RuntimeStatus::Stopped,
        (None, None) => RuntimeStatus::Unknown,
    };
    let exit = value("last exit code").or_else(|| value("last exit status"));
    ServiceRuntime {
        status,
        state,
        pid,
        last_exit_status: exit.and_then(|exit| exit.split(':').next()?.trim().parse().ok()),
        last_exit_reason: value("last exit reason"),
        ..ServiceRuntime::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_launchctl_prints_is_read() {
        let text = "gui/501/bot.molt.gateway = {\n\tactive count = 1\n\tstate = running\n\n\tpid = 4242\n\tlast exit code = 78: EX_CONFIG\n}\n";
        let seen = runtime(text);
        assert_eq!(
            (seen.status, seen.pid, seen.last_exit_status),
            (RuntimeStatus::Running, Some(4242), Some(78))
        );
        let stopped = runtime("\tstate = not running\n\tlast exit code = (never exited)\n");
        assert_eq!(
            (stopped.status, stopped.last_exit_status),
            (RuntimeStatus::Stopped, None)
        );
        assert_eq!(runtime("").status, RuntimeStatus::Unknown);
    }
}
