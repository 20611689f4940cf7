use jiff::tz::TimeZone;
use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::cron::{CronJob, CronStatus};
use rusqlite::Connection;
use serde_json::{Value, json};

use super::super::told::Answer;
use super::super::{find, insert, runs};
use super::{
    Begun, Finished, Occurrence, Places, Which, begin, due, finish, is_open, next_wake, open, plan,
};
use crate::services::system_events;

const UTC: &TimeZone = &TimeZone::UTC;

fn store() -> Connection {
    let store = Connection::open_in_memory().unwrap();
    store.pragma_update(None, "foreign_keys", true).unwrap();
    for schema in [
        include_str!("../../../store/schema/lease.sql"),
        include_str!("../../../store/schema/cron.sql"),
        include_str!("../../../store/schema/cron_occurrences.sql"),
        include_str!("../../../store/schema/system_events.sql"),
        include_str!("../../../store/schema/system_events_claims.sql"),
    ] {
        store.execute_batch(schema).unwrap();
    }
    hand_lease_to(&store, std::process::id());
    store
}

fn hand_lease_to(store: &Connection, pid: u32) {
    store
        .execute(
            "INSERT OR REPLACE INTO lease (id, generation, pid) VALUES (1, 1, ?1)",
            [pid],
        )
        .unwrap();
}

const fn at(millis: u64) -> WallTime {
    WallTime::from_millis(millis)
}

fn add(store: &Connection, id: &str, change: Value) -> CronJob {
    let mut job = json!({
        "id": id, "name": id, "enabled": true, "createdAtMs": 1_000, "updatedAtMs": 1_000,
        "schedule": {"kind": "every", "everyMs": 100}, "sessionTarget": "isolated", "wakeMode": "now",
        "payload": {"kind": "agentTurn", "message": "hi"}, "state": {},
    });
    for (key, value) in change.as_object().unwrap() {
        job[key] = value.clone();
    }
    let job = serde_json::from_value(job).unwrap();
    insert(store, &job).unwrap();
    job
}

fn note() -> Value {
    json!({"sessionTarget": "main", "payload": {"kind": "systemEvent", "text": "remember"}})
}

struct Here;

impl Places for Here {
    fn agent(&self, _: &CronJob) -> String {
        "main".to_owned()
    }

    fn main_session(&self, _: &str) -> Option<String> {
        None
    }
}

fn begin_at(store: &Connection, now: u64, id: &str, which: Which) -> Begun {
    begin(store, at(now), UTC, id, which, &Here).unwrap()
}

#[track_caller]
fn opened(begun: Begun) -> Occurrence {
    let Begun::Open(run) = begun else {
        panic!("{begun:?}");
    };
    *run
}

#[track_caller]
fn over(begun: Begun) -> Finished {
    let Begun::Over(finished) = begun else {
        panic!("{begun:?}");
    };
    *finished
}

fn ids(store: &Connection, now: u64) -> Vec<String> {
    let due = due(store, at(now)).unwrap();
    due.into_iter().map(|due| due.id).collect()
}

#[test]
fn what_is_due_runs_once_under_an_id_that_says_when() {
    let store = store();
    add(&store, "a", json!({}));
    assert_eq!((ids(&store, 9_999), next_wake(&store)), (vec![], Ok(None)));
    assert_eq!(plan(&store, at(1_000), UTC), Ok(1));
    assert_eq!(plan(&store, at(1_001), UTC), Ok(0));
    assert_eq!(
        (ids(&store, 1_099), next_wake(&store)),
        (vec![], Ok(Some(1_100)))
    );
    assert_eq!(begin_at(&store, 1_099, "a", Which::Due), Begun::NotDue);
    assert_eq!(ids(&store, 1_734), ["a"]);
    let run = opened(begin_at(&store, 1_734, "a", Which::Due));
    assert_eq!((&*run.run_id, run.began), ("cron:a:1100", at(1_734)));
    // As it is found after a kill -9.
    assert_eq!(open(&store).unwrap(), std::slice::from_ref(&run));
    assert_eq!((ids(&store, 9_999), next_wake(&store)), (vec![], Ok(None)));
    for which in [Which::Due, Which::Asked] {
        assert_eq!(begin_at(&store, 9_999, "a", which), Begun::Running);
    }
    let state = find(&store, "a").unwrap().unwrap().state;
    assert_eq!(
        (state.running_at_ms, state.next_run_at_ms),
        (Some(1_734), Some(1_800))
    );
    let answer = Answer::said("done");
    let finished = finish(&store, at(1_950), UTC, &run, &answer, None)
        .unwrap()
        .unwrap();
    assert_eq!(
        serde_json::to_value(&finished.entry).unwrap(),
        json!({"ts": 1950, "jobId": "a", "action": "finished", "status": "ok", "summary": "done", "runAtMs": 1734, "durationMs": 216, "nextRunAtMs": 2000})
    );
    assert_eq!(
        finish(&store, at(1_951), UTC, &run, &answer, None),
        Ok(None)
    );
    assert_eq!(runs(&store, "a", 9).unwrap(), [finished.entry]);
    assert_eq!(system_events::waiting(&store).unwrap(), ["Cron: done"]);
    assert!(!is_open(&store, &run.run_id).unwrap());
    let state = find(&store, "a").unwrap().unwrap().state;
    assert_eq!(
        (
            state.running_at_ms,
            state.last_run_at_ms,
            state.last_status,
            state.last_duration_ms
        ),
        (None, Some(1_734), Some(CronStatus::Ok), Some(216))
    );
}

