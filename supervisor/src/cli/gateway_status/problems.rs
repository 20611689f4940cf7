//! What is wrong, by all that was found, and what to do next about each of it.                          (pure)

use openclaw_shared::config::Issue;
use openclaw_shared::control::{ChildState, ConfigState, InstanceStatus};
use openclaw_shared::exit::Exit;
use openclaw_shared::log::printable;
use serde::Serialize;

use super::Found;
use crate::service::RuntimeStatus;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Problem {
    /// The word by which scripts know it.
    pub(crate) code: &'static str,
    /// Whether the instance is not well because of it.
    pub(crate) severity: Severity,
    /// What is wrong, one sentence.
    pub(crate) message: String,
    /// What to do about it, one sentence.
    pub(crate) next: String,
}

/// How much a problem matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    Error,
    Warning,
}

impl Problem {
    fn error(code: &'static str, message: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            next: next.into(),
        }
    }

    fn warning(self) -> Self {
        Self {
            severity: Severity::Warning,
            ..self
        }
    }
}

/// How a command line begins that is about this instance, for the next steps.
pub(super) type Command<'a> = &'a dyn Fn(&str) -> String;

/// Everything that is wrong, the causes before what follows from them.
pub(super) fn problems(found: &Found, command: Command<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    if found.is_local {
        problems.extend(configuration(found, command));
        problems.extend(supervisor(found, command));
        if let Some(status) = &found.supervisor.status {
            problems.extend(in_force(status, command));
            problems.extend(children(status, command));
        }
    }
    problems.extend(answer(found, command));
    if found.is_local {
        problems.extend(service(found, command));
    }
    problems
}

/// The exit code for a script: what it found, by its worst.
pub(super) fn exit(found: &Found) -> Exit {
    let nothing_runs = found.is_local
        && found.supervisor.status.is_none()
        && found.supervisor.error.is_none()
        && !found.rpc.as_ref().is_some_and(|rpc| rpc.ok);
    match (found.ok, nothing_runs) {
        (true, _) => Exit::Ok,
        (false, true) => Exit::NotRunning,
        (false, false) => Exit::NotWell,
    }
}

fn configuration(found: &Found, command: Command<'_>) -> Vec<Problem> {
    const MOST: usize = 3;
    let mut problems = Vec::new();
    let cli = &found.config.cli;
    if !cli.exists && found.supervisor.status.is_none() {
        problems.push(Problem::error(
            "config-missing",
            "There is no configuration file.",
            format!("Write a first one: {}", command("setup")),
        ));
    }
    if !cli.valid {
        let errors: Vec<&Issue> = cli
            .issues
            .iter()
            .filter(|issue| issue.level == openclaw_shared::config::IssueLevel::Error)
            .collect();
        for issue in errors.iter().take(MOST) {
            problems.push(Problem::error(
                "config-invalid",
                format!("The configuration cannot be used: {}", sentence_of(issue)),
                format!("Mend it, then check it: {}", command("config validate")),
            ));
        }
    }
    if let Some(refusal) = &found.refused {
        let next = match refusal.hints.is_empty() {
            true => format!("See more: {}", command("doctor")),
            false => refusal.hints.join(" "),
        };
        let message = format!("A start would be refused: {}", refusal.message);
        problems.push(Problem::error("config-refused", message, next));
    }
    if found.config.mismatch {
        problems.push(
            Problem::error(
                "config-mismatch",
                "This command and the service use different configuration files.",
                format!(
                    "Write the service anew: {}",
                    command("gateway install --force")
                ),
            )
            .warning(),
        );
    }
    problems
}

