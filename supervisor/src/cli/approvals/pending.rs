//! `approvals pending`, `approvals approve` and `approvals deny`: what a program waits for a person to decide.

use clap::Args;
use openclaw_shared::clock::WallTime;
use openclaw_shared::exit::Exit;
use openclaw_shared::protocol::method::nodes::{ExecApprovalList, ExecApprovalResolve};
use serde_json::{Value, json};

use super::super::answer::{Answer as _, short_id};
use super::super::args::RpcFlags;
use super::super::context::Context;
use super::super::failure::Failure;
use super::super::request::{Waiting, choose};
use super::super::rpc::{Rpc, ask};
use super::super::span::relative;
use super::super::table::Table;

/// `approvals approve`.
#[derive(Debug, Clone, Args)]
pub(super) struct ApproveArgs {
    /// The request, or the beginning of its id
    #[arg(value_name = "REQUEST")]
    request: Option<String>,
    /// Allow the program from now on, not only this time
    #[arg(long)]
    always: bool,
}

/// `approvals deny`.
#[derive(Debug, Clone, Args)]
pub(super) struct DenyArgs {
    /// The request, or the beginning of its id
    #[arg(value_name = "REQUEST")]
    request: Option<String>,
}

pub(super) async fn list(context: &Context, rpc: &RpcFlags) -> Result<Exit, Failure> {
    let answer = ask::<ExecApprovalList>(context, rpc, "approvals pending", json!({})).await?;
    context
        .out
        .answer(&answer, || render(&answer, WallTime::now()));
    Ok(Exit::Ok)
}

fn render(answer: &Value, now: WallTime) -> Vec<String> {
    let pending = answer.items("pending");
    if pending.is_empty() {
        return vec!["Nothing waits for approval.".to_owned()];
    }
    let mut table = Table::new(["Request", "Command", "Folder", "Where", "Agent", "Expires"]);
    for approval in pending {
        let request = &approval["request"];
        let place = request.some_text("nodeId").map(|id| short_id(&id));
        let expires = approval.time("expiresAtMs").map(|then| relative(now, then));
        table.row([
            short_id(&approval.text("id")),
            request.text("command"),
            request.text("cwd"),
            place.unwrap_or_else(|| request.text("host")),
            request.text("agentId"),
            expires.unwrap_or_default(),
        ]);
    }
    table.lines()
}

pub(super) async fn approve(
    context: &Context,
    rpc: &RpcFlags,
    arguments: ApproveArgs,
) -> Result<Exit, Failure> {
    let decision = if arguments.always {
        "allow-always"
    } else {
        "allow-once"
    };
    let name = arguments.request.as_deref();
    decide(context, rpc, name, "approve", decision, "Approved").await
}

pub(super) async fn deny(
    context: &Context,
    rpc: &RpcFlags,
    arguments: DenyArgs,
) -> Result<Exit, Failure> {
    let name = arguments.request.as_deref();
    decide(context, rpc, name, "deny", "deny", "Denied").await
}

async fn decide(
    context: &Context,
    flags: &RpcFlags,
    wanted: Option<&str>,
    verb: &str,
    decision: &str,
    done: &str,
) -> Result<Exit, Failure> {
    let command = format!("approvals {verb}");
    let mut rpc = Rpc::for_command(context, flags, &command).await?;
    let list = rpc.call::<ExecApprovalList>(json!({})).await?;
    let waiting: Vec<Waiting> = list
        .items("pending")
        .iter()
        .map(|approval| Waiting {
            id: approval.text("id"),
            about: approval["request"].text("command"),
        })
        .collect();
    let chosen = choose(&waiting, wanted, |id| {
        context.command(&format!("{command} {id}"))
    })?;
    let answer = rpc
        .call::<ExecApprovalResolve>(json!({ "id": chosen.id, "decision": decision }))
        .await?;
    context
        .out
        .answer(&answer, || vec![format!("{done}: {}", chosen.about)]);
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_shown_with_the_time_that_is_left() {
        let answer = json!({"pending": [{"id": "b7ab6506-b70c-414a-9498-a6a73d0048e4", "createdAtMs": 0, "expiresAtMs": 91_000,
            "request": {"command": "rm -rf build", "cwd": "/src", "host": "node", "agentId": null, "nodeId": "6d43aa00bb11cc22"}}]});
        assert_eq!(
            render(&answer, WallTime::from_millis(1_000)),
            [
                "Request       Command       Folder  Where         Expires",
                "b7ab6506-b70  rm -rf build  /src    6d43aa00bb11  in 1m",
            ]
        );
    }
}
