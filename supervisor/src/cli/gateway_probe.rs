//! `openclaw gateway probe`: which gateways can be reached from here, with which secret. Exits with 0 when one can.

use std::time::Duration;

use clap::Args;
use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::exit::Exit;
use serde_json::{Value, json};

use super::args::RpcFlags;
use super::context::Context;
use super::failure::Failure;
use super::output::Tone;
use super::probe::{Probe, probe_with_config};
use super::target::{Source, Target, find_target};

/// How long a look may take when nothing else is said.
const BUDGET: Duration = Duration::from_secs(3);

/// `gateway probe`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ProbeArgs {
    #[command(flatten)]
    pub(crate) rpc: RpcFlags,
}

struct Seen {
    kind: &'static str,
    title: &'static str,
    target: Target,
    probe: Probe,
}

pub(crate) async fn perform(context: &Context, arguments: ProbeArgs) -> Result<Exit, Failure> {
    let begin = Moment::now();
    let budget = arguments.rpc.timeout.unwrap_or(BUDGET);
    let mut seen = Vec::new();
    for target in targets(context, &arguments.rpc).await? {
        let (kind, title) = match target.source {
            Source::Flag => ("explicit", "Given address"),
            Source::Remote => ("configRemote", "Configured remote"),
            Source::Loopback | Source::RemoteMissing => ("localLoopback", "Local loopback"),
            Source::Address(_) => ("localAddress", "Local address"),
        };
        let probe = probe_with_config(&target, budget).await;
        seen.push(Seen {
            kind,
            title,
            target,
            probe,
        });
    }
    let reachable = seen.iter().any(|seen| seen.probe.connect.is_ok());
    if context.out.is_json() {
        let took = Moment::now().since(begin);
        context
            .out
            .document(&document(context, &seen, reachable, took, budget));
    } else {
        show(context, &seen, reachable, budget);
    }
    Ok(if reachable { Exit::Ok } else { Exit::Failure })
}

/// The gateway that commands would use, and this machine's own when that is another one.
async fn targets(context: &Context, rpc: &RpcFlags) -> Result<Vec<Target>, Failure> {
    let first = find_target(context, rpc, true).await?;
    if first.source != Source::Remote {
        return Ok(vec![first]);
    }
    let here = RpcFlags {
        port: Some(context.instance()?.ports.gateway),
        ..rpc.clone()
    };
    Ok(vec![first, find_target(context, &here, true).await?])
}

fn show(context: &Context, seen: &[Seen], reachable: bool, budget: Duration) {
    let out = &context.out;
    out.line("Gateway Status");
    let (tone, word) = if reachable {
        (Tone::Good, "yes")
    } else {
        (Tone::Bad, "no")
    };
    out.line(format!("Reachable: {}", out.paint(tone, word)));
    out.line(format!("Probe budget: {}ms", budget.as_millis()));
    out.line("");
    out.line("Targets");
    for Seen {
        title,
        target,
        probe,
        ..
    } in seen
    {
        out.line(format!("{title} {}", target.gateway.url));
        match (&probe.connect, &probe.answer) {
            (Ok(took), Ok(_)) => {
                out.line(format!("  Connect: ok ({}ms) · RPC: ok", took.as_millis()));
            }
            (Ok(took), Err(error)) => {
                out.line(format!(
                    "  Connect: ok ({}ms) · RPC: failed - {}",
                    took.as_millis(),
                    error.message
                ));
            }
            (Err(error), _) => {
                out.line(format!(
                    "  Connect: failed - connect failed: {}",
                    error.message
                ));
            }
        }
        if let Some(itself) = probe.itself() {
            let text = |key: &str| itself[key].as_str().unwrap_or("unknown").to_owned();
            out.line(format!(
                "  Gateway: {} ({}) · {} · app {}",
                text("host"),
                text("ip"),
                text("platform"),
                text("version")
            ));
        }
    }
    if !reachable {
        out.note(format!("See why: {}", context.command("gateway status")));
    }
}