fn supervisor(found: &Found, command: Command<'_>) -> Vec<Problem> {
    let supervisor = &found.supervisor;
    if let Some(error) = &supervisor.error {
        return vec![Problem::error(
            "supervisor-silent",
            format!("A supervisor is there and does not answer as expected: {error}."),
            format!(
                "See its log: {}; end it: {}",
                command("logs"),
                command("gateway stop")
            ),
        )];
    }
    let answers = found.rpc.as_ref().is_some_and(|rpc| rpc.ok);
    if supervisor.status.is_some() || answers {
        return Vec::new();
    }
    let port = &found.port;
    if port.status == "busy" {
        let owners: Vec<String> = port.listeners.iter().map(ToString::to_string).collect();
        let next = match port.hints.first() {
            Some(hint) => hint.clone(),
            None => "Stop it, or choose another port.".to_owned(),
        };
        return vec![Problem::error(
            "port-busy",
            format!(
                "Port {} is already in use: {}.",
                port.port,
                owners.join("; ")
            ),
            next,
        )];
    }
    let config = &found.config.cli;
    let how = match config.exists && config.valid && found.refused.is_none() {
        true => "Start it",
        false => "Then start it",
    };
    let start = match &found.start {
        Some(start) if found.service.is_installed() => start.clone(),
        Some(_) | None => command("gateway"),
    };
    let mut message = "Nothing runs.".to_owned();
    if let Some(stop) = &found.last_stop {
        message = format!("Nothing runs. {}.", printable(stop));
    }
    vec![Problem::error(
        "not-running",
        message,
        format!("{how}: {start}"),
    )]
}

/// An issue with its place, as the end of a sentence.
fn sentence_of(issue: &Issue) -> String {
    let text = issue.to_string();
    match text.ends_with(['.', '?']) {
        true => text,
        false => format!("{text}."),
    }
}

/// Whether the configuration of the file is what runs. One that waits for a restart is well.
fn in_force(status: &InstanceStatus, command: Command<'_>) -> Option<Problem> {
    let config = &status.fleet.config;
    let what = match config.state {
        ConfigState::Ok => return None,
        ConfigState::Pending => {
            let restart = format!("Apply it: {}", command("gateway restart"));
            let waits = Problem::error("config-pending", "A change waits for a restart.", restart);
            return Some(waits.warning());
        }
        ConfigState::Degraded => {
            "The file was broken at the start; the last configuration that worked runs"
        }
        ConfigState::Rejected => "The last change was refused; the configuration before it runs",
    };
    let why = config
        .error
        .as_deref()
        .map(|why| format!(": {}", printable(why)))
        .unwrap_or_default();
    let mend = format!(
        "Mend the file, it is taken at once. Check it: {}",
        command("config validate")
    );
    Some(Problem::error(
        "config-not-in-force",
        format!("{what}{why}."),
        mend,
    ))
}

fn children<'a>(
    status: &'a InstanceStatus,
    command: Command<'a>,
) -> impl Iterator<Item = Problem> + 'a {
    status.fleet.children.iter().filter_map(move |child| {
        let next = match child.state {
            ChildState::Active | ChildState::Disabled => return None,
            ChildState::Starting
            | ChildState::Standby
            | ChildState::Draining
            | ChildState::Stopped => "It is under way; look again in a moment.".to_owned(),
            ChildState::Backoff => {
                format!("It is tried again by itself. See why: {}", command("logs"))
            }
            ChildState::Failed => format!(
                "See why: {}; try again: {}",
                command("logs"),
                command(&format!("gateway restart {}", child.name))
            ),
        };
        let why = child
            .last_error
            .as_deref()
            .map(|why| format!(" ({})", printable(why)))
            .unwrap_or_default();
        Some(Problem::error(
            "child-not-well",
            format!(
                "The process {} is in state {}{why}.",
                child.name, child.state
            ),
            next,
        ))
    })
}

fn answer(found: &Found, command: Command<'_>) -> Option<Problem> {
    let rpc = found.rpc.as_ref()?;
    let error = rpc.error.as_deref()?;
    let runs = found.supervisor.status.is_some();
    // Where nothing runs, nothing answers; that was said.
    if found.is_local && !runs && found.supervisor.error.is_none() && found.port.status != "busy" {
        return None;
    }
    let refused = error.contains("unauthorized");
    let next = match (refused, found.is_local) {
        (true, _) => {
            "Only the secret presented is wrong. Pass --token-file, or set OPENCLAW_GATEWAY_TOKEN."
                .to_owned()
        }
        (false, true) => format!("See its log: {}", command("logs")),
        (false, false) => format!(
            "Look which gateways can be reached: {}",
            command("gateway probe")
        ),
    };
    let code = match refused {
        true => "rpc-unauthorized",
        false => "rpc-failed",
    };
    let message = format!(
        "The gateway at {} does not answer: {}.",
        rpc.url,
        printable(error)
    );
    Some(Problem::error(code, message, next))
}

