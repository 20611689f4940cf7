//! `agents_list`: as whom an agent may start others.

use std::rc::Rc;

use openclaw_agent::tool::{Tool, ToolOutput};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Bench, Outcome, tool};
use crate::services::agents;

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

pub(super) fn tools(bench: &Rc<Bench>) -> Vec<Rc<dyn Tool>> {
    vec![tool(
        bench,
        "agents_list",
        "List the ids of the agents that you may start with sessions_spawn.",
        list,
    )]
}

async fn list(bench: Rc<Bench>, _: Nothing) -> Outcome {
    let context = bench.context();
    let settings = context.settings();
    let ids = context
        .store
        .read(|reader| agents::ids(&settings, reader))
        .unwrap_or_else(|_| vec![bench.agent.clone()]);
    let row = |id: &String| {
        let profile = settings.catalog.agent(id);
        let mut row = json!({"id": id});
        if let Some(name) = profile.and_then(|profile| profile.name.as_ref()) {
            row["name"] = json!(name);
        }
        row["configured"] = json!(profile.is_some());
        row
    };
    let mut allowed: Vec<&String> = ids
        .iter()
        .filter(|id| settings.agency.may_start(&bench.agent, id))
        .collect();
    // Whoever asks comes first.
    allowed.sort_by_key(|id| **id != bench.agent);
    Ok(ToolOutput::json(json!({
        "requester": bench.agent,
        "allowAny": settings.agency.may_start_any(&bench.agent),
        "agents": allowed.into_iter().map(row).collect::<Vec<Value>>(),
    })))
}
