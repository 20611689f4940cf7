//! Messages that wait: for quiet, and when there are too many of them.

use std::time::Duration;

use openclaw_shared::clock::Moment;
use serde_json::{Value, json};

use super::{is_chat, say, until, until_after};
use crate::runs::lanes::Manner;
use crate::runs::{RunKind, journal};
use crate::settings::queue::QueueMode;
use crate::testing::{Client, Gateway};

async fn gateway(queue: Value) -> Gateway {
    Gateway::start_with(&json!({"messages": {"queue": queue}})).await
}

/// Says something that keeps the session busy until it is stopped, and waits until it is under way.
async fn busy(client: &mut Client) {
    let seen = say(client, "/slow 600000\none two three", "c1").await;
    let begins = |it: &Value| {
        it["event"] == "agent"
            && it["payload"]["runId"] == "c1"
            && it["payload"]["data"]["phase"] == "start"
    };
    until_after(seen, client, begins).await;
}

/// Stops a run. Everything that came until that was told and answered.
async fn stop(client: &mut Client, run: &str) -> Vec<Value> {
    let params = json!({"sessionKey": "main", "runId": run});
    super::ask(client, "A", "chat.abort", params).await;
    let seen = until(client, |it| is_chat(it, run, "aborted")).await;
    until_after(seen, client, |it| it["id"] == "A").await
}

async fn status(client: &mut Client, run: &str) -> Value {
    let waited = client.call("agent.wait", json!({"runId": run, "timeoutMs": 200}));
    waited.await["payload"]["status"].clone()
}

async fn history(client: &mut Client) -> String {
    let history = client.call("chat.history", json!({"sessionKey": "main"}));
    history.await.to_string()
}

#[tokio::test(flavor = "local")]
async fn what_waited_is_answered_when_it_is_quiet_and_what_did_not_wait_at_once() {
    let gateway = gateway(json!({"debounceMs": 3_600_000})).await;
    let (mut client, _) = gateway.client().await;
    busy(&mut client).await;
    say(&mut client, "and more", "c2").await;
    stop(&mut client, "c1").await;
    assert_eq!(status(&mut client, "c2").await, "timeout");
    // It can be stopped while it waits.
    stop(&mut client, "c2").await;
    assert_eq!(status(&mut client, "c2").await, "ok");
    let seen = say(&mut client, "hello", "c3").await;
    until_after(seen, &mut client, |it| is_chat(it, "c3", "final")).await;
    assert!(!history(&mut client).await.contains("and more"));
}

#[tokio::test(flavor = "local")]
async fn what_waits_for_quiet_is_the_next_lifes_when_this_one_leaves() {
    let gateway = gateway(json!({"debounceMs": 3_600_000})).await;
    let (mut client, _) = gateway.client().await;
    busy(&mut client).await;
    say(&mut client, "and more", "c2").await;
    stop(&mut client, "c1").await;
    super::super::close(&gateway.context);
    super::super::release(&gateway.context).await;
    let sql = "SELECT state || ' ' || (life IS NULL) FROM runs WHERE id = 'c2'";
    let store = &gateway.context.store;
    let state = store.read(|reader| reader.query_row(sql, [], |row| row.get::<_, String>(0)));
    assert_eq!(state.as_deref(), Ok("accepted 1"));
}

#[tokio::test(flavor = "local")]
async fn the_oldest_message_makes_room_and_the_next_turn_is_told_of_it_in_a_line() {
    let queue = json!({"cap": 1, "drop": "summarize", "debounceMs": 0});
    let gateway = gateway(queue).await;
    let (mut client, _) = gateway.client().await;
    busy(&mut client).await;
    say(&mut client, "buy\n   apples", "c2").await;
    let seen = say(&mut client, "buy pears", "c3").await;
    until_after(seen, &mut client, |it| is_chat(it, "c2", "aborted")).await;
    assert_eq!(status(&mut client, "c2").await, "ok");
    let seen = say(&mut client, "buy plums", "c4").await;
    let seen = until_after(seen, &mut client, |it| is_chat(it, "c3", "aborted")).await;
    assert!(!seen.iter().any(|it| is_chat(it, "c4", "final")));
    let seen = stop(&mut client, "c1").await;
    until_after(seen, &mut client, |it| is_chat(it, "c4", "final")).await;
    let history = history(&mut client).await;
    assert!(
        history.contains(r"- buy apples\n- buy pears\n\nbuy plums"),
        "{history}"
    );
}

