//! What the configuration does not let an agent execute by itself waits for a person, who is shown what would run; nothing outlives the
//! call.

use openclaw_tests::client::Client;
use openclaw_tests::eventually::eventually;
use openclaw_tests::model_server::Script;
use openclaw_tests::{faults, process};
use serde_json::{Value, json};

use super::Stage;

async fn stage(command: &str) -> Stage {
    let exec = json!({"security": "allowlist", "ask": "always"});
    let stage = Stage::with(json!({"tools": {"exec": exec}})).await;
    let call = json!({ "command": command });
    stage
        .model
        .play([Script::call("exec", call, ""), Script::say("Hello")]);
    stage
}

/// Has an agent asked to run a command, answers like this when a person is asked, and says what the model was told.
async fn answered(stage: &Stage, decision: &str) -> (Value, String) {
    let mut person = stage.instance.client().await;
    let asked = async {
        let wish = person.event("exec.approval.requested").await["payload"].clone();
        let params = json!({"id": wish["id"], "decision": decision});
        let resolved = person.call("exec.approval.resolve", params).await;
        resolved.expect("a decision");
        wish
    };
    let (wish, told) = tokio::join!(asked, stage.ask("s", json!({})));
    assert_eq!(told.texts(), ["Hello"]);
    let messages = &stage.last_asked().body["messages"];
    let result = messages.as_array().unwrap().last().unwrap().clone();
    assert_eq!(result["role"], "tool", "{result}");
    (wish, result["content"].to_string())
}

#[tokio::test]
async fn rule_49_a_command_runs_when_a_person_has_approved_it() {
    let stage = stage("echo sum-$((40 + 2))").await;
    let (wish, result) = answered(&stage, "allow-once").await;
    assert_eq!(wish["request"]["command"], "echo sum-$((40 + 2))");
    assert_eq!(wish["request"]["host"], "gateway");
    assert_eq!(wish["request"]["sessionKey"], "agent:main:s");
    assert!(result.contains("sum-42"), "{result}");
}

#[tokio::test]
async fn a_command_does_not_run_when_a_person_has_denied_it() {
    let stage = stage("echo sum-$((40 + 2)) > made").await;
    let (_, result) = answered(&stage, "deny").await;
    assert!(result.contains("exec denied: user-denied"), "{result}");
    assert!(!result.contains("sum-42"));
}

/// Waits for what a run waits for, and stops the run.
async fn asked_and_left(client: &mut Client) -> Value {
    let wish = client.event("exec.approval.requested").await["payload"].clone();
    let params = json!({"sessionKey": "agent:main:s"});
    client.call("chat.abort", params).await.expect("it stops");
    wish
}

#[tokio::test]
async fn nobody_can_approve_what_nobody_waits_for() {
    let stage = stage("echo a > made").await;
    let mut client = stage.instance.client().await;
    let params = json!({"sessionKey": "agent:main:s", "message": "hi", "idempotencyKey": "left"});
    client.call("chat.send", params).await.expect("it is taken");
    let wish = asked_and_left(&mut client).await;
    let waited = client
        .call("agent.wait", json!({"runId": "left", "timeoutMs": 30_000}))
        .await;
    assert_ne!(waited.expect("it is known")["status"], "timeout");
    let params = json!({"id": wish["id"], "decision": "allow-once"});
    let error = client.call("exec.approval.resolve", params).await;
    assert!(error.is_err(), "{error:?}");
    assert_eq!(stage.model.counts().asked, 1);
}

#[tokio::test]
async fn what_a_command_has_started_ends_with_its_keeper() {
    let exec = json!({"tools": {"exec": {"security": "full", "ask": "off"}}});
    let stage = Stage::with(exec).await;
    let mark = stage.instance.home().path().join("pids");
    let mark = mark.display();
    let command = format!("sleep 600 & echo $! $$ > {mark}.new; mv {mark}.new {mark}; sleep 600");
    let call = json!({ "command": command });
    stage
        .model
        .play([Script::call("exec", call, ""), Script::say("Hello")]);
    let killed = async {
        let pids: Vec<i32> = eventually("the command runs", async || {
            let text = std::fs::read_to_string(mark.to_string());
            let text = text.map_err(|error| error.to_string())?;
            let pids = text.split_whitespace().map(str::parse);
            pids.collect::<Result<Vec<i32>, _>>()
                .map_err(|_| format!("{text:?}"))
        })
        .await;
        let shell = process::find(pids[1]).expect("the shell");
        faults::kill(shell.parent).await;
        for pid in pids {
            eventually(
                "what was started is gone",
                async || match process::is_alive(pid) {
                    false => Ok(()),
                    true => Err("it runs"),
                },
            )
            .await;
        }
    };
    let ((), told) = tokio::join!(killed, stage.ask("s", json!({})));
    assert_eq!(told.texts(), ["Hello"]);
    let asked = stage.last_asked().body["messages"].to_string();
    assert!(asked.contains("killed with its keeper"), "{asked}");
}
