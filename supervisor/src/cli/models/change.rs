//! Changes of which models are used: `models set`, `set-image`, `fallbacks`, `image-fallbacks` and `aliases`.
//!
//! The configuration's list of models is also the list of those that may be chosen, when there is one. What is used is put on it,
//! and where an alias makes it a list, so is what was used before.

use openclaw_shared::config::{Config, KeyPath, Outcome};
use openclaw_shared::exit::Exit;
use serde_json::{Map, Value, json};

use super::super::config_edit::{Applied, Edit, apply};
use super::super::context::Context;
use super::super::failure::{Failure, Kind};
use super::choice::{Choice, OFFLINE, named};
use super::providers;

/// What models are used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Answers,
    Images,
}

impl Purpose {
    const fn key(self) -> &'static str {
        match self {
            Self::Answers => "model",
            Self::Images => "imageModel",
        }
    }

    pub(super) fn fallbacks(self, choice: &Choice) -> &[String] {
        match self {
            Self::Answers => &choice.fallbacks,
            Self::Images => &choice.image_fallbacks,
        }
    }

    fn written(self, config: &Config) -> Option<&Value> {
        let defaults = &config.agents.defaults;
        let written = match self {
            Self::Answers => &defaults.model,
            Self::Images => &defaults.image_model,
        };
        written.as_ref().map(|it| it.expose())
    }

    /// Sets one key beside what else is written: a choice may be a name alone, or an object.
    fn edit(self, config: &Config, key: &str, value: Value) -> Edit {
        let whole = ["agents", "defaults", self.key()];
        match self.written(config) {
            Some(Value::Object(_)) => Edit::Set(path(&[whole[0], whole[1], whole[2], key]), value),
            written => {
                let primary = written.filter(|name| name.is_string());
                let mut object = Map::new();
                object.extend(primary.map(|name| ("primary".to_owned(), name.clone())));
                object.insert(key.to_owned(), value);
                Edit::Set(path(&whole), object.into())
            }
        }
    }
}

