//! `nodes pending`, `nodes approve` and `nodes reject`: who may become a node.

use openclaw_shared::clock::WallTime;
use openclaw_shared::exit::Exit;
use openclaw_shared::protocol::method::devices::{NodePairApprove, NodePairList, NodePairReject};
use serde_json::{Value, json};

use super::super::answer::{Answer as _, short_id};
use super::super::args::RpcFlags;
use super::super::context::Context;
use super::super::failure::Failure;
use super::super::pairing::{Deciding, RequestName, decide};
use super::super::request::Waiting;
use super::super::rpc::ask;
use super::list::waiting;

const APPROVE: Deciding = Deciding {
    command: "nodes approve",
    done: "Approved",
    about,
};
const REJECT: Deciding = Deciding {
    command: "nodes reject",
    done: "Rejected",
    about,
};

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
    decide::<NodePairList, NodePairApprove>(context, rpc, request, APPROVE).await
}

pub(super) async fn reject(
    context: &Context,
    rpc: &RpcFlags,
    request: RequestName,
) -> Result<Exit, Failure> {
    decide::<NodePairList, NodePairReject>(context, rpc, request, REJECT).await
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
