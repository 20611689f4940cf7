//! Nodes: who they are, asking them, and what they tell.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openclaw_shared::clock::WallTime;
use openclaw_shared::exec_approvals::{self, ApprovalsError, ApprovalsSnapshot};
use openclaw_shared::paths::StatePaths;
use openclaw_shared::protocol::method::nodes::{
    ExecApprovalList, ExecApprovalRequest, ExecApprovalResolve, ExecApprovalsGet,
    ExecApprovalsNodeGet, ExecApprovalsNodeSet, ExecApprovalsSet, NodeDescribe, NodeEvent,
    NodeInvoke, NodeInvokeResult, NodeList, SkillsBins,
};
use openclaw_shared::protocol::params::approvals::{
    ApprovalDecision, ApprovalListParams, ApprovalListReply, ApprovalResolveParams,
    ApprovalResolveReply, ApprovalsGetParams, ApprovalsReply, ApprovalsSetParams,
    NodeApprovalsGetParams, NodeApprovalsSetParams,
};
use openclaw_shared::protocol::params::nodes::{
    LONGEST_KEY, MOST_INVOKE_MILLIS, NodeDescribeParams, NodeDescription, NodeEventParams,
    NodeEventReply, NodeInvokeParams, NodeInvokeReply, NodeInvokeResultParams,
    NodeInvokeResultReply, NodeListParams, NodeListReply, SkillsBinsParams, SkillsBinsReply,
};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::{MethodError, Routes};
use crate::approvals;
use crate::connection::{Answer, Caller};
use crate::context::Context;
use crate::nodes::{self, Hearing, Question};
use crate::prepared::Prepared;
use crate::runs::{self, RunKind, RunRequest, Work};
use crate::services::devices;
use crate::services::nodes::happening::{self, Happening, Wish};
use crate::services::sessions::Register;
use crate::services::skills;
use crate::services::system_events;
use crate::store::StoreError;

pub(super) fn register(routes: Routes) -> Routes {
    routes
        .on(NodeList, list)
        .on(NodeDescribe, describe)
        .on_errand_then(NodeInvoke, invoke, hear)
        .on(NodeInvokeResult, result)
        .on_errand_of(NodeEvent, event)
        .on(SkillsBins, bins)
        .on_errand_then(ExecApprovalRequest, approvals::request, approvals::hear)
        .on_errand(ExecApprovalResolve, resolve)
        .on(ExecApprovalList, waiting)
        .on(ExecApprovalsGet, get_file)
        .on(ExecApprovalsSet, set_file)
        .on(ExecApprovalsNodeGet, get_file_of_node)
        .on(ExecApprovalsNodeSet, set_file_of_node)
}

async fn list(
    context: &Context,
    _caller: &Caller,
    _params: NodeListParams,
) -> Result<Prepared<NodeListReply>, MethodError> {
    let version = context.store.version()?;
    let paired = || context.store.read(devices::paired_nodes);
    Ok(context.nodes(|nodes| nodes.list(WallTime::now(), version, paired))?)
}

async fn describe(
    context: &Context,
    _caller: &Caller,
    params: NodeDescribeParams,
) -> Result<NodeDescription, MethodError> {
    let wanted = params.node_id.trim();
    let paired = context
        .store
        .read(|reader| devices::paired_node(reader, wanted))?;
    let rows = context.nodes(|nodes| nodes.rows(paired.into_iter().collect()));
    let node = rows.into_iter().find(|row| row.node_id == wanted);
    Ok(NodeDescription {
        ts: WallTime::now().as_millis(),
        node: node.ok_or_else(|| MethodError::invalid("unknown nodeId"))?,
    })
}

async fn invoke(
    context: &Context,
    caller: &Caller,
    params: NodeInvokeParams,
) -> Result<Hearing<Answer>, MethodError> {
    let key = params.idempotency_key.into_string();
    if key.len() > LONGEST_KEY {
        let why = format!("idempotencyKey must not have more than {LONGEST_KEY} bytes");
        return Err(MethodError::invalid(why));
    }
    let most = MOST_INVOKE_MILLIS.unsigned_abs();
    let millis = params
        .timeout_ms
        .map(|millis| millis.get_unsigned().min(most));
    let question = Question {
        node: params.node_id.trim().to_owned(),
        command: params.command.trim().to_owned(),
        params: params.params,
        // Without a limit nobody would ever hear of it again: 0 says nothing, as on the way to the node.
        timeout: millis
            .filter(|millis| *millis > 0)
            .map(Duration::from_millis),
    };
    nodes::invoke(context, caller, question, key).await
}

