//! `gateway status` for people.

use openclaw_shared::control::{ChildState, ChildStatus, ConfigState, InstanceStatus};
use openclaw_shared::log::printable;

use super::super::context::Context;
use super::super::output::{Output, Tone, columns};
use super::{Found, service_runs};
use crate::service::RuntimeStatus;

pub(super) fn show(context: &Context, found: &Found) {
    let out = &context.out;
    for line in service_lines(found) {
        out.line(line);
    }
    out.line(format!("File logs: {}", context.shown(&found.log_file)));
    config_lines(context, found);
    out.line("");
    let gateway = &found.gateway;
    out.line(format!(
        "Gateway: bind={} ({}), port={} ({})",
        gateway.bind_mode, gateway.bind_host, gateway.port, gateway.port_source
    ));
    out.line(format!("Probe target: {}", gateway.probe_url));
    if let Some(dashboard) = &gateway.dashboard {
        out.line(format!("Dashboard: {dashboard}"));
    }
    if let Some(note) = &gateway.probe_note {
        out.line(format!("Probe note: {note}"));
    }
    out.line("");
    runtime(context, found);
    rpc(context, found);
    listening(context, found);
    if !found.extra_services.is_empty() {
        out.note("Other gateway-like services detected (best effort):");
        for extra in &found.extra_services {
            out.note(format!(
                "- {} ({}, {})",
                extra.label, extra.scope, extra.detail
            ));
        }
    }
    if !found.ok {
        out.line("");
        out.line(format!("Troubles: run {}", context.command("logs")));
    }
}

fn service_lines(found: &Found) -> Vec<String> {
    let service = &found.service;
    let loaded = if service.loaded {
        service.loaded_text
    } else {
        service.not_loaded_text
    };
    let mut lines = vec![format!("Service: {} ({loaded})", service.label)];
    if let Some(command) = &service.command {
        lines.push(format!("Service file: {}", command.source_path));
    }
    lines
}

fn config_lines(context: &Context, found: &Found) {
    let out = &context.out;
    let config = &found.config.cli;
    let state = match (config.exists, config.valid) {
        (false, _) => " (missing)",
        (true, false) => " (invalid)",
        (true, true) => "",
    };
    out.line(format!(
        "Config (cli): {}{state}",
        context.shown(&config.path)
    ));
    if let Some(daemon) = &found.config.daemon {
        out.line(format!("Config (running): {}", context.shown(&daemon.path)));
    }
    if found.config.mismatch {
        out.note("The running instance and this command use different configuration files.");
    }
    for issue in &config.issues {
        out.note(format!("Config issue: {issue}"));
    }
}

/// What the supervisor says, and apart from it what the service manager says.
fn runtime(context: &Context, found: &Found) {
    let out = &context.out;
    let supervisor = &found.supervisor;
    match (&supervisor.status, &supervisor.error) {
        (Some(status), _) => {
            out.line(format!(
                "Runtime: {} (supervisor pid {}, version {}, up {})",
                out.paint(Tone::Good, "running"),
                status.pid,
                status.version,
                duration(status.uptime_ms)
            ));
            config_state(context, status);
            for line in children(out, status) {
                out.line(format!("  {line}"));
            }
        }
        (None, Some(error)) => {
            out.line(format!(
                "Runtime: {} ({error})",
                out.paint(Tone::Odd, "unknown")
            ));
        }
        (None, None) => out.line(format!(
            "Runtime: {} (no supervisor answers on {})",
            out.paint(Tone::Bad, "stopped"),
            context.shown(&supervisor.socket)
        )),
    }
    if !found.service.is_installed() {
        return;
    }
    let runtime = &found.service.runtime;
    let word = match runtime.status {
        RuntimeStatus::Running => "running",
        RuntimeStatus::Stopped => "stopped",
        RuntimeStatus::Unknown => "unknown",
    };
    let mut facts = Vec::new();
    facts.extend(runtime.pid.map(|pid| format!("pid {pid}")));
    facts.extend(runtime.state.as_ref().map(|state| format!("state {state}")));
    facts.extend(
        runtime
            .sub_state
            .as_ref()
            .map(|state| format!("sub {state}")),
    );
    facts.extend(
        runtime
            .last_exit_status
            .map(|status| format!("last exit {status}")),
    );
    facts.extend(runtime.detail.clone());
    out.line(format!("Service runtime: {word} ({})", facts.join(", ")));
}

fn config_state(context: &Context, status: &InstanceStatus) {
    let out = &context.out;
    let config = &status.fleet.config;
    let (tone, text) = match config.state {
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
    out.line(format!("Running config: {}", out.paint(tone, text)));
    if let Some(error) = &config.error {
        out.note(format!("Config error: {}", printable(error)));
    }
    if config.state == ConfigState::Pending {
        out.note(format!("Apply it: {}", context.command("gateway restart")));
    }
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
    rows.extend(status.fleet.children.iter().map(row));
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

fn row(child: &ChildStatus) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![
        child.name.to_string(),
        child.state.to_string(),
        child.generation.0.to_string(),
        or_dash(child.pid.map(|pid| pid.to_string())),
        child.restarts.to_string(),
        or_dash(child.memory_bytes.map(memory)),
        or_dash(child.cpu_ms.map(duration)),
        child
            .last_error
            .as_deref()
            .map(printable)
            .unwrap_or_default(),
    ]
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

fn rpc(context: &Context, found: &Found) {
    let out = &context.out;
    let Some(rpc) = &found.rpc else { return };
    match &rpc.error {
        None => {
            let took = rpc.latency_ms.unwrap_or_default();
            out.line(format!(
                "RPC probe: {} ({took}ms)",
                out.paint(Tone::Good, "ok")
            ));
        }
        Some(error) => {
            out.note("RPC probe: failed");
            out.note(format!("RPC target: {}", rpc.url));
            out.note(format!("  {}", printable(error)));
            if found.supervisor.running && error.contains("unauthorized") {
                out.note("The gateway runs; only the secret presented is wrong. Pass --token-file, or set OPENCLAW_GATEWAY_TOKEN.");
            }
        }
    }
}

fn listening(context: &Context, found: &Found) {
    let out = &context.out;
    let port = &found.port;
    let answers = found.rpc.as_ref().is_some_and(|rpc| rpc.ok);
    if found.supervisor.running || answers {
        let mut addresses: Vec<String> = port
            .listeners
            .iter()
            .map(|owner| owner.address.to_string())
            .collect();
        addresses.dedup();
        addresses.sort();
        addresses.dedup();
        if !addresses.is_empty() {
            out.line(format!("Listening: {}", addresses.join(", ")));
        }
    } else {
        match port.status {
            "busy" => {
                out.note(format!("Port {} is already in use.", port.port));
                for owner in &port.listeners {
                    out.note(format!("- {owner}"));
                }
                for hint in &port.hints {
                    out.note(format!("- {hint}"));
                }
            }
            "free" if service_runs(found) => out.note(format!(
                "Gateway port {} is not listening (service appears running).",
                port.port
            )),
            _ => {}
        }
        if !found.supervisor.running && found.supervisor.error.is_none() && port.status != "busy" {
            out.note(format!("Start it: {}", context.command("gateway")));
        }
    }
    if let Some(error) = &found.last_error {
        out.note(format!("Last gateway error: {error}"));
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
