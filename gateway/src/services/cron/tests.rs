use jiff::tz::TimeZone;
use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::cron::{CronAddParams, CronJobPatch};
use rusqlite::Connection;
use serde_json::{Value, json};

use super::{changed, count, find, insert, is_job_id, job, list, remove, runs, update};

const NOW: WallTime = WallTime::from_millis(1_000);

fn params(change: Value) -> CronAddParams {
    let mut params = json!({
        "name": " N ", "schedule": {"kind": "every", "everyMs": 5}, "sessionTarget": "isolated",
        "wakeMode": "now", "payload": {"kind": "agentTurn", "message": "hi", "model": "m"},
    });
    for (key, value) in change.as_object().unwrap() {
        params[key] = value.clone();
    }
    serde_json::from_value(params).unwrap()
}

fn added(change: Value) -> Result<Value, String> {
    job(NOW, &TimeZone::UTC, params(change))
        .map(|job| json!(job))
        .map_err(|error| format!("{error:?}"))
}

#[track_caller]
fn refused(change: Value, text: &str) {
    let shown = change.to_string();
    let error = added(change).expect_err(&shown);
    assert!(error.contains(text), "{shown}: {error}");
}

#[test]
fn a_job_is_whole_and_switched_on_unless_it_says_otherwise() {
    let job = added(json!({"agentId": " Ops ", "description": " d "})).unwrap();
    assert_eq!(job["id"].as_str().unwrap().len(), 36);
    let mut job = job;
    job.as_object_mut().unwrap().remove("id");
    assert_eq!(
        job,
        json!({
            "agentId": "ops", "name": "N", "description": "d", "enabled": true, "createdAtMs": 1000,
            "updatedAtMs": 1000, "schedule": {"kind": "every", "everyMs": 5}, "sessionTarget": "isolated",
            "wakeMode": "now", "payload": {"kind": "agentTurn", "message": "hi", "model": "m"}, "state": {"nextRunAtMs": 1005},
        })
    );
    assert_eq!(added(json!({"enabled": false})).unwrap()["enabled"], false);
    let keys = serde_json::to_value(added(json!({"agentId": null})).unwrap()).unwrap();
    assert!(keys.get("agentId").is_none());
}

#[test]
fn a_number_that_no_file_and_no_program_holds_is_refused() {
    for (field, schedule) in [
        ("atMs", json!({"kind": "at", "atMs": 1e300})),
        ("everyMs", json!({"kind": "every", "everyMs": 1e300})),
        (
            "anchorMs",
            json!({"kind": "every", "everyMs": 1, "anchorMs": 1e300}),
        ),
    ] {
        let text = format!("at /schedule/{field}: must be <= 9007199254740991");
        refused(json!({ "schedule": schedule }), &text);
    }
    let schedule = json!({"kind": "every", "everyMs": 9_007_199_254_740_991_u64});
    added(json!({ "schedule": schedule })).unwrap();
}

#[test]
fn what_would_never_happen_is_refused() {
    refused(json!({"name": "  "}), "Error: cron job name is required");
    refused(
        json!({"sessionTarget": "main"}),
        r#"Error: main cron jobs require payload.kind=\"systemEvent\""#,
    );
    refused(
        json!({"payload": {"kind": "systemEvent", "text": "t"}}),
        r#"Error: isolated cron jobs require payload.kind=\"agentTurn\""#,
    );
    refused(
        json!({"agentId": "../x"}),
        "at /agentId: must be an agent id",
    );
    for expr in [
        "bogus",
        "* * * *",
        "61 * * * *",
        "* * * * * * *",
        "a b c d e",
    ] {
        refused(
            json!({"schedule": {"kind": "cron", "expr": expr}}),
            "at /schedule/expr: must",
        );
    }
    refused(
        json!({"schedule": {"kind": "cron", "expr": "0 9 * * *", "tz": "No/Where"}}),
        "at /schedule/tz: must be a time zone",
    );
    for expr in ["0 9 * * *", "*/5 * * * MON-FRI", "30 0 9 1 * *"] {
        let schedule = json!({"schedule": {"kind": "cron", "expr": expr, "tz": "UTC"}});
        assert!(added(schedule).is_ok(), "{expr}");
    }
}

