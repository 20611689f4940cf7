//! Nodes as they come, are asked, answer and go.
//!
//! What is decided is decided by [`services::nodes`](crate::services::nodes) and the store; this is the way between them, the
//! connections and the clock.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::protocol::connect::ConnectParams;
use openclaw_shared::protocol::event::{Event as _, NodeInvokeRequest, VoicewakeChanged};
use openclaw_shared::protocol::params::approvals::ApprovalDecision;
use openclaw_shared::protocol::params::nodes::{
    NodeInvokeReply, NodeInvokeRequestPayload, NodeInvokeResultParams,
};
use openclaw_shared::protocol::scope::Scope;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use crate::connection::link::{Leave, Link, LinkId};
use crate::connection::{Answer, Caller};
use crate::context::Context;
use crate::hub::event_head;
use crate::methods::MethodError;
use crate::prepared::Prepared;
use crate::services::devices;
use crate::services::exec_approvals::record::{self, Asker};
use crate::services::exec_approvals::run::{self, Run};
use crate::services::idempotency::{self, Begun, Entered, Key};
use crate::services::nodes::invokes::{
    Outcome, Over, Reservation, Said, Settle, disconnected, not_connected, refused,
};
use crate::services::nodes::{Profile, policy};
use crate::services::voicewake;
use crate::store::StoreError;

/// How long a node is waited for when the caller does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// What the keys of `node.invoke` are known by in the store.
const KIND: &str = "node.invoke";
/// Commands that read or change what a node may execute.
const OF_THE_OWNER: &str = "system.execApprovals.";
/// The reason that a node reads on the connection it has replaced.
const REPLACED: &str = "replaced by a newer connection";

/// A node has been let in.
pub(crate) fn arrive(
    context: &Context,
    link: &Arc<Link>,
    node: &Arc<str>,
    params: &ConnectParams,
    remote_ip: Option<String>,
) {
    let now = WallTime::now();
    let paired = context.store.read(|reader| devices::paired_node(reader, node)).unwrap_or_else(|error| {
        tracing::warn!(target: "gateway/nodes", %error, "what was paired cannot be read; the node is asked for nothing");
        None
    });
    let settings = context.settings();
    let profile = Profile::of(
        now,
        params,
        remote_ip,
        paired.as_ref(),
        &settings.node_commands,
    );
    let replaced = context.nodes(|nodes| nodes.enter(now, node, link.id, profile));
    if let Some(older) = replaced {
        context.invokes(|invokes| invokes.disconnect(older));
        if let Some(older) = context.hub.link(older) {
            older.leave(Leave::Policy(REPLACED));
        }
    }
    // Whoever cannot read the words listens for those it knows.
    if let Ok(triggers) = context.store.read(voicewake::read) {
        let triggers = Prepared::new(&triggers);
        link.send(&event_head(VoicewakeChanged::NAME, triggers.json()));
    }
    context.nodes_bell.notify_one();
}

/// A connection of a node has ended.
pub(crate) fn depart(context: &Context, node: &str, link: LinkId) {
    context.nodes(|nodes| nodes.leave(WallTime::now(), node, link));
    context.invokes(|invokes| invokes.disconnect(link));
    context.nodes_bell.notify_one();
}

/// This life ends: whoever waits for a node is told at once.
pub(crate) fn close(context: &Context) {
    context.invokes(|invokes| invokes.close());
    context.nodes_bell.notify_one();
}

/// Ends what is too late or cut off, and keeps what nodes said about themselves. Runs for as long as it is polled.
pub(crate) async fn look_after(context: &Context) {
    loop {
        let deadline = context.invokes(|invokes| invokes.next_deadline());
        tokio::select! {
            () = context.nodes_bell.notified() => {}
            () = until(deadline) => {}
        }
        let over = context.invokes(|invokes| {
            invokes.expire(Moment::now());
            invokes.take_over()
        });
        tokio::join!(
            join_all(over.into_iter().map(|over| settle(context, over))),
            keep_notes(context)
        );
    }
}

