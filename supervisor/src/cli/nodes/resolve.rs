//! Which node a person means: the gateway is asked for all of them.

use openclaw_shared::protocol::method::nodes::NodeList;
use serde_json::{Value, json};

use super::super::answer::Answer as _;
use super::super::failure::Failure;
use super::super::named::{self, Named};
use super::super::rpc::Rpc;

/// A node that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) id: String,
    /// What people call it.
    pub(crate) shown: String,
    /// What it can be asked for.
    pub(crate) commands: Vec<String>,
}

/// Finds the node that is meant.
///
/// # Errors
/// When none or several could be meant.
pub(crate) async fn find(rpc: &mut Rpc<'_>, wanted: &str) -> Result<Node, Failure> {
    let answer = rpc.call::<NodeList>(json!({})).await?;
    let rows = answer.items("nodes");
    let nodes: Vec<Named> = rows.iter().map(named).collect();
    let node = named::find("node", &nodes, wanted)?;
    let row = rows.iter().find(|row| row.text("nodeId") == node.id);
    Ok(Node {
        id: node.id.clone(),
        shown: node.shown(),
        commands: row.map(|row| row.texts("commands")).unwrap_or_default(),
    })
}

fn named(row: &Value) -> Named {
    Named {
        id: row.text("nodeId"),
        name: row.text("displayName"),
        remote_ip: row.text("remoteIp"),
    }
}
