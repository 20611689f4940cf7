//! systemd, through `systemctl`: the user's instance, or the one of the whole system.

use std::path::PathBuf;
use std::time::Duration;

use openclaw_shared::instance::Identity;

use super::command::{Said, run};
use super::definition::Definition;
use super::file::{ServiceFile, remove};
use super::names::Names;
use super::{Begin, ServiceCommand, ServiceManager, ServiceView, Unavailable};

mod quote;
mod read;
mod show;
mod unit;

use read::Start;
use show::{unavailable, view};

/// Looking is quick or not worth waiting for.
const SHOW_LIMIT: Duration = Duration::from_secs(3);
/// A stop may have to drain, and a start has the time that the unit gives it.
const JOB_LIMIT: Duration = Duration::from_secs(150);
const PROPERTIES: &str = "--property=LoadState,UnitFileState,ActiveState,SubState,MainPID,ExecMainStatus,FragmentPath,Result,NRestarts";
/// Where units of the whole system are put that no package brings.
const SYSTEM_FOLDER: &str = "/etc/systemd/system";

/// Whose services they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    User,
    System,
}

/// The service of one profile.
#[derive(Debug)]
pub(super) struct Systemd {
    systemctl: PathBuf,
    scope: Scope,
    folder: PathBuf,
    names: Names,
}

impl Systemd {
    /// The service of this name, when this system has systemd.
    pub(super) fn find(identity: &Identity, names: Names, scope: Scope) -> Option<Self> {
        let systemctl = ["/usr/bin/systemctl", "/bin/systemctl"]
            .map(PathBuf::from)
            .into_iter()
            .find(|path| path.exists())?;
        Some(Self::through(systemctl, identity, names, scope))
    }

    /// As [`Systemd::find`], also where there is no systemd: its files can be written for another machine.
    pub(super) fn anywhere(identity: &Identity, names: Names, scope: Scope) -> Self {
        Self::through(PathBuf::from("/usr/bin/systemctl"), identity, names, scope)
    }

    fn through(systemctl: PathBuf, identity: &Identity, names: Names, scope: Scope) -> Self {
        let folder = match scope {
            Scope::User => identity.home.join(".config/systemd/user"),
            Scope::System => PathBuf::from(SYSTEM_FOLDER),
        };
        Self {
            systemctl,
            scope,
            folder,
            names,
        }
    }

    /// Whether a unit of this scope lies where `install` puts it.
    pub(super) fn has_file(&self) -> bool {
        self.unit_path().is_file()
    }

    /// What the unit says, when there is one where `install` puts it.
    pub(super) fn text(&self) -> Option<String> {
        std::fs::read_to_string(self.unit_path()).ok()
    }

    fn unit_path(&self) -> PathBuf {
        self.folder.join(&self.names.unit)
    }

    fn socket_path(&self) -> PathBuf {
        self.folder.join(&self.names.socket)
    }

    /// The units that are started, stopped and enabled together, the one that others wait for first.
    fn units(&self) -> Vec<&str> {
        let socket = self
            .socket_path()
            .is_file()
            .then_some(self.names.socket.as_str());
        socket
            .into_iter()
            .chain([self.names.unit.as_str()])
            .collect()
    }

    fn call(&self, arguments: &[&str], limit: Duration) -> Result<Said, String> {
        let scope = match self.scope {
            Scope::User => "--user",
            Scope::System => "--system",
        };
        let all: Vec<&str> = [scope].iter().chain(arguments).copied().collect();
        run(&self.systemctl, &all, limit)
    }

    fn job(&self, verb: &str, units: &[&str]) -> Result<(), String> {
        let arguments: Vec<&str> = [verb].iter().chain(units).copied().collect();
        let said = self.call(&arguments, JOB_LIMIT)?;
        if said.status.success() {
            Ok(())
        } else {
            Err(self.complaint(verb, &said))
        }
    }

    fn complaint(&self, verb: &str, said: &Said) -> String {
        let text = said
            .stderr
            .lines()
            .next()
            .unwrap_or("it gave no reason")
            .trim();
        let tool = match self.scope {
            Scope::User => "systemctl --user",
            Scope::System => "systemctl",
        };
        let no_bus = text.contains("Failed to connect") || text.contains("DBUS");
        match no_bus || text.contains("has not been booted") {
            true => format!("{tool} unavailable: {text}"),
            false => format!("{tool} {verb} failed: {text}"),
        }
    }
}

impl ServiceManager for Systemd {
    fn view(&self) -> ServiceView {
        let arguments = ["show", &self.names.unit, "--no-pager", PROPERTIES];
        let shown = match self.call(&arguments, SHOW_LIMIT) {
            Ok(said) if said.status.success() => Ok(said.stdout),
            Ok(said) => Err(self.complaint("show", &said)),
            Err(reason) => Err(reason),
        };
        let mut view = view(&self.names.unit, shown);
        if view.command.is_none() && self.has_file() {
            view.command = Some(ServiceCommand::at(&self.unit_path()));
        }
        if let Some(command) = &mut view.command
            && let Ok(text) = std::fs::read_to_string(&command.source_path)
        {
            let start = Start::of(&text);
            command.say(start.command, start.environment, start.working_dir);
        }
        view
    }

