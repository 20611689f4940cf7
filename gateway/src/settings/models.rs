//! Which models may be used, and which ones are.  (pure)
//!
//! A model is named `provider/model`, by its alias, or by its name alone where that is clear. Where nobody has chosen one, it is the
//! first that can be asked. Only where no provider is configured and no key is there, it is the offline model, which says what it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openclaw_agent::model::failover::RestRules;
use openclaw_agent::model::{offline, provider};
use openclaw_shared::config::Config;
use openclaw_shared::config::section::AuthCooldowns;
use openclaw_shared::model_providers::{CONTEXT_WINDOW, Keyring, Providers};
use openclaw_shared::protocol::params::agents::ModelRow;
use openclaw_shared::protocol::params::sessions::SessionsDefaults;
use openclaw_shared::secret::Secret;
use serde_json::Value;

use super::catalog::{text, words};
use crate::services::session_key::configured_agent_id;

/// What `models.proxy` says for whatever the environment says.
const ENVIRONMENT: &str = "environment";

/// Models by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Models {
    /// Every model that is named, by provider and name.
    pub(crate) rows: Vec<ModelRow>,
    pub(crate) default: Option<ModelRef>,
    /// Where they are asked for.
    pub(crate) providers: Arc<Providers>,
    /// How long a provider may be silent.
    pub(crate) idle_limit: Duration,
    /// What requests go through.
    pub(crate) proxy: provider::Proxy,
    /// How long keys rest that have failed; single providers may have rules of their own.
    rests: RestRules,
    own_rests: BTreeMap<String, RestRules>,
    context_tokens: Option<u64>,
    aliases: BTreeMap<String, ModelRef>,
    /// Whether only models of `agents.defaults.models` may be chosen.
    allowed: Option<Vec<ModelRef>>,
    /// What stands in for the default.
    fallbacks: Vec<ModelRef>,
    /// Agents that have models of their own.
    agents: BTreeMap<String, AgentModels>,
}

#[derive(Debug, Clone)]
struct AgentModels {
    primary: Option<ModelRef>,
    fallbacks: Option<Vec<ModelRef>>,
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

impl Models {
    /// How long keys of a provider rest.
    pub(crate) fn rest_rules(&self, provider: &str) -> RestRules {
        self.own_rests.get(provider).copied().unwrap_or(self.rests)
    }

    pub(super) fn of(config: &Config, keyring: &Keyring) -> Self {
        let defaults = &config.agents.defaults;
        let providers = Providers::of(config, keyring);
        let mut rows = provider_rows(&providers);
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
        let models = &config.models;
        let seconds = models.idle_timeout_seconds.filter(|seconds| *seconds > 0);
        let mut models = Self {
            rows,
            default: None,
            idle_limit: seconds.map_or(provider::IDLE_LIMIT, |seconds| {
                Duration::from_secs(seconds.into())
            }),
            proxy: match models.proxy.as_ref().map(|it| it.expose().trim()) {
                None | Some("") => provider::Proxy::None,
                Some(ENVIRONMENT) => provider::Proxy::Environment,
                Some(address) => provider::Proxy::At(Secret::new(address.to_owned())),
            },
            rests: rest_rules(&config.auth.cooldowns, None),
            own_rests: (config
                .auth
                .cooldowns
                .billing_backoff_hours_by_provider
                .iter())
            .map(|(provider, hours)| {
                let rules = rest_rules(&config.auth.cooldowns, Some(*hours));
                (provider.trim().to_lowercase(), rules)
            })
            .collect(),
            context_tokens: defaults.context_tokens,
            aliases,
            allowed: (!allowed.is_empty()).then_some(allowed),
            ..Self::default()
        };
        let wish = Wish::of(defaults.model.as_ref().map(|model| model.expose()));
        models.default = match &wish.primary {
            Some(text) => models.find(text),
            None => providers.default_model().map(ModelRef::from),
        };
        models.fallbacks = models.find_all(wish.fallbacks.unwrap_or_default());
        for entry in &config.agents.list {
            let wish = Wish::of(entry.model.as_ref().map(|model| model.expose()));
            let Some(id) = configured_agent_id(&entry.id) else {
                continue;
            };
            if wish.primary.is_some() || wish.fallbacks.is_some() {
                let own = AgentModels {
                    primary: wish.primary.and_then(|text| models.find(&text)),
                    fallbacks: wish.fallbacks.map(|texts| models.find_all(texts)),
                };
                models.agents.insert(id, own);
            }
        }
        let is_alone = models.default.is_none() && !providers.are_any_usable();
        models.providers = Arc::new(providers);
        if is_alone {
            models.default = Some(ModelRef::offline());
        }
        if models.default.as_ref().is_some_and(ModelRef::is_offline) {
            models.rows.push(offline_row());
        }
        models
    }

    /// What a session uses that says nothing else.
    pub(crate) fn defaults(&self) -> SessionsDefaults {
        let Some(default) = &self.default else {
            return SessionsDefaults::default();
        };
        SessionsDefaults {
            model_provider: default.provider.clone(),
            model: Some(default.model.clone()),
            context_tokens: self.context_tokens.or_else(|| self.known_window(default)),
        }
    }

