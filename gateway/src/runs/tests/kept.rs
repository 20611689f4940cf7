//! What is told of a run and what is kept of it agree, also while the store refuses to write.

use std::time::Duration;

use openclaw_shared::control::StopReason;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{is_chat, say, until, until_after};
use crate::store::StoreError;
use crate::testing::{Client, DEADLINE, Gateway};

/// Does something to the file of the store.
pub(super) async fn execute(gateway: &Gateway, sql: &'static str) {
    let done = gateway
        .context
        .store
        .write(move |tx| Ok::<_, StoreError>(tx.execute_batch(sql)?));
    done.await.unwrap();
}

/// Asks how a run ended, and returns the status with everything that came before the answer.
async fn waited(client: &mut Client, run: &str, patience_ms: u64) -> (String, Vec<Value>) {
    let params = json!({"runId": run, "timeoutMs": patience_ms});
    super::ask(client, "W", "agent.wait", params).await;
    let seen = until(client, |it| it["type"] == "res" && it["id"] == "W").await;
    let status = &seen.last().unwrap()["payload"]["status"];
    (status.as_str().unwrap_or_default().to_owned(), seen)
}

fn ends(seen: &[Value], run: &str) -> Vec<String> {
    let states = ["final", "error", "aborted"];
    let ends = states
        .into_iter()
        .filter(|state| seen.iter().any(|it| is_chat(it, run, state)));
    ends.map(str::to_owned).collect()
}

const NOTHING: &str = "CREATE TRIGGER refuses BEFORE UPDATE ON runs BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";
const NO_BEGINNING: &str = "CREATE TRIGGER refuses BEFORE UPDATE ON runs WHEN NEW.state = 'running' BEGIN SELECT RAISE(ABORT, 'no'); END";
const NO_END: &str = "CREATE TRIGGER refuses BEFORE UPDATE ON runs WHEN NEW.state = 'done' BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";
const AGAIN: &str = "DROP TRIGGER refuses";

#[tokio::test(flavor = "local")]
async fn a_run_that_cannot_begin_waits_says_so_and_is_done_later() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    execute(&gateway, NOTHING).await;
    let is_waiting = |it: &Value| it["payload"]["data"]["phase"] == "waiting";
    let seen = say(&mut client, "hello", "c1").await;
    let seen = until_after(seen, &mut client, is_waiting).await;
    let told = &seen.iter().find(|it| is_waiting(it)).unwrap()["payload"];
    assert_eq!(told["runId"], "c1");
    assert!(
        told["data"]["reason"].as_str().unwrap().contains("full"),
        "{told}"
    );
    let (status, before) = waited(&mut client, "c1", 0).await;
    assert_eq!((status.as_str(), ends(&before, "c1").len()), ("timeout", 0));
    execute(&gateway, AGAIN).await;
    let after = until(&mut client, |it| {
        is_chat(it, "c1", "final") || is_chat(it, "c1", "error")
    })
    .await;
    assert_eq!(ends(&after, "c1"), ["final"]);
    assert_eq!(waited(&mut client, "c1", 0).await.0, "ok");
}

#[tokio::test(flavor = "local")]
async fn a_run_that_never_can_begin_is_closed_and_then_told_as_failed() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    execute(&gateway, NO_BEGINNING).await;
    let seen = say(&mut client, "hello", "c1").await;
    until_after(seen, &mut client, |it| is_chat(it, "c1", "error")).await;
    let store = &gateway.context.store;
    let sql = "SELECT state FROM runs WHERE id = 'c1'";
    let state = store.read(|reader| reader.query_row(sql, [], |row| row.get::<_, String>(0)));
    assert_eq!(state.as_deref(), Ok("done"));
    assert_eq!(waited(&mut client, "c1", 0).await.0, "error");
    // The session is free for others.
    execute(&gateway, AGAIN).await;
    let seen = say(&mut client, "again", "c2").await;
    until_after(seen, &mut client, |it| is_chat(it, "c2", "final")).await;
}

#[tokio::test(flavor = "local")]
async fn nobody_is_told_of_an_end_that_is_not_kept() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    execute(&gateway, NO_END).await;
    let seen = say(&mut client, "hello", "c1").await;
    let seen = until_after(seen, &mut client, |it| is_chat(it, "c1", "delta")).await;
    assert_eq!(ends(&seen, "c1"), [""; 0]);
    let (status, seen) = waited(&mut client, "c1", 300).await;
    assert_eq!((status.as_str(), ends(&seen, "c1").len()), ("timeout", 0));
    execute(&gateway, AGAIN).await;
    until(&mut client, |it| is_chat(it, "c1", "final")).await;
    assert_eq!(waited(&mut client, "c1", 0).await.0, "ok");
}

#[tokio::test(flavor = "local")]
async fn a_run_that_waits_is_not_told_as_stopped_before_that_is_kept() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let long = "/slow 400\none two three four five six seven eight";
    let seen = say(&mut client, long, "c1").await;
    until_after(seen, &mut client, |it| is_chat(it, "c1", "delta")).await;
    say(&mut client, "and more", "c2").await;
    execute(&gateway, NO_END).await;
    let params = json!({"sessionKey": "main", "runId": "c2"});
    super::ask(&mut client, "A", "chat.abort", params).await;
    let seen = until(&mut client, |it| it["id"] == "A").await;
    let answer = seen.last().unwrap();
    assert_eq!(answer["error"]["code"], "UNAVAILABLE", "{answer}");
    assert_eq!(ends(&seen, "c2"), [""; 0]);
    execute(&gateway, AGAIN).await;
    let seen = until(&mut client, |it| is_chat(it, "c2", "aborted")).await;
    assert_eq!(ends(&seen, "c1"), ["final"]);
    let history = client
        .call("chat.history", json!({"sessionKey": "main"}))
        .await;
    assert!(!history.to_string().contains("and more"), "{history}");
}

#[tokio::test(flavor = "local")]
async fn what_was_acknowledged_is_read_again_until_it_can_be() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let seen = say(&mut client, "/slow 500\none two three four", "c1").await;
    until_after(seen, &mut client, |it| is_chat(it, "c1", "delta")).await;
    say(&mut client, "and more", "c2").await;
    execute(
        &gateway,
        "CREATE TABLE aside AS SELECT request FROM runs WHERE id = 'c2';
         UPDATE runs SET request = '{' WHERE id = 'c2'",
    )
    .await;
    until(&mut client, |it| is_chat(it, "c1", "final")).await;
    let (status, seen) = waited(&mut client, "c2", 300).await;
    assert_eq!((status.as_str(), ends(&seen, "c2").len()), ("timeout", 0));
    execute(
        &gateway,
        "UPDATE runs SET request = (SELECT request FROM aside) WHERE id = 'c2'",
    )
    .await;
    until(&mut client, |it| is_chat(it, "c2", "final")).await;
}

#[tokio::test(flavor = "local")]
async fn a_store_that_does_not_answer_keeps_no_life_from_leaving() {
    let mut gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    say(&mut client, "/slow 10000\none two", "c1").await;
    let release = gateway.hold_writes();
    let leaving = gateway.drain_for(StopReason::Replaced, Duration::from_secs(2));
    timeout(DEADLINE, leaving)
        .await
        .expect("it leaves within its budget");
    drop(release);
}
