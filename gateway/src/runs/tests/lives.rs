//! Two lives of the gateway side by side: what one is asked to stop, the other one may be doing.

use std::time::Duration;

use openclaw_shared::clock::WallTime;
use openclaw_shared::paths::StatePaths;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::{is_chat, say, until, until_after};
use crate::runs::{self, RunKind, RunRequest, Which, Work, journal};
use crate::services::session_key::SessionKey;
use crate::store::{StoreError, open_in_memory};
use crate::testing::Gateway;

fn stop_of(gateway: &Gateway, run: &'static str) -> Option<String> {
    let sql = "SELECT stop FROM runs WHERE id = ?1";
    let store = &gateway.context.store;
    store
        .read(|reader| reader.query_row(sql, [run], |row| row.get(0)))
        .unwrap()
}

#[tokio::test(flavor = "local")]
async fn what_the_life_before_does_is_stopped_by_a_word_in_the_store() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    // Runs are done once this life has looked at what others have left.
    let seen = say(&mut client, "hello", "c0").await;
    until_after(seen, &mut client, |it| is_chat(it, "c0", "final")).await;
    let request = RunRequest {
        run_id: "r1".to_owned(),
        kind: RunKind::Chat,
        session: SessionKey::of_canonical("agent:main:main"),
        asked_as: "main".to_owned(),
        work: Work::default(),
    };
    let elsewhere = gateway.context.store.write(move |tx| {
        journal::enter(tx, &request, "p", Some("elsewhere"), WallTime::now())?;
        let begun = "UPDATE runs SET state = 'running', has_left = 1 WHERE id = 'r1'";
        tx.execute(begun, [])?;
        Ok::<_, StoreError>(())
    });
    elsewhere.await.unwrap();
    gateway.context.runs.state().has_others = true;
    let wrong = json!({"sessionKey": "other", "runId": "r1"});
    let refused = client.call("chat.abort", wrong).await;
    let why = &refused["error"]["message"];
    assert_eq!(why, "runId does not match sessionKey", "{refused}");
    let params = json!({"sessionKey": "main", "runId": "r1"});
    let aborted = client.call("chat.abort", params).await;
    assert_eq!(
        aborted["payload"],
        json!({"ok": true, "aborted": true, "runIds": ["r1"]})
    );
    assert_eq!(stop_of(&gateway, "r1").as_deref(), Some("rpc"));
}

#[tokio::test(flavor = "local")]
async fn while_there_is_another_life_a_list_shows_at_once_what_it_has_written() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    // From then on this life has looked at what others have left.
    let seen = say(&mut client, "hello", "c0").await;
    until_after(seen, &mut client, |it| is_chat(it, "c0", "final")).await;
    gateway.context.runs.state().has_others = true;
    let path = StatePaths(&gateway.context.instance.identity.state_dir).store();
    let other = Connection::open(path).unwrap();
    other.busy_timeout(Duration::from_secs(10)).unwrap();
    for round in 0..20 {
        client.call("sessions.list", json!({})).await;
        let label = format!("l{round}");
        let sql = "UPDATE sessions SET label = ?1, entry = json_set(entry, '$.label', ?1)";
        assert_eq!(other.execute(sql, [&label]), Ok(1));
        let list = client.call("sessions.list", json!({})).await;
        let shown = &list["payload"]["sessions"][0]["label"];
        assert_eq!(*shown, label, "{list}");
        // What looks after the lives has found that there is no other.
        gateway.context.runs.state().has_others = true;
    }
}

#[tokio::test(flavor = "local")]
async fn a_life_that_leaves_stops_what_its_successor_asks_it_to_stop() {
    let mut gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let begins = |it: &Value| it["payload"]["data"]["phase"] == "start";
    let seen = say(&mut client, "/slow 60000\none two three", "c1").await;
    until_after(seen, &mut client, begins).await;
    let context = gateway.context.clone();
    let successor = async {
        while !context.runs.is_leaving() {
            tokio::task::yield_now().await;
        }
        let asked = context.store.write(|tx| {
            journal::ask_to_stop(
                tx,
                "successor",
                None,
                Some(("agent:main:main".into(), true)),
                "rpc",
            )
        });
        assert_eq!(asked.await, Ok::<_, StoreError>(vec!["c1".to_owned()]));
    };
    // The budget is much shorter than the run.
    tokio::join!(gateway.drain(), successor);
    let ended = runs::outcome(&gateway.context, "c1", None).await.unwrap();
    assert_eq!(ended.unwrap().aborted.as_deref(), Some("rpc"));
}

