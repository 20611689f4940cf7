//! Which models there are, where they are asked for, and with which keys.  (pure, but for [`Keyring::read`])
//!
//! The gateway asks them, and the command line shows them; both must mean the same. What the configuration says comes on top of
//! what is built in ([`built_in`]); where a key comes from is always known, and shown in its place ([`KeySource`]).

use std::collections::BTreeMap;

use crate::config::Config;
use crate::config::section::{ModelCost, ModelEntry, ModelProvider, ModelsMode};
use crate::secret::Secret;

mod built_in;
mod keys;

pub use keys::{Expired, Key, KeySource, Keyring};

/// How much a model can read when nobody says, in tokens.
pub const CONTEXT_WINDOW: u64 = 200_000;

/// A provider.
#[derive(Debug, Clone)]
pub struct Provider {
    /// Its name.
    pub id: String,
    /// The protocol that its models speak, if they say nothing else.
    pub api: String,
    /// Where it answers.
    pub base_url: String,
    /// Whether the key goes into `Authorization`.
    pub auth_header: bool,
    /// Headers that every request carries.
    pub headers: BTreeMap<String, Secret<String>>,
    /// The keys that can be tried, in that order.
    pub keys: Vec<Key>,
    /// What could be tried, had it not ended.
    pub expired: Vec<Expired>,
    /// Whether it is of no use without one.
    pub needs_key: bool,
    /// Whether the configuration names it.
    pub is_configured: bool,
    /// The models that are known.
    pub models: Vec<ModelFacts>,
}

/// What is known of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFacts {
    /// Its name, as the provider knows it.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// The protocol, where it differs from the provider's.
    pub api: Option<String>,
    /// Whether it can think before it answers.
    pub reasoning: bool,
    /// What it can read: `text`, `image`.
    pub input: Vec<String>,
    /// How much it can read, in tokens.
    pub context_window: u64,
    /// How much it may write, in tokens; the provider's own limit when absent.
    pub max_tokens: Option<u32>,
    /// What it costs.
    pub cost: ModelCost,
    /// Headers that its requests carry.
    pub headers: BTreeMap<String, Secret<String>>,
    /// It can think, and cannot be told how much.
    pub no_reasoning_effort: bool,
    /// What the field is called that limits its answer.
    pub max_tokens_field: Option<String>,
    /// Whether the configuration names it.
    pub is_configured: bool,
}

impl ModelFacts {
    /// A model of which nothing but the name is known.
    #[must_use]
    pub fn unknown(id: &str) -> Self {
        Self::of(&ModelEntry {
            id: id.to_owned(),
            ..ModelEntry::default()
        })
    }

    fn of(entry: &ModelEntry) -> Self {
        let compat = entry.compat.as_ref().map(|compat| compat.expose());
        let said = |key: &str| compat.and_then(|compat| compat.get(key));
        let name = entry.name.as_deref().map(str::trim);
        Self {
            id: entry.id.trim().to_owned(),
            name: name
                .filter(|name| !name.is_empty())
                .unwrap_or(entry.id.trim())
                .to_owned(),
            api: entry.api.clone(),
            reasoning: entry.reasoning,
            input: entry
                .input
                .clone()
                .unwrap_or_else(|| vec!["text".to_owned()]),
            context_window: entry
                .context_window
                .and_then(whole)
                .unwrap_or(CONTEXT_WINDOW),
            max_tokens: entry
                .max_tokens
                .and_then(whole)
                .map(|most| u32::try_from(most).unwrap_or(u32::MAX)),
            cost: entry.cost.clone(),
            headers: entry.headers.clone(),
            no_reasoning_effort: said("supportsReasoningEffort").is_some_and(|it| it == false),
            max_tokens_field: said("maxTokensField")
                .and_then(|it| it.as_str())
                .map(str::to_owned),
            is_configured: true,
        }
    }
}

/// A count that somebody may have written with a fraction.
fn whole(number: f64) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked, and a fraction of a token means nothing"
    )]
    (1.0..=1e15).contains(&number).then_some(number as u64)
}

/// All providers, by name.
#[derive(Debug, Clone, Default)]
pub struct Providers(BTreeMap<String, Provider>);

