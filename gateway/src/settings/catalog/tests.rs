use openclaw_shared::config::Config;
use serde_json::{Value, json};

use super::{Catalog, ModelRefused};
use crate::testing::instance;

fn catalog(config: Value) -> Catalog {
    let instance = instance(std::path::Path::new("/home/me"));
    Catalog::of(&Config::from_effective(&config).unwrap(), &instance)
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
fn models_come_from_the_configuration_alone() {
    let empty = catalog(json!({}));
    assert_eq!(empty.models.rows, []);
    let defaults = serde_json::to_value(empty.models.defaults()).unwrap();
    assert_eq!(
        defaults,
        json!({"modelProvider": null, "model": null, "contextTokens": null})
    );
    let models = catalog(configured()).models;
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
    let models = catalog(configured()).models;
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
        catalog(json!({})).models.choose("opus"),
        Err(ModelRefused::NoProvider)
    );
    assert!(catalog(json!({})).models.choose("x/y").is_ok());
}

#[test]
fn a_channel_is_configured_when_it_has_what_it_takes() {
    let channels = |config: Value| {
        let channels = catalog(json!({"channels": config})).channels.into_iter();
        let short = channels.map(|channel| {
            format!(
                "{} {} {}",
                channel.id, channel.is_configured, channel.is_enabled
            )
        });
        short.collect::<Vec<_>>()
    };
    assert_eq!(channels(json!({})), [""; 0]);
    assert_eq!(
        channels(
            json!({"whatsapp": {"allowFrom": ["+1"]}, "telegram": {"botToken": "1:x"}, "discord": {"token": "x"}})
        ),
        ["telegram true true", "whatsapp false true"]
    );
    assert_eq!(
        channels(json!({"telegram": {"enabled": false}})),
        ["telegram false false"]
    );
    assert_eq!(
        channels(json!({"telegram": {"accounts": {"a": {"botToken": "1:x"}}}})),
        ["telegram true true"]
    );
}

#[test]
fn a_secret_of_the_configuration_is_not_shown_to_skills() {
    let catalog = catalog(
        json!({"gateway": {"auth": {"token": "CANARY"}}, "skills": {"entries": {"x": {"apiKey": "CANARY2"}}}}),
    );
    let shown = format!("{catalog:?}");
    assert!(!shown.contains("CANARY"), "{shown}");
    assert!(catalog.skills["x"].has_api_key);
}
