//! Whoever holds the lease does what hooks have left, and tells of it once.

use std::time::Duration;

use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::protocol::params::heartbeat::WakeMode;
use rusqlite::Connection;

use super::{Ask, report};
use crate::runs::{self, Outcome, RunStatus, Which, Work};
use crate::services::hook_deliveries::{self, Delivery, Taken};
use crate::store::StoreError;
use crate::testing::{DEADLINE, Gateway};

fn ask(message: &str) -> Ask {
    Ask {
        name: "Mail".to_owned(),
        mode: WakeMode::NextHeartbeat,
        session: "agent:main:hook:mail".to_owned(),
        asked_as: "hook:mail".to_owned(),
        deliver: false,
        channel: "last".to_owned(),
        to: None,
        work: Work {
            agent: "main".to_owned(),
            message: message.to_owned(),
            ..Work::default()
        },
    }
}

async fn write(
    gateway: &Gateway,
    work: impl FnOnce(&Connection) -> Result<(), StoreError> + Send + 'static,
) {
    let done = gateway.context.store.write(move |tx| work(tx));
    done.await.unwrap();
}

async fn does(gateway: &Gateway, sql: &'static str) {
    write(gateway, move |tx| Ok(tx.execute_batch(sql)?)).await;
}

/// A hook was acknowledged, by whatever life.
async fn deliver(gateway: &Gateway, run: &'static str, message: &str) {
    let ask = ask(message);
    write(gateway, move |tx| {
        let delivery = Delivery {
            key: run.to_owned(),
            body: "b".to_owned(),
            kept_for: Duration::from_secs(3600),
        };
        let taken = hook_deliveries::take(tx, WallTime::now(), &delivery, run, Some(&ask))?;
        assert_eq!(taken, Taken::New);
        Ok(())
    })
    .await;
    gateway.context.hooks_bell.notify_one();
}

const TAKEN_AWAY: &str = "UPDATE lease SET pid = pid + 1";
const GIVEN_BACK: &str = "UPDATE lease SET pid = pid - 1";

fn count(gateway: &Gateway, sql: &str) -> i64 {
    let counted = gateway
        .context
        .store
        .read(|reader| reader.query_row(sql, [], |row| row.get(0)));
    counted.unwrap()
}

const RUNS: &str = "SELECT count(*) FROM runs";
const OPEN: &str = "SELECT count(*) FROM hook_deliveries WHERE ask IS NOT NULL";
const NOTES: &str = "SELECT count(*) FROM system_events WHERE text LIKE 'Hook Mail%'";

/// Waits until this many are counted.
async fn until(gateway: &Gateway, sql: &str, wanted: i64) {
    let begun = Moment::now();
    loop {
        let counted = count(gateway, sql);
        if counted == wanted {
            return;
        }
        assert!(Moment::now().since(begun) < DEADLINE, "{sql}: {counted}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn ended(gateway: &Gateway, run: &str) -> Outcome {
    let outcome = runs::outcome(&gateway.context, run, Some(DEADLINE)).await;
    outcome.unwrap().expect("it ends")
}

#[tokio::test(flavor = "local")]
async fn a_life_without_the_lease_takes_up_nothing() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    does(&gateway, TAKEN_AWAY).await;
    deliver(&gateway, "h1", "sum it up").await;
    // Whoever was woken by the bell has had its turn when an answer is here.
    for _ in 0..3 {
        client.call("status", serde_json::json!({})).await;
    }
    assert_eq!((count(&gateway, RUNS), count(&gateway, OPEN)), (0, 1));
    does(&gateway, GIVEN_BACK).await;
    gateway.context.hooks_bell.notify_one();
    until(&gateway, OPEN, 0).await;
    assert!(ended(&gateway, "h1").await.text().contains("sum it up"));
    assert_eq!((count(&gateway, RUNS), count(&gateway, NOTES)), (1, 1));
}

#[tokio::test(flavor = "local")]
async fn a_life_that_loses_the_lease_while_a_run_is_under_way_leaves_the_telling_to_the_next() {
    let gateway = Gateway::start().await;
    deliver(&gateway, "h1", "/slow 600000\none two three").await;
    until(&gateway, RUNS, 1).await;
    does(&gateway, TAKEN_AWAY).await;
    let stopped = runs::stop(&gateway.context, Which::Run("h1"), "stop").await;
    assert_eq!(stopped.unwrap(), ["h1"]);
    ended(&gateway, "h1").await;
    let (mut client, _) = gateway.client().await;
    for _ in 0..3 {
        client.call("status", serde_json::json!({})).await;
    }
    assert_eq!((count(&gateway, OPEN), count(&gateway, NOTES)), (1, 0));
    // The next one finds the run done, and tells of it once.
    does(&gateway, GIVEN_BACK).await;
    gateway.context.hooks_bell.notify_one();
    until(&gateway, OPEN, 0).await;
    assert_eq!((count(&gateway, RUNS), count(&gateway, NOTES)), (1, 1));
}

#[tokio::test(flavor = "local")]
async fn what_cannot_be_written_yet_is_told_later_and_once() {
    let gateway = Gateway::start().await;
    does(
        &gateway,
        "CREATE TRIGGER refuses BEFORE INSERT ON system_events
         BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
    )
    .await;
    deliver(&gateway, "h1", "sum it up").await;
    ended(&gateway, "h1").await;
    assert_eq!((count(&gateway, OPEN), count(&gateway, NOTES)), (1, 0));
    does(&gateway, "DROP TRIGGER refuses").await;
    until(&gateway, OPEN, 0).await;
    assert_eq!((count(&gateway, RUNS), count(&gateway, NOTES)), (1, 1));
}

#[test]
fn the_main_session_is_told_how_it_went_in_one_line() {
    let done = |change: fn(&mut Outcome)| {
        let mut outcome = Outcome::ended(RunStatus::Ok, None, 1);
        change(&mut outcome);
        Ok(outcome)
    };
    let says = |text: &'static str| {
        let mut outcome = Outcome::ended(RunStatus::Ok, None, 1);
        outcome.texts = vec![text.to_owned()];
        Ok(outcome)
    };
    for (done, expected) in [
        (says(" all is well "), Some("Hook Mail: all is well")),
        (says("HEARTBEAT_OK"), None),
        (says("NO_REPLY"), None),
        (says(""), None),
        (
            done(|it| it.model_error = Some("HTTP 500".to_owned())),
            Some("Hook Mail (error): HTTP 500"),
        ),
        (
            done(|it| it.status = RunStatus::Error),
            Some("Hook Mail (error): the run failed"),
        ),
        (
            done(|it| it.aborted = Some("stop".to_owned())),
            Some("Hook Mail (error): stop"),
        ),
        (
            Err("no such agent".to_owned()),
            Some("Hook Mail (error): no such agent"),
        ),
    ] {
        assert_eq!(report(&ask("x"), &done).as_deref(), expected);
    }
    let long = "x".repeat(3_000);
    let mut outcome = Outcome::ended(RunStatus::Ok, None, 1);
    outcome.texts = vec![long];
    let told = report(&ask("x"), &Ok(outcome)).unwrap();
    assert_eq!(told.chars().count(), "Hook Mail: ".len() + 2_000 + 1);
}
