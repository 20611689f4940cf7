//! What an agent may not call is offered to no model and done for nobody, whichever door a run comes in by.

use openclaw_tests::home::TOKEN;
use openclaw_tests::http;
use openclaw_tests::model_server::{Asked, Script};
use serde_json::{Value, json};

use super::Stage;

/// What hooks must carry.
const SECRET: &str = "hook-secret-77aa";

/// The names of the tools that were offered.
fn offered(asked: &Asked) -> Vec<&str> {
    let tools = asked.body["tools"].as_array().into_iter().flatten();
    let names = tools.map(|tool| tool["function"]["name"].as_str());
    names.map(Option::unwrap).collect()
}

async fn stage() -> Stage {
    Stage::with(json!({
        "tools": {"deny": ["exec", "cron"]},
        "agents": {"list": [
            {"id": "main", "default": true},
            {"id": "careful", "tools": {"allow": ["read", "exec"]}},
        ]},
        "hooks": {"enabled": true, "token": SECRET},
        "gateway": {
            "http": {"endpoints": {"chatCompletions": {"enabled": true}, "responses": {"enabled": true}}},
            // Even who names it for programs does not get what agents do not have.
            "tools": {"allow": ["exec", "cron"]},
        },
    }))
    .await
}

async fn post(stage: &Stage, path: &str, secret: &str, body: &Value) -> http::Answer {
    let port = stage.instance.home().port();
    let request = http::post(port, path, secret, &[], body);
    let answer = http::exchange(port, request.as_bytes()).await;
    answer.unwrap_or_else(|got| panic!("{path}: {got:?}"))
}

async fn call(stage: &Stage, method: &str, params: Value) {
    let mut client = stage.instance.client().await;
    let answer = client.call(method, params).await;
    answer.unwrap_or_else(|error| panic!("{method}: {error}"));
}

#[tokio::test]
async fn a_denied_tool_is_offered_at_no_door() {
    let stage = stage().await;
    let doors: [(&str, &str); 9] = [
        ("agent", "main"),
        ("agent of another agent", "careful"),
        ("chat.send", "main"),
        ("/v1/chat/completions", "main"),
        ("/v1/responses", "careful"),
        ("/hooks/agent", "main"),
        ("cron", "main"),
        ("heartbeat", "main"),
        ("task of an agent", "main"),
    ];
    for (door, agent) in doors {
        let before = stage.model.counts().asked;
        let mut expected = 1;
        match door {
            "agent" | "agent of another agent" => {
                let key = format!("agent:{agent}:{}", door.len());
                stage.ask_as(&key, json!({})).await.texts();
            }
            "chat.send" => {
                let params = json!({"sessionKey": "side", "message": "hi", "idempotencyKey": door});
                call(&stage, door, params).await;
            }
            "/v1/chat/completions" => {
                let body =
                    json!({"model": "openclaw", "messages": [{"role": "user", "content": "hi"}]});
                assert_eq!(post(&stage, door, TOKEN, &body).await.status, 200);
            }
            "/v1/responses" => {
                let body = json!({"model": format!("openclaw:{agent}"), "input": "hi"});
                assert_eq!(post(&stage, door, TOKEN, &body).await.status, 200);
            }
            "/hooks/agent" => {
                let body = json!({"message": "hi", "wakeMode": "next-heartbeat", "deliver": false});
                assert_eq!(post(&stage, door, SECRET, &body).await.status, 202);
            }
            "cron" => {
                let payload = json!({"kind": "agentTurn", "message": "hi"});
                let schedule = json!({"kind": "at", "atMs": 1});
                let job =
                    json!({"name": "J", "enabled": true, "schedule": schedule, "payload": payload});
                call(&stage, "cron.add", job).await;
            }
            "heartbeat" => {
                call(&stage, "wake", json!({"mode": "now", "text": "drink"})).await;
            }
            "task of an agent" => {
                let task = Script::call("sessions_spawn", json!({"task": "count"}), "");
                stage.model.play([task]);
                stage.ask("giver", json!({})).await.texts();
                // The one that gives it twice, the one that does it, and the first again, which is told.
                expected = 4;
            }
            other => panic!("{other}"),
        }
        let enough = before + expected;
        stage
            .model
            .until(door, |counts| counts.asked >= enough)
            .await;
        for asked in &stage.model.asked()[before..enough] {
            let names = offered(asked);
            assert!(names.contains(&"read"), "{door}: {names:?}");
            for denied in ["exec", "cron"] {
                assert!(!names.contains(&denied), "{door}: {names:?}");
            }
            assert!(
                agent == "main" && names.contains(&"write") || names == ["read"],
                "{door}: {names:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_denied_tool_is_called_by_no_program_and_by_no_model() {
    let stage = stage().await;
    let mark = stage.instance.home().path().join("mark");
    let arguments = json!({"command": format!("touch {}", mark.display())});
    let body = json!({"tool": "exec", "args": arguments});
    let answer = post(&stage, "/tools/invoke", TOKEN, &body).await;
    assert_eq!(answer.status, 404, "{}", answer.text());
    assert!(answer.text().contains("Tool not available: exec"));
    let question = json!({"model": "openclaw", "messages": [{"role": "user", "content": "hi"}]});
    let call = Script::call("exec", arguments, "");
    stage.model.play([call, Script::say("well")]);
    let answer = post(&stage, "/v1/chat/completions", TOKEN, &question).await;
    assert!(answer.text().contains("well"), "{}", answer.text());
    assert!(!mark.exists());
}
