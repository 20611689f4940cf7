use openclaw_shared::protocol::params::heartbeat::WakeMode;
use serde_json::{Value, json};

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
    let slow = json!({"sessionKey": "main", "message": "/slow 100\na b c d e f", "idempotencyKey": "slow-1"});
    ok(&mut client, "chat.send", slow).await;
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