fn service(found: &Found, command: Command<'_>) -> Vec<Problem> {
    let mut problems: Vec<Problem> = found
        .config_audit
        .issues
        .iter()
        .map(|issue| {
            Problem::error(issue.code, issue.message.clone(), issue.detail.clone()).warning()
        })
        .collect();
    let runtime = &found.service.runtime;
    let runs_elsewhere = found.supervisor.status.is_some();
    if found.service.is_installed() && runs_elsewhere && runtime.status == RuntimeStatus::Stopped {
        problems.push(
            Problem::error(
                "service-beside",
                "The service is installed and does not run; what runs was started by hand.",
                format!(
                    "Let the service have it: {}, then {}",
                    command("gateway stop"),
                    command("gateway start")
                ),
            )
            .warning(),
        );
    }
    problems
}

#[cfg(test)]
mod tests {
    use openclaw_shared::control::{ChildName, ConfigStatus, FleetStatus, Generation};

    use super::super::super::context::tests::in_home;
    use super::*;

    /// A running instance whose gateway is in this state, on a configuration in that one.
    fn status(child: ChildState, config: ConfigState) -> InstanceStatus {
        let home = tempfile::tempdir().unwrap();
        let instance = in_home(home.path(), &[]).instance().unwrap();
        let child = serde_json::json!({
            "name": ChildName::Gateway, "state": child, "generation": Generation(1), "pid": 1, "restarts": 0,
            "memoryBytes": null, "cpuMs": null, "lastError": "it exited with code 3",
        });
        let config = ConfigStatus {
            state: config,
            path: "~/openclaw.json".to_owned(),
            hash: None,
            error: Some("gateway.port: no".to_owned()),
            warnings: Vec::new(),
        };
        let fleet: FleetStatus =
            serde_json::from_value(serde_json::json!({ "config": config, "children": [child] }))
                .unwrap();
        serde_json::from_value(serde_json::json!({
            "pid": 1, "version": "1", "uptimeMs": 1, "instance": instance, "listening": [], "fleet": fleet,
        }))
        .unwrap()
    }

    fn typed(rest: &str) -> String {
        format!("openclaw {rest}")
    }

    #[test]
    fn every_state_of_a_process_but_serving_is_told_with_what_to_do() {
        let told = |state| {
            let status = status(state, ConfigState::Ok);
            let told: Vec<Problem> = children(&status, &typed).collect();
            told
        };
        assert_eq!(told(ChildState::Active), []);
        assert_eq!(told(ChildState::Disabled), []);
        let failed = told(ChildState::Failed);
        assert_eq!(failed[0].code, "child-not-well");
        assert!(
            failed[0].message.contains("(it exited with code 3)"),
            "{failed:?}"
        );
        assert!(
            failed[0].next.contains("openclaw gateway restart gateway"),
            "{failed:?}"
        );
        for state in [
            ChildState::Starting,
            ChildState::Backoff,
            ChildState::Draining,
        ] {
            assert_eq!(told(state).len(), 1, "{state}");
        }
    }

    #[test]
    fn a_configuration_that_is_not_in_force_is_a_problem_and_one_that_waits_is_worth_a_look() {
        let told = |state| in_force(&status(ChildState::Active, state), &typed);
        assert_eq!(told(ConfigState::Ok), None);
        for state in [ConfigState::Degraded, ConfigState::Rejected] {
            let problem = told(state).unwrap();
            assert_eq!(problem.severity, Severity::Error);
            assert!(problem.message.contains("gateway.port: no"), "{problem:?}");
        }
        let waits = told(ConfigState::Pending).unwrap();
        assert_eq!(waits.severity, Severity::Warning);
        assert!(waits.next.contains("openclaw gateway restart"), "{waits:?}");
    }
}
