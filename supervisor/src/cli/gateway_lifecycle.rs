//! `openclaw gateway start`, `stop` and `restart`.
//!
//! The running instance is asked first, over its control socket, and the answer waited for: a restart is done when the
//! successor serves, a stop when the process is gone. When nobody answers there the service manager is asked. A stop of what the service
//! manager has started goes through it in any case, because it would start again what ends by itself.

use std::time::Duration;

use clap::Args;
use openclaw_shared::control::{ChildName, CliReply, CliRequest};
use openclaw_shared::exit::Exit;
use serde::Serialize;

use super::args::{RpcFlags, millis};
use super::context::Context;
use super::control_client::{self, Asked};
use super::failure::{Failure, Kind};
use super::gateway::does_not_apply;
use super::gateway_install;
use crate::service::{self, RuntimeStatus, ServiceRuntime, ServiceView};
use crate::supervise::holder_of;

/// A drain may take a while, and a successor its time to become ready.
const LIMIT: Duration = Duration::from_secs(120);

/// What to do with the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Start,
    Stop,
    Restart,
}

/// `gateway start`, `gateway stop` and `gateway restart`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct LifecycleArgs {
    /// Only this process: gateway, canvas-host or browser-control
    #[arg(value_name = "PROCESS", value_parser = child)]
    child: Option<ChildName>,
    /// Give up after this many milliseconds [default: 120000]
    #[arg(long, value_name = "MS", value_parser = millis, allow_negative_numbers = true)]
    timeout: Option<Duration>,
}

impl LifecycleArgs {
    /// Takes over what was said before the verb.
    ///
    /// # Errors
    /// When that has no meaning here: these verbs act on the instance of the profile, not on an address.
    pub(crate) fn or(
        self,
        before: RpcFlags,
        stray: Option<&'static str>,
        verb: &str,
    ) -> Result<Self, Failure> {
        let given = [
            ("--port", before.port.is_some()),
            ("--token", before.token.is_some()),
            ("--token-file", before.token_file.is_some()),
            ("--password", before.password.is_some()),
            ("--url", before.url.is_some()),
        ];
        let option = stray.or(given
            .into_iter()
            .find_map(|(name, given)| given.then_some(name)));
        if let Some(option) = option {
            return Err(does_not_apply(option, verb));
        }
        if verb != "restart" && self.child.is_some() {
            return Err(Failure::new(Kind::Usage, format!("error: 'gateway {verb}' is about the whole instance"))
                .hint("Turn a single process off in the configuration, for example canvasHost.enabled=false."));
        }
        Ok(Self {
            timeout: self.timeout.or(before.timeout),
            ..self
        })
    }
}

fn child(text: &str) -> Result<ChildName, String> {
    let names = ChildName::ALL.map(ChildName::as_str);
    ChildName::ALL
        .into_iter()
        .find(|child| child.as_str() == text)
        .ok_or_else(|| format!("Unknown process {text:?} (use {})", names.join(", ")))
}

/// What was done, for scripts.
#[derive(Debug, Serialize)]
struct Report {
    action: &'static str,
    ok: bool,
    result: &'static str,
    message: String,
    service: ServiceView,
}

pub(crate) async fn perform(
    context: &Context,
    verb: Verb,
    arguments: LifecycleArgs,
) -> Result<Exit, Failure> {
    let socket = context.supervisor_socket();
    let limit = arguments.timeout.unwrap_or(LIMIT);
    if verb == Verb::Stop
        && let Some(unit) = stopped_as_service(context).await?
    {
        return Ok(report(context, verb, verb.done(), unit));
    }
    let asked = match verb {
        Verb::Start => {
            let status = control_client::status(&socket).await;
            if let Some(status) = status.answer() {
                let message = format!("Gateway is running already (pid {}).", status.pid);
                return Ok(report(context, verb, "already-running", message));
            }
            match status {
                Asked::Failed(reason) => Asked::Failed(reason),
                Asked::Answered(_) | Asked::Absent => Asked::Absent,
            }
        }
        Verb::Stop => control_client::stop(&socket, limit).await,
        Verb::Restart => {
            let request = CliRequest::Restart {
                child: arguments.child,
                trace: openclaw_shared::trace::current(),
            };
            control_client::ask(&socket, &request, limit).await
        }
    };
    let (result, message) = match asked {
        // What it said first was that it would; what is told is that it did.
        Asked::Answered(CliReply::Done { .. }) if verb == Verb::Stop => {
            (verb.done(), "Gateway stopped.".to_owned())
        }
        Asked::Answered(CliReply::Done { message }) => (verb.done(), message),
        Asked::Answered(CliReply::Failed { message }) => {
            return Err(Failure::new(
                Kind::Refused,
                format!("Gateway {} failed: {message}", verb.name()),
            )
            .hint(format!(
                "See what runs: {}",
                context.command("gateway status")
            )));
        }
        Asked::Answered(CliReply::Status(_) | CliReply::Written { .. } | CliReply::Upgrade(_)) => {
            return Err(Failure::new(
                Kind::Failed,
                "The supervisor gave an answer to another question.",
            ));
        }
        Asked::Failed(reason) => {
            return Err(Failure::new(
                Kind::Failed,
                format!("Gateway {} failed: {reason}.", verb.name()),
            )
            .detail("Control socket", context.shown(&socket))
            .hint(format!(
                "See what runs: {}",
                context.command("gateway status")
            )));
        }
        Asked::Absent => by_service_manager(context, verb)?,
    };
    Ok(report(context, verb, result, message))
}

