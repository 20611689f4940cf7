//! Who answers for an agent: the models that are wanted, each asked with each key there is, one standing in for the other.
//!
//! Connections and the rests of keys are shared by all runs of this life; what is configured is read anew for each run.

use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openclaw_agent::model::Model;
use openclaw_agent::model::failover::{Candidate, Failover, Policy, SharedCooldowns};
use openclaw_agent::model::offline::{Absent, Offline};
use openclaw_agent::model::provider::{
    Api, Compat, Endpoint, Hosted, Http, ModelFacts, Prices, Proxy,
};
use openclaw_shared::clock::WallTime;
use openclaw_shared::digest;
use openclaw_shared::model_providers::{self, Key, KeySource, Provider};
use openclaw_shared::secret::Secret;

use crate::settings::models::{ModelRef, ModelRefused, Models};

pub(crate) mod rests;

/// What Anthropic wants to be told when it is asked with a token of a subscription.
const SUBSCRIPTION_HEADER: (&str, &str) = ("anthropic-beta", "oauth-2025-04-20");

/// What all runs share.
#[derive(Debug, Default)]
pub(crate) struct ModelPool {
    connections: Mutex<Option<Connections>>,
    cooldowns: SharedCooldowns,
}

/// Connections through one proxy, or none.
#[derive(Debug, Clone)]
struct Connections {
    proxy: Proxy,
    http: Arc<Http>,
}

/// Who answers.
pub(crate) struct Chosen {
    pub(crate) model: Rc<dyn Model>,
    /// The provider of the first that is asked.
    pub(crate) provider: String,
    /// Its name there.
    pub(crate) name: String,
    /// How much it can read, in tokens.
    pub(crate) window: u64,
}

/// What is wanted besides the configuration.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted<'a> {
    /// What the session was set to: the provider, if it says so, and the model.
    pub(crate) session: Option<(Option<&'a str>, &'a str)>,
    /// What this run is to use; counts first.
    pub(crate) run: Option<&'a str>,
}

impl ModelPool {
    /// Which keys rest.
    pub(crate) const fn cooldowns(&self) -> &SharedCooldowns {
        &self.cooldowns
    }

    /// The model for an agent, or why there is none.
    pub(crate) fn choose(
        &self,
        models: &Models,
        agent: &str,
        wanted: Wanted<'_>,
    ) -> Result<Chosen, String> {
        let wish = wish(models, wanted)?;
        let chain = models.chain(agent, wish);
        let Some(first) = chain.first() else {
            return Err(
                "no model is configured; choose one with `openclaw models set <provider/model>`"
                    .to_owned(),
            );
        };
        let (provider, name) = (
            first.provider.clone().unwrap_or_default(),
            first.model.clone(),
        );
        let window = models.window(first);
        let candidates = chain
            .iter()
            .flat_map(|model| self.candidates(models, agent, model))
            .collect();
        let model = Failover::new(
            candidates,
            Policy::default(),
            self.cooldowns.clone(),
            jitter,
        );
        Ok(Chosen {
            model: Rc::new(model),
            provider,
            name,
            window,
        })
    }

    /// One for each key that a model can be asked with; one that says why, when it cannot be asked.
    fn candidates(&self, models: &Models, agent: &str, model: &ModelRef) -> Vec<Candidate> {
        let candidate = |model: Rc<dyn Model>, name: &ModelRef, key: String| Candidate {
            model,
            name: name.to_string(),
            key,
            rest: models.rest_rules(name.provider.as_deref().unwrap_or_default()),
        };
        if model.is_offline() {
            return vec![candidate(Rc::new(Offline), model, String::new())];
        }
        match self.hosted(models, agent, model) {
            Ok(hosted) => hosted
                .into_iter()
                .map(|(key, hosted)| candidate(Rc::new(hosted), model, key))
                .collect(),
            Err(reason) => vec![candidate(Rc::new(Absent(reason)), model, String::new())],
        }
    }

    fn hosted(
        &self,
        models: &Models,
        agent: &str,
        model: &ModelRef,
    ) -> Result<Vec<(String, Hosted)>, String> {
        let name = model.provider.as_deref().unwrap_or_default();
        let provider = models.providers.get(name).ok_or_else(|| {
            format!("there is no provider \"{name}\"; it needs models.providers.{name}.baseUrl")
        })?;
        let known = models
            .providers
            .model(name, &model.model)
            .unwrap_or_else(|| model_providers::ModelFacts::unknown(&model.model));
        let api = known.api.as_deref().unwrap_or(&provider.api);
        let api: Api = api
            .parse()
            .map_err(|error| format!("cannot ask {model}: {error}"))?;
        if provider.base_url.is_empty() {
            return Err(format!("models.providers.{name}.baseUrl is missing"));
        }
        let now = WallTime::now();
        let own = |key: &&Key| {
            key.agent.as_deref().is_none_or(|whose| whose == agent) && !key.is_over(now)
        };
        let keys: Vec<Option<&Key>> = match provider.keys.iter().filter(own).collect::<Vec<_>>() {
            keys if !keys.is_empty() => keys.into_iter().map(Some).collect(),
            // Whoever has signed in to it would be refused without, and told something else.
            _ if !provider.needs_key && over(provider, agent, now).is_none() => vec![None],
            _ => return Err(no_key(provider, agent, now)),
        };
        let http = self.connections(&models.proxy)?;
        let facts = Arc::new(facts(&known));
        let hosted = keys.into_iter().map(|key| {
            let endpoint = Arc::new(endpoint(provider, api, &known, key, models));
            let hosted = Hosted::new(http.clone(), endpoint, facts.clone());
            (rest_of(name, key), hosted)
        });
        Ok(hosted.collect())
    }

