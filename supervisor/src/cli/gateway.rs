//! `openclaw gateway`: runs the gateway, or does one of its subcommands.

use std::time::Duration;

use clap::{Args, Subcommand};
use openclaw_shared::exit::Exit;

use super::args::{RpcFlags, millis};
use super::context::Context;
use super::failure::{Failure, Kind};
use super::gateway_call::CallArgs;
use super::gateway_health::GatewayHealthArgs;
use super::gateway_lifecycle::{LifecycleArgs, Verb};
use super::gateway_probe::ProbeArgs;
use super::gateway_run::RunFlags;
use super::gateway_status::GatewayStatusArgs;
use super::gateway_usage_cost::UsageCostArgs;
use super::{
    gateway_call, gateway_health, gateway_lifecycle, gateway_probe, gateway_status,
    gateway_usage_cost,
};

/// `openclaw gateway [options] [command]`.
#[derive(Debug, Args)]
#[command(
    after_help = "Without a command the gateway runs in the foreground, as with \"run\".\n\
                  Exit codes: see \"openclaw gateway run --help\"."
)]
pub(crate) struct GatewayArgs {
    #[command(flatten)]
    run: Box<RunFlags>,
    /// Ask the gateway at this WebSocket address
    #[arg(long, hide = true, value_name = "WS_URL")]
    url: Option<String>,
    /// Give up after this many milliseconds
    #[arg(long, hide = true, value_name = "MS", value_parser = millis, allow_negative_numbers = true)]
    timeout: Option<Duration>,
    #[command(subcommand)]
    command: Option<GatewayCommand>,
}

#[derive(Debug, Subcommand)]
enum GatewayCommand {
    /// Run the gateway in the foreground
    Run(Box<RunFlags>),
    /// Show what runs, and why it does not
    Status(GatewayStatusArgs),
    /// Ask the running gateway for its health
    Health(GatewayHealthArgs),
    /// Call a method of the running gateway
    Call(CallArgs),
    /// Look which gateways can be reached from here
    Probe(ProbeArgs),
    /// Show what runs have used
    UsageCost(UsageCostArgs),
    /// Stop the gateway, after it has finished what it accepted
    Stop(LifecycleArgs),
    /// Replace the gateway's processes without refusing a connection
    Restart(LifecycleArgs),
    /// Start the gateway's service (not available in this version)
    #[command(hide = true)]
    Start(ServiceArgs),
    /// Install the gateway as a service (not available in this version)
    #[command(hide = true)]
    Install(ServiceArgs),
    /// Remove the gateway's service (not available in this version)
    #[command(hide = true)]
    Uninstall(ServiceArgs),
}

/// Anything that may stand behind a verb whose time has not come.
#[derive(Debug, Args)]
pub(crate) struct ServiceArgs {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _rest: Vec<String>,
}

/// What a `gateway` command line asks for.
#[derive(Debug)]
pub(crate) enum Task {
    /// To run the gateway in this process.
    Run(Box<RunFlags>),
    /// Something about a gateway.
    Other(Box<Other>),
}

/// What can be done about a gateway.
#[derive(Debug)]
pub(crate) enum Other {
    Status(GatewayStatusArgs),
    Health(GatewayHealthArgs),
    Call(CallArgs),
    Probe(ProbeArgs),
    UsageCost(UsageCostArgs),
    Lifecycle(Verb, LifecycleArgs),
    Service(&'static str),
}

impl GatewayArgs {
    /// Joins what stands before the subcommand with what stands after it.
    ///
    /// # Errors
    /// When an option before the subcommand has no meaning for it.
    pub(crate) fn into_task(self) -> Result<Task, Failure> {
        let Some(command) = self.command else {
            return match (self.url, self.timeout) {
                (None, None) => Ok(Task::Run(self.run)),
                (Some(_), _) => Err(does_not_apply("--url", "run")),
                (None, Some(_)) => Err(does_not_apply("--timeout", "run")),
            };
        };
        let stray = self.run.only_for_run();
        let before = RpcFlags {
            url: self.url,
            port: self.run.port,
            token: self.run.token.clone(),
            token_file: self.run.token_file.clone(),
            password: self.run.password.clone(),
            timeout: self.timeout,
            verbose: false,
        };
        let about_a_gateway = |name: &str| match stray {
            Some(option) => Err(does_not_apply(option, name)),
            None => Ok(before.clone()),
        };
        let other = match command {
            GatewayCommand::Run(flags) => {
                if before.url.is_some() {
                    return Err(does_not_apply("--url", "run"));
                }
                if before.timeout.is_some() {
                    return Err(does_not_apply("--timeout", "run"));
                }
                return Ok(Task::Run(Box::new(flags.or(*self.run))));
            }
            GatewayCommand::Status(mut arguments) => {
                arguments.rpc = arguments.rpc.or(about_a_gateway("status")?);
                Other::Status(arguments)
            }
            GatewayCommand::Health(mut arguments) => {
                arguments.rpc = arguments.rpc.or(about_a_gateway("health")?);
                Other::Health(arguments)
            }
            GatewayCommand::Call(mut arguments) => {
                arguments.rpc = arguments.rpc.or(about_a_gateway("call")?);
                Other::Call(arguments)
            }
            GatewayCommand::Probe(mut arguments) => {
                arguments.rpc = arguments.rpc.or(about_a_gateway("probe")?);
                Other::Probe(arguments)
            }
            GatewayCommand::UsageCost(mut arguments) => {
                arguments.rpc = arguments.rpc.or(about_a_gateway("usage-cost")?);
                Other::UsageCost(arguments)
            }
            GatewayCommand::Stop(arguments) => {
                Other::Lifecycle(Verb::Stop, arguments.or(before, stray, "stop")?)
            }
            GatewayCommand::Restart(arguments) => {
                Other::Lifecycle(Verb::Restart, arguments.or(before, stray, "restart")?)
            }
            GatewayCommand::Start(_) => Other::Service("start"),
            GatewayCommand::Install(_) => Other::Service("install"),
            GatewayCommand::Uninstall(_) => Other::Service("uninstall"),
        };
        Ok(Task::Other(Box::new(other)))
    }
}

impl Other {
    pub(crate) async fn perform(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Status(arguments) => gateway_status::perform(context, arguments).await,
            Self::Health(arguments) => gateway_health::perform(context, arguments).await,
            Self::Call(arguments) => gateway_call::perform(context, arguments).await,
            Self::Probe(arguments) => gateway_probe::perform(context, arguments).await,
            Self::UsageCost(arguments) => gateway_usage_cost::perform(context, arguments).await,
            Self::Lifecycle(verb, arguments) => {
                gateway_lifecycle::perform(context, verb, arguments).await
            }
            Self::Service(verb) => Err(gateway_lifecycle::not_available(context, verb)),
        }
    }
}

/// An option that would be swallowed.
pub(crate) fn does_not_apply(option: &str, command: &str) -> Failure {
    Failure::new(
        Kind::Usage,
        format!("error: option '{option}' does not apply to 'gateway {command}'"),
    )
}
