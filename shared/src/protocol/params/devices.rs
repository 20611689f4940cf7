//! `device.pair.*`, `device.token.*`, `node.pair.*` and `node.rename`: who may connect, and by whose approval.
//!
//! There is one list of devices. `node.pair.*` shows the part of it that has the role `node`, in the shape that nodes' clients know.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::literals;
use crate::protocol::scope::Role;
use crate::protocol::strict::{List, NonEmpty, Text, strict_options};

/// Scopes that a client may ask for; there are five, and clients of other versions may know some more.
pub const MOST_SCOPES: usize = 64;

/// How long the name of a scope may be.
pub const LONGEST_SCOPE: usize = 128;

/// Parameters of `device.pair.list` and `node.pair.list`: none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PairListParams {}

/// Parameters of the methods that decide about a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PairDecisionParams {
    /// Which request.
    pub request_id: NonEmpty,
}

/// Parameters of `device.pair.remove`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DevicePairRemoveParams {
    /// Which device.
    pub device_id: NonEmpty,
}

/// Parameters of `device.token.rotate`.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceTokenRotateParams {
    /// Which device.
    pub device_id: NonEmpty,
    /// The role whose token is replaced.
    pub role: NonEmpty,
    /// What the new token covers; what the old one did when absent.
    pub scopes: Option<List<Text<1, LONGEST_SCOPE>, 0, MOST_SCOPES>>,
}

/// Parameters of `device.token.revoke`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceTokenRevokeParams {
    /// Which device.
    pub device_id: NonEmpty,
    /// The role whose token stops to count.
    pub role: NonEmpty,
}

/// Parameters of `node.pair.request`.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodePairRequestParams {
    /// The node that is to be paired.
    pub node_id: NonEmpty,
    /// A name for people.
    pub display_name: Option<NonEmpty>,
    /// The platform it runs on.
    pub platform: Option<NonEmpty>,
    /// Its version.
    pub version: Option<NonEmpty>,
    /// The version of its core.
    pub core_version: Option<NonEmpty>,
    /// The version of its user interface.
    pub ui_version: Option<NonEmpty>,
    /// The family of the device.
    pub device_family: Option<NonEmpty>,
    /// The model of the device.
    pub model_identifier: Option<NonEmpty>,
    /// Groups of commands it offers.
    pub caps: Option<Vec<NonEmpty>>,
    /// Commands it offers.
    pub commands: Option<Vec<NonEmpty>>,
    /// Where it is.
    pub remote_ip: Option<NonEmpty>,
    /// Whether whoever approves may do so without asking a person. A hint that is passed on.
    pub silent: Option<bool>,
}

/// Parameters of `node.pair.verify`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodePairVerifyParams {
    /// Which node.
    pub node_id: NonEmpty,
    /// The token it shows.
    pub token: NonEmpty,
}

impl std::fmt::Debug for NodePairVerifyParams {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("NodePairVerifyParams")
            .field("node_id", &self.node_id)
            .finish_non_exhaustive()
    }
}

/// Parameters of `node.rename`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeRenameParams {
    /// Which node.
    pub node_id: NonEmpty,
    /// Its name from now on, whatever it calls itself.
    pub display_name: NonEmpty,
}

/// A device that waits for approval; also the payload of `device.pair.requested`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingDevice {
    /// What an approval names.
    pub request_id: String,
    /// Hexadecimal SHA-256 of the raw public key.
    pub device_id: String,
    /// The raw public key in base64url.
    pub public_key: String,
    /// The name it gives itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The platform it says it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Which program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// How the program uses the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_mode: Option<String>,
    /// The role it asks for.
    pub role: Role,
    /// The same as a list.
    pub roles: Vec<Role>,
    /// The scopes it asks for.
    pub scopes: Vec<String>,
    /// Where it is; absent when it is local.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    /// Whether no person need be asked.
    pub silent: bool,
    /// Whether the device is known already, for something else.
    pub is_repair: bool,
    /// When it asked, in milliseconds since the epoch.
    pub ts: u64,
}

/// A device that is approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PairedDevice {
    /// Hexadecimal SHA-256 of the raw public key.
    pub device_id: String,
    /// The raw public key in base64url.
    pub public_key: String,
    /// Its name: the one the owner gave it, else its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The platform it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The program of its last connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The mode of its last connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_mode: Option<String>,
    /// The role of its last connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The roles it was approved for.
    pub roles: Vec<String>,
    /// The scopes it was approved for, in any role.
    pub scopes: Vec<String>,
    /// Its last address; absent when it was local.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    /// When it was approved for the first time, in milliseconds since the epoch.
    pub created_at_ms: u64,
    /// When it was approved for the last time, in milliseconds since the epoch.
    pub approved_at_ms: u64,
    /// Its tokens, without the secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Vec<TokenSummary>>,
}

/// A device's token without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenSummary {
    /// The role it is for.
    pub role: String,
    /// What it covers.
    pub scopes: Vec<String>,
    /// When the device got its first token for this role, in milliseconds since the epoch.
    pub created_at_ms: u64,
    /// When it took the place of another, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at_ms: Option<u64>,
    /// When it stopped to count, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at_ms: Option<u64>,
    /// When it was last shown, in milliseconds since the epoch; up to a minute old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at_ms: Option<u64>,
}

/// Reply of `device.pair.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DevicePairListReply {
    /// Who waits, the newest first.
    pub pending: Vec<PendingDevice>,
    /// Who is approved, the newest first.
    pub paired: Vec<PairedDevice>,
}