    /// The connections that go through this proxy. Others end with the answers that use them.
    fn connections(&self, proxy: &Proxy) -> Result<Arc<Http>, String> {
        let mut connections = lock(&self.connections);
        if let Some(known) = connections.as_ref().filter(|known| known.proxy == *proxy) {
            return Ok(known.http.clone());
        }
        let http = Arc::new(Http::new(proxy).map_err(|error| format!("failed to {error}"))?);
        *connections = Some(Connections {
            proxy: proxy.clone(),
            http: http.clone(),
        });
        Ok(http)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each critical section leaves its value whole, so a poisoned lock is as good as any.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wish(models: &Models, wanted: Wanted<'_>) -> Result<Option<ModelRef>, String> {
    if let Some(text) = wanted.run.map(str::trim).filter(|text| !text.is_empty()) {
        return match models.choose(text) {
            Ok(model) => Ok(Some(model)),
            Err(ModelRefused::Empty) => Err("invalid model: empty".to_owned()),
            Err(ModelRefused::NoProvider) => {
                Err(format!("invalid model: {text} (use provider/model)"))
            }
            Err(ModelRefused::NotAllowed(model)) => Err(format!("model not allowed: {model}")),
        };
    }
    let Some((provider, model)) = wanted.session else {
        return Ok(None);
    };
    let text = match provider {
        Some(provider) => format!("{provider}/{model}"),
        None => model.to_owned(),
    };
    // What a session was set to once may not be allowed any longer; then it follows the configuration.
    Ok(models.choose(&text).ok())
}

fn endpoint(
    provider: &Provider,
    api: Api,
    model: &model_providers::ModelFacts,
    key: Option<&Key>,
    models: &Models,
) -> Endpoint {
    let is_token = key.is_some_and(|key| key.is_token);
    let mut headers: Vec<(String, Secret<String>)> = Vec::new();
    if is_token && api == Api::AnthropicMessages {
        let (name, value) = SUBSCRIPTION_HEADER;
        headers.push((name.to_owned(), Secret::new(value.to_owned())));
    }
    let configured = provider.headers.iter().chain(&model.headers);
    headers.extend(configured.map(|(name, value)| (name.clone(), value.clone())));
    Endpoint {
        provider: provider.id.clone(),
        api,
        base_url: provider.base_url.clone(),
        key: key.map(|key| key.value.clone()),
        bearer: provider.auth_header || is_token,
        headers,
        idle_limit: models.idle_limit,
    }
}

fn facts(model: &model_providers::ModelFacts) -> ModelFacts {
    ModelFacts {
        id: model.id.clone(),
        reasoning: model.reasoning,
        sees: model.input.iter().any(|kind| kind == "image"),
        max_tokens: model.max_tokens,
        prices: Prices {
            input: model.cost.input,
            output: model.cost.output,
            cache_read: model.cost.cache_read,
            cache_write: model.cost.cache_write,
        },
        compat: Compat {
            no_reasoning_effort: model.no_reasoning_effort,
            max_tokens_field: model.max_tokens_field.clone(),
        },
    }
}

/// The sign-in of an agent that has expired.
fn over<'a>(provider: &'a Provider, agent: &str, now: WallTime) -> Option<&'a str> {
    let old = provider.expired.iter();
    let old = old.map(|old| (&old.agent, &old.profile));
    let late = provider.keys.iter().filter(|key| key.is_over(now));
    let late = late.filter_map(|key| match (&key.agent, &key.source) {
        (Some(agent), KeySource::Profile(profile)) => Some((agent, profile)),
        (
            _,
            KeySource::Profile(_)
            | KeySource::Config
            | KeySource::File(_)
            | KeySource::Environment(_),
        ) => None,
    });
    let found = old.chain(late).find(|(whose, _)| *whose == agent);
    found.map(|(_, profile)| profile.as_str())
}

/// Why a provider cannot be asked for an agent, and what to do about it.
fn no_key(provider: &Provider, agent: &str, now: WallTime) -> String {
    let name = &provider.id;
    match over(provider, agent, now) {
        Some(profile) => format!(
            "the sign-in \"{profile}\" for the provider \"{name}\" has expired and cannot be renewed here; sign in again \
             where agents/{agent}/agent/auth-profiles.json comes from and restart the gateway, or set models.providers.{name}.apiKey"
        ),
        None => format!(
            "there is no key for the provider \"{name}\"; set models.providers.{name}.apiKey"
        ),
    }
}

/// Under what name a key rests after a failure. A new key in the same place has not failed.
fn rest_of(provider: &str, key: Option<&Key>) -> String {
    let print = key.map(|key| digest::hex(key.value.expose().as_bytes()));
    let print = print.unwrap_or_default();
    // Enough to tell keys apart.
    format!("{provider}:{}", print.get(..16).unwrap_or(&print))
}

/// A number from 0 to 1.
fn jitter() -> f64 {
    // Without random numbers several runs may ask again in step, which is harmless.
    getrandom::u32().map_or(0.0, |random| f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests;
