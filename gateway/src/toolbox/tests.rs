use std::rc::Rc;

use openclaw_agent::tool::{Call, ToolError, ToolOutput, Toolbox};
use openclaw_shared::transcript::{Part, text_of};
use serde_json::{Value, json};

use super::of;
use crate::services::session_key::SessionKey;
use crate::services::sessions::Register;
use crate::testing::{Client, Gateway};

mod approvals;

fn key(gateway: &Gateway, text: &str) -> SessionKey {
    let register = Register::new(gateway.context.settings());
    register.key(text).unwrap()
}

async fn toolbox(gateway: &Gateway, agent: &str, session: &str) -> Toolbox {
    of(&gateway.context, agent, &key(gateway, session), None).await
}

async fn call(toolbox: &Toolbox, name: &str, arguments: Value) -> Result<ToolOutput, ToolError> {
    let Value::Object(arguments) = arguments else {
        panic!("arguments are an object")
    };
    let tool = Rc::clone(toolbox.find(name).unwrap_or_else(|| panic!("{name}")));
    let call = Call {
        id: "call_1",
        arguments,
        progress: &|_| {},
    };
    tool.call(call).await
}

async fn done(toolbox: &Toolbox, name: &str, arguments: Value) -> Value {
    call(toolbox, name, arguments).await.unwrap().details
}

async fn refused(toolbox: &Toolbox, name: &str, arguments: Value) -> String {
    call(toolbox, name, arguments)
        .await
        .unwrap_err()
        .to_string()
}

/// A session with one message and its answer.
async fn talk(gateway: &Gateway, session: &str, message: &str) {
    let (mut client, _) = gateway.client().await;
    let params = json!({"sessionKey": session, "message": message, "idempotencyKey": uuid::Uuid::new_v4().to_string()});
    let answer = client.call("chat.send", params).await;
    assert_eq!(answer["ok"], true, "{answer}");
    final_of(&mut client, session).await;
}

/// The last `chat` event of a run in a session.
async fn final_of(client: &mut Client, session: &str) -> Value {
    loop {
        let event = client.event("chat").await;
        let payload = &event["payload"];
        if payload["sessionKey"] == session && payload["state"] == "final" {
            return payload.clone();
        }
    }
}

#[tokio::test(flavor = "local")]
async fn every_schema_is_plain_enough_for_providers() {
    let gateway = Gateway::start().await;
    let toolbox = toolbox(&gateway, "main", "main").await;
    let names: Vec<String> = toolbox.names().map(str::to_owned).collect();
    for name in [
        "sessions_list",
        "sessions_history",
        "sessions_send",
        "sessions_spawn",
        "session_status",
        "agents_list",
        "cron",
        "nodes",
        "gateway",
        "message",
    ] {
        assert!(names.iter().any(|it| it == name), "{name} in {names:?}");
    }
    for spec in toolbox.specs() {
        let schema = &spec.parameters;
        assert_eq!(schema["type"], "object", "{}", spec.name);
        assert!(schema["properties"].is_object(), "{}", spec.name);
        let text = schema.to_string();
        for foreign in ["$ref", "$schema", "definitions", "\"null\"", "\"format\":"] {
            assert!(
                !text.contains(foreign),
                "{foreign} in {}: {text}",
                spec.name
            );
        }
    }
}

#[tokio::test(flavor = "local")]
async fn an_agent_sees_conversations_and_reads_them() {
    let gateway = Gateway::start().await;
    talk(&gateway, "agent:main:tea", "green or black?").await;
    talk(&gateway, "agent:other:tea", "secret").await;
    let toolbox = toolbox(&gateway, "main", "main").await;
    let listed = done(
        &toolbox,
        "sessions_list",
        json!({"messageLimit": 5, "kinds": null}),
    )
    .await;
    assert_eq!(listed["count"], 1, "{listed}");
    let row = &listed["sessions"][0];
    assert_eq!(
        (&row["key"], &row["kind"]),
        (&json!("agent:main:tea"), &json!("other"))
    );
    assert_eq!(row["messages"].as_array().unwrap().len(), 2, "{row}");
    let by_id = json!({"sessionKey": row["sessionId"], "limit": 1});
    let history = done(&toolbox, "sessions_history", by_id).await;
    assert_eq!(history["sessionKey"], "agent:main:tea");
    assert_eq!(history["messages"][0]["role"], "assistant", "{history}");
    let why = refused(
        &toolbox,
        "sessions_history",
        json!({"sessionKey": "agent:other:tea"}),
    )
    .await;
    assert!(why.contains("tools.agentToAgent"), "{why}");
    let why = refused(
        &toolbox,
        "sessions_history",
        json!({"sessionKey": "nothing"}),
    )
    .await;
    assert_eq!(why, "there is no session nothing");
    let why = refused(&toolbox, "sessions_list", json!({"limit": "many"})).await;
    assert!(
        why.starts_with("invalid arguments of sessions_list"),
        "{why}"
    );
}