async fn hear(
    _context: &Context,
    hearing: Hearing<Answer>,
) -> Result<Prepared<NodeInvokeReply>, MethodError> {
    let answer = hearing.answer().await;
    answer.map(Prepared::of_json).map_err(MethodError::from)
}

/// The node that calls.
fn node_of(caller: &Caller) -> Result<&Arc<str>, MethodError> {
    caller
        .device
        .as_ref()
        .ok_or_else(|| MethodError::invalid("device identity required"))
}

async fn result(
    context: &Context,
    caller: &Caller,
    params: NodeInvokeResultParams,
) -> Result<NodeInvokeResultReply, MethodError> {
    let node = node_of(caller)?;
    if *params.node_id != **node {
        return Err(MethodError::invalid("nodeId mismatch"));
    }
    let was_awaited = nodes::answer(context, node, caller.link, params).await;
    Ok(NodeInvokeResultReply {
        ok: true,
        ignored: (!was_awaited).then_some(true),
    })
}

async fn event(
    context: &Arc<Context>,
    caller: &Arc<Caller>,
    params: NodeEventParams,
) -> Result<NodeEventReply, MethodError> {
    let node = node_of(caller)?;
    match happening::read(&params) {
        Happening::Unknown => {}
        Happening::Refused(why) => return Err(MethodError::invalid(why)),
        Happening::Wish(wish) => ask_agent(context, node, wish).await?,
        Happening::Follow { session, wants } => {
            if !context.nodes(|nodes| nodes.subscribe(node, caller.link, &session, wants)) {
                return Err(MethodError::unavailable("too many sessions are followed"));
            }
        }
        Happening::Run(told) => {
            let is_known = context
                .nodes(|nodes| nodes.knows_run(node, caller.link, &told.run, told.is_over()));
            if is_known {
                let (now, text) = (WallTime::now(), told.text(node));
                let kept: Result<(), StoreError> = context
                    .store
                    .write(move |tx| system_events::note(tx, now, &text))
                    .await;
                kept?;
            } else {
                tracing::debug!(target: "gateway/nodes", node = &**node, "dropped an event of a run that the node was not given");
            }
        }
    }
    Ok(NodeEventReply { ok: true })
}

/// Begins what somebody at a node wants.
async fn ask_agent(context: &Arc<Context>, node: &str, wish: Wish) -> Result<(), MethodError> {
    let settings = context.settings();
    let asked_as = match (wish.session, wish.is_spoken) {
        (Some(session), _) => session,
        (None, true) => settings.session_defaults().main_session_key,
        (None, false) => format!("node-{node}"),
    };
    let session = Register::new(settings.clone()).key(&asked_as)?;
    let id = uuid::Uuid::new_v4();
    let request = RunRequest {
        run_id: match wish.is_spoken {
            true => format!("voice-{id}"),
            false => id.to_string(),
        },
        kind: RunKind::Agent,
        asked_as,
        work: Work {
            agent: (session.agent().unwrap_or(settings.default_agent())).to_owned(),
            message: wish.message,
            thinking: wish.thinking,
            timeout_ms: wish.timeout.map(|seconds| seconds.saturating_mul(1000)),
            ..Work::default()
        },
        session,
    };
    runs::enter(context, request).await.map(drop)
}

async fn bins(
    context: &Context,
    _caller: &Caller,
    _params: SkillsBinsParams,
) -> Result<SkillsBinsReply, MethodError> {
    let settings = context.settings();
    let bins = spawn_blocking(move || skills::bins(&settings)).await;
    let bins = bins.map_err(|_| MethodError::unavailable("skills cannot be read"))?;
    Ok(SkillsBinsReply { bins })
}

