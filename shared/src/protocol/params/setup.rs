//! `wizard.*`, `update.run`, `skills.install` and `skills.update`: getting an instance ready.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::literals;
use crate::protocol::strict::{Int, NonEmpty, present_object, strict_options};

literals! {
    /// Which gateway is being set up.
    pub enum WizardMode {
        /// The one of this machine.
        Local = "local",
        /// Another one, to be used from here.
        Remote = "remote",
    }
}

literals! {
    /// How a wizard stands.
    pub enum WizardStatus {
        /// It waits for an answer.
        Running = "running",
        /// It is through.
        Done = "done",
        /// It was given up.
        Cancelled = "cancelled",
        /// It failed.
        Error = "error",
    }
}

literals! {
    /// What a step of a wizard asks.
    pub enum WizardStepType {
        /// Nothing: it says something.
        Note = "note",
        /// One of its options.
        Select = "select",
        /// A text.
        Text = "text",
        /// Yes or no.
        Confirm = "confirm",
        /// Any of its options.
        Multiselect = "multiselect",
        /// Patience.
        Progress = "progress",
        /// Something to be done.
        Action = "action",
    }
}

literals! {
    /// Who performs a step.
    pub enum WizardExecutor {
        /// The gateway.
        Gateway = "gateway",
        /// The client.
        Client = "client",
    }
}

/// One answer to choose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WizardOption {
    /// What is sent back.
    pub value: Value,
    /// Its name for people.
    pub label: String,
    /// More about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A step of a wizard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WizardStep {
    /// The step.
    pub id: String,
    /// What it asks.
    #[serde(rename = "type")]
    pub kind: WizardStepType,
    /// Its heading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What may be chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Vec<WizardOption>>,
    /// What is chosen at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_value: Option<Value>,
    /// What stands in an empty field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<String>,
    /// Whether the answer is a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitive: Option<bool>,
    /// Who performs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<WizardExecutor>,
}

/// Parameters of `wizard.start`.
#[strict_options]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WizardStartParams {
    /// Which gateway is being set up.
    pub mode: Option<WizardMode>,
    /// The agent's workspace.
    pub workspace: Option<String>,
}

/// Reply of `wizard.start`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WizardStartReply {
    /// The wizard.
    pub session_id: String,
    /// Whether it is over.
    pub done: bool,
    /// The next step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<WizardStep>,
    /// How it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<WizardStatus>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The answer to a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WizardAnswer {
    /// The step.
    pub step_id: NonEmpty,
    /// What was chosen or typed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// Parameters of `wizard.next`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WizardNextParams {
    /// The wizard.
    pub session_id: NonEmpty,
    /// The answer to its last step.
    #[serde(
        default,
        deserialize_with = "present_object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "WizardAnswer")]
    pub answer: Option<WizardAnswer>,
}

/// Reply of `wizard.next`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WizardNextReply {
    /// Whether it is over.
    pub done: bool,
    /// The next step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<WizardStep>,
    /// How it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<WizardStatus>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Parameters of `wizard.cancel` and `wizard.status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WizardSessionParams {
    /// The wizard.
    pub session_id: NonEmpty,
}

/// Reply of `wizard.cancel` and `wizard.status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WizardStatusReply {
    /// How it stands.
    pub status: WizardStatus,
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Parameters of `update.run`.
#[strict_options]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateRunParams {
    /// The session that is told when the gateway is back.
    pub session_key: Option<String>,
    /// What it is told.
    pub note: Option<String>,
    /// How long to wait before the restart, in milliseconds.
    pub restart_delay_ms: Option<Int<0>>,
    /// How long a step may take, in milliseconds.
    pub timeout_ms: Option<Int<1>>,
}

/// What an update did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateResult {
    /// How it ended.
    pub status: String,
    /// How it was done.
    pub mode: String,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// What was there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What is there after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// Each step.
    pub steps: Vec<Value>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Why it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Reply of `update.run`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UpdateRunReply {
    /// Always true.
    pub ok: bool,
    /// What was done.
    pub result: UpdateResult,
    /// The restart that follows.
    pub restart: Option<Value>,
    /// What is remembered across it.
    pub sentinel: Option<Value>,
}

/// Parameters of `skills.install`.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SkillsInstallParams {
    /// The skill.
    pub name: NonEmpty,
    /// Which of its ways to install.
    pub install_id: NonEmpty,
    /// How long it may take, in milliseconds.
    pub timeout_ms: Option<Int<1000>>,
}

/// Reply of `skills.install`; a failure carries it beside the error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SkillsInstallReply {
    /// Whether it is installed.
    pub ok: bool,
    /// One sentence for people.
    pub message: String,
    /// What the installer said.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
    /// Its exit code; null when it has none.
    pub code: Option<i64>,
}

/// Parameters of `skills.update`.
#[strict_options]
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SkillsUpdateParams {
    /// The skill.
    pub skill_key: NonEmpty,
    /// Whether it may be used.
    pub enabled: Option<bool>,
    /// Its key; empty removes it.
    pub api_key: Option<String>,
    /// Variables of its programs; an empty one is removed.
    #[serde(
        default,
        deserialize_with = "present_object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "BTreeMap<String, String>")]
    pub env: Option<BTreeMap<String, String>>,
}

/// The key and the variables are secrets.
impl fmt::Debug for SkillsUpdateParams {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SkillsUpdateParams")
            .field("skill_key", &self.skill_key)
            .field("enabled", &self.enabled)
            .finish_non_exhaustive()
    }
}

/// Reply of `skills.update`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkillsUpdateReply {
    /// Always true.
    pub ok: bool,
    /// The skill.
    pub skill_key: String,
    /// Its entry in the configuration.
    pub config: Value,
}
