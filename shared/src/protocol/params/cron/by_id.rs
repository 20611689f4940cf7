//! What is wanted of one job, which is named by `id` or, as older clients do, by `jobId`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::job::CronJobPatch;
use crate::literals;
use crate::protocol::strict::{Int, NonEmpty, present, present_object};

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
