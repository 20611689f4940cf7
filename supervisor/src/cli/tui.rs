//! `openclaw tui`: the terminal chat, which lies beside this program.

use std::os::fd::OwnedFd;

use clap::Args;
use command_fds::{CommandFdExt as _, FdMapping};
use openclaw_shared::exit::Exit;
use openclaw_shared::tui::{DESCRIPTOR, LARGEST, Launch, PROGRAM, TuiLaunch};

use super::args::RpcFlags;
use super::context::Context;
use super::failure::{Failure, Kind};
use super::output::Output;
use super::sibling::{become_it, hand_over, sibling};
use super::target::find_target;

/// `tui`.
#[derive(Debug, Args)]
#[command(
    mut_arg("timeout", |timeout| timeout.alias("timeout-ms").help("Give a run so many milliseconds [default: as configured]").long_help(None::<&str>)),
    mut_arg("verbose", |verbose| verbose.hide(true)),
    after_help = "In the chat, /help shows what else can be typed."
)]
pub(crate) struct TuiArgs {
    /// Open this session [default: the main one]
    #[arg(long, value_name = "SESSION")]
    session: Option<String>,
    /// Say this as soon as the session is open
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// How much the model thinks
    #[arg(long, value_name = "LEVEL", value_parser = ["off", "minimal", "low", "medium", "high", "xhigh"])]
    thinking: Option<String>,
    /// Send answers to the session's channel too
    #[arg(long)]
    deliver: bool,
    /// Show so many messages of the past
    #[arg(long, value_name = "MESSAGES", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1000))]
    history_limit: u32,
    #[command(flatten)]
    rpc: RpcFlags,
}

/// Becomes the terminal chat. It comes back only when that could not be started.
///
/// # Errors
/// When nothing can be started.
pub(crate) async fn perform(context: &Context, arguments: TuiArgs) -> Result<Exit, Failure> {
    if context.out.is_json() {
        return Err(Failure::new(
            Kind::Usage,
            "error: option '--json' does not apply to 'tui'",
        )
        .hint(format!("For scripts: {}", context.command("agent --json"))));
    }
    if !Output::is_terminal() {
        return Err(
            Failure::new(Kind::Usage, "The terminal chat needs a terminal.").hint(format!(
                "For scripts: {}",
                context.command("agent --message")
            )),
        );
    }
    let gateway = find_target(context, &arguments.rpc, false).await?.gateway;
    if let Some(refusal) = not_reachable(&gateway.url) {
        return Err(refusal);
    }
    let timeout = arguments.rpc.timeout;
    let launch = TuiLaunch {
        url: gateway.url,
        token: gateway.token,
        password: gateway.password,
        secret_is_given: gateway.secret_is_given,
        is_ours: gateway.is_ours,
        identity: gateway.identity,
        session: arguments.session,
        thinking: arguments.thinking,
        deliver: arguments.deliver,
        timeout_ms: timeout.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)),
        message: arguments.message,
        history_limit: arguments.history_limit,
        color: !context.no_color,
    };
    become_program(&Launch::Chat(Box::new(launch)))
}

/// Becomes the program that draws on terminals. It comes back only when that could not be started.
///
/// # Errors
/// When nothing can be started.
pub(crate) fn become_program(launch: &Launch) -> Result<Exit, Failure> {
    let document = FdMapping {
        parent_fd: OwnedFd::from(hand_over(launch, LARGEST)?),
        child_fd: DESCRIPTOR,
    };
    let mut program = sibling(PROGRAM)?;
    program.fd_mappings(vec![document]).map_err(|error| {
        Failure::new(
            Kind::Failed,
            format!("The program cannot be told what to do: {error}"),
        )
    })?;
    Err(become_it(&mut program))
}

/// Why a gateway cannot be reached by this build, if so.
pub(crate) fn not_reachable(url: &str) -> Option<Failure> {
    url.starts_with("wss:").then(|| {
        Failure::new(
            Kind::Unsupported,
            "TLS to a gateway (wss://) is not available in this build.",
        )
        .hint("Use an SSH tunnel: ssh -N -L 18789:127.0.0.1:18789 <gateway>, then --port 18789.")
    })
}
