//! `gateway status` for people.

use openclaw_shared::config::IssueLevel;
use openclaw_shared::control::{ChildState, ChildStatus, ConfigState, InstanceStatus};
use openclaw_shared::log::printable;

use super::super::context::Context;
use super::super::output::{Output, Tone, columns};
use super::problems::Severity;
use super::{Found, recovery};
use crate::service::RuntimeStatus;

/// How wide the names before the values are: `Service runtime: `.
const WIDTH: usize = "Service runtime:".len();

pub(super) fn show(context: &Context, found: &Found) {
    let out = &context.out;
    for line in service_lines(context, found) {
        out.line(line);
    }
    for line in config_lines(context, found) {
        out.line(line);
    }
    out.line("");
    for line in gateway_lines(found) {
        out.line(line);
    }
    out.line("");
    runtime(context, found);
    out.line("");
    rpc(out, found);
    listening(out, found);
    tailscale(out, found);
    others(context, found);
    if let Some(error) = &found.last_error {
        out.line(row("Last error", error));
    }
    problems(out, found);
}

/// A name and its value, the values under each other.
fn row(name: &str, value: impl AsRef<str>) -> String {
    format!("{:WIDTH$} {}", format!("{name}:"), value.as_ref())
}

/// A line that somebody else worded, lined up with the others.
fn lined_up(line: &str) -> String {
    match line.split_once(": ") {
        Some((name, value)) if !line.starts_with(' ') => row(name, value),
        Some(_) | None => line.to_owned(),
    }
}

fn service_lines(context: &Context, found: &Found) -> Vec<String> {
    let service = &found.service;
    let loaded = if service.loaded {
        service.loaded_text
    } else {
        service.not_loaded_text
    };
    let Some(command) = &service.command else {
        // What is not installed has no other line that would say why nothing is known of it.
        let why = match &service.runtime.detail {
            Some(detail) => format!("{loaded}: {}", printable(detail)),
            None => loaded.to_owned(),
        };
        return vec![row("Service", format!("{} ({why})", service.label))];
    };
    let mut lines = vec![row("Service", format!("{} ({loaded})", service.label))];
    lines.push(row(
        "Service file",
        context.shown(command.source_path.as_ref()),
    ));
    if !command.program_arguments.is_empty() {
        let words = printable(&command.program_arguments.join(" "));
        lines.push(row("Command", words));
    }
    if let Some(folder) = &command.working_directory {
        lines.push(row("Working folder", folder));
    }
    if !command.environment.is_empty() {
        let variables: Vec<String> = command
            .environment
            .iter()
            .map(|(name, value)| format!("{name}={}", printable(value)))
            .collect();
        lines.push(row("Service env", variables.join(" ")));
    }
    lines.push(row("Service runtime", service_runtime(found)));
    lines
}

/// `running (pid 4242, state active, sub running, last exit 0)`.
fn service_runtime(found: &Found) -> String {
    let runtime = &found.service.runtime;
    let word = match runtime.status {
        RuntimeStatus::Running => "running",
        RuntimeStatus::Stopped => "stopped",
        RuntimeStatus::Unknown => "unknown",
    };
    let named =
        |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("{name} {value}"));
    let facts: Vec<String> = [
        runtime.pid.map(|pid| format!("pid {pid}")),
        named("state", &runtime.state),
        named("sub", &runtime.sub_state),
        runtime
            .last_exit_status
            .map(|status| format!("last exit {status}")),
        named("reason", &runtime.last_exit_reason),
        runtime
            .restarts
            .filter(|restarts| *restarts > 0)
            .map(|restarts| format!("restarted {restarts} times")),
        runtime.detail.clone(),
    ]
    .into_iter()
    .flatten()
    .collect();
    match facts.is_empty() {
        true => word.to_owned(),
        false => format!("{word} ({})", facts.join(", ")),
    }
}

fn config_lines(context: &Context, found: &Found) -> Vec<String> {
    let state = |config: &super::ConfigView| match (config.exists, config.valid) {
        (false, _) => " (missing)",
        (true, false) => " (invalid)",
        (true, true) => "",
    };
    let config = &found.config.cli;
    let shown =
        |config: &super::ConfigView| format!("{}{}", context.shown(&config.path), state(config));
    let mut lines = vec![row("Config", shown(config))];
    if let Some(daemon) = &found.config.daemon {
        let name = match found.supervisor.running {
            true => "Config (running)",
            false => "Config (service)",
        };
        if daemon.path != config.path {
            lines.push(row(name, shown(daemon)));
        }
    }
    let warnings = config
        .issues
        .iter()
        .filter(|issue| issue.level == IssueLevel::Warning);
    lines.extend(warnings.map(|issue| row("Config warning", printable(&issue.to_string()))));
    lines.push(row("Log file", context.shown(&found.log_file)));
    lines
}

