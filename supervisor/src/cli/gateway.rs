//! `openclaw gateway`: runs the gateway, or does one of its subcommands.

use std::time::Duration;

use clap::{Args, Subcommand};
use openclaw_shared::exit::Exit;

use super::args::{RpcFlags, millis};
use super::context::Context;
use super::failure::{Failure, Kind};
use super::gateway_call::CallArgs;
use super::gateway_discover::DiscoverArgs;
use super::gateway_health::GatewayHealthArgs;
use super::gateway_install::{InstallArgs, UninstallArgs};
use super::gateway_lifecycle::{LifecycleArgs, Verb};
use super::gateway_probe::ProbeArgs;
use super::gateway_rescue::RescueArgs;
use super::gateway_run::RunFlags;
use super::gateway_status::GatewayStatusArgs;
use super::gateway_upgrade::UpgradeArgs;
use super::gateway_usage_cost::UsageCostArgs;
use super::gateway_watch::WatchArgs;
use super::{
    gateway_call, gateway_discover, gateway_health, gateway_install, gateway_lifecycle,
    gateway_probe, gateway_rescue, gateway_status, gateway_upgrade, gateway_usage_cost,
    gateway_watch,
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
    /// Find the gateways that announce themselves in the local network
    Discover(DiscoverArgs),
    /// Show what runs have used
    UsageCost(UsageCostArgs),
    /// Stop the gateway, after it has finished what it accepted
    #[command(mut_arg("child", |child| child.hide(true)))]
    Stop(LifecycleArgs),
    /// Replace the gateway's processes without refusing a connection
    Restart(LifecycleArgs),
    /// Take the binaries on disk into use without refusing a connection
    Upgrade(UpgradeArgs),
    /// Watch the instance of another profile, as a rescue bot does
    Watch(WatchArgs),
    /// Look after the instance of another profile: its log, restarts, configuration
    Rescue(RescueArgs),
    /// Start the gateway's service
    #[command(mut_arg("child", |child| child.hide(true)))]
    Start(LifecycleArgs),
    /// Install the gateway as a service, which the system starts and watches
    Install(Box<InstallArgs>),
    /// Stop the gateway's service and remove it
    Uninstall(UninstallArgs),
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
    Discover(DiscoverArgs),
    UsageCost(UsageCostArgs),
    Lifecycle(Verb, LifecycleArgs),
    Upgrade(UpgradeArgs),
    Watch(WatchArgs),
    Rescue(RescueArgs),
    Install(InstallArgs),
    Uninstall(UninstallArgs),
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
            GatewayCommand::Discover(mut arguments) => {
                arguments.timeout = arguments.timeout.or(before.timeout);
                let others = RpcFlags {
                    timeout: None,
                    ..before
                };
                nothing_before(&others, stray, "discover")?;
                Other::Discover(arguments)
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
            GatewayCommand::Upgrade(arguments) => Other::Upgrade(arguments.or(before, stray)?),
            GatewayCommand::Watch(arguments) => {
                nothing_before(&before, stray, "watch")?;
                Other::Watch(arguments)
            }
            GatewayCommand::Rescue(arguments) => {
                nothing_before(&before, stray, "rescue")?;
                Other::Rescue(arguments)
            }
            GatewayCommand::Start(arguments) => {
                Other::Lifecycle(Verb::Start, arguments.or(before, stray, "start")?)
            }
            GatewayCommand::Install(arguments) => {
                for (option, given) in [
                    ("--url", before.url.is_some()),
                    ("--timeout", before.timeout.is_some()),
                ] {
                    if given {
                        return Err(does_not_apply(option, "install"));
                    }
                }
                Other::Install(arguments.or(*self.run)?)
            }
            GatewayCommand::Uninstall(arguments) => {
                LifecycleArgs::default().or(before, stray, "uninstall")?;
                Other::Uninstall(arguments)
            }
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
            Self::Discover(arguments) => gateway_discover::perform(context, &arguments),
            Self::UsageCost(arguments) => gateway_usage_cost::perform(context, arguments).await,
            Self::Upgrade(arguments) => gateway_upgrade::perform(context, arguments).await,
            Self::Watch(arguments) => gateway_watch::perform(context, arguments).await,
            Self::Rescue(arguments) => gateway_rescue::perform(context, arguments).await,
            Self::Lifecycle(verb, arguments) => {
                gateway_lifecycle::perform(context, verb, arguments).await
            }
            Self::Install(arguments) => gateway_install::install(context, arguments).await,
            Self::Uninstall(arguments) => gateway_install::uninstall(context, arguments).await,
        }
    }
}

/// These act on an instance of this machine, not on an address.
fn nothing_before(
    before: &RpcFlags,
    stray: Option<&'static str>,
    verb: &str,
) -> Result<(), Failure> {
    let given = [
        ("--port", before.port.is_some()),
        ("--token", before.token.is_some()),
        ("--token-file", before.token_file.is_some()),
        ("--password", before.password.is_some()),
        ("--url", before.url.is_some()),
        ("--timeout", before.timeout.is_some()),
    ];
    let given = given.into_iter().find(|(_, given)| *given);
    match stray.or(given.map(|(name, _)| name)) {
        Some(option) => Err(does_not_apply(option, verb)),
        None => Ok(()),
    }
}

/// An option that would be swallowed.
pub(crate) fn does_not_apply(option: &str, command: &str) -> Failure {
    Failure::new(
        Kind::Usage,
        format!("error: option '{option}' does not apply to 'gateway {command}'"),
    )
}
