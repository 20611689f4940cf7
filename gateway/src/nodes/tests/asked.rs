//! Who may ask a node what, and whose answer counts.

use serde_json::json;
use tokio::time::timeout;

use super::{answer, ask, asked, leave, node, operator};
use crate::testing::{DEADLINE, Gateway, Seen};

#[tokio::test(flavor = "local")]
async fn a_node_is_listed_described_and_asked_as_clients_know_it() {
    let gateway = Gateway::start().await;
    let (mut node, id) = node(&gateway, 1).await;
    let changed = node.event("voicewake.changed").await;
    assert_eq!(
        changed["payload"]["triggers"],
        json!(["openclaw", "claude", "computer"])
    );
    assert_eq!(changed.get("seq"), None);
    let mut operator = operator(&gateway, &["operator.read", "operator.write"]).await;
    let list = operator.call("node.list", json!({})).await["payload"].clone();
    let row = list["nodes"][0].as_object().unwrap();
    let keys: Vec<&str> = row.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "nodeId",
            "displayName",
            "platform",
            "version",
            "caps",
            "commands",
            "pathEnv",
            "permissions",
            "connectedAtMs",
            "paired",
            "connected"
        ]
    );
    assert_eq!(
        (&row["caps"], &row["paired"]),
        (&json!(["browser", "system"]), &json!(true))
    );
    assert_eq!(
        row["commands"],
        json!(["system.execApprovals.get", "system.run", "system.which"])
    );
    let described = operator.call("node.describe", json!({"nodeId": id})).await["payload"].clone();
    assert!(
        described["ts"].as_u64() > Some(0) && described["displayName"] == "Box 1",
        "{described}"
    );
    let unknown = operator.call("node.describe", json!({"nodeId": "x"})).await;
    assert_eq!(unknown["error"]["message"], "unknown nodeId");

    ask(
        &mut operator,
        &id,
        "system.which",
        "k1",
        json!({"bins": ["sh"]}),
    )
    .await;
    let request = asked(&mut node).await;
    assert_eq!(
        request,
        json!({"id": request["id"], "nodeId": id, "command": "system.which", "paramsJSON": "{\"bins\":[\"sh\"]}", "timeoutMs": 30_000, "idempotencyKey": "k1"})
    );
    let text = json!({"id": request["id"], "nodeId": id, "ok": true, "payloadJSON": "{\"bins\": {}}", "error": null});
    assert_eq!(
        node.call("node.invoke.result", text.clone()).await["payload"].to_string(),
        r#"{"ok":true}"#
    );
    assert_eq!(
        node.call("node.invoke.result", text).await["payload"].to_string(),
        r#"{"ok":true,"ignored":true}"#
    );
    let said = operator.answer().await["payload"].clone();
    assert_eq!(
        said.to_string(),
        json!({"ok": true, "nodeId": id, "command": "system.which", "payload": {"bins": {}}, "payloadJSON": "{\"bins\": {}}"}).to_string()
    );

    ask(&mut operator, &id, "system.which", "k2", json!({})).await;
    let request = asked(&mut node).await;
    let no = json!({"id": request["id"], "nodeId": id, "ok": false, "error": {"code": "INVALID_REQUEST", "message": "bins required"}});
    node.call("node.invoke.result", no).await;
    let error = operator.answer().await["error"].clone();
    assert_eq!(
        error,
        json!({"code": "UNAVAILABLE", "message": "bins required", "details": {"nodeError": {"code": "INVALID_REQUEST", "message": "bins required"}}})
    );
    let late =
        json!({"nodeId": id, "command": "system.which", "timeoutMs": 1, "idempotencyKey": "k3"});
    let late = operator.call("node.invoke", late).await["error"].clone();
    let timed_out = json!({"code": "TIMEOUT", "message": "node invoke timed out"});
    assert_eq!(
        late,
        json!({"code": "UNAVAILABLE", "message": "node invoke timed out", "details": {"nodeError": timed_out}})
    );
    let forever = json!({"nodeId": id, "command": "system.which", "timeoutMs": 900_000, "idempotencyKey": "k4"});
    let forever = json!({"type": "req", "id": "k4", "method": "node.invoke", "params": forever});
    operator.send(forever.to_string()).await;
    // The request that was late may be on its way to the node, or may never have been sent.
    let request = loop {
        let request = asked(&mut node).await;
        if request["idempotencyKey"] != "k3" {
            break request;
        }
    };
    assert_eq!(
        (&request["idempotencyKey"], &request["timeoutMs"]),
        (&json!("k4"), &json!(600_000))
    );
    let done = json!({"id": request["id"], "nodeId": id, "ok": true, "payload": {}});
    node.call("node.invoke.result", done).await;
    assert_eq!(operator.answer().await["ok"], true);

    drop(node);
    let gone = async {
        loop {
            let list = operator.call("node.list", json!({})).await;
            let row = list["payload"]["nodes"][0].clone();
            if row["connected"] == false {
                return row;
            }
        }
    };
    let away = timeout(DEADLINE, gone).await.expect("it is away in time");
    assert_eq!(
        (&away["paired"], &away["version"]),
        (&json!(true), &json!("1"))
    );
    assert_eq!(away["commands"].as_array().unwrap().len(), 3);
    ask(&mut operator, &id, "system.which", "k5", json!({})).await;
    let gone = operator.answer().await["error"].clone();
    assert_eq!(
        gone,
        json!({"code": "UNAVAILABLE", "message": "node not connected", "details": {"code": "NOT_CONNECTED"}})
    );
}

