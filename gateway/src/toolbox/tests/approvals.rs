//! Programs that agents run: people are asked, shown what would run, and nothing else is run.

use std::collections::BTreeMap;
use std::time::Duration;

use openclaw_agent::tools::exec::{Answer, Consent as _, Question};
use openclaw_shared::exec_approvals::{Ask, Security};
use openclaw_shared::transcript::text_of;
use serde_json::{Value, json};

use super::{call, toolbox};
use crate::desk::Desk;
use crate::testing::{Client, Gateway};
use crate::toolbox::consent::People;

fn people(gateway: &Gateway) -> People {
    People {
        desk: Desk::of_agent(&gateway.context, "main"),
        session: "agent:main:main".to_owned(),
    }
}

fn question(id: &str) -> Question {
    Question {
        id: id.to_owned(),
        command: "make tea".to_owned(),
        argv: ["/bin/sh", "-c", "make tea"].map(str::to_owned).to_vec(),
        cwd: "/tmp".to_owned(),
        env: BTreeMap::from([("CUP".to_owned(), "blue".to_owned())]),
        security: Security::Allowlist,
        ask: Ask::OnMiss,
        agent: "main".to_owned(),
        resolved_path: Some("/usr/bin/make".to_owned()),
        limit: Duration::from_secs(60),
    }
}

async fn decide(owner: &mut Client, decision: &str) -> Value {
    let shown = owner.event("exec.approval.requested").await["payload"].clone();
    let decided = json!({"id": shown["id"], "decision": decision, "sha256": shown["sha256"]});
    let resolved = owner.call("exec.approval.resolve", decided).await;
    assert_eq!(resolved["ok"], true, "{resolved}");
    shown["request"].clone()
}

#[tokio::test(flavor = "local")]
async fn people_see_exactly_what_an_agent_would_run_here_and_their_word_is_taken() {
    let gateway = Gateway::start().await;
    let (mut owner, _) = gateway.client().await;
    for (decision, answer) in [
        ("allow-once", Answer::Once),
        ("allow-always", Answer::Always),
        ("deny", Answer::Denied),
    ] {
        let people = people(&gateway);
        let asked = people.ask(question(decision));
        let (answered, shown) = tokio::join!(asked, decide(&mut owner, decision));
        assert_eq!(answered, answer);
        assert_eq!(
            shown["argv"],
            json!(["/bin/sh", "-c", "make tea"]),
            "{shown}"
        );
        assert_eq!(shown["env"], json!({"CUP": "blue"}));
        assert_eq!(
            (
                &shown["command"],
                &shown["host"],
                &shown["agentId"],
                &shown["sessionKey"]
            ),
            (
                &json!("make tea"),
                &json!("gateway"),
                &json!("main"),
                &json!("agent:main:main")
            )
        );
    }
    let mut liar = question("liar");
    liar.command = "make coffee".to_owned();
    let answered = people(&gateway).ask(liar).await;
    assert_eq!(
        answered,
        Answer::Unasked("command does not show argv".to_owned())
    );
}

#[tokio::test(flavor = "local")]
async fn what_nobody_decides_in_time_is_no() {
    let gateway = Gateway::start().await;
    let (mut owner, _) = gateway.client().await;
    let mut late = question("late");
    late.limit = Duration::from_millis(50);
    assert_eq!(people(&gateway).ask(late).await, Answer::Late);
    let resolved = owner.event("exec.approval.resolved").await;
    assert_eq!(
        (&resolved["payload"]["id"], &resolved["payload"]["decision"]),
        (&json!("late"), &json!("deny"))
    );
    let pending = owner.call("exec.approval.list", json!({})).await;
    assert_eq!(pending["payload"]["pending"], json!([]), "{pending}");
    let decided = json!({"id": "late", "decision": "allow-once"});
    let refused = owner.call("exec.approval.resolve", decided).await;
    assert_eq!(refused["ok"], false, "{refused}");
}

#[tokio::test(flavor = "local")]
async fn when_the_agent_is_stopped_nobody_is_asked_any_more() {
    let gateway = Gateway::start().await;
    let (mut owner, _) = gateway.client().await;
    let people = people(&gateway);
    let mut asked = people.ask(question("gone"));
    let requested = owner.event("exec.approval.requested");
    let shown = tokio::select! {
        answered = &mut asked => panic!("{answered:?}"),
        shown = requested => shown,
    };
    assert_eq!(shown["payload"]["id"], "gone");
    drop(asked);
    let resolved = owner.event("exec.approval.resolved").await;
    assert_eq!(
        (&resolved["payload"]["id"], &resolved["payload"]["decision"]),
        (&json!("gone"), &json!("deny"))
    );
}

/// A node that runs nothing without a person's word.
async fn careful_node(node: &mut Client, id: &str) -> Vec<Value> {
    let mut sent = Vec::new();
    loop {
        let request = node.event("node.invoke.request").await["payload"].clone();
        let params: Value = serde_json::from_str(request["paramsJSON"].as_str().unwrap()).unwrap();
        let is_approved = params["approved"] == true;
        sent.push(params);
        let mut result = json!({"id": request["id"], "nodeId": id, "ok": is_approved});
        if is_approved {
            result["payload"] =
                json!({"stdout": "tea\n", "stderr": "", "exitCode": 0, "timedOut": false});
        } else {
            result["error"] =
                json!({"code": "UNAVAILABLE", "message": "SYSTEM_RUN_DENIED: approval required"});
        }
        node.call("node.invoke.result", result).await;
        if is_approved {
            return sent;
        }
    }
}

#[tokio::test(flavor = "local")]
async fn on_a_node_a_program_runs_under_the_agent_s_own_rules_and_with_a_person_s_word() {
    let gateway = Gateway::start_with(
        &json!({"agents": {"list": [{"id": "main", "default": true}, {"id": "helper"}]}}),
    )
    .await;
    let (mut node, _, id) = gateway
        .device(9, |params| {
            params["client"] = json!({"id": "node-host", "displayName": "Box", "version": "1", "platform": "linux", "mode": "node"});
            params["role"] = json!("node");
            params["scopes"] = json!([]);
            params["caps"] = json!(["system"]);
            params["commands"] = json!(["system.run", "system.which"]);
        })
        .await;
    let (mut owner, _) = gateway.client().await;
    let toolbox = toolbox(&gateway, "helper", "agent:helper:main").await;
    let run = call(
        &toolbox,
        "nodes",
        json!({"action": "run", "node": "box", "command": ["make", "green tea"], "env": ["CUP=blue"], "cwd": "/tmp"}),
    );
    let (ran, sent, shown) = tokio::join!(
        run,
        careful_node(&mut node, &id),
        decide(&mut owner, "allow-once")
    );
    let ran = ran.unwrap();
    assert_eq!(
        (text_of(&ran.content).as_str(), ran.is_error),
        ("tea", false)
    );
    assert_eq!(shown["command"], "make 'green tea'", "{shown}");
    assert_eq!(
        (&shown["agentId"], &shown["nodeId"], &shown["env"]),
        (&json!("helper"), &json!(id), &json!({"CUP": "blue"}))
    );
    assert_eq!(sent.len(), 2);
    for params in &sent {
        assert_eq!(params["agentId"], "helper", "{params}");
        assert_eq!(params["command"], json!(["make", "green tea"]));
    }
    assert_eq!(sent[0].get("approved"), None);
}
