//! `approvals pending`, `approvals approve` and `approvals deny`: what a program waits for a person to decide.
//!
//! Everything that decides what would run is shown in full, and a decision counts for what was shown alone.

use clap::Args;
use openclaw_shared::clock::WallTime;
use openclaw_shared::exit::Exit;
use openclaw_shared::protocol::method::nodes::{ExecApprovalList, ExecApprovalResolve, NodeList};
use openclaw_shared::secret::PLACEHOLDER;
use serde_json::{Value, json};

use super::super::answer::{Answer as _, given};
use super::super::args::RpcFlags;
use super::super::context::Context;
use super::super::failure::Failure;
use super::super::pairing::RequestName;
use super::super::request::{Waiting, choose};
use super::super::rpc::Rpc;
use super::super::span::relative;
use super::super::table::fields;

/// `approvals approve`.
#[derive(Debug, Clone, Args)]
pub(super) struct ApproveArgs {
    #[command(flatten)]
    request: RequestName,
    /// Allow the program from now on, not only this time; shells and programs like them are asked about each time
    #[arg(long)]
    always: bool,
}

pub(super) async fn list(context: &Context, rpc: &RpcFlags) -> Result<Exit, Failure> {
    let mut rpc = Rpc::for_command(context, rpc, "approvals pending").await?;
    let answer = rpc.call::<ExecApprovalList>(json!({})).await?;
    let nodes = match answer.items("pending") {
        [] => Value::Null,
        _ => nodes(&mut rpc).await,
    };
    context
        .out
        .answer(&answer, || render(&answer, &nodes, WallTime::now()));
    Ok(Exit::Ok)
}

/// The nodes, for their names. Who decides may do so without knowing them.
async fn nodes(rpc: &mut Rpc<'_>) -> Value {
    let answer = rpc.call::<NodeList>(json!({})).await;
    answer.map_or(Value::Null, |mut answer| answer["nodes"].take())
}

fn render(answer: &Value, nodes: &Value, now: WallTime) -> Vec<String> {
    let pending = answer.items("pending");
    if pending.is_empty() {
        return vec!["Nothing waits for approval.".to_owned()];
    }
    let requests = pending
        .iter()
        .map(|approval| describe(approval, nodes, now));
    requests.collect::<Vec<_>>().join(&String::new())
}

/// All that a decision is about, in full.
fn describe(approval: &Value, nodes: &Value, now: WallTime) -> Vec<String> {
    let request = &approval["request"];
    let argv = &request["argv"];
    let expires = approval.time("expiresAtMs").map(|then| relative(now, then));
    let about = [
        ("Request", approval.some_text("id")),
        ("Command", request.some_text("command")),
        ("Arguments", argv.is_array().then(|| argv.to_string())),
        ("Folder", request.some_text("cwd")),
        ("Where", place(request, nodes)),
        ("Agent", request.some_text("agentId")),
        ("Session", request.some_text("sessionKey")),
        ("Expires", expires),
    ];
    let names = request.texts("envNames");
    let variables = names.iter().map(|name| {
        // What is left out is a secret.
        let value = request["env"][name].as_str().unwrap_or(PLACEHOLDER);
        ("Variable", Some(format!("{name}={value}")))
    });
    fields(about.into_iter().chain(variables))
}

fn place(request: &Value, nodes: &Value) -> Option<String> {
    match (request.some_text("nodeId"), request.some_text("host")) {
        (Some(id), _) => {
            let nodes = nodes.as_array().map(Vec::as_slice).unwrap_or_default();
            let node = nodes.iter().find(|node| node["nodeId"] == id);
            // A name is what a node calls itself; its id says which one it is.
            Some(match node.and_then(|node| node.some_text("displayName")) {
                Some(name) => format!("node {name:?} ({id})"),
                None => format!("node {id}"),
            })
        }
        (None, Some(host)) if host == "node" => Some("any node".to_owned()),
        (None, host) => host,
    }
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
    let request = arguments.request;
    decide(context, rpc, request, "approve", decision, "Approved").await
}

pub(super) async fn deny(
    context: &Context,
    rpc: &RpcFlags,
    request: RequestName,
) -> Result<Exit, Failure> {
    decide(context, rpc, request, "deny", "deny", "Denied").await
}

async fn decide(
    context: &Context,
    flags: &RpcFlags,
    request: RequestName,
    verb: &str,
    decision: &str,
    done: &str,
) -> Result<Exit, Failure> {
    let command = format!("approvals {verb}");
    let mut rpc = Rpc::for_command(context, flags, &command).await?;
    let list = rpc.call::<ExecApprovalList>(json!({})).await?;
    let pending = list.items("pending");
    let waiting: Vec<Waiting> = pending
        .iter()
        .map(|approval| Waiting {
            id: approval.text("id"),
            about: approval["request"].text("command"),
        })
        .collect();
    let chosen = choose(&waiting, request.request.as_deref(), |id| {
        context.command(&format!("{command} {id}"))
    })?;
    let shown = pending.iter().find(|approval| approval["id"] == chosen.id);
    let shown = shown.unwrap_or(&Value::Null);
    if !context.out.is_json() {
        let nodes = nodes(&mut rpc).await;
        for line in describe(shown, &nodes, WallTime::now()) {
            context.out.note(line);
        }
    }
    // A gateway of another version says no digest and takes none.
    let params = given(json!({
        "id": chosen.id,
        "decision": decision,
        "sha256": shown.some_text("sha256"),
    }));
    let answer = rpc.call::<ExecApprovalResolve>(params).await?;
    context
        .out
        .answer(&answer, || vec![format!("{done}: {}", chosen.about)]);
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_49_what_waits_is_shown_in_full() {
        let answer = json!({"pending": [
            {"id": "b7ab6506-b70c-414a-9498-a6a73d0048e4", "createdAtMs": 0, "expiresAtMs": 91_000, "request": {
                "command": "ls -l", "argv": ["ls", "-l"], "cwd": "/src", "host": "node", "agentId": null,
                "nodeId": "6d43aa00bb11cc22", "envNames": ["API_TOKEN", "PATH"],
                "env": {"PATH": "/tmp/evil:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/a/long/way"}}},
            {"id": "2", "createdAtMs": 0, "expiresAtMs": 91_000, "request": {"command": "rm -rf\nbuild", "host": "node", "agentId": "dev"}},
            {"id": "3", "createdAtMs": 0, "expiresAtMs": 91_000, "request": {"command": "id", "host": "gateway"}},
        ]});
        let nodes = json!([{"nodeId": "6d43aa00bb11cc22", "displayName": "Build Box"}]);
        assert_eq!(
            render(&answer, &nodes, WallTime::from_millis(1_000)),
            [
                "Request    b7ab6506-b70c-414a-9498-a6a73d0048e4",
                "Command    ls -l",
                "Arguments  [\"ls\",\"-l\"]",
                "Folder     /src",
                "Where      node \"Build Box\" (6d43aa00bb11cc22)",
                "Expires    in 1m",
                "Variable   API_TOKEN=***",
                "Variable   PATH=/tmp/evil:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/a/long/way",
                "",
                "Request  2",
                "Command  rm -rf\\nbuild",
                "Where    any node",
                "Agent    dev",
                "Expires  in 1m",
                "",
                "Request  3",
                "Command  id",
                "Where    gateway",
                "Expires  in 1m",
            ]
        );
    }
}
