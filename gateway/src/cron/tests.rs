use std::time::Duration;

use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::protocol::params::cron::CronJob;
use serde_json::{Value, json};

use super::{LOOK_AGAIN, SPREAD, SPREAD_AT_MOST, begin, spread, was_set_back};
use crate::phase::Phase;
use crate::services::cron::agenda::{Begun, Which};
use crate::testing::{Client, Gateway};

async fn ok(client: &mut Client, method: &str, params: Value) -> Value {
    let answer = client.call(method, params).await;
    assert_eq!(answer["ok"], true, "{method}: {answer}");
    answer["payload"].clone()
}

fn isolated(schedule: Value) -> Value {
    json!({"name": "N", "schedule": schedule, "payload": {"kind": "agentTurn", "message": "say this"}})
}

fn far() -> Value {
    json!({"kind": "at", "atMs": 4_000_000_000_000_u64})
}

fn in_a_moment() -> Value {
    json!({"kind": "at", "atMs": WallTime::now().as_millis() + 100})
}

/// So late that it can be looked at before.
fn soon() -> Value {
    json!({"kind": "at", "atMs": WallTime::now().as_millis() + 3_000})
}

/// The next event of a job.
async fn told(client: &mut Client, id: &Value, action: &str) -> Value {
    loop {
        let event = client.event("cron").await["payload"].clone();
        if event["jobId"] == *id && event["action"] == action {
            return event;
        }
    }
}

#[test]
fn what_was_missed_is_spread_and_the_first_does_not_wait() {
    let few: Vec<Duration> = spread(3).collect();
    assert_eq!(few, [Duration::ZERO, SPREAD, SPREAD * 2]);
    assert_eq!(spread(0).count(), 1);
    for count in [100, 10_000] {
        let waits: Vec<Duration> = spread(count).collect();
        assert!(waits.is_sorted() && waits[count - 1] <= SPREAD_AT_MOST);
        assert_eq!((waits.len(), waits[0]), (count, Duration::ZERO));
    }
}

#[test]
fn a_clock_that_is_set_back_is_noticed_and_one_that_is_corrected_is_not() {
    let moment = Moment::now();
    let check = |passed: u64, shown: i64| {
        let before = (moment, WallTime::from_millis(1_000_000_000));
        let wall = 1_000_000_000_u64.saturating_add_signed(shown * 1_000);
        let now = (
            moment + Duration::from_secs(passed),
            WallTime::from_millis(wall),
        );
        was_set_back(before, now)
    };
    assert!(!check(60, 60) && !check(60, 58) && !check(1, -2));
    // Forward, as when the machine slept.
    assert!(!check(60, 100_000));
    assert!(check(60, 0) && check(1, -60));
}

#[tokio::test(flavor = "local")]
async fn a_job_that_is_due_before_anybody_is_served_runs_as_soon_as_they_are() {
    let gateway = Gateway::start().await;
    // As when the store opens long before the supervisor gives the word.
    gateway.context.phases.set(Phase::Standby);
    let (mut client, _) = gateway.client().await;
    let job = ok(&mut client, "cron.add", isolated(in_a_moment())).await;
    let due = WallTime::from_millis(job["schedule"]["atMs"].as_u64().unwrap());
    tokio::time::sleep(due.since(WallTime::now()) + Duration::from_millis(20)).await;
    let state = &ok(&mut client, "cron.list", json!({})).await["jobs"][0]["state"];
    assert_eq!(state.get("runningAtMs"), None, "{state}");
    gateway.context.phases.set(Phase::Active);
    assert_eq!(
        told(&mut client, &job["id"], "finished").await["status"],
        "ok"
    );
}

#[tokio::test(flavor = "local")]
async fn a_job_that_comes_due_while_another_one_begins_is_not_forgotten() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let (mut watcher, _) = gateway.client().await;
    let at = |millis: u64| json!({"kind": "at", "atMs": WallTime::now().as_millis() + millis});
    // Its end rings no bell, as that of a run does.
    let note = json!({"kind": "systemEvent", "text": "remember"});
    let first = json!({"name": "M", "schedule": at(1_000), "payload": note});
    ok(&mut client, "cron.add", first).await;
    let second = ok(&mut client, "cron.add", isolated(at(1_500))).await;
    // The first one cannot begin before the second one is due.
    let held = gateway.hold_writes();
    let due = WallTime::from_millis(second["schedule"]["atMs"].as_u64().unwrap());
    tokio::time::sleep(due.since(WallTime::now()) + Duration::from_millis(100)).await;
    drop(held);
    let told = told(&mut watcher, &second["id"], "finished");
    let told = tokio::time::timeout(LOOK_AGAIN / 2, told).await;
    assert_eq!(told.expect("it is not forgotten")["status"], "ok");
}

