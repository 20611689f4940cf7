//! Nodes for the tests of this module.

use std::sync::Arc;

use openclaw_shared::clock::WallTime;
use serde_json::{Value, json};

use super::super::devices::{NodeFacts, PairedNode};
use super::{Nodes, Profile};
use crate::connection::link::LinkId;
use crate::settings::NodeCommands;
use crate::testing::connect;

/// When everything happens, unless a test says otherwise.
pub(super) const NOW: WallTime = WallTime::from_millis(1_000_000);

/// The profile of a node that introduces itself with some change.
pub(super) fn profile_of(change: impl FnOnce(&mut Value), paired: Option<&PairedNode>) -> Profile {
    let mut params = connect();
    params["role"] = json!("node");
    params["client"]["displayName"] = json!("n");
    params["caps"] = json!(["system", "browser", " system"]);
    params["commands"] = json!(["system.which", " system.run", "camera.snap", "system.run"]);
    change(&mut params);
    let params = serde_json::from_value(params).unwrap();
    Profile::of(NOW, &params, None, paired, &NodeCommands::default())
}

/// The profile of a node that is paired as what it claims to be.
pub(super) fn profile() -> Profile {
    profile_of(|_| {}, Some(&paired("n", Some("n"))))
}

/// A node comes on a connection.
pub(super) fn enter(nodes: &mut Nodes, node: &str, link: u64) -> Option<LinkId> {
    nodes.enter(NOW, &Arc::from(node), LinkId(link), profile())
}

/// A node with its owner's name for it.
pub(super) fn paired(node: &str, name: Option<&str>) -> PairedNode {
    PairedNode {
        node_id: node.to_owned(),
        display_name: name.map(str::to_owned),
        platform: Some("linux".to_owned()),
        device_family: None,
        remote_ip: None,
        created_at_ms: 1,
        approved_at_ms: 1,
        facts: NodeFacts {
            caps: vec!["browser".to_owned(), "system".to_owned()],
            commands: vec!["system.run".to_owned(), "system.which".to_owned()],
            version: Some("1".to_owned()),
            last_seen_at_ms: Some(5),
            ..NodeFacts::default()
        },
    }
}
