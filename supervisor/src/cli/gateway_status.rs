//! `openclaw gateway status`: what runs, and why it does not.
//!
//! The supervisor is asked first, because it knows also when the gateway is dead; then the gateway itself; then the service
//! manager; then the kernel, for who holds the port. Each says its own, and none hides another.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use openclaw_shared::clock::WallTime;
use openclaw_shared::config::Issue;
use openclaw_shared::control::InstanceStatus;
use openclaw_shared::exit::Exit;
use openclaw_shared::log::{current_file, newest_file};
use serde::Serialize;

use super::args::RpcFlags;
use super::context::Context;
use super::control_client::Asked;
use super::failure::Failure;
use super::probe::probe;
use super::target::{Source, find_target, is_this_machine};
use crate::port_owner::{self, Owner};
use crate::service::{self, ServiceView};
use crate::settings::{Flags, Refusal};
use crate::supervise::last_stop;

mod audit;
mod last_error;
mod others;
mod problems;
pub(crate) mod recovery;
mod text;

use audit::ConfigAudit;
use others::OtherInstance;
use problems::{Problem, Severity};

/// `gateway status`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Exits with 0 when it serves and nothing is wrong, with 3 when nothing runs, and with 4 when\n\
                  something is not as it should be. Each problem is named with what to do next."
)]
pub(crate) struct GatewayStatusArgs {
    /// Do not ask the gateway itself
    #[arg(long)]
    no_probe: bool,
    /// Accepted for scripts: the exit code says it anyway
    #[arg(long, hide = true, conflicts_with = "no_probe")]
    require_rpc: bool,
    /// Look for services of the whole system too
    #[arg(long)]
    deep: bool,
    #[command(flatten)]
    pub(crate) rpc: RpcFlags,
}

/// How long the gateway may take to answer when nothing else is said.
const LIMIT: Duration = Duration::from_secs(5);

/// Everything that was found; the document of `--json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    /// Whether nothing is wrong.
    ok: bool,
    profile: Option<String>,
    supervisor: Supervisor,
    service: ServiceView,
    /// How the service file compares with the one that this version writes.
    config_audit: ConfigAudit,
    config: Configs,
    gateway: GatewayView,
    port: PortView,
    log_file: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rpc: Option<Rpc>,
    extra_services: Vec<service::ExtraService>,
    /// The other instances of this user.
    other_instances: Vec<OtherInstance>,
    /// What is wrong, and what to do next.
    problems: Vec<Problem>,
    /// Why a start would be refused, where nothing runs and the file can be read.
    #[serde(skip)]
    refused: Option<Refusal>,
    /// Whether the gateway that is asked is this instance's.
    #[serde(skip)]
    is_local: bool,
    /// The command by which a person starts the service.
    #[serde(skip)]
    start: Option<String>,
    /// How the last life ended, when it ended by itself.
    #[serde(skip)]
    last_stop: Option<String>,
}

/// What the supervisor says.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Supervisor {
    running: bool,
    socket: PathBuf,
    /// Why a supervisor that is there cannot be understood.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(flatten)]
    status: Option<InstanceStatus>,
}

/// The configuration as this command sees it, and as the running instance does.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Configs {
    cli: ConfigView,
    #[serde(skip_serializing_if = "Option::is_none")]
    daemon: Option<ConfigView>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    mismatch: bool,
}

#[derive(Debug, Serialize)]
struct ConfigView {
    path: PathBuf,
    exists: bool,
    valid: bool,
    issues: Vec<Issue>,
}

/// Where the gateway is to be found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct GatewayView {
    bind_mode: String,
    bind_host: String,
    port: u16,
    port_source: &'static str,
    probe_url: String,
    probe_note: Option<String>,
    /// The page a browser opens.
    #[serde(skip)]
    dashboard: Option<String>,
}

/// Who holds the base port.
#[derive(Debug, Serialize)]
struct PortView {
    port: u16,
    status: &'static str,
    listeners: Vec<Owner>,
    hints: Vec<String>,
}

/// What came of asking the gateway.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rpc {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<u128>,
    url: String,
}

pub(crate) async fn perform(
    context: &Context,
    arguments: GatewayStatusArgs,
) -> Result<Exit, Failure> {
    let found = find(context, &arguments).await?;
    if context.out.is_json() {
        context.out.document(&found);
    } else {
        text::show(context, &found);
    }
    Ok(problems::exit(&found))
}

