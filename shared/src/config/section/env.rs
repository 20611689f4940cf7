//! `env`: environment variables for the instance that the environment itself does not set.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::config::model::{Field, Section, Shape};
use crate::config::path::Step;
use crate::config::setting::{Setting, Walk, section};
use crate::secret::Secret;

/// Variables under `vars` or beside it, and the import from the login shell.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Env {
    /// The variables, wherever they were written; `vars` wins over a key beside it.
    pub variables: BTreeMap<String, Secret<String>>,
    /// The import from the login shell.
    pub shell_env: ShellEnv,
}

section! {
    /// The import of a fixed list of variables from the login shell.
    pub struct ShellEnv {
        /// Whether the login shell is asked.
        "enabled" => enabled: bool = false;
        /// How long the login shell may take.
        "timeoutMs" => timeout_ms: u32 = 15_000;
    }
}

impl Setting for Env {
    fn read(value: &Value, walk: &mut Walk<'_>) -> Option<Self> {
        let object = walk.object(value)?;
        let mut env = Self::default();
        for (key, value) in object {
            let step = Step::Key(key.clone());
            match key.as_str() {
                "shellEnv" => env.shell_env = walk.below(step, value).unwrap_or_default(),
                "vars" => {}
                _ => env
                    .variables
                    .extend(walk.below(step, value).map(|read| (key.clone(), read))),
            }
        }
        if let Some(vars) = object.get("vars") {
            let read: Option<BTreeMap<_, _>> = walk.below(Step::Key("vars".to_owned()), vars);
            env.variables.extend(read.unwrap_or_default());
        }
        Some(env)
    }

    fn shape() -> Shape {
        let empty = Self::default();
        let vars = Shape::Map(Box::new(Shape::Secret));
        Shape::Open(
            Section {
                doc: "Environment variables.",
                fields: vec![
                    Field::new("vars", "The variables.", vars, &empty.variables),
                    Field::new(
                        "shellEnv",
                        "The import from the login shell.",
                        ShellEnv::shape(),
                        &empty.shell_env,
                    ),
                ],
            },
            Box::new(Shape::Secret),
        )
    }
}