#[tokio::test(flavor = "local")]
async fn rule_40_what_is_not_allowed_or_not_declared_is_never_sent() {
    let gateway = Gateway::start_with(&json!({"gateway": {"nodes": {"denyCommands": ["system.which"], "allowCommands": ["my.tool"]}}})).await;
    let (mut node, id) = node(&gateway, 1).await;
    let mut operator = operator(&gateway, &["operator.admin"]).await;
    for (command, reason) in [
        ("camera.snap", "command not allowlisted"),
        ("system.which", "command not allowlisted"),
        ("constructor", "command not allowlisted"),
        ("system.notify", "command not declared by node"),
        ("my.tool", "command not declared by node"),
    ] {
        ask(&mut operator, &id, command, command, json!({})).await;
        assert_eq!(
            operator.answer().await["error"],
            json!({"code": "INVALID_REQUEST", "message": "node command not allowed", "details": {"reason": reason, "command": command}})
        );
    }
    ask(&mut operator, &id, "system.run", "last", json!({})).await;
    assert_eq!(asked(&mut node).await["command"], "system.run");
}

#[tokio::test(flavor = "local")]
async fn rules_38_42_nodes_and_operators_keep_to_their_own_and_policies_to_the_owner() {
    let gateway = Gateway::start().await;
    let (mut node, id) = node(&gateway, 1).await;
    let mut writer = operator(
        &gateway,
        &["operator.write", "operator.approvals", "operator.pairing"],
    )
    .await;
    for (method, params) in [
        (
            "node.invoke.result",
            json!({"id": "x", "nodeId": "x", "ok": true}),
        ),
        ("node.event", json!({"event": "x"})),
        ("skills.bins", json!({})),
    ] {
        assert_eq!(
            writer.call(method, params).await["error"]["message"],
            "unauthorized role: operator"
        );
    }
    let refused = node
        .call(
            "node.invoke",
            json!({"nodeId": id, "command": "system.run", "idempotencyKey": "k"}),
        )
        .await;
    assert_eq!(refused["error"]["message"], "unauthorized role: node");
    assert_eq!(
        node.call("skills.bins", json!({})).await["payload"],
        json!({"bins": []})
    );
    ask(&mut writer, &id, "system.execApprovals.get", "k", json!({})).await;
    assert_eq!(
        writer.answer().await["error"]["message"],
        "missing scope: operator.admin"
    );
    let refused = writer
        .call("exec.approvals.node.get", json!({"nodeId": id}))
        .await;
    assert_eq!(refused["error"]["message"], "missing scope: operator.admin");
    let mut owner = operator(&gateway, &["operator.admin"]).await;
    let request = json!({"type": "req", "id": "1", "method": "exec.approvals.node.get", "params": {"nodeId": id}});
    owner.send(request.to_string()).await;
    let request = asked(&mut node).await;
    assert_eq!(request["command"], "system.execApprovals.get");
    answer(&mut node, &id, &request, json!({"exists": false})).await;
    assert_eq!(owner.answer().await["payload"], json!({"exists": false}));
}

