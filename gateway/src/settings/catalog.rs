//! What the configuration names: agents, models, channels, skills.  (pure)
//!
//! Everything in here comes from the file. What it does not name does not exist: no model or provider is assumed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use openclaw_shared::config::Config;
use openclaw_shared::config::section::{AgentIdentity, AgentsDefaults};
use openclaw_shared::instance::Instance;
use openclaw_shared::protocol::params::agents::ModelRow;
use openclaw_shared::protocol::params::sessions::SessionsDefaults;
use serde_json::{Map, Value};

use crate::services::session_key::configured_agent_id;

/// How much a configured model can read when the file does not say, in tokens.
const CONTEXT_WINDOW: u64 = 200_000;

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

/// Models by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Models {
    /// Every model that is named, by provider and name.
    pub(crate) rows: Vec<ModelRow>,
    pub(crate) default: Option<ModelRef>,
    context_tokens: Option<u64>,
    aliases: BTreeMap<String, ModelRef>,
    /// Whether only models of `agents.defaults.models` may be chosen.
    allowed: Option<Vec<ModelRef>>,
}

/// A model of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModelRef {
    pub(crate) provider: Option<String>,
    pub(crate) model: String,
}

/// Why a model cannot be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ModelRefused {
    /// There is nothing in the text.
    Empty,
    /// Neither the text nor the configuration says whose it is.
    NoProvider,
    /// The configuration lists the ones that may be chosen, and this is none of them.
    NotAllowed(String),
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
    pub(super) fn of(config: &Config, instance: &Instance) -> Self {
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
            models: Models::of(config),
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

fn words(text: Option<&str>) -> Option<String> {
    text.map(str::trim)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

fn text(object: &Map<String, Value>, key: &str) -> Option<String> {
    words(object.get(key).and_then(Value::as_str))
}

impl Models {
    fn of(config: &Config) -> Self {
        let defaults = &config.agents.defaults;
        let mut rows = provider_rows(config);
        let mut aliases = BTreeMap::new();
        let mut allowed = Vec::new();
        for (id, settings) in defaults.models.iter().flat_map(|models| models.expose()) {
            let Some(model) = ModelRef::parse(id) else {
                continue;
            };
            let alias = settings
                .as_object()
                .and_then(|settings| text(settings, "alias"));
            if let Some(alias) = &alias {
                aliases.insert(alias.to_lowercase(), model.clone());
            }
            let provider = model.provider.clone().unwrap_or_default();
            if !rows
                .iter()
                .any(|row| row.provider == provider && row.id == model.model)
            {
                rows.push(ModelRow {
                    name: alias.unwrap_or_else(|| model.model.clone()),
                    id: model.model.clone(),
                    provider,
                    context_window: None,
                    reasoning: None,
                    input: None,
                });
            }
            allowed.push(model);
        }
        rows.retain(|row| !row.provider.is_empty());
        rows.sort_by(|a, b| (&a.provider, &a.name, &a.id).cmp(&(&b.provider, &b.name, &b.id)));
        let mut models = Self {
            rows,
            default: None,
            context_tokens: defaults.context_tokens,
            aliases,
            allowed: (!allowed.is_empty()).then_some(allowed),
        };
        models.default = primary(defaults).and_then(|text| models.find(&text));
        models
    }

    /// What a session uses that says nothing else.
    pub(crate) fn defaults(&self) -> SessionsDefaults {
        let Some(default) = &self.default else {
            return SessionsDefaults::default();
        };
        let row = self.rows.iter().find(|row| {
            Some(&row.provider) == default.provider.as_ref() && row.id == default.model
        });
        SessionsDefaults {
            model_provider: default.provider.clone(),
            model: Some(default.model.clone()),
            context_tokens: self
                .context_tokens
                .or_else(|| row.and_then(|row| row.context_window)),
        }
    }

    /// The model that a text means: an alias, `provider/model`, or the name of a model of the list.
    fn find(&self, text: &str) -> Option<ModelRef> {
        if let Some(model) = self.aliases.get(&text.to_lowercase()) {
            return Some(model.clone());
        }
        let mut model = ModelRef::parse(text)?;
        if model.provider.is_none() {
            let row = self.rows.iter().find(|row| row.id == model.model);
            model.provider = row.map(|row| row.provider.clone());
        }
        Some(model)
    }

    /// The model that a person chooses for a session.
    pub(crate) fn choose(&self, text: &str) -> Result<ModelRef, ModelRefused> {
        let mut model = self.find(text).ok_or(ModelRefused::Empty)?;
        if model.provider.is_none() {
            model.provider = self
                .default
                .as_ref()
                .and_then(|default| default.provider.clone());
        }
        let Some(provider) = &model.provider else {
            return Err(ModelRefused::NoProvider);
        };
        let is_allowed = self.allowed.as_ref().is_none_or(|allowed| {
            allowed.contains(&model) || self.default.as_ref() == Some(&model)
        });
        if is_allowed {
            Ok(model)
        } else {
            Err(ModelRefused::NotAllowed(format!(
                "{provider}/{}",
                model.model
            )))
        }
    }
}

impl ModelRef {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        match text.split_once('/') {
            _ if text.is_empty() => None,
            Some((provider, model)) if !provider.is_empty() && !model.is_empty() => Some(Self {
                provider: Some(provider.trim().to_lowercase()),
                model: model.trim().to_owned(),
            }),
            Some(_) => None,
            None => Some(Self {
                provider: None,
                model: text.to_owned(),
            }),
        }
    }
}

fn primary(defaults: &AgentsDefaults) -> Option<String> {
    match defaults.model.as_ref()?.expose() {
        Value::String(name) => words(Some(name)),
        Value::Object(model) => text(model, "primary"),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    }
}

fn provider_rows(config: &Config) -> Vec<ModelRow> {
    let providers = config
        .models
        .as_ref()
        .and_then(|models| models.expose().get("providers"));
    let providers = providers.and_then(Value::as_object).into_iter().flatten();
    let mut rows = Vec::new();
    for (provider, settings) in providers {
        let models = settings.get("models").and_then(Value::as_array);
        for model in models.into_iter().flatten().filter_map(Value::as_object) {
            let Some(id) = text(model, "id") else {
                continue;
            };
            let input = model.get("input").and_then(Value::as_array).map(|kinds| {
                kinds
                    .iter()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect()
            });
            rows.push(ModelRow {
                name: text(model, "name").unwrap_or_else(|| id.clone()),
                id,
                provider: provider.trim().to_lowercase(),
                context_window: Some(
                    model
                        .get("contextWindow")
                        .and_then(Value::as_u64)
                        .unwrap_or(CONTEXT_WINDOW),
                ),
                reasoning: Some(
                    model
                        .get("reasoning")
                        .and_then(Value::as_bool)
                        .unwrap_or(false),
                ),
                input: Some(input.unwrap_or_else(|| vec!["text".to_owned()])),
            });
        }
    }
    rows
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
