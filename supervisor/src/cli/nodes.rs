//! `openclaw nodes`: the devices that execute commands for the gateway, and what can be done with them.

use clap::{Args, Subcommand};
use openclaw_shared::exit::Exit;
use openclaw_shared::protocol::method::devices::{DevicePairRemove, NodeRename};
use serde_json::json;

use super::answer::Answer as _;
use super::args::{RpcFlags, everywhere};
use super::context::Context;
use super::failure::Failure;
use super::pairing::RequestName;
use super::rpc::Rpc;

mod camera;
mod canvas;
mod describe;
mod invoke;
mod list;
mod location;
mod media;
mod notify;
mod pairing;
pub(crate) mod resolve;
mod run;
mod screen;

/// `nodes`.
#[derive(Debug, Args)]
#[command(
    mut_args = everywhere,
    after_help = "A node is named by its id, the beginning of its id (6 characters or more), its name or its address."
)]
pub(crate) struct NodesArgs {
    #[command(flatten)]
    rpc: RpcFlags,
    #[command(subcommand)]
    command: NodesCommand,
}

#[derive(Debug, Subcommand)]
enum NodesCommand {
    /// Show the known nodes, and which of them are connected
    Status(list::Filter),
    /// Show the nodes that are paired or ask to be
    List(list::Filter),
    /// Show one node with its commands
    Describe(NodeName),
    /// Show the nodes that ask to be paired
    Pending,
    /// Let a node in
    Approve(RequestName),
    /// Turn a node away
    Reject(RequestName),
    /// Give a node another name
    Rename {
        #[command(flatten)]
        node: NodeName,
        /// Its new name
        #[arg(long, value_name = "NAME")]
        name: String,
    },
    /// Forget a node; it has to be paired again
    Remove(NodeName),
    /// Invoke a command of a node, and print its answer
    Invoke(invoke::InvokeArgs),
    /// Run a program on a node, and exit as it does
    Run(run::RunArgs),
    /// Show a notification on a node
    Notify(notify::NotifyArgs),
    /// Show pages on a node's canvas
    #[command(subcommand)]
    Canvas(canvas::CanvasCommand),
    /// Take pictures and clips with a node's cameras
    #[command(subcommand)]
    Camera(camera::CameraCommand),
    /// Record a node's screen
    #[command(subcommand)]
    Screen(screen::ScreenCommand),
    /// Ask where a node is
    #[command(subcommand)]
    Location(location::LocationCommand),
}

/// A node, named as an argument or by `--node`.
#[derive(Debug, Clone, Args)]
pub(crate) struct NodeName {
    /// The node
    #[arg(value_name = "NODE", required_unless_present = "node")]
    named: Option<String>,
    /// The same as NODE
    #[arg(long, value_name = "NODE", conflicts_with = "named")]
    node: Option<String>,
}

impl NodeName {
    fn text(&self) -> &str {
        let named = self.named.as_deref().or(self.node.as_deref());
        named.unwrap_or_default()
    }
}

pub(crate) async fn perform(
    context: &Context,
    arguments: NodesArgs,
) -> Result<std::process::ExitCode, Failure> {
    let rpc = &arguments.rpc;
    let done = match arguments.command {
        NodesCommand::Run(arguments) => return run::perform(context, rpc, arguments).await,
        NodesCommand::Status(filter) => list::status(context, rpc, filter).await,
        NodesCommand::List(filter) => list::list(context, rpc, filter).await,
        NodesCommand::Describe(node) => describe::perform(context, rpc, node.text()).await,
        NodesCommand::Pending => pairing::pending(context, rpc).await,
        NodesCommand::Approve(request) => pairing::approve(context, rpc, request).await,
        NodesCommand::Reject(request) => pairing::reject(context, rpc, request).await,
        NodesCommand::Rename { node, name } => rename(context, rpc, node.text(), &name).await,
        NodesCommand::Remove(node) => remove(context, rpc, node.text()).await,
        NodesCommand::Invoke(arguments) => invoke::perform(context, rpc, arguments).await,
        NodesCommand::Notify(arguments) => notify::perform(context, rpc, arguments).await,
        NodesCommand::Canvas(command) => canvas::perform(context, rpc, command).await,
        NodesCommand::Camera(command) => camera::perform(context, rpc, command).await,
        NodesCommand::Screen(command) => screen::perform(context, rpc, command).await,
        NodesCommand::Location(command) => location::perform(context, rpc, command).await,
    };
    done.map(Into::into)
}

async fn rename(
    context: &Context,
    flags: &RpcFlags,
    node: &str,
    name: &str,
) -> Result<Exit, Failure> {
    let mut rpc = Rpc::for_command(context, flags, "nodes rename").await?;
    let node = resolve::find(&mut rpc, node).await?;
    let params = json!({ "nodeId": node.id, "displayName": name });
    let answer = rpc.call::<NodeRename>(params).await?;
    context.out.answer(&answer, || {
        vec![format!(
            "{} is called {} now.",
            node.shown,
            answer.text("displayName")
        )]
    });
    Ok(Exit::Ok)
}

async fn remove(context: &Context, flags: &RpcFlags, node: &str) -> Result<Exit, Failure> {
    let mut rpc = Rpc::for_command(context, flags, "nodes remove").await?;
    let node = resolve::find(&mut rpc, node).await?;
    let answer = rpc
        .call::<DevicePairRemove>(json!({ "deviceId": node.id }))
        .await?;
    context
        .out
        .answer(&answer, || vec![format!("Removed {}.", node.shown)]);
    Ok(Exit::Ok)
}
