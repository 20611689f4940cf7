//! What an admitted client hears.

use serde_json::{Value, json};

use crate::testing::{Gateway, Seen, connect};

#[tokio::test(flavor = "local")]
async fn a_client_is_challenged_and_welcomed_with_a_full_snapshot() {
    let gateway = Gateway::start().await;
    let mut client = gateway.open().await;
    let Seen::Frame(challenge) = client.see().await else {
        panic!("a challenge")
    };
    assert_eq!(challenge["event"], "connect.challenge");
    assert_eq!(challenge["payload"]["nonce"].as_str().unwrap().len(), 36);
    assert!(challenge.get("seq").is_none());
    let Value::Object(hello) = client.connect(connect()).await else {
        panic!("a hello")
    };
    let keys: Vec<&str> = hello.keys().map(String::as_str).collect();
    assert_eq!(keys, ["type", "id", "ok", "payload"]);
    let payload = &hello["payload"];
    let keys: Vec<&str> = payload
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        keys,
        [
            "type",
            "protocol",
            "server",
            "features",
            "snapshot",
            "canvasHostUrl",
            "policy"
        ]
    );
    assert_eq!(
        payload["policy"],
        json!({"maxPayload": 524_288, "maxBufferedBytes": 1_572_864, "tickIntervalMs": 30_000})
    );
    assert_eq!(
        payload["features"]["methods"],
        json!(openclaw_shared::protocol::method::features().collect::<Vec<_>>())
    );
    let snapshot = &payload["snapshot"];
    assert_eq!(snapshot["configPath"], "~/.openclaw/openclaw.json");
    assert_eq!(snapshot["stateDir"], "~/.openclaw");
    // Both came within a moment, so either may be the newest.
    let mut modes: Vec<_> = snapshot["presence"].as_array().unwrap().iter().collect();
    modes.sort_by_key(|entry| entry["mode"].to_string());
    assert_eq!(modes[0]["host"], "gateway-client");
    assert_eq!(modes[1]["mode"], "gateway");
    assert_eq!(
        snapshot["health"]["supervisor"]["children"][0]["name"],
        "gateway"
    );
    assert_eq!(snapshot["stateVersion"]["presence"], 2);
    let port = gateway.address.port();
    assert_eq!(payload["canvasHostUrl"], format!("http://127.0.0.1:{port}"));
    let health = client.event("health").await;
    assert_eq!(health["seq"], 1);
    assert_eq!(health["stateVersion"]["health"], 2);
}

#[tokio::test(flavor = "local")]
async fn every_method_answers() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let health = client
        .call("health", json!({"probe": true, "later": [1]}))
        .await;
    assert_eq!(
        (&health["ok"], &health["payload"]["ok"]),
        (&true.into(), &true.into())
    );
    let status = client.call("status", Value::Null).await;
    assert_eq!(status["payload"]["heartbeat"]["defaultAgentId"], "main");
    let event = json!({"type": "req", "id": "1", "method": "system-event", "params": {"text": "Node: x", "host": "x"}});
    client.send(event.to_string()).await;
    // The answer and what everybody is told come in either order.
    let (mut noted, mut presence) = (Value::Null, Value::Null);
    while noted.is_null() || presence.is_null() {
        match client.see().await {
            Seen::Frame(frame) if frame["type"] == "res" => noted = frame,
            Seen::Frame(frame) if frame["event"] == "presence" => presence = frame,
            Seen::Frame(_) => {}
            end @ (Seen::Closed(..) | Seen::Broken) => panic!("{end:?}"),
        }
    }
    assert_eq!(noted["payload"], json!({"ok": true}));
    assert!(
        presence["payload"]["presence"].as_array().unwrap().len() == 3,
        "{presence}"
    );
    let list = client.call("system-presence", json!({})).await;
    let hosts = |list: &Value| {
        let hosts = list
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["host"].to_string());
        hosts.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(
        hosts(&list["payload"]),
        hosts(&presence["payload"]["presence"])
    );
    let status = client.call("status", json!({})).await;
    assert_eq!(status["payload"]["queuedSystemEvents"], json!(["Node: x"]));
    let logs = gateway.context.instance.log_dir.clone();
    std::fs::create_dir_all(&logs).unwrap();
    let file = openclaw_shared::log::current_file(
        &gateway.context.logging(),
        openclaw_shared::clock::WallTime::now(),
    );
    std::fs::write(&file, "{\"1\":\"one\"}\n{\"1\":\"two\"}\n").unwrap();
    let tail = client.call("logs.tail", json!({"limit": 1.0})).await;
    assert_eq!(tail["payload"]["lines"], json!(["{\"1\":\"two\"}"]));
    assert_eq!(tail["payload"]["cursor"], 24);
    assert!(
        tail["payload"]["file"]
            .as_str()
            .unwrap()
            .starts_with("~/.openclaw/logs/"),
        "{tail}"
    );
    drop(gateway.home);
}

