//! Pairing: who may connect as what, and by which token.

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::method::devices::{
    DevicePairApprove, DevicePairList, DevicePairReject, DevicePairRemove, DeviceTokenRevoke,
    DeviceTokenRotate, NodePairApprove, NodePairList, NodePairReject, NodePairRequest,
    NodePairVerify, NodeRename,
};
use openclaw_shared::protocol::params::devices::{
    ApprovedDevice, DevicePairApproveReply, DevicePairListReply, DevicePairRejectReply,
    DevicePairRemoveParams, DevicePairRemoveReply, DeviceTokenRevokeParams, DeviceTokenRevokeReply,
    DeviceTokenRotateParams, DeviceTokenRotateReply, NodePairApproveReply, NodePairListReply,
    NodePairRejectReply, NodePairRequestParams, NodePairRequestReply, NodePairVerifyParams,
    NodePairVerifyReply, NodeRenameParams, NodeRenameReply, PairDecisionParams, PairListParams,
    PendingStatus,
};
use openclaw_shared::protocol::scope::Role;

use super::{MethodError, Routes};
use crate::connection::Caller;
use crate::context::Context;
use crate::services::devices::pair::{self, Approved, PairError};
use crate::services::devices::pending::Request;
use crate::services::devices::{self, finish, node, view};

pub(super) fn register(routes: Routes) -> Routes {
    routes
        .on_errand(NodePairRequest, request_node)
        .on(NodePairList, list_nodes)
        .on_errand(NodePairApprove, approve_node)
        .on_errand(NodePairReject, reject_node)
        .on(NodePairVerify, verify_node)
        .on(DevicePairList, list)
        .on_errand(DevicePairApprove, approve)
        .on_errand(DevicePairReject, reject)
        .on_errand(DevicePairRemove, remove)
        .on_errand(DeviceTokenRotate, rotate)
        .on_errand(DeviceTokenRevoke, revoke)
        .on(NodeRename, rename_node)
}

impl From<PairError> for MethodError {
    fn from(error: PairError) -> Self {
        match error {
            PairError::Store(error) => error.into(),
            PairError::UnknownRequest
            | PairError::UnknownDevice
            | PairError::UnknownRole
            | PairError::UnknownNode
            | PairError::NotHeld(_)
            | PairError::HasKey
            | PairError::NotApproved(_) => Self::invalid(error.to_string()),
        }
    }
}

async fn list(
    context: &Context,
    _caller: &Caller,
    _params: PairListParams,
) -> Result<DevicePairListReply, MethodError> {
    let (pending, stored) = devices::all(context, WallTime::now())?;
    Ok(view::devices(&pending, stored))
}

async fn list_nodes(
    context: &Context,
    _caller: &Caller,
    _params: PairListParams,
) -> Result<NodePairListReply, MethodError> {
    let (pending, stored) = devices::all(context, WallTime::now())?;
    let mut facts = context.store.read(node::all_facts)?;
    let nodes = stored
        .into_iter()
        .filter(|stored| stored.device.has_role(Role::Node))
        .map(|stored| Approved {
            facts: facts.remove(&stored.device.id).unwrap_or_default(),
            role: Role::Node,
            stored,
        })
        .collect();
    Ok(view::nodes(&pending, nodes))
}

async fn decide(
    context: &Context,
    caller: &Caller,
    params: PairDecisionParams,
) -> Result<(String, Approved), MethodError> {
    let request_id = params.request_id.into_string();
    let (request, rights, now) = (request_id.clone(), caller.rights, WallTime::now());
    let done = context
        .store
        .write(move |tx| pair::approve(tx, &request, rights, now))
        .await?;
    let approved = finish(context, done);
    tracing::info!(
        target: "gateway/devices",
        device = approved.stored.device.id,
        role = %approved.role,
        by = %caller.client.id,
        "device approved"
    );
    Ok((request_id, approved))
}

async fn approve(
    context: &Context,
    caller: &Caller,
    params: PairDecisionParams,
) -> Result<DevicePairApproveReply, MethodError> {
    let (request_id, approved) = decide(context, caller, params).await?;
    let device = match view::device(approved.stored.clone()) {
        Some(device) => ApprovedDevice::Device(device),
        None => ApprovedDevice::Node(view::node(approved)),
    };
    Ok(DevicePairApproveReply { request_id, device })
}

async fn approve_node(
    context: &Context,
    caller: &Caller,
    params: PairDecisionParams,
) -> Result<NodePairApproveReply, MethodError> {
    let (request_id, approved) = decide(context, caller, params).await?;
    Ok(NodePairApproveReply {
        request_id,
        node: view::node_with_token(approved),
    })
}

async fn refuse(
    context: &Context,
    caller: &Caller,
    params: PairDecisionParams,
) -> Result<(String, String), MethodError> {
    let request_id = params.request_id.into_string();
    let (request, now) = (request_id.clone(), WallTime::now());
    let done = context
        .store
        .write(move |tx| pair::reject(tx, &request, now))
        .await?;
    let device = finish(context, done);
    tracing::info!(target: "gateway/devices", device, by = %caller.client.id, "device rejected");
    Ok((request_id, device))
}

