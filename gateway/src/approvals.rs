//! Asking people before something is executed: who asks, who decides, and what is too late.

use std::time::Duration;

use futures_util::future::join_all;
use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::protocol::event::{ExecApprovalRequested, ExecApprovalResolved};
use openclaw_shared::protocol::params::approvals::{
    ApprovalDecision, ApprovalRequestParams, ApprovalRequestReply, ApprovalResolvedPayload,
    ApprovalShown, PendingApproval,
};

use crate::connection::Caller;
use crate::context::Context;
use crate::methods::MethodError;
use crate::nodes::{asker, until};
use crate::prepared::Prepared;
use crate::services::exec_approvals::display;
use crate::services::exec_approvals::record::{self, Asked, Bound, Inserted};
use crate::services::exec_approvals::run::Exactly;
use crate::services::exec_approvals::waiting::Crowded;
use crate::store::StoreError;

/// How long people have when the asker does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);
/// What is shown must be read by a person; more than this is not, in bytes.
const LONGEST_REQUEST: usize = 64 * 1024;

/// Asks, and waits until somebody has decided or it is too late.
pub(crate) async fn request(
    context: &Context,
    caller: &Caller,
    params: ApprovalRequestParams,
) -> Result<ApprovalRequestReply, MethodError> {
    let now = WallTime::now();
    let timeout = params.timeout_ms.map_or(DEFAULT_TIMEOUT, |millis| {
        Duration::from_millis(millis.get_unsigned())
    });
    let asked = asked(context, caller, now, timeout, params)?;
    let (id, name) = (asked.pending.id.clone(), asked.bound.asker.name());
    let told = context
        .approvals(|waiting| waiting.wait(&id, &name, Moment::now() + timeout))
        .map_err(|crowded| match crowded {
            Crowded::Full => MethodError::unavailable("too many approvals wait for a decision"),
            Crowded::Taken => MethodError::invalid("approval id already pending"),
            Crowded::Leaving => leaving(&id),
        })?;
    let insert = asked.clone();
    let inserted: Result<Inserted, StoreError> = context
        .store
        .write(move |tx| Ok(record::insert(tx, now, &insert)?))
        .await;
    let pending = match inserted {
        Ok(Inserted::New) => {
            let payload = Prepared::new(&asked.pending);
            context
                .hub
                .publish::<ExecApprovalRequested>(&payload, context.state_version());
            context.approvals_bell.notify_one();
            asked.pending
        }
        Ok(Inserted::Same(pending)) => *pending,
        Ok(Inserted::Taken) => {
            context.approvals(|waiting| waiting.decide(&id, None));
            return Err(MethodError::invalid("approval id already pending"));
        }
        Err(error) => {
            context.approvals(|waiting| waiting.decide(&id, None));
            return Err(error.into());
        }
    };
    let decision = told.await.map_err(|_| leaving(&id))?;
    Ok(ApprovalRequestReply {
        id,
        decision,
        created_at_ms: pending.created_at_ms,
        expires_at_ms: pending.expires_at_ms,
    })
}

fn leaving(id: &str) -> MethodError {
    MethodError::unavailable(format!(
        "the gateway is restarting; approval {id} stays pending"
    ))
}

fn asked(
    context: &Context,
    caller: &Caller,
    now: WallTime,
    timeout: Duration,
    params: ApprovalRequestParams,
) -> Result<Asked, MethodError> {
    let size = serde_json::to_vec(&params).map_or(usize::MAX, |json| json.len());
    if size > LONGEST_REQUEST {
        return Err(MethodError::invalid(
            "the command is too long to be shown to people",
        ));
    }
    if params.env.is_some() && params.argv.is_none() {
        return Err(MethodError::invalid("env needs argv"));
    }
    if params.argv.is_some() && params.node_id.is_none() {
        return Err(MethodError::invalid("argv needs nodeId"));
    }
    let env = params.env.unwrap_or_default();
    let env_names = params.argv.is_some().then(|| env.keys().cloned().collect());
    let exactly = params.argv.clone().map(|argv| Exactly {
        argv,
        cwd: params.cwd.0.clone(),
        env,
    });
    if let Some(exactly) = &exactly
        && !display::describes(&params.command, &exactly.argv)
    {
        return Err(MethodError::invalid("command does not show argv"));
    }
    let id = params
        .id
        .map(|id| id.trim().to_owned())
        .filter(|id| !id.is_empty());
    let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    Ok(Asked {
        pending: PendingApproval {
            id: id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
            request: ApprovalShown {
                command: params.command.into_string(),
                cwd: params.cwd.0,
                host: params.host.0,
                security: params.security.0,
                ask: params.ask.0,
                agent_id: params.agent_id.0,
                resolved_path: params.resolved_path.0,
                session_key: params.session_key.0,
                node_id: params.node_id.map(|node| node.into_string()),
                argv: params.argv,
                env_names,
            },
            created_at_ms: now.as_millis(),
            expires_at_ms: now.as_millis().saturating_add(millis),
        },
        bound: Bound {
            asker: asker(context, caller),
            sha256: exactly.map(|exactly| exactly.sha256()),
        },
    })
}

