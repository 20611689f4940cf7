//! `cron.*`: what is to happen at set times.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::literals;
use crate::protocol::strict::{Int, NonEmpty, OrNull, object, present, present_object};

pub use super::heartbeat::WakeMode;

/// When a job is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "lowercase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum CronSchedule {
    /// Once.
    At {
        /// When, in milliseconds since the epoch.
        at_ms: Int<0>,
    },
    /// Again and again, at even distances.
    Every {
        /// The distance, in milliseconds.
        every_ms: Int<1>,
        /// One point of it, in milliseconds since the epoch; when the job was made, when absent.
        #[serde(
            default,
            deserialize_with = "present",
            skip_serializing_if = "Option::is_none"
        )]
        anchor_ms: Option<Int<0>>,
    },
    /// By the calendar.
    Cron {
        /// Five or six fields, as in a crontab.
        expr: NonEmpty,
        /// The time zone, by its IANA name; the machine's when absent.
        #[serde(
            default,
            deserialize_with = "present",
            skip_serializing_if = "Option::is_none"
        )]
        tz: Option<String>,
    },
}

impl JsonSchema for CronSchedule {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "CronSchedule".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            branch("at", &[("atMs", json!({ "type": "integer", "minimum": 0 }), true)]),
            branch("every", &[
                ("everyMs", json!({ "type": "integer", "minimum": 1 }), true),
                ("anchorMs", json!({ "type": "integer", "minimum": 0 }), false),
            ]),
            branch("cron", &[
                ("expr", json!({ "type": "string", "minLength": 1 }), true),
                ("tz", json!({ "type": "string" }), false),
            ]),
        ] })
    }
}

/// One of several closed objects that are told apart by their `kind`.
fn branch(kind: &str, fields: &[(&str, Value, bool)]) -> Value {
    let mut properties = Map::from_iter([(
        "kind".to_owned(),
        json!({ "const": kind, "type": "string" }),
    )]);
    let mut required = vec![json!("kind")];
    for (name, schema, is_required) in fields {
        properties.insert((*name).to_owned(), schema.clone());
        if *is_required {
            required.push(json!(name));
        }
    }
    json!({ "type": "object", "required": required, "additionalProperties": false, "properties": properties })
}

/// What a job does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum CronPayload {
    /// Leaves a note for the main session.
    SystemEvent(Note),
    /// Asks an agent.
    AgentTurn(Turn),
}

/// A note for the main session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Note {
    /// What it says.
    pub text: NonEmpty,
}

/// A question to an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Turn {
    /// What it is asked.
    pub message: NonEmpty,
    /// The model.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub model: Option<String>,
    /// How much it thinks.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub thinking: Option<String>,
    /// How long it may take, in seconds.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub timeout_seconds: Option<Int<1>>,
    /// Whether the answer is delivered.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub deliver: Option<bool>,
    /// The channel it is delivered on; `last` is the one used last.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub channel: Option<NonEmpty>,
    /// Whom it is delivered to.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub to: Option<String>,
    /// Whether a delivery that fails is no failure.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub best_effort_deliver: Option<bool>,
}

/// What a job does, as a change: what is left out stays, as long as the kind does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum CronPayloadPatch {
    /// Leaves a note for the main session.
    SystemEvent(NotePatch),
    /// Asks an agent.
    AgentTurn(TurnPatch),
}

/// A change of a note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NotePatch {
    /// What it says.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub text: Option<NonEmpty>,
}

/// A change of a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TurnPatch {
    /// What it is asked.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub message: Option<NonEmpty>,
    /// The model.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub model: Option<String>,
    /// How much it thinks.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub thinking: Option<String>,
    /// How long it may take, in seconds.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub timeout_seconds: Option<Int<1>>,
    /// Whether the answer is delivered.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub deliver: Option<bool>,
    /// The channel it is delivered on; `last` is the one used last.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub channel: Option<NonEmpty>,
    /// Whom it is delivered to.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub to: Option<String>,
    /// Whether a delivery that fails is no failure.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub best_effort_deliver: Option<bool>,
}

