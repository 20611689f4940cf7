//! Whole conversations on a real socket, against the accept loop and the connection of this crate.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::testing::{Client, Gateway, Seen, TOKEN, connect};

fn closed(code: u16, reason: &str) -> Seen {
    Seen::Closed(code, reason.to_owned())
}

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

async fn refused(gateway: &Gateway, first: &str) -> (Option<Value>, Seen) {
    let mut client = gateway.open().await;
    client.event("connect.challenge").await;
    client.send(first).await;
    match client.see().await {
        Seen::Frame(answer) => (Some(answer), client.end().await),
        end @ (Seen::Closed(..) | Seen::Broken) => (None, end),
    }
}

#[tokio::test(flavor = "local")]
async fn a_bad_first_frame_ends_the_connection_as_clients_know_it() {
    let gateway = Gateway::start().await;
    for (first, end) in [
        ("hello", closed(1000, "")),
        ("{", closed(1000, "")),
        ("", closed(1000, "")),
        ("[]", closed(1008, "invalid request frame")),
        (r#"{"type":"req"}"#, closed(1008, "invalid request frame")),
        (
            r#"{"type":"req","id":1,"method":"connect"}"#,
            closed(1008, "invalid request frame"),
        ),
        (
            r#"{"type":"event","event":"x"}"#,
            closed(1008, "invalid request frame"),
        ),
    ] {
        assert_eq!(refused(&gateway, first).await, (None, end), "{first}");
    }
    let (answer, end) = refused(
        &gateway,
        r#"{"type":"req","id":"1","method":"config.get","params":{}}"#,
    )
    .await;
    let text = "invalid handshake: first request must be connect";
    assert_eq!(answer.unwrap()["error"]["message"], text);
    assert_eq!(end, closed(1008, text));
    let deep = format!(
        r#"{{"type":"req","id":"1","method":"connect","params":{}"#,
        "[".repeat(60_000)
    );
    assert_eq!(refused(&gateway, &deep).await.1, closed(1000, ""));
}

/// What an otherwise ordinary connect gets: the error message and the close.
async fn connecting(gateway: &Gateway, change: impl FnOnce(&mut Value)) -> (String, Seen) {
    let mut params = connect();
    change(&mut params);
    let request = json!({"type": "req", "id": "c1", "method": "connect", "params": params});
    let (answer, end) = refused(gateway, &request.to_string()).await;
    let message = answer.unwrap()["error"]["message"]
        .as_str()
        .unwrap_or("none")
        .to_owned();
    (message, end)
}

#[tokio::test(flavor = "local")]
async fn only_the_exact_token_in_its_place_lets_in() {
    let gateway = Gateway::start().await;
    // Guesses cost time; each of these comes from somewhere else.
    let forget = || {
        gateway
            .context
            .throttle(|throttle| *throttle = Default::default())
    };
    for near_miss in [
        &TOKEN[1..],
        &format!("{TOKEN}x"),
        &TOKEN.to_uppercase(),
        &format!(" {TOKEN}"),
        &format!("{TOKEN} "),
        &format!("{TOKEN}\n"),
        &format!("{TOKEN}\0"),
        &TOKEN.replace('0', "\u{f6}"),
    ] {
        forget();
        let (message, end) =
            connecting(&gateway, |p| p["auth"] = json!({"token": near_miss})).await;
        assert_eq!(
            message,
            "unauthorized: gateway token mismatch (provide gateway auth token)"
        );
        assert_eq!(end, closed(1008, &message));
    }
    for missing in [json!({}), json!({"token": ""}), json!({"password": TOKEN})] {
        let (message, end) = connecting(&gateway, |p| p["auth"] = missing).await;
        assert_eq!(
            (message.as_str(), end),
            (
                "device identity required",
                closed(1008, "device identity required")
            )
        );
    }
    for (wrong, complaint) in [
        (json!({"token": null}), "at /auth/token: must be string"),
        (json!({"token": true}), "at /auth/token: must be string"),
        (json!({"token": 0}), "at /auth/token: must be string"),
        (json!({"token": [TOKEN]}), "at /auth/token: must be string"),
        (
            json!({"token": {"$ne": ""}}),
            "at /auth/token: must be string",
        ),
        (json!([TOKEN]), "at /auth: must be object"),
        (json!(TOKEN), "at /auth: must be object"),
        (json!(null), "at /auth: must be object"),
    ] {
        let (message, _) = connecting(&gateway, |p| p["auth"] = wrong).await;
        assert_eq!(message, format!("invalid connect params: {complaint}"));
    }
    gateway.client().await;
}

#[tokio::test(flavor = "local")]
async fn protocol_role_and_client_are_judged_before_the_secret() {
    let gateway = Gateway::start().await;
    for (min, max) in [
        (json!(1), json!(2)),
        (json!(4), json!(9)),
        (json!(9), json!(1)),
    ] {
        let (message, end) = connecting(&gateway, |p| {
            p["minProtocol"] = min;
            p["maxProtocol"] = max;
        })
        .await;
        assert_eq!(
            (message.as_str(), end),
            ("protocol mismatch", closed(1002, "protocol mismatch"))
        );
    }
    for bad in [json!(0), json!(-1), json!(3.5), json!("3"), json!(null)] {
        let (message, _) = connecting(&gateway, |p| p["minProtocol"] = bad).await;
        assert!(
            message.starts_with("invalid connect params: at /minProtocol: must be "),
            "{message}"
        );
    }
    for role in ["admin", "root", "Operator"] {
        let (message, end) = connecting(&gateway, |p| p["role"] = role.into()).await;
        assert_eq!(
            (message.as_str(), end),
            ("invalid role", closed(1008, "invalid role"))
        );
    }
    let (message, _) = connecting(&gateway, |p| p["client"]["id"] = "totally-unknown".into()).await;
    assert_eq!(
        message,
        "invalid connect params: at /client/id: must be equal to constant; at /client/id: must match a schema in anyOf"
    );
    let (message, _) = connecting(&gateway, |p| {
        p["client"]["id"] = "openclaw-control-ui".into()
    })
    .await;
    assert_eq!(
        message,
        "control ui requires HTTPS or localhost (secure context)"
    );
    let (message, _) = connecting(&gateway, |p| p["role"] = "node".into()).await;
    assert_eq!(message, "device identity required");
}

#[tokio::test(flavor = "local")]
async fn what_a_browser_attaches_by_itself_lets_nobody_in() {
    let gateway = Gateway::start().await;
    let attached = BTreeMap::from([
        ("authorization", format!("Bearer {TOKEN}")),
        ("cookie", format!("token={TOKEN}")),
        ("sec-websocket-protocol", TOKEN.to_owned()),
    ]);
    let mut client = gateway.open_with(&attached).await.unwrap();
    assert_eq!(client.response_headers["sec-websocket-protocol"], TOKEN);
    let mut params = connect();
    params.as_object_mut().unwrap().remove("auth");
    let answer = client.connect(params).await;
    assert_eq!(answer["error"]["code"], "NOT_PAIRED");
}

#[tokio::test(flavor = "local")]
async fn foreign_pages_and_foreign_names_are_refused_and_our_own_are_not() {
    let config = json!({"gateway": {"controlUi": {"allowedOrigins": ["https://panel.example"]}}});
    let gateway = Gateway::start_with(&config).await;
    let port = gateway.address.port();
    let opens = async |header: &'static str, value: String| {
        gateway
            .open_with(&BTreeMap::from([(header, value)]))
            .await
            .is_ok()
    };
    for foreign in [
        "https://evil.example",
        "null",
        "file://",
        "http://127.0.0.1",
        "chrome-extension://x",
    ] {
        assert!(!opens("origin", foreign.to_owned()).await, "{foreign}");
    }
    for own in [
        format!("http://127.0.0.1:{port}"),
        format!("http://localhost:{port}"),
        "https://panel.example".to_owned(),
    ] {
        assert!(opens("origin", own.clone()).await, "{own}");
    }
    assert!(!opens("host", format!("attacker.example:{port}")).await);
    assert!(opens("host", "localhost:1".to_owned()).await);
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

#[tokio::test(flavor = "local")]
async fn scopes_are_what_was_asked_for_and_no_more() {
    let gateway = Gateway::start().await;
    let as_client = async |scopes: Value| {
        let mut client = gateway.open().await;
        let mut params = connect();
        if scopes.is_null() {
            params.as_object_mut().unwrap().remove("scopes");
        } else {
            params["scopes"] = scopes;
        }
        assert_eq!(client.connect(params).await["ok"], true);
        let mut said = Vec::new();
        for method in ["health", "system-event", "bogus.method"] {
            let answer = client.call(method, json!({"text": "x"})).await;
            said.push(
                answer["error"]["message"]
                    .as_str()
                    .unwrap_or("ok")
                    .to_owned(),
            );
        }
        said
    };
    let admin = ["ok", "ok", "unknown method: bogus.method"];
    assert_eq!(as_client(Value::Null).await, admin);
    assert_eq!(as_client(json!(["operator.admin"])).await, admin);
    let reader = [
        "ok",
        "missing scope: operator.admin",
        "missing scope: operator.admin",
    ];
    assert_eq!(as_client(json!(["operator.read"])).await, reader);
    let nobody = [
        "missing scope: operator.read",
        "missing scope: operator.admin",
        "missing scope: operator.admin",
    ];
    assert_eq!(as_client(json!([])).await, nobody);
    assert_eq!(
        as_client(json!(["operator.*", "OPERATOR.ADMIN", "operator.admin "])).await,
        nobody
    );
}

#[tokio::test(flavor = "local")]
async fn too_much_is_refused_before_and_after_authentication() {
    let gateway = Gateway::start().await;
    let mut stranger = gateway.open().await;
    stranger.event("connect.challenge").await;
    stranger.feed_text(&"x".repeat(8 * 1024 * 1024)).await;
    assert_eq!(stranger.end().await, closed(1009, ""));
    let mut stranger = gateway.open().await;
    stranger.feed_text(&"x".repeat(65 * 1024)).await;
    assert_eq!(stranger.end().await, closed(1009, ""));

    let (mut client, _) = gateway.client().await;
    client.feed_text(&" ".repeat(524_288)).await;
    assert_eq!(client.call("health", json!({})).await["ok"], true);
    client.feed_text(&"x".repeat(524_289)).await;
    assert_eq!(client.end().await, closed(1009, ""));

    let (mut client, _) = gateway.client().await;
    client.feed_fragments(600, 1024).await;
    assert_eq!(client.end().await, closed(1009, ""));
    let (mut client, _) = gateway.client().await;
    client.feed_fragments(100_000, 0).await;
    gateway.client().await;
}

#[tokio::test(flavor = "local")]
async fn what_is_no_websocket_is_closed() {
    let gateway = Gateway::start().await;
    for (name, bytes) in [
        ("unmasked", &b"\x81\x02{}"[..]),
        ("reserved bits", b"\xf1\x80\0\0\0\0"),
        ("opcode 11", b"\x8b\x80\0\0\0\0"),
        ("lone continuation", b"\x80\x80\0\0\0\0"),
        ("long ping", b"\x89\xfe\0\xc8\0\0\0\0"),
        ("2^40 bytes", b"\x81\xff\0\0\x01\0\0\0\0\0\0\0\0\0"),
        ("no UTF-8", b"\x81\x82\0\0\0\0\xff\xfe"),
    ] {
        let (mut client, _) = gateway.client().await;
        client.raw(bytes).await;
        if name == "long ping" {
            client.raw(&[0; 200]).await;
        }
        let Seen::Closed(code, _) = client.end().await else {
            panic!("{name}")
        };
        assert!([1002, 1007, 1009].contains(&code), "{name}: {code}");
    }
}

#[tokio::test(flavor = "local")]
async fn the_oldest_silent_socket_makes_room() {
    let gateway = Gateway::start().await;
    let mut first = gateway.open().await;
    let mut others = Vec::new();
    for _ in 0..crate::limits::UNAUTHENTICATED_SOCKETS {
        others.push(gateway.open().await);
    }
    assert_eq!(first.end().await, Seen::Broken);
    gateway.client().await;
    assert_eq!(
        gateway.context.hub.counts().1,
        crate::limits::UNAUTHENTICATED_SOCKETS - 1
    );
}

#[tokio::test(flavor = "local")]
async fn a_draining_gateway_tells_everybody_and_finishes_what_it_read() {
    let mut gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let mut late = gateway.open().await;
    late.event("connect.challenge").await;
    client
        .send(r#"{"type":"req","id":"l","method":"logs.tail"}"#)
        .await;
    let context = gateway.context.clone();
    let follow = async {
        let shutdown = client.event("shutdown").await;
        assert_eq!(
            shutdown["payload"],
            json!({"reason": "gateway restarting", "restartExpectedMs": 1500})
        );
        let end = client.end().await;
        assert_eq!(late.connect(connect()).await["payload"]["type"], "hello-ok");
        assert_eq!(
            late.event("shutdown").await["payload"]["restartExpectedMs"],
            1500
        );
        (end, late.end().await)
    };
    let ((), ends) = tokio::join!(gateway.drain(), follow);
    assert_eq!(
        ends,
        (
            closed(1012, "service restart"),
            closed(1012, "service restart")
        )
    );
    assert_eq!(context.hub.counts(), (0, 0));
}

#[tokio::test(flavor = "local")]
async fn rule_34_whoever_is_late_at_a_life_that_leaves_needs_the_new_secret() {
    let mut gateway = Gateway::start().await;
    let mut late = gateway.open().await;
    late.event("connect.challenge").await;
    let mut later = gateway.open().await;
    later.event("connect.challenge").await;
    let context = gateway.context.clone();
    let follow = async {
        context.change_secrets(Some(crate::testing::credentials("another")));
        let refused = late.connect(connect()).await;
        let mut params = connect();
        params["auth"]["token"] = "another".into();
        (refused, later.connect(params).await)
    };
    let ((), (refused, admitted)) = tokio::join!(gateway.drain(), follow);
    assert_eq!(refused["ok"], false, "{refused}");
    assert_eq!(admitted["payload"]["type"], "hello-ok");
}

#[tokio::test(flavor = "local")]
async fn a_changed_secret_ends_the_sessions_of_the_old_one() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let settings = (*gateway.context.settings()).clone();
    let logging = gateway.context.logging();
    gateway.context.reload(
        settings,
        Some(crate::testing::credentials("another")),
        logging,
    );
    assert_eq!(client.end().await, closed(1008, "shared secret changed"));
    let (message, _) = connecting(&gateway, |_| {}).await;
    assert!(message.contains("token mismatch"), "{message}");
    let mut client = gateway.open().await;
    let mut params = connect();
    params["auth"]["token"] = "another".into();
    assert_eq!(client.connect(params).await["ok"], true);
}

#[tokio::test(flavor = "local")]
async fn a_client_that_does_not_read_is_dropped_and_its_memory_is_bounded() {
    let gateway = Gateway::start().await;
    let (mut slow, _) = gateway.client().await;
    let (mut other, _) = gateway.client().await;
    // About 100 bytes a time would take long to fill the kernel's buffers; a long list of presence entries does not.
    for number in 0..150 {
        let text = format!("{number}{}", "x".repeat(250));
        let note = json!({"text": text, "host": text, "reason": "r".repeat(250)});
        assert_eq!(other.call("system-event", note).await["ok"], true);
    }
    let mut rounds = 0;
    while gateway.context.hub.counts().0 == 2 {
        rounds += 1;
        assert!(rounds < 100_000, "the slow client is never dropped");
        gateway.context.publish_presence();
        gateway.context.refresh_health();
        assert_eq!(other.call("status", json!({})).await["ok"], true);
    }
    let end = slow.end().await;
    assert!(
        end == closed(1008, "slow consumer") || end == Seen::Broken,
        "{end:?}"
    );
}

#[tokio::test(flavor = "local")]
async fn empty_fragments_without_end_are_too_large_a_message() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let wire = client.stream.get_mut();
    wire.write_all(&[0x01, 0x80, 0, 0, 0, 0]).await.unwrap();
    let fragments = [0x00, 0x80, 0, 0, 0, 0].repeat(10_000);
    // Each is six bytes; 100,000 of them come to more than the framing of one message may. The gateway may have hung up
    // in the middle of it.
    for _ in 0..20 {
        if wire.write_all(&fragments).await.is_err() {
            break;
        }
    }
    assert_eq!(client.end().await, closed(1009, ""));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_silent_socket_is_closed_after_ten_seconds() {
    let gateway = Gateway::start().await;
    let begun = tokio::time::Instant::now();
    let mut silent = gateway.open().await;
    silent.event("connect.challenge").await;
    assert_eq!(silent.end().await, closed(1000, ""));
    let waited = begun.elapsed().as_millis();
    assert!((10_000..10_200).contains(&waited), "{waited} ms");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn guesses_are_answered_later_and_later_and_the_right_secret_at_once() {
    let gateway = Gateway::start().await;
    let begun = tokio::time::Instant::now();
    for _ in 0..7 {
        let (message, _) = connecting(&gateway, |p| p["auth"]["token"] = "wrong".into()).await;
        assert!(message.contains("mismatch"), "{message}");
    }
    let waited = begun.elapsed().as_millis();
    assert!(
        (3_000..3_500).contains(&waited),
        "200 + 400 + 800 + 1600 ms, not {waited}"
    );
    let begun = tokio::time::Instant::now();
    gateway.client().await;
    assert!(begun.elapsed().as_millis() < 100);
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

impl Client {
    async fn stream_binary(&mut self, bytes: &'static [u8]) {
        use futures_util::SinkExt as _;
        use tokio_tungstenite::tungstenite::Message;
        self.stream
            .send(Message::Binary(bytes.into()))
            .await
            .unwrap();
    }

    /// Sends as far as the gateway takes it.
    async fn feed_text(&mut self, text: &str) {
        use futures_util::SinkExt as _;
        use tokio_tungstenite::tungstenite::Message;
        let _ = self.stream.send(Message::text(text)).await;
    }

    /// Sends a message that never ends, as far as the gateway takes it.
    async fn feed_fragments(&mut self, count: usize, size: usize) {
        use futures_util::SinkExt as _;
        use tokio_tungstenite::tungstenite::Message;
        use tokio_tungstenite::tungstenite::protocol::frame::Frame;
        use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
        for number in 0..count {
            let kind = if number == 0 {
                Data::Text
            } else {
                Data::Continue
            };
            let frame = Frame::message(vec![b'x'; size], OpCode::Data(kind), false);
            if self.stream.feed(Message::Frame(frame)).await.is_err() {
                return;
            }
        }
        let _ = self.stream.flush().await;
    }

    /// Sends bytes as they are.
    async fn raw(&mut self, bytes: &[u8]) {
        use tokio::io::AsyncWriteExt as _;
        self.stream.get_mut().write_all(bytes).await.unwrap();
    }
}