#[tokio::test(flavor = "local")]
async fn the_oldest_message_makes_room_and_nobody_is_told_but_who_wrote_it() {
    let queue = json!({"cap": 1, "drop": "old", "debounceMs": 0});
    let gateway = gateway(queue).await;
    let (mut client, _) = gateway.client().await;
    busy(&mut client).await;
    say(&mut client, "buy apples", "c2").await;
    let seen = say(&mut client, "buy pears", "c3").await;
    let seen = until_after(seen, &mut client, |it| is_chat(it, "c2", "aborted")).await;
    let told = seen.iter().find(|it| is_chat(it, "c2", "aborted")).unwrap();
    assert_eq!(told["payload"]["stopReason"], "queue full", "{told}");
    let seen = stop(&mut client, "c1").await;
    until_after(seen, &mut client, |it| is_chat(it, "c3", "final")).await;
    let history = history(&mut client).await;
    assert!(!history.contains("apples"), "{history}");
}

#[tokio::test(flavor = "local")]
async fn the_message_that_comes_is_refused_when_it_is_to_go() {
    let queue = json!({"cap": 1, "drop": "new", "debounceMs": 0});
    let gateway = gateway(queue).await;
    let (mut client, _) = gateway.client().await;
    busy(&mut client).await;
    say(&mut client, "buy apples", "c2").await;
    let params = json!({"sessionKey": "main", "message": "buy pears", "idempotencyKey": "c3"});
    super::ask(&mut client, "R", "chat.send", params).await;
    let seen = until(&mut client, |it| it["id"] == "R").await;
    let answer = seen.last().unwrap();
    assert_eq!(answer["error"]["code"], "UNAVAILABLE", "{answer}");
    let seen = stop(&mut client, "c1").await;
    until_after(seen, &mut client, |it| is_chat(it, "c2", "final")).await;
    let history = history(&mut client).await;
    assert!(
        history.contains("apples") && !history.contains("pears"),
        "{history}"
    );
}

#[tokio::test(flavor = "local")]
async fn a_message_that_cannot_be_taken_in_pushes_nobody_out() {
    let queue = json!({"cap": 1, "debounceMs": 0});
    let gateway = gateway(queue).await;
    let (mut client, _) = gateway.client().await;
    busy(&mut client).await;
    say(&mut client, "buy apples", "c2").await;
    let refuses = "CREATE TRIGGER refuses BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";
    super::kept::execute(&gateway, refuses).await;
    let params = json!({"sessionKey": "main", "message": "buy pears", "idempotencyKey": "c3"});
    super::ask(&mut client, "R", "chat.send", params).await;
    let seen = until(&mut client, |it| it["id"] == "R").await;
    assert_eq!(seen.last().unwrap()["ok"], false);
    let remove = "DROP TRIGGER refuses";
    super::kept::execute(&gateway, remove).await;
    let seen = stop(&mut client, "c1").await;
    let seen = until_after(seen, &mut client, |it| is_chat(it, "c2", "final")).await;
    assert!(!seen.iter().any(|it| is_chat(it, "c2", "aborted")));
    assert!(history(&mut client).await.contains("apples"));
}

#[tokio::test(flavor = "local")]
async fn what_was_given_up_in_the_last_moment_keeps_nobody_waiting() {
    let gateway = Gateway::start_with(&json!({"agents": {"defaults": {"maxConcurrent": 1}}})).await;
    let (mut client, _) = gateway.client().await;
    {
        // It is looked for first, and nobody knows it any more.
        let manner = Manner {
            mode: QueueMode::Followup,
            quiet: Duration::ZERO,
        };
        let gone = journal::waiting("gone".to_owned(), 0, RunKind::Agent, manner);
        let mut state = gateway.context.runs.state();
        state
            .lanes
            .enter("agent:main:elsewhere", gone, Moment::now());
    }
    // This rings once, and nobody rings again.
    say(&mut client, "hello", "c1").await;
    let waited = client.call("agent.wait", json!({"runId": "c1"})).await;
    assert_eq!(waited["payload"]["status"], "ok", "{waited}");
    assert!(!gateway.context.runs.is_busy("agent:main:elsewhere"));
}

#[tokio::test(flavor = "local")]
async fn a_word_about_the_queue_before_a_message_holds_for_it_alone() {
    let gateway = gateway(json!({"mode": "collect", "debounceMs": 3_600_000})).await;
    let (mut client, _) = gateway.client().await;
    busy(&mut client).await;
    say(&mut client, "wait for me", "c2").await;
    let seen = say(&mut client, "/queue interrupt now", "c3").await;
    let seen = until_after(seen, &mut client, |it| is_chat(it, "c1", "aborted")).await;
    // What interrupts takes the place of whatever was asked before it.
    assert!(
        seen.iter().any(|it| is_chat(it, "c2", "aborted")),
        "{seen:?}"
    );
    let ended = |it: &Value| is_chat(it, "c3", "final");
    if !seen.iter().any(ended) {
        until(&mut client, ended).await;
    }
    let history = history(&mut client).await;
    assert!(
        !history.contains("/queue") && history.contains("now"),
        "{history}"
    );
}