fn report(context: &Context, verb: Verb, result: &'static str, message: String) -> Exit {
    if context.out.is_json() {
        let service = service::manager(&context.identity, &context.environment).view();
        context.out.document(&Report {
            action: verb.name(),
            ok: true,
            result,
            message,
            service,
        });
    } else {
        context.out.line(message);
    }
    Exit::Ok
}

/// Stops a service through its service manager when the instance that answers is the one it has started. None when it is not, and when
/// the service manager cannot be asked: then the instance itself is.
///
/// # Errors
/// When the stop is under way and takes longer than anybody waits here.
async fn stopped_as_service(context: &Context) -> Result<Option<String>, Failure> {
    let Some(status) = context.running().await.answer() else {
        return Ok(None);
    };
    let manager = service::manager(&context.identity, &context.environment);
    let view = manager.view();
    if view.runtime.pid != Some(status.pid) {
        return Ok(None);
    }
    match manager.stop() {
        Ok(()) => Ok(Some(format!(
            "Stopped {} service: {}",
            view.label,
            view.unit.unwrap_or_default()
        ))),
        Err(_) if is_stopping(&manager.view().runtime) => Err(still_stopping(context)),
        Err(reason) => {
            context
                .out
                .note(format!("{reason}; it will start the gateway again."));
            Ok(None)
        }
    }
}

/// Whether the service manager is about to stop the service: a drain may take longer than its tool is waited for.
fn is_stopping(runtime: &ServiceRuntime) -> bool {
    runtime.state.as_deref() == Some("deactivating")
}

fn still_stopping(context: &Context) -> Failure {
    Failure::new(
        Kind::Failed,
        "The service is still stopping: its drain takes longer than this command waits. It ends by itself, and stays stopped.",
    )
    .hint(format!(
        "See when it has: {}",
        context.command("gateway status")
    ))
}

/// Nobody answers on the control socket: perhaps a service of another kind runs, or the unit waits for its next start.
fn by_service_manager(context: &Context, verb: Verb) -> Result<(&'static str, String), Failure> {
    let manager = service::manager(&context.identity, &context.environment);
    let view = manager.view();
    let runs = view.runtime.status == RuntimeStatus::Running;
    let unit = view.unit.clone().unwrap_or_default();
    let failed = |reason: String| {
        Failure::new(
            Kind::Failed,
            format!("Gateway {} failed: {reason}.", verb.name()),
        )
    };
    if !runs && let Some(pid) = holder_of(&context.identity.state_dir) {
        // The socket file was removed under a running supervisor; saying that nothing runs would be wrong.
        return Err(failed(format!(
            "an instance runs (pid {pid}), but its control socket is gone"
        ))
        .detail(
            "Control socket",
            context.shown(&context.supervisor_socket()),
        )
        .hint(format!("End it: kill {pid}")));
    }
    match verb {
        Verb::Start if view.is_installed() => {
            manager
                .check()
                .map_err(|why| gateway_install::unavailable(context, &why))?;
            manager
                .start()
                .map_err(|reason| match manager.logs_hint() {
                    Some(logs) => failed(reason).hint(format!("See why: {logs}")),
                    None => failed(reason),
                })?;
            Ok((
                verb.done(),
                format!("Started {} service: {unit}", view.label),
            ))
        }
        Verb::Start => {
            let not_here = Failure::new(Kind::Refused, "Gateway service is not installed.")
                .hint(format!(
                    "Install it: {}",
                    context.command("gateway install")
                ))
                .hint(format!("In the foreground: {}", context.command("gateway")));
            Err(not_here)
        }
        // Sockets that the service manager holds would start it again with the next connection.
        Verb::Stop if runs || manager.has_sockets() => {
            manager
                .stop()
                .map_err(|reason| match is_stopping(&manager.view().runtime) {
                    true => still_stopping(context),
                    false => failed(reason),
                })?;
            Ok((
                verb.done(),
                format!("Stopped {} service: {unit}", view.label),
            ))
        }
        Verb::Stop => Ok((
            "not-running",
            "Gateway is not running; nothing to stop.".to_owned(),
        )),
        Verb::Restart if runs || view.is_installed() => {
            manager.restart().map_err(failed)?;
            Ok((
                verb.done(),
                format!("Restarted {} service: {unit}", view.label),
            ))
        }
        Verb::Restart => Err(Failure::new(
            Kind::Unreachable,
            "Gateway is not running; nothing was restarted.",
        )
        .detail(
            "Control socket",
            context.shown(&context.supervisor_socket()),
        )
        .hint(format!("Start it: {}", context.command("gateway")))),
    }
}

impl Verb {
    const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }

    const fn done(self) -> &'static str {
        match self {
            Self::Start => "started",
            Self::Stop => "stopped",
            Self::Restart => "restarted",
        }
    }
}
