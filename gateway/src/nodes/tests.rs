use openclaw_shared::clock::WallTime;
use openclaw_shared::identity::DeviceIdentity;
use openclaw_shared::protocol::connect::ConnectParams;
use openclaw_shared::protocol::strict::NonEmpty;
use serde_json::{Value, json};

use crate::testing::{Client, Gateway, Seen, connect};

const ALL: [&str; 4] = [
    "system.run",
    "system.which",
    "system.execApprovals.get",
    "camera.snap",
];

/// A client with a device of its own.
async fn device(
    gateway: &Gateway,
    seed: u8,
    change: impl FnOnce(&mut Value),
) -> (Client, Value, String) {
    let identity = DeviceIdentity::from_seed(&[seed; 32]);
    let mut client = gateway.open().await;
    let challenge = client.event("connect.challenge").await;
    let nonce = NonEmpty::new(challenge["payload"]["nonce"].as_str().unwrap()).unwrap();
    let mut params = connect();
    change(&mut params);
    let typed: ConnectParams = serde_json::from_value(params.clone()).unwrap();
    params["device"] = json!(identity.prove(&typed, &nonce, WallTime::now()));
    let hello = client.connect(params).await;
    assert_eq!(hello["payload"]["type"], "hello-ok", "{hello}");
    (client, hello, identity.device_id().to_owned())
}

async fn node(gateway: &Gateway, seed: u8) -> (Client, String) {
    let (client, _, id) = device(gateway, seed, |params| {
        params["client"] = json!({"id": "node-host", "displayName": format!("Box {seed}"), "version": "1", "platform": "linux", "mode": "node"});
        params["role"] = json!("node");
        params["scopes"] = json!([]);
        params["caps"] = json!(["system", "browser"]);
        params["commands"] = json!(ALL);
        params["pathEnv"] = json!("/usr/bin");
        params["permissions"] = json!({"screen": true});
    })
    .await;
    (client, id)
}

/// An operator with these scopes and no device.
async fn operator(gateway: &Gateway, scopes: &[&str]) -> Client {
    let mut client = gateway.open().await;
    let mut params = connect();
    params["scopes"] = json!(scopes);
    let hello = client.connect(params).await;
    assert_eq!(hello["payload"]["type"], "hello-ok", "{hello}");
    client
}

async fn ask(client: &mut Client, node: &str, command: &str, key: &str, params: Value) {
    let params =
        json!({"nodeId": node, "command": command, "params": params, "idempotencyKey": key});
    let request = json!({"type": "req", "id": key, "method": "node.invoke", "params": params});
    client.send(request.to_string()).await;
}

/// What the node is asked next.
async fn asked(node: &mut Client) -> Value {
    let event = node.event("node.invoke.request").await;
    assert_eq!(event.get("seq"), None);
    event["payload"].clone()
}

