//! Once inside: what a client is welcomed with, what it may do, and whom it sees.

use std::collections::BTreeSet;

use openclaw_tests::client::{Client, connect_params};
use openclaw_tests::home::{Home, TOKEN};
use openclaw_tests::instance::Instance;
use serde_json::{Value, json};

async fn instance() -> Instance {
    Home::new().launch().ready().await
}

/// The parameters of a good connect, changed.
fn params(change: impl FnOnce(&mut Value)) -> Value {
    let mut params = connect_params(TOKEN);
    change(&mut params);
    params
}

#[tokio::test]
async fn the_hello_tells_everything_that_a_client_needs() {
    let instance = instance().await;
    let mut params = connect_params(TOKEN);
    params["client"]["displayName"] = json!("my laptop");
    params["client"]["instanceId"] = json!("laptop-1");
    let mut client = Client::connect_as(instance.home().port(), params).await;
    let hello = client.hello.clone();
    assert_eq!(
        (&hello["type"], &hello["protocol"]),
        (&json!("hello-ok"), &json!(3))
    );
    let policy =
        json!({ "maxPayload": 524_288, "maxBufferedBytes": 1_572_864, "tickIntervalMs": 30_000 });
    assert_eq!(hello["policy"], policy);
    for pointer in [
        "/server/version",
        "/server/host",
        "/server/connId",
        "/snapshot/configPath",
        "/snapshot/stateDir",
    ] {
        assert!(
            hello.pointer(pointer).is_some_and(Value::is_string),
            "{pointer}: {hello}"
        );
    }
    for pointer in [
        "/snapshot/uptimeMs",
        "/snapshot/stateVersion/presence",
        "/snapshot/stateVersion/health",
        "/snapshot/health/ts",
    ] {
        assert!(
            hello.pointer(pointer).is_some_and(Value::is_u64),
            "{pointer}: {hello}"
        );
    }
    assert_eq!(
        hello["snapshot"]["sessionDefaults"]["mainSessionKey"],
        "agent:main:main"
    );
    assert_eq!(hello["snapshot"]["health"]["ok"], true);
    assert_eq!(
        hello["snapshot"]["health"]["supervisor"]["children"]
            .as_array()
            .map(Vec::len),
        Some(3)
    );
    let presence = hello["snapshot"]["presence"].as_array().unwrap();
    assert!(
        presence
            .iter()
            .any(|entry| entry["mode"] == "gateway" && entry["reason"] == "self"),
        "{presence:?}"
    );
    assert!(
        presence.iter().any(|entry| entry["host"] == "my laptop"),
        "{presence:?}"
    );
    assert_eq!(
        hello["canvasHostUrl"],
        format!("http://127.0.0.1:{}", instance.home().port())
    );

    // The list of methods is the list of what works.
    let listed: BTreeSet<String> =
        serde_json::from_value(hello["features"]["methods"].clone()).unwrap();
    let wanted = [
        "health",
        "status",
        "system-presence",
        "system-event",
        "logs.tail",
    ];
    assert!(
        wanted.iter().all(|method| listed.contains(*method)),
        "{listed:?}"
    );
    for method in &listed {
        let answer = client.call(method, json!({})).await;
        let error = answer
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(!error.contains("unknown method"), "{method}: {error}");
    }
    let events: BTreeSet<String> =
        serde_json::from_value(hello["features"]["events"].clone()).unwrap();
    for event in [
        "connect.challenge",
        "tick",
        "presence",
        "health",
        "shutdown",
    ] {
        assert!(events.contains(event), "{event}: {events:?}");
    }
}

#[tokio::test]
async fn rule_17_a_second_connect_is_refused_and_changes_nothing() {
    let instance = instance().await;
    let params = params(|params| params["scopes"] = json!(["operator.read"]));
    let mut client = Client::connect_as(instance.home().port(), params).await;
    let refused = client
        .call("connect", connect_params(TOKEN))
        .await
        .unwrap_err();
    assert_eq!(
        refused["message"],
        "connect is only valid as the first request"
    );
    client.call("health", json!({})).await.unwrap();
    let refused = client
        .call("system-event", json!({ "text": "x" }))
        .await
        .unwrap_err();
    assert_eq!(refused["message"], "missing scope: operator.admin");
}

