//! Law 4 for runs of agents: a run that was accepted is done, or is said not to have been, whenever the gateway is killed or replaced.
//!
//! | killed while the run | then it |
//! |---|---|
//! | waits for its session | is done by the next life |
//! | is answered by the model | is closed with an error, which `agent.wait`, `chat.history` and an event tell |
//! | runs a tool | is closed with an error, and the tool's processes are gone |
//! | is over | is answered as before |
//!
//! The points in between are in `points.rs`.

use std::time::Duration;

use openclaw_shared::control::ChildName;
use openclaw_tests::client::{Client, connect_params};
use openclaw_tests::eventually::eventually;
use openclaw_tests::faults;
use openclaw_tests::home::Home;
use openclaw_tests::instance::Instance;
use openclaw_tests::model_server::{Answer, End, ModelServer, Script};
use openclaw_tests::process;
use serde_json::{Value, json};

mod points;

/// What the configuration says of agents that ask this model server.
fn config(model: &ModelServer) -> Value {
    json!({
        "models": {"providers": {"stand-in": {
            "baseUrl": model.base_url(),
            "apiKey": "k",
            "api": "openai-completions",
            "models": [{"id": "m1", "name": "M1"}],
        }}},
        "agents": {"defaults": {"model": {"primary": "stand-in/m1"}, "skipBootstrap": true}},
        "tools": {"exec": {"security": "full", "ask": "off"}},
        "messages": {"queue": {"mode": "followup"}},
        "supervisor": {"drainTimeoutMs": 60_000},
    })
}

/// An instance whose agents ask this model server.
async fn instance(model: &ModelServer) -> Instance {
    let home = Home::new();
    home.configure(&config(model));
    home.launch().ready().await
}

fn message(text: &str, key: &str) -> Value {
    json!({"sessionKey": "main", "message": text, "idempotencyKey": key})
}

async fn say(client: &mut Client, text: &str, key: &str) {
    let answer = client.call("chat.send", message(text, key)).await.unwrap();
    assert_eq!(answer["status"], "started", "{answer}");
}

/// Waits for a run, by whatever life of the gateway there is.
pub(crate) async fn ended(instance: &Instance, run: &str) -> Value {
    eventually(&format!("{run} ends"), async || {
        let target = instance.target();
        let params = connect_params(&target.token);
        let mut client = Client::try_connect(target.port, params).await?;
        let waited = client
            .call_unless_sent_away("agent.wait", json!({"runId": run, "timeoutMs": 10_000}))
            .await
            .map_err(|ended| format!("{ended:?}"))?;
        match waited["status"].as_str() {
            Some("ok" | "error") => Ok(waited),
            _ => Err(waited.to_string()),
        }
    })
    .await
}

async fn history(instance: &Instance) -> Vec<Value> {
    let mut client = instance.client().await;
    let history = client
        .call("chat.history", json!({"sessionKey": "main"}))
        .await
        .unwrap();
    history["messages"].as_array().unwrap().clone()
}

pub(crate) async fn kill(instance: &Instance) {
    let before = instance.child(ChildName::Gateway).await;
    faults::kill(instance.pid_of(ChildName::Gateway).await).await;
    instance.until_later_life(ChildName::Gateway, &before).await;
}

#[tokio::test]
async fn killed_while_a_model_answers() {
    let model = ModelServer::start(Script::say("Hello")).await;
    let instance = instance(&model).await;
    let mut client = instance.client().await;
    model.play([Script::Answer(Answer::tokens(3).ending(End::Stall))]);
    say(&mut client, "first", "c1").await;
    model
        .until("it was asked", |counts| counts.asked == 1)
        .await;
    // It waits for its session.
    say(&mut client, "second", "c2").await;
    kill(&instance).await;
    model
        .until("its socket was closed", |counts| counts.asked == 2)
        .await;
    let mut late = instance.client().await;
    let told = loop {
        let told = late.event("chat").await["payload"].clone();
        if told["runId"] == "c1" {
            break told;
        }
    };
    assert_eq!(told["state"], "error", "{told}");
    assert!(
        told["errorMessage"].as_str().unwrap().contains("under way"),
        "{told}"
    );
    let first = ended(&instance, "c1").await;
    assert_eq!(first["status"], "error", "{first}");
    assert!(
        first["error"].as_str().unwrap().contains("under way"),
        "{first}"
    );
    assert_eq!(ended(&instance, "c2").await["status"], "ok");
    let history = history(&instance).await;
    let ends: Vec<(&str, &str)> = history
        .iter()
        .map(|it| {
            (
                it["role"].as_str().unwrap(),
                it["stopReason"].as_str().unwrap_or("-"),
            )
        })
        .collect();
    assert_eq!(
        ends,
        [
            ("user", "-"),
            ("assistant", "error"),
            ("user", "-"),
            ("assistant", "stop")
        ]
    );
    assert!(history[1]["errorMessage"].is_string());
    assert_eq!(history[3]["content"][0]["text"], "Hello");
    // The same again is answered, and not done again.
    let mut client = instance.client().await;
    let again = client
        .call("chat.send", message("second", "c2"))
        .await
        .unwrap();
    assert_eq!(again["status"], "ok");
    assert_eq!(model.counts().asked, 2);
}