fn payload_schema(is_patch: bool) -> Schema {
    let text = json!({ "type": "string" });
    let word = json!({ "type": "string", "minLength": 1 });
    let switch = json!({ "type": "boolean" });
    json_schema!({ "anyOf": [
        branch("systemEvent", &[("text", word.clone(), !is_patch)]),
        branch("agentTurn", &[
            ("message", word.clone(), !is_patch),
            ("model", text.clone(), false),
            ("thinking", text.clone(), false),
            ("timeoutSeconds", json!({ "type": "integer", "minimum": 1 }), false),
            ("deliver", switch.clone(), false),
            ("channel", word, false),
            ("to", text, false),
            ("bestEffortDeliver", switch, false),
        ]),
    ] })
}

impl JsonSchema for CronPayload {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "CronPayload".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        payload_schema(false)
    }
}

impl JsonSchema for CronPayloadPatch {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "CronPayloadPatch".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        payload_schema(true)
    }
}

literals! {
    /// Which session a job belongs to.
    pub enum SessionTarget {
        /// The main one; it is left a note.
        Main = "main",
        /// One of its own.
        Isolated = "isolated",
    }
}

literals! {
    /// What of an isolated run is told to the main session.
    pub enum PostMode {
        /// A summary.
        Summary = "summary",
        /// All of it.
        Full = "full",
    }
}

/// How an isolated run is told to the main session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CronIsolation {
    /// What the note begins with.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "String")]
    pub post_to_main_prefix: Option<String>,
    /// How much of the answer.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "PostMode")]
    pub post_to_main_mode: Option<PostMode>,
    /// How many characters at most.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Int<0>")]
    pub post_to_main_max_chars: Option<Int<0>>,
}

/// Parameters of `cron.add`: the job. Before they are looked at, `{job: …}` and `{data: …}` are unwrapped, times are read from
/// texts, and what follows from the rest is filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CronAddParams {
    /// Its name for people.
    pub name: NonEmpty,
    /// The agent; the default one when null or absent.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "OrNull<NonEmpty>")]
    pub agent_id: Option<OrNull<NonEmpty>>,
    /// What it is for.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "String")]
    pub description: Option<String>,
    /// Whether it happens at all; true when absent.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "bool")]
    pub enabled: Option<bool>,
    /// Whether it is gone after it went well once.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "bool")]
    pub delete_after_run: Option<bool>,
    /// When it is due.
    #[serde(deserialize_with = "object")]
    pub schedule: CronSchedule,
    /// Which session it belongs to.
    pub session_target: SessionTarget,
    /// When the agent is told.
    pub wake_mode: WakeMode,
    /// What it does.
    #[serde(deserialize_with = "object")]
    pub payload: CronPayload,
    /// How an isolated run is told to the main session.
    #[serde(
        default,
        deserialize_with = "present_object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "CronIsolation")]
    pub isolation: Option<CronIsolation>,
}

/// A change of a job: what is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CronJobPatch {
    /// Its name for people.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "NonEmpty")]
    pub name: Option<NonEmpty>,
    /// The agent; null for the default one.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "OrNull<NonEmpty>")]
    pub agent_id: Option<OrNull<NonEmpty>>,
    /// What it is for; empty for nothing.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "String")]
    pub description: Option<String>,
    /// Whether it happens at all.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "bool")]
    pub enabled: Option<bool>,
    /// Whether it is gone after it went well once.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "bool")]
    pub delete_after_run: Option<bool>,
    /// When it is due.
    #[serde(
        default,
        deserialize_with = "present_object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "CronSchedule")]
    pub schedule: Option<CronSchedule>,
    /// Which session it belongs to.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "SessionTarget")]
    pub session_target: Option<SessionTarget>,
    /// When the agent is told.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "WakeMode")]
    pub wake_mode: Option<WakeMode>,
    /// What it does.
    #[serde(
        default,
        deserialize_with = "present_object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "CronPayloadPatch")]
    pub payload: Option<CronPayloadPatch>,
    /// How an isolated run is told to the main session.
    #[serde(
        default,
        deserialize_with = "present_object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "CronIsolation")]
    pub isolation: Option<CronIsolation>,
}

literals! {
    /// How a run of a job ended.
    pub enum CronStatus {
        /// Well.
        Ok = "ok",
        /// Not well.
        Error = "error",
        /// There was nothing to do.
        Skipped = "skipped",
    }
}

