use openclaw_shared::clock::WallTime;
use openclaw_shared::transcript::{AssistantMessage, Message, Part, UserMessage};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::{MOST_BYTES, Rows};
use crate::services::sessions::retention;
use crate::services::sessions::tests::{House, read};
use crate::services::transcripts;

const MINUTE: u64 = 60_000;
const KEYS: [&str; 8] = [
    "main",
    "x",
    "agent:ops:other",
    "agent:ops:telegram:group:-5",
    "global",
    "unknown",
    "subagent:1",
    "agent:main:openai:1",
];

#[derive(Debug, Clone)]
enum Change {
    Patch(&'static str, Value),
    Reset(&'static str),
    Delete(&'static str),
    Say(&'static str, bool, String),
    Cut(&'static str),
    Break(&'static str),
    Share(&'static str),
    Sweep,
}

fn changes() -> impl Strategy<Value = Change> {
    let key = || select(&KEYS[..]);
    let settings = vec![
        json!({}),
        json!({"thinkingLevel": "high"}),
        json!({"label": "Ä \"l\"\u{0}z"}),
        json!({"label": null}),
        json!({"model": "p/m"}),
        json!({"spawnedBy": "agent:main:main"}),
    ];
    prop_oneof![
        6 => (key(), select(settings)).prop_map(|(key, set)| Change::Patch(key, set)),
        2 => key().prop_map(Change::Reset),
        2 => key().prop_map(Change::Delete),
        4 => (key(), any::<bool>(), "[a-z\"\\\\]{0,9}").prop_map(|(key, is_user, text)| Change::Say(key, is_user, text)),
        1 => key().prop_map(Change::Cut),
        1 => key().prop_map(Change::Break),
        1 => key().prop_map(Change::Share),
        1 => Just(Change::Sweep),
    ]
}

fn make(house: &House, at: u64, change: &Change) {
    let (store, now) = (&house.store, WallTime::from_millis(at));
    let key = |text: &str| house.register.key(text).unwrap();
    let conversation = |text: &str| {
        let sql = "SELECT session_id FROM sessions WHERE key = ?1";
        let found = store.query_row(sql, [key(text).as_str()], |row| row.get::<_, String>(0));
        found.ok()
    };
    // What is refused changes nothing, which is as good a case as any.
    match change {
        Change::Patch(text, set) => {
            let mut params = json!({"key": text});
            let set = set.as_object().unwrap().clone();
            params.as_object_mut().unwrap().extend(set);
            let _ = house.patch(at, params);
        }
        Change::Reset(text) => drop(house.register.reset(store, now, text)),
        Change::Delete(text) => {
            let deletable = house.register.deletable(text);
            let _ = deletable.and_then(|key| house.register.delete(store, now, &key, true));
        }
        Change::Say(text, is_user, words) => {
            let content = vec![Part::text(words.as_str())];
            let message = if *is_user {
                Message::User(UserMessage {
                    content,
                    timestamp: at,
                })
            } else {
                Message::Assistant(AssistantMessage {
                    content,
                    timestamp: at,
                    ..AssistantMessage::default()
                })
            };
            if let Some(session_id) = conversation(text) {
                transcripts::append(store, &session_id, &message).unwrap();
            }
        }
        Change::Cut(text) => {
            let params = read(json!({"key": text, "maxLines": 1}));
            let _ = house.register.cut(store, now, &params);
        }
        Change::Break(text) => {
            let sql = "UPDATE sessions SET entry = '{' WHERE key = ?1";
            store.execute(sql, [key(text).as_str()]).unwrap();
        }
        Change::Share(text) => {
            let sql = "UPDATE sessions SET session_id = (SELECT min(session_id) FROM transcripts)
                       WHERE key = ?1 AND EXISTS (SELECT 1 FROM transcripts)";
            store.execute(sql, [key(text).as_str()]).unwrap();
        }
        Change::Sweep => {
            let later = WallTime::from_millis(at + 40 * 24 * 60 * MINUTE);
            retention::sweep(store, later).unwrap();
        }
    }
}

fn same(house: &House, kept: &mut Rows, at: u64) {
    for params in [
        json!({}),
        json!({"includeGlobal": true, "includeUnknown": true, "includeDerivedTitles": true, "includeLastMessage": true}),
        json!({"includeDerivedTitles": true, "limit": 2}),
        json!({"includeLastMessage": true, "activeMinutes": 3}),
        json!({"agentId": "OPS"}),
        json!({"spawnedBy": "agent:main:main"}),
        json!({"label": "Ä \"l\"\u{0}z"}),
        json!({"search": " ä \"L"}),
        json!({"search": "\u{0}z"}),
        json!({"search": "m", "limit": 1}),
    ] {
        let params = read(params);
        assert_eq!(
            house.list_with(kept, at, &params),
            house.list_plainly(at, &params),
            "{params:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn what_is_kept_is_what_the_store_holds_after_any_change(
        changes in proptest::collection::vec((changes(), 0..3 * MINUTE, any::<bool>()), 1..30),
    ) {
        let house = House::new(json!({"agents": {"list": [{"id": "main"}, {"id": "ops"}]}}));
        let mut kept = Rows::default();
        let mut at = MINUTE;
        for (change, passes, looks) in changes {
            at += passes;
            make(&house, at, &change);
            if looks {
                same(&house, &mut kept, at);
            }
        }
        same(&house, &mut kept, at);
        let mut anew = Rows::default();
        same(&house, &mut anew, at);
        prop_assert_eq!(kept.bytes, anew.bytes);
    }
}

fn sessions(count: usize) -> House {
    let house = House::new(json!({}));
    house.store.execute_batch("BEGIN").unwrap();
    for number in 0..count {
        let params = json!({"key": format!("list-{number}"), "thinkingLevel": "low"});
        house.patch(1_000 + number as u64, params).unwrap();
    }
    house.store.execute_batch("COMMIT").unwrap();
    house
}

#[test]
fn more_changes_than_are_noted_are_not_missed() {
    let house = sessions(10);
    let mut kept = Rows::default();
    same(&house, &mut kept, MINUTE);
    house.patch(MINUTE, json!({"key": "list-3"})).unwrap();
    house.store.execute_batch("BEGIN").unwrap();
    for at in 0..5_000 {
        house.patch(MINUTE + at, json!({"key": "list-4"})).unwrap();
    }
    house.store.execute_batch("COMMIT").unwrap();
    let sql = "SELECT count(*) FROM session_changes";
    let noted: i64 = house.store.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(noted, 4096);
    same(&house, &mut kept, 2 * MINUTE);
}

#[test]
fn what_is_too_much_is_read_from_the_store() {
    let house = sessions(3);
    let large = json!({"sessionId": "s", "updatedAt": 1, "subject": "x".repeat(MOST_BYTES / 6)});
    let sql = "UPDATE sessions SET entry = ?1";
    house.store.execute(sql, [large.to_string()]).unwrap();
    let mut kept = Rows::default();
    let params = read(json!({"search": "list-2"}));
    for _ in 0..2 {
        let list: Value = serde_json::from_str(&house.list_with(&mut kept, 1, &params)).unwrap();
        assert_eq!(list["count"], 1);
        assert!(kept.is_beyond && kept.bytes == 0 && kept.rows.is_empty());
    }
}

#[test]
fn ten_thousand_sessions_take_a_few_megabytes() {
    let house = sessions(10_000);
    let mut kept = Rows::default();
    house.list_with(&mut kept, MINUTE, &read(json!({"limit": 1})));
    assert!(kept.bytes < 6_000_000, "{} bytes", kept.bytes);
}
