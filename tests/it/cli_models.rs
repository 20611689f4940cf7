//! `openclaw models`: which model is used and where its key comes from, with and without a gateway.

use openclaw_tests::home::Home;
use openclaw_tests::model_server::{ModelServer, Script};
use serde_json::{Value, json};

const KEY: &str = "sk-SECRETCANARY-0123456789";

fn configuration(server: &ModelServer) -> Value {
    json!({
        "models": {"providers": {"own": {
            "baseUrl": server.base_url(), "apiKey": KEY, "models": [{"id": "m", "name": "Em"}],
        }}},
        "agents": {"defaults": {"model": {"primary": "own/m", "fallbacks": ["anthropic/claude-opus-4-5"]}}},
    })
}

#[tokio::test]
async fn the_status_names_the_source_of_every_key_and_shows_none() {
    let server = ModelServer::start(Script::say("ok")).await;
    let home = Home::new();
    home.configure(&configuration(&server));
    let variables = [("OPENAI_API_KEY", "sk-SECRETCANARY-environment")];
    let said = home
        .run_with(&["models", "status", "--json"], &variables)
        .await;
    assert_eq!(said.code, 0, "{said:?}");
    let status = said.json();
    assert_eq!(
        (&status["defaultModel"], &status["resolvedDefault"]),
        (&json!("own/m"), &json!("own/m"))
    );
    assert_eq!(
        status["auth"]["missingProvidersInUse"],
        json!(["anthropic"])
    );
    let sources: Vec<String> = status["auth"]["providers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| format!("{} {}", row["provider"], row["effective"]["kind"]))
        .collect();
    assert_eq!(
        sources,
        [
            r#""anthropic" "missing""#,
            r#""openai" "env""#,
            r#""own" "config""#
        ]
    );
    let text = home.run_with(&["models"], &variables).await;
    assert_eq!(text.code, 0, "{text:?}");
    assert!(text.out.contains("env OPENAI_API_KEY"), "{text:?}");
    assert!(!format!("{said:?}{text:?}").contains("SECRETCANARY"));
}

#[tokio::test]
async fn without_a_gateway_the_configuration_says_which_models_there_are() {
    let server = ModelServer::start(Script::say("ok")).await;
    let home = Home::new();
    home.configure(&configuration(&server));
    let said = home.run(&["models", "list", "--json"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(
        said.json()["models"],
        json!([{"id": "m", "name": "Em", "provider": "own", "contextWindow": 200_000, "reasoning": false, "input": ["text"]}])
    );
}

#[tokio::test]
async fn a_model_that_is_set_is_used_by_the_running_gateway() {
    let server = ModelServer::start(Script::say("ok")).await;
    let home = Home::new();
    home.configure(&configuration(&server));
    let instance = home.launch().ready().await;
    let home = instance.home();
    let said = home.run(&["models", "set", "own/other", "--json"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(said.json()["live"], true, "{said:?}");
    let sessions = home.run(&["sessions", "--json"]).await;
    assert_eq!(sessions.code, 0, "{sessions:?}");
    let status = home.run(&["models", "status", "--json"]).await.json();
    assert_eq!(status["resolvedDefault"], "own/other");
    assert_eq!(status["fallbacks"], json!(["anthropic/claude-opus-4-5"]));
    let wrong = home.run(&["models", "set", "/"]).await;
    assert_ne!(wrong.code, 0, "{wrong:?}");
}

#[tokio::test]
async fn servers_of_this_machine_are_asked_what_they_have() {
    let server = ModelServer::start(Script::say("ok")).await;
    let home = Home::new();
    home.configure(&configuration(&server));
    let said = home
        .run(&["models", "scan", "--provider", "own", "--json"])
        .await;
    assert_eq!(said.code, 0, "{said:?}");
    let found = &said.json()["providers"][0];
    assert_eq!(
        (&found["provider"], &found["models"]),
        (&json!("own"), &json!(["tokens-200", "stall"])),
        "{said:?}"
    );
    assert_eq!(
        server.asked()[0].header("authorization"),
        format!("Bearer {KEY}")
    );
    assert!(!format!("{said:?}").contains("SECRETCANARY"));
    drop(server);
    let gone = home.run(&["models", "scan", "--provider", "own"]).await;
    assert!(gone.code == 0 && gone.out.contains("own at "), "{gone:?}");
}

#[tokio::test]
async fn fallbacks_and_aliases_are_lists_that_a_running_gateway_follows() {
    let server = ModelServer::start(Script::say("ok")).await;
    let home = Home::new();
    home.configure(&configuration(&server));
    let instance = home.launch().ready().await;
    let home = instance.home();
    let added = home
        .run(&["models", "fallbacks", "add", "own/other", "--json"])
        .await;
    let document = added.json();
    assert_eq!(
        (added.code, &document["live"], &document["fallbacks"]),
        (
            0,
            &json!(true),
            &json!(["anthropic/claude-opus-4-5", "own/other"])
        ),
        "{added:?}"
    );
    let gone = home
        .run(&["models", "fallbacks", "remove", "nope/x", "--json"])
        .await;
    assert_eq!(
        (gone.code, gone.json()["error"].as_str()),
        (1, Some("Fallback not found: nope/x")),
        "{gone:?}"
    );
    let named = home
        .run(&["models", "aliases", "add", "fast", "own/other"])
        .await;
    assert_eq!(named.code, 0, "{named:?}");
    let listed = home.run(&["models", "aliases", "--json"]).await;
    assert_eq!(listed.json(), json!({"aliases": {"fast": "own/other"}}));
    let set = home.run(&["models", "set", "fast", "--json"]).await;
    assert_eq!(set.json()["defaultModel"], "own/other", "{set:?}");
    let plain = home.run(&["models", "status", "--plain"]).await;
    assert_eq!(plain.out.trim(), "own/other");
    let checked = home.run(&["models", "status", "--check"]).await;
    assert_eq!(checked.code, 1, "a fallback has no key: {checked:?}");
    let signed_in = home
        .run(&["models", "auth", "login", "--provider", "x"])
        .await;
    assert_eq!(signed_in.code, 1, "{signed_in:?}");
    assert!(
        signed_in.err.contains("does not sign in to providers"),
        "{signed_in:?}"
    );
}
