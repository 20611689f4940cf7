//! What an agent can call here: the tools of a turn, those that work on this gateway itself, and those of other servers.
//!
//! Tools of the gateway call the methods that clients call, through a [`Desk`], so that there is one set of rules for both.

use std::rc::Rc;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use openclaw_agent::model::ToolSpec;
use openclaw_agent::tool::{Call, Tool, ToolError, ToolOutput, Toolbox};
use openclaw_shared::protocol::method::schema_of;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::context::Context;
use crate::desk::Desk;
use crate::methods::MethodError;
use crate::services::session_key::SessionKey;

pub(crate) mod aftermath;
mod agents;
mod consent;
mod cron;
mod gateway;
mod message;
mod nodes;
mod servers;
mod sessions;
pub(crate) mod standard;
mod talking;

pub(crate) use talking::announcement;

/// For whom tools work.
#[derive(Debug)]
struct Bench {
    desk: Desk,
    agent: String,
    session: SessionKey,
}

impl Bench {
    fn context(&self) -> &Arc<Context> {
        &self.desk.context
    }
}

/// The tools of an agent in a session, as the configuration leaves them to it. The model is named as `provider/model`.
pub(crate) async fn of(
    context: &Arc<Context>,
    agent: &str,
    session: &SessionKey,
    model: Option<&str>,
) -> Toolbox {
    let settings = context.settings();
    let policy = settings
        .tooling
        .policy(agent, model.unwrap_or_default(), session.is_subagent());
    let bench = Rc::new(Bench {
        desk: Desk::of_agent(context, agent),
        agent: agent.to_owned(),
        session: session.clone(),
    });
    let all = [
        standard::tools(&bench, policy.passes("process")),
        sessions::tools(&bench),
        talking::tools(&bench),
        agents::tools(&bench),
        cron::tools(&bench),
        nodes::tools(&bench),
        gateway::tools(&bench),
        message::tools(&bench),
        servers::tools(context).await,
    ];
    Toolbox::new(all.into_iter().flatten()).only(|name| policy.passes(name))
}

type Outcome = Result<ToolOutput, ToolError>;

/// A tool of the gateway.
struct GatewayTool<W> {
    spec: ToolSpec,
    bench: Rc<Bench>,
    work: W,
}

impl<W> Tool for GatewayTool<W>
where
    W: Fn(Rc<Bench>, Map<String, Value>) -> LocalBoxFuture<'static, Outcome>,
{
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn call<'a>(&'a self, call: Call<'a>) -> LocalBoxFuture<'a, Outcome> {
        (self.work)(self.bench.clone(), call.arguments)
    }

    fn summary(&self, arguments: &Map<String, Value>) -> Option<String> {
        let text = |key: &str| arguments.get(key).and_then(Value::as_str);
        let of = ["action", "sessionKey", "label", "task", "node"]
            .into_iter()
            .filter_map(text);
        let words: Vec<&str> = of.collect();
        (!words.is_empty()).then(|| words.join(" "))
    }
}

/// A tool whose arguments are of this type.
fn tool<P, F>(
    bench: &Rc<Bench>,
    name: &'static str,
    description: &str,
    work: fn(Rc<Bench>, P) -> F,
) -> Rc<dyn Tool>
where
    P: DeserializeOwned + JsonSchema + 'static,
    F: Future<Output = Outcome> + 'static,
{
    let spec = ToolSpec {
        name: name.to_owned(),
        description: description.to_owned(),
        parameters: parameters::<P>(),
    };
    Rc::new(GatewayTool {
        spec,
        bench: bench.clone(),
        work: move |bench: Rc<Bench>, mut arguments: Map<String, Value>| {
            // Models write null for what they leave out.
            arguments.retain(|_, value| !value.is_null());
            match serde_json::from_value::<P>(Value::Object(arguments)) {
                Ok(params) => work(bench, params).boxed_local(),
                Err(error) => {
                    let refusal = ToolError(format!("invalid arguments of {name}: {error}"));
                    std::future::ready(Err(refusal)).boxed_local()
                }
            }
        },
    })
}

/// A schema as providers take it: without what only tools for schemas read.
fn parameters<P: JsonSchema>() -> Value {
    let mut schema = schema_of::<P>().to_value();
    plain(&mut schema);
    if let Some(object) = schema.as_object_mut() {
        object
            .entry("properties")
            .or_insert_with(|| Value::Object(Map::new()));
    }
    schema
}

fn plain(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            for key in ["$schema", "title", "format", "default"] {
                // A property may have such a name, and is then an object.
                if object.get(key).is_some_and(|value| !value.is_object()) {
                    object.shift_remove(key);
                }
            }
            object.values_mut().for_each(plain);
        }
        Value::Array(items) => items.iter_mut().for_each(plain),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// An error of a method, as a model reads it.
fn refused(error: MethodError) -> ToolError {
    ToolError(error.into_shape().message)
}

#[cfg(test)]
mod tests;
