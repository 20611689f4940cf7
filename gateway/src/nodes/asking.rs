//! Asking a node, and hearing what it says.
//!
//! To ask is an errand: that it is asked is made durable, and then it is sent, whether or not the caller has left meanwhile. What
//! comes of it is settled by [`look_after`](super::look_after). The caller only waits, and so does the node that answers.
//!
//! Invariant: no connection holds a [`Ticket`](idempotency::Ticket), neither the caller's nor the node's.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::protocol::event::NodeInvokeRequest;
use openclaw_shared::protocol::params::approvals::ApprovalDecision;
use openclaw_shared::protocol::params::nodes::{
    NodeInvokeReply, NodeInvokeRequestPayload, NodeInvokeResultParams,
};
use openclaw_shared::protocol::scope::Scope;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::{Notify, oneshot};

use crate::connection::link::LinkId;
use crate::connection::{Answer, Caller};
use crate::context::Context;
use crate::methods::MethodError;
use crate::prepared::Prepared;
use crate::services::exec_approvals::record::{self, Asker};
use crate::services::idempotency::{self, Begun, Entered, Key, Ticket};
use crate::services::nodes::asked::{self, Choice, Misasked, What};
use crate::services::nodes::invokes::{
    Outcome, Over, Reservation, Said, Settle, disconnected, not_connected, refused,
};
use crate::services::nodes::{Profile, policy};
use crate::store::StoreError;

/// How long a node is waited for when the caller does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// What the keys of `node.invoke` are known by in the store.
const KIND: &str = "node.invoke";
/// Commands that read or change what a node may execute.
const OF_THE_OWNER: &str = "system.execApprovals.";

/// What a node is asked.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) node: String,
    pub(crate) command: String,
    pub(crate) params: Option<Value>,
    pub(crate) timeout: Option<Duration>,
}

/// Somebody who waits for what is told. Dropped, it has left.
#[derive(Debug)]
pub(crate) struct Hearing<T> {
    told: oneshot::Receiver<T>,
    bell: Arc<Notify>,
}

impl<T> Drop for Hearing<T> {
    fn drop(&mut self) {
        // Whether anybody else waits is looked at when the bell rings.
        self.told.close();
        self.bell.notify_one();
    }
}

impl<T> Hearing<T> {
    fn new(context: &Context, told: oneshot::Receiver<T>) -> Self {
        let bell = context.nodes_bell.clone();
        Self { told, bell }
    }

    /// What is told; none when nobody tells it any more.
    async fn end(mut self) -> Option<T> {
        (&mut self.told).await.ok()
    }
}

impl Hearing<Answer> {
    /// The answer to what was asked under a key.
    pub(crate) async fn answer(self) -> Answer {
        self.end().await.unwrap_or_else(given_up)
    }
}

/// Makes room for a question, if the node is here and may be asked.
fn reserve(context: &Context, question: &Question) -> Result<Reservation, MethodError> {
    let settings = context.settings();
    let (node, command) = (Arc::from(question.node.as_str()), &question.command);
    let link = context.nodes(|nodes| {
        let here = nodes
            .get(&node)
            .ok_or_else(|| MethodError::from(not_connected()))?;
        let Profile {
            platform, facts, ..
        } = &here.profile;
        policy::judge(*platform, &facts.commands, command, &settings.node_commands)
            .map(|()| here.link)
            .map_err(|refusal| {
                MethodError::invalid("node command not allowed")
                    .with_details(refusal.details(command))
            })
    })?;
    let timeout = question.timeout.unwrap_or(DEFAULT_TIMEOUT);
    let reservation = Reservation {
        id: uuid::Uuid::new_v4().to_string(),
        node,
        link,
        command: command.clone(),
        timeout,
        deadline: Moment::now() + timeout,
    };
    context.invokes(|invokes| invokes.reserve(reservation.clone()))?;
    Ok(reservation)
}

