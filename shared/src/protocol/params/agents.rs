//! `agents.list`, `agent.identity.get` and `models.list`: who can answer, and with what.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::protocol::strict::{NonEmpty, strict_options};

/// Parameters of `agents.list`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentsListParams {}

/// Who an agent is, as far as somebody said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentIdentityCard {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its character in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theme: Option<String>,
    /// Its emoji.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emoji: Option<String>,
    /// Its picture as it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    /// Its picture as a page can show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
}

/// One agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentRow {
    /// Its name in keys and paths.
    pub id: String,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<AgentIdentityCard>,
}

/// Reply of `agents.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentsListReply {
    /// The agent that answers when none is named.
    pub default_id: String,
    /// The last part of the main session's key.
    pub main_key: String,
    /// `per-sender` or `global`.
    pub scope: String,
    /// The agents, the default one first.
    pub agents: Vec<AgentRow>,
}

/// Parameters of `agent.identity.get`; without either, the default agent.
#[strict_options]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentIdentityParams {
    /// The agent.
    pub agent_id: Option<NonEmpty>,
    /// A session of it.
    pub session_key: Option<NonEmpty>,
}

/// Reply of `agent.identity.get`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentIdentityReply {
    /// The agent.
    pub agent_id: String,
    /// What to call it.
    pub name: String,
    /// Its picture: an address, a data URL, or up to four characters.
    pub avatar: String,
}

/// Parameters of `models.list`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelsListParams {}

/// A model that the configuration names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelRow {
    /// Its name for its provider.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Who runs it.
    pub provider: String,
    /// How much it can read, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
    /// Whether it can think before it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<bool>,
    /// What it can read: `text`, `image`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Vec<String>>,
}

/// Reply of `models.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelsListReply {
    /// The models, by provider and name.
    pub models: Vec<ModelRow>,
}