#[tokio::test(flavor = "local")]
async fn rule_43_the_answer_of_another_node_is_ignored_and_the_right_one_arrives() {
    let gateway = Gateway::start().await;
    let (mut first, one) = node(&gateway, 1).await;
    let (mut second, two) = node(&gateway, 2).await;
    let mut operator = operator(&gateway, &["operator.write"]).await;
    ask(&mut operator, &one, "system.which", "k", json!({})).await;
    let request = asked(&mut first).await;
    let forged = json!({"id": request["id"], "nodeId": one, "ok": true, "payload": "forged"});
    let mismatch = second.call("node.invoke.result", forged).await;
    assert_eq!(
        (&mismatch["error"]["code"], &mismatch["error"]["message"]),
        (&json!("INVALID_REQUEST"), &json!("nodeId mismatch"))
    );
    assert_eq!(
        answer(&mut second, &two, &request, json!("forged")).await,
        json!({"ok": true, "ignored": true})
    );
    assert_eq!(
        answer(&mut first, &one, &request, json!("right")).await,
        json!({"ok": true})
    );
    assert_eq!(operator.answer().await["payload"]["payload"], "right");
}

#[tokio::test(flavor = "local")]
async fn a_node_that_comes_again_replaces_its_older_connection() {
    let gateway = Gateway::start().await;
    let (mut older, id) = node(&gateway, 1).await;
    let mut operator = operator(&gateway, &["operator.write"]).await;
    ask(&mut operator, &id, "system.which", "k1", json!({})).await;
    let lost = asked(&mut older).await;
    let (mut newer, _) = node(&gateway, 1).await;
    let error = operator.answer().await["error"].clone();
    assert_eq!(
        error,
        json!({"code": "UNAVAILABLE", "message": "Error: node disconnected (system.which)", "details": {"code": "NODE_DISCONNECTED"}})
    );
    assert_eq!(
        older.end().await,
        Seen::Closed(1008, "replaced by a newer connection".to_owned())
    );
    drop(older);
    assert_eq!(
        answer(&mut newer, &id, &lost, json!("late")).await,
        json!({"ok": true, "ignored": true})
    );
    ask(&mut operator, &id, "system.which", "k2", json!({})).await;
    let request = asked(&mut newer).await;
    answer(&mut newer, &id, &request, json!("here")).await;
    assert_eq!(operator.answer().await["payload"]["payload"], "here");
}

#[tokio::test(flavor = "local")]
async fn a_node_may_send_what_an_operator_may_not() {
    let gateway = Gateway::start().await;
    let (mut node, id) = node(&gateway, 1).await;
    let mut operator = operator(&gateway, &["operator.write"]).await;
    ask(&mut operator, &id, "system.which", "k", json!({})).await;
    let request = asked(&mut node).await;
    let photo = "x".repeat(2_000_000);
    assert_eq!(
        answer(&mut node, &id, &request, json!({"base64": photo})).await,
        json!({"ok": true})
    );
    assert_eq!(
        operator.answer().await["payload"]["payload"]["base64"],
        photo
    );
    ask(&mut operator, &id, "system.which", "k", json!({})).await;
    assert_eq!(
        operator.answer().await["error"]["details"]["code"],
        "ANSWER_NOT_KEPT"
    );
    operator
        .send(
            json!({"type": "req", "id": "1", "method": "health", "params": {"x": photo}})
                .to_string(),
        )
        .await;
    assert_eq!(operator.end().await, Seen::Closed(1009, String::new()));
}