/// Sends a question. What comes of it goes to `settle`, also when it cannot be sent.
fn send(
    context: &Context,
    reservation: &Reservation,
    params: Option<&Value>,
    key: Option<String>,
    settle: Settle,
) {
    let Reservation {
        id,
        node,
        link,
        command,
        timeout,
        ..
    } = reservation;
    if context.invokes(|invokes| invokes.send(Moment::now(), reservation, settle)) {
        let payload = Prepared::new(&NodeInvokeRequestPayload {
            id: id.clone(),
            node_id: node.to_string(),
            command: command.clone(),
            params_json: params.map(Value::to_string),
            timeout_ms: Some(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
            idempotency_key: key,
        });
        if !context.hub.send_to::<NodeInvokeRequest>(*link, &payload) {
            let gone = Err(Box::new(disconnected(command)));
            // Nobody but us waits for this answer to be told.
            drop(context.invokes(|invokes| invokes.answer(id, node, *link, gone)));
        }
    }
    context.nodes_bell.notify_one();
}

/// Asks a node once, for a caller that does not repeat itself.
pub(crate) async fn ask(context: &Context, question: Question) -> Outcome {
    let reservation = reserve(context, &question).map_err(MethodError::into_shape)?;
    let (tell, told) = oneshot::channel();
    let params = question.params.as_ref();
    send(context, &reservation, params, None, Settle::Once(tell));
    Hearing::new(context, told)
        .end()
        .await
        .unwrap_or_else(|| Err(Box::new(disconnected(&question.command))))
}

/// Asks a node, or finds what came of asking under the same key.
///
/// # Errors
/// When it is refused whatever the key, and when the key belongs to something else.
pub(crate) async fn invoke(
    context: &Context,
    caller: &Caller,
    question: Question,
    key: String,
) -> Result<Hearing<Answer>, MethodError> {
    if question.node.is_empty() || question.command.is_empty() {
        return Err(MethodError::invalid("nodeId and command required"));
    }
    if question.command.starts_with(OF_THE_OWNER)
        && let Err(denied) = caller.rights.check(Scope::Admin)
    {
        return Err(MethodError::invalid(denied.to_string()));
    }
    let fingerprint = idempotency::fingerprint(&json!([
        question.node,
        question.command,
        question.params,
        question
            .timeout
            .map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
    ]));
    let entered = context.idempotency.enter(
        Key {
            kind: KIND,
            key: key.clone(),
        },
        fingerprint,
    );
    let (told, ticket) = match entered {
        Entered::First(ticket) => (ticket.wait(), Some(ticket)),
        Entered::Shares(shared) => (shared, None),
        Entered::Refused(error) => return Err(error.into()),
    };
    let hearing = Hearing::new(context, told);
    if let Some(ticket) = ticket {
        begin(context, caller, question, key, ticket).await;
    }
    Ok(hearing)
}

/// Makes durable that a question is asked, and sends it; or tells the answer, when there is one already.
async fn begin(
    context: &Context,
    caller: &Caller,
    question: Question,
    key: String,
    ticket: Ticket,
) {
    let row = ticket.row(&context.idempotency);
    let (room, what) = match prepare(context, caller, question) {
        Ok(prepared) => prepared,
        // What was done before stays done, whether or not the node is here now.
        Err(error) => {
            let known = context.store.read(|reader| idempotency::find(reader, &row));
            return ticket.share(&known.ok().flatten().unwrap_or_else(|| refuse(error)));
        }
    };
    let reservation = &room.reservation;
    let asker = asker(context, caller);
    match note(context, reservation, what, asker, row).await {
        Ok(Ok((params, run))) => {
            if let Some(run) = run {
                context.nodes(|nodes| nodes.gave_run(&reservation.node, run));
            }
            let settle = Settle::Keyed(ticket.under_way());
            send(context, reservation, params.as_ref(), Some(key), settle);
        }
        Ok(Err(answer)) => ticket.share(&answer),
        Err(error) => ticket.share(&refuse(error.into())),
    }
}

/// Makes room for a question and reads its parameters.
fn prepare<'a>(
    context: &'a Context,
    caller: &Caller,
    mut question: Question,
) -> Result<(Room<'a>, What), MethodError> {
    let room = Room {
        context,
        reservation: reserve(context, &question)?,
    };
    let settings = context.settings();
    let approves = caller.rights.check(Scope::Approvals);
    let choice = Choice {
        // An agent's own rules hold for what it asks.
        default: match &caller.agent {
            Some(agent) => agent,
            None => settings.default_agent(),
        },
        is_free: approves.is_ok(),
    };
    let params = question.params.take();
    let what = asked::read(&question.command, params, choice, &room.reservation.id);
    let what = what.map_err(|misasked| match (misasked, approves) {
        (Misasked::Invalid(why), _) => MethodError::invalid(why),
        (Misasked::MayNotChoose, Err(denied)) => MethodError::invalid(denied.to_string()),
        (Misasked::MayNotChoose, Ok(())) => MethodError::invalid("agentId cannot be chosen"),
    })?;
    Ok((room, what))
}

