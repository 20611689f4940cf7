//! `message`: saying something without being asked.
//!
//! No channel is connected to this gateway, so the one place to say something in is a conversation that people read here.

use std::rc::Rc;

use openclaw_agent::tool::{Tool, ToolError, ToolOutput};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{Bench, Outcome, refused, tool};

/// The conversations that people read in a page or a program of this gateway.
const HERE: [&str; 3] = ["webchat", "internal", "last"];

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Params {
    /// What to do; only send does anything here.
    action: String,
    /// What to say.
    #[serde(default)]
    #[schemars(with = "String")]
    message: Option<String>,
    /// Where: webchat, which is the default.
    #[serde(default)]
    #[schemars(with = "String")]
    channel: Option<String>,
    /// To whom: the key of a session; this one by default.
    #[serde(default, alias = "to")]
    #[schemars(with = "String")]
    target: Option<String>,
}

pub(super) fn tools(bench: &Rc<Bench>) -> Vec<Rc<dyn Tool>> {
    vec![tool(
        bench,
        "message",
        "Say something in a conversation of this gateway without being asked (action send). An ordinary answer needs no tool.",
        perform,
    )]
}

async fn perform(bench: Rc<Bench>, params: Params) -> Outcome {
    if params.action != "send" {
        return Err(ToolError(format!(
            "{} is something for channels, and no channel is connected to this gateway; only send works, in webchat",
            params.action
        )));
    }
    let channel = params
        .channel
        .as_deref()
        .map(str::trim)
        .unwrap_or("webchat");
    if !channel.is_empty() && !HERE.contains(&channel.to_lowercase().as_str()) {
        return Err(ToolError(format!(
            "the channel {channel} is not connected to this gateway; only webchat is"
        )));
    }
    let message = params.message.filter(|text| !text.trim().is_empty());
    let message = message.ok_or_else(|| ToolError("message is missing".to_owned()))?;
    let key = match params.target.as_deref().map(str::trim) {
        None | Some("") => bench.session.clone(),
        Some(target) => bench.find_session(target)?,
    };
    let asked = json!({"sessionKey": key.as_str(), "message": message});
    let reply = bench
        .desk
        .call_as_owner("chat.inject", &asked)
        .await
        .map_err(refused)?;
    Ok(ToolOutput::json(json!({
        "ok": true, "channel": "webchat", "to": key.as_str(), "messageId": reply["messageId"],
    })))
}
