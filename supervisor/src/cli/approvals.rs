//! `openclaw approvals`: what may be executed without asking, and what is being asked.

use clap::{Args, Subcommand};
use openclaw_shared::exit::Exit;

use super::args::{RpcFlags, everywhere};
use super::context::Context;
use super::failure::Failure;
use super::pairing::RequestName;

mod allowlist;
mod pending;
mod rules;

/// `approvals`.
#[derive(Debug, Args)]
#[command(mut_args = everywhere)]
pub(crate) struct ApprovalsArgs {
    #[command(flatten)]
    rpc: RpcFlags,
    #[command(subcommand)]
    command: ApprovalsCommand,
}

#[derive(Debug, Subcommand)]
enum ApprovalsCommand {
    /// Show what may be executed without asking
    Get(rules::Place),
    /// Replace what may be executed without asking
    Set(rules::SetArgs),
    /// Change which programs an agent may execute
    #[command(subcommand)]
    Allowlist(allowlist::AllowlistCommand),
    /// Show what waits for a decision
    Pending,
    /// Allow what waits
    Approve(pending::ApproveArgs),
    /// Refuse what waits
    Deny(RequestName),
}

pub(crate) async fn perform(context: &Context, arguments: ApprovalsArgs) -> Result<Exit, Failure> {
    let rpc = &arguments.rpc;
    match arguments.command {
        ApprovalsCommand::Get(place) => rules::get(context, rpc, place).await,
        ApprovalsCommand::Set(arguments) => rules::set(context, rpc, arguments).await,
        ApprovalsCommand::Allowlist(command) => allowlist::perform(context, rpc, command).await,
        ApprovalsCommand::Pending => pending::list(context, rpc).await,
        ApprovalsCommand::Approve(arguments) => pending::approve(context, rpc, arguments).await,
        ApprovalsCommand::Deny(request) => pending::deny(context, rpc, request).await,
    }
}
