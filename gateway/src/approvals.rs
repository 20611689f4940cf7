//! Asking people before something is executed: who asks, who decides, and what is too late.
//!
//! Invariant: what is kept is told. Asking and deciding are errands, so that the record of a question is never there without
//! the event that shows it, nor a decision without whoever waits hearing of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::protocol::event::{ExecApprovalRequested, ExecApprovalResolved};
use openclaw_shared::protocol::params::approvals::{
    ApprovalDecision, ApprovalRequestParams, ApprovalRequestReply, ApprovalResolvedPayload,
    ApprovalShown, PendingApproval,
};
use openclaw_shared::protocol::scope::Scope;
use openclaw_shared::secret::names_a_secret;
use tokio::sync::{Notify, oneshot};

use crate::connection::Caller;
use crate::context::Context;
use crate::methods::MethodError;
use crate::nodes::{asker, until};
use crate::prepared::Prepared;
use crate::services::exec_approvals::display;
use crate::services::exec_approvals::record::{self, Asked, Bound, Expired, Inserted, Resolved};
use crate::services::exec_approvals::run::{self, Exactly};
use crate::services::exec_approvals::waiting::{Crowded, Decided, Who};
use crate::store::StoreError;

/// How long people have when the asker does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);
/// What is shown must be read by a person; more than this is not, in bytes.
const LONGEST_REQUEST: usize = 64 * 1024;
/// Where nodes run what they are asked to.
const ON_A_NODE: &str = "node";

/// Somebody who has asked and waits for what people say.
#[derive(Debug)]
pub(crate) struct Asking {
    pending: PendingApproval,
    is_passing: bool,
    told: oneshot::Receiver<Decided>,
    bell: Arc<Notify>,
}

impl Drop for Asking {
    fn drop(&mut self) {
        // What a connection has asked for ends with it, and is looked for when the bell rings.
        self.told.close();
        self.bell.notify_one();
    }
}

/// Asks.
pub(crate) async fn request(
    context: &Context,
    caller: &Caller,
    params: ApprovalRequestParams,
) -> Result<Asking, MethodError> {
    let now = WallTime::now();
    let timeout = params.timeout_ms.map_or(DEFAULT_TIMEOUT, |millis| {
        Duration::from_millis(millis.get_unsigned())
    });
    let names_node = params.node_id.is_some();
    let asked = asked(context, caller, now, timeout, params)?;
    let id = asked.pending.id.clone();
    let who = Who::new(
        &asked.bound.asker,
        caller.rights.check(Scope::Admin).is_ok(),
    );
    let told = context
        .approvals(|waiting| waiting.wait(&id, &who, Moment::now() + timeout))
        .map_err(|crowded| match crowded {
            Crowded::Full => MethodError::unavailable("too many approvals wait for a decision"),
            Crowded::Taken => MethodError::invalid("approval id already pending"),
            Crowded::Leaving => leaving(&id, who.is_passing()),
        })?;
    let insert = asked.clone();
    let inserted: Result<Inserted, StoreError> = context
        .store
        .write(move |tx| Ok(record::insert(tx, now, &insert, names_node)?))
        .await;
    let refuse = |error: MethodError| {
        context.approvals(|waiting| waiting.give_up(&id));
        Err(error)
    };
    let pending = match inserted {
        Ok(Inserted::New) => {
            let payload = Prepared::new(&asked.pending);
            context
                .hub
                .publish::<ExecApprovalRequested>(&payload, context.state_version());
            asked.pending
        }
        Ok(Inserted::Same(pending)) => *pending,
        Ok(Inserted::Taken) => return refuse(MethodError::invalid("approval id already pending")),
        Ok(Inserted::Used) => return refuse(MethodError::invalid("approval id already used")),
        Ok(Inserted::Full) => {
            let message = "too many approvals were asked for in a short time";
            return refuse(MethodError::unavailable(message));
        }
        Err(error) => return refuse(error.into()),
    };
    context.approvals(|waiting| waiting.kept(&id));
    context.approvals_bell.notify_one();
    Ok(Asking {
        pending,
        is_passing: who.is_passing(),
        told,
        bell: context.approvals_bell.clone(),
    })
}

/// Waits until somebody has decided or it is too late.
pub(crate) async fn hear(
    _context: &Context,
    mut asking: Asking,
) -> Result<ApprovalRequestReply, MethodError> {
    let told = (&mut asking.told).await;
    let PendingApproval {
        id,
        created_at_ms,
        expires_at_ms,
        ..
    } = &asking.pending;
    Ok(ApprovalRequestReply {
        id: id.clone(),
        decision: told.map_err(|_| leaving(id, asking.is_passing))?,
        created_at_ms: *created_at_ms,
        expires_at_ms: *expires_at_ms,
    })
}