/// How it is going with a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CronJobState {
    /// When it is due next, in milliseconds since the epoch; absent when nothing would happen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_at_ms: Option<u64>,
    /// Since when it runs, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_at_ms: Option<u64>,
    /// When it ran last, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run_at_ms: Option<u64>,
    /// How that ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_status: Option<CronStatus>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_duration_ms: Option<u64>,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CronJob {
    /// Its id.
    pub id: String,
    /// The agent; the default one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Its name for people.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether it happens at all.
    pub enabled: bool,
    /// Whether it is gone after it went well once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_after_run: Option<bool>,
    /// When it was made, in milliseconds since the epoch.
    pub created_at_ms: u64,
    /// When it was changed last, in milliseconds since the epoch.
    pub updated_at_ms: u64,
    /// When it is due.
    pub schedule: CronSchedule,
    /// Which session it belongs to.
    pub session_target: SessionTarget,
    /// When the agent is told.
    pub wake_mode: WakeMode,
    /// What it does.
    pub payload: CronPayload,
    /// How an isolated run is told to the main session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<CronIsolation>,
    /// How it is going.
    pub state: CronJobState,
}

/// A job, named by `id` or by `jobId`, and what is wanted of it. Parameters are read into this first, because a schema with two
/// branches has no counterpart among what serde derives.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ById {
    #[serde(default, deserialize_with = "present")]
    id: Option<NonEmpty>,
    #[serde(default, deserialize_with = "present")]
    job_id: Option<NonEmpty>,
    #[serde(default, deserialize_with = "present_object")]
    patch: Option<CronJobPatch>,
    #[serde(default, deserialize_with = "present")]
    mode: Option<CronRunMode>,
    #[serde(default, deserialize_with = "present")]
    limit: Option<Int<1, 5000>>,
}

/// What no branch of the schema allows.
const NOT_ONE_BRANCH: &str = "name the job by id or by jobId";

impl ById {
    fn job(id: Option<NonEmpty>, job_id: Option<NonEmpty>) -> Result<NonEmpty, &'static str> {
        match (id, job_id) {
            (Some(id), None) | (None, Some(id)) => Ok(id),
            (None, None) | (Some(_), Some(_)) => Err(NOT_ONE_BRANCH),
        }
    }
}

/// The schema of such parameters.
fn by_id(fields: &[(&str, Schema, bool)]) -> Schema {
    let branches: Vec<Value> = ["id", "jobId"].into_iter().map(|name| {
        let mut properties = Map::from_iter([(name.to_owned(), json!({ "type": "string", "minLength": 1 }))]);
        let mut required = vec![json!(name)];
        for (field, schema, is_required) in fields {
            properties.insert((*field).to_owned(), schema.clone().to_value());
            if *is_required {
                required.push(json!(field));
            }
        }
        json!({ "type": "object", "required": required, "additionalProperties": false, "properties": properties })
    }).collect();
    json_schema!({ "type": "object", "anyOf": branches })
}

/// Parameters of `cron.update`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ById")]
pub struct CronUpdateParams {
    /// The job.
    pub id: NonEmpty,
    /// What changes.
    pub patch: CronJobPatch,
}

impl TryFrom<ById> for CronUpdateParams {
    type Error = &'static str;

    fn try_from(raw: ById) -> Result<Self, Self::Error> {
        match raw {
            ById {
                id,
                job_id,
                patch: Some(patch),
                mode: None,
                limit: None,
            } => Ok(Self {
                id: ById::job(id, job_id)?,
                patch,
            }),
            _ => Err(NOT_ONE_BRANCH),
        }
    }
}

impl JsonSchema for CronUpdateParams {
    fn schema_name() -> Cow<'static, str> {
        "CronUpdateParams".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        by_id(&[("patch", CronJobPatch::json_schema(generator), true)])
    }
}

/// Parameters of `cron.remove`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ById")]
pub struct CronRemoveParams {
    /// The job.
    pub id: NonEmpty,
}

impl TryFrom<ById> for CronRemoveParams {
    type Error = &'static str;

    fn try_from(raw: ById) -> Result<Self, Self::Error> {
        match raw {
            ById {
                id,
                job_id,
                patch: None,
                mode: None,
                limit: None,
            } => Ok(Self {
                id: ById::job(id, job_id)?,
            }),
            _ => Err(NOT_ONE_BRANCH),
        }
    }
}

