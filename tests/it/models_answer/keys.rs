//! A key that nothing is paid for any longer is asked after the others, also by the next life of the gateway.

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