/// How a list of fallbacks is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fallback<'a> {
    Add(&'a str),
    Remove(&'a str),
    Clear,
}

fn path(keys: &[&str]) -> KeyPath {
    KeyPath::of_keys(keys.iter().copied())
}

fn read(context: &Context) -> (Config, Choice) {
    let config = context.config();
    let (providers, _) = providers(context, &config);
    let choice = Choice::of(&config, &providers);
    (config, choice)
}

/// `models set` and `models set-image`.
pub(super) async fn set(
    context: &Context,
    purpose: Purpose,
    wanted: &str,
) -> Result<Exit, Failure> {
    let (config, choice) = read(context);
    let model = named(&choice, wanted)?;
    let mut edits = vec![purpose.edit(&config, "primary", json!(model))];
    edits.extend(allowing(&config, &model));
    let (label, key) = match purpose {
        Purpose::Answers => ("Default model", "defaultModel"),
        Purpose::Images => ("Image model", "imageModel"),
    };
    let mut document = Map::new();
    document.insert(key.to_owned(), json!(model));
    document.insert(
        "warning".to_owned(),
        problem(context, &config, &model).into(),
    );
    make(context, &edits, &format!("{label}: {model}."), document).await
}

/// `models fallbacks` and `models image-fallbacks`.
pub(super) async fn fallback(
    context: &Context,
    purpose: Purpose,
    change: Fallback<'_>,
) -> Result<Exit, Failure> {
    let (config, choice) = read(context);
    let (left, added) = rest(&choice, purpose.fallbacks(&choice), &change)?;
    let mut edits = vec![purpose.edit(&config, "fallbacks", json!(left))];
    let mut document = Map::new();
    if let Some(model) = &added {
        edits.extend(allowing(&config, model));
        document.insert(
            "warning".to_owned(),
            problem(context, &config, model).into(),
        );
    }
    let label = match purpose {
        Purpose::Answers => "Fallbacks",
        Purpose::Images => "Image fallbacks",
    };
    let done = match left.as_slice() {
        [] => format!("{label}: none."),
        left => format!("{label}: {}.", left.join(", ")),
    };
    document.insert("fallbacks".to_owned(), json!(left));
    make(context, &edits, &done, document).await
}

/// A list after a change, and what came to it.
fn rest(
    choice: &Choice,
    listed: &[String],
    change: &Fallback<'_>,
) -> Result<(Vec<String>, Option<String>), Failure> {
    let mut left = listed.to_vec();
    let same = |listed: &String, model: &str| choice.meaning(listed).eq_ignore_ascii_case(model);
    let added = match change {
        Fallback::Clear => {
            left.clear();
            None
        }
        Fallback::Add(wanted) => {
            let model = named(choice, wanted)?;
            if !left.iter().any(|it| same(it, &model)) {
                left.push(model.clone());
            }
            Some(model)
        }
        Fallback::Remove(wanted) => {
            let model = choice.meaning(wanted.trim());
            let before = left.len();
            left.retain(|it| !it.eq_ignore_ascii_case(wanted.trim()) && !same(it, &model));
            if left.len() == before {
                return Err(Failure::new(
                    Kind::Usage,
                    format!("Fallback not found: {wanted}"),
                ));
            }
            None
        }
    };
    Ok((left, added))
}

/// `models aliases add`.
pub(super) async fn add_alias(
    context: &Context,
    alias: &str,
    wanted: &str,
) -> Result<Exit, Failure> {
    let (config, choice) = read(context);
    let alias = alias.trim();
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-');
    if alias.is_empty() || !alias.bytes().all(is_plain) {
        return Err(Failure::new(
            Kind::Usage,
            "Alias must use letters, numbers, dots, underscores, colons, or dashes.",
        ));
    }
    let model = named(&choice, wanted)?;
    let is_first = config.agents.defaults.models.is_none();
    let edits = naming(&config, &choice, alias, &model);
    let mut document = Map::new();
    document.insert("alias".to_owned(), json!(alias));
    document.insert("model".to_owned(), json!(model));
    let note = "agents.defaults.models has become the list of the models that may be chosen; others must be added to it.";
    document.insert("warning".to_owned(), is_first.then_some(note).into());
    make(
        context,
        &edits,
        &format!("Alias {alias} -> {model}."),
        document,
    )
    .await
}

/// Gives a model this alias, which any other one loses.
fn naming(config: &Config, choice: &Choice, alias: &str, model: &str) -> Vec<Edit> {
    let of_models = |keys: &[&str]| path(&[&["agents", "defaults", "models"], keys].concat());
    let mut edits = Vec::new();
    for (other, named) in &choice.aliases {
        if other.eq_ignore_ascii_case(alias) && named != model {
            edits.push(Edit::Unset(of_models(&[named, "alias"])));
        }
    }
    if config.agents.defaults.models.is_none() {
        let used = choice.written.iter().chain(&choice.fallbacks);
        let used = used.map(|it| choice.meaning(it)).filter(|it| it != model);
        let empty = || Value::Object(Map::new());
        edits.extend(used.map(|it| Edit::Set(of_models(&[&it]), empty())));
    }
    edits.push(Edit::Set(of_models(&[model, "alias"]), json!(alias)));
    edits
}

/// `models aliases remove`.
pub(super) async fn remove_alias(context: &Context, alias: &str) -> Result<Exit, Failure> {
    let (_, choice) = read(context);
    let mut known = choice.aliases.iter();
    let Some((alias, model)) = known.find(|(known, _)| known.eq_ignore_ascii_case(alias.trim()))
    else {
        let message = format!("Alias not found: {alias}");
        return Err(Failure::new(Kind::Usage, message));
    };
    let at = path(&["agents", "defaults", "models", model, "alias"]);
    let mut document = Map::new();
    document.insert("alias".to_owned(), json!(alias));
    let done = format!("{alias} stands for {model} no more.");
    make(context, &[Edit::Unset(at)], &done, document).await
}

/// Puts a model on the list of those that may be chosen, if there is one.
fn allowing(config: &Config, model: &str) -> Option<Edit> {
    let models = config.agents.defaults.models.as_ref()?;
    let empty = Value::Object(Map::new());
    (!models.expose().contains_key(model))
        .then(|| Edit::Set(path(&["agents", "defaults", "models", model]), empty))
}

/// Why a model cannot be asked yet.
fn problem(context: &Context, config: &Config, model: &str) -> Option<String> {
    let (providers, _) = providers(context, config);
    let provider = model.split('/').next().unwrap_or_default();
    match providers.get(&provider.to_lowercase()) {
        None if provider == OFFLINE => None,
        None => Some(format!(
            "There is no provider \"{provider}\" yet; it needs models.providers.{provider}.baseUrl."
        )),
        Some(known) if !known.is_usable() => Some(format!(
            "There is no key for the provider \"{provider}\" yet; set models.providers.{provider}.apiKey or {}.",
            variable(provider)
        )),
        Some(_) => None,
    }
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

/// Makes the changes, and says what became of them.
async fn make(
    context: &Context,
    edits: &[Edit],
    done: &str,
    about: Map<String, Value>,
) -> Result<Exit, Failure> {
    let applied = apply(context, edits).await?;
    let (text, outcome) = match &applied {
        Applied::Unchanged => (format!("{done} It was so already."), None),
        Applied::Written => (done.to_owned(), None),
        Applied::Taken(outcome) => (format!("{done} {outcome}"), Some(outcome)),
    };
    if context.out.is_json() {
        let mut document = Map::new();
        document.insert("ok".to_owned(), true.into());
        document.extend(about);
        document.insert("changed".to_owned(), (applied != Applied::Unchanged).into());
        let is_live = outcome.is_some_and(Outcome::is_in_force);
        document.insert("live".to_owned(), is_live.into());
        document.insert("outcome".to_owned(), json!(outcome));
        context.out.document(&document);
    } else {
        context.out.line(text);
        if let Some(warning) = about.get("warning").and_then(Value::as_str) {
            context.out.note(warning);
        }
    }
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use openclaw_shared::model_providers::{Keyring, Providers};

    use super::*;

    fn choice(config: &Value) -> (Config, Choice) {
        let config = Config::from_effective(config).unwrap();
        let keyring = Keyring::of_variables(&config, &BTreeMap::new());
        let choice = Choice::of(&config, &Providers::of(&config, &keyring));
        (config, choice)
    }

    fn shown(edits: impl IntoIterator<Item = Edit>) -> Vec<String> {
        let shown = |edit| match edit {
            Edit::Set(path, value) => format!("{path}={value}"),
            Edit::Unset(path) => format!("{path} goes"),
            Edit::Patch(_) => "another edit".to_owned(),
        };
        edits.into_iter().map(shown).collect()
    }

    #[test]
    fn the_choice_is_written_beside_what_stands_in_for_it() {
        let keys = |config: Value, key: &str, value: Value| {
            let (config, _) = choice(&config);
            let edit = Purpose::Answers.edit(&config, key, value);
            shown([edit].into_iter().chain(allowing(&config, "a/one")))
        };
        assert_eq!(
            keys(json!({}), "primary", json!("a/one")),
            [r#"agents.defaults.model={"primary":"a/one"}"#]
        );
        let both = json!({"agents": {"defaults": {"model": {"fallbacks": ["x/y"]}, "models": {"x/y": {}}}}});
        assert_eq!(
            keys(both, "primary", json!("a/one")),
            [
                r#"agents.defaults.model.primary="a/one""#,
                "agents.defaults.models.a/one={}"
            ]
        );
        let plain = json!({"agents": {"defaults": {"model": "a/one"}}});
        // The order of keys depends on what the workspace is built with.
        let shown = keys(plain, "fallbacks", json!(["x/y"]));
        let (key, value) = shown[0].split_once('=').unwrap();
        let value: Value = serde_json::from_str(value).unwrap();
        assert_eq!(
            (shown.len(), key, value),
            (
                1,
                "agents.defaults.model",
                json!({"primary": "a/one", "fallbacks": ["x/y"]})
            )
        );
    }

    #[test]
    fn a_fallback_comes_once_and_goes_by_any_of_its_names() {
        let config = json!({"agents": {"defaults": {
            "model": {"primary": "a/one", "fallbacks": ["deux", "c/three"]}, "models": {"b/two": {"alias": "deux"}}}}});
        let (_, it) = choice(&config);
        let rest = |change| {
            let left = rest(&it, &it.fallbacks, &change);
            left.map(|(left, _)| left.join(" "))
                .unwrap_or_else(|failure| failure.message)
        };
        assert_eq!(rest(Fallback::Add("b/two")), "deux c/three");
        assert_eq!(rest(Fallback::Add("four")), "deux c/three a/four");
        assert_eq!(rest(Fallback::Remove("B/Two")), "c/three");
        assert_eq!(rest(Fallback::Remove("DEUX")), "c/three");
        assert_eq!(rest(Fallback::Remove("x/y")), "Fallback not found: x/y");
        assert_eq!(rest(Fallback::Clear), "");
    }

    #[test]
    fn an_alias_moves_and_shuts_out_nothing_that_is_used() {
        let moved = json!({"agents": {"defaults": {"models": {"b/two": {"alias": "Fast"}}}}});
        let (config, it) = choice(&moved);
        assert_eq!(
            shown(naming(&config, &it, "fast", "a/one")),
            [
                "agents.defaults.models.b/two.alias goes",
                r#"agents.defaults.models.a/one.alias="fast""#
            ]
        );
        let (config, it) = choice(
            &json!({"agents": {"defaults": {"model": {"primary": "x/y", "fallbacks": ["a/one"]}}}}),
        );
        assert_eq!(
            shown(naming(&config, &it, "fast", "a/one")),
            [
                "agents.defaults.models.x/y={}",
                r#"agents.defaults.models.a/one.alias="fast""#
            ]
        );
    }
}
