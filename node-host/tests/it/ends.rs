//! Nothing that was started stays behind.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use openclaw_tests::eventually::{eventually, soon};
use serde_json::{Value, json};

use crate::stub::{Caller, Gateway, Home, Node};

const LONG: &str = "sleep 600 & echo $$ $! > ids.new; mv ids.new ids; wait";

/// Begins a command with a grandchild, and gives the ids of both.
async fn long_command(home: &Home, caller: &mut Caller, more: Value) -> [i32; 2] {
    begin(home, caller, LONG, more).await
}

/// Begins a command that writes two ids into a file.
async fn begin(home: &Home, caller: &mut Caller, script: &str, more: Value) -> [i32; 2] {
    let params = json!({"command": ["/bin/sh", "-lc", script]});
    caller.request("long", "system.run", params, more).await;
    let ids = eventually("the command has begun", async || {
        std::fs::read_to_string(home.path("ids"))
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
    eventually("the command has ended", async || {
        match ids.into_iter().find(|id| lives(*id)) {
            Some(id) => Err(format!("{id} lives")),
            None => Ok(()),
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
    let ids = long_command(&home, &mut caller, json!({"timeoutMs": 5_000})).await;
    let result = caller.result().await.unwrap();
    assert_eq!(
        (&result["timedOut"], &result["success"]),
        (&json!(true), &json!(false))
    );
    assert!(result.get("exitCode").is_none());
    gone(ids).await;
}

/// A gateway that is replaced, or a network that is gone for a moment, costs no command: whoever asks again under the same key gets
/// the answer, and it is carried out once.
#[tokio::test]
async fn a_lost_connection_does_not_end_what_ran_for_it() {
    let (gateway, home, _node, mut caller) = started().await;
    let script = "echo x >> runs; echo $$ $$ > ids.new; mv ids.new ids; \
        while ! test -f on; do sleep 0.01; done; echo done";
    let params = json!({"command": ["/bin/sh", "-lc", script], "runId": "r"});
    let key = json!({"idempotencyKey": "k"});
    let ids = begin(
        &home,
        &mut caller,
        script,
        json!({"idempotencyKey": "other"}),
    )
    .await;
    caller
        .request("1", "system.run", params.clone(), key.clone())
        .await;
    eventually("the second has begun", async || {
        let runs = std::fs::read_to_string(home.path("runs")).unwrap();
        if runs == "x\nx\n" { Ok(()) } else { Err(runs) }
    })
    .await;
    caller.close(1012).await;
    let mut caller = gateway.node().await;
    assert!(ids.into_iter().all(lives));
    caller.request("2", "system.run", params, key).await;
    std::fs::write(home.path("on"), "").unwrap();
    // Who asked on the lost connection is not answered on this one. What happened is told all the same.
    let mut told = Vec::new();
    while told.len() < 3 {
        let frame = caller.receive().await;
        let payload = frame["params"]["payloadJSON"].as_str().unwrap();
        let payload: Value = serde_json::from_str(payload).unwrap();
        if frame["method"] == "node.event" {
            told.push(payload["output"].clone());
        } else {
            assert_eq!(frame["params"]["id"], "2");
            told.push(payload["stdout"].clone());
        }
    }
    told.sort_by_key(Value::to_string);
    assert_eq!(told, ["done", "done", "done\n"]);
    assert_eq!(
        std::fs::read_to_string(home.path("runs")).unwrap(),
        "x\nx\n"
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

/// A request that was made again after a lost connection is the one that is waited for.
#[tokio::test]
async fn a_request_that_was_made_again_is_cancelled_by_its_new_id() {
    let (gateway, home, _node, mut caller) = started().await;
    let key = json!({"idempotencyKey": "k"});
    let ids = long_command(&home, &mut caller, key.clone()).await;
    drop(caller);
    let mut caller = gateway.node().await;
    let params = json!({"command": ["/bin/sh", "-lc", LONG]});
    caller.request("again", "system.run", params, key).await;
    for id in ["long", "again"] {
        assert!(ids.into_iter().all(lives));
        caller
            .send(json!({"type": "event", "event": "node.invoke.cancel", "payload": {"id": id}}))
            .await;
        // Its answer shows that the cancel before it was read.
        caller
            .invoke("system.which", json!({"bins": ["ls"]}))
            .await
            .unwrap();
    }
    gone(ids).await;
}

#[tokio::test]
async fn a_stop_while_the_gateway_is_away_ends_what_goes_on() {
    let (_gateway, home, mut node, mut caller) = started().await;
    let ids = long_command(&home, &mut caller, json!({})).await;
    caller.close(1012).await;
    node.says("retrying").await;
    kill(Pid::from_raw(node.pid()), Signal::SIGTERM).unwrap();
    soon("its end", node.child.wait()).await.unwrap();
    gone(ids).await;
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

#[tokio::test]
async fn a_killed_node_host_takes_its_commands_with_it() {
    let (_gateway, home, mut node, mut caller) = started().await;
    let ids = long_command(&home, &mut caller, json!({})).await;
    node.child.kill().await.unwrap();
    gone(ids).await;
}

/// The form in which agents send everything. A signal to the shell alone would leave what it has started.
#[tokio::test]
async fn a_killed_node_host_takes_compound_commands_with_it() {
    let (_gateway, home, mut node, mut caller) = started().await;
    let script =
        "sleep 600 & one=$!; sleep 600 & echo $one $! > ids.new; mv ids.new ids; sleep 600; true";
    let ids = begin(&home, &mut caller, script, json!({})).await;
    node.child.kill().await.unwrap();
    gone(ids).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_killed_node_host_leaves_no_other_session_behind() {
    let (_gateway, home, mut node, mut caller) = started().await;
    let script =
        "setsid sh -c 'sleep 600 & echo $$ $! > ids.new; mv ids.new ids; wait' & sleep 600";
    let ids = begin(&home, &mut caller, script, json!({})).await;
    node.child.kill().await.unwrap();
    gone(ids).await;
}

/// Not even by killing what watches over it does a command get away.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_killed_keeper_leaves_nothing_behind() {
    let (_gateway, home, _node, mut caller) = started().await;
    let script = "setsid sh -c 'sleep 600 & echo $$ $! > ids.new; mv ids.new ids; wait' & \
        while ! test -f ids; do sleep 0.01; done; kill -9 $PPID; sleep 600";
    let ids = begin(&home, &mut caller, script, json!({})).await;
    let result = caller.result().await.unwrap();
    assert_eq!(result["error"], "the command was killed with its keeper");
    gone(ids).await;
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
