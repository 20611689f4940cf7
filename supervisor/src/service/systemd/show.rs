//! What `systemctl show` says, read, and why it sometimes cannot.                                                   (pure)

use std::path::Path;

use super::Scope;
use crate::service::{RuntimeStatus, ServiceCommand, ServiceRuntime, ServiceView, Unavailable};

/// Why systemd cannot be used here, and what to do instead.                                                          (pure)
pub(super) fn unavailable(message: String, scope: Scope, kernel: &str) -> Unavailable {
    let hints: &[&str] = if kernel.to_ascii_lowercase().contains("microsoft") {
        &[
            "WSL2 needs systemd enabled: edit /etc/wsl.conf with [boot]\\nsystemd=true",
            "Then run: wsl --shutdown (from PowerShell) and reopen your distro.",
            "Verify: systemctl --user status",
        ]
    } else {
        match scope {
            Scope::User => &[
                "systemd user services are unavailable; install/enable systemd or run the gateway under your supervisor.",
                "If you're in a container, run the gateway in the foreground instead of `openclaw gateway`.",
            ],
            Scope::System => &[
                "systemd does not run this machine; run the gateway under your supervisor.",
                "If you're in a container, run the gateway in the foreground instead of `openclaw gateway`.",
            ],
        }
    };
    Unavailable {
        message,
        hints: hints.iter().map(|hint| (*hint).to_owned()).collect(),
    }
}

/// Reads what `systemctl show` printed, or explains why it printed nothing.
pub(super) fn view(unit: &str, shown: Result<String, String>) -> ServiceView {
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
            .map(|path| ServiceCommand::at(Path::new(&path))),
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
            last_exit_reason: property("Result").filter(|_| !missing_unit),
            restarts: property("NRestarts").and_then(|value| value.parse().ok()),
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
    fn who_has_no_systemd_is_told_what_to_do_instead() {
        let here = unavailable("no bus".to_owned(), Scope::User, "6.1.0-amd64");
        assert!(
            here.hints[0].starts_with("systemd user services are unavailable"),
            "{here:?}"
        );
        assert!(here.hints[1].contains("in the foreground"), "{here:?}");
        let windows = unavailable(
            "no bus".to_owned(),
            Scope::User,
            "5.15-microsoft-standard-WSL2",
        );
        assert!(windows.hints[0].contains("/etc/wsl.conf"), "{windows:?}");
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
