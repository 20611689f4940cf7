//! A task that one agent gives another one belongs to the session that has given it: it ends with it, and what becomes of its own session
//! is decided once, also over two lives of the gateway.

use openclaw_shared::control::ChildName;
use openclaw_tests::client::Client;
use openclaw_tests::eventually::eventually;
use openclaw_tests::model_server::{Answer, End, ModelServer, Script};
use serde_json::{Value, json};

use super::{Stage, provider};
use crate::runs_survive;

/// A task that is at work.
struct Task {
    stage: Stage,
    /// Who does it.
    worker: ModelServer,
    session: String,
    run: String,
}

/// Has an agent give a task to another one, whose model answers like this.
async fn given(cleanup: &str, course: Answer) -> Task {
    let worker = ModelServer::start(Script::Answer(course)).await;
    let stage = Stage::with(json!({
        "models": {"providers": {"other": provider(&worker, "m2")}},
        "supervisor": {"drainTimeoutMs": 60_000},
    }))
    .await;
    let task = json!({"task": "count the leaves", "label": "leaves", "cleanup": cleanup, "model": "other/m2"});
    stage.model.play([Script::call("sessions_spawn", task, "")]);
    stage.ask("giver", json!({})).await.texts();
    let kept = stage.history("giver").await;
    let result = kept.iter().find(|it| it["role"] == "toolResult").unwrap();
    let result = result["content"][0]["text"].as_str().unwrap();
    let result: Value = serde_json::from_str(result).unwrap();
    let word = |key: &str| result[key].as_str().unwrap().to_owned();
    worker
        .until("the task is at work", |counts| counts.asked == 1)
        .await;
    Task {
        stage,
        worker,
        session: word("childSessionKey"),
        run: word("runId"),
    }
}

async fn sessions(client: &mut Client) -> Vec<String> {
    let listed = client.call("sessions.list", json!({})).await.unwrap();
    let rows = listed["sessions"].as_array().unwrap().iter();
    rows.map(|row| row["key"].as_str().unwrap().to_owned())
        .collect()
}

impl Task {
    /// How it ended, when its giver has been told and its own session is gone.
    async fn ended_and_gone(&self) -> Value {
        let Self {
            stage,
            session,
            run,
            ..
        } = self;
        let ended = runs_survive::ended(&stage.instance, run).await;
        let told = runs_survive::ended(&stage.instance, &format!("announce:{run}")).await;
        assert_eq!(told["status"], "ok", "{told}");
        eventually("its session is gone", async || {
            let left = sessions(&mut stage.instance.client().await).await;
            match left.contains(session) {
                true => Err(format!("{left:?}")),
                false => Ok(()),
            }
        })
        .await;
        ended
    }

    /// What its giver was told.
    async fn told(&self) -> String {
        json!(self.stage.history("giver").await).to_string()
    }
}

#[tokio::test]
async fn a_session_that_is_deleted_takes_its_tasks_along() {
    let task = given("keep", Answer::tokens(3).ending(End::Stall)).await;
    let mut client = task.stage.instance.client().await;
    let giver = json!({"key": "agent:main:giver"});
    let deleted = client.call("sessions.delete", giver).await.unwrap();
    assert_eq!(deleted["deleted"], true, "{deleted}");
    let params = json!({"runId": task.run, "timeoutMs": 30_000});
    let ended = client.call("agent.wait", params).await.unwrap();
    assert_eq!(ended["status"], "ok", "it was stopped: {ended}");
    task.worker
        .until("its socket is closed", |counts| counts.open == 0)
        .await;
    let params = json!({"sessionKey": task.session});
    let history = client.call("chat.history", params).await.unwrap();
    assert_eq!(history["messages"][1]["stopReason"], "aborted", "{history}");
    // Nobody is told of it, and what was deleted does not come back.
    let left = sessions(&mut client).await;
    assert!(!left.contains(&"agent:main:giver".to_owned()), "{left:?}");
    assert_eq!(task.stage.model.counts().asked, 2);
}

#[tokio::test]
async fn a_task_whose_session_is_to_go_ends_in_the_life_before_and_leaves_nothing_in_the_next() {
    let task = given("delete", Answer::tokens(4).held_after(2)).await;
    let instance = &task.stage.instance;
    instance.restart(Some(ChildName::Gateway)).await.unwrap();
    task.worker.go_on();
    let ended = task.ended_and_gone().await;
    assert_eq!(ended["status"], "ok", "{ended}");
    let told = task.told().await;
    assert!(told.contains("w0 w1 w2 w3"), "{told}");
    assert_eq!(task.worker.counts().asked, 1);
}

#[tokio::test]
async fn a_task_whose_session_is_to_go_and_that_was_killed_is_told_and_leaves_nothing() {
    let task = given("delete", Answer::tokens(3).ending(End::Stall)).await;
    runs_survive::kill(&task.stage.instance).await;
    let ended = task.ended_and_gone().await;
    assert_eq!(ended["status"], "error", "{ended}");
    let told = task.told().await;
    assert!(told.contains("Status: error"), "{told}");
    assert_eq!(task.worker.counts().asked, 1);
}