/// Reply of `device.pair.approve`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DevicePairApproveReply {
    /// The request that was approved.
    pub request_id: String,
    /// The device as it is approved.
    pub device: ApprovedDevice,
}

/// What was approved: a device, or a node without a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ApprovedDevice {
    /// A device with its key.
    Device(PairedDevice),
    /// A node that was announced by `node.pair.request`.
    Node(PairedNode),
}

/// Reply of `device.pair.reject`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DevicePairRejectReply {
    /// The request that was rejected.
    pub request_id: String,
    /// Who asked.
    pub device_id: String,
}

/// Reply of `device.pair.remove`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DevicePairRemoveReply {
    /// The device that must be paired again from now on.
    pub device_id: String,
    /// Always true.
    pub removed: bool,
}

/// Reply of `device.token.rotate`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceTokenRotateReply {
    /// Which device.
    pub device_id: String,
    /// The role the token is for.
    pub role: Role,
    /// The new token; the old one is refused from now on.
    pub token: String,
    /// What it covers.
    pub scopes: Vec<String>,
    /// When, in milliseconds since the epoch.
    pub rotated_at_ms: u64,
}

impl std::fmt::Debug for DeviceTokenRotateReply {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("DeviceTokenRotateReply")
            .field("device_id", &self.device_id)
            .field("role", &self.role)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// Reply of `device.token.revoke`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceTokenRevokeReply {
    /// Which device.
    pub device_id: String,
    /// The role whose token is refused from now on.
    pub role: Role,
    /// Since when, in milliseconds since the epoch.
    pub revoked_at_ms: u64,
}

/// A node that waits for approval; also the payload of `node.pair.requested`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingNode {
    /// What an approval names.
    pub request_id: String,
    /// Which node.
    pub node_id: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The platform it says it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The version of its core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub core_version: Option<String>,
    /// The version of its user interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ui_version: Option<String>,
    /// The family of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    /// The model of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_identifier: Option<String>,
    /// Groups of commands it offers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caps: Option<Vec<String>>,
    /// Commands it offers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commands: Option<Vec<String>>,
    /// Where it is; absent when it is local.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    /// Whether no person need be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<bool>,
    /// Whether the node is known already.
    pub is_repair: bool,
    /// When it asked, in milliseconds since the epoch.
    pub ts: u64,
}

/// A node that is approved.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PairedNode {
    /// Which node.
    pub node_id: String,
    /// Its token; only in the answer to the approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Its name: the one the owner gave it, else its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The platform it was approved as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The version of its core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub core_version: Option<String>,
    /// The version of its user interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ui_version: Option<String>,
    /// The family of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    /// The model of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_identifier: Option<String>,
    /// Groups of commands it last offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caps: Option<Vec<String>>,
    /// Commands it last offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commands: Option<Vec<String>>,
    /// Permissions it last said it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<BTreeMap<String, bool>>,
    /// Its last address; absent when it was local.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    /// When it was approved for the first time, in milliseconds since the epoch.
    pub created_at_ms: u64,
    /// When it was approved for the last time, in milliseconds since the epoch.
    pub approved_at_ms: u64,
    /// When it last connected, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_connected_at_ms: Option<u64>,
}

impl std::fmt::Debug for PairedNode {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("PairedNode")
            .field("node_id", &self.node_id)
            .field("display_name", &self.display_name)
            .finish_non_exhaustive()
    }
}

literals! {
    /// That a request waits.
    pub enum PendingStatus {
        /// The only one.
        Pending = "pending",
    }
}

/// Reply of `node.pair.request`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodePairRequestReply {
    /// Always `pending`.
    pub status: PendingStatus,
    /// The request; the same one while it waits.
    pub request: PendingNode,
    /// Whether it is a new one.
    pub created: bool,
}

/// Reply of `node.pair.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodePairListReply {
    /// Who waits, the newest first.
    pub pending: Vec<PendingNode>,
    /// Who is approved, the newest first; without tokens.
    pub paired: Vec<PairedNode>,
}

/// Reply of `node.pair.approve`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePairApproveReply {
    /// The request that was approved.
    pub request_id: String,
    /// The node, with its token.
    pub node: PairedNode,
}

/// Reply of `node.pair.reject`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePairRejectReply {
    /// The request that was rejected.
    pub request_id: String,
    /// Who asked.
    pub node_id: String,
}

/// Reply of `node.pair.verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodePairVerifyReply {
    /// Whether the token is the node's.
    pub ok: bool,
    /// The node; absent unless the token is its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<PairedNode>,
}

/// Reply of `node.rename`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeRenameReply {
    /// Which node.
    pub node_id: String,
    /// Its name from now on.
    pub display_name: String,
}

literals! {
    /// What became of a request.
    pub enum PairDecision {
        /// The owner said yes, or the client was local.
        Approved = "approved",
        /// The owner said no, or the device has asked for something else since, or its place was needed.
        Rejected = "rejected",
        /// Nobody said anything in time.
        Expired = "expired",
    }
}

/// Payload of `device.pair.resolved`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DevicePairResolvedPayload {
    /// Which request.
    pub request_id: String,
    /// Who asked.
    pub device_id: String,
    /// What became of it.
    pub decision: PairDecision,
    /// When, in milliseconds since the epoch.
    pub ts: u64,
}

/// Payload of `node.pair.resolved`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePairResolvedPayload {
    /// Which request.
    pub request_id: String,
    /// Who asked.
    pub node_id: String,
    /// What became of it.
    pub decision: PairDecision,
    /// When, in milliseconds since the epoch.
    pub ts: u64,
}
