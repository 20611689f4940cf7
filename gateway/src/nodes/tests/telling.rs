//! What nodes tell by themselves.

use serde_json::json;

use super::{ask, asked, node, operator};
use crate::testing::Gateway;

#[tokio::test(flavor = "local")]
async fn rule_46_what_a_node_tells_of_runs_that_it_was_not_given_is_dropped() {
    let gateway = Gateway::start().await;
    let (mut node, id) = node(&gateway, 1).await;
    let mut operator = operator(&gateway, &["operator.admin"]).await;
    let tell = |run: &str| json!({"event": "exec.finished", "payloadJSON": json!({"runId": run, "exitCode": 0, "sessionKey": "main"}).to_string()});
    assert_eq!(
        node.call("node.event", tell("forged")).await["payload"],
        json!({"ok": true})
    );
    ask(
        &mut operator,
        &id,
        "system.run",
        "k",
        json!({"command": ["ls"], "runId": "r1"}),
    )
    .await;
    asked(&mut node).await;
    node.call("node.event", tell("r1")).await;
    node.call("node.event", tell("r1")).await;
    let status = operator.call("status", json!({})).await["payload"]["queuedSystemEvents"].clone();
    assert_eq!(
        status,
        json!([format!("Exec finished (node={id} id=r1, code 0)")])
    );
    assert_eq!(
        node.call(
            "node.event",
            json!({"event": "who.knows", "payloadJSON": null})
        )
        .await["payload"],
        json!({"ok": true})
    );
    assert_eq!(
        node.call(
            "node.event",
            json!({"event": "chat.subscribe", "payload": {"sessionKey": "main"}})
        )
        .await["payload"],
        json!({"ok": true})
    );
    assert_eq!(
        gateway.context.nodes(|nodes| nodes.followers("main").len()),
        1
    );
    let spoken =
        json!({"event": "voice.transcript", "payload": {"text": "hi", "sessionKey": "main"}});
    let said = node.call("node.event", spoken).await;
    assert_eq!(said["payload"], json!({"ok": true}));
    // A node sees of agents what it follows, and nothing else.
    let told = loop {
        let told = node.event("chat").await["payload"].clone();
        if told["state"] == "final" {
            break told;
        }
    };
    assert_eq!(told["sessionKey"], "main");
    assert!(
        told["runId"].as_str().unwrap().starts_with("voice-"),
        "{told}"
    );
}
