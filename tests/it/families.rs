//! Sessions, cron, wake-ups and wake words: what was acknowledged is there after a kill -9 of the gateway.

use openclaw_shared::control::ChildName;
use openclaw_tests::client::Client;
use openclaw_tests::faults::kill;
use openclaw_tests::home::Home;
use serde_json::{Value, json};

/// Kills of the gateway, each after some acknowledged writes.
const ROUNDS: usize = 3;
/// Writes of each kind before a kill.
const WRITES: usize = 5;

async fn ok(client: &mut Client, method: &str, params: Value) -> Value {
    client
        .call(method, params)
        .await
        .unwrap_or_else(|error| panic!("{method}: {error:?}"))
}

#[tokio::test]
async fn a_kill_right_after_the_acknowledgements_loses_nothing() {
    let instance = Home::new().launch().ready().await;
    let (mut sessions, mut jobs, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let before = instance.child(ChildName::Gateway).await;
        let mut client = instance.client().await;
        let mut triggers = json!(null);
        for write in 0..WRITES {
            let name = format!("{round}-{write}");
            let patch = json!({"key": format!("s-{name}"), "label": name});
            sessions.push(ok(&mut client, "sessions.patch", patch).await["key"].clone());
            let job = json!({
                "name": name, "schedule": {"kind": "every", "everyMs": 60_000},
                "payload": {"kind": "systemEvent", "text": name},
            });
            jobs.push(ok(&mut client, "cron.add", job).await["id"].clone());
            let note = json!({"mode": "next-heartbeat", "text": name});
            assert_eq!(ok(&mut client, "wake", note).await, json!({"ok": true}));
            notes.push(json!(name));
            triggers = ok(&mut client, "voicewake.set", json!({"triggers": [name]})).await;
        }
        kill(instance.pid_of(ChildName::Gateway).await).await;
        instance.until_later_life(ChildName::Gateway, &before).await;
        let mut client = instance.client().await;
        let list = ok(&mut client, "sessions.list", json!({})).await;
        let rows = list["sessions"].as_array().unwrap();
        let keys: Vec<&Value> = rows.iter().map(|row| &row["key"]).collect();
        assert!(
            sessions.iter().all(|key| keys.contains(&key)),
            "{sessions:?} {keys:?}"
        );
        let list = ok(&mut client, "cron.list", json!({})).await;
        let listed = list["jobs"].as_array().unwrap();
        let ids: Vec<&Value> = listed.iter().map(|job| &job["id"]).collect();
        assert_eq!(ids, jobs.iter().collect::<Vec<_>>());
        let status = ok(&mut client, "status", json!({})).await;
        assert_eq!(status["queuedSystemEvents"], json!(notes));
        assert_eq!(status["sessions"]["count"], json!(sessions.len()));
        assert_eq!(ok(&mut client, "voicewake.get", json!({})).await, triggers);
    }
}

/// Threat rules 35, 36 and 58, against the real binaries: rights come first, and a planted path leads nowhere.
#[tokio::test]
async fn rule_58_a_planted_path_writes_nothing_outside_of_the_store() {
    let instance = Home::new().launch().ready().await;
    let mut client = instance.client().await;
    for key in ["../../../../etc/passwd", "agent:../../x:main"] {
        let refused = client.call("sessions.patch", json!({"key": key})).await;
        let refused = format!("{:?}", refused.unwrap_err());
        assert!(refused.contains("invalid session key"), "{refused}");
    }
    let removed = ok(&mut client, "cron.remove", json!({"id": "../../x"})).await;
    assert_eq!(removed, json!({"ok": true, "removed": false}));
}