async fn find(context: &Context, arguments: &GatewayStatusArgs) -> Result<Found, Failure> {
    let (status, error) = match context.running().await {
        Asked::Answered(status) => (Some(status.clone()), None),
        Asked::Absent => (None, None),
        Asked::Failed(reason) => (None, Some(reason.clone())),
    };
    let target = find_target(context, &arguments.rpc, true).await?;
    let rpc = if arguments.no_probe {
        None
    } else {
        let limit = arguments.rpc.timeout.unwrap_or(LIMIT);
        let seen = probe(&target, "status", limit).await;
        Some(Rpc {
            ok: seen.is_ok(),
            error: seen.error(),
            latency_ms: seen.connect.ok().map(|took| took.as_millis()),
            url: target.gateway.url.clone(),
        })
    };
    let local = target.source.is_local();
    let gateway = gateway_view(
        context,
        status.as_ref(),
        &target.gateway.url,
        target.source,
        arguments,
    )?;
    let manager = service::manager(&context.identity, &context.environment);
    let service = manager.view();
    let answers = rpc.as_ref().is_some_and(|rpc| rpc.ok);
    let port = port_view(gateway.port, local, status.is_some());
    let well = status.as_ref().is_some_and(is_well);
    let settings = context.log_settings();
    let newest = newest_file(&settings, WallTime::now());
    let troubled = local && !(answers && well);
    let last_error = newest
        .as_deref()
        .filter(|_| troubled)
        .and_then(last_error::of);
    let stopped = match status {
        Some(_) => None,
        None => last_stop(&context.identity.state_dir),
    };
    let mut found = Found {
        ok: true,
        is_local: local,
        refused: match context.loaded() {
            Ok(loaded) if loaded.exists && local && status.is_none() && !answers => {
                would_be_refused(context)
            }
            Ok(_) | Err(_) => None,
        },
        start: manager.start_hint(),
        last_stop: stopped.as_ref().map(recovery::last_stop),
        config_audit: audit::audit(context, &service),
        other_instances: others::others(context).await,
        problems: Vec::new(),
        profile: context.identity.profile.name().map(str::to_owned),
        config: configs(context, status.as_ref(), &service),
        supervisor: Supervisor {
            running: status.is_some(),
            socket: context.supervisor_socket(),
            error,
            status,
        },
        extra_services: service::extra(&context.identity, arguments.deep),
        service,
        gateway,
        port,
        log_file: newest.unwrap_or_else(|| current_file(&settings, WallTime::now())),
        last_error,
        rpc,
    };
    found.problems = problems::problems(&found, &|rest| context.command(rest));
    let is_error = |problem: &Problem| problem.severity == Severity::Error;
    found.ok = !found.problems.iter().any(is_error);
    Ok(found)
}

/// Why a start would be refused.
fn would_be_refused(context: &Context) -> Option<Refusal> {
    let checked = match context.settings() {
        Ok(settings) => settings.check_start(&Flags::default()),
        Err(refusal) => Err(refusal.clone()),
    };
    checked.err()
}

/// Whether every process that is wanted serves, on the configuration of the file.
fn is_well(status: &InstanceStatus) -> bool {
    use openclaw_shared::control::{ChildState, ConfigState};
    let children = &status.fleet.children;
    let config_counts = match status.fleet.config.state {
        ConfigState::Ok | ConfigState::Pending => true,
        ConfigState::Degraded | ConfigState::Rejected => false,
    };
    config_counts
        && children.iter().all(|child| match child.state {
            ChildState::Active | ChildState::Disabled => true,
            ChildState::Starting
            | ChildState::Standby
            | ChildState::Draining
            | ChildState::Backoff
            | ChildState::Failed
            | ChildState::Stopped => false,
        })
}

fn configs(context: &Context, status: Option<&InstanceStatus>, service: &ServiceView) -> Configs {
    let path = context.identity.config_path.clone();
    let (exists, valid, issues) = match context.loaded() {
        Ok(loaded) => (loaded.exists, true, loaded.warnings.clone()),
        Err(error) => (true, false, error.issues.clone()),
    };
    let daemon = match status {
        Some(status) => {
            use openclaw_shared::control::ConfigState;
            let valid = match status.fleet.config.state {
                ConfigState::Ok | ConfigState::Pending => true,
                ConfigState::Degraded | ConfigState::Rejected => false,
            };
            Some((status.instance.identity.config_path.clone(), Some(valid)))
        }
        None => audit::config_path(context, service).map(|path| (path, None)),
    };
    let daemon = daemon.map(|(daemon, known)| {
        let same = daemon == path;
        ConfigView {
            exists: daemon.exists(),
            valid: known.unwrap_or(!same || valid),
            issues: Vec::new(),
            path: daemon,
        }
    });
    let mismatch = daemon.as_ref().is_some_and(|daemon| daemon.path != path);
    Configs {
        cli: ConfigView {
            path,
            exists,
            valid,
            issues,
        },
        daemon,
        mismatch,
    }
}

