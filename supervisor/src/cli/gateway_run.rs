//! `openclaw gateway run`: the options of a running gateway, and the way into the supervisor.

use std::path::PathBuf;

use clap::Args;
use openclaw_shared::config::section::{AuthMode, BindMode, TailscaleMode};
use openclaw_shared::exit::Exit;
use openclaw_shared::log::WsLog;
use openclaw_shared::secret::Secret;
use openclaw_shared::trace::{Trace, following};

use super::args::{port, secret};
use super::context::Context;
use super::failure::{Failure, Kind};
use super::setup;
use super::target::read_secret;
use super::{in_runtime, runtime};
use crate::port_owner::Force;
use crate::settings::{Flags, Refusal};
use crate::supervise::RunOptions;
use crate::supervise::life::{self, Begin, Left};
use crate::supervise::upgrade::examine;
use crate::supervise::upgrade::handed::HandedOver;

/// How to run a gateway; what is not said comes from the environment, the configuration, or the defaults, in this order.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = exit_codes())]
pub(crate) struct RunFlags {
    /// Listen on this port; the others are derived from it [default: 18789, --dev 19001]
    #[arg(long, value_name = "PORT", value_parser = port, allow_negative_numbers = true)]
    pub(crate) port: Option<u16>,
    /// Listen on these addresses: loopback, lan, tailnet, auto or custom
    #[arg(long, value_name = "MODE", value_parser = bind)]
    pub(crate) bind: Option<BindMode>,
    /// Ask callers for this token; prefer --token-file or OPENCLAW_GATEWAY_TOKEN, which other users cannot see
    #[arg(long, value_name = "TOKEN", value_parser = secret)]
    pub(crate) token: Option<Secret<String>>,
    /// Ask callers for the token in this file
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    pub(crate) token_file: Option<PathBuf>,
    /// Ask callers for a token or for a password
    #[arg(long, value_name = "MODE", value_parser = auth)]
    pub(crate) auth: Option<AuthMode>,
    /// Ask callers for this password; prefer OPENCLAW_GATEWAY_PASSWORD, which other users cannot see
    #[arg(long, value_name = "PASSWORD", value_parser = secret)]
    pub(crate) password: Option<Secret<String>>,
    /// Publish through Tailscale: off, serve or funnel
    #[arg(long, value_name = "MODE", value_parser = tailscale)]
    pub(crate) tailscale: Option<TailscaleMode>,
    /// Take the Tailscale publication back at the end
    #[arg(long)]
    pub(crate) tailscale_reset_on_exit: bool,
    /// Run although gateway.mode is not set to local
    #[arg(long)]
    pub(crate) allow_unconfigured: bool,
    /// Begin with an empty development instance; needs --dev
    #[arg(long)]
    pub(crate) reset: bool,
    /// End the OpenClaw processes that hold the ports of this instance first
    #[arg(long)]
    pub(crate) force: bool,
    /// End whatever holds the ports of this instance first, strangers too
    #[arg(long)]
    pub(crate) force_any: bool,
    /// Print debug lines on the console
    #[arg(long)]
    pub(crate) verbose: bool,
    /// Print only the lines of the Claude CLI on the console
    #[arg(long, hide = true)]
    pub(crate) claude_cli_logs: bool,
    /// Log WebSocket traffic: auto, full or compact
    #[arg(long, value_name = "STYLE", value_parser = ws_log)]
    pub(crate) ws_log: Option<WsLog>,
    /// The same as --ws-log compact
    #[arg(long)]
    pub(crate) compact: bool,
    /// Write what models stream to a file
    #[arg(long, hide = true)]
    pub(crate) raw_stream: bool,
    /// Write what models stream to this file
    #[arg(long, hide = true, value_name = "FILE")]
    pub(crate) raw_stream_path: Option<PathBuf>,
    /// Say whether this program could go on with the instance whose state comes in on standard input
    #[arg(long, hide = true)]
    pub(crate) examine_handed_over: bool,
}