#[tokio::test]
async fn killed_while_a_tool_runs() {
    let model = ModelServer::start(Script::say("Hello")).await;
    let instance = instance(&model).await;
    let mark = instance.home().path().join("pid");
    let command = format!("echo $$ > {}; exec sleep 600", mark.display());
    model.play([Script::call("exec", json!({ "command": command }), "done")]);
    let mut client = instance.client().await;
    say(&mut client, "do it", "c1").await;
    let pid: i32 = eventually("the command runs", async || {
        let text = std::fs::read_to_string(&mark).map_err(|error| error.to_string())?;
        text.trim().parse().map_err(|_| format!("{text:?}"))
    })
    .await;
    kill(&instance).await;
    assert_eq!(ended(&instance, "c1").await["status"], "error");
    eventually("the command is gone", async || {
        match process::is_alive(pid) {
            false => Ok(()),
            true => Err("it runs"),
        }
    })
    .await;
}

#[tokio::test]
async fn killed_when_it_is_over() {
    let model = ModelServer::start(Script::say("Hello")).await;
    let instance = instance(&model).await;
    let params = json!({"message": "hi", "agentId": "main", "idempotencyKey": "a1"});
    let mut client = instance.client().await;
    let id = client.send("agent", params.clone()).await;
    assert_eq!(client.answer(&id).await["payload"]["status"], "accepted");
    let finished = client.answer(&id).await;
    assert_eq!(
        finished["payload"]["result"]["payloads"][0]["text"],
        "Hello"
    );
    kill(&instance).await;
    let mut client = instance.client().await;
    let id = client.send("agent", params).await;
    assert_eq!(client.answer(&id).await["payload"]["status"], "accepted");
    let again = client.answer(&id).await;
    assert_eq!(again["payload"], finished["payload"]);
    assert_eq!(model.counts().asked, 1);
}

#[tokio::test]
async fn a_replaced_gateway_ends_what_it_has_begun_and_its_clients_follow_on_the_successor() {
    let model = ModelServer::start(Script::say("Hello")).await;
    let instance = instance(&model).await;
    let mut client = instance.client().await;
    let words = Answer::tokens(20).every(Duration::from_millis(100));
    model.play([Script::Answer(words.held_after(5))]);
    say(&mut client, "first", "c1").await;
    say(&mut client, "second", "c2").await;
    client.event("chat").await;
    instance.restart(Some(ChildName::Gateway)).await.unwrap();
    let mut late = instance.client().await;
    model.go_on();
    let mut states = Vec::new();
    let last = loop {
        let told = late.event("chat").await["payload"].clone();
        if told["runId"] == "c1" {
            states.push(told["state"].as_str().unwrap().to_owned());
            if told["state"] != "delta" {
                break told;
            }
        }
    };
    assert_eq!(last["state"], "final", "{last}");
    assert!(
        states.len() > 1,
        "the successor's clients see it grow: {states:?}"
    );
    let text = last["message"]["content"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("w0 ") && text.contains("w19"), "{text}");
    assert_eq!(ended(&instance, "c2").await["status"], "ok");
    let texts: Vec<String> = history(&instance)
        .await
        .iter()
        .map(|it| it["role"].to_string())
        .collect();
    assert_eq!(
        texts,
        [r#""user""#, r#""assistant""#, r#""user""#, r#""assistant""#]
    );
    // One after the other, though two processes did them.
    assert_eq!(model.counts().asked, 2);
}

#[tokio::test]
async fn what_a_replaced_gateway_does_not_end_in_time_is_closed_by_its_successor() {
    let model = ModelServer::start(Script::say("Hello")).await;
    let home = Home::new();
    home.configure(&json!({
        "models": {"providers": {"stand-in": {
            "baseUrl": model.base_url(), "apiKey": "k", "api": "openai-completions",
            "models": [{"id": "m1", "name": "M1"}],
        }}},
        "agents": {"defaults": {"model": {"primary": "stand-in/m1"}}},
        "supervisor": {"drainTimeoutMs": 4000},
    }));
    let instance = home.launch().ready().await;
    let mut client = instance.client().await;
    model.play([Script::Answer(Answer::tokens(3).ending(End::Stall))]);
    say(&mut client, "first", "c1").await;
    model
        .until("it was asked", |counts| counts.asked == 1)
        .await;
    instance.restart(Some(ChildName::Gateway)).await.unwrap();
    let first = ended(&instance, "c1").await;
    assert_eq!(first["status"], "error", "{first}");
}

#[tokio::test]
async fn stopping_a_run_closes_the_providers_socket() {
    let model = ModelServer::start(Script::say("Hello")).await;
    let instance = instance(&model).await;
    let mut client = instance.client().await;
    model.play([Script::Answer(Answer::tokens(3).ending(End::Stall))]);
    say(&mut client, "first", "c1").await;
    loop {
        let told = client.event("chat").await;
        if told["payload"]["state"] == "delta" {
            break;
        }
    }
    let aborted = client
        .call("chat.abort", json!({"sessionKey": "main"}))
        .await
        .unwrap();
    assert_eq!(
        aborted,
        json!({"ok": true, "aborted": true, "runIds": ["c1"]})
    );
    model
        .until("the socket is closed", |counts| counts.open == 0)
        .await;
    assert_eq!(ended(&instance, "c1").await["status"], "ok");
    let kept = history(&instance).await;
    assert_eq!(kept[1]["stopReason"], "aborted");
}
