//! Who gets in, and who does not.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::closed;
use crate::testing::{Gateway, Seen, TOKEN, connect};

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
pub(super) async fn connecting(
    gateway: &Gateway,
    change: impl FnOnce(&mut Value),
) -> (String, Seen) {
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
        (3_000..6_000).contains(&waited),
        "200 + 400 + 800 + 1600 ms, not {waited}"
    );
    let begun = tokio::time::Instant::now();
    gateway.client().await;
    assert!(begun.elapsed().as_millis() < 3_000);
}
