use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use openclaw_agent::model::{ModelEvent, ModelRequest};
use openclaw_shared::config::Config;
use openclaw_shared::model_providers::Keyring;
use openclaw_shared::transcript::{Message, Part, UserMessage};
use openclaw_tests::model_server::{ModelServer, Script};
use serde_json::{Value, json};

use super::*;
use crate::settings::Settings;
use crate::testing::instance;

fn settings(config: Value) -> Settings {
    let config = Config::from_effective(&config).unwrap();
    let keyring = Keyring::of_variables(&config, &BTreeMap::new());
    let instance = instance(std::path::Path::new("/home/me"));
    Settings::with_keys(&config, &instance, &keyring)
}

async fn ask(chosen: &Chosen) -> Vec<String> {
    let request = ModelRequest {
        messages: vec![Message::User(UserMessage {
            content: vec![Part::text("hi")],
            timestamp: 0,
        })],
        ..ModelRequest::default()
    };
    let events = chosen.model.ask(request);
    let shown = events.map(|event| match event {
        Ok(ModelEvent::Began(who)) => format!("{}/{}", who.provider, who.model),
        Ok(ModelEvent::Done(done)) => format!("${:.6}", done.usage.cost.total),
        Ok(ModelEvent::Text(text)) => text,
        Ok(other) => format!("{other:?}"),
        Err(error) => format!("{:?}: {error}", error.kind),
    });
    shown.collect().await
}

fn choose(pool: &ModelPool, config: Value, wanted: Wanted<'_>) -> Result<Chosen, String> {
    pool.choose(&settings(config).catalog.models, "main", wanted)
}

fn config(server: &ModelServer) -> Value {
    json!({
        "models": {"providers": {
            "one": {"baseUrl": server.base_url(), "apiKey": "key-of-one-1", "models": [
                {"id": "m", "contextWindow": 1_000, "cost": {"input": 10.0, "output": 100.0}}]},
            "two": {"baseUrl": server.base_url(), "models": [{"id": "n"}]},
        }},
        "agents": {"defaults": {"model": {"primary": "one/m", "fallbacks": ["two/n"]}}},
    })
}

#[tokio::test(flavor = "local")]
async fn a_fresh_machine_is_answered_offline() {
    let chosen = choose(&ModelPool::default(), json!({}), Wanted::default()).unwrap();
    assert_eq!(
        (chosen.provider.as_str(), chosen.name.as_str()),
        ("offline", "echo")
    );
    let heard = ask(&chosen).await;
    assert_eq!(heard.concat(), "offline/echoYou said: hi$0.000000");
}

#[tokio::test(flavor = "local")]
async fn what_is_configured_answers_and_what_it_costs_is_known() {
    let server = ModelServer::start(Script::say("yes")).await;
    let chosen = choose(&ModelPool::default(), config(&server), Wanted::default()).unwrap();
    assert_eq!(chosen.window, 1_000);
    // Ten tokens read, one from the cache, one written.
    assert_eq!(ask(&chosen).await, ["one/m", "yes", "$0.000200"]);
    assert_eq!(
        server.asked()[0].header("authorization"),
        "Bearer key-of-one-1"
    );
}

#[tokio::test(flavor = "local")]
async fn another_provider_stands_in_and_the_key_that_was_refused_rests() {
    let server = ModelServer::start(Script::say("yes")).await;
    server.play([Script::status(401, "no such key")]);
    let pool = ModelPool::default();
    let chosen = choose(&pool, config(&server), Wanted::default()).unwrap();
    assert_eq!(ask(&chosen).await[0], "two/n");
    let again = choose(&pool, config(&server), Wanted::default()).unwrap();
    assert_eq!(ask(&again).await[0], "two/n");
    assert_eq!(server.counts().asked, 3);
    let mut mended = config(&server);
    mended["models"]["providers"]["one"]["apiKey"] = json!("another-key-1");
    let mended = choose(&pool, mended, Wanted::default()).unwrap();
    assert_eq!(ask(&mended).await[0], "one/m");
}

#[tokio::test(flavor = "local")]
async fn a_run_counts_before_its_session_and_both_before_the_configuration() {
    let server = ModelServer::start(Script::say("yes")).await;
    let pool = ModelPool::default();
    let name = |session, run| {
        let chosen = choose(&pool, config(&server), Wanted { session, run });
        chosen.map(|chosen| format!("{}/{}", chosen.provider, chosen.name))
    };
    assert_eq!(name(None, None).unwrap(), "one/m");
    assert_eq!(name(Some((Some("two"), "n")), None).unwrap(), "two/n");
    assert_eq!(
        name(Some((Some("two"), "n")), Some("one/other")).unwrap(),
        "one/other"
    );
    assert_eq!(
        name(None, Some("nobody's")).unwrap(),
        "one/nobody's",
        "a name alone is one of the usual provider"
    );
}

#[tokio::test(flavor = "local")]
async fn what_cannot_be_asked_says_why() {
    let pool = ModelPool::default();
    let why = async |config: Value| match choose(&pool, config, Wanted::default()) {
        Ok(chosen) => ask(&chosen).await.concat(),
        Err(reason) => reason,
    };
    let with = |model: &str, providers: Value| json!({"agents": {"defaults": {"model": model}}, "models": {"providers": providers}});
    assert_eq!(
        why(with("anthropic/x", json!({}))).await,
        "Unknown: there is no key for the provider \"anthropic\"; set models.providers.anthropic.apiKey"
    );
    assert_eq!(
        why(with("x/y", json!({}))).await,
        "Unknown: there is no provider \"x\"; it needs models.providers.x.baseUrl"
    );
    assert_eq!(
        why(with(
            "x/y",
            json!({"x": {"baseUrl": "http://h", "api": "github-copilot"}})
        ))
        .await,
        "Unknown: cannot ask x/y: the API \"github-copilot\" is not supported"
    );
    assert!(
        why(json!({"models": {"providers": {"x": {"baseUrl": "http://h"}}}}))
            .await
            .starts_with("no model is configured")
    );
}
