//! `openclaw status`: how this machine's gateway is doing, in one table. Exits with 0 also when it is down, because then above
//! all somebody wants to see it.

use std::time::Duration;

use clap::Args;
use openclaw_shared::exit::Exit;
use openclaw_shared::log::printable;
use serde_json::{Map, Value, json};

use super::args::RpcFlags;
use super::context::Context;
use super::control_client::Asked;
use super::failure::Failure;
use super::guard;
use super::output::{Tone, columns};
use super::probe::{Probe, probe};
use super::target::{Target, find_target};
use crate::service::{self, ServiceView};

/// `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Show everything; --verbose does the same
    #[arg(long)]
    all: bool,
    /// Ask the gateway for its health too
    #[arg(long)]
    deep: bool,
    #[command(flatten)]
    rpc: RpcFlags,
}

const LIMIT: Duration = Duration::from_secs(10);

pub(crate) async fn perform(context: &Context, arguments: StatusArgs) -> Result<Exit, Failure> {
    guard::mention(context);
    let target = find_target(context, &arguments.rpc, true).await?;
    let limit = arguments.rpc.timeout.unwrap_or(LIMIT);
    let seen = probe(&target, "status", limit).await;
    let service = service::manager(&context.identity, &context.environment).view();
    if context.out.is_json() {
        context
            .out
            .document(&document(context, &arguments, &target, &seen, &service).await);
        return Ok(Exit::Ok);
    }
    let rows = overview(context, &arguments, &target, &seen, &service).await;
    context.out.line("OpenClaw status");
    context.out.line("");
    for line in columns(&rows) {
        context.out.line(line);
    }
    if !seen.is_ok() {
        context.out.line("");
        context.out.line(format!(
            "Fix reachability first: {}",
            context.command("gateway status")
        ));
    }
    Ok(Exit::Ok)
}

async fn overview(
    context: &Context,
    arguments: &StatusArgs,
    target: &Target,
    seen: &Probe,
    service: &ServiceView,
) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    if target.source.is_local() {
        row(
            "Dashboard",
            format!("{}/", target.gateway.url.replacen("ws", "http", 1)),
        );
    }
    row(
        "OS",
        format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
    );
    row(
        "Profile",
        context
            .identity
            .profile
            .name()
            .unwrap_or("default")
            .to_owned(),
    );
    row("Config", context.shown(&context.identity.config_path));
    row("Gateway", gateway_line(context, target, seen));
    let loaded = if service.loaded {
        service.loaded_text
    } else {
        service.not_loaded_text
    };
    row("Gateway service", format!("{} {loaded}", service.label));
    if let Asked::Answered(running) = context.running().await {
        for child in &running.fleet.children {
            let why = child
                .last_error
                .as_deref()
                .map(|why| format!(" ({})", printable(why)));
            row(
                &format!("Process {}", child.name),
                format!("{}{}", child.state, why.unwrap_or_default()),
            );
        }
    }
    if let Ok(summary) = &seen.answer {
        if let Some(count) = summary["sessions"]["count"].as_u64() {
            row("Sessions", count.to_string());
        }
        for agent in summary["heartbeat"]["agents"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let id = agent["agentId"].as_str().unwrap_or("main");
            let every = match agent["enabled"].as_bool() {
                Some(false) => "disabled",
                Some(true) | None => agent["every"].as_str().unwrap_or("unknown"),
            };
            row("Heartbeat", printable(&format!("{every} ({id})")));
        }
        for line in summary["channelSummary"].as_array().into_iter().flatten() {
            row("Channel", printable(line.as_str().unwrap_or_default()));
        }
    }
    if arguments.all || arguments.rpc.verbose || arguments.deep {
        row("State folder", context.shown(&context.identity.state_dir));
        row("Log folder", context.shown(&context.log_settings().dir));
        if let Ok(instance) = context.instance() {
            row("Workspace", context.shown(&instance.workspace));
            row("Canvas folder", context.shown(&instance.canvas_root));
            row(
                "Ports",
                format!(
                    "gateway {}, browser control {}, canvas host {}, DevTools {}-{}",
                    instance.ports.gateway,
                    instance.ports.browser_control,
                    instance.ports.canvas_host,
                    instance.ports.cdp_first,
                    instance.ports.cdp_last
                ),
            );
        }
    }
    rows
}

/// `local · ws://127.0.0.1:19001 (local loopback) · reachable 71ms · auth token · host (ip) app 2026.1.30 linux`.
fn gateway_line(context: &Context, target: &Target, seen: &Probe) -> String {
    let mode = if target.source.is_local() {
        "local"
    } else {
        "remote"
    };
    let mut parts = vec![
        mode.to_owned(),
        format!("{} ({})", target.gateway.url, target.source.describe()),
    ];
    match (&seen.connect, seen.error()) {
        (Ok(took), None) => {
            let text = format!("reachable {}ms", took.as_millis());
            parts.push(context.out.paint(Tone::Good, &text));
            parts.extend(auth_of(target).map(|auth| format!("auth {auth}")));
            if let Some(itself) = seen.itself() {
                let text = |key: &str| itself[key].as_str().unwrap_or("unknown").to_owned();
                let (host, ip) = (text("host"), text("ip"));
                parts.push(format!(
                    "{host} ({ip}) app {} {}",
                    text("version"),
                    text("platform")
                ));
            }
        }
        (_, error) => {
            let text = format!("unreachable ({})", error.unwrap_or_default());
            parts.push(context.out.paint(Tone::Bad, &text));
        }
    }
    parts.join(" · ")
}

const fn auth_of(target: &Target) -> Option<&'static str> {
    match (&target.gateway.token, &target.gateway.password) {
        (Some(_), _) => Some("token"),
        (None, Some(_)) => Some("password"),
        (None, None) => None,
    }
}

async fn document(
    context: &Context,
    arguments: &StatusArgs,
    target: &Target,
    seen: &Probe,
    service: &ServiceView,
) -> Value {
    // What the gateway itself answers comes first, under the same keys as over the wire.
    let mut document = match &seen.answer {
        Ok(Value::Object(summary)) => summary.clone(),
        Ok(_) | Err(_) => Map::new(),
    };
    let latency = seen.connect.as_ref().ok().map(|took| took.as_millis());
    let loaded = if service.loaded {
        service.loaded_text
    } else {
        service.not_loaded_text
    };
    let own = json!({
        "os": {
            "platform": std::env::consts::OS,
            "arch": std::env::consts::ARCH,
            "label": format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        },
        "profile": context.identity.profile.name(),
        "gateway": {
            "mode": if target.source.is_local() { "local" } else { "remote" },
            "url": target.gateway.url,
            "urlSource": target.source.describe(),
            "misconfigured": target.source == super::target::Source::RemoteMissing,
            "reachable": seen.connect.is_ok(),
            "connectLatencyMs": latency,
            "self": seen.itself(),
            "error": seen.error(),
        },
        "gatewayService": {
            "label": service.label,
            "installed": service.is_installed(),
            "loadedText": loaded,
            "runtime": service.runtime,
        },
        "instance": context.running().await.answer(),
    });
    if let Value::Object(own) = own {
        document.extend(own);
    }
    if arguments.deep {
        document.insert(
            "health".to_owned(),
            seen.hello["snapshot"]["health"].clone(),
        );
    }
    Value::Object(document)
}
