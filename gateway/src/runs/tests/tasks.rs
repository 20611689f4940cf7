//! What one agent asks another one for: whoever asked hears of the end, and stops it by stopping.

use openclaw_shared::clock::WallTime;
use serde_json::json;

use super::{is_chat, until};
use crate::runs::{self, RunKind, RunRequest, Work, journal};
use crate::services::session_key::SessionKey;
use crate::store::StoreError;
use crate::testing::Gateway;

const GIVER: &str = "agent:main:main";

/// A task of the main session.
fn task(run: &str, message: &str) -> RunRequest {
    let session = SessionKey::of_canonical(&format!("agent:main:subagent:{run}"));
    RunRequest {
        run_id: run.to_owned(),
        kind: RunKind::Subagent,
        asked_as: session.to_string(),
        session,
        work: Work {
            agent: "main".to_owned(),
            message: message.to_owned(),
            label: Some("leaves".to_owned()),
            spawned_by: Some(GIVER.to_owned()),
            ..Work::default()
        },
    }
}

fn announcements(gateway: &Gateway) -> Vec<String> {
    let rows = gateway.context.store.read(|reader| {
        let mut found = reader.prepare("SELECT id FROM runs WHERE id LIKE 'announce:%'")?;
        let rows = found.query_map([], |row| row.get(0))?;
        rows.collect::<Result<Vec<String>, _>>()
    });
    rows.unwrap()
}

#[tokio::test(flavor = "local")]
async fn a_task_that_its_life_did_not_survive_is_told_to_whoever_gave_it_once() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let request = task("t1", "count the leaves");
    let left = gateway.context.store.write(move |tx| {
        journal::enter(tx, &request, "p", Some("dead"), WallTime::now())?;
        // No process has this number.
        tx.execute_batch(
            "INSERT INTO lives (life, pid, born) VALUES ('dead', 2147483646, 1);
             UPDATE runs SET state = 'running', has_left = 1",
        )?;
        Ok::<_, StoreError>(())
    });
    left.await.unwrap();
    for _ in 0..2 {
        runs::estate::take_over(&gateway.context).await;
    }
    let waited = client
        .call("agent.wait", json!({"runId": "announce:t1"}))
        .await;
    assert_eq!(waited["payload"]["status"], "ok", "{waited}");
    assert_eq!(announcements(&gateway), ["announce:t1"]);
    let history = client
        .call("chat.history", json!({"sessionKey": GIVER}))
        .await;
    let told = history["payload"]["messages"][0].to_string();
    for part in ["leaves", "Status: error", "under way"] {
        assert!(told.contains(part), "{part} in {told}");
    }
}

#[tokio::test(flavor = "local")]
async fn the_end_of_a_task_and_what_is_told_of_it_are_one_commit() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let refuse = gateway.context.store.write(|tx| {
        tx.execute_batch(
            "CREATE TRIGGER refuses BEFORE INSERT ON runs WHEN NEW.id LIKE 'announce:%'
             BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
        )?;
        Ok::<_, StoreError>(())
    });
    refuse.await.unwrap();
    runs::enter(&gateway.context, task("t1", "count"))
        .await
        .unwrap();
    until(&mut client, |it| is_chat(it, "t1", "delta")).await;
    let waited = client
        .call("agent.wait", json!({"runId": "t1", "timeoutMs": 300}))
        .await;
    assert_eq!(waited["payload"]["status"], "timeout");
    let allow = gateway
        .context
        .store
        .write(|tx| Ok::<_, StoreError>(tx.execute_batch("DROP TRIGGER refuses")?));
    allow.await.unwrap();
    let waited = client.call("agent.wait", json!({"runId": "t1"})).await;
    assert_eq!(waited["payload"]["status"], "ok");
    assert_eq!(announcements(&gateway), ["announce:t1"]);
}

#[tokio::test(flavor = "local")]
async fn whoever_is_stopped_or_gone_has_its_tasks_stopped_too() {
    for (method, params) in [
        ("chat.abort", json!({"sessionKey": "main"})),
        (
            "chat.send",
            json!({"sessionKey": "main", "message": "/stop", "idempotencyKey": "s"}),
        ),
        ("sessions.reset", json!({"key": "main"})),
    ] {
        let gateway = Gateway::start_with(
            &json!({"agents": {"defaults": {"subagents": {"maxConcurrent": 1}}}}),
        )
        .await;
        let (mut client, _) = gateway.client().await;
        // One is at work, the other waits for its place.
        for run in ["t1", "t2"] {
            runs::enter(&gateway.context, task(run, "/slow 20000\none two"))
                .await
                .unwrap();
        }
        let other = RunRequest {
            work: Work {
                spawned_by: Some("agent:main:elsewhere".to_owned()),
                ..task("t3", "hello").work
            },
            ..task("t3", "hello")
        };
        runs::enter(&gateway.context, other).await.unwrap();
        let answer = client.call(method, params).await;
        assert_eq!(answer["ok"], true, "{answer}");
        for run in ["t1", "t2"] {
            let ended = runs::outcome(&gateway.context, run, None).await.unwrap();
            assert!(ended.unwrap().aborted.is_some(), "{method} {run}");
        }
        // Tasks of others go on, and are told of.
        let ended = runs::outcome(&gateway.context, "t3", None).await.unwrap();
        assert_eq!(ended.unwrap().aborted, None);
        assert_eq!(announcements(&gateway), ["announce:t3"]);
    }
}