impl JsonSchema for CronRemoveParams {
    fn schema_name() -> Cow<'static, str> {
        "CronRemoveParams".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        by_id(&[])
    }
}

literals! {
    /// Whether a job runs that is not due.
    pub enum CronRunMode {
        /// It does not.
        Due = "due",
        /// It does.
        Force = "force",
    }
}

/// Parameters of `cron.run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ById")]
pub struct CronRunParams {
    /// The job.
    pub id: NonEmpty,
    /// Whether it runs when it is not due.
    pub mode: Option<CronRunMode>,
}

impl TryFrom<ById> for CronRunParams {
    type Error = &'static str;

    fn try_from(raw: ById) -> Result<Self, Self::Error> {
        match raw {
            ById {
                id,
                job_id,
                patch: None,
                mode,
                limit: None,
            } => Ok(Self {
                id: ById::job(id, job_id)?,
                mode,
            }),
            _ => Err(NOT_ONE_BRANCH),
        }
    }
}

impl JsonSchema for CronRunParams {
    fn schema_name() -> Cow<'static, str> {
        "CronRunParams".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        by_id(&[("mode", CronRunMode::json_schema(generator), false)])
    }
}

/// Parameters of `cron.runs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ById")]
pub struct CronRunsParams {
    /// The job.
    pub id: NonEmpty,
    /// How many entries at most; 200 when absent.
    pub limit: Option<Int<1, 5000>>,
}

impl TryFrom<ById> for CronRunsParams {
    type Error = &'static str;

    fn try_from(raw: ById) -> Result<Self, Self::Error> {
        match raw {
            ById {
                id,
                job_id,
                patch: None,
                mode: None,
                limit,
            } => Ok(Self {
                id: ById::job(id, job_id)?,
                limit,
            }),
            _ => Err(NOT_ONE_BRANCH),
        }
    }
}

impl JsonSchema for CronRunsParams {
    fn schema_name() -> Cow<'static, str> {
        "CronRunsParams".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        by_id(&[("limit", <Int<1, 5000>>::json_schema(generator), false)])
    }
}

/// Parameters of `cron.status`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CronStatusParams {}

/// Reply of `cron.status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CronStatusReply {
    /// Whether jobs are run.
    pub enabled: bool,
    /// Where jobs are kept, for people.
    pub store_path: String,
    /// How many there are.
    pub jobs: u64,
    /// When the next one is due, in milliseconds since the epoch; null when nothing would happen.
    pub next_wake_at_ms: Option<u64>,
}

/// Parameters of `cron.list`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CronListParams {
    /// Whether jobs that are switched off are listed.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "bool")]
    pub include_disabled: Option<bool>,
}

/// Reply of `cron.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CronListReply {
    /// The jobs, the one that is due first at the front.
    pub jobs: Vec<CronJob>,
}

/// Reply of `cron.remove`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CronRemoveReply {
    /// Always true.
    pub ok: bool,
    /// Whether there was such a job.
    pub removed: bool,
}

/// Reply of `cron.run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CronRunReply {
    /// Always true.
    pub ok: bool,
    /// Whether it ran.
    pub ran: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How a run went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CronRunEntry {
    /// When this was noted, in milliseconds since the epoch.
    pub ts: u64,
    /// The job.
    pub job_id: String,
    /// Always `finished`.
    pub action: CronAction,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<CronStatus>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What came of it, in short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// When it began, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_at_ms: Option<u64>,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// When the job is due next, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_at_ms: Option<u64>,
}

/// Reply of `cron.runs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CronRunsReply {
    /// The newest runs, the oldest of them first.
    pub entries: Vec<CronRunEntry>,
}

literals! {
    /// What happened to a job.
    pub enum CronAction {
        /// It is new.
        Added = "added",
        /// It was changed.
        Updated = "updated",
        /// It is gone.
        Removed = "removed",
        /// It runs.
        Started = "started",
        /// It ran.
        Finished = "finished",
    }
}

/// Payload of the `cron` event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CronEventPayload {
    /// The job.
    pub job_id: String,
    /// What happened to it.
    pub action: CronAction,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<CronStatus>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What came of it, in short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// When the run began, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_at_ms: Option<u64>,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// When the job is due next, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_at_ms: Option<u64>,
}
