//! How a node introduces itself, waits to be let in, and comes back.

use openclaw_shared::clock::WallTime;
use openclaw_shared::identity::DeviceIdentity;
use openclaw_shared::protocol::connect::ConnectParams;
use openclaw_shared::protocol::strict::NonEmpty;
use openclaw_tests::eventually::soon;
use serde_json::{Value, json};

use crate::stub::{Gateway, Home, start};

#[tokio::test]
async fn it_introduces_itself_and_proves_its_key() {
    let gateway = Gateway::listen().await;
    let home = Home::open();
    let mut node = home.start(&gateway).await;
    assert_eq!(node.says("path").await["path"], "/usr/bin:/bin");
    let mut caller = gateway.caller().await;
    let connect = &caller.connect;
    let client = &connect["client"];
    assert_eq!(
        (&client["id"], &client["mode"]),
        (&json!("node-host"), &json!("node"))
    );
    assert_eq!(
        (&client["displayName"], &client["instanceId"]),
        (&json!("Build Box"), &json!("presence-1"))
    );
    assert_eq!(connect["role"], "node");
    assert_eq!(connect["scopes"], json!([]));
    assert_eq!(connect["caps"], json!(["system"]));
    assert_eq!(
        connect["commands"],
        json!([
            "system.run",
            "system.which",
            "system.execApprovals.get",
            "system.execApprovals.set"
        ])
    );
    assert_eq!(connect["pathEnv"], "/usr/bin:/bin");
    assert_eq!(connect["auth"], json!({"token": "shared-secret"}));
    // Signatures of this kind are the same each time, so that the key file tells what it must be.
    let identity = DeviceIdentity::load(&home.path("identity/node.json"))
        .unwrap()
        .unwrap();
    let params: ConnectParams = serde_json::from_value(connect.clone()).unwrap();
    let sent = params.device.clone().unwrap();
    let signed_at = WallTime::from_millis(sent.signed_at.get_unsigned());
    assert_eq!(
        identity.prove(&params, &NonEmpty::new("n-1").unwrap(), signed_at),
        sent
    );
    caller.admit(30_000, None).await;
    let connected = node.says("connected").await;
    assert_eq!(connected["nodeId"], identity.device_id());
}

#[tokio::test]
async fn it_says_which_request_to_approve_and_tries_again() {
    let gateway = Gateway::listen().await;
    let home = Home::open();
    let mut node = home.start(&gateway).await;
    for _ in 0..2 {
        let caller = gateway.caller().await;
        caller
            .refuse(
                "NOT_PAIRED",
                "pairing required",
                json!({"requestId": "r-1"}),
            )
            .await;
    }
    assert_eq!(node.says("pairing-required").await["requestId"], "r-1");
    gateway.node().await;
    let next = node.says("connected").await;
    assert_eq!(next["displayName"], "Build Box");
}

#[tokio::test]
async fn an_issued_token_is_preferred_and_a_stale_one_forgotten() {
    let gateway = Gateway::listen().await;
    let home = Home::open();
    let _node = home.start(&gateway).await;
    let token = |connect: &Value| connect["auth"]["token"].as_str().unwrap().to_owned();
    let mut first = gateway.caller().await;
    assert_eq!(token(&first.connect), "shared-secret");
    first.admit(30_000, Some("issued")).await;
    first
        .send(json!({"type": "event", "event": "tick", "payload": {"ts": 1}}))
        .await;
    assert_eq!(
        first
            .invoke("system.which", json!({"bins": ["sh"]}))
            .await
            .unwrap()["bins"]["sh"],
        "/usr/bin/sh"
    );
    drop(first);
    let second = gateway.caller().await;
    assert_eq!(token(&second.connect), "issued");
    let text = "unauthorized: gateway token mismatch (provide gateway auth token)";
    second.refuse("INVALID_REQUEST", text, Value::Null).await;
    let third = gateway.caller().await;
    assert_eq!(token(&third.connect), "shared-secret");
}

#[tokio::test]
async fn a_secret_that_is_given_is_tried_before_what_was_issued() {
    let gateway = Gateway::listen().await;
    let home = Home::open();
    let token = |connect: &Value| connect["auth"]["token"].as_str().unwrap().to_owned();
    let mut node = home.start(&gateway).await;
    let mut first = gateway.caller().await;
    first.admit(30_000, Some("issued")).await;
    node.says("connected").await;
    node.child.kill().await.unwrap();

    let mut launch = home.launch(&gateway);
    launch.secret_is_given = true;
    let _node = start(&launch, &home.path("")).await;
    let refused = gateway.caller().await;
    assert_eq!(token(&refused.connect), "shared-secret");
    let text = "unauthorized: gateway token mismatch (provide gateway auth token)";
    refused.refuse("INVALID_REQUEST", text, Value::Null).await;
    let mut again = gateway.caller().await;
    assert_eq!(
        token(&again.connect),
        "shared-secret",
        "it stays the one that counts"
    );
    again.admit(30_000, None).await;
    drop(again);
    let later = gateway.caller().await;
    assert_eq!(token(&later.connect), "issued", "it has been found right");
}

#[tokio::test]
async fn the_successor_of_a_gateway_is_sought_at_once_but_not_again_and_again() {
    let gateway = Gateway::listen().await;
    let home = Home::open();
    let mut node = home.start(&gateway).await;
    for expected in [0..=250, 1_500..=2_000] {
        let mut caller = gateway.caller().await;
        caller.admit(30_000, None).await;
        node.says("connected").await;
        caller.close(1012).await;
        let reason = &node.says("disconnected").await["reason"];
        assert_eq!(reason, "the gateway restarts");
        let after = node.says("retrying").await["afterMs"].as_u64().unwrap();
        assert!(expected.contains(&after), "{after}");
    }
}

#[tokio::test]
async fn a_silent_gateway_is_left_and_sought_again() {
    let gateway = Gateway::listen().await;
    let home = Home::open();
    let mut node = home.start(&gateway).await;
    let mut caller = gateway.caller().await;
    caller.admit(100, None).await;
    assert_eq!(caller.closed().await, Some(4000));
    assert_eq!(node.says("disconnected").await["reason"], "tick timeout");
    let retrying = node.says("retrying").await["afterMs"].as_u64().unwrap();
    assert!((750..=1_000).contains(&retrying), "{retrying}");
    gateway.node().await;
}

#[tokio::test]
async fn a_broken_identity_is_reported_and_left_alone() {
    let gateway = Gateway::listen().await;
    let home = Home::open();
    std::fs::create_dir(home.path("identity")).unwrap();
    std::fs::write(home.path("identity/node.json"), "{}").unwrap();
    let node = home.start(&gateway).await;
    let output = soon("its end", node.child.wait_with_output())
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("identity/node.json"), "{told}");
    assert_eq!(
        std::fs::read_to_string(home.path("identity/node.json")).unwrap(),
        "{}"
    );
}

#[tokio::test]
async fn two_node_hosts_do_not_share_a_folder() {
    let gateway = Gateway::listen().await;
    let home = Home::open();
    let _first = home.start(&gateway).await;
    let _connection = gateway.node().await;
    let second = home.start(&gateway).await;
    let output = soon("its end", second.child.wait_with_output())
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(76));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .starts_with("Another node host runs")
    );
}