#[tokio::test]
async fn rules_32_37_scopes_are_what_was_asked_for_and_nothing_is_implied() {
    let instance = instance().await;
    let port = instance.home().port();
    // scopes, may read, may do what needs admin
    for (scopes, reads, administers) in [
        (None, true, true),
        (Some(json!(["operator.admin"])), true, true),
        (Some(json!(["operator.read"])), true, false),
        (Some(json!(["operator.write"])), true, false),
        (Some(json!([])), false, false),
        (
            Some(json!(["operator.approvals", "operator.pairing"])),
            false,
            false,
        ),
        (
            Some(json!([
                "operator.*",
                "OPERATOR.ADMIN",
                "admin",
                "*",
                "operator.admin "
            ])),
            false,
            false,
        ),
    ] {
        let params = params(|params| match &scopes {
            Some(scopes) => params["scopes"] = scopes.clone(),
            None => {
                params.as_object_mut().unwrap().remove("scopes");
            }
        });
        let mut client = Client::connect_as(port, params).await;
        let read = client.call("health", json!({})).await;
        assert_eq!(read.is_ok(), reads, "{scopes:?}: {read:?}");
        // Refused for its scope before the parameters are looked at.
        let administered = client
            .call("system-event", json!({ "nonsense": 1 }))
            .await
            .unwrap_err();
        let refused_for_scope = administered["message"] == "missing scope: operator.admin";
        assert_eq!(
            refused_for_scope, !administers,
            "{scopes:?}: {administered}"
        );
        let unknown = client.call("no.such.method", json!({})).await.unwrap_err();
        let expected = if administers {
            "unknown method: no.such.method"
        } else {
            "missing scope: operator.admin"
        };
        assert_eq!(unknown["message"], expected, "{scopes:?}");
    }
}

#[tokio::test]
async fn everybody_sees_who_comes_and_goes() {
    let instance = instance().await;
    let mut watcher = instance.client().await;
    let params = params(|params| {
        params["client"]["displayName"] = json!("visitor");
        params["client"]["instanceId"] = json!("visitor-1");
    });
    let visitor = Client::connect_as(instance.home().port(), params).await;
    let list = watcher.call("system-presence", json!({})).await.unwrap();
    let entry = |list: &Value| {
        let entries = list.as_array().unwrap().iter();
        let mut found = entries.filter(|entry| entry["host"] == "visitor");
        found.next().cloned().unwrap_or_default()
    };
    assert_eq!(entry(&list)["reason"], "connect", "{list}");
    drop(visitor);
    let left = loop {
        let event = watcher.event("presence").await;
        assert!(
            event["seq"].is_u64() && event["stateVersion"]["presence"].is_u64(),
            "{event}"
        );
        if entry(&event["payload"]["presence"])["reason"] == "disconnect" {
            break event;
        }
    };
    assert_eq!(
        entry(&left["payload"]["presence"])["instanceId"],
        "visitor-1"
    );

    watcher
        .call(
            "system-event",
            json!({ "text": "Node: desk", "deviceId": "desk-1", "host": "desk" }),
        )
        .await
        .unwrap();
    let told = watcher.event("presence").await;
    assert!(told["payload"].to_string().contains("desk"), "{told}");
}

#[tokio::test]
async fn a_client_that_vanishes_leaves_the_others_alone() {
    let instance = instance().await;
    let mut other = instance.client().await;
    for _ in 0..20 {
        // Dropped without a word, some with a question under way.
        let mut client = instance.client().await;
        client.send("health", json!({})).await;
    }
    other.call("status", json!({})).await.unwrap();
    let mut last = instance.client().await;
    last.socket().send_text("not json").await.unwrap();
    assert!(
        last.call("status", json!({})).await.is_ok(),
        "nonsense after the hello ends nothing"
    );
    other.call("status", json!({})).await.unwrap();
}
