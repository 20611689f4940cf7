//! Devices and requests as clients see them: newest first, tokens without their secrets.     (pure)

use openclaw_shared::protocol::params::devices::{
    DevicePairListReply, NodePairListReply, PairedDevice, PairedNode, PendingDevice, PendingNode,
    TokenSummary,
};
use openclaw_shared::protocol::scope::Role;

use super::keep::Stored;
use super::node::NodeFacts;
use super::pair::Approved;
use super::pending::Request;
use super::record::{Device, Sighting};
use super::scopes;

/// The list of devices. A node without a key is none; it is in the list of nodes.
pub(crate) fn devices(pending: &[Request], stored: Vec<Stored>) -> DevicePairListReply {
    let mut paired: Vec<PairedDevice> = stored.into_iter().filter_map(device).collect();
    paired.sort_by_key(|device| std::cmp::Reverse(device.approved_at_ms));
    DevicePairListReply {
        pending: pending.iter().rev().filter_map(pending_device).collect(),
        paired,
    }
}

/// The list of nodes.
pub(crate) fn nodes(pending: &[Request], stored: Vec<Approved>) -> NodePairListReply {
    let mut paired: Vec<PairedNode> = stored.into_iter().map(node).collect();
    paired.sort_by_key(|node| std::cmp::Reverse(node.approved_at_ms));
    let is_node = |request: &&Request| request.role == Role::Node;
    NodePairListReply {
        pending: pending
            .iter()
            .rev()
            .filter(is_node)
            .map(pending_node)
            .collect(),
        paired,
    }
}

/// A request as `device.pair.*` shows it; none for a node without a key.
pub(crate) fn pending_device(request: &Request) -> Option<PendingDevice> {
    let Request {
        id,
        device,
        public_key,
        role,
        scopes,
        display_name,
        platform,
        device_family: _,
        client_id,
        client_mode,
        remote_ip,
        silent,
        is_repair,
        asked_at_ms,
        node: _,
    } = request.clone();
    Some(PendingDevice {
        request_id: id,
        device_id: device,
        public_key: public_key?,
        display_name,
        platform,
        client_id,
        client_mode,
        role,
        roles: vec![role],
        scopes,
        remote_ip,
        silent: silent.unwrap_or(false),
        is_repair,
        ts: asked_at_ms,
    })
}

/// A request as `node.pair.*` shows it.
pub(crate) fn pending_node(request: &Request) -> PendingNode {
    let request = request.clone();
    let facts = request.node.unwrap_or_default();
    PendingNode {
        request_id: request.id,
        node_id: request.device,
        display_name: request.display_name,
        platform: request.platform,
        version: facts.version,
        core_version: facts.core_version,
        ui_version: facts.ui_version,
        device_family: request.device_family,
        model_identifier: facts.model_identifier,
        caps: filled(facts.caps),
        commands: filled(facts.commands),
        remote_ip: request.remote_ip,
        silent: request.silent,
        is_repair: request.is_repair,
        ts: request.asked_at_ms,
    }
}

/// A device as `device.pair.*` shows it; none for a node without a key.
pub(crate) fn device(stored: Stored) -> Option<PairedDevice> {
    let Stored { device, sighting } = stored;
    let Device {
        id,
        public_key,
        name,
        platform,
        device_family: _,
        approved,
        tokens,
        created_at_ms,
        approved_at_ms,
    } = device;
    let Sighting {
        display_name,
        platform: seen_platform,
        client_id,
        client_mode,
        role,
        remote_ip,
        last_used_at_ms,
    } = sighting;
    let summaries: Vec<TokenSummary> = tokens
        .into_iter()
        .map(|(role, token)| TokenSummary {
            last_used_at_ms: last_used_at_ms.get(&role).copied(),
            role,
            scopes: token.scopes,
            created_at_ms: token.created_at_ms,
            rotated_at_ms: token.rotated_at_ms,
            revoked_at_ms: token.revoked_at_ms,
        })
        .collect();
    Some(PairedDevice {
        device_id: id,
        public_key: public_key?,
        display_name: name.or(display_name),
        platform: platform.or(seen_platform),
        client_id,
        client_mode,
        role,
        scopes: approved
            .values()
            .fold(Vec::new(), |all, scopes| scopes::union(&all, scopes)),
        roles: approved.into_keys().collect(),
        remote_ip,
        created_at_ms,
        approved_at_ms,
        tokens: filled(summaries),
    })
}

/// A node as `node.pair.*` shows it, without its token.
pub(crate) fn node(approved: Approved) -> PairedNode {
    let Approved {
        stored: Stored { device, sighting },
        role: _,
        facts,
    } = approved;
    let NodeFacts {
        caps,
        commands,
        version,
        core_version,
        ui_version,
        device_family,
        model_identifier,
        path_env: _,
        permissions,
        last_connected_at_ms,
        last_seen_at_ms: _,
    } = facts;
    PairedNode {
        node_id: device.id,
        token: None,
        display_name: device.name.or(sighting.display_name),
        platform: device.platform.or(sighting.platform),
        version,
        core_version,
        ui_version,
        device_family: device.device_family.or(device_family),
        model_identifier,
        caps: filled(caps),
        commands: filled(commands),
        permissions,
        remote_ip: sighting.remote_ip,
        created_at_ms: device.created_at_ms,
        approved_at_ms: device.approved_at_ms,
        last_connected_at_ms,
    }
}

/// A node with its token in clear, for the one who has approved it.
pub(crate) fn node_with_token(approved: Approved) -> PairedNode {
    let token = approved.stored.device.tokens.get(Role::Node.as_str());
    let token = token.map(|token| token.token.clone());
    PairedNode {
        token,
        ..node(approved)
    }
}

fn filled<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}