/// Sleeps until then, or for ever.
pub(crate) async fn until(deadline: Option<Moment>) {
    match deadline {
        Some(deadline) => sleep_until(Instant::from_std(deadline.into_std())).await,
        None => pending().await,
    }
}

async fn keep_notes(context: &Context) {
    let notes = context.nodes(|nodes| nodes.take_notes());
    if notes.is_empty() {
        return;
    }
    let written: Result<(), StoreError> = context
        .store
        .write(move |tx| {
            for (node, facts) in &notes {
                devices::note_node(tx, node, facts)?;
            }
            Ok(())
        })
        .await;
    if let Err(error) = written {
        tracing::warn!(target: "gateway/nodes", %error, "what a node offers cannot be kept");
    }
}

async fn settle(context: &Context, over: Over) {
    let Over {
        settle,
        node,
        command,
        outcome,
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

/// What a node is asked.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) node: String,
    pub(crate) command: String,
    pub(crate) params: Option<Value>,
    pub(crate) timeout: Option<Duration>,
}

/// A question that may be asked, with room for its answer.
struct Asking<'a> {
    context: &'a Context,
    id: String,
    node: Arc<str>,
    link: LinkId,
    command: String,
    timeout: Duration,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.context.invokes(|invokes| invokes.release(&self.id));
    }
}

impl<'a> Asking<'a> {
    /// Makes room for a question, if the node is here and may be asked.
    fn new(context: &'a Context, question: &Question) -> Result<Self, MethodError> {
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
        let asking = Self {
            context,
            id: uuid::Uuid::new_v4().to_string(),
            node,
            link,
            command: command.clone(),
            timeout: question.timeout.unwrap_or(DEFAULT_TIMEOUT),
        };
        context.invokes(|invokes| {
            invokes.reserve(Reservation {
                id: asking.id.clone(),
                node: asking.node.clone(),
                link,
                command: asking.command.clone(),
                deadline: Moment::now() + asking.timeout,
            })
        })?;
        Ok(asking)
    }

    /// Sends it. What comes of it goes to `settle`; the way to whoever settles it when it could not be sent.
    fn send(self, params: Option<&Value>, key: Option<String>, settle: Settle) -> Option<Over> {
        let context = self.context;
        let payload = Prepared::new(&NodeInvokeRequestPayload {
            id: self.id.clone(),
            node_id: self.node.to_string(),
            command: self.command.clone(),
            params_json: params.map(Value::to_string),
            timeout_ms: Some(u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX)),
            idempotency_key: key,
        });
        let gone = || Err(Box::new(disconnected(&self.command)));
        if let Some(settle) = context.invokes(|invokes| invokes.send(&self.id, settle)) {
            return Some(Over {
                settle,
                node: self.node.clone(),
                command: self.command.clone(),
                outcome: gone(),
            });
        }
        context.nodes_bell.notify_one();
        if context
            .hub
            .send_to::<NodeInvokeRequest>(self.link, &payload)
        {
            None
        } else {
            context.invokes(|invokes| invokes.answer(&self.id, &self.node, self.link, gone()))
        }
    }
}

/// Asks a node once, for a caller that does not repeat itself.
pub(crate) async fn ask(context: &Context, question: Question) -> Outcome {
    let asking = Asking::new(context, &question).map_err(MethodError::into_shape)?;
    let (tell, told) = oneshot::channel();
    if let Some(over) = asking.send(question.params.as_ref(), None, Settle::Once(tell)) {
        settle(context, over).await;
    }
    told.await
        .unwrap_or_else(|_| Err(Box::new(disconnected(&question.command))))
}

