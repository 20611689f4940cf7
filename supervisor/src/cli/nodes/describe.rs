//! `nodes describe`: everything that is known of one node.

use openclaw_shared::clock::WallTime;
use openclaw_shared::exit::Exit;
use openclaw_shared::protocol::method::nodes::NodeDescribe;
use serde_json::{Value, json};

use super::super::answer::Answer as _;
use super::super::args::RpcFlags;
use super::super::context::Context;
use super::super::failure::Failure;
use super::super::rpc::Rpc;
use super::super::span::relative;
use super::super::table::fields;
use super::resolve;

pub(super) async fn perform(
    context: &Context,
    flags: &RpcFlags,
    node: &str,
) -> Result<Exit, Failure> {
    let mut rpc = Rpc::for_command(context, flags, "nodes describe").await?;
    let node = resolve::find(&mut rpc, node).await?;
    let answer = rpc
        .call::<NodeDescribe>(json!({ "nodeId": node.id }))
        .await?;
    context
        .out
        .answer(&answer, || render(&answer, WallTime::now()));
    Ok(Exit::Ok)
}

fn render(node: &Value, now: WallTime) -> Vec<String> {
    let yes = |key: &str| Some(if node.is_on(key) { "yes" } else { "no" }.to_owned());
    let when = |key: &str| node.time(key).map(|then| relative(now, then));
    let permissions = node["permissions"].as_object().map(|permissions| {
        let granted = permissions.iter().map(|(name, granted)| {
            format!("{name}={}", if granted == true { "yes" } else { "no" })
        });
        granted.collect::<Vec<_>>().join(", ")
    });
    let mut lines = fields([
        ("ID", node.some_text("nodeId")),
        ("Name", node.some_text("displayName")),
        ("Platform", node.some_text("platform")),
        ("Device", node.some_text("deviceFamily")),
        ("Model", node.some_text("modelIdentifier")),
        ("Version", node.some_text("version")),
        ("Core version", node.some_text("coreVersion")),
        ("UI version", node.some_text("uiVersion")),
        ("IP", node.some_text("remoteIp")),
        ("Paired", yes("paired")),
        ("Connected", yes("connected")),
        ("Connected since", when("connectedAtMs")),
        ("Last connected", when("lastConnectedAtMs")),
        ("Last seen", when("lastSeenAtMs")),
        (
            "Caps",
            Some(node.texts("caps").join(", ")).filter(|caps| !caps.is_empty()),
        ),
        ("Permissions", permissions.filter(|text| !text.is_empty())),
        ("PATH", node.some_text("pathEnv")),
    ]);
    lines.push(String::new());
    match node.texts("commands") {
        commands if commands.is_empty() => lines.push("Commands: none".to_owned()),
        commands => {
            lines.push("Commands".to_owned());
            lines.extend(commands.iter().map(|command| format!("  {command}")));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_described_by_what_is_known_of_it() {
        let node = json!({"nodeId": "6d43", "displayName": "Build Box", "platform": "linux", "paired": true,
            "connected": true, "connectedAtMs": 1000, "caps": ["system"], "permissions": {"camera": true, "screen": false},
            "commands": ["system.run", "system.which"]});
        assert_eq!(
            render(&node, WallTime::from_millis(61_000)),
            [
                "ID               6d43",
                "Name             Build Box",
                "Platform         linux",
                "Paired           yes",
                "Connected        yes",
                "Connected since  1m ago",
                "Caps             system",
                "Permissions      camera=yes, screen=no",
                "",
                "Commands",
                "  system.run",
                "  system.which",
            ]
        );
    }
}