async fn answer(node: &mut Client, id: &str, request: &Value, payload: Value) -> Value {
    let params = json!({"id": request["id"], "nodeId": id, "ok": true, "payload": payload});
    node.call("node.invoke.result", params).await["payload"].clone()
}

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
    let ceiling =
        json!({"nodeId": id, "command": "x", "timeoutMs": 600_001, "idempotencyKey": "k4"});
    let ceiling = operator.call("node.invoke", ceiling).await;
    assert_eq!(
        ceiling["error"]["message"],
        "invalid node.invoke params: at /timeoutMs: must be <= 600000"
    );

    drop(node);
    operator.event("presence").await;
    let away = operator.call("node.list", json!({})).await["payload"]["nodes"][0].clone();
    assert_eq!(
        (&away["connected"], &away["paired"], &away["version"]),
        (&json!(false), &json!(true), &json!("1"))
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
async fn one_key_is_one_execution_also_for_who_comes_back() {
    let gateway = Gateway::start().await;
    let (mut node, id) = node(&gateway, 1).await;
    let mut first = operator(&gateway, &["operator.write"]).await;
    ask(&mut first, &id, "system.which", "k", json!({"bins": ["a"]})).await;
    let request = asked(&mut node).await;
    let mut second = operator(&gateway, &["operator.write"]).await;
    ask(
        &mut second,
        &id,
        "system.which",
        "k",
        json!({"bins": ["b"]}),
    )
    .await;
    assert_eq!(
        second.answer().await["error"]["message"],
        "idempotencyKey was used with other parameters"
    );
    drop(first);
    ask(
        &mut second,
        &id,
        "system.which",
        "k",
        json!({"bins": ["a"]}),
    )
    .await;
    // The node was asked once: its next request is another one.
    ask(&mut second, &id, "system.which", "other", json!({})).await;
    assert_eq!(asked(&mut node).await["idempotencyKey"], "other");
    answer(&mut node, &id, &request, json!({"n": 1})).await;
    assert_eq!(second.answer().await["payload"]["payload"], json!({"n": 1}));
    drop(node);
    second.answer().await;
    ask(
        &mut second,
        &id,
        "system.which",
        "k",
        json!({"bins": ["a"]}),
    )
    .await;
    assert_eq!(second.answer().await["payload"]["payload"], json!({"n": 1}));
}

#[tokio::test(flavor = "local")]
async fn rules_41_49_only_the_gateway_says_that_a_run_is_approved_and_once() {
    let gateway = Gateway::start().await;
    let (mut node, id) = node(&gateway, 1).await;
    let mut asker = operator(&gateway, &["operator.write", "operator.approvals"]).await;
    let mut owner = operator(&gateway, &["operator.approvals"]).await;
    let run = json!({"command": ["echo", "hi"], "cwd": "/tmp", "approved": true, "approvalDecision": "allow-once", "approval": {"id": "a1"}});
    ask(&mut asker, &id, "system.run", "k1", run.clone()).await;
    let request = asked(&mut node).await;
    let sent: Value = serde_json::from_str(request["paramsJSON"].as_str().unwrap()).unwrap();
    assert_eq!(
        sent,
        json!({"command": ["echo", "hi"], "cwd": "/tmp", "runId": request["id"]})
    );
    answer(&mut node, &id, &request, Value::Null).await;
    asker.answer().await;

    let wish = json!({"id": "a1", "command": "echo hi", "argv": ["echo", "hi"], "cwd": "/tmp", "host": "node", "nodeId": id, "env": {}});
    asker
        .send(
            json!({"type": "req", "id": "w", "method": "exec.approval.request", "params": wish})
                .to_string(),
        )
        .await;
    let shown = owner.event("exec.approval.requested").await["payload"].clone();
    assert_eq!(
        (&shown["id"], &shown["request"]["argv"]),
        (&json!("a1"), &json!(["echo", "hi"]))
    );
    assert_eq!(shown["request"]["agentId"], Value::Null);
    let listed = owner.call("exec.approval.list", json!({})).await;
    assert_eq!(listed["payload"]["pending"], json!([shown]));
    let resolved = owner
        .call(
            "exec.approval.resolve",
            json!({"id": "a1", "decision": "allow-once"}),
        )
        .await;
    assert_eq!(resolved["payload"], json!({"ok": true}));
    let again = owner
        .call(
            "exec.approval.resolve",
            json!({"id": "a1", "decision": "deny"}),
        )
        .await;
    assert_eq!(again["error"]["message"], "unknown approval id");
    let decided = asker.answer().await["payload"].clone();
    assert_eq!(decided["decision"], "allow-once");

    for (key, approved) in [("k2", Some(true)), ("k3", None)] {
        ask(&mut asker, &id, "system.run", key, run.clone()).await;
        let request = asked(&mut node).await;
        let sent: Value = serde_json::from_str(request["paramsJSON"].as_str().unwrap()).unwrap();
        assert_eq!(sent["approved"].as_bool(), approved, "{key}");
        assert_eq!(sent["approval"]["id"].as_str(), approved.map(|_| "a1"));
        answer(&mut node, &id, &request, Value::Null).await;
        asker.answer().await;
    }
    let liar = json!({"command": ["sh", "-c", "id"], "rawCommand": "head -1"});
    ask(&mut asker, &id, "system.run", "k4", liar).await;
    assert_eq!(
        asker.answer().await["error"]["message"],
        "rawCommand does not match command"
    );
}

#[tokio::test(flavor = "local")]
async fn rule_47_only_who_may_approve_hears_of_approvals_and_no_decision_is_no() {
    let gateway = Gateway::start().await;
    let (mut node, _) = node(&gateway, 1).await;
    let mut reader = operator(
        &gateway,
        &["operator.read", "operator.write", "operator.pairing"],
    )
    .await;
    let mut asker = operator(&gateway, &["operator.approvals"]).await;
    let answer = asker
        .call(
            "exec.approval.request",
            json!({"command": "id", "timeoutMs": 1}),
        )
        .await;
    assert_eq!(answer["payload"]["decision"], Value::Null);
    assert_eq!(
        answer["payload"]["expiresAtMs"].as_u64(),
        answer["payload"]["createdAtMs"].as_u64().map(|at| at + 1)
    );
    let taken = json!({"id": "x", "command": "id"});
    asker
        .send(
            json!({"type": "req", "id": "1", "method": "exec.approval.request", "params": taken})
                .to_string(),
        )
        .await;
    let requested = asker.event("exec.approval.requested").await;
    assert_eq!(requested["payload"]["id"], "x");
    let twice = asker.call("exec.approval.request", taken).await;
    assert_eq!(twice["error"]["message"], "approval id already pending");
    let nonsense = asker
        .call(
            "exec.approval.resolve",
            json!({"id": "x", "decision": "maybe"}),
        )
        .await;
    assert_eq!(nonsense["error"]["message"], "invalid decision");
    for client in [&mut node, &mut reader] {
        client
            .send(json!({"type": "req", "id": "e", "method": "health"}).to_string())
            .await;
        loop {
            match client.see().await {
                Seen::Frame(frame) if frame["type"] == "res" => break,
                Seen::Frame(frame) => assert!(
                    !frame["event"].as_str().unwrap().starts_with("exec."),
                    "{frame}"
                ),
                end @ (Seen::Closed(..) | Seen::Broken) => panic!("{end:?}"),
            }
        }
    }
}

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

#[tokio::test(flavor = "local")]
async fn the_end_of_this_life_is_told_at_once_to_whoever_waits() {
    let mut gateway = Gateway::start().await;
    let (mut node, id) = node(&gateway, 1).await;
    let mut asker = operator(&gateway, &["operator.admin"]).await;
    ask(&mut asker, &id, "system.run", "k", json!({})).await;
    asked(&mut node).await;
    let wish = json!({"type": "req", "id": "w", "method": "exec.approval.request", "params": {"id": "a", "command": "id"}});
    asker.send(wish.to_string()).await;
    asker.event("exec.approval.requested").await;
    let (both, ()) = tokio::join!(
        async { [asker.answer().await, asker.answer().await] },
        gateway.drain()
    );
    let texts: Vec<&str> = both
        .iter()
        .map(|answer| answer["error"]["message"].as_str().unwrap())
        .collect();
    assert!(
        texts.contains(&"the gateway is restarting; approval a stays pending"),
        "{texts:?}"
    );
    assert!(
        texts.contains(&"the gateway is restarting; the outcome of system.run is unknown"),
        "{texts:?}"
    );
    let left = crate::approvals::list(&gateway.context).unwrap();
    assert_eq!(left.len(), 1);
}

#[tokio::test(flavor = "local")]
async fn the_file_of_this_machine_is_shown_and_replaced_by_who_has_read_it() {
    let gateway = Gateway::start().await;
    let mut owner = operator(&gateway, &["operator.admin"]).await;
    let got = owner.call("exec.approvals.get", json!({})).await["payload"].clone();
    assert_eq!(
        (&got["path"], &got["exists"], &got["file"]),
        (
            &json!("~/.openclaw/exec-approvals.json"),
            &json!(false),
            &json!({"version": 1})
        )
    );
    let file = json!({"version": 1, "defaults": {"security": "allowlist"}, "agents": {"main": {"allowlist": [{"pattern": "/bin/echo"}]}}});
    let set = owner
        .call("exec.approvals.set", json!({"file": file}))
        .await["payload"]
        .clone();
    assert_eq!(set["exists"], true);
    assert!(set["file"]["agents"]["main"]["allowlist"][0]["id"].is_string());
    let stale = owner
        .call("exec.approvals.set", json!({"file": file}))
        .await;
    assert_eq!(
        stale["error"]["message"],
        "exec approvals base hash required; re-run exec.approvals.get and retry"
    );
    let changed = owner
        .call("exec.approvals.set", json!({"file": file, "baseHash": "x"}))
        .await;
    assert_eq!(
        changed["error"]["message"],
        "exec approvals changed since last load; re-run exec.approvals.get and retry"
    );
    let wrong = json!({"file": {"version": 2, "foo": 1, "agents": {"a": {"allowlist": [{}]}}}});
    let wrong = owner.call("exec.approvals.set", wrong).await;
    assert_eq!(
        wrong["error"]["message"],
        "invalid exec.approvals.set params: at /file: unexpected property 'foo'; at /file/version: must be equal to constant; at /file/agents/a/allowlist/0: must have required property 'pattern'"
    );
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