    fn check(&self) -> Result<(), Unavailable> {
        let message = match self.call(&["show", "--property=Version"], SHOW_LIMIT) {
            Ok(said) if said.status.success() => return Ok(()),
            Ok(said) => self.complaint("show", &said),
            Err(reason) => reason,
        };
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Err(unavailable(message, self.scope, &kernel))
    }

    fn files(&self, definition: &Definition) -> Result<Vec<ServiceFile>, String> {
        unit::check(definition)?;
        let service = ServiceFile {
            path: self.unit_path(),
            text: unit::service(definition),
        };
        let socket = (!definition.sockets.is_empty()).then(|| ServiceFile {
            path: self.socket_path(),
            text: unit::socket(definition),
        });
        Ok([Some(service), socket].into_iter().flatten().collect())
    }

    fn install(&self, files: &[ServiceFile], begin: Begin) -> Result<Vec<String>, String> {
        let mut told = Vec::new();
        let had_socket = self.socket_path().is_file();
        let wants_socket = files.iter().any(|file| file.path == self.socket_path());
        if had_socket && !wants_socket {
            self.job("disable", &["--now", &self.names.socket])?;
            remove(&self.socket_path())?;
            told.push(format!(
                "Removed systemd socket: {}",
                self.socket_path().display()
            ));
        }
        for file in files {
            file.write()?;
        }
        self.job("daemon-reload", &[])?;
        self.job("enable", &self.units())?;
        match begin {
            Begin::No => {}
            // The socket can be bound only when the service that has bound the port by itself is gone.
            Begin::Anew if wants_socket || had_socket => {
                self.job("stop", &self.units())?;
                self.job("start", &self.units())?;
            }
            Begin::Anew => {
                // A service that was given up gets a fresh count; it need not be one.
                let _ = self.job("reset-failed", &[&self.names.unit]);
                self.job("restart", &[&self.names.unit])?;
            }
        }
        Ok(told)
    }

    fn uninstall(&self) -> Result<Vec<String>, String> {
        let mut told = Vec::new();
        let units = self.units();
        if self.has_file() || units.len() > 1 {
            let with_now: Vec<&str> = ["--now"].iter().chain(&units).copied().collect();
            self.job("disable", &with_now)?;
            told.push(format!("Stopped systemd service: {}", self.names.unit));
        }
        for path in [self.socket_path(), self.unit_path()] {
            if remove(&path)? {
                told.push(format!("Removed systemd service: {}", path.display()));
            }
        }
        self.job("daemon-reload", &[])?;
        // It forgets how the service ended; there may be nothing to forget.
        let _ = self.job("reset-failed", &[&self.names.unit]);
        let dropins = self.folder.join(format!("{}.d", self.names.unit));
        if dropins.is_dir() {
            told.push(format!(
                "Left alone, since it is yours: {}",
                dropins.display()
            ));
        }
        Ok(told)
    }

    fn remove_legacy(&self) -> Result<Vec<String>, String> {
        let mut told = Vec::new();
        for unit in &self.names.legacy_units {
            let path = self.folder.join(unit);
            if !path.is_file() {
                continue;
            }
            self.job("disable", &["--now", unit])?;
            remove(&path)?;
            told.push(format!(
                "Removed the service of an earlier name: {}",
                path.display()
            ));
        }
        if !told.is_empty() {
            self.job("daemon-reload", &[])?;
        }
        Ok(told)
    }

    fn start(&self) -> Result<(), String> {
        let _ = self.job("reset-failed", &[&self.names.unit]);
        self.job("start", &self.units())
    }

    fn stop(&self) -> Result<(), String> {
        self.job("stop", &self.units())
    }

    fn restart(&self) -> Result<(), String> {
        let _ = self.job("reset-failed", &[&self.names.unit]);
        self.job("restart", &[&self.names.unit])
    }

    fn start_hint(&self) -> Option<String> {
        let tool = match self.scope {
            Scope::User => "systemctl --user",
            Scope::System => "sudo systemctl",
        };
        Some(format!("{tool} start {}", self.names.unit))
    }

    fn logs_hint(&self) -> Option<String> {
        let tool = match self.scope {
            Scope::User => "journalctl --user -u",
            Scope::System => "journalctl -u",
        };
        Some(format!("{tool} {} -n 200 --no-pager", self.names.unit))
    }

    fn needs_linger(&self) -> bool {
        self.scope == Scope::User
    }

    fn has_sockets(&self) -> bool {
        self.socket_path().is_file()
    }

    fn is_of_the_system(&self) -> bool {
        self.scope == Scope::System
    }
}
