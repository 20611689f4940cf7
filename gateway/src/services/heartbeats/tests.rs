use openclaw_shared::clock::WallTime;
use openclaw_shared::config::Config;
use proptest::prelude::*;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::{
    Beat, Cause, Checklist, Facts, Meaning, Skip, checklist, decide, is_on, keep, last, last_of,
    meaning, question, report, switch,
};
use crate::services::system_events::{Told, Waiting};
use crate::settings::hearts::Heart;

const READY: Facts = Facts {
    is_on: true,
    is_active_hour: true,
    is_busy: false,
    has_model: true,
    checklist: Checklist::Says,
    waiting: Waiting {
        now: false,
        wakes: false,
        news: false,
    },
};

#[track_caller]
fn check(facts: Facts, by_itself: Result<(), Skip>, asked: Result<(), Skip>) {
    assert_eq!(decide(Cause::Interval, &facts), by_itself, "{facts:?}");
    assert_eq!(decide(Cause::Asked, &facts), asked, "{facts:?}");
}

#[test]
fn a_heart_beats_unless_it_has_a_reason_not_to() {
    let both = |skip| (Err(skip), Err(skip));
    check(READY, Ok(()), Ok(()));
    let (by_itself, asked) = both(Skip::Disabled);
    check(
        Facts {
            is_on: false,
            ..READY
        },
        by_itself,
        asked,
    );
    let (by_itself, asked) = both(Skip::QuietHours);
    check(
        Facts {
            is_active_hour: false,
            ..READY
        },
        by_itself,
        asked,
    );
    let (by_itself, asked) = both(Skip::Busy);
    check(
        Facts {
            is_busy: true,
            ..READY
        },
        by_itself,
        asked,
    );
    let nobody = Facts {
        has_model: false,
        ..READY
    };
    check(nobody, Err(Skip::NoModel), Ok(()));
    check(
        Facts {
            checklist: Checklist::Missing,
            ..READY
        },
        Ok(()),
        Ok(()),
    );
    let empty = Facts {
        checklist: Checklist::Empty,
        ..READY
    };
    let (by_itself, asked) = both(Skip::EmptyFile);
    check(empty, by_itself, asked);
    let waiting = |wakes, news| Facts {
        waiting: Waiting {
            now: false,
            wakes,
            news,
        },
        ..empty
    };
    check(waiting(true, false), Ok(()), Ok(()));
    check(waiting(false, true), Err(Skip::EmptyFile), Ok(()));
}

#[test]
fn a_file_of_headings_is_empty() {
    for (text, expected) in [
        (None, Checklist::Missing),
        (Some(""), Checklist::Empty),
        (Some("\n \n# Tasks\n\n## More\n"), Checklist::Empty),
        (Some("# T\n- \n* [ ]\n"), Checklist::Empty),
        (Some("<!-- look\n- here -->\n# T"), Checklist::Empty),
        (Some("<!-- not closed\n- x"), Checklist::Empty),
        (Some("# T\n- look at the mail\n"), Checklist::Says),
        (Some("<!-- a --> b"), Checklist::Says),
    ] {
        assert_eq!(checklist(text), expected, "{text:?}");
    }
}

#[test]
fn an_agent_that_says_that_all_is_well_is_understood_however_it_puts_it() {
    let alert = |text: &str| Meaning::Alert(text.to_owned());
    for (answer, expected) in [
        ("", Meaning::Empty),
        (" \n", Meaning::Empty),
        ("HEARTBEAT_OK", Meaning::Ok),
        ("**HEARTBEAT_OK**", Meaning::Ok),
        ("`HEARTBEAT_OK`.", Meaning::Ok),
        ("HEARTBEAT_OK\n\nAll well.", Meaning::Ok),
        ("All well. HEARTBEAT_OK", Meaning::Ok),
        ("HEARTBEAT_OK HEARTBEAT_OK", Meaning::Ok),
        ("The disk is full", alert("The disk is full")),
        (
            "I say HEARTBEAT_OK to this",
            alert("I say HEARTBEAT_OK to this"),
        ),
        (
            "HEARTBEAT_OK but there is a long text here",
            alert("but there is a long text here"),
        ),
    ] {
        assert_eq!(meaning(answer, 15), expected, "{answer:?}");
    }
    assert_eq!(meaning("HEARTBEAT_OK x", 0), alert("x"));
    assert_eq!(meaning("HEARTBEAT_OK", 0), Meaning::Ok);
}