async fn resolve(
    context: &Context,
    caller: &Caller,
    params: ApprovalResolveParams,
) -> Result<ApprovalResolveReply, MethodError> {
    let decision = ApprovalDecision::from_text(&params.decision)
        .ok_or_else(|| MethodError::invalid("invalid decision"))?;
    let id = params.id.trim().to_owned();
    let shown = params.sha256.map(|sha256| sha256.into_string());
    approvals::resolve(context, caller, id, decision, shown).await?;
    Ok(ApprovalResolveReply { ok: true })
}

async fn waiting(
    context: &Context,
    _caller: &Caller,
    _params: ApprovalListParams,
) -> Result<ApprovalListReply, MethodError> {
    Ok(ApprovalListReply {
        pending: approvals::list(context)?,
    })
}

async fn get_file(
    context: &Context,
    _caller: &Caller,
    _params: ApprovalsGetParams,
) -> Result<ApprovalsReply, MethodError> {
    with_file(context, exec_approvals::load).await
}

async fn set_file(
    context: &Context,
    _caller: &Caller,
    params: ApprovalsSetParams,
) -> Result<ApprovalsReply, MethodError> {
    with_file(context, move |path| {
        let base = params.base_hash.as_deref();
        exec_approvals::replace(path, params.file, base)
    })
    .await
}

/// Works with the file beside everything else, since a slow disk would make the others wait. One at a time: the turn ends with
/// the work and not with whoever waits for it, so that no two callers can overtake each other.
async fn with_file(
    context: &Context,
    work: impl FnOnce(&Path) -> Result<ApprovalsSnapshot, ApprovalsError> + Send + 'static,
) -> Result<ApprovalsReply, MethodError> {
    let path = StatePaths(&context.instance.identity.state_dir).exec_approvals();
    let turn = context.exec_approvals_turn.clone().lock_owned().await;
    let done = spawn_blocking(move || {
        let _turn = turn;
        work(&path)
    })
    .await;
    let done = done.map_err(|_| MethodError::unavailable("internal error"))?;
    shown(context, done)
}

fn shown(
    context: &Context,
    read: Result<ApprovalsSnapshot, ApprovalsError>,
) -> Result<ApprovalsReply, MethodError> {
    let identity = &context.instance.identity;
    let snapshot = read.map_err(|error| match error {
        ApprovalsError::BaseRequired | ApprovalsError::Changed => {
            MethodError::invalid(error.to_string())
        }
        ApprovalsError::Unreadable { .. }
        | ApprovalsError::Broken { .. }
        | ApprovalsError::Unwritable { .. } => MethodError::unavailable(error.to_string()),
    })?;
    Ok(ApprovalsReply {
        path: identity.display(&StatePaths(&identity.state_dir).exec_approvals()),
        exists: snapshot.exists,
        hash: snapshot.hash,
        file: snapshot.file.redacted(),
    })
}

async fn get_file_of_node(
    context: &Context,
    _caller: &Caller,
    params: NodeApprovalsGetParams,
) -> Result<Value, MethodError> {
    ask(
        context,
        &params.node_id,
        "system.execApprovals.get",
        json!({}),
    )
    .await
}

async fn set_file_of_node(
    context: &Context,
    _caller: &Caller,
    params: NodeApprovalsSetParams,
) -> Result<Value, MethodError> {
    let mut wanted = json!({ "file": params.file });
    if let Some(base) = params.base_hash {
        wanted["baseHash"] = json!(&*base);
    }
    ask(context, &params.node_id, "system.execApprovals.set", wanted).await
}

async fn ask(
    context: &Context,
    node: &str,
    command: &str,
    params: Value,
) -> Result<Value, MethodError> {
    let question = Question {
        node: node.trim().to_owned(),
        command: command.to_owned(),
        params: Some(params),
        timeout: None,
    };
    let said = nodes::ask(context, question)
        .await
        .map_err(MethodError::from)?;
    let payload = said
        .payload
        .as_deref()
        .map_or("null", |payload| payload.get());
    serde_json::from_str(payload)
        .map_err(|_| MethodError::unavailable("the node's answer cannot be read"))
}