#[tokio::test(flavor = "local")]
async fn frames_after_the_handshake_are_answered_once_or_ignored() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    for ignored in ["", "{", "no json"] {
        client.send(ignored).await;
    }
    let long = "x".repeat(20_000);
    let unknown = json!({"type": "req", "id": "u", "method": long}).to_string();
    let deep = format!(
        r#"{{"type":"req","id":"d","method":"logs.tail","params":{{"x":{}{}}}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    for (frame, id, message) in [
        (
            r#"{"type":"req","id":5}"#,
            json!(5),
            "invalid request frame: must have required property 'method'; at /id: must be string",
        ),
        (
            "[]",
            json!("invalid"),
            "invalid request frame: must be object",
        ),
        (
            "null",
            json!("invalid"),
            "invalid request frame: must be object",
        ),
        (
            r#"{"type":"req","id":"a","method":"constructor"}"#,
            json!("a"),
            "unknown method: constructor",
        ),
        (
            r#"{"type":"req","id":"a","method":"__proto__"}"#,
            json!("a"),
            "unknown method: __proto__",
        ),
        (
            r#"{"type":"req","id":"a","method":" health"}"#,
            json!("a"),
            "unknown method:  health",
        ),
        (
            r#"{"type":"req","id":"a","method":"HEALTH"}"#,
            json!("a"),
            "unknown method: HEALTH",
        ),
        (
            &unknown,
            json!("u"),
            &format!("unknown method: {}", "x".repeat(128)),
        ),
        (
            r#"{"type":"req","id":"c","method":"connect"}"#,
            json!("c"),
            "connect is only valid as the first request",
        ),
        (
            r#"{"type":"req","id":"p","method":"health","params":"x"}"#,
            json!("p"),
            "invalid health params: must be object",
        ),
        (
            r#"{"type":"req","id":"p","method":"logs.tail","params":[]}"#,
            json!("p"),
            "invalid logs.tail params: must be object",
        ),
        (
            r#"{"type":"req","id":"p","method":"logs.tail","params":{"foo":1,"limit":0}}"#,
            json!("p"),
            "invalid logs.tail params: at root: unexpected property 'foo'; at /limit: must be >= 1",
        ),
        (
            &deep,
            json!("d"),
            "invalid logs.tail params: must be valid JSON of reasonable depth",
        ),
    ] {
        client.send(frame).await;
        let answer = client.answer().await;
        assert_eq!(
            (&answer["id"], &answer["error"]["message"]),
            (&id, &json!(message))
        );
        assert_eq!(answer["error"]["code"], "INVALID_REQUEST");
    }
    client
        .stream_binary(br#"{"type":"req","id":"b","method":"status"}"#)
        .await;
    assert_eq!(client.answer().await["id"], "b");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn ticks_come_every_thirty_seconds_also_to_a_silent_client() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    client.patience = std::time::Duration::from_secs(60);
    let first = client.event("tick").await;
    let begun = tokio::time::Instant::now();
    let second = client.event("tick").await;
    assert!((29_900..30_100).contains(&begun.elapsed().as_millis()));
    let seq = |event: &Value| event["seq"].as_u64().unwrap();
    assert!(seq(&second) > seq(&first));
}