#[tokio::test(flavor = "local")]
async fn a_node_is_told_when_nobody_waits_any_more() {
    let gateway = Gateway::start().await;
    let (mut node, id) = node(&gateway, 1).await;
    let mut writer = operator(&gateway, &["operator.write"]).await;
    let late =
        json!({"nodeId": id, "command": "system.which", "timeoutMs": 5_000, "idempotencyKey": "k"});
    let late = writer.call("node.invoke", late).await;
    assert_eq!(late["error"]["message"], "node invoke timed out");
    let request = asked(&mut node).await;
    let cancelled = node.event("node.invoke.cancel").await;
    assert_eq!(
        cancelled,
        json!({"type": "event", "event": "node.invoke.cancel", "payload": {"id": request["id"], "nodeId": id}})
    );
    assert_eq!(
        answer(&mut node, &id, &request, json!(1)).await,
        json!({"ok": true, "ignored": true})
    );

    let mut owner = operator(&gateway, &["operator.admin"]).await;
    let get = json!({"type": "req", "id": "g", "method": "exec.approvals.node.get", "params": {"nodeId": id}});
    owner.send(get.to_string()).await;
    let request = asked(&mut node).await;
    leave(&gateway, owner).await;
    let cancelled = node.event("node.invoke.cancel").await;
    assert_eq!(cancelled["payload"]["id"], request["id"]);
}

#[tokio::test(flavor = "local")]
async fn no_limit_is_the_usual_limit() {
    let gateway = Gateway::start().await;
    let (mut node, id) = node(&gateway, 1).await;
    let mut writer = operator(&gateway, &["operator.write"]).await;
    let params =
        json!({"nodeId": id, "command": "system.run", "timeoutMs": 0, "idempotencyKey": "k"});
    let request = json!({"type": "req", "id": "1", "method": "node.invoke", "params": params});
    writer.send(request.to_string()).await;
    let request = asked(&mut node).await;
    assert_eq!(request["timeoutMs"], 30_000);
    answer(&mut node, &id, &request, json!(1)).await;
    assert_eq!(writer.answer().await["payload"]["payload"], 1);
}

#[tokio::test(flavor = "local")]
async fn whose_rules_apply_and_what_a_run_is_called_is_not_for_every_writer_to_say() {
    let gateway = Gateway::start().await;
    let (mut node, id) = node(&gateway, 1).await;
    let mut writer = operator(&gateway, &["operator.write"]).await;
    let mut approver = operator(&gateway, &["operator.write", "operator.approvals"]).await;
    let run = |agent: &str| json!({"command": ["id"], "agentId": agent});
    ask(&mut writer, &id, "system.run", "k1", run("dev")).await;
    assert_eq!(
        writer.answer().await["error"]["message"],
        "missing scope: operator.approvals"
    );
    ask(&mut approver, &id, "system.run", "k2", run("*")).await;
    assert_eq!(
        approver.answer().await["error"]["message"],
        "agentId must name an agent"
    );
    let long = json!({"command": ["id"], "runId": "r".repeat(129)});
    ask(&mut writer, &id, "system.run", "k3", long).await;
    assert_eq!(
        writer.answer().await["error"]["message"],
        "runId must not have more than 128 bytes"
    );
    ask(&mut approver, &id, "system.run", "k4", run("dev")).await;
    let sent = asked(&mut node).await;
    assert_eq!(sent["idempotencyKey"], "k4");
    assert!(sent["paramsJSON"].as_str().unwrap().contains("dev"));
    ask(&mut writer, &id, "system.run", "k5", run("main")).await;
    assert_eq!(asked(&mut node).await["idempotencyKey"], "k5");
}

#[tokio::test(flavor = "local")]
async fn keys_and_the_errors_of_nodes_are_short() {
    let gateway = Gateway::start().await;
    let (mut node, id) = node(&gateway, 1).await;
    let mut writer = operator(&gateway, &["operator.write"]).await;
    for (key, message) in [
        (
            "k".repeat(257),
            "invalid node.invoke params: at /idempotencyKey: must NOT have more than 256 characters",
        ),
        (
            "ß".repeat(129),
            "idempotencyKey must not have more than 256 bytes",
        ),
    ] {
        ask(&mut writer, &id, "system.which", &key, json!({})).await;
        assert_eq!(writer.answer().await["error"]["message"], message);
    }
    ask(
        &mut writer,
        &id,
        "system.which",
        &"k".repeat(256),
        json!({}),
    )
    .await;
    let request = asked(&mut node).await;
    let says = "x".repeat(1_000_000);
    let no = json!({"id": request["id"], "nodeId": id, "ok": false, "error": {"code": says, "message": says}});
    node.call("node.invoke.result", no).await;
    assert!(writer.answer().await.to_string().len() < 10_000);
}