#[tokio::test(flavor = "local")]
async fn an_agent_tells_how_a_conversation_stands() {
    let gateway = Gateway::start_with(&json!({"agents": {"defaults": {
        "userTimezone": "Europe/Vienna", "models": {"a/b": {"alias": "quick"}, "c/d": {}}, "model": "c/d",
    }}}))
    .await;
    let toolbox = toolbox(&gateway, "main", "main").await;
    let output = call(&toolbox, "session_status", json!({"model": "quick"}))
        .await
        .unwrap();
    let text = text_of(&output.content);
    assert!(
        text.contains("(Europe/Vienna)") && text.contains("a/b"),
        "{text}"
    );
    let back = done(&toolbox, "session_status", json!({"model": "default"})).await;
    assert!(back["text"].as_str().unwrap().contains("c/d"), "{back}");
    let why = refused(&toolbox, "session_status", json!({"model": "x/y"})).await;
    assert!(why.contains("not allowed"), "{why}");
}

#[tokio::test(flavor = "local")]
async fn what_an_agent_sends_is_answered_and_a_conversation_does_not_write_to_itself() {
    let gateway =
        Gateway::start_with(&json!({"session": {"agentToAgent": {"maxPingPongTurns": 0}}})).await;
    talk(&gateway, "agent:main:tea", "hello").await;
    let toolbox = toolbox(&gateway, "main", "main").await;
    let sent = done(
        &toolbox,
        "sessions_send",
        json!({"sessionKey": "tea", "message": "how much?"}),
    )
    .await;
    assert_eq!(sent["status"], "ok", "{sent}");
    assert!(
        sent["reply"].as_str().unwrap().contains("how much?"),
        "{sent}"
    );
    let later = json!({"sessionKey": "tea", "message": "and now?", "timeoutSeconds": 0});
    assert_eq!(
        done(&toolbox, "sessions_send", later).await["status"],
        "accepted"
    );
    let why = refused(
        &toolbox,
        "sessions_send",
        json!({"sessionKey": "main", "message": "me"}),
    )
    .await;
    assert!(why.contains("this conversation"), "{why}");
}

#[tokio::test(flavor = "local")]
async fn what_came_of_a_task_is_told_to_whoever_gave_it() {
    let gateway = Gateway::start().await;
    talk(&gateway, "agent:main:main", "hello").await;
    let (mut client, _) = gateway.client().await;
    let toolbox = toolbox(&gateway, "main", "main").await;
    let begun = done(
        &toolbox,
        "sessions_spawn",
        json!({"task": "count the leaves", "label": "leaves", "model": "no such model"}),
    )
    .await;
    assert_eq!(begun["status"], "accepted", "{begun}");
    let child = begun["childSessionKey"].as_str().unwrap();
    assert!(child.starts_with("agent:main:subagent:"), "{child}");
    let told = final_of(&mut client, "agent:main:main").await;
    let text = told["message"]["content"][0]["text"].as_str().unwrap();
    for part in ["leaves", "Status: success", "count the leaves", child] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let listed = client
        .call("sessions.list", json!({"spawnedBy": "agent:main:main"}))
        .await;
    assert_eq!(listed["payload"]["sessions"][0]["key"], child, "{listed}");
    assert_eq!(listed["payload"]["sessions"][0]["label"], "leaves");
}

