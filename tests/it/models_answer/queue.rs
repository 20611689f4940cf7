//! What becomes of messages that come while their session is busy, by `messages.queue.mode`.

use serde_json::{Value, json};

use openclaw_tests::client::Client;
use openclaw_tests::model_server::{Answer, End, Script};

use super::{Stage, text};
use crate::runs_survive;

async fn stage(mode: &str) -> Stage {
    Stage::with(json!({"messages": {"queue": {"mode": mode}}})).await
}

async fn say(client: &mut Client, message: &str, run: &str) {
    let params = json!({"sessionKey": "main", "message": message, "idempotencyKey": run});
    let answer = client.call("chat.send", params).await.unwrap();
    assert_eq!(answer["status"], "started", "{answer}");
}

/// How these runs ended in the chat, in the order of their ends.
async fn ends(client: &mut Client, count: usize) -> Vec<(String, String, String)> {
    let mut ends = Vec::new();
    while ends.len() < count {
        let told = client.event("chat").await["payload"].clone();
        let word = |key: &str| told[key].as_str().unwrap().to_owned();
        if told["state"] != "delta" {
            let text = text(&told["message"]).to_owned();
            ends.push((word("runId"), word("state"), text));
        }
    }
    ends
}

/// Says something while a command runs that the first message has asked for, and then lets the command end.
async fn say_meanwhile(stage: &Stage, client: &mut Client, messages: &[(&str, &str)]) {
    let gate = stage.instance.home().path().join("gate");
    let command = format!("until [ -e {} ]; do sleep 0.05; done", gate.display());
    let call = Script::call("exec", json!({ "command": command }), "");
    stage.model.play([call, Script::say("done")]);
    say(client, "first", "c1").await;
    stage
        .model
        .until("it was asked", |counts| counts.asked == 1)
        .await;
    for (message, run) in messages {
        say(client, message, run).await;
    }
    std::fs::write(gate, "").unwrap();
}

/// The words of people in a request, without what stands around them.
fn said(body: &Value) -> Vec<String> {
    let messages = body["messages"].as_array().unwrap();
    let users = messages.iter().filter(|it| it["role"] == "user");
    let texts = users.map(|it| match it["content"].as_str() {
        Some(text) => text.to_owned(),
        None => text(it).to_owned(),
    });
    texts
        .map(|text| text.lines().next().unwrap_or_default().to_owned())
        .collect()
}

fn ended(run: &str, state: &str, text: &str) -> (String, String, String) {
    (run.to_owned(), state.to_owned(), text.to_owned())
}

#[tokio::test]
async fn messages_that_wait_are_answered_together() {
    let stage = stage("collect").await;
    let mut client = stage.instance.client().await;
    say_meanwhile(&stage, &mut client, &[("second", "c2"), ("third", "c3")]).await;
    let mut ends = ends(&mut client, 3).await;
    assert_eq!(ends.remove(0), ended("c1", "final", "done"));
    ends.sort();
    assert_eq!(
        ends,
        [ended("c2", "final", ""), ended("c3", "final", "Hello")]
    );
    let asked = stage.model.asked();
    assert_eq!(asked.len(), 3);
    assert_eq!(said(&asked[1].body), ["first"]);
    let words = said(&asked[2].body).join(" ");
    assert!(
        words.contains("second") && words.contains("third"),
        "{words}"
    );
}

#[tokio::test]
async fn messages_that_follow_up_are_answered_one_by_one() {
    let stage = stage("followup").await;
    let mut client = stage.instance.client().await;
    say_meanwhile(&stage, &mut client, &[("second", "c2"), ("third", "c3")]).await;
    let ends = ends(&mut client, 3).await;
    assert_eq!(
        ends,
        [
            ended("c1", "final", "done"),
            ended("c2", "final", "Hello"),
            ended("c3", "final", "Hello")
        ]
    );
    let asked = stage.model.asked();
    assert_eq!(asked.len(), 4);
    assert_eq!(said(&asked[2].body), ["first", "second"]);
    assert_eq!(said(&asked[3].body), ["first", "second", "third"]);
}

#[tokio::test]
async fn a_message_that_steers_is_heard_after_the_call_of_a_tool() {
    let stage = stage("steer").await;
    let mut client = stage.instance.client().await;
    say_meanwhile(&stage, &mut client, &[("turn left", "c2")]).await;
    let mut ends = ends(&mut client, 2).await;
    ends.sort();
    assert_eq!(
        ends,
        [ended("c1", "final", "done"), ended("c2", "final", "")]
    );
    let asked = stage.model.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(said(&asked[1].body), ["first", "turn left"]);
    let messages = asked[1].body["messages"].as_array().unwrap();
    assert_eq!(messages[messages.len() - 2]["role"], "tool");
}

#[tokio::test]
async fn a_word_about_the_queue_before_a_message_holds_for_that_message_alone() {
    let stage = stage("followup").await;
    let mut client = stage.instance.client().await;
    let messages = [("/queue steer turn left", "c2"), ("then stop", "c3")];
    say_meanwhile(&stage, &mut client, &messages).await;
    let mut ends = ends(&mut client, 3).await;
    assert_eq!(ends.remove(2), ended("c3", "final", "Hello"));
    ends.sort();
    assert_eq!(
        ends,
        [ended("c1", "final", "done"), ended("c2", "final", "")]
    );
    let asked = stage.model.asked();
    assert_eq!(asked.len(), 3);
    assert_eq!(said(&asked[1].body), ["first", "turn left"]);
    assert_eq!(said(&asked[2].body), ["first", "turn left", "then stop"]);
    let listed = client.call("sessions.list", json!({})).await.unwrap();
    assert!(!listed.to_string().contains("queueMode"), "{listed}");
}

