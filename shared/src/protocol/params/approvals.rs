//! `exec.approval.*` and `exec.approvals.*`: asking people before something is executed, and the files that say what needs no
//! asking.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::digest;
use crate::exec_approvals::ApprovalsFile;
use crate::literals;
use crate::protocol::strict::{Int, NonEmpty, object, strict_options};

/// How long a person may take at most, in milliseconds: a day.
pub const MOST_APPROVAL_MILLIS: i64 = 86_400_000;

literals! {
    /// What a person decided.
    pub enum ApprovalDecision {
        /// This one time.
        AllowOnce = "allow-once",
        /// This time, and the program from now on.
        AllowAlways = "allow-always",
        /// No.
        Deny = "deny",
    }
}

/// A text that may be null or absent, described as the published schema describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nullable(pub Option<String>);

impl Nullable {
    /// Whether there is no text.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// The text.
    #[must_use]
    pub fn as_deref(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl JsonSchema for Nullable {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Nullable".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, { "type": "null" }] })
    }
}

/// Parameters of `exec.approval.request`.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalRequestParams {
    /// What the approval shall be known by; a random one when absent.
    pub id: Option<NonEmpty>,
    /// The command as people read it.
    pub command: NonEmpty,
    /// The folder it runs in.
    #[serde(default, skip_serializing_if = "Nullable::is_none")]
    pub cwd: Nullable,
    /// Where it runs: `node` or `gateway`.
    #[serde(default, skip_serializing_if = "Nullable::is_none")]
    pub host: Nullable,
    /// The security in force there.
    #[serde(default, skip_serializing_if = "Nullable::is_none")]
    pub security: Nullable,
    /// When people are asked there.
    #[serde(default, skip_serializing_if = "Nullable::is_none")]
    pub ask: Nullable,
    /// The agent it is for.
    #[serde(default, skip_serializing_if = "Nullable::is_none")]
    pub agent_id: Nullable,
    /// The program that would run.
    #[serde(default, skip_serializing_if = "Nullable::is_none")]
    pub resolved_path: Nullable,
    /// The session it is for.
    #[serde(default, skip_serializing_if = "Nullable::is_none")]
    pub session_key: Nullable,
    /// How long to wait for a decision, in milliseconds; 120,000 when absent.
    pub timeout_ms: Option<Int<1, MOST_APPROVAL_MILLIS>>,
    /// The node it runs on; our own addition.
    pub node_id: Option<NonEmpty>,
    /// The exact program and arguments; our own addition. With it the approval holds for exactly these.
    pub argv: Option<Vec<String>>,
    /// The exact variables it gets besides those of its host; our own addition.
    pub env: Option<BTreeMap<String, String>>,
}

/// What people are shown of a request. What the asker did not say is null, except for our own additions, which are then absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalShown {
    /// The command as people read it.
    pub command: String,
    /// The folder it runs in.
    pub cwd: Option<String>,
    /// Where it runs.
    pub host: Option<String>,
    /// The security in force there.
    pub security: Option<String>,
    /// When people are asked there.
    pub ask: Option<String>,
    /// The agent it is for.
    pub agent_id: Option<String>,
    /// The program that would run.
    pub resolved_path: Option<String>,
    /// The session it is for.
    pub session_key: Option<String>,
    /// The node it runs on. Absent when it may be any of several nodes that run programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// The exact program and arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argv: Option<Vec<String>>,
    /// The names of all its variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_names: Option<Vec<String>>,
    /// Its variables with their values, `PATH` among them; those whose names tell of a secret are in `envNames` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<BTreeMap<String, String>>,
}

/// Reply of `exec.approval.request`, when it is decided or too late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalRequestReply {
    /// What the approval is known by.
    pub id: String,
    /// What was decided; null when nobody did in time, which means no.
    pub decision: Option<ApprovalDecision>,
    /// When it was asked for, in milliseconds since the epoch.
    pub created_at_ms: u64,
    /// When it is too late, in milliseconds since the epoch.
    pub expires_at_ms: u64,
}

/// A request that waits for a decision; also the payload of the event `exec.approval.requested`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingApproval {
    /// What the approval is known by.
    pub id: String,
    /// What would be executed.
    pub request: ApprovalShown,
    /// When it was asked for, in milliseconds since the epoch.
    pub created_at_ms: u64,
    /// When it is too late, in milliseconds since the epoch.
    pub expires_at_ms: u64,
    /// The SHA-256, in hexadecimal, of all of the above: what a decision can be bound to. Our own addition.
    pub sha256: String,
}

impl PendingApproval {
    /// A request as people are shown it.
    #[must_use]
    pub fn new(id: String, request: ApprovalShown, created_at_ms: u64, expires_at_ms: u64) -> Self {
        let shown = serde_json::to_vec(&(&id, &request, created_at_ms, expires_at_ms));
        let shown = shown.expect("texts, lists and maps of texts are JSON");
        Self {
            sha256: digest::hex(&shown),
            id,
            request,
            created_at_ms,
            expires_at_ms,
        }
    }
}

/// Payload of the event `exec.approval.resolved`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalResolvedPayload {
    /// What the approval is known by.
    pub id: String,
    /// What was decided; `deny` when nobody did in time.
    pub decision: ApprovalDecision,
    /// Who decided; absent when it was too late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_by: Option<String>,
    /// When, in milliseconds since the epoch.
    pub ts: u64,
}

/// Parameters of `exec.approval.resolve`.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalResolveParams {
    /// What the approval is known by.
    pub id: NonEmpty,
    /// `allow-once`, `allow-always` or `deny`. A string here, so that another one is refused by name.
    pub decision: NonEmpty,
    /// What was shown to whoever decides, as the request's `sha256` says it; the decision then counts for nothing else. Our own
    /// addition.
    pub sha256: Option<NonEmpty>,
}

/// Reply of `exec.approval.resolve`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalResolveReply {
    /// Always true.
    pub ok: bool,
}

/// Parameters of `exec.approval.list`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalListParams {}

/// Reply of `exec.approval.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalListReply {
    /// What waits for a decision, the oldest first.
    pub pending: Vec<PendingApproval>,
}

/// Parameters of `exec.approvals.get`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalsGetParams {}

/// Parameters of `exec.approvals.set`.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalsSetParams {
    /// The file as it shall be.
    #[serde(deserialize_with = "object")]
    pub file: ApprovalsFile,
    /// The hash of the file it is made from; required when there is one.
    pub base_hash: Option<NonEmpty>,
}

/// Reply of `exec.approvals.get` and `.set`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalsReply {
    /// Where the file is, for people.
    pub path: String,
    /// Whether there is one.
    pub exists: bool,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub hash: String,
    /// What it says, without the token of its socket.
    pub file: ApprovalsFile,
}

/// Parameters of `exec.approvals.node.get`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeApprovalsGetParams {
    /// Which node.
    pub node_id: NonEmpty,
}

/// Parameters of `exec.approvals.node.set`.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeApprovalsSetParams {
    /// Which node.
    pub node_id: NonEmpty,
    /// The file as it shall be.
    #[serde(deserialize_with = "object")]
    pub file: ApprovalsFile,
    /// The hash of the file it is made from; required when there is one.
    pub base_hash: Option<NonEmpty>,
}