fn leaving(id: &str, is_passing: bool) -> MethodError {
    MethodError::unavailable(if is_passing {
        format!("the gateway is restarting; approval {id} must be asked for again")
    } else {
        format!("the gateway is restarting; approval {id} stays pending")
    })
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
    // What an agent runs on this machine has no node, and its approval is for the one call that waits for it.
    if params.argv.is_some() && params.node_id.is_none() && caller.agent.is_none() {
        return Err(MethodError::invalid("argv needs nodeId"));
    }
    let exactly = params.argv.map(|argv| Exactly {
        argv,
        cwd: params.cwd.0.clone(),
        env: params.env.unwrap_or_default(),
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
    let node_id = match params.node_id {
        Some(node) => Some(node.into_string()),
        None if params.host.as_deref() == Some(ON_A_NODE) => only_node(context),
        None => None,
    };
    let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    let shown = ApprovalShown {
        command: params.command.into_string(),
        cwd: params.cwd.0,
        host: params.host.0,
        security: params.security.0,
        ask: params.ask.0,
        agent_id: params.agent_id.0,
        resolved_path: params.resolved_path.0,
        session_key: params.session_key.0,
        node_id,
        argv: exactly.as_ref().map(|exactly| exactly.argv.clone()),
        env_names: exactly
            .as_ref()
            .map(|exactly| exactly.env.keys().cloned().collect()),
        env: exactly.as_ref().map(|exactly| open(&exactly.env)),
    };
    Ok(Asked {
        pending: PendingApproval::new(
            id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
            shown,
            now.as_millis(),
            now.as_millis().saturating_add(millis),
        ),
        bound: Bound {
            asker: asker(context, caller),
            sha256: exactly.map(|exactly| exactly.sha256()),
        },
    })
}

/// The variables that people may see.
fn open(env: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let open = env.iter().filter(|(name, _)| !names_a_secret(name));
    open.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// The one node that can be meant when the asker names none: clients that know only a command text say no more than that
/// it runs on a node.
fn only_node(context: &Context) -> Option<String> {
    let here = context.nodes(|nodes| nodes.rows(Vec::new()));
    let runs = |offers: &[String]| offers.iter().any(|offer| offer == run::COMMAND);
    let mut able = here.into_iter().filter(|node| runs(&node.commands));
    match (able.next(), able.next()) {
        (Some(only), None) => Some(only.node_id),
        (None, _) | (Some(_), Some(_)) => None,
    }
}

/// Decides on what was asked; when the decider says what it was `shown`, on nothing else.
pub(crate) async fn resolve(
    context: &Context,
    caller: &Caller,
    id: String,
    decision: ApprovalDecision,
    shown: Option<String>,
) -> Result<(), MethodError> {
    let now = WallTime::now();
    let key = id.clone();
    let resolved: Result<Resolved, StoreError> = context
        .store
        .write(move |tx| Ok(record::resolve(tx, now, &key, decision, shown.as_deref())?))
        .await;
    match resolved? {
        Resolved::Decided => {}
        Resolved::Unknown => return Err(MethodError::invalid("unknown approval id")),
        Resolved::Changed => {
            return Err(MethodError::invalid(
                "the approval is not the one that was shown",
            ));
        }
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

/// This life serves from now on: looks after what was asked for in earlier ones. What a connection of one of them has asked for
/// can be used by nobody any more.
pub(crate) fn adopt(context: &Context) {
    let now = WallTime::now();
    match context.store.read(|reader| record::pending(reader, None)) {
        Ok(all) => context.approvals(|waiting| {
            for Asked { pending, bound } in all {
                let left = WallTime::from_millis(pending.expires_at_ms).since(now);
                let who = Who::new(&bound.asker, false);
                waiting.adopt(pending.id, who, Moment::now() + left);
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

/// Ends what is too late or of no use. Runs for as long as it is polled.
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
    let expired: Result<Expired, StoreError> = context
        .store
        .write(move |tx| Ok(record::expire(tx, now, &key)?))
        .await;
    match expired {
        Ok(Expired::Undecided) => tell(context, id, None, None),
        // In the last moment, by somebody who publishes it: here, or in the process that was replaced.
        Ok(Expired::Before(decision)) => {
            context.approvals(|waiting| waiting.decide(&id, decision));
        }
        Err(error) => {
            tracing::warn!(target: "gateway/approvals", %error, "that an approval is too late cannot be kept");
            tell(context, id, None, None);
        }
    }
}

#[cfg(test)]
mod tests;