impl RunFlags {
    /// Fills what was not said after `run` with what was said before it.
    #[must_use]
    pub(crate) fn or(self, before: Self) -> Self {
        let token_said = self.token.is_some() || self.token_file.is_some();
        Self {
            port: self.port.or(before.port),
            bind: self.bind.or(before.bind),
            token: self.token.or(before.token.filter(|_| !token_said)),
            token_file: self
                .token_file
                .or(before.token_file.filter(|_| !token_said)),
            auth: self.auth.or(before.auth),
            password: self.password.or(before.password),
            tailscale: self.tailscale.or(before.tailscale),
            tailscale_reset_on_exit: self.tailscale_reset_on_exit || before.tailscale_reset_on_exit,
            allow_unconfigured: self.allow_unconfigured || before.allow_unconfigured,
            reset: self.reset || before.reset,
            force: self.force || before.force,
            force_any: self.force_any || before.force_any,
            verbose: self.verbose || before.verbose,
            claude_cli_logs: self.claude_cli_logs || before.claude_cli_logs,
            ws_log: self.ws_log.or(before.ws_log),
            compact: self.compact || before.compact,
            raw_stream: self.raw_stream || before.raw_stream,
            raw_stream_path: self.raw_stream_path.or(before.raw_stream_path),
            examine_handed_over: self.examine_handed_over || before.examine_handed_over,
        }
    }

    /// The first option given that means something to a gateway that runs in this process only.
    pub(crate) fn only_for_run(&self) -> Option<&'static str> {
        [
            ("--bind", self.bind.is_some()),
            ("--auth", self.auth.is_some()),
            ("--tailscale", self.tailscale.is_some()),
            ("--tailscale-reset-on-exit", self.tailscale_reset_on_exit),
            ("--allow-unconfigured", self.allow_unconfigured),
            ("--reset", self.reset),
            ("--force", self.force),
            ("--force-any", self.force_any),
            ("--verbose", self.verbose),
            ("--claude-cli-logs", self.claude_cli_logs),
            ("--ws-log", self.ws_log.is_some()),
            ("--compact", self.compact),
            ("--raw-stream", self.raw_stream),
            ("--raw-stream-path", self.raw_stream_path.is_some()),
            ("--examine-handed-over", self.examine_handed_over),
        ]
        .into_iter()
        .find_map(|(name, given)| given.then_some(name))
    }

    /// The style of the WebSocket log that the two options select together.
    fn ws_log(&self) -> Option<WsLog> {
        if self.compact {
            Some(WsLog::Compact)
        } else {
            self.ws_log
        }
    }

    /// The first option given that this version cannot honour.
    fn not_available(&self) -> Option<&'static str> {
        [
            ("--claude-cli-logs", self.claude_cli_logs),
            ("--raw-stream", self.raw_stream),
            ("--raw-stream-path", self.raw_stream_path.is_some()),
        ]
        .into_iter()
        .find_map(|(name, given)| given.then_some(name))
    }
}

pub(crate) fn bind(text: &str) -> Result<BindMode, String> {
    text.parse().map_err(|_| {
        "Invalid --bind (use \"loopback\", \"lan\", \"tailnet\", \"auto\", or \"custom\")"
            .to_owned()
    })
}

pub(crate) fn auth(text: &str) -> Result<AuthMode, String> {
    text.parse()
        .map_err(|_| "Invalid --auth (use \"token\" or \"password\")".to_owned())
}

pub(crate) fn tailscale(text: &str) -> Result<TailscaleMode, String> {
    text.parse()
        .map_err(|_| "Invalid --tailscale (use \"off\", \"serve\", or \"funnel\")".to_owned())
}

fn ws_log(text: &str) -> Result<WsLog, String> {
    match text {
        "auto" => Ok(WsLog::Auto),
        "full" => Ok(WsLog::Full),
        "compact" => Ok(WsLog::Compact),
        _ => Err("Invalid --ws-log (use \"auto\", \"full\", \"compact\")".to_owned()),
    }
}

/// The exit codes, for scripts and service managers.
fn exit_codes() -> String {
    let mut text = "Exit codes:".to_owned();
    for exit in Exit::ALL {
        text.push_str(&format!("\n  {:>3}  {}", exit.code(), exit.meaning()));
    }
    text
}

