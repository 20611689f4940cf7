use openclaw_shared::config::Config;
use serde_json::{Value, json};

use openclaw_shared::model_providers::Keyring;

use super::Catalog;
use crate::testing::instance;

fn catalog(config: Value) -> Catalog {
    let instance = instance(std::path::Path::new("/home/me"));
    let config = Config::from_effective(&config).unwrap();
    let keyring = Keyring::of_variables(&config, &std::collections::BTreeMap::new());
    Catalog::of(&config, &instance, &keyring)
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
