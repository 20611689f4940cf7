use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::approvals::{
    ApprovalDecision, ApprovalShown, PendingApproval,
};
use rusqlite::Connection;
use serde_json::{Value, json};

use super::super::run;
use super::{Asked, Asker, Bound, Inserted, consume, expire, insert, pending, resolve};

const NOW: WallTime = WallTime::from_millis(1_700_000_000_000);

fn later(seconds: u64) -> WallTime {
    WallTime::from_millis(NOW.as_millis() + seconds * 1_000)
}

fn store() -> Connection {
    let store = Connection::open_in_memory().unwrap();
    store
        .execute_batch(include_str!("../../../store/schema/exec_approvals.sql"))
        .unwrap();
    store
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
    };
    change(&mut request);
    Asked {
        pending: PendingApproval {
            id: id.to_owned(),
            request,
            created_at_ms: NOW.as_millis(),
            expires_at_ms: later(120).as_millis(),
        },
        bound: Bound {
            asker: device("d1"),
            sha256: exactly.map(|exactly| exactly.sha256()),
        },
    }
}

fn allow(store: &Connection, asked: &Asked) {
    assert_eq!(insert(store, NOW, asked).unwrap(), Inserted::New);
    assert!(resolve(store, NOW, &asked.pending.id, ApprovalDecision::AllowOnce).unwrap());
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
    assert_eq!(insert(&store, NOW, &waits).unwrap(), Inserted::New);
    assert_eq!(used(&store, NOW, "n1", &device("d1"), run.clone()), None);
    assert!(
        !resolve(&store, later(120), "a", ApprovalDecision::AllowOnce).unwrap(),
        "it is too late"
    );
    assert!(expire(&store, later(120), "a").unwrap());
    assert!(!expire(&store, later(121), "a").unwrap());
    assert_eq!(
        used(&store, later(121), "n1", &device("d1"), run.clone()),
        None
    );
    let denied = asked("b", None, |_| {});
    assert_eq!(insert(&store, NOW, &denied).unwrap(), Inserted::New);
    assert!(resolve(&store, NOW, "b", ApprovalDecision::Deny).unwrap());
    assert!(
        !resolve(&store, NOW, "b", ApprovalDecision::AllowOnce).unwrap(),
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
    assert_eq!(insert(&store, NOW, &first).unwrap(), Inserted::New);
    assert_eq!(
        insert(&store, NOW, &first).unwrap(),
        Inserted::Same(Box::new(first.pending.clone()))
    );
    let other = asked("a", None, |shown| shown.command = "id".to_owned());
    assert_eq!(insert(&store, NOW, &other).unwrap(), Inserted::Taken);
    let waits = pending(&store, Some(NOW)).unwrap();
    assert_eq!((waits.len(), &waits[0].pending), (1, &first.pending));
    assert!(pending(&store, Some(later(120))).unwrap().is_empty());
    assert_eq!(pending(&store, None).unwrap().len(), 1);
    assert_eq!(insert(&store, later(120), &other).unwrap(), Inserted::New);
}
