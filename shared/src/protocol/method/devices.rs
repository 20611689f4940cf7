//! Pairing: who may connect as what, and by which token.

use super::methods;
use crate::protocol::params::devices::{
    DevicePairApproveReply, DevicePairListReply, DevicePairRejectReply, DevicePairRemoveParams,
    DevicePairRemoveReply, DeviceTokenRevokeParams, DeviceTokenRevokeReply,
    DeviceTokenRotateParams, DeviceTokenRotateReply, NodePairApproveReply, NodePairListReply,
    NodePairRejectReply, NodePairRequestParams, NodePairRequestReply, NodePairVerifyParams,
    NodePairVerifyReply, NodeRenameParams, NodeRenameReply, PairDecisionParams, PairListParams,
};

methods! {
    "Devices and pairing";
    /// Asks the owner to approve a node that has no key. The same request is answered while it waits.
    NodePairRequest = "node.pair.request", Pairing, NodePairRequestParams => NodePairRequestReply;
    /// The nodes that wait and those that are approved, without tokens.
    NodePairList = "node.pair.list", Pairing, PairListParams => NodePairListReply;
    /// Approves a request. The caller must hold every scope that it asks for.
    NodePairApprove = "node.pair.approve", Pairing, PairDecisionParams => NodePairApproveReply;
    /// Rejects a request.
    NodePairReject = "node.pair.reject", Pairing, PairDecisionParams => NodePairRejectReply;
    /// Whether a token is the one of a node.
    NodePairVerify = "node.pair.verify", Pairing, NodePairVerifyParams => NodePairVerifyReply;
    /// The devices that wait and those that are approved, without tokens.
    DevicePairList = "device.pair.list", Pairing, PairListParams => DevicePairListReply;
    /// Approves a request. The caller must hold every scope that it asks for.
    DevicePairApprove = "device.pair.approve", Pairing, PairDecisionParams => DevicePairApproveReply;
    /// Rejects a request.
    DevicePairReject = "device.pair.reject", Pairing, PairDecisionParams => DevicePairRejectReply;
    /// Forgets a device, its approvals and its tokens, and closes its connections.
    DevicePairRemove = "device.pair.remove", Pairing, DevicePairRemoveParams => DevicePairRemoveReply;
    /// Replaces a token, within what the device was approved for and what the caller holds; connections that came in by the old
    /// one are closed.
    DeviceTokenRotate = "device.token.rotate", Pairing, DeviceTokenRotateParams => DeviceTokenRotateReply;
    /// Ends a token and the connections that came in by it. The device gets no other one until it is approved again or the token
    /// is rotated.
    DeviceTokenRevoke = "device.token.revoke", Pairing, DeviceTokenRevokeParams => DeviceTokenRevokeReply;
    /// Names a node.
    NodeRename = "node.rename", Pairing, NodeRenameParams => NodeRenameReply;
}
