use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

fn models_with(config: Value, variables: &[(&str, &str)]) -> Models {
    let config = Config::from_effective(&config).unwrap();
    let variables: BTreeMap<String, String> = variables
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Models::of(&config, &Keyring::of_variables(&config, &variables))
}

fn models_of(config: Value) -> Models {
    models_with(config, &[])
}

fn configured() -> Value {
    json!({
        "models": {"providers": {"Ollama": {"baseUrl": "http://127.0.0.1:1", "models": [
            {"id": "b", "name": "Bee", "contextWindow": 9}, {"id": "a", "reasoning": true, "input": ["text", "image"]},
            {"name": "without an id"}]}}},
        "agents": {"defaults": {
            "model": {"primary": "bee"},
            "models": {"ollama/b": {"alias": "bee"}, "openai/gpt": {}},
        }},
    })
}

#[test]
fn models_come_from_the_configuration() {
    let models = models_of(configured());
    assert_eq!(
        serde_json::to_value(&models.rows).unwrap(),
        json!([
            {"id": "b", "name": "Bee", "provider": "ollama", "contextWindow": 9, "reasoning": false, "input": ["text"]},
            {"id": "a", "name": "a", "provider": "ollama", "contextWindow": 200_000, "reasoning": true, "input": ["text", "image"]},
            {"id": "gpt", "name": "gpt", "provider": "openai"},
        ])
    );
    let defaults = serde_json::to_value(models.defaults()).unwrap();
    assert_eq!(
        defaults,
        json!({"modelProvider": "ollama", "model": "b", "contextTokens": 9})
    );
}

#[test]
fn a_model_is_chosen_by_alias_or_name_and_must_be_allowed() {
    let models = models_of(configured());
    let chosen = |text: &str| match models.choose(text) {
        Ok(model) => format!("{}/{}", model.provider.unwrap(), model.model),
        Err(refused) => format!("{refused:?}"),
    };
    assert_eq!(chosen("BEE"), "ollama/b");
    assert_eq!(chosen("OpenAI/gpt"), "openai/gpt");
    assert_eq!(chosen("gpt"), "openai/gpt");
    assert_eq!(chosen("a"), "NotAllowed(\"ollama/a\")");
    assert_eq!(chosen(""), "Empty");
    assert_eq!(
        models_of(json!({})).choose("opus"),
        Err(ModelRefused::NoProvider)
    );
    assert!(models_of(json!({})).choose("x/y").is_ok());
}

#[test]
fn where_nothing_is_configured_the_offline_model_answers_and_says_so() {
    let bare = models_of(json!({}));
    assert_eq!(
        serde_json::to_value(&bare.rows).unwrap(),
        json!([{"id": "echo", "name": "Echo (offline)", "provider": "offline", "contextWindow": 200_000,
            "reasoning": false, "input": ["text"]}])
    );
    assert_eq!(
        serde_json::to_value(bare.defaults()).unwrap(),
        json!({"modelProvider": "offline", "model": "echo", "contextTokens": 200_000})
    );
    // A provider that is configured without a model is no reason to answer in its place.
    let configured = models_of(json!({"models": {"providers": {"own": {"baseUrl": "http://h"}}}}));
    assert_eq!((configured.rows.len(), configured.default), (0, None));
}

#[test]
fn a_key_brings_the_built_in_models_of_its_provider() {
    let models = models_with(json!({}), &[("ANTHROPIC_API_KEY", "k")]);
    assert!(models.rows.iter().all(|row| row.provider == "anthropic"));
    assert_eq!(models.rows.len(), 3);
    assert_eq!(
        models.default.as_ref().unwrap().to_string(),
        "anthropic/claude-opus-4-5"
    );
}

#[test]
fn who_stands_in_for_whom() {
    let models = models_of(json!({"agents": {
        "defaults": {"model": {"primary": "a/one", "fallbacks": ["b/two", "a/one", "c/three"]}},
        "list": [{"id": "plain"}, {"id": "own", "model": "d/four"},
            {"id": "alone", "model": {"primary": "e/five", "fallbacks": []}}],
    }}));
    let chain = |agent: &str, wish: Option<&str>| {
        let chain = models.chain(agent, wish.and_then(ModelRef::parse));
        let names: Vec<String> = chain.iter().map(ToString::to_string).collect();
        names.join(" ")
    };
    assert_eq!(chain("plain", None), "a/one b/two c/three");
    assert_eq!(chain("own", None), "d/four b/two a/one c/three");
    assert_eq!(chain("alone", None), "e/five");
    assert_eq!(chain("plain", Some("x/y")), "x/y b/two a/one c/three");
    assert_eq!(chain("alone", Some("x/y")), "x/y e/five");
}

#[test]
fn a_window_is_the_models_own_unless_the_configuration_says_less() {
    let window = |tokens: Value, name: &str| {
        let mut config = configured();
        config["agents"]["defaults"]["contextTokens"] = tokens;
        models_of(config).window(&ModelRef::parse(name).unwrap())
    };
    assert_eq!(window(json!(1_000_000), "ollama/b"), 9);
    assert_eq!(window(json!(5), "ollama/b"), 5);
    assert_eq!(window(json!(0), "x/unknown"), 200_000);
}