#[tokio::test(flavor = "local")]
async fn a_job_runs_when_it_is_due_and_everybody_is_told() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let (mut watcher, _) = gateway.client().await;
    let job = ok(&mut client, "cron.add", isolated(soon())).await;
    let id = &job["id"];
    let due = &job["schedule"]["atMs"];
    assert_eq!(job["state"], json!({"nextRunAtMs": due}));
    assert_eq!(
        ok(&mut client, "cron.status", json!({})).await["nextWakeAtMs"],
        *due
    );
    let started = told(&mut watcher, id, "started").await;
    assert!(started["runAtMs"].as_u64() >= due.as_u64(), "{started}");
    let finished = told(&mut watcher, id, "finished").await;
    assert_eq!(finished["status"], "ok", "{finished}");
    assert_eq!(finished["runAtMs"], started["runAtMs"]);
    let summary = finished["summary"].as_str().unwrap();
    let question = format!("[cron:{} N] say this", id.as_str().unwrap());
    assert!(summary.contains(&question), "{summary}");
    let listed = ok(&mut client, "cron.list", json!({"includeDisabled": true})).await;
    let job = &listed["jobs"][0];
    assert_eq!(
        (&job["enabled"], &job["state"]["lastStatus"]),
        (&json!(false), &json!("ok"))
    );
    let entries = ok(&mut client, "cron.runs", json!({"id": id})).await["entries"].clone();
    assert_eq!(entries.as_array().unwrap().len(), 1, "{entries}");
    let queued = ok(&mut client, "status", json!({})).await["queuedSystemEvents"].clone();
    assert_eq!(queued, json!([format!("Cron: {summary}")]));
    let sessions = ok(&mut client, "sessions.list", json!({})).await;
    let key = format!("agent:main:cron:{}", id.as_str().unwrap());
    assert_eq!(sessions["sessions"][0]["key"], key);
}

#[tokio::test(flavor = "local")]
async fn a_job_that_is_asked_for_is_answered_at_its_end() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let job = ok(&mut client, "cron.add", isolated(far())).await;
    let id = job["id"].clone();
    assert_eq!(
        ok(&mut client, "cron.run", json!({"id": id})).await,
        json!({"ok": true, "ran": false, "reason": "not-due"})
    );
    assert_eq!(
        ok(
            &mut client,
            "cron.run",
            json!({"jobId": id, "mode": "force"})
        )
        .await,
        json!({"ok": true, "ran": true})
    );
    let entries = ok(&mut client, "cron.runs", json!({"id": id})).await["entries"].clone();
    assert_eq!(entries[0]["status"], "ok", "{entries}");
    let note = json!({"name": "M", "schedule": far(), "payload": {"kind": "systemEvent", "text": "remember"}, "deleteAfterRun": true});
    let note = ok(&mut client, "cron.add", note).await;
    let run = json!({"id": note["id"], "mode": "force"});
    assert_eq!(
        ok(&mut client, "cron.run", run).await,
        json!({"ok": true, "ran": true})
    );
    let listed = ok(&mut client, "cron.list", json!({"includeDisabled": true})).await;
    assert_eq!(listed["jobs"].as_array().unwrap().len(), 1);
    let status = ok(&mut client, "status", json!({})).await;
    assert_eq!(status["queuedSystemEvents"][1], "remember");
}

#[tokio::test(flavor = "local")]
async fn jobs_wait_for_a_place_and_are_switched_off_by_the_configuration() {
    let gateway = Gateway::start_with(&json!({"cron": {"enabled": false}})).await;
    let (mut client, _) = gateway.client().await;
    let job = ok(
        &mut client,
        "cron.add",
        isolated(json!({"kind": "at", "atMs": 1})),
    )
    .await;
    assert_eq!(job["state"]["nextRunAtMs"], 1);
    let status = ok(&mut client, "cron.status", json!({})).await;
    assert_eq!(
        (&status["enabled"], &status["nextWakeAtMs"]),
        (&json!(false), &Value::Null)
    );
    // It is due, so it runs when somebody asks for what is due.
    let ran = ok(
        &mut client,
        "cron.run",
        json!({"id": job["id"], "mode": "due"}),
    )
    .await;
    assert_eq!(ran["ran"], true);
}

#[tokio::test(flavor = "local")]
async fn a_run_that_a_life_before_has_begun_is_seen_through_once() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let (mut watcher, _) = gateway.client().await;
    let job = ok(&mut client, "cron.add", isolated(far())).await;
    let id = job["id"].as_str().unwrap().to_owned();
    // As a life leaves it that is killed after it has begun: nobody sees it through.
    let begun = begin(&gateway.context, &id, Which::Asked).await.unwrap();
    let Begun::Open(run) = begun else {
        panic!("{begun:?}");
    };
    let again = begin(&gateway.context, &id, Which::Asked).await.unwrap();
    assert_eq!(again, Begun::Running);
    gateway.context.cron.jobs_changed();
    told(&mut watcher, &job["id"], "finished").await;
    gateway.context.cron.jobs_changed();
    let count: i64 = gateway
        .context
        .store
        .read(|reader| {
            let sql = "SELECT count(*) FROM runs WHERE id = ?1";
            reader.query_row(sql, [&run.run_id], |row| row.get(0))
        })
        .unwrap();
    assert_eq!(count, 1);
    let entries = ok(&mut client, "cron.runs", json!({"id": id})).await["entries"].clone();
    assert_eq!(entries.as_array().unwrap().len(), 1, "{entries}");
}

#[tokio::test(flavor = "local")]
async fn a_job_whose_agent_is_gone_runs_as_the_default_one() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let mut spec = isolated(far());
    spec["agentId"] = json!("gone");
    let job = ok(&mut client, "cron.add", spec).await;
    let kept: CronJob = serde_json::from_value(job.clone()).unwrap();
    assert_eq!(kept.agent_id.as_deref(), Some("gone"));
    let ran = ok(
        &mut client,
        "cron.run",
        json!({"id": job["id"], "mode": "force"}),
    )
    .await;
    assert_eq!(ran["ran"], true);
    let sessions = ok(&mut client, "sessions.list", json!({})).await;
    let key = format!("agent:main:cron:{}", kept.id);
    assert_eq!(sessions["sessions"][0]["key"], key);
}
