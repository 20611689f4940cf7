//! `cron`: work at set times, and waking an agent.
//!
//! It calls the methods of the same names with the rights of an owner: jobs are an owner's to make, and an agent that has this tool makes
//! them in the owner's name.
//!
//! Invariant: an agent sees, makes, changes and starts jobs for itself and for agents whose sessions it may reach, and no others.

use std::rc::Rc;

use openclaw_agent::tool::{Tool, ToolError, ToolOutput};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Bench, Outcome, refused, tool};
use crate::services::cron::{self, normalise};
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
        let id = params.job_id.as_deref().unwrap_or_default().trim();
        if id.is_empty() {
            return Err(ToolError("jobId is missing".to_owned()));
        }
        check_owner(&bench, id)?;
        Ok(id.to_owned())
    };
    let (method, asked) = match params.action {
        Action::Status => ("cron.status", json!({})),
        Action::List => (
            "cron.list",
            json!({"includeDisabled": params.include_disabled}),
        ),
        Action::Add => {
            let mut job = unwrapped(params.job);
            if job.is_empty() {
                return Err(ToolError("job is missing".to_owned()));
            }
            // What names no agent is not left to the default one.
            if named(&job).is_none() {
                job.insert("agentId".to_owned(), json!(bench.agent));
            }
            check_agent(&bench, &job)?;
            // A job that is not said to be off is meant to be done.
            job.entry("enabled").or_insert(json!(true));
            ("cron.add", Value::Object(job))
        }
        Action::Update => {
            let id = id()?;
            let patch = unwrapped(params.patch);
            check_agent(&bench, &patch)?;
            ("cron.update", json!({"id": id, "patch": patch}))
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
            let settings = bench.context().settings();
            if !settings
                .agency
                .may_reach(&bench.agent, settings.default_agent())
            {
                return Err(ToolError(format!(
                    "a word for the main session is one for agent \"{}\", and the configuration (tools.agentToAgent) keeps \
                     agents apart",
                    settings.default_agent()
                )));
            }
            let mode = params.mode.as_deref().unwrap_or("next-heartbeat");
            ("wake", json!({"text": text, "mode": mode}))
        }
    };
    let mut reply = bench
        .desk
        .call_as_owner(method, &asked)
        .await
        .map_err(refused)?;
    if let Some(jobs) = reply.get_mut("jobs").and_then(Value::as_array_mut) {
        jobs.retain(|job| may_reach(&bench, job.get("agentId").and_then(Value::as_str)));
    }
    Ok(ToolOutput::json(reply))
}

/// What is in a job or a change, as it will be read.
fn unwrapped(fields: Map<String, Value>) -> Map<String, Value> {
    let mut value = Value::Object(fields);
    normalise::unwrap(&mut value);
    match value {
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}

/// The agent that a job or a change names.
fn named(fields: &Map<String, Value>) -> Option<&str> {
    let named = fields.get("agentId").and_then(Value::as_str);
    named.filter(|named| !named.trim().is_empty())
}

/// Whether a job of this agent is one that this agent may have to do with. A job of none is the default agent's.
fn may_reach(bench: &Bench, owner: Option<&str>) -> bool {
    let settings = bench.context().settings();
    let owner = match owner {
        Some(owner) => agent_id(owner),
        None => Some(settings.default_agent().to_owned()),
    };
    owner.is_some_and(|owner| settings.agency.may_reach(&bench.agent, &owner))
}

/// Jobs are for agents whose sessions this one may reach.
fn check_agent(bench: &Bench, fields: &Map<String, Value>) -> Result<(), ToolError> {
    if !fields.contains_key("agentId") || may_reach(bench, named(fields)) {
        return Ok(());
    }
    Err(ToolError(format!(
        "you may not make jobs for agent \"{}\"",
        named(fields).unwrap_or(bench.context().settings().default_agent())
    )))
}

/// A job that this agent may not see is none. One that there is not is for the method to refuse.
fn check_owner(bench: &Bench, id: &str) -> Result<(), ToolError> {
    let found = bench
        .context()
        .store
        .read(|reader| Ok(cron::find(reader, id)))
        .and_then(|found| found)
        .map_err(|error| ToolError(error.to_string()))?;
    match found {
        Some(job) if !may_reach(bench, job.agent_id.as_deref()) => {
            Err(ToolError(format!("Error: unknown cron job id: {id}")))
        }
        Some(_) | None => Ok(()),
    }
}
