use std::path::Path;

use bytes::Bytes;
use openclaw_shared::clock::WallTime;
use openclaw_shared::control::Generation;
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
        Entered::Shares(_) | Entered::Answered(_) => panic!("{name} is the first"),
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
    let Entered::Answered(answer) = idempotency.enter(key("a"), "q".to_owned()) else {
        panic!("others are refused")
    };
    assert_eq!(text(&answer), refused);
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
    assert!(begun(&idempotency, &store, &ticket, NOW).await.is_none());
    drop(ticket);
    assert!(own.await.is_err());
    let ticket = first(&idempotency, "a", "p");
    assert!(begun(&idempotency, &store, &ticket, NOW).await.is_none());
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
        "Unavailable this was done before, and its answer was too large to keep"
    );
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
