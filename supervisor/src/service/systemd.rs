//! The user instance of systemd, through `systemctl --user`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use openclaw_shared::instance::Profile;

use super::command::{Said, run};
use super::{RuntimeStatus, ServiceCommand, ServiceManager, ServiceRuntime, ServiceView};

/// Looking is quick or not worth waiting for.
const SHOW_LIMIT: Duration = Duration::from_secs(3);
/// A stop may have to drain.
const JOB_LIMIT: Duration = Duration::from_secs(90);
const PROPERTIES: &str =
    "--property=LoadState,UnitFileState,ActiveState,SubState,MainPID,ExecMainStatus,FragmentPath";

/// The service of one profile.
#[derive(Debug)]
pub(super) struct Systemd {
    systemctl: PathBuf,
    unit: String,
}

impl Systemd {
    /// The service of `profile`, when this system has systemd.
    pub(super) fn find(profile: &Profile) -> Option<Self> {
        let systemctl = ["/usr/bin/systemctl", "/bin/systemctl"]
            .map(PathBuf::from)
            .into_iter()
            .find(|path| path.exists())?;
        Some(Self {
            systemctl,
            unit: format!("openclaw-gateway{}.service", profile.suffix()),
        })
    }

    fn job(&self, verb: &str) -> Result<(), String> {
        let said = run(&self.systemctl, &["--user", verb, &self.unit], JOB_LIMIT)?;
        if said.status.success() {
            Ok(())
        } else {
            Err(complaint(verb, &said))
        }
    }
}

impl ServiceManager for Systemd {
    fn view(&self) -> ServiceView {
        let arguments = ["--user", "show", &self.unit, "--no-pager", PROPERTIES];
        let shown = match run(&self.systemctl, &arguments, SHOW_LIMIT) {
            Ok(said) if said.status.success() => Ok(said.stdout),
            Ok(said) => Err(complaint("show", &said)),
            Err(reason) => Err(reason),
        };
        view(&self.unit, shown)
    }

    fn stop(&self) -> Result<(), String> {
        self.job("stop")
    }

    fn restart(&self) -> Result<(), String> {
        self.job("restart")
    }

    fn start_hint(&self) -> Option<String> {
        Some(format!("systemctl --user start {}", self.unit))
    }
}

fn complaint(verb: &str, said: &Said) -> String {
    let text = said
        .stderr
        .lines()
        .next()
        .unwrap_or("it gave no reason")
        .trim();
    match text.contains("Failed to connect") || text.contains("DBUS") {
        true => format!("systemctl --user unavailable: {text}"),
        false => format!("systemctl --user {verb} failed: {text}"),
    }
}

/// Reads what `systemctl show` printed, or explains why it printed nothing.
fn view(unit: &str, shown: Result<String, String>) -> ServiceView {
    let (text, detail) = match shown {
        Ok(text) => (text, None),
        Err(reason) => (String::new(), Some(reason)),
    };
    let property = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
    };
    let missing_unit = property("LoadState").as_deref() == Some("not-found");
    let enabled = property("UnitFileState");
    let state = property("ActiveState");
    let status = match (detail.is_some(), state.as_deref()) {
        (true, _) | (false, None) => RuntimeStatus::Unknown,
        (false, Some("active" | "activating" | "reloading" | "deactivating")) => {
            RuntimeStatus::Running
        }
        (false, Some(_)) => RuntimeStatus::Stopped,
    };
    let number = |name: &str| property(name).and_then(|value| value.parse::<i32>().ok());
    ServiceView {
        label: "systemd",
        unit: Some(unit.to_owned()),
        loaded: enabled
            .as_deref()
            .is_some_and(|state| state.starts_with("enabled")),
        loaded_text: "enabled",
        not_loaded_text: match (detail.is_some(), missing_unit) {
            (true, _) => "unavailable",
            (false, true) => "not installed",
            (false, false) => "disabled",
        },
        command: property("FragmentPath")
            .filter(|path| Path::new(path).is_absolute())
            .map(|source_path| ServiceCommand { source_path }),
        runtime: ServiceRuntime {
            status,
            pid: number("MainPID")
                .filter(|pid| *pid > 0)
                .and_then(|pid| u32::try_from(pid).ok()),
            last_exit_status: if missing_unit {
                None
            } else {
                number("ExecMainStatus")
            },
            state: state.filter(|_| !missing_unit),
            sub_state: property("SubState").filter(|_| !missing_unit),
            detail,
            missing_unit,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_service() {
        let shown = "LoadState=loaded\nUnitFileState=enabled\nActiveState=active\nSubState=running\nMainPID=4242\nExecMainStatus=0\nFragmentPath=/home/me/.config/systemd/user/x.service\n";
        let view = view("x.service", Ok(shown.to_owned()));
        assert!(view.loaded && view.is_installed());
        assert_eq!(view.runtime.status, RuntimeStatus::Running);
        assert_eq!(view.runtime.pid, Some(4242));
    }

    #[test]
    fn an_absent_service_is_an_answer() {
        let shown = "LoadState=not-found\nUnitFileState=\nActiveState=inactive\nSubState=dead\nMainPID=0\nExecMainStatus=0\nFragmentPath=\n";
        let view = view("x.service", Ok(shown.to_owned()));
        assert!(!view.loaded && !view.is_installed());
        assert_eq!(view.runtime.status, RuntimeStatus::Stopped);
        assert!(view.runtime.missing_unit);
        assert_eq!(view.runtime.pid, None);
    }

    #[test]
    fn a_bus_that_cannot_be_reached_is_unknown_and_says_why() {
        let view = view(
            "x.service",
            Err("systemctl --user unavailable: no bus".to_owned()),
        );
        assert_eq!(view.runtime.status, RuntimeStatus::Unknown);
        assert_eq!(
            view.runtime.detail.as_deref(),
            Some("systemctl --user unavailable: no bus")
        );
        assert!(!view.is_installed());
    }
}
