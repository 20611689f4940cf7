//! Which model is used where nobody says otherwise: read from the configuration, and `models set`.

use std::collections::BTreeMap;

use openclaw_shared::config::{Config, KeyPath, Outcome};
use openclaw_shared::exit::Exit;
use openclaw_shared::model_providers::Providers;
use serde_json::{Map, Value, json};

use super::super::config_edit::{Applied, Edit, apply};
use super::super::context::Context;
use super::super::failure::{Failure, Kind};
use super::providers;

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

/// `models set`.
pub(super) async fn set(context: &Context, wanted: &str) -> Result<Exit, Failure> {
    let config = context.config();
    let (providers, _) = providers(context, &config);
    let choice = Choice::of(&config, &providers);
    let model = named(&choice, wanted)?;
    let applied = apply(context, &edits(&config, &model)).await?;
    let provider = model.split('/').next().unwrap_or_default();
    let problem = match providers.get(&provider.to_lowercase()) {
        None if provider == OFFLINE => None,
        None => Some(format!(
            "There is no provider \"{provider}\" yet; it needs models.providers.{provider}.baseUrl."
        )),
        Some(known) if !known.is_usable() => Some(format!(
            "There is no key for the provider \"{provider}\" yet; set models.providers.{provider}.apiKey or {}.",
            variable(provider)
        )),
        Some(_) => None,
    };
    let done = format!("Default model: {model}.");
    let text = match &applied {
        Applied::Unchanged => format!("{done} It was that already."),
        Applied::Written => done,
        Applied::Taken(outcome) => format!("{done} {outcome}"),
    };
    if context.out.is_json() {
        let outcome = match &applied {
            Applied::Taken(outcome) => Some(outcome),
            Applied::Unchanged | Applied::Written => None,
        };
        context.out.document(&json!({
            "ok": true, "defaultModel": model, "changed": applied != Applied::Unchanged,
            "live": outcome.is_some_and(Outcome::is_in_force), "outcome": outcome, "warning": problem,
        }));
    } else {
        context.out.line(text);
        if let Some(problem) = problem {
            context.out.note(problem);
        }
    }
    Ok(Exit::Ok)
}

fn variable(provider: &str) -> String {
    let plain = |character: char| match character.is_ascii_alphanumeric() {
        true => character.to_ascii_uppercase(),
        false => '_',
    };
    format!(
        "{}_API_KEY",
        provider.chars().map(plain).collect::<String>()
    )
}

/// The model that is meant, as `provider/model`.
fn named(choice: &Choice, wanted: &str) -> Result<String, Failure> {
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

fn edits(config: &Config, model: &str) -> Vec<Edit> {
    let defaults = &config.agents.defaults;
    let path = |keys: &[&str]| KeyPath::of_keys(keys.iter().copied());
    let has_more = matches!(
        defaults.model.as_ref().map(|it| it.expose()),
        Some(Value::Object(_))
    );
    let mut edits = vec![if has_more {
        Edit::Set(
            path(&["agents", "defaults", "model", "primary"]),
            json!(model),
        )
    } else {
        Edit::Set(
            path(&["agents", "defaults", "model"]),
            json!({"primary": model}),
        )
    }];
    // A list of models is a list of those that may be chosen.
    if let Some(models) = &defaults.models
        && !models.expose().contains_key(model)
    {
        let empty = Value::Object(Map::new());
        edits.push(Edit::Set(
            path(&["agents", "defaults", "models", model]),
            empty,
        ));
    }
    edits
}

#[cfg(test)]
mod tests {
    use openclaw_shared::model_providers::Keyring;

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

    #[test]
    fn the_choice_is_written_beside_what_stands_in_for_it() {
        let keys = |config: Value| {
            let (config, _) = choice(config);
            let edits = edits(&config, "a/one");
            edits
                .into_iter()
                .map(|edit| match edit {
                    Edit::Set(path, value) => format!("{path}={value}"),
                    Edit::Unset(_) | Edit::Patch(_) => "another edit".to_owned(),
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(
            keys(json!({})),
            [r#"agents.defaults.model={"primary":"a/one"}"#]
        );
        assert_eq!(
            keys(
                json!({"agents": {"defaults": {"model": {"fallbacks": ["x/y"]}, "models": {"x/y": {}}}}})
            ),
            [
                r#"agents.defaults.model.primary="a/one""#,
                "agents.defaults.models.a/one={}"
            ]
        );
    }
}