fn gateway_lines(found: &Found) -> Vec<String> {
    let gateway = &found.gateway;
    let mut lines = vec![row(
        "Gateway",
        format!(
            "bind={} ({}), port={} ({})",
            gateway.bind_mode, gateway.bind_host, gateway.port, gateway.port_source
        ),
    )];
    lines.push(row("Probe target", &gateway.probe_url));
    lines.extend(gateway.dashboard.as_ref().map(|url| row("Dashboard", url)));
    lines.extend(gateway.probe_note.as_ref().map(|note| row("Note", note)));
    lines
}

/// What the supervisor says.
fn runtime(context: &Context, found: &Found) {
    let out = &context.out;
    let supervisor = &found.supervisor;
    match (&supervisor.status, &supervisor.error) {
        (Some(status), _) => {
            out.line(row(
                "Runtime",
                format!(
                    "{} (supervisor pid {}, version {}, up {}{})",
                    out.paint(Tone::Good, "running"),
                    status.pid,
                    status.version,
                    duration(status.uptime_ms),
                    status
                        .fleet
                        .memory_bytes
                        .map(|bytes| format!(", memory {}", memory(bytes)))
                        .unwrap_or_default()
                ),
            ));
            out.line(running_config(out, status));
            for line in recovery::lines(&status.fleet) {
                out.line(lined_up(&line));
            }
            for line in children(out, status) {
                out.line(format!("  {line}"));
            }
        }
        (None, Some(error)) => {
            let word = out.paint(Tone::Odd, "unknown");
            out.line(row("Runtime", format!("{word} ({error})")));
        }
        (None, None) => {
            let word = out.paint(Tone::Bad, "stopped");
            let socket = context.shown(&supervisor.socket);
            out.line(row(
                "Runtime",
                format!("{word} (no supervisor answers on {socket})"),
            ));
            if let Some(stop) = &found.last_stop {
                out.line(lined_up(stop));
            }
        }
    }
}

fn running_config(out: &Output, status: &InstanceStatus) -> String {
    let (tone, text) = match status.fleet.config.state {
        ConfigState::Ok => (Tone::Good, "ok"),
        ConfigState::Degraded => (
            Tone::Bad,
            "degraded: the file was broken at start; the last good configuration runs",
        ),
        ConfigState::Rejected => (
            Tone::Bad,
            "rejected: the last edit was refused; the configuration before it runs",
        ),
        ConfigState::Pending => (Tone::Odd, "pending: an edit waits for a restart"),
    };
    row("Running config", out.paint(tone, text))
}

fn children(out: &Output, status: &InstanceStatus) -> Vec<String> {
    let heading = [
        "PROCESS",
        "STATE",
        "GENERATION",
        "PID",
        "RESTARTS",
        "MEMORY",
        "CPU",
        "LAST ERROR",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(status.fleet.children.iter().map(child_row));
    let lines = columns(&rows);
    let tones = status.fleet.children.iter().map(|child| tone(child.state));
    let painted = lines
        .iter()
        .skip(1)
        .zip(tones)
        .map(|(line, tone)| match tone {
            Some(tone) => out.paint(tone, line),
            None => line.clone(),
        });
    lines
        .iter()
        .take(1)
        .map(|line| out.paint(Tone::Faint, line))
        .chain(painted)
        .collect()
}

fn child_row(child: &ChildStatus) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![
        child.name.to_string(),
        child.state.to_string(),
        child.generation.0.to_string(),
        or_dash(child.pid.map(|pid| pid.to_string())),
        child.restarts.to_string(),
        memory_of(child),
        or_dash(child.cpu_ms.map(duration)),
        child
            .last_error
            .as_deref()
            .map(printable)
            .unwrap_or_default(),
    ]
}

/// `34.5 MB of 2000.0 MB`: what it uses, of what it may.
fn memory_of(child: &ChildStatus) -> String {
    match (child.memory_bytes, child.memory_limit_bytes) {
        (None, _) => "-".to_owned(),
        (Some(used), None) => memory(used),
        (Some(used), Some(limit)) => format!("{} of {}", memory(used), memory(limit)),
    }
}

