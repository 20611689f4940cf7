//! Devices that offer commands, and asking them to run one.

use serde_json::Value;

use super::methods;
use crate::protocol::params::approvals::{
    ApprovalListParams, ApprovalListReply, ApprovalRequestParams, ApprovalRequestReply,
    ApprovalResolveParams, ApprovalResolveReply, ApprovalsGetParams, ApprovalsReply,
    ApprovalsSetParams, NodeApprovalsGetParams, NodeApprovalsSetParams,
};
use crate::protocol::params::nodes::{
    NodeDescribeParams, NodeDescription, NodeEventParams, NodeEventReply, NodeInvokeParams,
    NodeInvokeReply, NodeInvokeResultParams, NodeInvokeResultReply, NodeListParams, NodeListReply,
    SkillsBinsParams, SkillsBinsReply,
};

methods! {
    "Nodes and what they may execute";
    /// What may be executed on the gateway's machine.
    ExecApprovalsGet = "exec.approvals.get", Admin, ApprovalsGetParams => ApprovalsReply;
    /// Replaces what may be executed on the gateway's machine. Fails when the file changed since it was read.
    ExecApprovalsSet = "exec.approvals.set", Admin, ApprovalsSetParams => ApprovalsReply;
    /// What may be executed on a node: what its `system.execApprovals.get` answers.
    ExecApprovalsNodeGet = "exec.approvals.node.get", Admin, NodeApprovalsGetParams => Value;
    /// Replaces what may be executed on a node: what its `system.execApprovals.set` answers.
    ExecApprovalsNodeSet = "exec.approvals.node.set", Admin, NodeApprovalsSetParams => Value;
    /// Asks people whether something may be executed. Answered when somebody has decided, or when it is too late.
    ExecApprovalRequest = "exec.approval.request", Approvals, ApprovalRequestParams => ApprovalRequestReply;
    /// Decides what was asked.
    ExecApprovalResolve = "exec.approval.resolve", Approvals, ApprovalResolveParams => ApprovalResolveReply;
    /// What waits for a decision.
    ExecApprovalList = "exec.approval.list", Approvals, ApprovalListParams => ApprovalListReply;
    /// The programs that known skills need.
    SkillsBins = "skills.bins", Node, SkillsBinsParams => SkillsBinsReply;
    /// Every node that is paired or connected.
    NodeList = "node.list", Read, NodeListParams => NodeListReply;
    /// One node that is paired or connected.
    NodeDescribe = "node.describe", Read, NodeDescribeParams => NodeDescription;
    /// Asks a node to run one of its commands, and answers what it says. A command is carried out once for each key: a repetition has
    /// the same answer for 24 hours, across restarts. An answer beyond 256 KiB (most photos are) goes only to those who wait for it,
    /// and when all kept answers exceed 64 MiB, the oldest go; then a repetition says `ANSWER_NOT_KEPT` and does nothing. When nobody
    /// knows how the command ended, it says `OUTCOME_UNKNOWN`. The rules for `system.run` are those of the default agent;
    /// `operator.approvals` may name another one in `agentId`.
    NodeInvoke = "node.invoke", Write, NodeInvokeParams => NodeInvokeReply;
    /// A node's answer to what it was asked.
    NodeInvokeResult = "node.invoke.result", Node, NodeInvokeResultParams => NodeInvokeResultReply;
    /// Something happened on a node.
    NodeEvent = "node.event", Node, NodeEventParams => NodeEventReply;
}
