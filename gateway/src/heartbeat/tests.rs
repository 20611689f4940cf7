use std::collections::BTreeSet;
use std::time::Duration;

use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::protocol::params::heartbeat::WakeMode;
use serde_json::{Value, json};

use super::{LOOK_AGAIN, Rhythm};
use crate::testing::{Client, Gateway};

async fn ok(client: &mut Client, method: &str, params: Value) -> Value {
    let answer = client.call(method, params).await;
    assert_eq!(answer["ok"], true, "{method}: {answer}");
    answer["payload"].clone()
}

async fn beaten(client: &mut Client) -> Value {
    client.event("heartbeat").await["payload"].clone()
}

/// A gateway whose agent has a heart like this.
async fn gateway(heartbeat: Value, model: Option<&str>) -> Gateway {
    let mut defaults = json!({"heartbeat": heartbeat});
    if let Some(model) = model {
        defaults["model"] = json!({"primary": model});
    }
    Gateway::start_with(&json!({"agents": {"defaults": defaults}})).await
}

#[test]
fn a_heart_that_is_late_because_it_beats_is_not_looked_at_again_and_again() {
    let now = (Moment::now(), WallTime::from_millis(2_000));
    let mut rhythm = Rhythm::new(now.1);
    let late = WallTime::from_millis(1_000);
    rhythm.next.insert("main".to_owned(), late);
    let at_work = BTreeSet::from(["main".to_owned()]);
    assert_eq!(rhythm.pause(now, &at_work), LOOK_AGAIN);
    assert_eq!(
        rhythm.pause(now, &BTreeSet::new()),
        Duration::from_millis(1)
    );
}

#[tokio::test(flavor = "local")]
async fn who_is_to_know_at_once_is_woken_and_told_once() {
    let gateway = gateway(json!({"every": "0m"}), None).await;
    let (mut client, _) = gateway.client().await;
    let (mut watcher, _) = gateway.client().await;
    ok(
        &mut client,
        "wake",
        json!({"mode": "next-heartbeat", "text": "first"}),
    )
    .await;
    ok(
        &mut client,
        "wake",
        json!({"mode": "now", "text": "second"}),
    )
    .await;
    let beat = beaten(&mut watcher).await;
    // The built-in model repeats the question, and that ends in the token.
    assert_eq!(beat["status"], "ok-token", "{beat}");
    let status = ok(&mut client, "status", json!({})).await;
    assert_eq!(status["queuedSystemEvents"], json!([]));
    assert_eq!(ok(&mut client, "last-heartbeat", json!({})).await, beat);
    let history = ok(&mut client, "chat.history", json!({"sessionKey": "main"}))
        .await
        .to_string();
    assert!(
        history.contains("] first") && history.contains("] second"),
        "{history}"
    );
}

#[tokio::test(flavor = "local")]
async fn a_heart_that_is_switched_off_does_not_beat() {
    let gateway = gateway(json!({}), None).await;
    let (mut client, _) = gateway.client().await;
    ok(&mut client, "set-heartbeats", json!({"enabled": false})).await;
    ok(&mut client, "wake", json!({"mode": "now", "text": "hello"})).await;
    let beat = beaten(&mut client).await;
    assert_eq!(
        (&beat["status"], &beat["reason"]),
        (&json!("skipped"), &json!("disabled"))
    );
    let status = ok(&mut client, "status", json!({})).await;
    assert_eq!(status["queuedSystemEvents"], json!(["hello"]));
}

#[tokio::test(flavor = "local")]
async fn the_built_in_model_is_not_woken_by_the_clock() {
    let gateway = gateway(json!({"every": "50ms"}), None).await;
    let (mut client, _) = gateway.client().await;
    let beat = beaten(&mut client).await;
    assert_eq!(
        (&beat["status"], &beat["reason"]),
        (&json!("skipped"), &json!("no-model"))
    );
}

#[tokio::test(flavor = "local")]
async fn an_empty_checklist_saves_a_call() {
    let gateway = gateway(json!({"every": "50ms"}), Some("mock/m1")).await;
    let settings = gateway.context.settings();
    let workspace = settings.catalog.workspace("main", true);
    std::fs::create_dir_all(&workspace).unwrap();
    std::fs::write(workspace.join("HEARTBEAT.md"), "# Tasks\n\n").unwrap();
    let (mut client, _) = gateway.client().await;
    loop {
        let beat = beaten(&mut client).await;
        assert_eq!(beat["status"], "skipped", "{beat}");
        if beat["reason"] == "empty-heartbeat-file" {
            return;
        }
    }
}

#[tokio::test(flavor = "local")]
async fn a_heart_whose_session_is_at_work_waits_for_it() {
    let gateway = gateway(json!({"every": "0m"}), None).await;
    let (mut client, _) = gateway.client().await;
    let (mut watcher, _) = gateway.client().await;
    let slow = json!({"sessionKey": "main", "message": "/slow 500\na b c d e f", "idempotencyKey": "slow-1"});
    ok(&mut client, "chat.send", slow).await;
    // A message that has not begun would take along what waits.
    watcher.event("chat").await;
    super::wake(&gateway.context, WakeMode::Now, "hello")
        .await
        .unwrap();
    let busy = beaten(&mut client).await;
    assert_eq!(busy["reason"], "requests-in-flight", "{busy}");
    loop {
        let beat = beaten(&mut client).await;
        if beat["status"] != "skipped" {
            assert_eq!(beat["status"], "ok-token", "{beat}");
            return;
        }
    }
}

#[tokio::test(flavor = "local")]
async fn a_beat_that_has_nothing_to_say_is_no_sign_of_life() {
    let gateway = gateway(json!({"every": "0m"}), None).await;
    let (mut client, _) = gateway.client().await;
    let (mut watcher, _) = gateway.client().await;
    let hello = json!({"sessionKey": "main", "message": "hello", "idempotencyKey": "c1"});
    ok(&mut client, "chat.send", hello).await;
    ok(&mut client, "agent.wait", json!({"runId": "c1"})).await;
    let session = async |client: &mut Client| {
        let list = ok(client, "sessions.list", json!({})).await;
        list["sessions"][0].clone()
    };
    let before = session(&mut client).await;
    let wake = json!({"mode": "now", "text": "look"});
    ok(&mut client, "wake", wake).await;
    let beat = beaten(&mut watcher).await;
    assert_eq!(beat["status"], "ok-token", "{beat}");
    let after = session(&mut client).await;
    assert_eq!(after["updatedAt"], before["updatedAt"], "{after}");
    assert_ne!(after["inputTokens"], before["inputTokens"], "{after}");
}
