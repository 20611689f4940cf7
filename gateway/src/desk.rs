//! Calling methods from within this process: the same checks, the same answers, and no connection.
//!
//! Invariant: an agent calls with the rights to read and to write, and nothing else. What its tools do with more is named by the
//! tool, one method at a time, and goes by [`Desk::call_as_owner`]; whether the agent has that tool is for the owner's tool
//! policy to say.

use std::sync::Arc;

use openclaw_shared::protocol::connect::{ClientId, ClientInfo, ClientMode};
use openclaw_shared::protocol::error::ErrorShape;
use openclaw_shared::protocol::frame::Request;
use openclaw_shared::protocol::scope::{Rights, Role};
use openclaw_shared::protocol::strict::NonEmpty;
use serde_json::{Value, json};

use crate::connection::{Caller, Outgoing};
use crate::context::Context;
use crate::methods::{Called, MethodError};

/// What an agent may do.
const OF_AN_AGENT: [&str; 2] = ["operator.read", "operator.write"];
/// What an owner may do.
const OF_THE_OWNER: [&str; 1] = ["operator.admin"];

/// A place to call methods from.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    pub(crate) context: Arc<Context>,
    caller: Arc<Caller>,
    /// The same, with everything that an owner may do.
    owner: Arc<Caller>,
}

impl Desk {
    /// An agent's.
    pub(crate) fn of_agent(context: &Arc<Context>, agent: &str) -> Self {
        let link = context.hub.number();
        let caller = |scopes: &[&str]| {
            Arc::new(Caller {
                link,
                rights: Rights::new(Role::Operator, scopes.iter().copied()),
                device: None,
                agent: Some(Arc::from(agent)),
                client: client(context, agent),
                presence_key: None,
            })
        };
        Self {
            context: context.clone(),
            caller: caller(&OF_AN_AGENT),
            owner: caller(&OF_THE_OWNER),
        }
    }

    /// Who calls.
    pub(crate) fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }

    /// Calls a method.
    ///
    /// # Errors
    /// As the method.
    pub(crate) async fn call(&self, method: &str, params: &Value) -> Result<Value, MethodError> {
        call(&self.context, &self.caller, method, params).await
    }

    /// Calls a method that asks for more than an agent may.
    ///
    /// # Errors
    /// As the method.
    pub(crate) async fn call_as_owner(
        &self,
        method: &'static str,
        params: &Value,
    ) -> Result<Value, MethodError> {
        call(&self.context, &self.owner, method, params).await
    }
}

fn client(context: &Context, agent: &str) -> ClientInfo {
    let text = |text: &str| {
        NonEmpty::new(text).unwrap_or_else(|| NonEmpty::new("unknown").expect("it is not empty"))
    };
    ClientInfo {
        id: ClientId::GatewayClient,
        display_name: NonEmpty::new(format!("agent {agent}")),
        version: text(&context.instance.version),
        platform: text(&context.machine.platform),
        device_family: None,
        model_identifier: None,
        mode: ClientMode::Backend,
        instance_id: None,
    }
}

/// Calls a method in the name of somebody.
///
/// # Errors
/// As the method.
pub(crate) async fn call(
    context: &Arc<Context>,
    caller: &Arc<Caller>,
    method: &str,
    params: &Value,
) -> Result<Value, MethodError> {
    let broken = || MethodError::unavailable("internal error");
    let text = json!({"type": "req", "id": "desk", "method": method, "params": params}).to_string();
    let request = Request::parse(&text).ok_or_else(broken)?;
    let answer = match context.routes().call(context, caller, &request) {
        Called::Answered(answer) => answer,
        Called::Started(answering) => match answering.await.answer {
            Outgoing::Plain(answer) => answer,
            Outgoing::Failed { error, .. } => Err(error),
        },
    };
    let json = answer.map_err(|error: Box<ErrorShape>| MethodError::from(error))?;
    serde_json::from_slice(&json).map_err(|_| broken())
}