/// Asks a node, or repeats what came of asking under the same key.
pub(crate) async fn invoke(
    context: &Context,
    caller: &Caller,
    question: Question,
    key: String,
) -> Answer {
    if question.node.is_empty() || question.command.is_empty() {
        return refuse(MethodError::invalid("nodeId and command required"));
    }
    if question.command.starts_with(OF_THE_OWNER)
        && let Err(denied) = caller.rights.check(Scope::Admin)
    {
        return refuse(MethodError::invalid(denied.to_string()));
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
    let ticket = match entered {
        Entered::First(ticket) => ticket,
        Entered::Shares(shared) => return shared.await.unwrap_or_else(|_| given_up()),
        Entered::Answered(answer) => return answer,
    };
    let row = ticket.row(&context.idempotency);
    let asked = prepare(context, question);
    let (asking, what) = match asked {
        Ok(asked) => asked,
        // What was done before stays done, whether or not the node is here now.
        Err(error) => {
            return match context.store.read(|reader| idempotency::find(reader, &row)) {
                Ok(Some(answer)) => answer,
                Ok(None) | Err(_) => refuse(error),
            };
        }
    };
    let begun = begin(context, caller, &asking, what, row).await;
    let (params, run) = match begun {
        Ok(Ok(begun)) => begun,
        Ok(Err(answer)) => return answer,
        Err(error) => return refuse(error.into()),
    };
    if let Some(run) = run {
        context.nodes(|nodes| nodes.gave_run(&asking.node, run));
    }
    let told = ticket.wait();
    if let Some(over) = asking.send(params.as_ref(), Some(key), Settle::Keyed(ticket)) {
        settle(context, over).await;
    }
    told.await.unwrap_or_else(|_| given_up())
}

/// The parameters of a question: those of a run, or any other.
enum What {
    Run(Box<Run>),
    Other(Option<Value>),
}

fn prepare(context: &Context, mut question: Question) -> Result<(Asking<'_>, What), MethodError> {
    let asking = Asking::new(context, &question)?;
    let params = question.params.take();
    let what = if question.command == run::COMMAND {
        What::Run(Box::new(
            run::read(params, &asking.id).map_err(MethodError::invalid)?,
        ))
    } else {
        What::Other(params)
    };
    Ok((asking, what))
}

/// Makes durable that the question is asked, and uses up the approval of a run that claims to have one. The parameters to be sent
/// and the run that is given to the node; or the answer, when there is one already.
async fn begin(
    context: &Context,
    caller: &Caller,
    asking: &Asking<'_>,
    what: What,
    row: idempotency::Row,
) -> Result<Result<(Option<Value>, Option<String>), Answer>, StoreError> {
    let (now, node, asker) = (WallTime::now(), asking.node.clone(), asker(context, caller));
    context
        .store
        .write(move |tx| {
            if let Begun::Over(answer) = idempotency::begin(tx, now, &row)? {
                return Ok(Err(answer));
            }
            Ok(Ok(match what {
                What::Other(params) => (params, None),
                What::Run(run) => {
                    let approval: Option<(String, ApprovalDecision)> = if run.claims_approval {
                        record::consume(tx, now, &node, &asker, &run)?
                    } else {
                        None
                    };
                    let id = run.id.clone();
                    let approval = approval
                        .as_ref()
                        .map(|(id, decision)| (id.as_str(), *decision));
                    (Some(run.into_params(approval)), Some(id))
                }
            }))
        })
        .await
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

fn given_up() -> Answer {
    refuse(
        MethodError::unavailable("the request was given up before it was sent")
            .with_details(json!({ "code": "GIVEN_UP" })),
    )
}

/// A node answers. Whether somebody waited for it.
pub(crate) async fn answer(
    context: &Context,
    node: &str,
    link: LinkId,
    params: NodeInvokeResultParams,
) -> bool {
    let id = params.id.to_string();
    let outcome = outcome(params);
    let Some(over) = context.invokes(|invokes| invokes.answer(&id, node, link, outcome)) else {
        return false;
    };
    settle(context, over).await;
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

#[cfg(test)]
mod tests;
