//! What is known of the devices that are nodes, also while they are away.

use std::collections::BTreeMap;

use openclaw_shared::protocol::scope::Role;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::keep::{self, Stored};

/// What a node last offered, in its own words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NodeFacts {
    /// Groups of commands, sorted.
    pub(crate) caps: Vec<String>,
    /// Commands after the policy, sorted.
    pub(crate) commands: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) core_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ui_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) device_family: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model_identifier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path_env: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) permissions: Option<BTreeMap<String, bool>>,
    /// When it last connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_connected_at_ms: Option<u64>,
    /// When it was last heard of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_seen_at_ms: Option<u64>,
}

/// A device that was approved as a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PairedNode {
    /// The device id.
    pub(crate) node_id: String,
    /// The name the owner gave it, else its own.
    pub(crate) display_name: Option<String>,
    /// The platform it was approved as.
    pub(crate) platform: Option<String>,
    /// The family it was approved as.
    pub(crate) device_family: Option<String>,
    /// Its last address; none when it was local.
    pub(crate) remote_ip: Option<String>,
    /// When it was approved for the first time.
    pub(crate) created_at_ms: u64,
    /// When it was approved for the last time.
    pub(crate) approved_at_ms: u64,
    /// What it last offered; empty before its first connection.
    pub(crate) facts: NodeFacts,
}

/// Keeps what a node offers. Whether the device is known: facts of any other are dropped.
pub(crate) fn note_node(
    tx: &Connection,
    node_id: &str,
    facts: &NodeFacts,
) -> Result<bool, rusqlite::Error> {
    let changed = tx
        .prepare_cached("UPDATE device SET node = ?2 WHERE id = ?1")?
        .execute(params![node_id, keep::to_json(facts)])?;
    Ok(changed == 1)
}

/// Every device that was approved as a node, by id.
pub(crate) fn paired_nodes(connection: &Connection) -> Result<Vec<PairedNode>, rusqlite::Error> {
    connection
        .prepare_cached("SELECT record, sighting, node FROM device ORDER BY id")?
        .query_map([], read)?
        .filter_map(Result::transpose)
        .collect()
}

/// One device, when it was approved as a node.
pub(crate) fn paired_node(
    connection: &Connection,
    node_id: &str,
) -> Result<Option<PairedNode>, rusqlite::Error> {
    connection
        .prepare_cached("SELECT record, sighting, node FROM device WHERE id = ?1")?
        .query_row([node_id], read)
        .optional()
        .map(Option::flatten)
}

/// What each device last offered as a node, by id.
pub(crate) fn all_facts(
    connection: &Connection,
) -> Result<BTreeMap<String, NodeFacts>, rusqlite::Error> {
    connection
        .prepare_cached("SELECT id, node FROM device WHERE node IS NOT NULL")?
        .query_map([], |row| {
            Ok((row.get(0)?, keep::from_json(row.get_ref(1)?.as_str()?, 1)?))
        })?
        .collect()
}

fn read(row: &rusqlite::Row<'_>) -> Result<Option<PairedNode>, rusqlite::Error> {
    let Stored { device, sighting } = keep::stored(row)?;
    if !device.has_role(Role::Node) {
        return Ok(None);
    }
    let facts: Option<String> = row.get(2)?;
    Ok(Some(PairedNode {
        node_id: device.id,
        display_name: device.name.or(sighting.display_name),
        platform: device.platform.or(sighting.platform),
        device_family: device.device_family,
        remote_ip: sighting.remote_ip,
        created_at_ms: device.created_at_ms,
        approved_at_ms: device.approved_at_ms,
        facts: facts
            .map(|facts| keep::from_json(&facts, 2))
            .transpose()?
            .unwrap_or_default(),
    }))
}
