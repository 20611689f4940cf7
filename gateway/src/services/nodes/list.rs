//! The nodes that are paired or here, as `node.list` tells them, prepared again only when something has changed.

use std::collections::BTreeMap;

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::nodes::{NodeListReply, NodeRow};

use super::super::devices::{NodeFacts, PairedNode};
use super::{Connected, Nodes};
use crate::prepared::Prepared;

/// How long an answer of `node.list` is repeated while nothing changes.
const FRESH_MILLIS: u64 = 1_000;

/// An answer, and what it was made from.
#[derive(Debug)]
pub(super) struct Listed {
    store: u64,
    nodes: u64,
    at: WallTime,
    prepared: Prepared<NodeListReply>,
}

impl Nodes {
    /// The list, made anew when something has changed or some time has passed.
    pub(crate) fn list<E>(
        &mut self,
        now: WallTime,
        store: u64,
        paired: impl FnOnce() -> Result<Vec<PairedNode>, E>,
    ) -> Result<Prepared<NodeListReply>, E> {
        if let Some(listed) = &self.list
            && (listed.store, listed.nodes) == (store, self.version)
            && listed.at <= now
            && now.as_millis() - listed.at.as_millis() < FRESH_MILLIS
        {
            return Ok(listed.prepared.clone());
        }
        let reply = NodeListReply {
            ts: now.as_millis(),
            nodes: self.rows(paired()?),
        };
        let prepared = Prepared::new(&reply);
        self.list = Some(Listed {
            store,
            nodes: self.version,
            at: now,
            prepared: prepared.clone(),
        });
        Ok(prepared)
    }

    /// Every node that is paired or here: those that are here first, then by name, then by id.
    pub(crate) fn rows(&self, paired: Vec<PairedNode>) -> Vec<NodeRow> {
        let mut rows: BTreeMap<String, NodeRow> = paired
            .into_iter()
            .map(|paired| (paired.node_id.clone(), away(paired)))
            .collect();
        for (node, Connected { profile, since, .. }) in &self.here {
            let earlier = rows.remove(&**node);
            let is_paired = earlier.is_some();
            let named = earlier.and_then(|earlier| earlier.display_name);
            let here = NodeRow {
                display_name: named.or_else(|| profile.display_name.clone()),
                platform: profile.platform_name.clone(),
                remote_ip: profile.remote_ip.clone(),
                connected_at_ms: Some(since.as_millis()),
                paired: is_paired,
                connected: true,
                ..row(node, &profile.facts)
            };
            rows.insert(here.node_id.clone(), here);
        }
        let mut rows: Vec<NodeRow> = rows.into_values().collect();
        rows.sort_by_cached_key(|row| {
            let name = row
                .display_name
                .as_deref()
                .unwrap_or(&row.node_id)
                .to_lowercase();
            (!row.connected, name, row.node_id.clone())
        });
        rows
    }
}

fn away(paired: PairedNode) -> NodeRow {
    let row = row(&paired.node_id, &paired.facts);
    NodeRow {
        display_name: paired.display_name,
        platform: paired.platform,
        device_family: paired.device_family.or(row.device_family),
        remote_ip: paired.remote_ip,
        last_seen_at_ms: paired.facts.last_seen_at_ms,
        paired: true,
        ..row
    }
}

fn row(node_id: &str, facts: &NodeFacts) -> NodeRow {
    NodeRow {
        node_id: node_id.to_owned(),
        version: facts.version.clone(),
        core_version: facts.core_version.clone(),
        ui_version: facts.ui_version.clone(),
        device_family: facts.device_family.clone(),
        model_identifier: facts.model_identifier.clone(),
        caps: facts.caps.clone(),
        commands: facts.commands.clone(),
        path_env: facts.path_env.clone(),
        permissions: facts.permissions.clone(),
        ..NodeRow::default()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use openclaw_shared::clock::WallTime;
    use serde_json::{Value, json};

    use super::super::Nodes;
    use super::super::testing::{enter, paired};

    #[test]
    fn the_list_has_the_shape_and_the_order_that_clients_know() {
        let mut nodes = Nodes::default();
        let _ = enter(&mut nodes, "n2", 1);
        let paired = vec![
            paired("n2", Some("Zoo")),
            paired("n3", Some("apple")),
            paired("n1", Some("Apple")),
        ];
        let rows = serde_json::to_value(nodes.rows(paired)).unwrap();
        let ids: Vec<&Value> = rows
            .as_array()
            .unwrap()
            .iter()
            .map(|row| &row["nodeId"])
            .collect();
        assert_eq!(ids, ["n2", "n1", "n3"]);
        assert_eq!(
            rows[0].to_string(),
            r#"{"nodeId":"n2","displayName":"Zoo","platform":"linux","version":"1","caps":["browser","system"],"commands":["system.run","system.which"],"connectedAtMs":1000000,"paired":true,"connected":true}"#
        );
        assert_eq!(
            rows[1],
            json!({"nodeId": "n1", "displayName": "Apple", "platform": "linux", "version": "1", "caps": ["browser", "system"],
                "commands": ["system.run", "system.which"], "lastSeenAtMs": 5, "paired": true, "connected": false})
        );
    }

    #[test]
    fn the_list_is_made_anew_only_when_something_changed() {
        let mut nodes = Nodes::default();
        let mut looks = 0;
        let mut list = |nodes: &mut Nodes, at: u64, store: u64| {
            let known = || {
                looks += 1;
                Ok::<_, Infallible>(Vec::new())
            };
            let Ok(_) = nodes.list(WallTime::from_millis(at), store, known);
            looks
        };
        assert_eq!(list(&mut nodes, 5_000, 1), 1);
        assert_eq!(list(&mut nodes, 5_999, 1), 1);
        assert_eq!(list(&mut nodes, 6_000, 1), 2);
        assert_eq!(list(&mut nodes, 6_000, 2), 3);
        let _ = enter(&mut nodes, "a", 1);
        assert_eq!(list(&mut nodes, 6_000, 2), 4);
        assert_eq!(list(&mut nodes, 5_000, 2), 5);
    }
}
