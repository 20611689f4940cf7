//! Which models are used where nobody says otherwise, as the configuration says it.                 (pure)

use std::collections::BTreeMap;

use openclaw_shared::config::Config;
use openclaw_shared::model_providers::Providers;
use serde_json::Value;

use super::super::failure::{Failure, Kind};

/// The provider whose only model needs no network.
pub(super) const OFFLINE: &str = "offline";

/// What the configuration chooses.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Choice {
    /// As it is written.
    pub(super) written: Option<String>,
    /// As `provider/model`: what is written, or what is used because nothing is.
    pub(super) resolved: Option<String>,
    pub(super) fallbacks: Vec<String>,
    pub(super) image: Option<String>,
    pub(super) image_fallbacks: Vec<String>,
    pub(super) aliases: BTreeMap<String, String>,
    /// The models that may be chosen; all when there is none.
    pub(super) allowed: Vec<String>,
}

impl Choice {
    pub(super) fn of(config: &Config, providers: &Providers) -> Self {
        let defaults = &config.agents.defaults;
        let mut choice = Self::default();
        for (name, settings) in defaults.models.iter().flat_map(|models| models.expose()) {
            choice.allowed.push(name.clone());
            if let Some(alias) = settings.get("alias").and_then(Value::as_str) {
                choice.aliases.insert(alias.to_owned(), name.clone());
            }
        }
        (choice.written, choice.fallbacks) = wish(defaults.model.as_ref().map(|it| it.expose()));
        (choice.image, choice.image_fallbacks) =
            wish(defaults.image_model.as_ref().map(|it| it.expose()));
        choice.resolved = match &choice.written {
            Some(written) => Some(choice.meaning(written)),
            None => providers
                .default_model()
                .map(|(provider, model)| format!("{provider}/{model}")),
        };
        if choice.resolved.is_none() && !providers.are_any_usable() {
            choice.resolved = Some(format!("{OFFLINE}/echo"));
        }
        choice
    }

    /// What an alias stands for; anything else stands for itself.
    pub(super) fn meaning(&self, text: &str) -> String {
        let found = self
            .aliases
            .iter()
            .find(|(alias, _)| alias.eq_ignore_ascii_case(text));
        found.map_or(text, |(_, model)| model).to_owned()
    }

    /// The providers that are asked if things are as configured.
    pub(super) fn providers_in_use(&self) -> Vec<String> {
        let models = self.resolved.iter().chain(&self.fallbacks);
        let mut used: Vec<String> = models
            .map(|model| self.meaning(model))
            .filter_map(|model| Some(model.split_once('/')?.0.to_lowercase()))
            .collect();
        used.sort();
        used.dedup();
        used
    }
}

fn wish(written: Option<&Value>) -> (Option<String>, Vec<String>) {
    let text = |value: &Value| {
        let text = value.as_str().map(str::trim);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    match written {
        Some(Value::Object(model)) => {
            let fallbacks = model.get("fallbacks").and_then(Value::as_array);
            (
                model.get("primary").and_then(text),
                fallbacks.into_iter().flatten().filter_map(text).collect(),
            )
        }
        Some(value) => (text(value), Vec::new()),
        None => (None, Vec::new()),
    }
}

/// The model that is meant, as `provider/model`.
///
/// # Errors
/// When it is no model.
pub(super) fn named(choice: &Choice, wanted: &str) -> Result<String, Failure> {
    let model = choice.meaning(wanted.trim());
    let usual = choice.resolved.as_deref().and_then(|it| it.split_once('/'));
    match model.split_once('/') {
        Some((provider, name)) if !provider.trim().is_empty() && !name.trim().is_empty() => Ok(
            format!("{}/{}", provider.trim().to_lowercase(), name.trim()),
        ),
        None if !model.is_empty() && usual.is_some_and(|(provider, _)| provider != OFFLINE) => {
            let (provider, _) = usual.unwrap_or_default();
            Ok(format!("{provider}/{model}"))
        }
        Some(_) | None => Err(Failure::new(
            Kind::Usage,
            format!("\"{wanted}\" is no model; write provider/model."),
        )),
    }
}

#[cfg(test)]
mod tests {
    use openclaw_shared::model_providers::Keyring;
    use serde_json::json;

    use super::*;

    fn choice(config: Value) -> (Config, Choice) {
        let config = Config::from_effective(&config).unwrap();
        let keyring = Keyring::of_variables(&config, &BTreeMap::new());
        let choice = Choice::of(&config, &Providers::of(&config, &keyring));
        (config, choice)
    }

    #[test]
    fn what_is_used_is_what_is_written_or_what_there_is() {
        let (_, bare) = choice(json!({}));
        assert_eq!(bare.resolved.as_deref(), Some("offline/echo"));
        let (_, aliased) = choice(json!({"agents": {"defaults": {
            "model": {"primary": "One", "fallbacks": ["b/two"]}, "models": {"a/one": {"alias": "one"}}}}}));
        assert_eq!(aliased.resolved.as_deref(), Some("a/one"));
        assert_eq!(aliased.providers_in_use(), ["a", "b"]);
        let own = json!({"models": {"providers": {"x": {"baseUrl": "http://h", "models": [{"id": "m"}]}}}});
        assert_eq!(choice(own).1.resolved.as_deref(), Some("x/m"));
    }

    #[test]
    fn a_model_is_named_in_full_by_alias_or_with_the_usual_provider() {
        let (_, it) = choice(json!({"agents": {"defaults": {
            "model": "a/one", "models": {"b/two": {"alias": "deux"}}}}}));
        let named = |text: &str| named(&it, text).map_err(|failure| failure.message);
        assert_eq!(named("DEUX").unwrap(), "b/two");
        assert_eq!(named("C/Three").unwrap(), "c/Three");
        assert_eq!(named("four").unwrap(), "a/four");
        assert_eq!(
            named("/x").unwrap_err(),
            "\"/x\" is no model; write provider/model."
        );
        let (_, bare) = choice(json!({}));
        assert!(super::named(&bare, "four").is_err());
    }
}
