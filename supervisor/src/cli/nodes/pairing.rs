//! `nodes pending`, `nodes approve` and `nodes reject`: who may become a node.

use clap::Args;
use openclaw_shared::clock::WallTime;
use openclaw_shared::exit::Exit;
use openclaw_shared::protocol::method::Method;
use openclaw_shared::protocol::method::devices::{NodePairApprove, NodePairList, NodePairReject};
use serde_json::{Value, json};

use super::super::answer::{Answer as _, short_id};
use super::super::args::RpcFlags;
use super::super::context::Context;
use super::super::failure::Failure;
use super::super::request::{Waiting, choose};
use super::super::rpc::{Rpc, ask};
use super::list::waiting;

/// A request, named by its id.
#[derive(Debug, Clone, Args)]
pub(crate) struct RequestName {
    /// The request, or the beginning of its id
    #[arg(value_name = "REQUEST")]
    pub(crate) request: Option<String>,
}

pub(super) async fn pending(context: &Context, rpc: &RpcFlags) -> Result<Exit, Failure> {
    let answer = ask::<NodePairList>(context, rpc, "nodes pending", json!({})).await?;
    context
        .out
        .answer(&answer["pending"], || match answer.items("pending") {
            [] => vec!["No pending pairing requests.".to_owned()],
            pending => waiting(pending, WallTime::now()),
        });
    Ok(Exit::Ok)
}

pub(super) async fn approve(
    context: &Context,
    rpc: &RpcFlags,
    request: RequestName,
) -> Result<Exit, Failure> {
    decide::<NodePairApprove>(context, rpc, request, "approve", "Approved").await
}

pub(super) async fn reject(
    context: &Context,
    rpc: &RpcFlags,
    request: RequestName,
) -> Result<Exit, Failure> {
    decide::<NodePairReject>(context, rpc, request, "reject", "Rejected").await
}

async fn decide<M: Method>(
    context: &Context,
    flags: &RpcFlags,
    request: RequestName,
    verb: &str,
    done: &str,
) -> Result<Exit, Failure> {
    let command = format!("nodes {verb}");
    let mut rpc = Rpc::for_command(context, flags, &command).await?;
    let list = rpc.call::<NodePairList>(json!({})).await?;
    let waiting: Vec<Waiting> = list.items("pending").iter().map(about).collect();
    let chosen = choose(&waiting, request.request.as_deref(), |id| {
        context.command(&format!("{command} {id}"))
    })?;
    let answer = rpc.call::<M>(json!({ "requestId": chosen.id })).await?;
    context
        .out
        .answer(&answer, || vec![format!("{done} {}.", chosen.about)]);
    Ok(Exit::Ok)
}

fn about(request: &Value) -> Waiting {
    let id = short_id(&request.text("nodeId"));
    Waiting {
        id: request.text("requestId"),
        about: match request.some_text("displayName") {
            Some(name) => format!("{name}, node {id}"),
            None => format!("node {id}"),
        },
    }
}
