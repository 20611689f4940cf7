//! Runs that programs start over HTTP, when the gateway ends or the program leaves.
//!
//! | what happens | then |
//! |---|---|
//! | the gateway is killed after it has taken a hook | the hook's run is done once, or closed with an error |
//! | a hook is posted again, to whatever life | it is the same run |
//! | the gateway is replaced while it streams an answer | the stream goes on to its end |
//! | the answer takes longer than a replaced gateway may stay | the stream ends with an error that says so |
//! | the gateway is killed while it streams | the stream breaks, and does not look whole |
//! | the program leaves | the connection to the provider is closed |

use openclaw_shared::control::ChildName;
use openclaw_tests::eventually::eventually;
use openclaw_tests::home::{Home, TOKEN};
use openclaw_tests::http;
use openclaw_tests::instance::Instance;
use openclaw_tests::model_server::{Answer, End, ModelServer, Script};
use openclaw_tests::raw::Raw;
use serde_json::{Value, json};

use crate::runs_survive::{ended, kill};

/// What hooks must carry.
const SECRET: &str = "hook-secret-19c2";
const COMPLETIONS: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";

/// An instance whose agents ask this model server, with everything for programs switched on.
async fn instance(model: &ModelServer, drain_ms: u64) -> Instance {
    let home = Home::new();
    home.configure(&json!({
        "models": {"providers": {"stand-in": {
            "baseUrl": model.base_url(), "apiKey": "k", "api": "openai-completions",
            "models": [{"id": "m1", "name": "M1"}],
        }}},
        "agents": {"defaults": {"model": {"primary": "stand-in/m1"}, "skipBootstrap": true}},
        "messages": {"queue": {"mode": "followup"}},
        "hooks": {"enabled": true, "token": SECRET},
        "gateway": {"http": {"endpoints": {"chatCompletions": {"enabled": true}, "responses": {"enabled": true}}}},
        "supervisor": {"drainTimeoutMs": drain_ms},
    }));
    home.launch().ready().await
}

/// Delivers a hook, to whatever life of the gateway there is, and returns its run.
async fn deliver(instance: &Instance, delivery: &str, text: &str) -> String {
    let asked = json!({
        "message": text, "name": "Mail", "sessionKey": "hook:mail", "wakeMode": "next-heartbeat", "deliver": false,
    });
    let port = instance.home().port();
    let headers = [("Idempotency-Key", delivery)];
    let request = http::post(port, "/hooks/agent", SECRET, &headers, &asked);
    eventually(&format!("{delivery} is taken"), async || {
        let answer = http::exchange(port, request.as_bytes()).await;
        let answer = answer.map_err(|got| format!("{got:?}"))?;
        let said: Value =
            serde_json::from_slice(&answer.body).map_err(|_| format!("{answer:?}"))?;
        match (answer.status, said["runId"].as_str()) {
            (202, Some(run)) => Ok(run.to_owned()),
            _ => Err(format!("{answer:?}")),
        }
    })
    .await
}

/// Begins an answer that is streamed, and reads up to this.
async fn begin(instance: &Instance, path: &str, up_to: &str) -> Raw {
    let port = instance.home().port();
    let mut question = json!({"model": "openclaw", "stream": true});
    match path {
        COMPLETIONS => question["messages"] = json!([{"role": "user", "content": "hi"}]),
        _ => question["input"] = json!("hi"),
    }
    let mut raw = Raw::connect(port).await;
    let request = http::post(port, path, TOKEN, &[], &question);
    raw.write(request.as_bytes()).await.unwrap();
    raw.read_until(up_to.as_bytes()).await;
    raw
}

/// The rest of a stream.
async fn rest(mut raw: Raw) -> String {
    String::from_utf8(raw.to_end().await).unwrap()
}

#[tokio::test]
async fn a_hook_that_was_taken_survives_a_kill_and_is_done_once_however_often_it_is_posted() {
    let model = ModelServer::start(Script::say("Hello")).await;
    let instance = instance(&model, 60_000).await;
    model.play([Script::Answer(Answer::tokens(3).ending(End::Stall))]);
    let first = deliver(&instance, "d1", "first").await;
    model
        .until("it was asked", |counts| counts.asked == 1)
        .await;
    // It waits for its session.
    let second = deliver(&instance, "d2", "second").await;
    assert_eq!(deliver(&instance, "d2", "second").await, second);
    kill(&instance).await;
    // Posted by a sender that has lost its connection, while the next life begins.
    assert_eq!(deliver(&instance, "d1", "first").await, first);
    assert_eq!(deliver(&instance, "d2", "second").await, second);
    let broken = ended(&instance, &first).await;
    assert_eq!(broken["status"], "error", "{broken}");
    assert_eq!(ended(&instance, &second).await["status"], "ok");
    assert_eq!(deliver(&instance, "d1", "first").await, first);
    assert_eq!(deliver(&instance, "d2", "second").await, second);
    // Whatever was to be done again would stand before this in the session.
    let third = deliver(&instance, "d3", "third").await;
    assert_eq!(ended(&instance, &third).await["status"], "ok");
    assert_eq!(model.counts().asked, 3);
}

