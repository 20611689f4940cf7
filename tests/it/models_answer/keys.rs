//! Where keys come from, and what becomes of those that are of no use: one that nothing is paid for any longer is asked after the others,
//! also by the next life of the gateway.

use futures_util::future::join_all;
use openclaw_tests::home::Home;
use openclaw_tests::model_server::{ModelServer, Script};
use serde_json::{Value, json};

use super::{Stage, provider};
use crate::runs_survive::kill;

fn with_another(second: &ModelServer, auth: Value) -> Value {
    json!({
        "models": {"providers": {"other": provider(second, "m2")}},
        "agents": {"defaults": {"model": {"fallbacks": ["other/m2"]}}},
        "auth": auth,
    })
}

#[tokio::test]
async fn an_unpaid_key_rests_from_one_life_to_the_next() {
    let second = ModelServer::start(Script::say("Hello from the second")).await;
    let stage = Stage::with(with_another(&second, json!({}))).await;
    stage.model.play([Script::status(402, "pay first")]);
    let told = stage.ask("before", json!({})).await;
    assert_eq!(told.texts(), ["Hello from the second"]);
    assert_eq!(stage.model.counts().asked, 1);
    kill(&stage.instance).await;
    let told = stage.ask("after", json!({})).await;
    assert_eq!(told.texts(), ["Hello from the second"]);
    assert_eq!(stage.model.counts().asked, 1, "its key still rests");
    // It is asked last, and not never.
    second.play([Script::status(400, "no")]);
    let told = stage.ask("last", json!({})).await;
    assert_eq!(told.texts(), ["Hello"]);
    assert_eq!(stage.model.counts().asked, 2);
    // What has worked does not rest, and the next life knows that too.
    kill(&stage.instance).await;
    let told = stage.ask("again", json!({})).await;
    assert_eq!(told.texts(), ["Hello"]);
}

#[tokio::test]
async fn how_long_an_unpaid_key_rests_is_configured() {
    let second = ModelServer::start(Script::say("Hello from the second")).await;
    // A millisecond.
    let hours = 1.0 / 3_600_000.0;
    let auth = json!({"cooldowns": {"billingBackoffHoursByProvider": {"stand-in": hours}}});
    let stage = Stage::with(with_another(&second, auth)).await;
    stage.model.play([Script::status(402, "pay first")]);
    let told = stage.ask("unpaid", json!({})).await;
    assert_eq!(told.texts(), ["Hello from the second"]);
    let told = stage.ask("paid", json!({})).await;
    assert_eq!(told.texts(), ["Hello"]);
}

/// A profile of an agent, as programs that sign in leave it.
fn signed_in(home: &Home, profiles: &Value) {
    let folder = home.state_dir().join("agents/main/agent");
    std::fs::create_dir_all(&folder).unwrap();
    let file = json!({"version": 1, "profiles": profiles});
    std::fs::write(folder.join("auth-profiles.json"), file.to_string()).unwrap();
}

#[tokio::test]
async fn a_key_comes_from_the_configuration_a_file_a_profile_or_a_variable_and_is_in_no_log() {
    const ROUTES: [&str; 4] = ["config", "file", "profile", "variable"];
    let key = |route: &str| format!("sk-CANARY-{route}-0123456789abcdef");
    let home = Home::new();
    std::fs::write(home.path().join("key"), key("file") + "\n").unwrap();
    let profile = json!({"type": "api_key", "provider": "by-profile", "key": key("profile")});
    signed_in(&home, &json!({"by-profile:me": profile}));
    let servers: Vec<ModelServer> =
        join_all(ROUTES.map(|_| ModelServer::start(Script::say("Hello")))).await;
    let mut providers = json!({});
    for (route, server) in ROUTES.iter().zip(&servers) {
        let mut provider = provider(server, "m");
        provider.as_object_mut().unwrap().remove("apiKey");
        match *route {
            "config" => provider["apiKey"] = json!(key(route)),
            "file" => provider["apiKeyFile"] = json!("~/key"),
            "variable" => provider["apiKey"] = json!("${CANARY_KEY}"),
            _ => {}
        }
        providers[format!("by-{route}")] = provider;
    }
    let variable = key("variable");
    let variables = [("CANARY_KEY", variable.as_str())];
    let stage = Stage::in_home(
        home,
        json!({"models": {"providers": providers}}),
        &variables,
    )
    .await;
    for (route, server) in ROUTES.iter().zip(&servers) {
        let model = json!({"key": format!("agent:main:{route}"), "model": format!("by-{route}/m")});
        let mut client = stage.instance.client().await;
        client.call("sessions.patch", model).await.unwrap();
        let told = stage.ask(route, json!({})).await;
        assert_eq!(told.texts(), ["Hello"], "{route}");
        let asked = server.asked().pop().unwrap();
        assert_eq!(
            asked.header("authorization"),
            format!("Bearer {}", key(route))
        );
    }
    let seen = [stage.instance.home().log().text(), stage.instance.console()];
    assert!(!seen.concat().contains("CANARY-"), "{seen:?}");
}

#[tokio::test]
async fn a_sign_in_that_has_expired_is_named_with_what_to_do() {
    let home = Home::new();
    let old = json!({
        "type": "oauth", "provider": "signed", "access": "sk-CANARY-access", "refresh": "sk-CANARY-refresh", "expires": 5,
    });
    signed_in(&home, &json!({"signed:me@example.com": old}));
    let second = ModelServer::start(Script::say("Hello from the second")).await;
    let mut signed = provider(&second, "m");
    signed.as_object_mut().unwrap().remove("apiKey");
    signed["auth"] = json!("oauth");
    let stage = Stage::in_home(
        home,
        json!({
            "models": {"providers": {"signed": signed}},
            "agents": {"defaults": {"model": {"primary": "signed/m"}}},
        }),
        &[],
    )
    .await;
    let told = stage.ask("alone", json!({})).await;
    assert_eq!(
        told.texts(),
        [
            "the sign-in \"signed:me@example.com\" for the provider \"signed\" has expired and cannot be renewed here; sign in again \
          where agents/main/agent/auth-profiles.json comes from and restart the gateway, or set models.providers.signed.apiKey"
        ]
    );
    assert_eq!(second.counts().asked, 0);
    let kept = stage.history("alone").await;
    let seen = [json!(kept).to_string(), stage.instance.home().log().text()];
    assert!(!seen.concat().contains("CANARY-"), "{seen:?}");
}
