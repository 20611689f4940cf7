use std::path::Path;

use bytes::Bytes;
use openclaw_shared::clock::WallTime;
use openclaw_shared::control::Generation;
use openclaw_shared::protocol::error::ErrorShape;
use rusqlite::Connection;
use serde_json::json;

use super::{Answer, Begun, Entered, Idempotency, Key, Ticket, begin, fingerprint};
use crate::store::{Store, StoreError};

const NOW: WallTime = WallTime::from_millis(1_700_000_000_000);

fn store(folder: &Path) -> Store {
    let store = Store::new(folder.join("openclaw.sqlite"));
    store.activate(Generation(1));
    store
}

fn key(key: &str) -> Key {
    Key {
        kind: "test",
        key: key.to_owned(),
    }
}

fn first(idempotency: &Idempotency, name: &str, params: &str) -> Ticket {
    match idempotency.enter(key(name), params.to_owned()) {
        Entered::First(ticket) => ticket,
        Entered::Shares(_) | Entered::Refused(_) => panic!("{name} is the first"),
    }
}

async fn begun(
    idempotency: &Idempotency,
    store: &Store,
    ticket: &Ticket,
    now: WallTime,
) -> Option<Answer> {
    let row = ticket.row(idempotency);
    let begun: Result<Begun, StoreError> = store.write(move |tx| Ok(begin(tx, now, &row)?)).await;
    match begun.unwrap() {
        Begun::New => None,
        Begun::Over(answer) => Some(answer),
    }
}

fn text(answer: &Answer) -> String {
    match answer {
        Ok(payload) => String::from_utf8(payload.to_vec()).unwrap(),
        Err(error) => format!("{:?} {}", error.code, error.message),
    }
}

