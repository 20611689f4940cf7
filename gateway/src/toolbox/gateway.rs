//! `gateway`: the configuration of this gateway, and its restart.
//!
//! What it shows is without secrets. It changes the configuration only where the owner lets commands do so (`commands.config`), and
//! restarts the gateway only where the owner lets commands do that (`commands.restart`).
//!
//! Invariant: no agent lifts its own limits. What decides who comes in, what tools do, what is approved, what is executed and who is
//! sent keys is not changed from here, whatever the owner allows: only what is named as harmless is.

use std::rc::Rc;

use openclaw_agent::tool::{Tool, ToolError, ToolOutput};
use openclaw_shared::config::shown;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Bench, Outcome, refused, tool};

/// What an agent may change, with everything below it.
const CHANGEABLE: [&str; 19] = [
    "agents.defaults.compaction",
    "agents.defaults.contextPruning",
    "agents.defaults.contextTokens",
    "agents.defaults.heartbeat",
    "agents.defaults.humanDelay",
    "agents.defaults.imageModel",
    "agents.defaults.model",
    "agents.defaults.models",
    "agents.defaults.thinkingDefault",
    "agents.defaults.timeFormat",
    "agents.defaults.timeoutSeconds",
    "agents.defaults.typingMode",
    "agents.defaults.userTimezone",
    "agents.defaults.verboseDefault",
    "messages.ackReaction",
    "messages.queue",
    "messages.responsePrefix",
    "session.reset",
    "ui",
];

openclaw_shared::literals! {
    /// What to do.
    pub enum Action {
        /// A new start.
        Restart = "restart",
        /// What the configuration says.
        Get = "config.get",
        /// What it may say.
        Schema = "config.schema",
        /// A part of it changed.
        Patch = "config.patch",
        /// All of it replaced. Agents may not.
        Apply = "config.apply",
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Params {
    /// What to do.
    action: Action,
    /// For config.patch: the JSON5 text.
    #[serde(default)]
    #[schemars(with = "String")]
    raw: Option<String>,
    /// For config.patch: the hash that config.get has told.
    #[serde(default)]
    #[schemars(with = "String")]
    base_hash: Option<String>,
}

pub(super) fn tools(bench: &Rc<Bench>) -> Vec<Rc<dyn Tool>> {
    vec![tool(
        bench,
        "gateway",
        "Look at the configuration of this gateway; change it or restart the gateway where the owner allows that.",
        perform,
    )]
}

async fn perform(bench: Rc<Bench>, params: Params) -> Outcome {
    let settings = bench.context().settings();
    let method = match params.action {
        Action::Restart if !settings.agency.may_restart => {
            return Err(ToolError(
                "restarting is off; the owner can allow it with commands.restart".to_owned(),
            ));
        }
        Action::Restart => {
            bench.context().config.ask_for_restart().await;
            return Ok(ToolOutput::json(
                json!({"ok": true, "restart": "asked for"}),
            ));
        }
        Action::Get => "config.get",
        Action::Schema => "config.schema",
        Action::Patch | Action::Apply if !settings.agency.may_configure => {
            return Err(ToolError(
                "changing the configuration is off; the owner can allow it with commands.config"
                    .to_owned(),
            ));
        }
        Action::Apply => {
            return Err(ToolError(
                "config.apply would replace the limits of agents too; use config.patch".to_owned(),
            ));
        }
        Action::Patch => "config.patch",
    };
    let asked = match params.action {
        Action::Restart | Action::Get | Action::Schema | Action::Apply => json!({}),
        Action::Patch => {
            let raw = params
                .raw
                .ok_or_else(|| ToolError("raw is missing".to_owned()))?;
            let patch = shown::parse(&raw).map_err(|error| ToolError(error.to_string()))?;
            if let Some(key) = beyond(&patch, "") {
                return Err(ToolError(format!(
                    "an agent may not change {key}; its owner does that. It may change {}",
                    CHANGEABLE.join(", ")
                )));
            }
            let mut asked = json!({"raw": raw});
            if let Some(hash) = params.base_hash {
                asked["baseHash"] = json!(hash);
            }
            asked
        }
    };
    let reply = bench
        .desk
        .call_as_owner(method, &asked)
        .await
        .map_err(refused)?;
    Ok(ToolOutput::json(reply))
}

/// Something in a patch that an agent may not change.
fn beyond(patch: &Value, path: &str) -> Option<String> {
    let is_below = |key: &str| {
        let below = path.strip_prefix(key);
        below.is_some_and(|below| below.is_empty() || below.starts_with('.'))
    };
    if CHANGEABLE.iter().any(|key| is_below(key)) {
        return names_a_variable(patch).then(|| format!("{path} to what a variable holds"));
    }
    match patch {
        Value::Object(members) if !members.is_empty() => members.iter().find_map(|(key, value)| {
            let path = match path {
                "" => key.clone(),
                path => format!("{path}.{key}"),
            };
            beyond(value, &path)
        }),
        // Nothing at all is no change, and what replaces a whole part takes with it what was below.
        Value::Object(_) if path.is_empty() => None,
        Value::Object(_)
        | Value::Array(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_) => Some(match path {
            "" => "everything".to_owned(),
            path => path.to_owned(),
        }),
    }
}

/// Whether a value would be read from the environment, where secrets are, or from another file.
fn names_a_variable(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("${"),
        Value::Array(items) => items.iter().any(names_a_variable),
        Value::Object(members) => members
            .iter()
            .any(|(key, value)| key == "$include" || names_a_variable(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