fn gateway_view(
    context: &Context,
    status: Option<&InstanceStatus>,
    url: &str,
    source: Source,
    arguments: &GatewayStatusArgs,
) -> Result<GatewayView, Failure> {
    use openclaw_shared::ports::PortSource;
    let instance = match status {
        Some(status) => status.instance.clone(),
        None => context.instance()?,
    };
    let port = arguments.rpc.port.unwrap_or(instance.ports.gateway);
    let port_source = match (
        arguments.rpc.port.is_some(),
        status.is_some(),
        instance.ports.source,
    ) {
        (true, ..) => "--port",
        (false, true, _) => "running instance",
        (false, false, PortSource::Flag) => "--port",
        (false, false, PortSource::Environment) => "environment",
        (false, false, PortSource::Config) => "config",
        (false, false, PortSource::Default) => "default",
    };
    let bind_host = instance
        .hosts
        .first()
        .map_or_else(|| "127.0.0.1".to_owned(), IpAddr::to_string);
    let loopback = is_this_machine(&bind_host);
    let local = source.is_local();
    Ok(GatewayView {
        bind_mode: context.config().gateway.bind.as_str().to_owned(),
        dashboard: local.then(|| format!("{}/", url.replacen("ws", "http", 1))),
        probe_note: (local && loopback)
            .then(|| "Loopback-only gateway; only local clients can connect.".to_owned()),
        bind_host,
        port,
        port_source,
        probe_url: url.to_owned(),
    })
}

/// Who holds the port on this machine.
fn port_view(port: u16, local: bool, running: bool) -> PortView {
    let looked = if local {
        port_owner::look(port).ok()
    } else {
        None
    };
    let Some(listeners) = looked else {
        return PortView {
            port,
            status: "unknown",
            listeners: Vec::new(),
            hints: Vec::new(),
        };
    };
    let status = if listeners.is_empty() { "free" } else { "busy" };
    let strangers = listeners.iter().any(|owner| !owner.is_openclaw);
    let hint = match (listeners.is_empty(), strangers, running) {
        (true, ..) | (false, false, true) => None,
        (false, true, _) => {
            Some("Another process is listening on this port. Stop it, or choose another port.")
        }
        (false, false, false) => Some(
            "Another OpenClaw instance is listening on this port. Look at it with its profile, or choose another port.",
        ),
    };
    PortView {
        port,
        status,
        listeners,
        hints: hint.map(str::to_owned).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::context::tests::in_home;
    use super::*;

    fn arguments() -> GatewayStatusArgs {
        let limit = Some(Duration::from_secs(5));
        let rpc = RpcFlags {
            timeout: limit,
            ..RpcFlags::default()
        };
        GatewayStatusArgs {
            no_probe: false,
            require_rpc: false,
            deep: false,
            rpc,
        }
    }

    /// The document with its values replaced by their kinds, so that only the shape is compared.
    fn shape(value: &Value) -> Value {
        match value {
            Value::Object(members) => members
                .iter()
                .map(|(key, value)| (key.clone(), shape(value)))
                .collect(),
            Value::Array(elements) => elements.iter().map(shape).collect(),
            Value::String(_) => "text".into(),
            Value::Number(_) => "number".into(),
            Value::Bool(_) | Value::Null => value.clone(),
        }
    }

    #[tokio::test]
    async fn the_document_for_scripts_keeps_its_shape() {
        let home = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let port = port.to_string();
        let context = in_home(home.path(), &[("OPENCLAW_GATEWAY_PORT", &port)]);
        let found = find(&context, &arguments()).await.unwrap();
        let mut document = shape(&serde_json::to_value(&found).unwrap());
        // What the service manager of this machine says is not ours to promise.
        document["service"] = "any".into();
        assert_eq!(
            document,
            json!({
                "ok": false,
                "profile": null,
                "supervisor": {"running": false, "socket": "text"},
                "service": "any",
                "config": {"cli": {"path": "text", "exists": false, "valid": true, "issues": []}},
                "gateway": {
                    "bindMode": "text", "bindHost": "text", "port": "number", "portSource": "text",
                    "probeUrl": "text", "probeNote": "text",
                },
                "port": {"port": "number", "status": "text", "listeners": [], "hints": []},
                "logFile": "text",
                "rpc": {"ok": false, "error": "text", "url": "text"},
                "extraServices": [],
                "otherInstances": [],
                "configAudit": {"ok": true, "issues": []},
                "problems": [
                    {"code": "text", "severity": "text", "message": "text", "next": "text"},
                    {"code": "text", "severity": "text", "message": "text", "next": "text"},
                ],
            })
        );
        assert_eq!(found.gateway.port_source, "environment");
        assert_eq!(found.port.status, "free");
        let codes: Vec<_> = found.problems.iter().map(|problem| problem.code).collect();
        assert_eq!(codes, ["config-missing", "not-running"]);
        assert_eq!(problems::exit(&found), Exit::NotRunning);
    }

    #[tokio::test]
    async fn without_a_probe_nothing_is_said_about_the_rpc() {
        let home = tempfile::tempdir().unwrap();
        let context = in_home(home.path(), &[("OPENCLAW_GATEWAY_PORT", "1")]);
        let without = GatewayStatusArgs {
            no_probe: true,
            ..arguments()
        };
        let document = serde_json::to_value(find(&context, &without).await.unwrap()).unwrap();
        assert_eq!(document.get("rpc"), None);
    }
}
