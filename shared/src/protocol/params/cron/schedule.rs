//! When a job is due.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::protocol::strict::{Int, NonEmpty, strict_options};

/// When a job is due.
#[strict_options]
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
        anchor_ms: Option<Int<0>>,
    },
    /// By the calendar.
    Cron {
        /// Five or six fields, as in a crontab.
        expr: NonEmpty,
        /// The time zone, by its IANA name; the machine's when absent.
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
pub(super) fn branch(kind: &str, fields: &[(&str, Value, bool)]) -> Value {
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