/// The room for an answer, until the question is sent.
struct Room<'a> {
    context: &'a Context,
    reservation: Reservation,
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        let id = &self.reservation.id;
        self.context.invokes(|invokes| invokes.release(id));
        self.context.nodes_bell.notify_one();
    }
}

/// Makes durable that the question is asked, and uses up the approval of a run that claims to have one. The parameters to be sent
/// and the run that is given to the node; or the answer, when there is one already.
async fn note(
    context: &Context,
    reservation: &Reservation,
    what: What,
    asker: Asker,
    row: idempotency::Row,
) -> Result<Result<(Option<Value>, Option<String>), Answer>, StoreError> {
    let (now, node) = (WallTime::now(), reservation.node.clone());
    context
        .store
        .write(move |tx| {
            if let Begun::Over(answer) = idempotency::begin(tx, now, &row)? {
                return Ok(Err(answer));
            }
            Ok(Ok(match what {
                What::Other(params) => (params, None),
                What::Run { run, agent } => {
                    let approval: Option<(String, ApprovalDecision)> = if run.claims_approval {
                        record::consume(tx, now, &node, &asker, &run)?
                    } else {
                        None
                    };
                    let id = run.id.clone();
                    let approval = approval
                        .as_ref()
                        .map(|(id, decision)| (id.as_str(), *decision));
                    let mut params = run.into_params(approval);
                    if let Some(agent) = agent {
                        params["agentId"] = json!(agent);
                    }
                    (Some(params), Some(id))
                }
            }))
        })
        .await
}

/// Keeps how a question ended, and tells whoever waits.
pub(super) async fn settle(context: &Context, over: Over) {
    let Over {
        settle,
        node,
        command,
        outcome,
        told,
    } = over;
    match settle {
        // Whoever asked may have left.
        Settle::Once(tell) => drop(tell.send(outcome)),
        Settle::Keyed(ticket) => {
            let answer = outcome.map(|said| reply(&node, &command, said));
            context
                .idempotency
                .settle(&context.store, ticket, answer)
                .await;
        }
    }
    drop(told);
}

fn reply(node: &str, command: &str, said: Said) -> Bytes {
    let reply = NodeInvokeReply {
        ok: true,
        node_id: node.to_owned(),
        command: command.to_owned(),
        payload: said.payload,
        payload_json: said.payload_json,
    };
    Prepared::new(&reply).json().clone()
}

/// Who asks, as records of approvals know it.
pub(crate) fn asker(context: &Context, caller: &Caller) -> Asker {
    match &caller.device {
        Some(device) => Asker::Device(device.to_string()),
        None => Asker::Connection {
            life: context.idempotency.life().to_owned(),
            link: caller.link.0,
        },
    }
}

fn refuse(error: MethodError) -> Answer {
    Err(error.into_shape())
}

/// The question was lost before it was made durable.
fn given_up() -> Answer {
    refuse(
        MethodError::unavailable("the request was given up before it was sent")
            .with_details(json!({ "code": "GIVEN_UP" })),
    )
}

/// A node answers. Whether somebody waited for it. What it said is told to its end also when the node leaves meanwhile.
pub(crate) async fn answer(
    context: &Context,
    node: &str,
    link: LinkId,
    params: NodeInvokeResultParams,
) -> bool {
    let id = params.id.to_string();
    let outcome = outcome(params);
    let Some(told) = context.invokes(|invokes| invokes.answer(&id, node, link, outcome)) else {
        return false;
    };
    context.nodes_bell.notify_one();
    // It ends when its other end is dropped; there is nothing to receive.
    let _ = told.await;
    true
}

fn outcome(params: NodeInvokeResultParams) -> Outcome {
    if !params.ok {
        return Err(Box::new(refused(params.error)));
    }
    let sent = params.payload_json.filter(|sent| sent.get() != "null");
    let Some(sent) = sent else {
        return Ok(Said {
            payload: params.payload.map(Arc::from),
            payload_json: None,
        });
    };
    // What is no text counts as the payload itself.
    let Ok(text) = serde_json::from_str::<String>(sent.get()) else {
        return Ok(Said {
            payload: Some(sent.into()),
            payload_json: None,
        });
    };
    let payload = RawValue::from_string(text.clone())
        .or_else(|_| RawValue::from_string(json!({ "payloadJSON": text }).to_string()));
    Ok(Said {
        payload: payload.ok().map(Arc::from),
        payload_json: Some(text),
    })
}
