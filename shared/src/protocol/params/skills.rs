//! `skills.status`: what agents can be taught, and whether this machine has what it takes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Parameters of `skills.status`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SkillsStatusParams {}

/// What a skill asks for, or what of it is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkillRequirements {
    /// Programs, all of them.
    pub bins: Vec<String>,
    /// Programs, at least one of them.
    pub any_bins: Vec<String>,
    /// Environment variables.
    pub env: Vec<String>,
    /// Keys of the configuration that must be set.
    pub config: Vec<String>,
    /// Systems, one of them.
    pub os: Vec<String>,
}

/// Whether a key of the configuration is as a skill asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SkillConfigCheck {
    /// The key.
    pub path: String,
    /// Its value; absent when it is not set, and hidden when it is a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Whether that will do.
    pub satisfied: bool,
}

/// A way to get what is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkillInstaller {
    /// Its name.
    pub id: String,
    /// Who installs.
    pub kind: String,
    /// What to offer to a person.
    pub label: String,
    /// The programs it brings.
    pub bins: Vec<String>,
}

/// One skill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkillRow {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Which folder it is from: `openclaw-workspace` or `openclaw-managed`.
    pub source: String,
    /// Its file, for people.
    pub file_path: String,
    /// Its folder, for people.
    pub base_dir: String,
    /// Its name in the configuration.
    pub skill_key: String,
    /// The variable that its key is put into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_env: Option<String>,
    /// Its emoji.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emoji: Option<String>,
    /// Its page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    /// Whether it is used whatever is missing.
    pub always: bool,
    /// Whether the configuration switches it off.
    pub disabled: bool,
    /// Whether a list of the configuration leaves it out.
    pub blocked_by_allowlist: bool,
    /// Whether agents can use it.
    pub eligible: bool,
    /// What it asks for.
    pub requirements: SkillRequirements,
    /// What of it is not there.
    pub missing: SkillRequirements,
    /// The keys of the configuration it asks for.
    pub config_checks: Vec<SkillConfigCheck>,
    /// Ways to get what is missing.
    pub install: Vec<SkillInstaller>,
}

/// Reply of `skills.status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkillsStatusReply {
    /// The workspace, for people.
    pub workspace_dir: String,
    /// The folder of skills for all agents, for people.
    pub managed_skills_dir: String,
    /// The skills, by name.
    pub skills: Vec<SkillRow>,
}