#[tokio::test(flavor = "local")]
async fn an_agent_that_was_started_starts_no_others_and_not_as_anybody() {
    let gateway =
        Gateway::start_with(&json!({"agents": {"list": [{"id": "main"}, {"id": "other"}]}})).await;
    let started = toolbox(&gateway, "main", "agent:main:subagent:1").await;
    if started.find("sessions_spawn").is_some() {
        let why = refused(&started, "sessions_spawn", json!({"task": "more"})).await;
        assert!(why.contains("cannot start others"), "{why}");
    }
    let toolbox = toolbox(&gateway, "main", "main").await;
    let why = refused(
        &toolbox,
        "sessions_spawn",
        json!({"task": "x", "agentId": "other"}),
    )
    .await;
    assert!(why.contains("may not start"), "{why}");
    let agents = done(&toolbox, "agents_list", json!({})).await;
    assert_eq!(agents["requester"], "main");
    assert_eq!(agents["agents"].as_array().unwrap().len(), 1, "{agents}");
}

#[tokio::test(flavor = "local")]
async fn jobs_are_made_for_the_agent_itself() {
    let gateway =
        Gateway::start_with(&json!({"agents": {"list": [{"id": "main"}, {"id": "other"}]}})).await;
    let toolbox = toolbox(&gateway, "main", "main").await;
    let job = json!({
        "name": "tea", "schedule": {"kind": "every", "everyMs": 3_600_000}, "sessionTarget": "main",
        "payload": {"kind": "systemEvent", "text": "tea time"},
    });
    let added = done(&toolbox, "cron", json!({"action": "add", "job": job})).await;
    assert_eq!(
        (&added["agentId"], &added["enabled"]),
        (&json!("main"), &json!(true)),
        "{added}"
    );
    let listed = done(&toolbox, "cron", json!({"action": "list"})).await;
    assert_eq!(listed["jobs"][0]["name"], "tea", "{listed}");
    let mut foreign = job;
    foreign["agentId"] = json!("other");
    let why = refused(&toolbox, "cron", json!({"action": "add", "job": foreign})).await;
    assert!(why.contains("may not make jobs"), "{why}");
    let id = &added["id"];
    let removed = done(&toolbox, "cron", json!({"action": "remove", "jobId": id})).await;
    assert_eq!(removed["removed"], true);
    assert_eq!(
        refused(&toolbox, "cron", json!({"action": "runs"})).await,
        "jobId is missing"
    );
}

#[tokio::test(flavor = "local")]
async fn rule_48_agents_that_are_kept_apart_do_not_reach_each_other_by_jobs() {
    let agents = json!({"agents": {"list": [{"id": "main", "default": true}, {"id": "other"}]}});
    let gateway = Gateway::start_with(&agents).await;
    let own = toolbox(&gateway, "main", "main").await;
    let other = toolbox(&gateway, "other", "agent:other:main").await;
    let job = json!({
        "name": "tea", "schedule": {"kind": "every", "everyMs": 3_600_000}, "sessionTarget": "main",
        "payload": {"kind": "systemEvent", "text": "tea time"},
    });
    let of_main = done(&own, "cron", json!({"action": "add", "job": job})).await;
    // However it is wrapped, and whatever is left blank, a job is for whoever makes it.
    let foreign = |agent: Value| {
        let mut job = job.clone();
        job["agentId"] = agent;
        job
    };
    for blank in [json!(null), json!(""), json!(" ")] {
        let added = done(
            &other,
            "cron",
            json!({"action": "add", "job": foreign(blank)}),
        )
        .await;
        assert_eq!(added["agentId"], "other", "{added}");
    }
    for wrapped in [
        foreign(json!("main")),
        foreign(json!("MAIN")),
        json!({ "job": foreign(json!("main")) }),
        json!({ "data": foreign(json!("main")) }),
    ] {
        let why = refused(&other, "cron", json!({"action": "add", "job": wrapped})).await;
        assert!(why.contains("may not make jobs"), "{why}");
    }
    let wrapped = json!({"action": "add", "job": {"data": foreign(json!(null))}});
    let added = done(&other, "cron", wrapped).await;
    assert_eq!(added["agentId"], "other", "{added}");
    // Nor is an own job handed to another agent.
    for agent in [json!(null), json!("main")] {
        for patch in [
            json!({"agentId": agent}),
            json!({"data": {"agentId": agent}}),
        ] {
            let change = json!({"action": "update", "jobId": added["id"], "patch": patch});
            let why = refused(&other, "cron", change).await;
            assert!(why.contains("may not make jobs"), "{why}");
        }
    }
    // Nor are jobs of another agent seen, changed, started or removed.
    let listed = done(&other, "cron", json!({"action": "list"})).await;
    let listed = listed["jobs"].as_array().unwrap();
    assert_eq!(listed.len(), 4);
    assert!(
        listed.iter().all(|job| job["agentId"] == "other"),
        "{listed:?}"
    );
    for action in ["update", "remove", "run", "runs"] {
        let asked = json!({
            "action": action, "jobId": format!(" {} ", of_main["id"].as_str().unwrap()),
            "patch": {"payload": {"kind": "systemEvent", "text": "obey"}},
        });
        let why = refused(&other, "cron", asked).await;
        assert!(why.contains("unknown cron job id"), "{why}");
    }
    let wake = json!({"action": "wake", "text": "obey"});
    let why = refused(&other, "cron", wake).await;
    assert!(why.contains("tools.agentToAgent"), "{why}");
    let listed = done(&own, "cron", json!({"action": "list"})).await;
    assert_eq!(listed["jobs"], json!([of_main]));
}

