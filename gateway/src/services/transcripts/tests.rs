use std::time::Duration;

use openclaw_shared::clock::WallTime;
use openclaw_shared::transcript::{AssistantMessage, Message, Part, Usage, UserMessage};
use rusqlite::Connection;

use super::{
    Compaction, DELETED_FOR, after, append, archive, begin, compact, count, cut, first_user_text,
    history, last_text, rows, sweep, usage,
};

fn store() -> Connection {
    let store = Connection::open_in_memory().unwrap();
    store.pragma_update(None, "foreign_keys", true).unwrap();
    for tables in [
        include_str!("../../store/schema/sessions.sql"),
        include_str!("../../store/schema/transcripts.sql"),
    ] {
        store.execute_batch(tables).unwrap();
    }
    begin(&store, "s", "agent:main:main", WallTime::from_millis(1)).unwrap();
    store
}

fn user(text: &str) -> Message {
    Message::User(UserMessage {
        content: vec![Part::text(text)],
        timestamp: 1_000,
    })
}

fn assistant(text: &str, tokens: u64) -> Message {
    Message::Assistant(AssistantMessage {
        content: vec![Part::text(text)],
        timestamp: 2_000,
        usage: Usage {
            input: tokens,
            output: 1,
            total_tokens: tokens + 1,
            ..Usage::default()
        },
        ..AssistantMessage::default()
    })
}

fn said(store: &Connection) -> Vec<String> {
    let history = history(store, "s").unwrap();
    history.iter().map(Message::text).collect()
}

#[test]
fn a_conversation_is_read_as_it_was_said() {
    let store = store();
    append(
        &store,
        "s",
        &user("[WebChat 2026-11-22 07:12] one\n[message_id: r]"),
    )
    .unwrap();
    let id = append(&store, "s", &assistant("two", 5)).unwrap();
    append(&store, "s", &user("three")).unwrap();
    append(&store, "other", &user("elsewhere")).unwrap();
    assert_eq!(said(&store).len(), 3);
    assert_eq!(id.len(), 8);
    let newest = rows(&store, "s", 2).unwrap();
    assert_eq!(newest.len(), 2);
    assert_eq!(
        (newest[0].id.as_str(), newest[0].role.as_deref()),
        (id.as_str(), Some("assistant"))
    );
    assert_eq!(count(&store, "s").unwrap(), 3);
    assert_eq!(
        first_user_text(&store, "s").unwrap().as_deref(),
        Some("one")
    );
    assert_eq!(last_text(&store, "s").unwrap().as_deref(), Some("three"));
    assert_eq!(count(&store, "nobody's").unwrap(), 0);
}

#[test]
fn after_a_compaction_the_model_reads_the_summary_and_what_was_kept() {
    let store = store();
    append(&store, "s", &user("one")).unwrap();
    append(&store, "s", &assistant("two", 5)).unwrap();
    let kept = append(&store, "s", &user("three")).unwrap();
    let mut compaction = Compaction {
        summary: "It was about numbers.".to_owned(),
        first_kept_entry_id: kept,
        tokens_before: 9,
    };
    compact(&store, "s", WallTime::from_millis(9), &compaction).unwrap();
    append(&store, "s", &assistant("four", 5)).unwrap();
    let read = said(&store);
    assert!(read[0].contains("It was about numbers."), "{read:?}");
    assert_eq!(read[1..], ["three", "four"]);
    // When nothing is kept, what comes after is all.
    compaction.first_kept_entry_id = String::new();
    compact(&store, "s", WallTime::from_millis(10), &compaction).unwrap();
    append(&store, "s", &user("five")).unwrap();
    assert_eq!(said(&store)[1..], ["five"]);
    assert_eq!(
        rows(&store, "s", 100).unwrap().len(),
        5,
        "people still see everything"
    );
}

#[test]
fn what_is_cut_is_put_aside_whole() {
    let store = store();
    for number in 0..5 {
        append(&store, "s", &user(&number.to_string())).unwrap();
    }
    let now = WallTime::from_millis(1_795_331_527_274);
    assert_eq!(cut(&store, "s", now, 5).unwrap(), None);
    let (kept, aside) = cut(&store, "s", now, 2).unwrap().unwrap();
    assert_eq!(
        (kept, aside.as_str()),
        (2, "s.bak.2026-11-22T07-12-07.274Z")
    );
    assert_eq!(said(&store), ["3", "4"]);
    assert_eq!(count(&store, "s").unwrap(), 2);
    assert_eq!(after(&store, &aside, 0, 100).unwrap().len(), 3);
}

#[test]
fn what_was_put_aside_goes_when_its_time_has_come_and_its_usage_stays() {
    let store = store();
    append(&store, "s", &assistant("two", 5)).unwrap();
    let now = WallTime::from_millis(1_000_000);
    assert!(archive(&store, "s", now, DELETED_FOR).unwrap());
    let later = |by: Duration| {
        WallTime::from_millis(now.as_millis() + u64::try_from(by.as_millis()).unwrap())
    };
    assert_eq!(
        sweep(&store, later(DELETED_FOR - Duration::from_millis(1))).unwrap(),
        0
    );
    assert_eq!(said(&store), ["two"]);
    assert_eq!(sweep(&store, later(DELETED_FOR)).unwrap(), 1);
    assert_eq!(said(&store), [""; 0]);
    let days = usage::since(&store, "1970-01-01").unwrap();
    assert_eq!(usage::total(&days).total_tokens, 6);
}