#[tokio::test]
async fn a_message_that_interrupts_stops_what_is_under_way() {
    let stage = stage("interrupt").await;
    let mut client = stage.instance.client().await;
    let stalls = Answer::tokens(3).ending(End::Stall);
    stage.model.play([Script::Answer(stalls)]);
    say(&mut client, "first", "c1").await;
    let told = client.event("chat").await;
    assert_eq!(told["payload"]["state"], "delta", "{told}");
    say(&mut client, "second", "c2").await;
    let ends = ends(&mut client, 2).await;
    assert_eq!(
        ends,
        [ended("c1", "aborted", ""), ended("c2", "final", "Hello")]
    );
    let asked = stage.model.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(said(&asked[1].body), ["first", "second"]);
}

#[tokio::test]
async fn a_message_that_steers_with_a_backlog_is_heard_and_answered_by_itself_as_well() {
    let stage = stage("steer+backlog").await;
    let mut client = stage.instance.client().await;
    say_meanwhile(&stage, &mut client, &[("turn left", "c2")]).await;
    let ends = ends(&mut client, 2).await;
    assert_eq!(
        ends,
        [ended("c1", "final", "done"), ended("c2", "final", "Hello")]
    );
    let asked = stage.model.asked();
    assert_eq!(asked.len(), 3);
    assert_eq!(said(&asked[1].body), ["first", "turn left"]);
    assert_eq!(said(&asked[2].body), ["first", "turn left", "turn left"]);
}

#[tokio::test]
async fn a_message_that_waits_for_quiet_is_answered_by_the_next_life() {
    let queue = json!({"mode": "collect", "debounceMs": 3_600_000});
    let stage = Stage::with(json!({"messages": {"queue": queue}})).await;
    let mut client = stage.instance.client().await;
    say_meanwhile(&stage, &mut client, &[("second", "c2")]).await;
    assert_eq!(ends(&mut client, 1).await, [ended("c1", "final", "done")]);
    assert_eq!(stage.model.asked().len(), 2);
    runs_survive::kill(&stage.instance).await;
    let second = runs_survive::ended(&stage.instance, "c2").await;
    assert_eq!(second["status"], "ok", "{second}");
    let asked = stage.model.asked();
    assert_eq!(said(&asked.last().unwrap().body), ["first", "second"]);
}

#[tokio::test]
async fn messages_that_make_room_are_told_and_stand_in_the_next_turn_in_a_line() {
    let queue = json!({"cap": 1, "drop": "summarize", "debounceMs": 0});
    let stage = Stage::with(json!({"messages": {"queue": queue}})).await;
    let mut client = stage.instance.client().await;
    let waiting = [
        ("buy apples", "c2"),
        ("buy pears", "c3"),
        ("buy plums", "c4"),
    ];
    say_meanwhile(&stage, &mut client, &waiting).await;
    let mut ends = ends(&mut client, 4).await;
    ends.sort();
    assert_eq!(
        ends,
        [
            ended("c1", "final", "done"),
            ended("c2", "aborted", ""),
            ended("c3", "aborted", ""),
            ended("c4", "final", "Hello")
        ]
    );
    let asked = stage.model.asked();
    assert_eq!(asked.len(), 3);
    let body = asked[2].body.to_string();
    assert!(
        body.contains(r"- buy apples\n- buy pears\n\nbuy plums"),
        "{body}"
    );
}

#[tokio::test]
async fn a_session_that_is_deleted_stops_its_run_and_begins_afresh() {
    let stage = stage("collect").await;
    let mut client = stage.instance.client().await;
    let stalls = Answer::tokens(3).ending(End::Stall);
    stage.model.play([Script::Answer(stalls)]);
    let message = |text: &str, run: &str| json!({"sessionKey": "side", "message": text, "idempotencyKey": run});
    let accepted = client.call("chat.send", message("first", "c1")).await;
    assert_eq!(accepted.unwrap()["status"], "started");
    let told = client.event("chat").await;
    assert_eq!(told["payload"]["state"], "delta", "{told}");
    let deleted = client.call("sessions.delete", json!({"key": "side"})).await;
    let deleted = deleted.unwrap();
    assert_eq!(deleted["deleted"], true, "{deleted}");
    assert_eq!(deleted["archived"].as_array().unwrap().len(), 1);
    assert_eq!(ends(&mut client, 1).await, [ended("c1", "aborted", "")]);
    let waited = client.call("agent.wait", json!({"runId": "c1", "timeoutMs": 0}));
    assert_eq!(waited.await.unwrap()["status"], "ok");
    assert_eq!(stage.history("side").await, [json!(null); 0]);
    let accepted = client.call("chat.send", message("again", "c2")).await;
    assert_eq!(accepted.unwrap()["status"], "started");
    assert_eq!(ends(&mut client, 1).await, [ended("c2", "final", "Hello")]);
    let asked = stage.model.asked();
    assert_eq!(said(&asked.last().unwrap().body), ["again"]);
}
