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
    let planned = node
        .call(
            "node.event",
            json!({"event": "voice.transcript", "payload": {"text": "hi"}}),
        )
        .await;
    assert_eq!(planned["error"]["code"], "UNAVAILABLE");
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
}
