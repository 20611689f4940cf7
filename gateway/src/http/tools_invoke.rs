//! `POST /tools/invoke`: one call of one tool, as the policy of the session's agent allows it.
//!
//! Tools that reach further than a program which only asks (they run commands, write files, change the gateway, make jobs, or start
//! and write to sessions) are off here unless the owner names them: what holds the secret for one thing is not to have all of them.
//!
//! A tool works on the thread of the gateway and belongs to the request: a client that leaves ends it.

use std::sync::Arc;

use http::{Method, StatusCode};
use openclaw_agent::tool::{Call, ToolError, ToolOutput};
use openclaw_agent::tool_policy;
use openclaw_shared::transcript::{Part, text_of};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio::time::timeout;
use uuid::Uuid;
use warp::reply::Response as Reply;

use super::api::{Asked, Failure, json};
use super::fields::{Object, shown};
use super::{bearer, body};
use crate::context::Context;
use crate::services::session_key::SessionKey;
use crate::toolbox;

/// The largest body, in bytes.
const BODY_BYTES: usize = 2 * 1024 * 1024;

/// What is off unless it is named by the owner.
const POWERFUL: [&str; 9] = [
    "exec",
    "process",
    "write",
    "edit",
    "nodes",
    "cron",
    "gateway",
    "sessions_send",
    "sessions_spawn",
];
/// Where the owner names it.
const KEY: &str = "gateway.tools.allow";

/// Answers.
pub(super) async fn answer(asked: Asked) -> Reply {
    match invoke(asked).await {
        Ok(reply) => reply,
        Err(failure) => failure.reply(),
    }
}

/// What is asked.
#[derive(Debug)]
struct Invocation {
    tool: String,
    action: Option<String>,
    arguments: Map<String, Value>,
    session: SessionKey,
    agent: String,
}

/// What became of a call.
enum Invoked {
    Done(ToolOutput),
    Failed(ToolError),
    NoTool,
    Late,
}

#[derive(Serialize)]
struct Success {
    ok: bool,
    result: Shown,
}

#[derive(Serialize)]
struct Shown {
    content: Vec<Part>,
    details: Value,
}

#[derive(Serialize)]
struct Refusal<'a> {
    ok: bool,
    error: Reason<'a>,
}

#[derive(Serialize)]
struct Reason<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    message: &'a str,
}

fn refuse(status: StatusCode, kind: &'static str, message: &str) -> Reply {
    let refusal = Refusal {
        ok: false,
        error: Reason { kind, message },
    };
    json(status, &refusal)
}

async fn invoke(mut asked: Asked) -> Result<Reply, Failure> {
    asked.only(&Method::POST)?;
    bearer::admit(&asked).await?;
    let bytes = body::bytes(&asked.headers, &mut asked.body, BODY_BYTES).await?;
    let invocation = read(&asked.context, &body::object(&bytes)?)?;
    let tool = shown(&invocation.tool);
    if is_off(&asked.context, &invocation.tool) {
        let message = format!("Tool not available: {tool} (off over HTTP unless {KEY} names it)");
        return Ok(refuse(StatusCode::NOT_FOUND, "not_found", &message));
    }
    let invoked = call(asked.context.clone(), invocation).await;
    Ok(match invoked {
        Ok(Invoked::Done(output)) if output.is_error => {
            refuse(StatusCode::BAD_REQUEST, "tool_error", &said(&output))
        }
        Ok(Invoked::Done(output)) => {
            let details = if output.details.is_null() {
                Value::Object(Map::new())
            } else {
                output.details
            };
            let result = Shown {
                content: output.content,
                details,
            };
            json(StatusCode::OK, &Success { ok: true, result })
        }
        Ok(Invoked::Failed(error)) => refuse(StatusCode::BAD_REQUEST, "tool_error", &error.0),
        Ok(Invoked::NoTool) => refuse(
            StatusCode::NOT_FOUND,
            "not_found",
            &format!("Tool not available: {tool}"),
        ),
        Ok(Invoked::Late) => refuse(
            StatusCode::GATEWAY_TIMEOUT,
            "tool_error",
            "the tool did not end in time",
        ),
        // The tool has panicked, or the process ends.
        Err(_) => refuse(
            StatusCode::INTERNAL_SERVER_ERROR,
            "tool_error",
            "internal error",
        ),
    })
}

/// Why a tool could not do what it was asked.
fn said(output: &ToolOutput) -> String {
    match output.details.get("error").and_then(Value::as_str) {
        Some(error) => error.to_owned(),
        None => text_of(&output.content),
    }
}

fn is_off(context: &Context, tool: &str) -> bool {
    POWERFUL.contains(&tool) && !tool_policy::holds(&context.settings().http.tools, tool)
}

fn read(context: &Context, body: &Map<String, Value>) -> Result<Invocation, Failure> {
    let settings = context.settings();
    let tool = body.get("tool").and_then(Value::as_str).map(str::trim);
    let tool = tool
        .filter(|tool| !tool.is_empty())
        .ok_or_else(|| Failure::invalid("tools.invoke requires body.tool"))?;
    let fields = Object::body(body);
    let action = fields.get("action").or_null();
    let action = action.map(|action| action.text()).transpose()?;
    let arguments = match fields.get("args").or_null() {
        Some(written) => {
            written.object()?;
            written.value().and_then(Value::as_object).cloned()
        }
        None => None,
    };
    let key = fields.get("sessionKey").or_null();
    let key = key.map(|key| key.text()).transpose()?.map(str::trim);
    let key = key.filter(|key| !key.is_empty()).unwrap_or("main");
    let session = SessionKey::parse(key, settings.naming())
        .map_err(|error| Failure::invalid(format!("sessionKey: {error}")))?;
    let agent = session
        .agent()
        .unwrap_or_else(|| settings.default_agent())
        .to_owned();
    if !settings.agents.iter().any(|known| known.id == agent) {
        return Err(Failure::invalid(format!("unknown agent id \"{agent}\"")));
    }
    Ok(Invocation {
        tool: tool.to_owned(),
        action: action.map(str::to_owned),
        arguments: arguments.unwrap_or_default(),
        session,
        agent,
    })
}

/// Calls a tool in a task of its own, which ends when nobody waits for it.
fn call(context: Arc<Context>, invocation: Invocation) -> oneshot::Receiver<Invoked> {
    let (mut tell, told) = oneshot::channel();
    spawn_local(async move {
        let limit = context.settings().runs.timeout;
        let invoked = tokio::select! {
            invoked = timeout(limit, work(&context, invocation)) => invoked,
            () = tell.closed() => return,
        };
        // Whoever has gone needs no answer.
        let _ = tell.send(invoked.unwrap_or(Invoked::Late));
    });
    told
}

async fn work(context: &Arc<Context>, invocation: Invocation) -> Invoked {
    let Invocation {
        tool,
        action,
        mut arguments,
        session,
        agent,
    } = invocation;
    let toolbox = toolbox::of(context, &agent, &session, None).await;
    let Some(found) = toolbox.find(&tool) else {
        return Invoked::NoTool;
    };
    if let Some(action) = action
        && found
            .spec()
            .parameters
            .pointer("/properties/action")
            .is_some()
    {
        arguments.entry("action").or_insert(Value::String(action));
    }
    let id = format!("call_{}", Uuid::new_v4());
    let call = Call {
        id: &id,
        arguments,
        progress: &|_| {},
    };
    match found.call(call).await {
        Ok(output) => Invoked::Done(output),
        Err(error) => Invoked::Failed(error),
    }
}
