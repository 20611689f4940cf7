//! What a node does when it is asked.

use std::collections::BTreeMap;

use openclaw_shared::exec_binding::binding;
use serde_json::{Value, json};

use crate::stub::{Gateway, Home};

#[tokio::test]
async fn a_command_runs_and_both_frames_say_so() {
    let gateway = Gateway::listen().await;
    let home = Home::open();
    let _node = home.start(&gateway).await;
    let mut caller = gateway.node().await;
    let params = json!({"command": ["/bin/sh", "-c", "echo hi; echo no >&2; exit 3"], "sessionKey": "main", "runId": "r"});
    caller
        .request("i-1", "system.run", params, json!({"timeoutMs": 20_000}))
        .await;
    let result = caller.next("node.invoke.result").await;
    assert_eq!(
        result,
        json!({"id": "i-1", "nodeId": caller.device_id(), "ok": true,
            "payloadJSON": r#"{"exitCode":3,"timedOut":false,"success":false,"stdout":"hi\n","stderr":"no\n","error":null}"#})
    );
    let event = caller.next("node.event").await;
    assert_eq!(event["event"], "exec.finished");
    let payload: Value = serde_json::from_str(event["payloadJSON"].as_str().unwrap()).unwrap();
    assert_eq!(
        payload,
        json!({"runId": "r", "host": "node", "command": "/bin/sh -c echo hi; echo no >&2; exit 3", "sessionKey": "main",
            "exitCode": 3, "timedOut": false, "success": false, "output": "hi\nno"})
    );
}

#[tokio::test]
async fn what_is_not_allowed_does_not_run_until_it_is_approved() {
    let gateway = Gateway::listen().await;
    let home = Home::open();
    home.allow(json!({"version": 1, "agents": {"main": {"allowlist": [{"id": "1", "pattern": "/bin/echo"}]}}}));
    let _node = home.start(&gateway).await;
    let mut caller = gateway.node().await;
    let marker = home.path("marker");
    let script = format!("echo \"$(touch {})\"", marker.display());
    let argv = ["/bin/sh".to_owned(), "-lc".to_owned(), script];
    let denied = Err("SYSTEM_RUN_DENIED: approval required".to_owned());
    assert_eq!(
        caller
            .invoke("system.run", json!({ "command": argv }))
            .await,
        denied
    );
    let event = caller.next("node.event").await;
    assert_eq!(event["event"], "exec.denied");
    let claimed = json!({"command": argv, "approved": true, "approvalDecision": "allow-once"});
    assert_eq!(caller.invoke("system.run", claimed).await, denied);
    assert!(!marker.exists());
    let approval = json!({"id": "a-1", "sha256": binding(&argv, None, &BTreeMap::new())});
    let approved = json!({"command": argv, "approved": true, "approvalDecision": "allow-once", "approval": approval});
    assert!(caller.invoke("system.run", approved.clone()).await.is_ok());
    assert!(marker.exists());
    assert_eq!(caller.invoke("system.run", approved).await, denied);
    let listed = json!({"command": ["/bin/sh", "-lc", "echo a | wc -l"]});
    assert_eq!(
        caller.invoke("system.run", listed).await.unwrap()["stdout"],
        "1\n"
    );
}

#[tokio::test]
async fn other_commands_and_their_refusals() {
    let gateway = Gateway::listen().await;
    let home = Home::open();
    let _node = home.start(&gateway).await;
    let mut caller = gateway.node().await;
    let found = caller
        .invoke(
            "system.which",
            json!({"bins": ["ls", "no-such", "/bin/ls", "../ls"]}),
        )
        .await;
    assert_eq!(found.unwrap(), json!({"bins": {"ls": "/usr/bin/ls"}}));
    for (command, params, says) in [
        (
            "system.which",
            json!({}),
            "Error: INVALID_REQUEST: bins required",
        ),
        ("system.run", json!({}), "command required"),
        ("system.notify", json!({}), "command not supported"),
        ("camera.snap", json!({}), "command not supported"),
        (
            "system.run",
            json!([]),
            "INVALID_REQUEST: invalid params: invalid type: sequence, expected struct Params at line 1 column 0",
        ),
    ] {
        let refused = caller.invoke(command, params).await.unwrap_err();
        assert!(
            refused == says
                || (refused.starts_with("INVALID_REQUEST: invalid params")
                    && says.starts_with("INVALID_REQUEST: invalid params")),
            "{command}: {refused}"
        );
    }
}

#[tokio::test]
async fn the_owners_file_is_read_and_replaced_by_who_has_read_it() {
    let gateway = Gateway::listen().await;
    let home = Home::open();
    home.allow(json!({"version": 1, "socket": {"path": "/s", "token": "hidden"}}));
    let _node = home.start(&gateway).await;
    let mut caller = gateway.node().await;
    let shown = caller
        .invoke("system.execApprovals.get", json!({}))
        .await
        .unwrap();
    assert_eq!(shown["exists"], true);
    assert_eq!(shown["file"]["socket"], json!({"path": "/s"}));
    let file = json!({"version": 1, "agents": {"main": {"security": "deny", "allowlist": [{"pattern": "/bin/ls"}]}}});
    let without = caller
        .invoke("system.execApprovals.set", json!({"file": file}))
        .await;
    assert!(
        without
            .unwrap_err()
            .contains("exec approvals base hash required")
    );
    let stale = caller
        .invoke(
            "system.execApprovals.set",
            json!({"file": file, "baseHash": "x"}),
        )
        .await;
    assert!(stale.unwrap_err().contains("exec approvals changed"));
    let set = json!({"file": file, "baseHash": shown["hash"]});
    let written = caller
        .invoke("system.execApprovals.set", set)
        .await
        .unwrap();
    assert!(written["file"]["agents"]["main"]["allowlist"][0]["id"].is_string());
    let text = std::fs::read_to_string(home.path("exec-approvals.json")).unwrap();
    assert!(text.contains("hidden"));
    let denied = caller
        .invoke("system.run", json!({"command": ["ls"]}))
        .await;
    assert_eq!(denied, Err("SYSTEM_RUN_DISABLED: security=deny".to_owned()));
}

#[tokio::test]
async fn the_same_key_runs_once() {
    let gateway = Gateway::listen().await;
    let home = Home::open();
    let _node = home.start(&gateway).await;
    let mut caller = gateway.node().await;
    let params = json!({"command": ["/bin/sh", "-c", "echo x >> runs; wc -l < runs"]});
    let key = json!({"idempotencyKey": "k-1"});
    caller
        .request("1", "system.run", params.clone(), key.clone())
        .await;
    let first = caller.result().await.unwrap();
    caller
        .request("2", "system.run", params.clone(), key.clone())
        .await;
    let again = caller.next("node.invoke.result").await;
    assert_eq!(again["id"], "2");
    assert_eq!(
        serde_json::from_str::<Value>(again["payloadJSON"].as_str().unwrap()).unwrap(),
        first
    );
    drop(caller);
    let mut caller = gateway.node().await;
    caller.request("3", "system.run", params, key.clone()).await;
    assert_eq!(caller.result().await.unwrap(), first);
    caller
        .request("4", "system.run", json!({"command": ["ls"]}), key)
        .await;
    assert!(
        caller
            .result()
            .await
            .unwrap_err()
            .contains("idempotencyKey")
    );
    assert_eq!(std::fs::read_to_string(home.path("runs")).unwrap(), "x\n");
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_cut_and_not_fatal() {
    let gateway = Gateway::listen().await;
    let home = Home::open();
    let _node = home.start(&gateway).await;
    let mut caller = gateway.node().await;
    let result = caller
        .invoke(
            "system.run",
            json!({"command": ["head", "-c", "300000", "/dev/zero"]}),
        )
        .await
        .unwrap();
    assert!(
        result["stdout"]
            .as_str()
            .unwrap()
            .ends_with("\n... (truncated)")
    );
    let bins: Vec<String> = (0..10).map(|number| format!("no-{number}")).collect();
    assert_eq!(
        caller
            .invoke("system.which", json!({"bins": bins}))
            .await
            .unwrap(),
        json!({"bins": {}})
    );
}

#[tokio::test]
async fn the_gateway_says_which_programs_are_of_skills_when_that_counts() {
    let gateway = Gateway::listen().await;
    let home = Home::open();
    home.allow(json!({"version": 1, "defaults": {"autoAllowSkills": true}}));
    let _node = home.start(&gateway).await;
    let mut caller = gateway.node().await;
    let params = json!({"command": ["sh", "-c", "printf x"]});
    caller.request("1", "system.run", params, json!({})).await;
    let asked = caller.receive().await;
    assert_eq!(
        (&asked["method"], &asked["params"]),
        (&json!("skills.bins"), &json!({}))
    );
    let reply =
        json!({"type": "res", "id": asked["id"], "ok": true, "payload": {"bins": ["printf"]}});
    caller.send(reply).await;
    assert_eq!(caller.result().await.unwrap()["stdout"], "x");
    let other = caller.invoke("system.run", json!({"command": ["ls"]}));
    assert_eq!(
        other.await,
        Err("SYSTEM_RUN_DENIED: approval required".to_owned())
    );
}
