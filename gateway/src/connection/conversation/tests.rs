//! How a conversation ends that the gateway ends.

use futures_util::SinkExt as _;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::limits::{REFUSALS_IN_A_ROW, REVOKED_GRACE};
use crate::testing::{Client, Gateway, Seen, connect, credentials};

fn request(id: &str, method: &str, params: Value) -> String {
    json!({"type": "req", "id": id, "method": method, "params": params}).to_string()
}

/// What a client is answered up to its end.
async fn answers(client: &mut Client) -> (Vec<Value>, Seen) {
    let mut answers = Vec::new();
    loop {
        match client.see().await {
            Seen::Frame(frame) if frame["type"] == "res" => answers.push(frame),
            Seen::Frame(_) => {}
            end @ (Seen::Closed(..) | Seen::Broken) => return (answers, end),
        }
    }
}

#[tokio::test(flavor = "local")]
async fn rule_34_whoever_changes_the_secret_reads_what_became_of_it_before_it_must_go() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let turn = gateway.supervisors_turn.clone().lock_owned().await;
    let asked = json!({"id": "x", "command": "true", "timeoutMs": 86_400_000});
    client
        .send(request("asks people", "exec.approval.request", asked))
        .await;
    client
        .send(request("changes", "config.set", json!({"raw": "{}"})))
        .await;
    // Requests are read in their order.
    assert_eq!(client.call("health", json!({})).await["ok"], true);
    // The supervisor puts a change in force before it says so.
    let (settings, logging) = (gateway.context.settings(), gateway.context.logging());
    let changed = Some(credentials("another"));
    gateway
        .context
        .reload((*settings).clone(), changed, logging);
    let mut other = gateway.open().await;
    let mut params = connect();
    params["auth"]["token"] = "another".into();
    assert_eq!(other.connect(params).await["ok"], true);
    tokio::time::pause();
    tokio::time::advance(2 * REVOKED_GRACE).await;
    tokio::time::resume();
    assert_eq!(other.call("health", json!({})).await["ok"], true);
    drop(turn);
    let (answers, end) = answers(&mut client).await;
    let ids: Vec<&Value> = answers.iter().map(|answer| &answer["id"]).collect();
    assert_eq!(
        ids,
        ["changes"],
        "what people would answer is not waited for"
    );
    assert_eq!(answers[0]["ok"], true, "{}", answers[0]);
    assert_eq!(end, Seen::Closed(1008, "shared secret changed".into()));
}

#[tokio::test(flavor = "local")]
async fn rule_70_whoever_is_refused_whatever_it_asks_is_sent_away() {
    let gateway = Gateway::start().await;
    let mut params = connect();
    params["scopes"] = json!([]);
    let mut flooding = gateway.open().await;
    assert_eq!(flooding.connect(params).await["ok"], true);
    let kinds = [
        request("1", "config.get", json!({})),
        request("2", "no.such.method", json!({})),
        json!({"type": "req", "id": "3"}).to_string(),
    ];
    // Some are forgotten with each second that this takes.
    let most = 2 * REFUSALS_IN_A_ROW as usize;
    for kind in kinds.iter().cycle().take(most) {
        // It may be sent away in the middle of it.
        let _ = flooding.stream.send(Message::text(kind.clone())).await;
    }
    let (answers, end) = answers(&mut flooding).await;
    let needed = REFUSALS_IN_A_ROW as usize..most;
    assert!(needed.contains(&answers.len()), "{}", answers.len());
    assert_eq!(end, Seen::Closed(1008, "too many refused requests".into()));
    gateway.client().await;
}

#[tokio::test(flavor = "local")]
async fn rule_70_one_wish_that_is_granted_is_enough_to_stay() {
    let gateway = Gateway::start().await;
    let mut params = connect();
    params["scopes"] = json!(["operator.read"]);
    let mut client = gateway.open().await;
    assert_eq!(client.connect(params).await["ok"], true);
    for _ in 0..3 {
        for _ in 1..REFUSALS_IN_A_ROW {
            client.send(request("1", "config.get", json!({}))).await;
        }
        for _ in 1..REFUSALS_IN_A_ROW {
            assert_eq!(client.answer().await["ok"], false);
        }
        assert_eq!(client.call("health", json!({})).await["ok"], true);
    }
}