fn document(
    context: &Context,
    seen: &[Seen],
    reachable: bool,
    took: Duration,
    budget: Duration,
) -> Value {
    let port = context
        .instance()
        .map(|instance| instance.ports.gateway)
        .unwrap_or_default();
    let targets: Vec<Value> = seen
        .iter()
        .map(|seen| target_document(context, seen))
        .collect();
    let primary = seen
        .iter()
        .find(|seen| seen.probe.connect.is_ok())
        .map(|seen| seen.kind);
    json!({
        "ok": reachable,
        "ts": WallTime::now(),
        "durationMs": millis(took),
        "timeoutMs": millis(budget),
        "primaryTargetId": primary,
        "warnings": [],
        // A probe looks neither for a tailnet nor at what is announced; scripts read these keys.
        "network": {
            "localLoopbackUrl": format!("ws://127.0.0.1:{port}"),
            "localTailnetUrl": null,
            "tailnetIPv4": null,
        },
        "discovery": { "timeoutMs": 0, "count": 0, "beacons": [] },
        "targets": targets,
    })
}

fn target_document(context: &Context, seen: &Seen) -> Value {
    let Seen {
        kind,
        target,
        probe,
        ..
    } = seen;
    let connect_error = probe.connect.as_ref().err();
    let close = connect_error.and_then(|error| error.close.as_ref());
    json!({
        "id": kind,
        "kind": kind,
        "url": target.gateway.url,
        "active": true,
        "tunnel": null,
        "connect": {
            "ok": probe.connect.is_ok(),
            "latencyMs": probe.connect.as_ref().ok().map(|took| millis(*took)),
            "error": connect_error.map(|error| error.message.as_str()),
            "close": close.map(|(code, reason)| json!({ "code": code, "reason": reason })),
        },
        "self": probe.itself(),
        "config": config_document(context, seen),
        "health": probe.hello["snapshot"]["health"],
        "summary": probe.answer.as_ref().ok(),
        "presence": probe.hello["snapshot"]["presence"],
    })
}

/// The configuration that the gateway runs on: what it says itself, or else the file of this machine when it is this machine's.
fn config_document(context: &Context, seen: &Seen) -> Value {
    if let Some(told) = &seen.probe.config {
        return summary(
            &told["config"],
            [
                told["path"].clone(),
                told["exists"].clone(),
                told["valid"].clone(),
                told["issues"].clone(),
                told["legacyIssues"].clone(),
            ],
        );
    }
    if !seen.target.source.is_local() {
        return Value::Null;
    }
    let loaded = context.loaded().as_ref();
    let issues = loaded.err().map(|error| error.issues.clone());
    let effective = loaded.ok().map(|loaded| &loaded.effective);
    summary(
        effective.unwrap_or(&Value::Null),
        [
            json!(context.identity.config_path),
            json!(context.identity.config_path.exists()),
            json!(loaded.is_ok()),
            json!(issues.unwrap_or_default()),
            json!([]),
        ],
    )
}

fn summary(config: &Value, [path, exists, valid, issues, legacy]: [Value; 5]) -> Value {
    let gateway = &config["gateway"];
    let auth = &gateway["auth"];
    let remote = &gateway["remote"];
    json!({
        "path": path,
        "exists": exists,
        "valid": valid,
        "issues": issues,
        "legacyIssues": legacy,
        "gateway": {
            "mode": gateway["mode"],
            "bind": gateway["bind"],
            "port": gateway["port"],
            "controlUiEnabled": gateway["controlUi"]["enabled"],
            "controlUiBasePath": gateway["controlUi"]["basePath"],
            "authMode": auth["mode"],
            "authTokenConfigured": auth["token"].is_string(),
            "authPasswordConfigured": auth["password"].is_string(),
            "remoteUrl": remote["url"],
            "remoteTokenConfigured": remote["token"].is_string(),
            "remotePasswordConfigured": remote["password"].is_string(),
            "tailscaleMode": gateway["tailscale"]["mode"],
        },
        "discovery": { "wideAreaEnabled": config["discovery"]["wideArea"]["enabled"] },
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