    /// How much a model can read, in tokens; what the configuration says of all of them is never exceeded.
    pub(crate) fn window(&self, model: &ModelRef) -> u64 {
        let window = self.known_window(model).unwrap_or(CONTEXT_WINDOW);
        self.context_tokens
            .filter(|tokens| *tokens > 0)
            .map_or(window, |tokens| tokens.min(window))
    }

    fn known_window(&self, model: &ModelRef) -> Option<u64> {
        if model.is_offline() {
            return Some(offline::CONTEXT_WINDOW);
        }
        let provider = self.providers.get(model.provider.as_deref()?)?;
        let known = provider.models.iter().find(|it| it.id == model.model)?;
        Some(known.context_window)
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

    fn find_all(&self, texts: Vec<String>) -> Vec<ModelRef> {
        texts.iter().filter_map(|text| self.find(text)).collect()
    }

    /// The model that a person chooses for a session.
    pub(crate) fn choose(&self, text: &str) -> Result<ModelRef, ModelRefused> {
        let mut model = self.find(text).ok_or(ModelRefused::Empty)?;
        if model.provider.is_none() {
            model.provider = self
                .default
                .as_ref()
                .filter(|default| !default.is_offline())
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

    /// Whom to ask for an agent, in this order: what somebody wants, or the agent's own, and what stands in for it.
    pub(crate) fn chain(&self, agent: &str, wanted: Option<ModelRef>) -> Vec<ModelRef> {
        let own = self.agents.get(agent);
        let primary = own
            .and_then(|own| own.primary.as_ref())
            .or(self.default.as_ref());
        let fallbacks = own.and_then(|own| own.fallbacks.as_ref());
        let fallbacks = fallbacks.unwrap_or(&self.fallbacks).iter().cloned();
        let has_wish = wanted.is_some();
        let first = wanted.or_else(|| primary.cloned());
        // Whatever stands in for a wish, the usual model is the last to do it.
        let last = primary.filter(|_| has_wish).cloned();
        let mut chain: Vec<ModelRef> = Vec::new();
        for model in first.into_iter().chain(fallbacks).chain(last) {
            if !chain.contains(&model) {
                chain.push(model);
            }
        }
        chain
    }
}

/// How long keys rest, with hours of a provider's own in the place of the usual ones.
fn rest_rules(cooldowns: &AuthCooldowns, own: Option<f64>) -> RestRules {
    let hours = |hours: f64, usual: Duration| {
        let usable = Some(hours).filter(|hours| *hours > 0.0);
        usable
            .and_then(|hours| Duration::try_from_secs_f64(hours * 3_600.0).ok())
            .unwrap_or(usual)
    };
    let usual = RestRules::default();
    let unpaid = hours(cooldowns.billing_backoff_hours, usual.unpaid);
    RestRules {
        unpaid: own.map_or(unpaid, |own| hours(own, unpaid)),
        longest_unpaid: hours(cooldowns.billing_max_hours, usual.longest_unpaid),
        window: hours(cooldowns.failure_window_hours, usual.window),
    }
}

/// A model as a configuration writes it: a name, or `{primary, fallbacks}`.
#[derive(Default)]
struct Wish {
    primary: Option<String>,
    fallbacks: Option<Vec<String>>,
}

impl Wish {
    fn of(written: Option<&Value>) -> Self {
        match written {
            Some(Value::String(name)) => Self {
                primary: words(Some(name)),
                fallbacks: None,
            },
            Some(Value::Object(model)) => Self {
                primary: text(model, "primary"),
                fallbacks: model
                    .get("fallbacks")
                    .and_then(Value::as_array)
                    .map(|list| {
                        let texts = list.iter().filter_map(Value::as_str);
                        texts.filter_map(|text| words(Some(text))).collect()
                    }),
            },
            None | Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) => {
                Self::default()
            }
        }
    }
}

impl ModelRef {
    /// Reads `provider/model`, or a name alone.
    pub(crate) fn parse(text: &str) -> Option<Self> {
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

    fn offline() -> Self {
        Self::from((offline::PROVIDER, offline::MODEL))
    }

    /// Whether it is the model that needs no provider.
    pub(crate) fn is_offline(&self) -> bool {
        self.provider.as_deref() == Some(offline::PROVIDER)
    }
}

impl From<(&str, &str)> for ModelRef {
    fn from((provider, model): (&str, &str)) -> Self {
        Self {
            provider: Some(provider.to_owned()),
            model: model.to_owned(),
        }
    }
}

impl std::fmt::Display for ModelRef {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.provider {
            Some(provider) => write!(formatter, "{provider}/{}", self.model),
            None => formatter.write_str(&self.model),
        }
    }
}

fn provider_rows(providers: &Providers) -> Vec<ModelRow> {
    let listed = providers.listed();
    let rows = listed.map(|(provider, model)| ModelRow {
        id: model.id.clone(),
        name: model.name.clone(),
        provider: provider.id.clone(),
        context_window: Some(model.context_window),
        reasoning: Some(model.reasoning),
        input: Some(model.input.clone()),
    });
    rows.collect()
}

fn offline_row() -> ModelRow {
    ModelRow {
        id: offline::MODEL.to_owned(),
        name: "Echo (offline)".to_owned(),
        provider: offline::PROVIDER.to_owned(),
        context_window: Some(offline::CONTEXT_WINDOW),
        reasoning: Some(false),
        input: Some(vec!["text".to_owned()]),
    }
}

#[cfg(test)]
mod tests;