#[tokio::test(flavor = "local")]
async fn what_was_left_to_the_successor_is_stopped_when_nobody_waits_for_it_any_more() {
    let mut gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let seen = say(&mut client, "/slow 1000\none two three", "c1").await;
    until_after(seen, &mut client, |it| is_chat(it, "c1", "delta")).await;
    say(&mut client, "later", "c2").await;
    gateway.drain().await;
    let stopped = runs::stop(&gateway.context, Which::Run("c2"), "disconnect").await;
    assert_eq!(stopped.unwrap(), ["c2"]);
    // The successor takes it up, and closes it.
    let successor = gateway.context.store.write(|tx| {
        let adopted = journal::adopt(tx, "successor")?;
        let asked = journal::asked_to_stop(tx, "successor")?;
        Ok::<_, StoreError>((adopted.len(), asked))
    });
    let asked = vec![("c2".to_owned(), "disconnect".to_owned())];
    assert_eq!(successor.await, Ok((1, asked)));
}

#[tokio::test(flavor = "local")]
async fn what_is_taken_up_and_was_to_be_stopped_never_begins() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    super::left_behind_with(&gateway, ("main", "r1"), "accepted", false, |tx| {
        tx.execute("UPDATE runs SET stop = 'disconnect'", [])?;
        Ok(())
    })
    .await;
    runs::estate::take_over(&gateway.context).await;
    until(&mut client, |it| is_chat(it, "r1", "aborted")).await;
    let history: Value = client
        .call("chat.history", json!({"sessionKey": "main"}))
        .await;
    assert_eq!(history["payload"]["messages"], json!([]), "{history}");
}

fn enter(store: &Connection, run: &str, session: &str, life: &str) {
    let row = r#"INSERT INTO runs (id, session_key, kind, request, params, state, life, accepted_ms)
        VALUES (?1, ?2, 'chat', '{"askedAs": "main"}', '', 'accepted', ?3, 1)"#;
    store.execute(row, [run, session, life]).unwrap();
}

/// Whatever two lives begin, end and leave to each other, in whatever order: a session has one run under way.
#[test]
fn two_lives_never_have_a_run_under_way_in_one_session_at_once() {
    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;

    let now = WallTime::from_millis(1);
    let steps = proptest::collection::vec((0_u8..5, 0_usize..2, 0_usize..8), 1..60);
    let mut runner = TestRunner::default();
    let checked = runner.run(&steps, |steps| {
        let store = open_in_memory().unwrap();
        let lives = ["a", "b"];
        for run in 0..8 {
            enter(
                &store,
                &format!("r{run}"),
                &format!("s{}", run % 3),
                lives[run % 2],
            );
        }
        for (what, life, run) in steps {
            let (life, run) = (lives[life], run);
            let (id, session) = (format!("r{run}"), format!("s{}", run % 3));
            match what {
                0 | 1 => {
                    // Within a life the lanes see to it.
                    let own: i64 = store
                        .query_row(
                            "SELECT count(*) FROM runs WHERE state = 'running' AND session_key = ?1 AND life = ?2",
                            [&session, life],
                            |row| row.get(0),
                        )
                        .unwrap();
                    if own == 0 {
                        journal::begin(&store, &id, &session, life, now).unwrap();
                    }
                }
                2 => {
                    let outcome = runs::Outcome::ended(runs::RunStatus::Ok, None, 1);
                    journal::end(&store, &id, &outcome).unwrap();
                }
                3 => {
                    journal::release(&store, life).unwrap();
                }
                _ => {
                    journal::adopt(&store, life).unwrap();
                }
            }
            let most: i64 = store
                .query_row(
                    "SELECT coalesce(max(n), 0) FROM (
                         SELECT count(*) AS n FROM runs WHERE state = 'running' GROUP BY session_key)",
                    [],
                    |row| row.get(0),
                )
                .unwrap();
            prop_assert!(most <= 1, "{most} at once");
        }
        Ok(())
    });
    checked.unwrap();
}
