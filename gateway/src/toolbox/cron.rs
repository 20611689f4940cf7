//! `cron`: work at set times, and waking an agent.
//!
//! It calls the methods of the same names with the rights of an owner: jobs are an owner's to make, and an agent that has this tool makes
//! them in the owner's name, for itself and for agents whose sessions it may reach.

use std::rc::Rc;

use openclaw_agent::tool::{Tool, ToolError, ToolOutput};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Bench, Outcome, refused, tool};
use crate::services::session_key::agent_id;

openclaw_shared::literals! {
    /// What to do.
    pub enum Action {
        /// Whether jobs run, and when the next one does.
        Status = "status",
        /// All jobs.
        List = "list",
        /// A new job.
        Add = "add",
        /// A change of a job.
        Update = "update",
        /// No such job any more.
        Remove = "remove",
        /// A job, now.
        Run = "run",
        /// What came of a job.
        Runs = "runs",
        /// A word to the main session, soon or now.
        Wake = "wake",
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Params {
    /// What to do.
    action: Action,
    /// For list: whether disabled jobs are among them.
    #[serde(default)]
    include_disabled: bool,
    /// For add: the job: name, schedule, payload, sessionTarget, enabled, …
    #[serde(default)]
    job: Map<String, Value>,
    /// For update, remove, run and runs: the id of the job.
    #[serde(default, alias = "id")]
    #[schemars(with = "String")]
    job_id: Option<String>,
    /// For update: what changes.
    #[serde(default)]
    patch: Map<String, Value>,
    /// For wake: what to say.
    #[serde(default)]
    #[schemars(with = "String")]
    text: Option<String>,
    /// For wake: now or next-heartbeat. For run: due or force.
    #[serde(default)]
    #[schemars(with = "String")]
    mode: Option<String>,
}

pub(super) fn tools(bench: &Rc<Bench>) -> Vec<Rc<dyn Tool>> {
    vec![tool(
        bench,
        "cron",
        "Do things at set times (reminders, regular work), and wake an agent.\n\
         A job has a name, a schedule {kind:\"at\",atMs} | {kind:\"every\",everyMs} | {kind:\"cron\",expr,tz}, a sessionTarget and a payload: \
         \"main\" with {kind:\"systemEvent\",text} says something in the main session, \"isolated\" with {kind:\"agentTurn\",message} has an \
         agent work on its own. Set enabled to true. wakeMode is \"now\" or \"next-heartbeat\".",
        perform,
    )]
}

async fn perform(bench: Rc<Bench>, params: Params) -> Outcome {
    let id = || {
        let id = params.job_id.clone().filter(|id| !id.trim().is_empty());
        id.ok_or_else(|| ToolError("jobId is missing".to_owned()))
    };
    let (method, asked) = match params.action {
        Action::Status => ("cron.status", json!({})),
        Action::List => (
            "cron.list",
            json!({"includeDisabled": params.include_disabled}),
        ),
        Action::Add => {
            let mut job = params.job;
            if job.is_empty() {
                return Err(ToolError("job is missing".to_owned()));
            }
            check_agent(&bench, &job)?;
            job.entry("agentId").or_insert_with(|| json!(bench.agent));
            // A job that is not said to be off is meant to be done.
            job.entry("enabled").or_insert(json!(true));
            ("cron.add", Value::Object(job))
        }
        Action::Update => {
            check_agent(&bench, &params.patch)?;
            ("cron.update", json!({"id": id()?, "patch": params.patch}))
        }
        Action::Remove => ("cron.remove", json!({"id": id()?})),
        Action::Run => {
            let mode = params.mode.as_deref().unwrap_or("force");
            ("cron.run", json!({"id": id()?, "mode": mode}))
        }
        Action::Runs => ("cron.runs", json!({"id": id()?, "limit": 20})),
        Action::Wake => {
            let text = params.text.filter(|text| !text.trim().is_empty());
            let text = text.ok_or_else(|| ToolError("text is missing".to_owned()))?;
            let mode = params.mode.as_deref().unwrap_or("next-heartbeat");
            ("wake", json!({"text": text, "mode": mode}))
        }
    };
    let reply = bench
        .desk
        .call_as_owner(method, &asked)
        .await
        .map_err(refused)?;
    Ok(ToolOutput::json(reply))
}

/// Jobs are for agents whose sessions this one may reach.
fn check_agent(bench: &Bench, job: &Map<String, Value>) -> Result<(), ToolError> {
    let Some(named) = job.get("agentId").and_then(Value::as_str) else {
        return Ok(());
    };
    let settings = bench.context().settings();
    match agent_id(named) {
        Some(id) if settings.agency.may_reach(&bench.agent, &id) => Ok(()),
        Some(_) | None => Err(ToolError(format!(
            "you may not make jobs for agent \"{named}\""
        ))),
    }
}
