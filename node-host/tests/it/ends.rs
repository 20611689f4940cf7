//! Nothing that was started stays behind.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::stub::{Caller, Gateway, Home, Node, soon};

/// Begins a command with a grandchild, and gives the ids of both.
async fn long_command(home: &Home, caller: &mut Caller, more: serde_json::Value) -> [i32; 2] {
    let script = "sleep 600 & echo $$ $! > ids.new; mv ids.new ids; wait";
    let params = json!({"command": ["/bin/sh", "-c", script]});
    caller.request("long", "system.run", params, more).await;
    let ids = soon("the command's beginning", async {
        loop {
            if let Ok(text) = std::fs::read_to_string(home.path("ids")) {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let ids: Vec<i32> = ids
        .split_whitespace()
        .map(|id| id.parse().unwrap())
        .collect();
    ids.try_into().unwrap()
}

fn lives(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
}

async fn gone(ids: [i32; 2]) {
    soon("the end of the command", async {
        while ids.into_iter().any(lives) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

async fn started() -> (Gateway, Home, Node, Caller) {
    let gateway = Gateway::listen().await;
    let home = Home::open();
    let node = home.start(&gateway).await;
    let caller = gateway.node().await;
    (gateway, home, node, caller)
}

#[tokio::test]
async fn a_time_out_ends_the_whole_group() {
    let (_gateway, home, _node, mut caller) = started().await;
    let ids = long_command(&home, &mut caller, json!({"timeoutMs": 1_000})).await;
    let result = caller.result().await.unwrap();
    assert_eq!(
        (&result["timedOut"], &result["success"]),
        (&json!(true), &json!(false))
    );
    assert!(result.get("exitCode").is_none());
    gone(ids).await;
}

#[tokio::test]
async fn a_lost_connection_ends_what_ran_for_it() {
    let (gateway, home, _node, mut caller) = started().await;
    let ids = long_command(&home, &mut caller, json!({"idempotencyKey": "k"})).await;
    drop(caller);
    gone(ids).await;
    // It is not begun again under the same key.
    let mut caller = gateway.node().await;
    let script = "sleep 600 & echo $$ $! > ids.new; mv ids.new ids; wait";
    let params = json!({"command": ["/bin/sh", "-c", script]});
    caller
        .request("2", "system.run", params, json!({"idempotencyKey": "k"}))
        .await;
    assert!(
        caller
            .result()
            .await
            .unwrap_err()
            .contains("its answer is gone")
    );
}

#[tokio::test]
async fn a_cancelled_request_ends_and_is_not_answered() {
    let (_gateway, home, _node, mut caller) = started().await;
    let ids = long_command(&home, &mut caller, json!({})).await;
    caller
        .send(json!({"type": "event", "event": "node.invoke.cancel", "payload": {"id": "long"}}))
        .await;
    gone(ids).await;
    caller
        .request("2", "system.which", json!({"bins": ["ls"]}), json!({}))
        .await;
    assert_eq!(caller.next("node.invoke.result").await["id"], "2");
}

#[tokio::test]
async fn a_stop_is_clean() {
    let (_gateway, home, mut node, mut caller) = started().await;
    let ids = long_command(&home, &mut caller, json!({})).await;
    kill(Pid::from_raw(node.pid()), Signal::SIGTERM).unwrap();
    assert_eq!(caller.closed().await, Some(1000));
    node.says("stopped").await;
    let status = soon("its end", node.child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(0));
    gone(ids).await;
}

#[tokio::test]
async fn a_stop_while_waiting_is_clean_too() {
    let gateway = Gateway::listen().await;
    let home = Home::open();
    let mut node = home.start(&gateway).await;
    let caller = gateway.caller().await;
    caller
        .refuse("NOT_PAIRED", "pairing required", json!({"requestId": "r"}))
        .await;
    node.says("retrying").await;
    kill(Pid::from_raw(node.pid()), Signal::SIGINT).unwrap();
    let status = soon("its end", node.child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(0));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_killed_node_host_takes_its_commands_with_it() {
    let (_gateway, _home, mut node, mut caller) = started().await;
    let params = json!({"command": ["sleep", "600"]});
    caller.request("1", "system.run", params, json!({})).await;
    let node_pid = node.pid();
    let child = soon("the command's beginning", async {
        loop {
            let tasks = format!("/proc/{node_pid}/task/{node_pid}/children");
            let children = std::fs::read_to_string(tasks).unwrap();
            if let Some(child) = children.split_whitespace().next() {
                return child.parse::<i32>().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    node.child.kill().await.unwrap();
    gone([child, child]).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn secrets_show_nowhere() {
    let (_gateway, _home, node, mut caller) = started().await;
    for part in ["cmdline", "environ"] {
        let text = std::fs::read(format!("/proc/{}/{part}", node.pid())).unwrap();
        assert!(
            !String::from_utf8_lossy(&text).contains("shared-secret"),
            "{part}"
        );
    }
    let result = caller
        .invoke("system.run", json!({"command": ["sh", "-c", "env; cat"]}))
        .await
        .unwrap();
    assert!(!result["stdout"].as_str().unwrap().contains("shared-secret"));
}
