use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use openclaw_shared::clock::Moment;
use openclaw_shared::protocol::params::nodes::NodeError;
use tokio::sync::oneshot;

use super::{
    COMES_BACK, Invokes, MOST, MOST_PER_NODE, Outcome, Over, Reservation, Said, Settle, refused,
};
use crate::connection::Answer;
use crate::connection::link::LinkId;
use crate::services::idempotency::{Entered, Idempotency, Key};

fn reservation(id: &str, node: &str, link: u64, deadline: Moment) -> Reservation {
    Reservation {
        id: id.to_owned(),
        node: Arc::from(node),
        link: LinkId(link),
        command: "system.which".to_owned(),
        timeout: Duration::from_secs(1),
        deadline,
    }
}

fn reserve(invokes: &mut Invokes, id: &str, node: &str, link: u64, deadline: Moment) -> bool {
    invokes
        .reserve(reservation(id, node, link, deadline))
        .is_ok()
}

fn sent(
    invokes: &mut Invokes,
    id: &str,
    node: &str,
    link: u64,
    deadline: Moment,
) -> oneshot::Receiver<Outcome> {
    assert!(reserve(invokes, id, node, link, deadline));
    let (settle, settled) = oneshot::channel();
    let reservation = reservation(id, node, link, deadline);
    assert!(invokes.send(Moment::now(), &reservation, Settle::Once(settle)));
    settled
}

fn enter(keys: &Idempotency) -> Entered {
    let key = Key {
        kind: "test",
        key: "k".to_owned(),
    };
    keys.enter(key, String::new())
}

/// One that was sent under a key.
fn keyed(invokes: &mut Invokes, keys: &Idempotency, id: &str) -> oneshot::Receiver<Answer> {
    let Entered::First(ticket) = enter(keys) else {
        panic!("it is the first")
    };
    let waits = ticket.wait();
    assert!(reserve(invokes, id, "a", 1, soon()));
    assert!(invokes.send(
        Moment::now(),
        &reservation(id, "a", 1, soon()),
        Settle::Keyed(ticket)
    ));
    waits
}

fn ends(over: &[Over]) -> Vec<String> {
    over.iter()
        .map(|over| match &over.outcome {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.message.clone(),
        })
        .collect()
}

/// How those ended that are over, and which nodes may stop.
fn over(invokes: &mut Invokes) -> (Vec<String>, Vec<String>) {
    let work = invokes.take_work();
    for _ in &work.over {
        invokes.settled();
    }
    let cancelled = work.cancelled.into_iter().map(|cancelled| cancelled.id);
    (ends(&work.over), cancelled.collect())
}

fn texts<const COUNT: usize>(texts: [&str; COUNT]) -> Vec<String> {
    texts.map(str::to_owned).to_vec()
}

fn soon() -> Moment {
    Moment::now() + Duration::from_secs(600)
}

#[test]
fn rule_43_only_the_connection_that_was_asked_can_answer() {
    let mut invokes = Invokes::default();
    let _waiting = sent(&mut invokes, "i", "a", 1, soon());
    let mut says = |node: &str, link: u64| {
        let said = Ok(Said::default());
        invokes.answer("i", node, LinkId(link), said).is_some()
    };
    assert!(!says("b", 2));
    assert!(!says("a", 3));
    assert!(says("a", 1));
    assert!(!says("a", 1));
}

#[test]
fn a_request_ends_with_its_connection_its_deadline_or_this_life() {
    let mut invokes = Invokes::default();
    let now = Moment::now();
    let _first = sent(&mut invokes, "1", "a", 1, soon());
    let _second = sent(&mut invokes, "2", "b", 2, now);
    let _third = sent(&mut invokes, "3", "c", 3, soon());
    assert_eq!(invokes.next_deadline(), Some(now));
    invokes.disconnect(LinkId(1));
    assert_eq!(
        over(&mut invokes),
        (
            texts(["Error: node disconnected (system.which)"]),
            texts([])
        )
    );
    invokes.expire(now);
    assert_eq!(
        over(&mut invokes),
        (texts(["node invoke timed out"]), texts(["2"]))
    );
    let _closed = invokes.close();
    invokes.stop();
    let restarting = "the gateway is restarting; the outcome of system.which is unknown";
    assert_eq!(
        over(&mut invokes),
        (texts([restarting]), texts(["3"])),
        "the node may stop"
    );
    assert!(!reserve(&mut invokes, "4", "a", 1, soon()));
    assert_eq!(invokes.next_deadline(), None);
}