#[tokio::test]
async fn a_repetition_has_the_same_answer_in_this_life_and_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let idempotency = Idempotency::default();
    let ticket = first(&idempotency, "a", "p");
    assert!(begun(&idempotency, &store, &ticket, NOW).await.is_none());
    let Entered::Shares(shared) = idempotency.enter(key("a"), "p".to_owned()) else {
        panic!("it is under way")
    };
    let own = ticket.wait();
    idempotency
        .settle(&store, ticket, Ok(Bytes::from_static(br#"{"n": 1}"#)))
        .await;
    assert_eq!(text(&own.await.unwrap()), r#"{"n": 1}"#);
    assert_eq!(text(&shared.await.unwrap()), r#"{"n": 1}"#);
    for idempotency in [idempotency, Idempotency::default()] {
        let ticket = first(&idempotency, "a", "p");
        let again = begun(&idempotency, &store, &ticket, NOW).await.unwrap();
        assert_eq!(text(&again), r#"{"n": 1}"#);
    }
}

#[tokio::test]
async fn other_parameters_under_the_same_key_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let idempotency = Idempotency::default();
    let refused = "InvalidRequest idempotencyKey was used with other parameters";
    let ticket = first(&idempotency, "a", "p");
    assert!(begun(&idempotency, &store, &ticket, NOW).await.is_none());
    let Entered::Refused(error) = idempotency.enter(key("a"), "q".to_owned()) else {
        panic!("others are refused")
    };
    assert_eq!(text(&Err(Box::new(error))), refused);
    idempotency
        .settle(&store, ticket, Ok(Bytes::from_static(b"1")))
        .await;
    let ticket = first(&idempotency, "a", "q");
    assert_eq!(
        text(&begun(&idempotency, &store, &ticket, NOW).await.unwrap()),
        refused
    );
}

#[tokio::test]
async fn what_an_earlier_life_left_open_is_not_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let earlier = Idempotency::default();
    let ticket = first(&earlier, "a", "p");
    assert!(begun(&earlier, &store, &ticket, NOW).await.is_none());
    let later = Idempotency::default();
    let ticket = first(&later, "a", "p");
    let answer = begun(&later, &store, &ticket, NOW).await.unwrap();
    assert!(
        text(&answer).ends_with("its outcome is unknown"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn what_was_given_up_before_it_began_can_be_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let idempotency = Idempotency::default();
    let ticket = first(&idempotency, "a", "p");
    let own = ticket.wait();
    drop(ticket);
    assert!(own.await.is_err());
    let ticket = first(&idempotency, "a", "p");
    assert!(begun(&idempotency, &store, &ticket, NOW).await.is_none());
}

#[tokio::test]
async fn what_is_lost_after_it_was_begun_is_not_called_given_up_nor_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let idempotency = Idempotency::default();
    let ticket = first(&idempotency, "a", "p");
    let own = ticket.wait();
    assert!(begun(&idempotency, &store, &ticket, NOW).await.is_none());
    drop(ticket.under_way());
    let lost = own.await.unwrap();
    let code = lost.unwrap_err().details.unwrap()["code"].clone();
    assert_eq!(code, "OUTCOME_UNKNOWN");
    let ticket = first(&idempotency, "a", "p");
    let again = begun(&idempotency, &store, &ticket, NOW).await.unwrap();
    assert!(
        text(&again).ends_with("its outcome is unknown"),
        "{again:?}"
    );
}

#[tokio::test]
async fn whoever_joined_hears_what_the_store_had_to_say() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let earlier = Idempotency::default();
    let ticket = first(&earlier, "a", "p");
    assert!(begun(&earlier, &store, &ticket, NOW).await.is_none());
    earlier
        .settle(&store, ticket, Ok(Bytes::from_static(b"1")))
        .await;
    let later = Idempotency::default();
    let ticket = first(&later, "a", "p");
    let own = ticket.wait();
    let Entered::Shares(joined) = later.enter(key("a"), "p".to_owned()) else {
        panic!("it is looked up")
    };
    let known = begun(&later, &store, &ticket, NOW).await.unwrap();
    ticket.share(&known);
    assert_eq!(text(&own.await.unwrap()), "1");
    assert_eq!(text(&joined.await.unwrap()), "1");
    first(&later, "a", "p");
}

#[tokio::test]
async fn a_settled_ticket_takes_nothing_from_the_next_one() {
    let idempotency = Idempotency::default();
    let mut settled = first(&idempotency, "a", "p");
    settled.is_settled = true;
    super::lock(&idempotency.running).clear();
    let next = first(&idempotency, "a", "p");
    let waits = next.wait();
    assert!(next.is_awaited());
    drop(settled);
    assert!(next.is_awaited());
    drop(waits);
    assert!(!next.is_awaited());
}

#[tokio::test]
async fn a_large_answer_is_kept_as_a_note() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let idempotency = Idempotency::default();
    let ticket = first(&idempotency, "a", "p");
    assert!(begun(&idempotency, &store, &ticket, NOW).await.is_none());
    let large = Bytes::from(json!("x".repeat(300_000)).to_string());
    let own = ticket.wait();
    idempotency.settle(&store, ticket, Ok(large.clone())).await;
    assert_eq!(own.await.unwrap().unwrap(), large);
    let ticket = first(&idempotency, "a", "p");
    let again = begun(&idempotency, &store, &ticket, NOW).await.unwrap();
    assert_eq!(
        text(&again),
        "Unavailable this was answered before, and the answer was too large to keep"
    );
}

#[tokio::test]
async fn a_large_error_is_kept_as_a_note() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let idempotency = Idempotency::default();
    let ticket = first(&idempotency, "a", "p");
    assert!(begun(&idempotency, &store, &ticket, NOW).await.is_none());
    let large = ErrorShape::unavailable("x".repeat(8 * 1024 * 1024));
    idempotency
        .settle(&store, ticket, Err(Box::new(large)))
        .await;
    assert!(total(&store) < 1_000);
}

/// What the answers have together, as the tables count it.
fn total(store: &Store) -> i64 {
    let counted =
        |tx: &Connection| tx.query_row("SELECT bytes FROM idempotency_total", [], |row| row.get(0));
    let summed = |tx: &Connection| {
        let sum = "SELECT coalesce(sum(octet_length(answer)), 0) FROM idempotency";
        tx.query_row(sum, [], |row| row.get(0))
    };
    let [counted, summed]: [i64; 2] = [store.read(counted).unwrap(), store.read(summed).unwrap()];
    assert_eq!(counted, summed);
    counted
}

#[tokio::test]
async fn all_answers_together_are_bounded_in_bytes_and_the_oldest_go() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let idempotency = Idempotency::default();
    let answers = [10, 100_000, 200_000, 50_000].map(|size| json!("x".repeat(size)).to_string());
    for (name, answer) in ["a", "b", "c", "d"].into_iter().zip(&answers) {
        let ticket = first(&idempotency, name, "p");
        assert!(begun(&idempotency, &store, &ticket, NOW).await.is_none());
        idempotency
            .settle(&store, ticket, Ok(Bytes::from(answer.clone())))
            .await;
    }
    assert!(total(&store) > 350_000);
    let pruned: Result<(), StoreError> = store
        .write(|tx| Ok(super::rows::make_room(tx, 100_000)?))
        .await;
    pruned.unwrap();
    assert!(total(&store) < 60_000);
    let mut kept = Vec::new();
    for name in ["a", "b", "c", "d"] {
        let ticket = first(&idempotency, name, "p");
        kept.push(
            begun(&idempotency, &store, &ticket, NOW)
                .await
                .unwrap()
                .is_ok(),
        );
    }
    assert_eq!(kept, [true, false, false, true]);
    let later = WallTime::from_millis(NOW.as_millis() + 86_400_001);
    let ticket = first(&idempotency, "e", "p");
    assert!(begun(&idempotency, &store, &ticket, later).await.is_none());
    assert_eq!(total(&store), 0);
}

