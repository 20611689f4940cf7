//! Looks at everything that the checks judge. Nothing is changed by looking.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use openclaw_shared::clock::WallTime;
use openclaw_shared::config::section::GatewayMode;
use openclaw_shared::config::{IssueLevel, own_keys_in};
use openclaw_shared::control::ChildName;
use openclaw_shared::examine::{self, ExamineOrder, ExamineReport};
use openclaw_shared::import::{LARGEST_ORDER, PROGRAM};
use openclaw_shared::instance::Instance;
use openclaw_shared::paths::StatePaths;
use openclaw_shared::secret::Secret;
use serde_json::{Map, Value};

use super::super::context::Context;
use super::super::control_client::Asked;
use super::super::gateway_install;
use super::super::sibling::{hand_over, sibling};
use super::files;
use super::snapshot::{
    Browser, Condition, ConfigSeen, PortSeen, Running, ServiceSeen, Shared, Snapshot, SocketFile,
    Start, Unit,
};
use crate::port_owner;
use crate::service::{self, Reinstall, RuntimeStatus, ServiceView};
use crate::settings::{Flags, Refusal, Settings};
use crate::supervise::neighbours::neighbours;
use crate::supervise::start::read_token;

/// Looks at the instance of this command.
pub(super) async fn look(context: &Context, deep: bool) -> Snapshot {
    let identity = &context.identity;
    let running = match context.running().await {
        Asked::Answered(status) => Running::Instance(Box::new(status.clone())),
        Asked::Absent => Running::Nothing,
        Asked::Failed(why) => Running::Silent(why.clone()),
    };
    let settings = context.settings();
    let instance = match (&running, settings) {
        (Running::Instance(status), _) => Some(status.instance.clone()),
        (Running::Nothing | Running::Silent(_), Ok(settings)) => Some(settings.instance.clone()),
        (Running::Nothing | Running::Silent(_), Err(_)) => context.instance().ok(),
    };
    let config = context.config();
    let manager = service::manager(identity, &context.environment);
    let view = manager.view();
    let state = files::entry(&identity.state_dir);
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid());
    let user = user.ok().flatten().map(|user| user.name);
    let user = user.unwrap_or_else(|| nix::unistd::geteuid().to_string());
    Snapshot {
        now: WallTime::now(),
        uid: nix::unistd::geteuid().as_raw(),
        config: config_seen(context),
        is_remote: config.gateway.mode == Some(GatewayMode::Remote),
        start: settings.clone().and_then(|settings| start(&settings)),
        state_is_writable: files::is_writable(&identity.state_dir),
        entries: files::below(&identity.state_dir),
        elsewhere: elsewhere(context),
        database: database(&identity.state_dir),
        service: service_seen(&view, manager.start_hint()),
        unit: unit(context, &view),
        extra: service::extra(identity, deep),
        lingers: match manager.needs_linger() {
            true => service::linger::lingers(&user),
            false => None,
        },
        ports: instance
            .as_ref()
            .map(|instance| ports(instance, settings.as_ref().ok()))
            .unwrap_or_default(),
        neighbours: instance
            .as_ref()
            .map(|instance| shared(context, instance))
            .unwrap_or_default(),
        sockets: files::sockets(&identity.run_dir(&context.environment)),
        dead_locks: files::dead_locks(&context.environment),
        legacy_folders: files::legacy_folders(identity),
        legacy_variables: context
            .environment
            .variables()
            .keys()
            .filter(|name| name.starts_with("CLAWDBOT_") || name.starts_with("MOLTBOT_"))
            .cloned()
            .collect(),
        tmp_logs: files::tmp_logs(),
        disk: files::disk(&identity.state_dir),
        missing_programs: missing_programs(),
        browser: browser(&config.browser),
        identity: identity.clone(),
        state,
        running,
        user,
    }
}