async fn reject(
    context: &Context,
    caller: &Caller,
    params: PairDecisionParams,
) -> Result<DevicePairRejectReply, MethodError> {
    let (request_id, device_id) = refuse(context, caller, params).await?;
    Ok(DevicePairRejectReply {
        request_id,
        device_id,
    })
}

async fn reject_node(
    context: &Context,
    caller: &Caller,
    params: PairDecisionParams,
) -> Result<NodePairRejectReply, MethodError> {
    let (request_id, node_id) = refuse(context, caller, params).await?;
    Ok(NodePairRejectReply {
        request_id,
        node_id,
    })
}

async fn remove(
    context: &Context,
    caller: &Caller,
    params: DevicePairRemoveParams,
) -> Result<DevicePairRemoveReply, MethodError> {
    let device_id = params.device_id.into_string();
    let (device, now) = (device_id.clone(), WallTime::now());
    let done = context
        .store
        .write(move |tx| pair::remove(tx, &device, now))
        .await?;
    finish(context, done);
    tracing::info!(target: "gateway/devices", device = device_id, by = %caller.client.id, "device removed");
    Ok(DevicePairRemoveReply {
        device_id,
        removed: true,
    })
}

fn role_of(text: &str) -> Result<Role, MethodError> {
    Role::from_text(text).ok_or_else(|| PairError::UnknownRole.into())
}

async fn rotate(
    context: &Context,
    caller: &Caller,
    params: DeviceTokenRotateParams,
) -> Result<DeviceTokenRotateReply, MethodError> {
    let role = role_of(&params.role)?;
    let device_id = params.device_id.into_string();
    let scopes = params
        .scopes
        .map(|scopes| scopes.iter().map(|scope| scope.to_string()).collect());
    let (device, rights, now) = (device_id.clone(), caller.rights, WallTime::now());
    let done = context
        .store
        .write(move |tx| pair::rotate(tx, &device, role, scopes, rights, now))
        .await?;
    let rotated = finish(context, done);
    tracing::info!(target: "gateway/devices", device = device_id, %role, by = %caller.client.id, "device token rotated");
    Ok(DeviceTokenRotateReply {
        device_id,
        role,
        token: rotated.token,
        scopes: rotated.scopes,
        rotated_at_ms: rotated.at.as_millis(),
    })
}

async fn revoke(
    context: &Context,
    caller: &Caller,
    params: DeviceTokenRevokeParams,
) -> Result<DeviceTokenRevokeReply, MethodError> {
    let role = role_of(&params.role)?;
    let device_id = params.device_id.into_string();
    let (device, now) = (device_id.clone(), WallTime::now());
    let done = context
        .store
        .write(move |tx| pair::revoke(tx, &device, role, now))
        .await?;
    let revoked_at_ms = finish(context, done);
    tracing::info!(target: "gateway/devices", device = device_id, %role, by = %caller.client.id, "device token revoked");
    Ok(DeviceTokenRevokeReply {
        device_id,
        role,
        revoked_at_ms,
    })
}

async fn request_node(
    context: &Context,
    _caller: &Caller,
    params: NodePairRequestParams,
) -> Result<NodePairRequestReply, MethodError> {
    let now = WallTime::now();
    let new = Request::of_node(params, now);
    let done = context
        .store
        .write(move |tx| pair::request_node(tx, new, now))
        .await?;
    let (request, created) = finish(context, done);
    Ok(NodePairRequestReply {
        status: PendingStatus::Pending,
        request: view::pending_node(&request),
        created,
    })
}

async fn verify_node(
    context: &Context,
    _caller: &Caller,
    params: NodePairVerifyParams,
) -> Result<NodePairVerifyReply, MethodError> {
    let found = context
        .store
        .read(|reader| pair::verify_node(reader, &params.node_id, &params.token))?;
    Ok(NodePairVerifyReply {
        ok: found.is_some(),
        node: found.map(view::node),
    })
}

async fn rename_node(
    context: &Context,
    caller: &Caller,
    params: NodeRenameParams,
) -> Result<NodeRenameReply, MethodError> {
    let node_id = params.node_id.trim().to_owned();
    let display_name = params.display_name.trim().to_owned();
    if display_name.is_empty() {
        return Err(MethodError::invalid("displayName required"));
    }
    let (node, name) = (node_id.clone(), display_name.clone());
    context
        .store
        .write(move |tx| pair::rename_node(tx, &node, &name))
        .await?;
    tracing::info!(target: "gateway/devices", device = node_id, name = display_name, by = %caller.client.id, "node renamed");
    Ok(NodeRenameReply {
        node_id,
        display_name,
    })
}

#[cfg(test)]
mod tests;