#[tokio::test]
async fn a_hook_is_not_lost_when_the_gateway_is_killed_right_behind_its_answer() {
    let model = ModelServer::start(Script::say("Hello")).await;
    let instance = instance(&model, 60_000).await;
    for round in 0..3_u32 {
        let (delivery, before) = (format!("d{round}"), model.counts().asked);
        let run = deliver(&instance, &delivery, "hi").await;
        kill(&instance).await;
        let outcome = ended(&instance, &run).await;
        assert_eq!(deliver(&instance, &delivery, "hi").await, run);
        assert_eq!(ended(&instance, &run).await["status"], outcome["status"]);
        let asked = model.counts().asked - before;
        match outcome["status"].as_str() {
            Some("ok") => assert_eq!(asked, 1, "{outcome}"),
            // It had left the house when the gateway was killed, or was about to.
            _ => assert!(asked <= 1, "{asked} {outcome}"),
        }
    }
}

#[tokio::test]
async fn a_stream_goes_on_while_its_gateway_is_replaced() {
    let model = ModelServer::start(Script::say("Hello")).await;
    let instance = instance(&model, 60_000).await;
    for path in [COMPLETIONS, RESPONSES] {
        model.play([Script::Answer(Answer::tokens(20).held_after(5))]);
        let raw = begin(&instance, path, "w3").await;
        instance.restart(Some(ChildName::Gateway)).await.unwrap();
        // Only the first answer that goes on is held.
        model.go_on();
        let rest = rest(raw).await;
        assert!(rest.contains("w19"), "{rest}");
        assert!(!rest.contains("error"), "{rest}");
        assert!(rest.contains("data: [DONE]\n\n"), "{rest}");
        assert!(rest.ends_with("\r\n0\r\n\r\n"), "{rest}");
    }
}

#[tokio::test]
async fn a_stream_that_a_replaced_gateway_cannot_finish_ends_with_an_error() {
    let model = ModelServer::start(Script::say("Hello")).await;
    let instance = instance(&model, 3_000).await;
    for (path, event) in [
        (COMPLETIONS, "{\"error\":{"),
        (RESPONSES, "response.failed"),
    ] {
        model.play([Script::Answer(Answer::tokens(5).ending(End::Stall))]);
        let raw = begin(&instance, path, "w3").await;
        instance.restart(Some(ChildName::Gateway)).await.unwrap();
        let rest = rest(raw).await;
        assert!(rest.contains(event), "{path}: {rest:?}");
        assert!(rest.contains("data: [DONE]\n\n"), "{path}: {rest:?}");
        assert!(rest.ends_with("\r\n0\r\n\r\n"), "{path}: {rest:?}");
    }
}

#[tokio::test]
async fn a_stream_of_a_killed_gateway_does_not_look_whole() {
    let model = ModelServer::start(Script::say("Hello")).await;
    let instance = instance(&model, 60_000).await;
    model.play([Script::Answer(Answer::tokens(5).ending(End::Stall))]);
    let raw = begin(&instance, COMPLETIONS, "w3").await;
    kill(&instance).await;
    let rest = rest(raw).await;
    assert!(
        !rest.contains("[DONE]") && !rest.contains("\r\n0\r\n"),
        "{rest:?}"
    );
    model
        .until("the provider's socket is closed", |counts| counts.open == 0)
        .await;
}

#[tokio::test]
async fn a_program_that_leaves_closes_the_connection_to_the_provider() {
    let model = ModelServer::start(Script::say("Hello")).await;
    let instance = instance(&model, 60_000).await;
    for path in [COMPLETIONS, RESPONSES] {
        model.play([Script::Answer(Answer::tokens(5).ending(End::Stall))]);
        let raw = begin(&instance, path, "w3").await;
        assert_eq!(model.counts().open, 1);
        drop(raw);
        model
            .until("its socket is closed", |counts| counts.open == 0)
            .await;
    }
}