const fn tone(state: ChildState) -> Option<Tone> {
    match state {
        ChildState::Active => None,
        ChildState::Starting | ChildState::Standby | ChildState::Draining | ChildState::Backoff => {
            Some(Tone::Odd)
        }
        ChildState::Failed | ChildState::Stopped => Some(Tone::Bad),
        ChildState::Disabled => Some(Tone::Faint),
    }
}

fn rpc(out: &Output, found: &Found) {
    let Some(rpc) = &found.rpc else { return };
    out.line(match &rpc.error {
        None => {
            let took = rpc.latency_ms.unwrap_or_default();
            let ok = out.paint(Tone::Good, "ok");
            row("RPC probe", format!("{ok} ({took}ms)"))
        }
        Some(_) => row("RPC probe", out.paint(Tone::Bad, "failed")),
    });
}

fn listening(out: &Output, found: &Found) {
    let answers = found.rpc.as_ref().is_some_and(|rpc| rpc.ok);
    if !found.supervisor.running && !answers {
        return;
    }
    let mut addresses: Vec<String> = found
        .port
        .listeners
        .iter()
        .map(|owner| owner.address.to_string())
        .collect();
    addresses.sort();
    addresses.dedup();
    if !addresses.is_empty() {
        out.line(row("Listening", addresses.join(", ")));
    }
}

/// What Tailscale publishes, or why not.
fn tailscale(out: &Output, found: &Found) {
    let status = found.supervisor.status.as_ref();
    let Some(published) = status.and_then(|status| status.tailscale.as_ref()) else {
        return;
    };
    let mode = &published.mode;
    let told = match (&published.url, &published.error) {
        (Some(url), _) => format!("{mode} · {url}"),
        (None, Some(error)) => out.paint(Tone::Bad, &format!("{mode} · {}", printable(error))),
        (None, None) => format!("{mode} · on its way"),
    };
    out.line(row("Tailscale", told));
}

/// Other instances of this user, and services that look like gateways.
fn others(context: &Context, found: &Found) {
    let out = &context.out;
    for other in &found.other_instances {
        let port = other
            .port
            .map(|port| format!(", port {port}"))
            .unwrap_or_default();
        let state = match other.pid {
            Some(pid) => format!("running (supervisor pid {pid}{port})"),
            None => format!("stopped ({}{port})", context.shown(&other.state_dir)),
        };
        let name = format!("profile {}", other.profile);
        out.line(row("Other gateway", format!("{name}: {state}")));
    }
    for extra in &found.extra_services {
        let legacy = match extra.legacy {
            true => format!(", of an earlier name: {}", extra.marker),
            false => String::new(),
        };
        out.line(row(
            "Other service",
            format!(
                "{} ({}, {}{legacy})",
                extra.label, extra.scope, extra.detail
            ),
        ));
    }
}

/// What is wrong, each with what to do next.
fn problems(out: &Output, found: &Found) {
    if found.problems.is_empty() {
        return;
    }
    out.line("");
    out.line(match found.ok {
        true => "Worth a look:",
        false => "Problems:",
    });
    for problem in &found.problems {
        let (tone, word) = match problem.severity {
            Severity::Error => (Tone::Bad, "error  "),
            Severity::Warning => (Tone::Odd, "warning"),
        };
        out.line(format!(
            "  {}  {}",
            out.paint(tone, word),
            printable(&problem.message)
        ));
        if !problem.next.is_empty() {
            out.line(format!("           -> {}", printable(&problem.next)));
        }
    }
}

/// `3.4 MB`.
pub(crate) fn memory(bytes: u64) -> String {
    let tenths = bytes / 100_000;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

/// `250ms`, `3.4s`, `2m 5s`, `3h 2m`, `4d 1h`.
pub(crate) fn duration(millis: u64) -> String {
    let seconds = millis / 1_000;
    match seconds {
        0 => format!("{millis}ms"),
        1..60 => format!("{seconds}.{}s", millis % 1_000 / 100),
        60..3_600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_under_each_other() {
        assert_eq!(row("RPC probe", "ok"), "RPC probe:       ok");
        assert_eq!(
            lined_up("Recovery: backing-off"),
            "Recovery:        backing-off"
        );
        assert_eq!(lined_up("  a step: why"), "  a step: why");
    }

    #[test]
    fn amounts_are_short() {
        assert_eq!(memory(3_450_000), "3.4 MB");
        for (millis, text) in [
            (250, "250ms"),
            (3_450, "3.4s"),
            (125_000, "2m 5s"),
            (10_920_000, "3h 2m"),
            (349_200_000, "4d 1h"),
        ] {
            assert_eq!(duration(millis), text);
        }
    }
}