fn config_seen(context: &Context) -> ConfigSeen {
    let config = context.config();
    match context.loaded() {
        Ok(loaded) => ConfigSeen {
            exists: loaded.exists,
            errors: Vec::new(),
            warnings: loaded.warnings.clone(),
            config,
            raw: loaded.raw.clone(),
            own_keys: own_keys_in(&loaded.raw).collect(),
        },
        Err(error) => {
            let (errors, warnings) = error
                .issues
                .iter()
                .cloned()
                .partition(|issue| issue.level == IssueLevel::Error);
            ConfigSeen {
                exists: true,
                errors,
                warnings,
                config,
                raw: Value::Object(Map::new()),
                own_keys: Vec::new(),
            }
        }
    }
}

/// The shared secret that would be used.
pub(super) fn secret(context: &Context) -> Option<Secret<String>> {
    let settings = context.settings().as_ref().ok()?;
    let chosen = settings.credentials.active().cloned();
    chosen.or_else(|| read_token(&context.identity.state_dir))
}

fn start(settings: &Settings) -> Result<Start, Refusal> {
    settings.check_start(&Flags::default())?;
    let chosen = settings.credentials.active().cloned();
    let secret = chosen.or_else(|| read_token(&settings.instance.identity.state_dir));
    Ok(Start {
        is_exposed: settings
            .instance
            .hosts
            .iter()
            .any(|host| !host.is_loopback()),
        secret_length: secret
            .as_ref()
            .map(|secret| secret.expose().trim().chars().count()),
        secret,
    })
}

/// The configuration file and what it includes, as far as they do not lie in the state folder.
fn elsewhere(context: &Context) -> Vec<super::snapshot::Entry> {
    let main = context.identity.config_path.clone();
    let included: Vec<PathBuf> = match context.loaded() {
        Ok(loaded) => loaded.source.watched().map(Path::to_path_buf).collect(),
        Err(_) => vec![main],
    };
    included
        .iter()
        .filter(|path| !path.starts_with(&context.identity.state_dir))
        .filter_map(|path| files::entry(path))
        .collect()
}

/// Has the gateway's program look the database over.
fn database(state_dir: &Path) -> Option<Result<ExamineReport, String>> {
    let store = StatePaths(state_dir).store();
    if !store.exists() {
        return None;
    }
    Some(examined(store))
}

fn examined(store: PathBuf) -> Result<ExamineReport, String> {
    let order = ExamineOrder { store };
    let told = hand_over(&order, LARGEST_ORDER).map_err(|failure| failure.message)?;
    let mut program = sibling(PROGRAM).map_err(|failure| failure.message)?;
    let output = program
        .arg(examine::ARGUMENT)
        .stdin(told)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .output()
        .map_err(|error| format!("{PROGRAM} cannot be started: {error}"))?;
    serde_json::from_slice(&output.stdout)
        .map_err(|_| format!("{PROGRAM} ended without a report ({})", output.status))
}

fn service_seen(view: &ServiceView, start: Option<String>) -> Option<ServiceSeen> {
    if !view.is_installed() {
        return None;
    }
    let runtime = &view.runtime;
    let condition = match runtime.status {
        _ if runtime.state.as_deref() == Some("failed") => Condition::Failed,
        RuntimeStatus::Running => Condition::Running,
        RuntimeStatus::Stopped => Condition::Stopped,
        RuntimeStatus::Unknown => Condition::Unknown,
    };
    Some(ServiceSeen {
        name: view.unit.clone().unwrap_or_else(|| view.label.to_owned()),
        condition,
        last_exit: runtime.last_exit_status,
        start,
    })
}

