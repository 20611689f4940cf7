//! `nodes status` and `nodes list`: which nodes there are.

use std::time::Duration;

use clap::Args;
use openclaw_shared::clock::WallTime;
use openclaw_shared::exit::Exit;
use openclaw_shared::protocol::method::devices::NodePairList;
use openclaw_shared::protocol::method::nodes::NodeList;
use serde_json::{Value, json};

use super::super::answer::{Answer as _, short_id};
use super::super::args::{RpcFlags, span};
use super::super::context::Context;
use super::super::failure::Failure;
use super::super::rpc::ask;
use super::super::span::relative;
use super::super::table::Table;

/// Which nodes are wanted.
#[derive(Debug, Clone, Args)]
pub(crate) struct Filter {
    /// Only those that are connected
    #[arg(long)]
    connected: bool,
    /// Only those that were connected in this span, for example 24h
    #[arg(long, value_name = "SPAN", value_parser = span)]
    last_connected: Option<Duration>,
}

impl Filter {
    fn lets_through(&self, node: &Value, now: WallTime) -> bool {
        let connected = node.is_on("connected");
        let recently = self.last_connected.is_none_or(|span| {
            connected || last_seen(node).is_some_and(|then| now.since(then) <= span)
        });
        recently && (connected || !self.connected)
    }

    /// Takes out of a list in an answer what is not wanted.
    fn apply(&self, answer: &mut Value, list: &str, now: WallTime) {
        if let Some(nodes) = answer[list].as_array_mut() {
            nodes.retain(|node| self.lets_through(node, now));
        }
    }
}

/// When a node was last connected, as far as the gateway says.
fn last_seen(node: &Value) -> Option<WallTime> {
    ["lastSeenAtMs", "lastConnectedAtMs", "connectedAtMs"]
        .iter()
        .find_map(|key| node.time(key))
}

pub(super) async fn status(
    context: &Context,
    rpc: &RpcFlags,
    filter: Filter,
) -> Result<Exit, Failure> {
    let mut answer = ask::<NodeList>(context, rpc, "nodes status", json!({})).await?;
    let now = WallTime::now();
    filter.apply(&mut answer, "nodes", now);
    context
        .out
        .answer(&answer, || known(answer.items("nodes"), now));
    Ok(Exit::Ok)
}

fn known(nodes: &[Value], now: WallTime) -> Vec<String> {
    let count = |key: &str| nodes.iter().filter(|node| node.is_on(key)).count();
    let mut lines = vec![format!(
        "Known: {} · Paired: {} · Connected: {}",
        nodes.len(),
        count("paired"),
        count("connected")
    )];
    if nodes.is_empty() {
        return lines;
    }
    let mut table = Table::new(["Node", "ID", "IP", "Platform", "Status", "Caps"]);
    for node in nodes {
        table.row([
            node.text("displayName"),
            short_id(&node.text("nodeId")),
            node.text("remoteIp"),
            node.text("platform"),
            state(node, now),
            node.texts("caps").join(", "),
        ]);
    }
    lines.push(String::new());
    lines.extend(table.lines());
    lines
}

fn state(node: &Value, now: WallTime) -> String {
    let here = match (node.is_on("connected"), last_seen(node)) {
        (true, Some(since)) => format!("connected {}", relative(now, since)),
        (true, None) => "connected".to_owned(),
        (false, Some(then)) => format!("seen {}", relative(now, then)),
        (false, None) => "away".to_owned(),
    };
    match node.is_on("paired") {
        true => here,
        false => format!("not paired, {here}"),
    }
}

pub(super) async fn list(
    context: &Context,
    rpc: &RpcFlags,
    filter: Filter,
) -> Result<Exit, Failure> {
    let mut answer = ask::<NodePairList>(context, rpc, "nodes list", json!({})).await?;
    let now = WallTime::now();
    filter.apply(&mut answer, "paired", now);
    context.out.answer(&answer, || {
        let (pending, paired) = (answer.items("pending"), answer.items("paired"));
        let mut lines = vec![format!(
            "Pending: {} · Paired: {}",
            pending.len(),
            paired.len()
        )];
        if !pending.is_empty() {
            lines.push(String::new());
            lines.extend(waiting(pending, now));
        }
        if !paired.is_empty() {
            lines.push(String::new());
            lines.extend(paired_nodes(paired, now));
        }
        lines
    });
    Ok(Exit::Ok)
}

/// The nodes that ask to be paired.
pub(super) fn waiting(pending: &[Value], now: WallTime) -> Vec<String> {
    let mut table = Table::new(["Request", "Node", "ID", "IP", "Platform", "Asked"]);
    for request in pending {
        let asked = request.time("ts").map(|then| relative(now, then));
        table.row([
            short_id(&request.text("requestId")),
            request.text("displayName"),
            short_id(&request.text("nodeId")),
            request.text("remoteIp"),
            request.text("platform"),
            asked.unwrap_or_default(),
        ]);
    }
    table.lines()
}

fn paired_nodes(paired: &[Value], now: WallTime) -> Vec<String> {
    let mut table = Table::new(["Node", "ID", "IP", "Platform", "Last connected"]);
    for node in paired {
        table.row([
            node.text("displayName"),
            short_id(&node.text("nodeId")),
            node.text("remoteIp"),
            node.text("platform"),
            last_seen(node)
                .map(|then| relative(now, then))
                .unwrap_or_default(),
        ]);
    }
    table.lines()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes() -> Vec<Value> {
        let id = "6d43aa00".repeat(8);
        vec![
            json!({"nodeId": id, "displayName": "Build Box", "platform": "linux", "paired": true, "connected": true,
                   "caps": ["browser", "system"], "connectedAtMs": 1_000_000}),
            json!({"nodeId": "p", "displayName": "Test iPhone with a long name", "platform": "iOS 18.2", "paired": true,
                   "connected": false, "caps": ["camera", "canvas", "location", "screen", "voiceWake"], "lastConnectedAtMs": 940_000}),
        ]
    }

    const NOW: WallTime = WallTime::from_millis(1_120_000);

    #[test]
    fn nodes_fit_a_terminal() {
        let lines = known(&nodes(), NOW);
        assert_eq!(
            lines,
            [
                "Known: 2 · Paired: 2 · Connected: 1",
                "",
                "Node               ID            Platform  Status            Caps",
                "Build Box          6d43aa006d43  linux     connected 2m ago  browser, system",
                "Test iPhone with…  p             iOS 18.2  seen 3m ago       camera, canvas, l…",
            ]
        );
    }

    #[test]
    fn only_those_wanted_are_shown() {
        let ids = |filter: Filter| {
            let mut answer = json!({ "nodes": nodes() });
            filter.apply(&mut answer, "nodes", NOW);
            answer.items("nodes").len()
        };
        let filter = |connected, seconds: Option<u64>| Filter {
            connected,
            last_connected: seconds.map(Duration::from_secs),
        };
        assert_eq!(ids(filter(false, None)), 2);
        assert_eq!(ids(filter(true, None)), 1);
        assert_eq!(ids(filter(false, Some(60))), 1);
        assert_eq!(ids(filter(false, Some(300))), 2);
    }
}
