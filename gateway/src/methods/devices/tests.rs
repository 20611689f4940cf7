//! Pairing over a real socket: who comes in, who is told, who must go.

use std::collections::BTreeMap;

use openclaw_shared::clock::WallTime;
use openclaw_shared::identity::DeviceIdentity;
use openclaw_shared::protocol::connect::ConnectParams;
use openclaw_shared::protocol::strict::NonEmpty;
use serde_json::{Value, json};

use crate::testing::{Client, Gateway, Seen, connect};

const REMOTE: &[(&str, &str)] = &[("x-forwarded-for", "192.0.2.9")];

/// Connects as the device of this number.
async fn arrive(
    gateway: &Gateway,
    number: u8,
    headers: &[(&'static str, &str)],
    params: Value,
) -> (Client, Value) {
    let headers: BTreeMap<&'static str, String> = headers
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect();
    let mut client = gateway.open_with(&headers).await.unwrap();
    let challenge = client.event("connect.challenge").await;
    let nonce = NonEmpty::new(challenge["payload"]["nonce"].as_str().unwrap()).unwrap();
    let mut params = params;
    let typed: ConnectParams = serde_json::from_value(params.clone()).unwrap();
    let proof = identity(number).prove(&typed, &nonce, WallTime::now());
    params["device"] = json!(proof);
    let request = json!({"type": "req", "id": "c", "method": "connect", "params": params});
    client.send(request.to_string()).await;
    match client.see().await {
        Seen::Frame(answer) => (client, answer),
        end @ (Seen::Closed(..) | Seen::Broken) => panic!("{end:?} instead of an answer"),
    }
}

fn identity(number: u8) -> DeviceIdentity {
    DeviceIdentity::from_seed(&[number; 32])
}

fn asking(scopes: &[&str]) -> Value {
    let mut params = connect();
    params["scopes"] = json!(scopes);
    params
}

fn as_node() -> Value {
    let mut params = asking(&[]);
    params["role"] = "node".into();
    params["client"]["id"] = "node-host".into();
    params["client"]["mode"] = "node".into();
    params
}

fn with_token(mut params: Value, token: &Value) -> Value {
    params["auth"] = json!({"token": token});
    params
}

fn request_of(answer: &Value) -> String {
    assert_eq!(answer["error"]["code"], "NOT_PAIRED", "{answer}");
    assert_eq!(answer["error"]["message"], "pairing required");
    answer["error"]["details"]["requestId"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test(flavor = "local")]
async fn a_local_device_is_paired_silently_and_its_token_is_enough_from_then_on() {
    let gateway = Gateway::start().await;
    let (mut owner, _) = gateway.client().await;
    let (_client, hello) = arrive(&gateway, 1, &[], connect()).await;
    let auth = &hello["payload"]["auth"];
    assert_eq!(auth["role"], "operator", "{hello}");
    assert_eq!(auth["scopes"], json!(["operator.admin"]));
    assert_eq!(auth["deviceToken"].as_str().unwrap().len(), 32);
    let resolved = owner.event("device.pair.resolved").await;
    assert_eq!(resolved["payload"]["decision"], "approved");
    assert_eq!(resolved["payload"]["deviceId"], identity(1).device_id());
    let token = &auth["deviceToken"];
    let (_client, again) = arrive(&gateway, 1, REMOTE, with_token(connect(), token)).await;
    assert_eq!(&again["payload"]["auth"], auth);
    let (_client, other) = arrive(&gateway, 2, &[], with_token(connect(), token)).await;
    assert_eq!(
        other["error"]["message"],
        "unauthorized: gateway token mismatch (provide gateway auth token)"
    );
}

#[tokio::test(flavor = "local")]
async fn a_remote_device_waits_for_the_owner() {
    let gateway = Gateway::start().await;
    let (mut owner, _) = gateway.client().await;
    let (mut client, refused) = arrive(&gateway, 1, REMOTE, asking(&["operator.read"])).await;
    let request = request_of(&refused);
    assert_eq!(
        client.end().await,
        Seen::Closed(1008, "pairing required".into())
    );
    let asked = owner.event("device.pair.requested").await;
    let pending = &asked["payload"];
    assert_eq!(pending["requestId"], *request);
    assert_eq!(pending["publicKey"], identity(1).public_key());
    // The proxy is a stranger: its own address is what is known.
    assert_eq!(pending["remoteIp"], "127.0.0.1");
    assert_eq!(
        (&pending["silent"], &pending["isRepair"]),
        (&json!(false), &json!(false))
    );
    let (_client, retried) = arrive(&gateway, 1, REMOTE, asking(&["operator.read"])).await;
    assert_eq!(request_of(&retried), request);
    let listed = owner.call("device.pair.list", json!({})).await;
    assert_eq!(listed["payload"]["pending"], json!([pending]));
    let approved = owner
        .call("device.pair.approve", json!({"requestId": request}))
        .await;
    let device = &approved["payload"]["device"];
    assert_eq!(device["scopes"], json!(["operator.read"]), "{approved}");
    assert_eq!(device["tokens"][0]["role"], "operator");
    assert!(device["tokens"][0].get("token").is_none());
    let (_client, hello) = arrive(&gateway, 1, REMOTE, asking(&["operator.read"])).await;
    assert_eq!(hello["ok"], true, "{hello}");
    // Rule 25: its own token asks for no more than was approved.
    let token = &hello["payload"]["auth"]["deviceToken"];
    let wider = with_token(asking(&["operator.read", "operator.write"]), token);
    let (_client, refused) = arrive(&gateway, 1, REMOTE, wider).await;
    assert_eq!(refused["ok"], false);
    let (_client, refused) = arrive(&gateway, 1, REMOTE, asking(&["operator.write"])).await;
    request_of(&refused);
    let unknown = owner
        .call("device.pair.approve", json!({"requestId": request}))
        .await;
    assert_eq!(unknown["error"]["message"], "unknown requestId");
}

#[tokio::test(flavor = "local")]
async fn rule_26_whoever_came_in_by_a_token_goes_with_it() {
    let gateway = Gateway::start().await;
    let (mut owner, _) = gateway.client().await;
    let (_first, hello) = arrive(&gateway, 1, &[], connect()).await;
    let token = hello["payload"]["auth"]["deviceToken"].clone();
    let device = identity(1).device_id().to_owned();
    let of_operator = json!({"deviceId": device, "role": "operator"});
    let (mut by_token, hello) = arrive(&gateway, 1, &[], with_token(connect(), &token)).await;
    assert_eq!(hello["ok"], true);
    let (mut by_secret, _) = arrive(&gateway, 1, &[], connect()).await;
    let rotated = owner.call("device.token.rotate", of_operator.clone()).await;
    assert_eq!(
        by_token.end().await,
        Seen::Closed(1008, "device token rotated".into())
    );
    let (_client, refused) = arrive(&gateway, 1, &[], with_token(connect(), &token)).await;
    assert_eq!(refused["ok"], false);
    let fresh = &rotated["payload"]["token"];
    let (mut by_token, hello) = arrive(&gateway, 1, &[], with_token(connect(), fresh)).await;
    assert_eq!(hello["ok"], true);
    // Even one that revokes itself is answered first.
    let revoked = by_token.call("device.token.revoke", of_operator).await;
    assert!(revoked["payload"]["revokedAtMs"].is_u64(), "{revoked}");
    assert_eq!(
        by_token.end().await,
        Seen::Closed(1008, "device token revoked".into())
    );
    let (_client, hello) = arrive(&gateway, 1, &[], connect()).await;
    assert_eq!(
        (&hello["ok"], hello["payload"].get("auth")),
        (&json!(true), None)
    );
    assert_eq!(by_secret.call("health", json!({})).await["ok"], true);
    let removed = owner
        .call("device.pair.remove", json!({"deviceId": device}))
        .await;
    assert_eq!(
        removed["payload"],
        json!({"deviceId": device, "removed": true})
    );
    assert_eq!(
        by_secret.end().await,
        Seen::Closed(1008, "device removed".into())
    );
    let (_client, hello) = arrive(&gateway, 1, &[], connect()).await;
    assert!(hello["payload"]["auth"]["deviceToken"].is_string());
}

#[tokio::test(flavor = "local")]
async fn rule_26_a_request_kept_pending_does_not_keep_a_revoked_session() {
    let gateway = Gateway::start().await;
    let (mut owner, _) = gateway.client().await;
    let (_first, hello) = arrive(&gateway, 1, &[], connect()).await;
    let token = &hello["payload"]["auth"]["deviceToken"];
    let (mut thief, _) = arrive(&gateway, 1, &[], with_token(connect(), token)).await;
    let approval = |id: &str| {
        let params = json!({"id": id, "command": "true", "timeoutMs": 86_400_000});
        json!({"type": "req", "id": id, "method": "exec.approval.request", "params": params})
            .to_string()
    };
    thief.send(approval("kept")).await;
    owner.event("exec.approval.requested").await;
    let of_operator = json!({"deviceId": identity(1).device_id(), "role": "operator"});
    let revoked = owner.call("device.token.revoke", of_operator).await;
    assert_eq!(revoked["ok"], true, "{revoked}");
    // It may neither ask nor hear anything from here on.
    let note = json!({"type": "req", "id": "n", "method": "system-event", "params": {"text": "by a thief"}});
    thief.send(note.to_string()).await;
    owner.send(approval("secret")).await;
    owner.event("exec.approval.requested").await;
    // Its request would keep it here for a day.
    let end = loop {
        match thief.see().await {
            Seen::Frame(frame) => {
                assert!(frame["id"] != "n" && frame["id"] != "kept", "{frame}");
                assert_ne!(frame["payload"]["id"], "secret", "{frame}");
            }
            end @ (Seen::Closed(..) | Seen::Broken) => break end,
        }
    };
    assert_eq!(end, Seen::Closed(1008, "device token revoked".into()));
    let status = owner.call("status", json!({})).await;
    assert_eq!(status["payload"]["queuedSystemEvents"], json!([]));
}

#[tokio::test(flavor = "local")]
async fn rules_26_45_a_node_that_is_approved_anew_comes_again() {
    let gateway = Gateway::start().await;
    let (mut owner, _) = gateway.client().await;
    let (mut node, hello) = arrive(&gateway, 3, &[], as_node()).await;
    assert_eq!(hello["ok"], true, "{hello}");
    let mut other = as_node();
    other["client"]["platform"] = "darwin".into();
    let (_client, refused) = arrive(&gateway, 3, &[], other).await;
    let request = json!({"requestId": request_of(&refused)});
    let approved = owner.call("device.pair.approve", request).await;
    assert_eq!(approved["ok"], true, "{approved}");
    assert_eq!(
        node.end().await,
        Seen::Closed(1008, "device approved anew".into())
    );
}

#[tokio::test(flavor = "local")]
async fn a_rotation_takes_as_many_scopes_as_a_connect() {
    let gateway = Gateway::start().await;
    let (mut owner, _) = gateway.client().await;
    arrive(&gateway, 1, &[], connect()).await;
    let device = identity(1).device_id().to_owned();
    let mut rotate = async |scopes: Value| {
        let params = json!({"deviceId": device, "role": "operator", "scopes": scopes});
        owner.call("device.token.rotate", params).await
    };
    let rotated = rotate(json!(vec!["operator.read"; 64])).await;
    assert_eq!(
        rotated["payload"]["scopes"],
        json!(["operator.read"]),
        "{rotated}"
    );
    for beyond in [json!(vec!["operator.read"; 65]), json!(["x".repeat(129)])] {
        assert_eq!(rotate(beyond).await["error"]["code"], "INVALID_REQUEST");
    }
}

#[tokio::test(flavor = "local")]
async fn rule_29_whoever_holds_less_approves_nothing() {
    let gateway = Gateway::start().await;
    let mut poor = gateway.open().await;
    let hello = poor.connect(asking(&["operator.pairing"])).await;
    assert_eq!(hello["ok"], true);
    let (_client, refused) = arrive(&gateway, 1, REMOTE, connect()).await;
    let request = json!({"requestId": request_of(&refused)});
    for method in ["device.pair.approve", "node.pair.approve"] {
        let answer = poor.call(method, request.clone()).await;
        assert_eq!(
            answer["error"]["message"], "missing scope: operator.admin",
            "{method}"
        );
    }
    let mut reader = gateway.open().await;
    reader.connect(asking(&["operator.read"])).await;
    let answer = reader.call("device.pair.list", json!({})).await;
    assert_eq!(
        answer["error"]["message"],
        "missing scope: operator.pairing"
    );
}

#[tokio::test(flavor = "local")]
async fn a_node_is_one_thing_in_both_lists_and_both_families_of_events() {
    let gateway = Gateway::start().await;
    let (mut owner, _) = gateway.client().await;
    let (_client, refused) = arrive(&gateway, 3, REMOTE, as_node()).await;
    let request = request_of(&refused);
    let asked = owner.event("node.pair.requested").await;
    assert_eq!(asked["payload"]["nodeId"], identity(3).device_id());
    let listed = owner.call("node.pair.list", json!({})).await;
    assert_eq!(listed["payload"]["pending"][0]["requestId"], *request);
    let approved = owner
        .call("node.pair.approve", json!({"requestId": request}))
        .await;
    let token = &approved["payload"]["node"]["token"];
    assert_eq!(token.as_str().unwrap().len(), 32, "{approved}");
    let verify = json!({"nodeId": identity(3).device_id(), "token": token});
    let verified = owner.call("node.pair.verify", verify).await;
    assert_eq!(
        (
            &verified["payload"]["ok"],
            verified["payload"]["node"].get("token")
        ),
        (&json!(true), None)
    );
    let wrong = json!({"nodeId": identity(3).device_id(), "token": "x"});
    assert_eq!(
        owner.call("node.pair.verify", wrong).await["payload"],
        json!({"ok": false})
    );
    let listed = owner.call("device.pair.list", json!({})).await;
    assert_eq!(listed["payload"]["paired"][0]["roles"], json!(["node"]));
    let listed = owner.call("node.pair.list", json!({})).await;
    assert_eq!(listed["payload"]["paired"][0].get("token"), None);
    let (_node, hello) = arrive(&gateway, 3, REMOTE, as_node()).await;
    assert_eq!(&hello["payload"]["auth"]["deviceToken"], token);
    let renamed = json!({"nodeId": identity(3).device_id(), "displayName": "Kitchen"});
    let as_typed =
        json!({"nodeId": format!(" {}", identity(3).device_id()), "displayName": " Kitchen "});
    assert_eq!(
        owner.call("node.rename", as_typed).await["payload"],
        renamed
    );
    let blank = json!({"nodeId": identity(3).device_id(), "displayName": "  "});
    assert_eq!(
        owner.call("node.rename", blank).await["error"]["message"],
        "displayName required"
    );
    let listed = owner.call("device.pair.list", json!({})).await;
    assert_eq!(listed["payload"]["paired"][0]["displayName"], "Kitchen");
}

#[tokio::test(flavor = "local")]
async fn a_request_by_somebody_elses_mouth_is_answered_as_clients_know_it() {
    let gateway = Gateway::start().await;
    let (mut owner, _) = gateway.client().await;
    let params = json!({"nodeId": "n1", "displayName": "N1", "platform": "ios"});
    let first = owner.call("node.pair.request", params.clone()).await;
    let request = &first["payload"]["request"];
    let expected = json!({"requestId": request["requestId"], "nodeId": "n1", "displayName": "N1", "platform": "ios", "isRepair": false, "ts": request["ts"]});
    assert_eq!(request, &expected);
    assert_eq!(
        (&first["payload"]["status"], &first["payload"]["created"]),
        (&json!("pending"), &json!(true))
    );
    let again = owner.call("node.pair.request", params).await;
    assert_eq!(
        again["payload"],
        json!({"status": "pending", "request": expected, "created": false})
    );
    let rejected = owner
        .call(
            "node.pair.reject",
            json!({"requestId": request["requestId"]}),
        )
        .await;
    assert_eq!(
        rejected["payload"],
        json!({"requestId": request["requestId"], "nodeId": "n1"})
    );
    let listed = owner.call("node.pair.list", json!({})).await;
    assert_eq!(listed["payload"], json!({"pending": [], "paired": []}));
}

#[tokio::test(flavor = "local")]
async fn rules_10_11_12_what_came_through_a_stranger_is_not_local() {
    let gateway = Gateway::start_with(
        &json!({"gateway": {"controlUi": {"allowedHosts": ["gw.tail.ts.net"]}}}),
    )
    .await;
    let cases: &[(&'static str, &str)] = &[
        ("x-forwarded-for", "127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("x-forwarded-host", "localhost"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "for=127.0.0.1"),
        ("true-client-ip", "127.0.0.1"),
        ("host", "gw.tail.ts.net"),
    ];
    for (number, header) in (1..).zip(cases) {
        let (_client, refused) = arrive(&gateway, number, &[*header], connect()).await;
        request_of(&refused);
    }
}

#[tokio::test(flavor = "local")]
async fn how_a_device_was_last_seen_is_shown_at_once_and_written_down_later() {
    let gateway = Gateway::start().await;
    let (mut owner, _) = gateway.client().await;
    let (_client, hello) = arrive(&gateway, 1, &[], connect()).await;
    let token = &hello["payload"]["auth"]["deviceToken"];
    let mut named = with_token(connect(), token);
    named["client"]["displayName"] = "Laptop".into();
    let (_client, hello) = arrive(&gateway, 1, &[], named).await;
    assert_eq!(hello["ok"], true);
    let seen = |listed: &Value| {
        let device = &listed["payload"]["paired"][0];
        assert_eq!(device["displayName"], "Laptop");
        assert!(device["tokens"][0]["lastUsedAtMs"].is_u64(), "{device}");
    };
    seen(&owner.call("device.pair.list", json!({})).await);
    crate::services::devices::write_sightings(&gateway.context).await;
    seen(&owner.call("device.pair.list", json!({})).await);
}
