//! `nodes invoke`, and how the other commands reach a node: one `node.invoke`, which is given a moment longer than the node.

use std::time::Duration;

use clap::Args;
use openclaw_client::CallError;
use openclaw_shared::exit::Exit;
use openclaw_shared::protocol::method::nodes::NodeInvoke;
use openclaw_shared::protocol::params::nodes::MOST_INVOKE_MILLIS;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::args::{RpcFlags, millis};
use super::super::context::Context;
use super::super::failure::{Failure, Kind};
use super::super::rpc::Rpc;
use super::super::span::short;
use super::resolve::{self, Node};

/// How much longer than the node the gateway may take: the way there and back.
pub(super) const WAY: Duration = Duration::from_secs(5);
/// The longest that a gateway waits for a node.
pub(super) const LONGEST: Duration = Duration::from_millis(MOST_INVOKE_MILLIS.unsigned_abs());
/// How long a node may take when nothing else is said.
const NODE_LIMIT: Duration = Duration::from_secs(15);

/// The node that is meant, and how long it may take.
#[derive(Debug, Clone, Args)]
pub(crate) struct NodeFlag {
    /// The node
    #[arg(long, value_name = "NODE")]
    pub(crate) node: String,
    /// Give the node so many milliseconds, at most 600000 [default: 15000 or more, by command]
    #[arg(long, value_name = "MS", value_parser = node_millis, allow_negative_numbers = true)]
    invoke_timeout: Option<Duration>,
}

/// Reads how long a node may take.
fn node_millis(text: &str) -> Result<Duration, String> {
    let limit = millis(text)?;
    within_reach("--invoke-timeout", limit)
}

/// A span that a gateway waits for a node, or what is wrong with it.
pub(super) fn within_reach(option: &str, limit: Duration) -> Result<Duration, String> {
    if limit <= LONGEST {
        return Ok(limit);
    }
    Err(format!(
        "Invalid {option} {} (a node may take at most {})",
        limit.as_millis(),
        short(LONGEST)
    ))
}

impl NodeFlag {
    /// The node of this name, with as much time as its command usually gets.
    pub(super) fn named(node: &str) -> Self {
        Self {
            node: node.to_owned(),
            invoke_timeout: None,
        }
    }
}

/// `nodes invoke`.
#[derive(Debug, Clone, Args)]
pub(crate) struct InvokeArgs {
    #[command(flatten)]
    node: NodeFlag,
    /// The command, for example canvas.eval
    #[arg(long, value_name = "COMMAND")]
    command: String,
    /// Its parameters, as a JSON object
    #[arg(long, value_name = "JSON", default_value = "{}")]
    params: String,
    /// Let the node execute a repetition of the same key only once [default: a new one]
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

pub(super) async fn perform(
    context: &Context,
    flags: &RpcFlags,
    arguments: InvokeArgs,
) -> Result<Exit, Failure> {
    let params: Value = serde_json::from_str(&arguments.params).map_err(|error| {
        let message = format!("nodes invoke failed: --params is not valid JSON: {error}");
        Failure::new(Kind::Usage, message)
            .hint("Quote it for the shell: --params '{\"key\": \"value\"}'.")
    })?;
    let mut session = Session::open(context, flags, "nodes invoke", &arguments.node).await?;
    session.key = arguments.idempotency_key;
    let answer = session
        .answer(&arguments.command, params, NODE_LIMIT)
        .await?;
    context.out.document(&answer);
    Ok(Exit::Ok)
}

/// A node that commands are sent to.
#[derive(Debug)]
pub(super) struct Session<'a> {
    pub(super) rpc: Rpc<'a>,
    pub(super) node: Node,
    limit: Option<Duration>,
    key: Option<String>,
}

impl<'a> Session<'a> {
    /// Connects and finds the node.
    ///
    /// # Errors
    /// As [`Rpc::open`], and when the node cannot be told.
    pub(super) async fn open(
        context: &'a Context,
        flags: &RpcFlags,
        command: &str,
        node: &NodeFlag,
    ) -> Result<Self, Failure> {
        let mut rpc = Rpc::for_command(context, flags, command).await?;
        let found = resolve::find(&mut rpc, &node.node).await?;
        Ok(Self {
            rpc,
            node: found,
            limit: node.invoke_timeout,
            key: None,
        })
    }

    /// What the node answers to a command: its payload.
    ///
    /// # Errors
    /// When the gateway or the node refuses, or it takes too long.
    pub(super) async fn invoke(
        &mut self,
        command: &str,
        params: impl Into<Option<Value>>,
        usual: Duration,
    ) -> Result<Value, Failure> {
        let mut answer = self.answer(command, params, usual).await?;
        Ok(answer["payload"].take())
    }

    /// The gateway's answer, with the payload in it.
    async fn answer(
        &mut self,
        command: &str,
        params: impl Into<Option<Value>>,
        usual: Duration,
    ) -> Result<Value, Failure> {
        let answer = self.try_answer(command, params, usual).await;
        answer.map_err(|error| self.rpc.failure(error))
    }

    /// The gateway's answer, or a refusal that the command wants to understand.
    pub(super) async fn try_answer(
        &mut self,
        command: &str,
        params: impl Into<Option<Value>>,
        usual: Duration,
    ) -> Result<Value, CallError> {
        let limit = self.limit.unwrap_or(usual);
        let key = self
            .key
            .take()
            .unwrap_or_else(|| Uuid::new_v4().to_string());
        let mut request = json!({
            "nodeId": self.node.id,
            "command": command,
            "timeoutMs": u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
            "idempotencyKey": key,
        });
        if let Some(params) = params.into() {
            request["params"] = params;
        }
        self.rpc.try_call::<NodeInvoke>(limit + WAY, request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_gets_no_more_time_than_a_gateway_waits() {
        assert_eq!(node_millis("600000"), Ok(LONGEST));
        assert_eq!(
            node_millis("600001"),
            Err("Invalid --invoke-timeout 600001 (a node may take at most 10m)".to_owned())
        );
    }
}