#[test]
fn a_change_leaves_the_rest() {
    let before = job(NOW, &TimeZone::UTC, params(json!({"description": "d"}))).unwrap();
    let change = |patch: Value| {
        let patch: CronJobPatch = serde_json::from_value(patch).unwrap();
        changed(
            WallTime::from_millis(2_000),
            &TimeZone::UTC,
            before.clone(),
            patch,
        )
        .map(|job| serde_json::to_value(job).unwrap())
        .map_err(|error| format!("{error:?}"))
    };
    let after = change(
        json!({"payload": {"kind": "agentTurn", "message": "new"}, "description": "", "enabled": false}),
    );
    let after = after.unwrap();
    assert_eq!(
        after["payload"],
        json!({"kind": "agentTurn", "message": "new", "model": "m"})
    );
    assert!(after.get("description").is_none());
    assert_eq!(
        (&after["enabled"], &after["updatedAtMs"]),
        (&json!(false), &json!(2000))
    );
    let deliver = change(json!({"payload": {"kind": "agentTurn", "deliver": false}})).unwrap();
    assert_eq!(deliver["payload"]["message"], "hi");
    let error = change(json!({"payload": {"kind": "systemEvent"}})).unwrap_err();
    assert!(
        error.contains(r#"cron.update payload.kind=\"systemEvent\" requires text"#),
        "{error}"
    );
    let error = change(json!({"payload": {"kind": "systemEvent", "text": "t"}})).unwrap_err();
    assert!(error.contains("isolated cron jobs require"), "{error}");
    let moved =
        change(json!({"payload": {"kind": "systemEvent", "text": "t"}, "sessionTarget": "main"}));
    assert_eq!(
        moved.unwrap()["payload"],
        json!({"kind": "systemEvent", "text": "t"})
    );
}

#[test]
fn jobs_are_kept_in_order_and_go_with_their_runs() {
    let store = Connection::open_in_memory().unwrap();
    store.pragma_update(None, "foreign_keys", true).unwrap();
    for schema in [
        include_str!("../../store/schema/cron.sql"),
        include_str!("../../store/schema/cron_occurrences.sql"),
    ] {
        store.execute_batch(schema).unwrap();
    }
    let mut jobs = Vec::new();
    for number in 0..5 {
        let job = job(
            NOW,
            &TimeZone::UTC,
            params(json!({"name": format!("{number}"), "enabled": number != 2})),
        )
        .unwrap();
        insert(&store, &job).unwrap();
        jobs.push(job);
    }
    let names = |with_disabled| {
        let jobs = list(&store, with_disabled).unwrap();
        jobs.into_iter().map(|job| job.name).collect::<String>()
    };
    assert_eq!(
        (names(false), names(true)),
        ("0134".to_owned(), "01342".to_owned())
    );
    let mut off = jobs[0].clone();
    off.enabled = false;
    update(&store, &off).unwrap();
    assert_eq!(names(false), "134");
    assert_eq!(find(&store, &off.id).unwrap(), Some(off.clone()));
    for number in 0..3 {
        let entry = json!({"ts": number, "jobId": off.id, "action": "finished"});
        let values = rusqlite::params![off.id, entry.to_string()];
        store
            .execute(
                "INSERT INTO cron_runs (job_id, entry) VALUES (?1, ?2)",
                values,
            )
            .unwrap();
    }
    let kept: Vec<u64> = runs(&store, &off.id, 2)
        .unwrap()
        .iter()
        .map(|run| run.ts)
        .collect();
    assert_eq!(kept, [1, 2]);
    assert!(remove(&store, &off.id).unwrap());
    assert!(!remove(&store, &off.id).unwrap());
    assert_eq!(runs(&store, &off.id, 9).unwrap(), []);
    assert_eq!(count(&store).unwrap(), 4);
}

/// Threat rule 58: identifiers that could become file names.
#[test]
fn rule_58_a_job_id_is_letters_and_digits() {
    for id in ["../../x", "a/b", "", "a.b", "ü", "a b", "a\0"] {
        assert!(!is_job_id(id), "{id}");
    }
    assert!(!is_job_id(&"a".repeat(65)));
    assert!(is_job_id("3f41-a_B"));
}