pub(super) fn unit(context: &Context, view: &ServiceView) -> Option<Unit> {
    /// A unit file is short; a longer one is not ours.
    const LARGEST: u64 = 64 * 1024;
    let command = view.command.as_ref()?;
    let path = PathBuf::from(&command.source_path);
    let program = command.program_arguments.first().map(PathBuf::from);
    let text = files::text(&path, LARGEST)?;
    let manager = service::manager(&context.identity, &context.environment);
    let addresses = || gateway_install::sockets_of(context).unwrap_or_default();
    let anew = service::anew(&context.identity, &context.environment, &path, addresses);
    let (recommended, sockets) = match anew {
        Some(anew) => (anew.service, anew.sockets),
        None => (None, None),
    };
    Some(Unit {
        install: Reinstall::of(manager.as_ref(), &text),
        replaceable: program
            .as_deref()
            .filter(|_| manager.is_of_the_system())
            .and_then(|program| {
                service::replaceable(program, service::user_in(&text).unwrap_or("root"))
            }),
        text,
        recommended,
        sockets: sockets.map(|file| SocketFile {
            text: files::text(&file.path, LARGEST),
            path: file.path,
            recommended: file.text,
        }),
        program: program
            .filter(|program| program.is_absolute())
            .map(|program| {
                let exists = program.exists();
                (program, exists)
            }),
        path,
    })
}

fn ports(instance: &Instance, settings: Option<&Settings>) -> Vec<PortSeen> {
    let ports = &instance.ports;
    let wanted =
        |child: ChildName| settings.is_none_or(|settings| settings.children.contains(&child));
    [
        (ChildName::Gateway, ports.gateway, "gateway"),
        (
            ChildName::BrowserControl,
            ports.browser_control,
            "browser control service",
        ),
        (ChildName::CanvasHost, ports.canvas_host, "canvas host"),
    ]
    .into_iter()
    .filter(|(child, ..)| wanted(*child))
    .map(|(child, port, what)| {
        // Somebody else on another address of the machine is in nobody's way.
        let ours = |address: IpAddr| {
            let hosts: &[IpAddr] = match child {
                ChildName::Gateway | ChildName::CanvasHost => &instance.hosts,
                ChildName::BrowserControl => &[IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)],
            };
            address.is_unspecified()
                || hosts.is_empty()
                || hosts
                    .iter()
                    .any(|host| host.is_unspecified() || *host == address)
        };
        let mut owners = port_owner::owners(port);
        owners.retain(|owner| ours(owner.address.ip()));
        PortSeen { port, what, owners }
    })
    .collect()
}

fn shared(context: &Context, instance: &Instance) -> Vec<Shared> {
    neighbours(&context.identity, &context.environment)
        .into_iter()
        .filter_map(|neighbour| {
            let what = instance.ports.shared_with(&neighbour.ports?);
            (!what.is_empty()).then(|| Shared {
                profile: neighbour.profile.name().unwrap_or("default").to_owned(),
                what,
            })
        })
        .collect()
}

fn missing_programs() -> Vec<String> {
    let Ok(own) = std::env::current_exe() else {
        return Vec::new();
    };
    ChildName::ALL
        .into_iter()
        .map(|child| format!("openclaw-{child}"))
        .filter(|name| !own.with_file_name(name).exists())
        .collect()
}

/// Browser control's own program knows where browsers are.
fn browser(config: &openclaw_shared::config::section::Browser) -> Browser {
    if !config.enabled || config.attach_only || config.cdp_url.is_some() {
        return Browser::NotWanted;
    }
    let asked = sibling("openclaw-browser-control")
        .ok()
        .and_then(|mut program| {
            program
                .arg("--detect")
                .args(&config.executable_path)
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .output()
                .ok()
        });
    let report = asked.and_then(|output| serde_json::from_slice::<Value>(&output.stdout).ok());
    match (report, &config.executable_path) {
        // That the program is missing is told by itself.
        (None, _) => Browser::NotWanted,
        (Some(report), _) if report["path"].is_string() => Browser::Found,
        (Some(_), Some(path)) => Browser::Missing(PathBuf::from(path)),
        (Some(_), None) => Browser::None,
    }
}
