use jiff::Timestamp;
use jiff::tz::TimeZone;
use openclaw_shared::protocol::params::cron::CronSchedule;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{next, zone};

/// New York, without asking the machine for its list of zones.
fn new_york() -> TimeZone {
    TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap()
}

fn schedule(value: &Value) -> CronSchedule {
    serde_json::from_value(value.clone()).unwrap()
}

fn millis(text: &str) -> u64 {
    text.parse::<Timestamp>().unwrap().as_millisecond() as u64
}

fn shown(time: Option<u64>) -> String {
    time.map_or("never".to_owned(), |time| {
        Timestamp::from_millisecond(time as i64)
            .unwrap()
            .to_string()
    })
}

/// The next times, one after the other.
#[track_caller]
fn check(schedule_json: Value, after: &str, expected: &[&str]) {
    let schedule = schedule(&schedule_json);
    let mut after = millis(after);
    for expected in expected {
        let found = next(
            &schedule,
            millis("2026-01-01T00:00:00Z"),
            after,
            &new_york(),
        );
        assert_eq!(shown(found), *expected, "{schedule_json}");
        match found {
            Some(time) => after = time,
            None => return,
        }
    }
}

#[test]
fn once_is_once() {
    let at = json!({"kind": "at", "atMs": millis("2026-03-01T12:00:00Z")});
    check(
        at.clone(),
        "2026-03-01T11:59:59.999Z",
        &["2026-03-01T12:00:00Z", "never"],
    );
    check(at, "2026-03-01T12:00:00Z", &["never"]);
}

#[test]
fn even_distances_are_counted_from_the_anchor() {
    let every = json!({"kind": "every", "everyMs": 3_600_000});
    check(
        every.clone(),
        "2026-01-01T00:30:00Z",
        &["2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z"],
    );
    check(every, "2026-01-01T02:00:00Z", &["2026-01-01T03:00:00Z"]);
    let anchor = millis("2026-02-01T00:00:10Z");
    let anchored = json!({"kind": "every", "everyMs": 60_000, "anchorMs": anchor});
    check(
        anchored.clone(),
        "2026-01-05T00:00:00Z",
        &["2026-02-01T00:00:10Z", "2026-02-01T00:01:10Z"],
    );
    check(anchored, "2026-02-03T05:06:07Z", &["2026-02-03T05:06:10Z"]);
    let huge = json!({"kind": "every", "everyMs": i64::MAX, "anchorMs": 5});
    assert_eq!(
        next(&schedule(&huge), 0, 5, &TimeZone::UTC),
        Some(i64::MAX as u64 + 5)
    );
}

#[test]
fn a_calendar_is_read_in_its_zone() {
    let nine = |tz: Option<&str>| json!({"kind": "cron", "expr": "0 9 * * MON-FRI", "tz": tz});
    let without = json!({"kind": "cron", "expr": "0 9 * * MON-FRI"});
    // Friday, and then the Monday after it.
    check(
        without,
        "2026-01-09T13:00:00Z",
        &["2026-01-09T14:00:00Z", "2026-01-12T14:00:00Z"],
    );
    check(
        nine(Some("UTC")),
        "2026-01-09T08:59:59.999Z",
        &["2026-01-09T09:00:00Z", "2026-01-12T09:00:00Z"],
    );
    check(
        json!({"kind": "cron", "expr": "*/20 30 9 1 * *", "tz": "UTC"}),
        "2026-01-09T08:59:59Z",
        &[
            "2026-02-01T09:30:00Z",
            "2026-02-01T09:30:20Z",
            "2026-02-01T09:30:40Z",
            "2026-03-01T09:30:00Z",
        ],
    );
    check(
        json!({"kind": "cron", "expr": "@daily", "tz": "UTC"}),
        "2026-01-09T08:59:59Z",
        &["2026-01-10T00:00:00Z"],
    );
}

#[test]
fn clocks_that_go_forward_or_back_lose_nothing_and_repeat_no_hour_of_the_day() {
    // From 02:00 to 03:00 local time at 07:00 UTC on the 8th of March.
    check(
        json!({"kind": "cron", "expr": "30 2 * * *"}),
        "2026-03-07T00:00:00Z",
        &[
            "2026-03-07T07:30:00Z",
            "2026-03-08T07:00:00Z",
            "2026-03-09T06:30:00Z",
        ],
    );
    // From 02:00 to 01:00 local time at 06:00 UTC on the 1st of November.
    check(
        json!({"kind": "cron", "expr": "30 1 * * *"}),
        "2026-10-31T00:00:00Z",
        &[
            "2026-10-31T05:30:00Z",
            "2026-11-01T05:30:00Z",
            "2026-11-02T06:30:00Z",
        ],
    );
    check(
        json!({"kind": "cron", "expr": "*/30 * * * *"}),
        "2026-11-01T05:00:00Z",
        &[
            "2026-11-01T05:30:00Z",
            "2026-11-01T06:00:00Z",
            "2026-11-01T06:30:00Z",
            "2026-11-01T07:00:00Z",
        ],
    );
}

#[test]
fn what_names_no_day_is_never_due() {
    for expr in ["0 0 30 2 *", "0 0 31 4 *"] {
        check(
            json!({"kind": "cron", "expr": expr}),
            "2026-01-01T00:00:00Z",
            &["never"],
        );
    }
    let local = new_york();
    for name in [None, Some(" "), Some("No/Where")] {
        assert_eq!(zone(name, &local), local);
    }
}

fn any_schedule() -> impl Strategy<Value = CronSchedule> {
    let at = (0..4_000_000_000_000_i64).prop_map(|at| json!({"kind": "at", "atMs": at}));
    let every = (
        1..100_000_000_000_i64,
        proptest::option::of(0..4_000_000_000_000_i64),
    )
        .prop_map(|(every, anchor)| match anchor {
            Some(anchor) => json!({"kind": "every", "everyMs": every, "anchorMs": anchor}),
            None => json!({"kind": "every", "everyMs": every}),
        });
    let field = |low: u32, high: u32| {
        prop_oneof![
            3 => Just("*".to_owned()),
            2 => (low..=high).prop_map(|number| number.to_string()),
            1 => (2..=high / 2).prop_map(|step| format!("*/{step}")),
        ]
    };
    let cron = (field(0, 59), field(0, 23), field(1, 28), field(1, 12))
        .prop_map(|(minute, hour, day, month)| json!({"kind": "cron", "expr": format!("{minute} {hour} {day} {month} *")}));
    prop_oneof![at, every, cron].prop_map(|value| schedule(&value))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Nothing is due at or before the time it is asked for, and asking at any time before finds the same.
    #[test]
    fn the_next_time_is_the_first_after(schedule in any_schedule(), made in 0..2_000_000_000_000_u64, after in 0..3_900_000_000_000_u64, part in 0..1_000_u64) {
        let local = new_york();
        if let Some(time) = next(&schedule, made, after, &local) {
            prop_assert!(time > after);
            let between = after + (time - after - 1) / 1_000 * part;
            prop_assert_eq!(next(&schedule, made, between, &local), Some(time));
        } else {
            prop_assert!(matches!(schedule, CronSchedule::At { .. }), "{:?}", schedule);
        }
    }
}
