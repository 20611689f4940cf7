//! What the configuration names: agents, models, channels, skills.  (pure)
//!
//! Everything in here comes from the file; which models there are besides is in [`super::models`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use openclaw_shared::config::Config;
use openclaw_shared::config::section::AgentIdentity;
use openclaw_shared::instance::Instance;
use openclaw_shared::model_providers::Keyring;
use serde_json::{Map, Value};

pub(crate) use super::models::{ModelRefused, Models};
use crate::services::session_key::configured_agent_id;

/// All of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalog {
    pub(crate) assistant_name: Option<String>,
    pub(crate) assistant_avatar: Option<String>,
    /// The agents of the list; empty when there is none.
    pub(crate) agents: Vec<AgentProfile>,
    /// Where agents work that are not in the list.
    workspaces: Workspaces,
    pub(crate) models: Models,
    pub(crate) channels: Vec<ConfiguredChannel>,
    pub(crate) skills: BTreeMap<String, SkillSettings>,
    /// The whole configuration, its secrets replaced, for skills that ask for keys of it.
    pub(crate) values: Value,
}

/// An agent of the list.
#[derive(Debug, Clone)]
pub(crate) struct AgentProfile {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) identity: Option<AgentIdentity>,
    workspace: Option<PathBuf>,
}

#[derive(Debug, Clone, Default)]
struct Workspaces {
    default: PathBuf,
    state: PathBuf,
}

/// A channel that the configuration has a block for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfiguredChannel {
    pub(crate) id: &'static str,
    pub(crate) label: &'static str,
    pub(crate) detail_label: &'static str,
    pub(crate) system_image: &'static str,
    /// Whether the block has what it takes.
    pub(crate) is_configured: bool,
    pub(crate) is_enabled: bool,
    /// Names of accounts and whether each is wanted.
    pub(crate) accounts: Vec<(String, bool)>,
}

/// What the configuration says of one skill.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SkillSettings {
    pub(crate) is_disabled: bool,
    pub(crate) has_api_key: bool,
    /// Names of the variables it sets.
    pub(crate) env: Vec<String>,
}

impl Catalog {
    pub(super) fn of(config: &Config, instance: &Instance, keyring: &Keyring) -> Self {
        let identity = &instance.identity;
        let expand = |written: &String| identity.expand(written, &identity.home);
        let agents = config
            .agents
            .list
            .iter()
            .filter_map(|entry| {
                Some(AgentProfile {
                    id: configured_agent_id(&entry.id)?,
                    name: words(entry.name.as_deref()),
                    identity: entry.identity.clone(),
                    workspace: entry.workspace.as_ref().map(expand),
                })
            })
            .collect();
        Self {
            assistant_name: words(config.ui.assistant.name.as_deref()),
            assistant_avatar: words(config.ui.assistant.avatar.as_deref()),
            agents,
            workspaces: Workspaces {
                default: instance.workspace.clone(),
                state: identity.state_dir.clone(),
            },
            models: Models::of(config, keyring),
            channels: channels(config),
            skills: skills(config),
            values: serde_json::to_value(config).unwrap_or_default(),
        }
    }

    /// An agent of the list.
    pub(crate) fn agent(&self, id: &str) -> Option<&AgentProfile> {
        self.agents.iter().find(|agent| agent.id == id)
    }

    /// Where an agent works.
    pub(crate) fn workspace(&self, id: &str, is_default: bool) -> PathBuf {
        let own = self.agent(id).and_then(|agent| agent.workspace.clone());
        own.unwrap_or_else(|| {
            if is_default {
                self.workspaces.default.clone()
            } else {
                self.workspaces.state.join(format!("workspace-{id}"))
            }
        })
    }

    /// Where the skills of all agents are.
    pub(crate) fn managed_skills(&self) -> PathBuf {
        self.workspaces.state.join("skills")
    }
}

pub(super) fn words(text: Option<&str>) -> Option<String> {
    text.map(str::trim)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

pub(super) fn text(object: &Map<String, Value>, key: &str) -> Option<String> {
    words(object.get(key).and_then(Value::as_str))
}

/// The channels that later versions come with, in the order to show them.
fn channels(config: &Config) -> Vec<ConfiguredChannel> {
    let known = [
        ("telegram", "Telegram", "Telegram Bot", "paperplane"),
        ("whatsapp", "WhatsApp", "WhatsApp Web", "message"),
    ];
    let configured = known
        .into_iter()
        .filter_map(|(id, label, detail_label, system_image)| {
            let block = config.channels.blocks.get(id)?.expose();
            let is_on = |block: &Map<String, Value>| {
                block
                    .get("enabled")
                    .and_then(Value::as_bool)
                    .unwrap_or(true)
            };
            let accounts: Vec<(String, bool)> = block
                .get("accounts")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .map(|(name, account)| (name.clone(), account.as_object().is_none_or(is_on)))
                .collect();
            let has_token = |block: &Map<String, Value>| {
                text(block, "botToken").is_some() || text(block, "tokenFile").is_some()
            };
            let is_configured = match id {
                "telegram" => {
                    let of_accounts = block.get("accounts").and_then(Value::as_object);
                    has_token(block)
                        || of_accounts
                            .into_iter()
                            .flat_map(|accounts| accounts.values())
                            .filter_map(Value::as_object)
                            .any(has_token)
                }
                // A WhatsApp account is linked by scanning a code, which nothing of the file says.
                _ => false,
            };
            Some(ConfiguredChannel {
                id,
                label,
                detail_label,
                system_image,
                is_configured,
                is_enabled: is_on(block),
                accounts,
            })
        });
    configured.collect()
}

fn skills(config: &Config) -> BTreeMap<String, SkillSettings> {
    let entries = config
        .skills
        .as_ref()
        .and_then(|skills| skills.expose().get("entries"));
    let entries = entries.and_then(Value::as_object).into_iter().flatten();
    let settings = entries.filter_map(|(key, entry)| {
        let entry = entry.as_object()?;
        let env = entry.get("env").and_then(Value::as_object);
        let is_set = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
        let settings = SkillSettings {
            is_disabled: entry.get("enabled") == Some(&Value::Bool(false)),
            has_api_key: text(entry, "apiKey").is_some(),
            env: env
                .into_iter()
                .flatten()
                .filter(|(_, value)| is_set(value))
                .map(|(name, _)| name.clone())
                .collect(),
        };
        Some((key.clone(), settings))
    });
    settings.collect()
}

#[cfg(test)]
mod tests;