/// Runs the gateway until it is stopped. `handed` is what the program before in this process has left to it.
///
/// # Errors
/// When it is refused, before anything is started.
pub(crate) fn perform(
    context: &Context,
    flags: RunFlags,
    handed: Option<&HandedOver>,
) -> Result<Exit, Failure> {
    if flags.examine_handed_over {
        return examine(context, &flags);
    }
    if let Some(handed) = handed {
        // The instance runs: what a start does first was done, and what comes from files was handed over.
        let options = options(context, &flags, None);
        let lived = lives(&options, Begin::HandedOver(handed));
        return lived.map_err(|refusal| {
            handed.failed(refusal.to_string());
            failure(refusal)
        });
    }
    let token = in_runtime(prepare(context, &flags))?;
    lives(&options(context, &flags, token), Begin::Cold).map_err(failure)
}

/// One life after another, for as long as the next is in this program.
fn lives(options: &RunOptions, begin: Begin<'_>) -> Result<Exit, Refusal> {
    let mut begin = begin;
    loop {
        // What the instance does later is not done for whoever started it.
        let life = following(Trace::None, life::run(options.clone(), begin));
        // It ends before the next program begins: nothing of it may be left in the process.
        let left = runtime()
            .map_err(|error| Refusal::new(Exit::Failure, format!("No runtime: {error}.")))?
            .block_on(life)?;
        begin = match left {
            Left::Ended(exit) => return Ok(exit),
            Left::HandOver(left) => Begin::Unexecuted(Box::new(left.execute())),
        };
    }
}

/// Says whether this program could go on with the instance whose state comes in on standard input.
fn examine(context: &Context, flags: &RunFlags) -> Result<Exit, Failure> {
    let mut document = Vec::new();
    std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut document)
        .map_err(|error| Failure::new(Kind::Failed, format!("no state to look at: {error}")))?;
    let options = options(context, flags, None);
    let answer = examine::answer(&options, &document).map_err(failure)?;
    context.out.document(&answer);
    Ok(Exit::Ok)
}

fn failure(refusal: Refusal) -> Failure {
    let kind = if refusal.exit == Exit::ConfigInvalid {
        Kind::Config
    } else {
        Kind::Refused
    };
    let mut failure = Failure::new(kind, refusal.message).exit(refusal.exit);
    failure.hints = refusal.hints;
    failure
}

/// What comes before a start, and the token that it gives.
async fn prepare(context: &Context, flags: &RunFlags) -> Result<Option<Secret<String>>, Failure> {
    if let Some(option) = flags.not_available() {
        return Err(Failure::new(
            Kind::Unsupported,
            format!("{option} is not available in this version."),
        )
        .hint("Start without it."));
    }
    let is_dev = context.identity.profile.is_dev();
    if flags.reset && !is_dev {
        return Err(Failure::new(Kind::Usage, "Use --reset with --dev."));
    }
    if flags.reset {
        setup::reset(context).await?;
    }
    if is_dev && !context.identity.config_path.exists() {
        setup::bootstrap(context).await?;
    }
    match (&flags.token, &flags.token_file) {
        (Some(token), _) => Ok(Some(token.clone())),
        (None, Some(path)) => read_secret(path).map(Some),
        (None, None) => Ok(None),
    }
}

fn options(context: &Context, flags: &RunFlags, token: Option<Secret<String>>) -> RunOptions {
    let force = match (flags.force_any, flags.force) {
        (true, _) => Some(Force::Any),
        (false, true) => Some(Force::Own),
        (false, false) => None,
    };
    RunOptions {
        identity: context.identity.clone(),
        environment: context.environment.clone(),
        force,
        flags: Flags {
            port: flags.port,
            bind: flags.bind,
            auth: flags.auth,
            token,
            password: flags.password.clone(),
            tailscale: flags.tailscale,
            tailscale_reset_on_exit: flags.tailscale_reset_on_exit,
            allow_unconfigured: flags.allow_unconfigured,
            verbose: flags.verbose,
            no_color: context.no_color,
            ws_log: flags.ws_log(),
        },
    }
}
