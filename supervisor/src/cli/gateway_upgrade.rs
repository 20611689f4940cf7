//! `openclaw gateway upgrade`: the running instance takes the binaries on disk into use, without refusing a connection.
//!
//! The supervisor does it; this command asks, shows how far it is, and tells how it ended. It may be interrupted: the upgrade goes on.

use std::time::Duration;

use clap::Args;
use openclaw_shared::control::{ChildName, CliReply, CliRequest, Generation, InstanceStatus};
use openclaw_shared::exit::Exit;
use openclaw_shared::upgrade::UpgradeState;
use serde::Serialize;

use super::args::{RpcFlags, millis};
use super::context::Context;
use super::control_client::{self, Asked};
use super::failure::{Failure, Kind};
use super::gateway_lifecycle::LifecycleArgs;

/// What is under way may have to end first, then every process is replaced.
const LIMIT: Duration = Duration::from_secs(300);
/// How often it is looked how far it is.
const LOOK: Duration = Duration::from_millis(200);

/// `gateway upgrade`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct UpgradeArgs {
    /// Only say whether an upgrade is possible
    #[arg(long)]
    check: bool,
    /// Give up after this many milliseconds [default: 300000]
    #[arg(long, value_name = "MS", value_parser = millis, allow_negative_numbers = true)]
    timeout: Option<Duration>,
}

impl UpgradeArgs {
    /// Takes over what was said before the verb.
    ///
    /// # Errors
    /// When that has no meaning here.
    pub(crate) fn or(self, before: RpcFlags, stray: Option<&'static str>) -> Result<Self, Failure> {
        let timeout = self.timeout.or(before.timeout);
        LifecycleArgs::default().or(before, stray, "upgrade")?;
        Ok(Self { timeout, ..self })
    }
}

/// What came of it, for scripts.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    action: &'static str,
    ok: bool,
    result: UpgradeState,
    from: String,
    to: Option<String>,
    reason: Option<String>,
    message: String,
    pid: Option<u32>,
}

pub(crate) async fn perform(context: &Context, arguments: UpgradeArgs) -> Result<Exit, Failure> {
    let socket = context.supervisor_socket();
    let request = CliRequest::Upgrade {
        check: arguments.check,
    };
    let limit = arguments.timeout.unwrap_or(LIMIT);
    let before = control_client::status(&socket).await;
    let asked = tokio::select! {
        asked = control_client::ask(&socket, &request, limit) => asked,
        never = show_progress(context, before.answer()) => match never {},
    };
    let failed = |kind, message: String| {
        Failure::new(kind, message)
            .detail("Control socket", context.shown(&socket))
            .hint(format!(
                "See what runs: {}",
                context.command("gateway status")
            ))
    };
    let status = match asked {
        Asked::Answered(CliReply::Upgrade(status)) => status,
        Asked::Answered(CliReply::Failed { message }) => {
            return Err(failed(
                Kind::Refused,
                format!("Gateway upgrade failed: {message}"),
            ));
        }
        Asked::Answered(CliReply::Status(_) | CliReply::Done { .. } | CliReply::Written { .. }) => {
            return Err(failed(
                Kind::Failed,
                "The supervisor gave an answer to another question.".to_owned(),
            ));
        }
        Asked::Failed(reason) => {
            return Err(failed(
                Kind::Failed,
                format!("Gateway upgrade failed: {reason}."),
            ));
        }
        Asked::Absent => {
            return Err(failed(
                Kind::Unreachable,
                "Gateway is not running; the next start uses the binaries on disk.".to_owned(),
            ));
        }
    };
    let message = status.to_string();
    let is_well = !status.state.has_failed();
    if context.out.is_json() {
        context.out.document(&Report {
            action: "upgrade",
            ok: is_well,
            result: status.state,
            from: status.from,
            to: status.to,
            reason: status.reason,
            message,
            pid: before.answer().map(|status| status.pid),
        });
    } else if is_well {
        context.out.line(message);
    } else {
        return Err(failed(Kind::Refused, message));
    }
    Ok(match is_well {
        true => Exit::Ok,
        false => Exit::Failure,
    })
}

/// Tells a person how far it is, for as long as it lasts.
async fn show_progress(
    context: &Context,
    before: Option<&InstanceStatus>,
) -> std::convert::Infallible {
    let socket = context.supervisor_socket();
    let mut told = Vec::new();
    loop {
        if let Asked::Answered(status) = control_client::status(&socket).await {
            for line in progress(before, &status) {
                if !told.contains(&line) {
                    context.out.note(&line);
                    told.push(line);
                }
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What there is to tell by now, a line for each step.
fn progress(before: Option<&InstanceStatus>, now: &InstanceStatus) -> Vec<String> {
    let Some(upgrade) = &now.fleet.upgrade else {
        return Vec::new();
    };
    if upgrade.state.is_over() {
        // It ended this way earlier, or the answer tells it.
        return Vec::new();
    }
    let mut lines = vec![upgrade.to_string()];
    if upgrade.state == UpgradeState::Replacing {
        lines.push(format!(
            "supervisor: runs from {} (pid {}).",
            now.version, now.pid
        ));
        for child in ChildName::ALL {
            let later = life(Some(now), child)
                .filter(|(now, _)| life(before, child).is_some_and(|(before, _)| before < *now));
            if let Some((_, Some(pid))) = later {
                lines.push(format!("{child}: replaced (pid {pid})."));
            }
        }
    }
    lines
}

fn life(status: Option<&InstanceStatus>, name: ChildName) -> Option<(Generation, Option<u32>)> {
    let mut children = status?.fleet.children.iter();
    let child = children.find(|child| child.name == name)?;
    Some((child.generation, child.pid))
}