impl Providers {
    /// What the configuration and the keys make of it.
    #[must_use]
    pub fn of(config: &Config, keyring: &Keyring) -> Self {
        let models = &config.models;
        let mut providers: BTreeMap<String, Provider> = match models.mode {
            ModelsMode::Merge => built_in::providers()
                .map(|it| (it.id.clone(), it))
                .collect(),
            ModelsMode::Replace => BTreeMap::new(),
        };
        for (name, settings) in &models.providers {
            let id = name.trim().to_lowercase();
            let known = providers
                .remove(&id)
                .unwrap_or_else(|| built_in::unknown(&id));
            providers.insert(id, configured(known, settings));
        }
        for provider in providers.values_mut() {
            let settings = models
                .providers
                .iter()
                .find(|(name, _)| name.trim().to_lowercase() == provider.id)
                .map(|(_, settings)| settings);
            provider.keys = keyring.of(&provider.id, settings, &config.auth);
            provider.expired = keyring.expired(&provider.id);
        }
        Self(providers)
    }

    /// The provider of this name.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Provider> {
        self.0.get(id)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Provider> {
        self.0.values()
    }

    /// The models to choose from: what is configured, and what is built in of providers that have a key.
    pub fn listed(&self) -> impl Iterator<Item = (&Provider, &ModelFacts)> {
        self.iter().flat_map(|provider| {
            let has_key = !provider.keys.is_empty();
            let shown = move |model: &&ModelFacts| model.is_configured || has_key;
            let models = provider.models.iter().filter(shown);
            models.map(move |model| (provider, model))
        })
    }

    /// What is known of a model of a provider; a name alone is enough for a provider to be asked.
    #[must_use]
    pub fn model(&self, provider: &str, id: &str) -> Option<ModelFacts> {
        let provider = self.get(provider)?;
        let known = provider.models.iter().find(|model| model.id == id);
        Some(known.cloned().unwrap_or_else(|| ModelFacts::unknown(id)))
    }

    /// Whether any provider could be asked: one that is configured, or a built-in one with a key.
    #[must_use]
    pub fn are_any_usable(&self) -> bool {
        self.iter().any(Provider::is_wanted)
    }

    /// The model to use where nobody has chosen one: the first that can be asked.
    #[must_use]
    pub fn default_model(&self) -> Option<(&str, &str)> {
        let first = |provider: &'_ Provider| provider.models.first().map(|model| model.id.clone());
        let configured = self
            .iter()
            .filter(|provider| provider.is_configured && provider.is_usable());
        let preferred = built_in::PREFERRED.iter().filter_map(|id| self.get(id));
        let ready = preferred.filter(|provider| provider.is_wanted() && provider.is_usable());
        configured
            .chain(ready)
            .find(|provider| first(provider).is_some())
            .and_then(|provider| {
                let model = provider.models.first()?;
                Some((provider.id.as_str(), model.id.as_str()))
            })
    }
}

impl Provider {
    /// Whether it can be asked.
    #[must_use]
    pub const fn is_usable(&self) -> bool {
        !self.needs_key || !self.keys.is_empty()
    }

    /// Whether somebody has said that it is to be used, by naming it or by giving a key for it.
    #[must_use]
    pub const fn is_wanted(&self) -> bool {
        self.is_configured || !self.keys.is_empty()
    }

    /// Whether it answers on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let host = self.base_url.split("://").nth(1).unwrap_or_default();
        let host = host.split('/').next().unwrap_or_default();
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        matches!(host, "localhost" | "[::1]") || host.starts_with("127.")
    }
}

fn configured(known: Provider, settings: &ModelProvider) -> Provider {
    let mut provider = known;
    provider.is_configured = true;
    if let Some(base) = settings
        .base_url
        .as_deref()
        .map(str::trim)
        .filter(|it| !it.is_empty())
    {
        provider.base_url = base.to_owned();
        // A server of one's own need not want one.
        provider.needs_key = false;
    }
    if let Some(api) = &settings.api {
        provider.api.clone_from(api);
    }
    provider.auth_header |=
        settings.auth_header || matches!(settings.auth.as_deref(), Some("token" | "oauth"));
    provider.headers.extend(settings.headers.clone());
    let mut models: Vec<ModelFacts> = settings
        .models
        .iter()
        .filter(|entry| !entry.id.trim().is_empty())
        .map(ModelFacts::of)
        .collect();
    let others = provider.models.into_iter();
    let others: Vec<ModelFacts> = others
        .filter(|model| !models.iter().any(|own| own.id == model.id))
        .collect();
    models.extend(others);
    provider.models = models;
    provider
}

#[cfg(test)]
mod tests;