#[test]
fn a_life_that_ends_waits_for_nodes_that_are_at_work_and_takes_nothing_new() {
    let mut invokes = Invokes::default();
    let _first = sent(&mut invokes, "1", "a", 1, soon());
    let _second = sent(&mut invokes, "2", "a", 1, soon());
    let _third = sent(&mut invokes, "3", "b", 2, soon());
    assert!(reserve(&mut invokes, "4", "c", 3, soon()));
    let all = [1, 2, 3].map(LinkId);
    assert_eq!(invokes.close(), BTreeSet::from(all));
    assert!(!reserve(&mut invokes, "5", "a", 1, soon()));
    assert_eq!(invokes.take_work().released, []);
    for (id, released) in [("1", vec![]), ("2", vec![LinkId(1)])] {
        assert!(
            invokes
                .answer(id, "a", LinkId(1), Ok(Said::default()))
                .is_some()
        );
        assert_eq!(invokes.take_work().released, released);
        assert!(!invokes.is_idle());
        invokes.settled();
    }
    invokes.release("4");
    assert_eq!(invokes.take_work().released, [LinkId(3)]);
    invokes.give_up();
    let work = invokes.take_work();
    assert_eq!((work.released, work.over.len()), (vec![LinkId(2)], 1));
    assert_eq!(work.cancelled, [], "the node goes on");
    assert!(!invokes.is_idle(), "its end is not told yet");
    invokes.settled();
    assert!(invokes.is_idle());
}

#[test]
fn what_was_not_sent_leaves_nothing() {
    let mut invokes = Invokes::default();
    assert!(reserve(&mut invokes, "1", "a", 1, soon()));
    let early = invokes.answer("1", "a", LinkId(1), Ok(Said::default()));
    assert!(early.is_none());
    invokes.release("1");
    assert_eq!(invokes.next_deadline(), None);
    assert!(reserve(&mut invokes, "2", "a", 1, soon()));
    invokes.disconnect(LinkId(1));
    assert_eq!(over(&mut invokes), (texts([]), texts([])));
    let (settle, _settled) = oneshot::channel();
    assert!(!invokes.send(
        Moment::now(),
        &reservation("2", "a", 1, soon()),
        Settle::Once(settle)
    ));
    assert_eq!(
        over(&mut invokes).0,
        ["Error: node disconnected (system.which)"]
    );
    let _waiting = sent(&mut invokes, "3", "a", 1, soon());
    invokes.release("3");
    assert!(invokes.next_deadline().is_some());
    assert!(reserve(&mut invokes, "4", "a", 1, soon()));
    invokes.stop();
    assert_eq!(over(&mut invokes).1, ["3"], "what was not sent cannot stop");
}

#[test]
fn a_node_goes_on_for_a_while_for_who_may_come_back() {
    let (mut invokes, keys) = (Invokes::default(), Idempotency::default());
    let now = Moment::now();
    let waits = keyed(&mut invokes, &keys, "1");
    invokes.expire(now);
    assert!(invokes.next_deadline() > Some(now + COMES_BACK));
    drop(waits);
    invokes.expire(now);
    invokes.expire(now + COMES_BACK / 2);
    assert_eq!(invokes.next_deadline(), Some(now + COMES_BACK));

    let Entered::Shares(back) = enter(&keys) else {
        panic!("it is under way")
    };
    invokes.expire(now + COMES_BACK);
    assert_eq!(over(&mut invokes), (texts([]), texts([])));
    assert!(invokes.next_deadline() > Some(now + COMES_BACK));

    drop(back);
    invokes.expire(now + COMES_BACK);
    invokes.expire(now + COMES_BACK * 2);
    assert_eq!(
        over(&mut invokes),
        (
            texts(["nobody waited for system.which, and it was cancelled"]),
            texts(["1"])
        )
    );
}

#[test]
fn nobody_comes_back_without_a_key() {
    let mut invokes = Invokes::default();
    drop(sent(&mut invokes, "1", "a", 1, soon()));
    invokes.expire(Moment::now());
    assert_eq!(over(&mut invokes).1, ["1"]);
}

#[test]
fn what_waits_is_bounded_for_each_node_and_in_all() {
    let mut invokes = Invokes::default();
    for number in 0..MOST_PER_NODE {
        assert!(reserve(&mut invokes, &format!("a{number}"), "a", 1, soon()));
    }
    assert!(!reserve(&mut invokes, "more", "a", 1, soon()));
    for number in MOST_PER_NODE..MOST - 1 {
        let name = format!("n{number}");
        assert!(reserve(&mut invokes, &name, &name, 1, soon()));
    }
    let _waiting = sent(&mut invokes, "last", "last", 7, soon());
    assert!(!reserve(&mut invokes, "more", "other", 1, soon()));
    invokes.disconnect(LinkId(7));
    assert!(!reserve(&mut invokes, "more", "other", 1, soon()));
    assert_eq!(invokes.take_work().over.len(), 1);
    assert!(
        !reserve(&mut invokes, "more", "other", 1, soon()),
        "its answer is held until it is told"
    );
    invokes.settled();
    assert!(reserve(&mut invokes, "more", "other", 1, soon()));
}

#[test]
fn what_a_node_says_of_its_failure_is_short() {
    let error = refused(Some(NodeError {
        code: Some("C".repeat(1_000_000)),
        message: Some("m".repeat(8_000_000)),
    }));
    assert!(serde_json::to_vec(&error).unwrap().len() < 10_000);
}