#[tokio::test]
async fn the_oldest_answer_is_found_without_reading_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let plan = store.read(|tx| {
        tx.query_row(
            "EXPLAIN QUERY PLAN SELECT id FROM idempotency WHERE octet_length(answer) > 512 ORDER BY id LIMIT 1",
            [],
            |row| row.get::<_, String>(3),
        )
    });
    assert!(plan.unwrap().contains("idempotency_with_answer"));
}

#[tokio::test]
async fn old_rows_go() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let idempotency = Idempotency::default();
    for name in ["a", "b"] {
        let ticket = first(&idempotency, name, "p");
        assert!(begun(&idempotency, &store, &ticket, NOW).await.is_none());
        idempotency
            .settle(&store, ticket, Ok(Bytes::from_static(b"1")))
            .await;
    }
    let count = || {
        store.read(|tx| {
            tx.query_row("SELECT count(*) FROM idempotency", [], |row| {
                row.get::<_, i64>(0)
            })
        })
    };
    assert_eq!(count().unwrap(), 2);
    let tomorrow = WallTime::from_millis(NOW.as_millis() + 86_400_001);
    let ticket = first(&idempotency, "a", "p");
    assert!(
        begun(&idempotency, &store, &ticket, tomorrow)
            .await
            .is_none()
    );
    assert_eq!(count().unwrap(), 1);
    let jumped: Result<(), StoreError> = store
        .write(|tx| {
            Ok(tx
                .execute(
                    "UPDATE sqlite_sequence SET seq = 200000 WHERE name = 'idempotency'",
                    [],
                )
                .map(drop)?)
        })
        .await;
    jumped.unwrap();
    let other = first(&idempotency, "c", "p");
    assert!(
        begun(&idempotency, &store, &other, tomorrow)
            .await
            .is_none()
    );
    let another = first(&idempotency, "d", "p");
    assert!(
        begun(&idempotency, &store, &another, tomorrow)
            .await
            .is_none()
    );
    assert_eq!(
        count().unwrap(),
        2,
        "more than a hundred thousand are not kept"
    );
}

#[test]
fn the_order_of_keys_makes_no_difference() {
    let hash = |text: &str| fingerprint(&serde_json::from_str(text).unwrap());
    assert_eq!(
        hash(r#"{"a":1,"b":{"c":[1,2],"d":2}}"#),
        hash(r#"{"b":{"d":2,"c":[1,2]},"a":1}"#)
    );
    assert_ne!(hash(r#"{"a":[1,2]}"#), hash(r#"{"a":[2,1]}"#));
    assert_ne!(hash(r#"{"a":1}"#), hash(r#"{"a":"1"}"#));
}
