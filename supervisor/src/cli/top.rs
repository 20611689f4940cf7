//! `openclaw top`: the live view, which is drawn by the program beside this one.

use std::time::Duration;

use clap::Args;
use openclaw_shared::exit::Exit;
use openclaw_shared::tui::{Launch, TopLaunch, TopOutput};

use super::args::{RpcFlags, span};
use super::context::Context;
use super::failure::{Failure, Kind};
use super::output::Output;
use super::target::find_target;
use super::tui::{become_program, not_reachable};

/// Between two looks, when nothing else is said.
const INTERVAL: Duration = Duration::from_secs(2);
/// The least: a look costs the supervisor one at the processes.
const SHORTEST: Duration = Duration::from_millis(250);

/// `top`.
#[derive(Debug, Args)]
#[command(
    after_help = "Keys: q quits, p or Space pauses, s and S choose the column to sort by, r reverses it, Tab goes to the next list, the arrows move within it."
)]
pub(crate) struct TopArgs {
    /// Look once, print it and end
    #[arg(long)]
    once: bool,
    /// Look again after this time [default: 2s]
    #[arg(long, value_name = "TIME", value_parser = span)]
    interval: Option<Duration>,
    #[command(flatten)]
    rpc: RpcFlags,
}

/// Becomes the live view. It comes back only when that could not be started.
///
/// # Errors
/// When nothing can be started.
pub(crate) async fn perform(context: &Context, arguments: TopArgs) -> Result<Exit, Failure> {
    let output = match (context.out.is_json(), arguments.once) {
        (true, _) => TopOutput::Json,
        (false, true) => TopOutput::Text,
        (false, false) => TopOutput::Screen,
    };
    if output == TopOutput::Screen && !Output::is_terminal() {
        let hint = context.command("top --once");
        return Err(Failure::new(Kind::Usage, "The live view needs a terminal.")
            .hint(format!("For scripts: {hint}")));
    }
    let target = find_target(context, &arguments.rpc, false).await?;
    let is_local = target.source.is_local();
    let gateway = target.gateway;
    if let Some(refusal) = not_reachable(&gateway.url) {
        return Err(refusal);
    }
    let interval = arguments.interval.unwrap_or(INTERVAL).max(SHORTEST);
    let launch = TopLaunch {
        url: gateway.url,
        token: gateway.token,
        password: gateway.password,
        secret_is_given: gateway.secret_is_given,
        is_ours: gateway.is_ours,
        identity: gateway.identity,
        supervisor: is_local.then(|| context.supervisor_socket()),
        interval_ms: u64::try_from(interval.as_millis()).unwrap_or(u64::MAX),
        output,
        color: !context.no_color,
    };
    become_program(&Launch::Top(Box::new(launch)))
}