proptest! {
    #[test]
    fn whatever_is_answered_is_read(answer in "([ -~\n]|HEARTBEAT_OK|ü){0,12}", most in 0..40_u64) {
        match meaning(&answer, most) {
            Meaning::Empty => prop_assert!(answer.trim().is_empty()),
            Meaning::Ok => prop_assert!(answer.contains("HEARTBEAT_OK")),
            Meaning::Alert(text) => prop_assert!(answer.contains(&text) && !text.is_empty()),
        }
    }
}

fn heart(heartbeat: Value) -> Heart {
    let config = json!({"agents": {"defaults": {"heartbeat": heartbeat}}});
    let config = Config::from_effective(&config).unwrap();
    crate::settings::hearts::Hearts::of(&config, "main").woken("main")
}

#[test]
fn what_is_told_comes_before_the_question() {
    assert_eq!(question(&[], "Look."), "Look.");
    let told = Told {
        text: "disk full".to_owned(),
        left: WallTime::from_millis(1_000),
    };
    assert_eq!(
        question(&[told], "Look."),
        "System: [1970-01-01T00:00:01.000Z] disk full\n\nLook."
    );
}

#[test]
fn clients_are_shown_how_it_went() {
    let shown = |heart: &Heart, beat: Beat| {
        serde_json::to_value(report(WallTime::from_millis(9), 3, heart, beat)).unwrap()
    };
    let plain = heart(json!({}));
    assert_eq!(
        shown(&plain, Beat::Skipped(Skip::EmptyFile)),
        json!({"ts": 9, "status": "skipped", "reason": "empty-heartbeat-file", "durationMs": 3})
    );
    assert_eq!(
        shown(&plain, Beat::Answered(Meaning::Ok)),
        json!({"ts": 9, "status": "ok-token", "durationMs": 3, "silent": true, "indicatorType": "ok"})
    );
    assert_eq!(
        shown(&plain, Beat::Answered(Meaning::Empty))["status"],
        "ok-empty"
    );
    let alert = Beat::Answered(Meaning::Alert("x".repeat(900)));
    let no_target = shown(&plain, alert.clone());
    assert_eq!(
        (&no_target["status"], &no_target["reason"]),
        (&json!("skipped"), &json!("no-target"))
    );
    assert_eq!(no_target["preview"].as_str().unwrap().len(), 200);
    let none = heart(json!({"target": "none"}));
    assert_eq!(shown(&none, alert)["reason"], "target-none");
    assert_eq!(
        shown(&plain, Beat::Failed("no key".to_owned())),
        json!({"ts": 9, "status": "failed", "reason": "no key", "durationMs": 3, "indicatorType": "error"})
    );
}

#[test]
fn how_it_went_and_the_switch_are_kept() {
    let store = Connection::open_in_memory().unwrap();
    store
        .execute_batch(include_str!("../../store/schema/heartbeats.sql"))
        .unwrap();
    assert_eq!((last(&store), is_on(&store)), (Ok(None), Ok(true)));
    let beat = |at| {
        let skipped = Beat::Skipped(Skip::Busy);
        report(WallTime::from_millis(at), 0, &heart(json!({})), skipped)
    };
    keep(&store, "main", &beat(5)).unwrap();
    keep(&store, "ops", &beat(7)).unwrap();
    keep(&store, "main", &beat(6)).unwrap();
    assert_eq!(last(&store).unwrap().unwrap().ts, 7);
    assert_eq!(last_of(&store, "main"), Ok(Some(WallTime::from_millis(6))));
    switch(&store, false).unwrap();
    assert_eq!(is_on(&store), Ok(false));
    switch(&store, true).unwrap();
    assert_eq!(is_on(&store), Ok(true));
}
