//! `sessions_list`, `sessions_history` and `session_status`: which conversations there are, what was said in one, how one stands.
//!
//! An agent sees the sessions of other agents only as far as the configuration lets agents at each other.

use std::rc::Rc;

use openclaw_agent::tool::{Tool, ToolError, ToolOutput};
use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::sessions::SessionsPatchParams;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Bench, Outcome, refused, tool};
use crate::runs::commands;
use crate::services::session_key::SessionKey;
use crate::services::sessions::{self, Register};

/// Sessions that are listed at most.
const MOST_LISTED: u64 = 200;
/// Messages of each session that a list shows at most.
const MOST_SHOWN: u64 = 20;
/// Messages of a history at most, and how many when nobody says.
const MOST_MESSAGES: u64 = 500;
const USUAL_MESSAGES: u64 = 50;
/// The longest text of a message that a model is shown, in characters.
const LONGEST_TEXT: usize = 4_000;

openclaw_shared::literals! {
    /// What a session is for.
    pub enum Kind {
        /// The agent's own conversation.
        Main = "main",
        /// A group or a channel.
        Group = "group",
        /// A job at set times.
        Cron = "cron",
        /// A hook.
        Hook = "hook",
        /// A node.
        Node = "node",
        /// Anything else.
        Other = "other",
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ListParams {
    /// Only sessions of these kinds.
    #[serde(default)]
    kinds: Vec<Kind>,
    /// How many at most.
    #[serde(default)]
    #[schemars(with = "u64")]
    limit: Option<u64>,
    /// Only sessions in which something happened in the last so many minutes.
    #[serde(default)]
    #[schemars(with = "u64")]
    active_minutes: Option<u64>,
    /// How many of its last messages are shown with each session; none by default.
    #[serde(default)]
    message_limit: u64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct HistoryParams {
    /// The session: its key or its id, as sessions_list tells.
    session_key: String,
    /// How many messages at most, the newest.
    #[serde(default)]
    #[schemars(with = "u64")]
    limit: Option<u64>,
    /// Whether results of tools are among them.
    #[serde(default)]
    include_tools: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct StatusParams {
    /// The session; this one by default.
    #[serde(default)]
    #[schemars(with = "String")]
    session_key: Option<String>,
    /// A model for the session from here on, as provider/model or an alias; "default" goes back to the configured one.
    #[serde(default)]
    #[schemars(with = "String")]
    model: Option<String>,
}

pub(super) fn tools(bench: &Rc<Bench>) -> Vec<Rc<dyn Tool>> {
    vec![
        tool(
            bench,
            "sessions_list",
            "List conversations (sessions) that you can see, the newest first, with their last messages if you wish.",
            list,
        ),
        tool(
            bench,
            "sessions_history",
            "Read what was said in another conversation (session).",
            history,
        ),
        tool(
            bench,
            "session_status",
            "Tell the time, the model, the tokens used and the settings of this conversation; can also choose its model.",
            status,
        ),
    ]
}

impl Bench {
    /// The session that the agent means by a key, an id or a label, if it may see it.
    pub(super) fn find_session(&self, text: &str) -> Result<SessionKey, ToolError> {
        let text = text.trim();
        let settings = self.context().settings();
        let register = Register::new(settings.clone());
        // An agent's main session is its own.
        let own = format!("agent:{}:main", self.agent);
        let named = if text == "main" { own.as_str() } else { text };
        let by_key = register.key(named).map_err(refused)?;
        let store = &self.context().store;
        let exists = store
            .read(|reader| Ok(sessions::find(reader, by_key.as_str())))
            .and_then(|found| found)
            .map_err(|error| ToolError(error.to_string()))?;
        let key = if exists.is_some() || named == own {
            by_key
        } else {
            let by_id = json!({"sessionId": text, "includeGlobal": true});
            let by_label = json!({"label": text, "includeGlobal": true});
            let resolve = |params: Value| {
                let params = serde_json::from_value(params).ok()?;
                let found = store.read(|reader| Ok(register.resolve(reader, &params)));
                found.ok()?.ok()
            };
            let found = resolve(by_id).or_else(|| resolve(by_label));
            let found = found.ok_or_else(|| ToolError(format!("there is no session {text}")))?;
            register.key(&found).map_err(refused)?
        };
        let owner = key.agent().unwrap_or(settings.default_agent());
        if settings.agency.may_reach(&self.agent, owner) {
            Ok(key)
        } else {
            Err(ToolError(format!(
                "the session {key} belongs to agent {owner}, and the configuration (tools.agentToAgent) keeps agents apart"
            )))
        }
    }
}

/// What a canonical key is for.
fn kind(key: &str) -> Kind {
    let rest = match key
        .strip_prefix("agent:")
        .and_then(|key| key.split_once(':'))
    {
        Some((_, rest)) => rest,
        None => key,
    };
    match rest {
        "main" | "global" => Kind::Main,
        _ if rest.starts_with("cron:") => Kind::Cron,
        _ if rest.starts_with("hook:") => Kind::Hook,
        _ if rest.starts_with("node-") => Kind::Node,
        _ if rest.contains(":group:") || rest.contains(":channel:") => Kind::Group,
        _ => Kind::Other,
    }
}

async fn list(bench: Rc<Bench>, params: ListParams) -> Outcome {
    let mut asked = json!({"includeGlobal": true});
    if let Some(minutes) = params.active_minutes.filter(|minutes| *minutes > 0) {
        asked["activeMinutes"] = json!(minutes);
    }
    let mut listed = bench
        .desk
        .call("sessions.list", &asked)
        .await
        .map_err(refused)?;
    let settings = bench.context().settings();
    let limit = params.limit.unwrap_or(MOST_LISTED).clamp(1, MOST_LISTED);
    let rows = match listed["sessions"].take() {
        Value::Array(rows) => rows,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Vec::new()
        }
    };
    let mut shown = Vec::new();
    for mut row in rows {
        let key = row["key"].as_str().unwrap_or_default().to_owned();
        let owner = key
            .strip_prefix("agent:")
            .and_then(|key| key.split_once(':'))
            .map_or(settings.default_agent(), |(owner, _)| owner);
        let kind = kind(&key);
        let is_wanted = params.kinds.is_empty() || params.kinds.contains(&kind);
        if !is_wanted || !settings.agency.may_reach(&bench.agent, owner) {
            continue;
        }
        row["kind"] = json!(kind);
        if params.message_limit > 0 {
            let messages =
                messages(&bench, &key, params.message_limit.min(MOST_SHOWN), false).await?;
            row["messages"] = Value::Array(messages);
        }
        shown.push(row);
        if shown.len() as u64 >= limit {
            break;
        }
    }
    Ok(ToolOutput::json(
        json!({"count": shown.len(), "sessions": shown}),
    ))
}

/// The newest messages of a session, short enough for a model.
async fn messages(
    bench: &Bench,
    key: &str,
    limit: u64,
    with_tools: bool,
) -> Result<Vec<Value>, ToolError> {
    // Results of tools are left out afterwards, so a few more are read.
    let read = if with_tools { limit } else { limit * 3 };
    let asked = json!({"sessionKey": key, "limit": read.clamp(1, 1_000)});
    let mut history = bench
        .desk
        .call("chat.history", &asked)
        .await
        .map_err(refused)?;
    let Value::Array(mut messages) = history["messages"].take() else {
        return Ok(Vec::new());
    };
    if !with_tools {
        messages.retain(|message| message["role"] != "toolResult");
    }
    let surplus = messages
        .len()
        .saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
    messages.drain(..surplus);
    messages.iter_mut().for_each(shorten);
    Ok(messages)
}

/// Texts are cut, and pictures lose their bytes.
fn shorten(message: &mut Value) {
    let parts = message["content"].as_array_mut();
    for part in parts.into_iter().flatten() {
        if part["type"] == "image" {
            *part = json!({"type": "text", "text": "[a picture]"});
        }
        if let Some(text) = part["text"].as_str()
            && text.chars().count() > LONGEST_TEXT
        {
            let kept: String = text.chars().take(LONGEST_TEXT).collect();
            part["text"] = json!(format!("{kept}\n…(truncated)…"));
        }
    }
}

async fn history(bench: Rc<Bench>, params: HistoryParams) -> Outcome {
    let key = bench.find_session(&params.session_key)?;
    let limit = params
        .limit
        .unwrap_or(USUAL_MESSAGES)
        .clamp(1, MOST_MESSAGES);
    let messages = messages(&bench, key.as_str(), limit, params.include_tools).await?;
    Ok(ToolOutput::json(
        json!({"sessionKey": key.as_str(), "messages": messages}),
    ))
}

async fn status(bench: Rc<Bench>, params: StatusParams) -> Outcome {
    let key = match &params.session_key {
        Some(text) => bench.find_session(text)?,
        None => bench.session.clone(),
    };
    if let Some(model) = &params.model {
        let model = (model.trim() != "default").then_some(model.trim());
        let change = json!({"key": key.as_str(), "model": model});
        let change: SessionsPatchParams = serde_json::from_value(change)
            .map_err(|error| ToolError(format!("invalid model: {error}")))?;
        let register = Register::new(bench.context().settings());
        bench
            .context()
            .store
            .write(move |tx| register.patch(tx, WallTime::now(), &change))
            .await
            .map_err(refused)?;
    }
    let card = commands::card(bench.context(), &key).map_err(refused)?;
    Ok(ToolOutput {
        details: json!({"sessionKey": key.as_str(), "text": card}),
        ..ToolOutput::text(card)
    })
}