#[test]
fn a_life_without_the_lease_begins_nothing() {
    let store = store();
    add(&store, "a", json!({}));
    plan(&store, at(1_000), UTC).unwrap();
    hand_lease_to(&store, std::process::id() + 1);
    for which in [Which::Due, Which::Asked] {
        assert_eq!(begin_at(&store, 5_000, "a", which), Begun::NotOurs);
    }
    assert_eq!(open(&store).unwrap(), []);
}

#[test]
fn a_note_is_left_at_once_and_a_single_one_has_had_its_day() {
    let store = store();
    let mut once = note();
    once["schedule"] = json!({"kind": "at", "atMs": 2_000});
    add(&store, "stays", once.clone());
    once["deleteAfterRun"] = json!(true);
    add(&store, "goes", once);
    add(&store, "again", note());
    plan(&store, at(1_000), UTC).unwrap();
    assert_eq!(ids(&store, 2_500), ["again", "stays", "goes"]);
    let stays = over(begin_at(&store, 2_500, "stays", Which::Due));
    assert_eq!((stays.is_gone, stays.job.enabled), (false, false));
    let goes = over(begin_at(&store, 2_500, "goes", Which::Due));
    assert_eq!(
        (goes.is_gone, goes.entry.status),
        (true, Some(CronStatus::Ok))
    );
    let again = over(begin_at(&store, 2_500, "again", Which::Due));
    assert_eq!(again.entry.next_run_at_ms, Some(2_600));
    assert_eq!(find(&store, "goes"), Ok(None));
    assert_eq!(begin_at(&store, 2_500, "goes", Which::Due), Begun::Unknown);
    assert_eq!(begin_at(&store, 2_500, "stays", Which::Due), Begun::NotDue);
    assert_eq!(system_events::waiting(&store).unwrap(), ["remember"; 3]);
    assert_eq!(open(&store).unwrap(), []);
}

#[test]
fn what_is_asked_for_runs_in_any_case_and_a_job_that_goes_leaves_nothing() {
    let store = store();
    add(&store, "off", json!({"enabled": false}));
    let run = opened(begin_at(&store, 1_050, "off", Which::Asked));
    assert!(run.run_id.starts_with("cron:off:"), "{}", run.run_id);
    assert!(super::remove(&store, "off").unwrap());
    assert!(!is_open(&store, &run.run_id).unwrap());
    let answer = Answer::failed("too late", "");
    assert_eq!(
        finish(&store, at(1_060), UTC, &run, &answer, None),
        Ok(None)
    );
    assert_eq!(system_events::waiting(&store).unwrap(), [""; 0]);
}

#[test]
fn what_is_remembered_is_bounded() {
    let store = store();
    add(&store, "a", note());
    for now in 0..1_010 {
        let _ = over(begin_at(&store, 5_000 + now, "a", Which::Asked));
        store.execute("DELETE FROM system_events", []).unwrap();
    }
    let kept = runs(&store, "a", 5_000).unwrap();
    assert_eq!((kept.len(), kept[0].ts), (1_000, 5_010));
}