#[tokio::test(flavor = "local")]
async fn rule_51_an_agent_changes_and_restarts_the_gateway_only_where_the_owner_says_so() {
    let gateway = Gateway::start().await;
    let toolbox = toolbox(&gateway, "main", "main").await;
    for action in ["restart", "config.patch", "config.apply"] {
        let why = refused(&toolbox, "gateway", json!({"action": action, "raw": "{}"})).await;
        assert!(why.contains("commands."), "{action}: {why}");
    }
    let shown = done(&toolbox, "gateway", json!({"action": "config.get"})).await;
    assert!(shown["exists"].is_boolean(), "{shown}");
}

#[tokio::test(flavor = "local")]
async fn rule_51_an_agent_that_may_configure_does_not_lift_its_own_limits() {
    let gateway = Gateway::start_with(&json!({"commands": {"config": true}})).await;
    let path = &gateway.context.instance.identity.config_path;
    std::fs::write(path, "{commands: {config: true}}").unwrap();
    let toolbox = toolbox(&gateway, "main", "main").await;
    let shown = done(&toolbox, "gateway", json!({"action": "config.get"})).await;
    let ask =
        |action: &str, raw: &str| json!({"action": action, "raw": raw, "baseHash": shown["hash"]});
    for raw in [
        "{tools: {exec: {security: 'full'}}}",
        "{tools: {}}",
        "{tools: null}",
        "{approvals: {exec: {enabled: false}}}",
        "{gateway: {auth: {token: 'x'}}}",
        "{gateway: {bind: 'lan'}}",
        "{gateway: {tools: {allow: ['exec']}}}",
        "{commands: {restart: true}}",
        "{hooks: {enabled: true, token: 'x'}}",
        "{models: {providers: {p: {baseUrl: 'http://evil.example'}}}}",
        "{agents: null}",
        "{agents: {list: [{id: 'main'}]}}",
        "{agents: {defaults: {workspace: '/'}}}",
        "{agents: {defaults: {model: '${OPENCLAW_GATEWAY_TOKEN}'}}}",
        "{agents: {defaults: {models: {$include: '/etc/passwd'}}}}",
        "{agents: {defaults: {userTimezone: 'UTC'}}, mcp: {servers: {x: {command: 'sh'}}}}",
        "[]",
    ] {
        let why = refused(&toolbox, "gateway", ask("config.patch", raw)).await;
        assert!(why.contains("an agent may not change"), "{raw}: {why}");
    }
    let why = refused(&toolbox, "gateway", ask("config.apply", "{}")).await;
    assert!(why.contains("config.patch"), "{why}");
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(text, "{commands: {config: true}}");
    let harmless =
        "{agents: {defaults: {userTimezone: 'Europe/Vienna'}}, messages: {queue: {cap: 5}}}";
    done(&toolbox, "gateway", ask("config.patch", harmless)).await;
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains("Europe/Vienna"), "{text}");
}

