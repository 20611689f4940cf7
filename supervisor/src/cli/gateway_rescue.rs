//! `openclaw gateway rescue`: help for another instance of this user: look at it, read its log, restart it, roll its configuration back.
//!
//! Invariant: nothing of our own instance is used for it, and nothing of it is kept: its folders, its environment and its secrets are
//! looked up anew, as a command line of its own profile would.

use clap::{Args, Subcommand};
use openclaw_shared::control::InstanceStatus;
use openclaw_shared::exit::Exit;
use openclaw_shared::ipc;
use openclaw_shared::recovery::LastStop;
use serde::Serialize;

use super::context::Context;
use super::control_client::{self, Asked};
use super::failure::{Failure, Kind};
use super::gateway_lifecycle::{self, LifecycleArgs, Verb};
use super::gateway_status::recovery;
use super::logs;
use crate::service::{self, ServiceView};
use crate::supervise::vigil::Sight;
use crate::supervise::vigil::look::{self, Target};
use crate::supervise::{holder_of, last_stop};

mod rollback;

/// `gateway rescue`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RescueArgs {
    /// The profile to help [default: the one that gateway.watch.profile names]
    #[arg(long, global = true, value_name = "PROFILE")]
    of: Option<String>,
    #[command(subcommand)]
    command: RescueCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum RescueCommand {
    /// Show how the other instance is
    Status,
    /// Show the end of the other instance's log, from the file
    Logs {
        /// Show at most so many lines
        #[arg(long, value_name = "LINES", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=5000))]
        limit: u64,
    },
    /// Restart the other instance, through its supervisor or else its service
    Restart,
    /// Put the other instance's configuration back to what served last
    Rollback {
        /// Go back one more: to what served before that
        #[arg(long)]
        previous: bool,
    },
}

pub(crate) async fn perform(context: &Context, arguments: RescueArgs) -> Result<Exit, Failure> {
    let other = other(context, arguments.of)?;
    match arguments.command {
        RescueCommand::Status => status(&other).await,
        RescueCommand::Logs { limit } => logs::show_file(&other, limit),
        RescueCommand::Restart => restart(&other).await,
        RescueCommand::Rollback { previous } => rollback::perform(&other, previous).await,
    }
}

/// The instance that is to be helped.
fn other(context: &Context, named: Option<String>) -> Result<Context, Failure> {
    let watched = || context.config().gateway.watch.profile;
    let profile = named.or_else(watched).ok_or_else(|| {
        Failure::new(Kind::Usage, "No instance is watched, and none was named.")
            .hint("Name it: --of PROFILE")
            .hint(format!(
                "Watch it: {}",
                context.command("gateway watch PROFILE")
            ))
    })?;
    Target::of(&context.identity, &profile, &context.environment).map_err(|reason| {
        Failure::new(Kind::Usage, format!("Cannot help {profile:?}: {reason}."))
    })?;
    context.of_profile(&profile)
}

/// Everything there is to know of the other one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    ok: bool,
    profile: String,
    /// What its supervisor says.
    #[serde(skip_serializing_if = "Option::is_none")]
    supervisor: Option<InstanceStatus>,
    /// Whether its gateway may be trusted with traffic.
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    service: ServiceView,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_stop: Option<LastStop>,
}

async fn status(other: &Context) -> Result<Exit, Failure> {
    let supervisor = supervisor(other).await;
    let (status, sight) = match supervisor {
        Asked::Answered(status) => {
            let sight = look::ready(&status).await;
            (Some(status), sight)
        }
        Asked::Absent => (None, Sight::Down("its supervisor does not run".to_owned())),
        Asked::Failed(reason) => (None, Sight::Down(reason)),
    };
    let error = match sight {
        Sight::Up => None,
        Sight::Unwell(reason) | Sight::Down(reason) => Some(reason),
    };
    let found = Found {
        ok: error.is_none(),
        profile: other
            .identity
            .profile
            .name()
            .unwrap_or("default")
            .to_owned(),
        ready: error.is_none(),
        error,
        service: service::manager(&other.identity, &other.environment).view(),
        last_stop: last_stop(&other.identity.state_dir),
        supervisor: status,
    };
    if other.out.is_json() {
        other.out.document(&found);
    } else {
        show(other, &found);
    }
    Ok(if found.ok { Exit::Ok } else { Exit::Failure })
}

fn show(other: &Context, found: &Found) {
    let out = &other.out;
    out.line(format!("Instance: {}", found.profile));
    match &found.supervisor {
        Some(status) => {
            out.line(format!("Supervisor: running (pid {})", status.pid));
            let config = &status.fleet.config;
            let error = config.error.as_deref().map(openclaw_shared::log::printable);
            let error = error.map(|error| format!(": {error}")).unwrap_or_default();
            let state = serde_json::to_value(config.state).unwrap_or_default();
            out.line(format!(
                "Config: {}{error}",
                state.as_str().unwrap_or_default()
            ));
            for child in &status.fleet.children {
                out.line(format!("  {} {}", child.name, child.state));
            }
            for line in recovery::lines(&status.fleet) {
                out.line(line);
            }
        }
        None => {
            out.line("Supervisor: not running");
            if let Some(stop) = &found.last_stop {
                out.line(recovery::last_stop(stop));
            }
        }
    }
    match &found.error {
        None => out.line("Gateway: ready"),
        Some(error) => out.line(format!("Gateway: not ready: {error}")),
    }
    if found.service.is_installed() {
        let unit = found.service.unit.as_deref().unwrap_or_default();
        out.line(format!("Service: {} {unit}", found.service.label));
    }
}

/// Asks its supervisor, when the socket is one of our user's own.
async fn supervisor(other: &Context) -> Asked<InstanceStatus> {
    let socket = other.supervisor_socket();
    match ipc::check_private(&socket) {
        Ok(()) => control_client::status(&socket).await,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Asked::Absent,
        Err(error) => Asked::Failed(format!("its socket is not trusted: {error}")),
    }
}

async fn restart(other: &Context) -> Result<Exit, Failure> {
    match supervisor(other).await {
        Asked::Answered(_) | Asked::Absent => {
            gateway_lifecycle::perform(other, Verb::Restart, LifecycleArgs::default()).await
        }
        // It is there and does not answer: only whoever started it can end it.
        Asked::Failed(reason) => {
            let manager = service::manager(&other.identity, &other.environment);
            let refused = |why: String| {
                let failure = Failure::new(Kind::Failed, format!("Gateway restart failed: {why}."));
                match holder_of(&other.identity.state_dir) {
                    Some(pid) => failure.hint(format!("End it: kill -9 {pid}")),
                    None => failure,
                }
            };
            if !manager.view().is_installed() {
                return Err(refused(format!("{reason}, and it is no installed service")));
            }
            manager.restart().map_err(refused)?;
            let document =
                serde_json::json!({ "ok": true, "action": "restart", "result": "restarted" });
            other.out.answer(&document, || {
                vec![format!("{reason}; its service was restarted.")]
            });
            Ok(Exit::Ok)
        }
    }
}
