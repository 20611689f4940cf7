//! What may be executed: whose word counts, and who hears of it.

use serde_json::{Value, json};

use super::{answer, ask, asked, node, operator};
use crate::testing::{Gateway, Seen};

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