#[tokio::test(flavor = "local")]
async fn rule_59_a_call_does_not_choose_whom_the_gateway_s_tools_talk_to() {
    let gateway = Gateway::start().await;
    let toolbox = toolbox(&gateway, "main", "main").await;
    let bait = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = bait.local_addr().unwrap();
    let with_another = |arguments: Value| {
        let mut arguments = arguments;
        for key in ["gatewayUrl", "url", "callbackUrl", "remoteUrl"] {
            arguments[key] = json!(format!("ws://{address}"));
        }
        arguments["proxy"] = json!(format!("http://{address}"));
        arguments["gatewayToken"] = json!("secret");
        arguments["timeoutMs"] = json!(1_000);
        arguments
    };
    for (name, arguments, key) in [
        ("gateway", json!({"action": "config.get"}), "exists"),
        ("cron", json!({"action": "status"}), "enabled"),
        ("nodes", json!({"action": "status"}), "nodes"),
        ("sessions_list", json!({}), "sessions"),
        ("agents_list", json!({}), "agents"),
    ] {
        // It is answered by this gateway, or refused.
        if let Ok(answer) = call(&toolbox, name, with_another(arguments)).await {
            assert!(!answer.details[key].is_null(), "{name}: {answer:?}");
        }
        let came = futures_util::FutureExt::now_or_never(bait.accept());
        assert!(came.is_none(), "{name} went elsewhere");
    }
    for spec in toolbox.specs() {
        let offered = spec.parameters["properties"].as_object().unwrap();
        let elsewhere = offered.keys().find(|key| {
            let key = key.to_lowercase();
            ["gatewayurl", "gatewaytoken", "callback", "proxy"]
                .iter()
                .any(|word| key.contains(word))
        });
        assert_eq!(elsewhere, None, "{}", spec.name);
    }
}

#[tokio::test(flavor = "local")]
async fn a_message_appears_in_the_conversation_and_nowhere_else() {
    let gateway = Gateway::start().await;
    talk(&gateway, "agent:main:main", "hello").await;
    let (mut client, _) = gateway.client().await;
    let toolbox = toolbox(&gateway, "main", "main").await;
    let sent = done(
        &toolbox,
        "message",
        json!({"action": "send", "message": "by the way"}),
    )
    .await;
    assert_eq!(sent["ok"], true, "{sent}");
    let told = final_of(&mut client, "agent:main:main").await;
    assert_eq!(told["message"]["content"][0]["text"], "by the way");
    let elsewhere = json!({"action": "send", "message": "hi", "channel": "telegram", "to": "1"});
    let why = refused(&toolbox, "message", elsewhere).await;
    assert_eq!(
        why,
        "the channel telegram is not connected to this gateway; only webchat is"
    );
    let why = refused(&toolbox, "message", json!({"action": "pin"})).await;
    assert!(why.contains("no channel is connected"), "{why}");
}

#[tokio::test(flavor = "local")]
async fn without_nodes_and_without_the_right_to_pair_an_agent_hears_so() {
    let gateway = Gateway::start().await;
    let toolbox = toolbox(&gateway, "main", "main").await;
    let listed = done(&toolbox, "nodes", json!({"action": "status"})).await;
    assert_eq!(listed["nodes"], json!([]));
    let why = refused(
        &toolbox,
        "nodes",
        json!({"action": "run", "command": ["id"]}),
    )
    .await;
    assert_eq!(why, "no node is connected");
    let why = refused(&toolbox, "nodes", json!({"action": "approve"})).await;
    assert!(why.contains("operator.pairing"), "{why}");
}

#[test]
fn a_picture_reaches_the_model_as_one() {
    let output = super::nodes::picture(json!({"format": "jpg", "base64": "AAAA", "width": 2}));
    assert_eq!(
        output.content[1],
        Part::Image {
            data: "AAAA".into(),
            mime_type: "image/jpeg".into()
        }
    );
    assert_eq!(output.details, json!({"format": "jpg", "width": 2}));
}