/// Decides what was asked.
pub(crate) async fn resolve(
    context: &Context,
    caller: &Caller,
    id: String,
    decision: ApprovalDecision,
) -> Result<(), MethodError> {
    let now = WallTime::now();
    let key = id.clone();
    let resolved: Result<bool, StoreError> = context
        .store
        .write(move |tx| Ok(record::resolve(tx, now, &key, decision)?))
        .await;
    if !resolved? {
        return Err(MethodError::invalid("unknown approval id"));
    }
    let name = caller.client.display_name.as_deref();
    let by = name.unwrap_or(caller.client.id.as_str()).to_owned();
    tracing::info!(target: "gateway/approvals", id, %decision, by, "an approval was decided");
    tell(context, id, Some(decision), Some(by));
    Ok(())
}

/// What waits for a decision.
pub(crate) fn list(context: &Context) -> Result<Vec<PendingApproval>, StoreError> {
    let now = WallTime::now();
    let waiting = context
        .store
        .read(|reader| record::pending(reader, Some(now)))?;
    Ok(waiting.into_iter().map(|asked| asked.pending).collect())
}

/// Tells whoever waits and everybody who may decide.
fn tell(context: &Context, id: String, decided: Option<ApprovalDecision>, by: Option<String>) {
    context.approvals(|waiting| waiting.decide(&id, decided));
    let payload = Prepared::new(&ApprovalResolvedPayload {
        id,
        // Nobody's word is no.
        decision: decided.unwrap_or(ApprovalDecision::Deny),
        resolved_by: by,
        ts: WallTime::now().as_millis(),
    });
    context
        .hub
        .publish::<ExecApprovalResolved>(&payload, context.state_version());
}

/// This life serves from now on: looks after what was asked for in earlier ones.
pub(crate) fn adopt(context: &Context) {
    let now = WallTime::now();
    match context.store.read(|reader| record::pending(reader, None)) {
        Ok(all) => context.approvals(|waiting| {
            for asked in all {
                let left = WallTime::from_millis(asked.pending.expires_at_ms).since(now);
                waiting.adopt(
                    asked.pending.id,
                    asked.bound.asker.name(),
                    Moment::now() + left,
                );
            }
        }),
        Err(error) => {
            tracing::warn!(target: "gateway/approvals", %error, "approvals that wait cannot be read")
        }
    }
    context.approvals_bell.notify_one();
}

/// This life ends: whoever waits is told at once, and what waits is decided in the next.
pub(crate) fn close(context: &Context) {
    context.approvals(|waiting| waiting.close());
}

/// Ends what is too late. Runs for as long as it is polled.
pub(crate) async fn look_after(context: &Context) {
    loop {
        let deadline = context.approvals(|waiting| waiting.next_deadline());
        tokio::select! {
            () = context.approvals_bell.notified() => {}
            () = until(deadline) => {}
        }
        let due = context.approvals(|waiting| waiting.due(Moment::now()));
        join_all(due.into_iter().map(|id| expire(context, id))).await;
    }
}

async fn expire(context: &Context, id: String) {
    let (now, key) = (WallTime::now(), id.clone());
    let expired: Result<bool, StoreError> = context
        .store
        .write(move |tx| Ok(record::expire(tx, now, &key)?))
        .await;
    match expired {
        Ok(true) => tell(context, id, None, None),
        // Decided in the last moment, by whoever tells.
        Ok(false) => context.approvals(|waiting| waiting.decide(&id, None)),
        Err(error) => {
            tracing::warn!(target: "gateway/approvals", %error, "that an approval is too late cannot be kept");
            tell(context, id, None, None);
        }
    }
}
