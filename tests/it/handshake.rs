//! Who is let in, and what the others get to hear.

use std::time::Duration;

use futures_util::future::join_all;
use openclaw_shared::clock::Moment;
use openclaw_tests::client::{
    Attempt, Client, NotOpened, Socket, attempt, attempt_on, connect_params, request,
};
use openclaw_tests::home::{Home, TOKEN};
use openclaw_tests::http;
use openclaw_tests::instance::Instance;
use openclaw_tests::raw::{End, Raw};
use serde_json::{Value, json};

async fn instance() -> Instance {
    Home::new().launch().ready().await
}

fn connect(params: &Value) -> String {
    request("c1", "connect", params.clone()).to_string()
}

/// The parameters of a good connect, changed.
fn params(change: impl FnOnce(&mut Value)) -> Value {
    let mut params = connect_params(TOKEN);
    change(&mut params);
    params
}

/// One answer at most, no hello, and the end.
#[track_caller]
fn check_refused(what: &dyn std::fmt::Debug, attempt: &Attempt, code: u16, error: &str) {
    assert!(attempt.end.is_some(), "{what:?} was let in: {attempt:?}");
    assert_eq!(attempt.code(), Some(code), "{what:?}: {attempt:?}");
    if error.is_empty() {
        assert_eq!(attempt.answer, None, "{what:?}");
    } else {
        assert!(attempt.error().contains(error), "{what:?}: {attempt:?}");
    }
}

// ---- the first frame --------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn rule_01_a_first_frame_that_is_no_connect_is_answered_once_and_ends() {
    let instance = instance().await;
    let port = instance.home().port();
    let first_must_be_connect = "invalid handshake: first request must be connect";
    for method in [
        "health",
        "config.get",
        "status",
        "Connect",
        "connect ",
        "constructor",
        "__proto__",
    ] {
        let first = request("1", method, json!({})).to_string();
        check_refused(
            &method,
            &attempt(port, &first).await,
            1008,
            first_must_be_connect,
        );
    }
    for frame in [
        "[]",
        "null",
        "1",
        "\"x\"",
        "{}",
        r#"{"type":"req"}"#,
        r#"{"type":"event","event":"tick"}"#,
        r#"{"type":"req","id":1,"method":"connect"}"#,
        r#"{"type":"req","id":"1","method":["connect"]}"#,
        r#"{"type":"req","id":"","method":"connect"}"#,
        r#"{"type":"req","id":"1","method":"connect","extra":1}"#,
    ] {
        check_refused(&frame, &attempt(port, frame).await, 1008, "");
    }
    for text in ["", "{", "hello", "\u{feff}{}", "{\"type\":\"req\"", "\u{0}"] {
        check_refused(&text, &attempt(port, text).await, 1000, "");
    }
    instance.client().await;
}

#[tokio::test]
async fn rules_15_16_parameters_that_do_not_fit_are_named() {
    let instance = instance().await;
    let port = instance.home().port();
    for (change, error) in [
        (
            json!({ "minProtocol": null }),
            "at /minProtocol: must be integer",
        ),
        (
            json!({ "minProtocol": "3", "maxProtocol": "3" }),
            "at /minProtocol: must be integer",
        ),
        (
            json!({ "minProtocol": 3.5 }),
            "at /minProtocol: must be integer",
        ),
        (json!({ "minProtocol": 0 }), "at /minProtocol: must be >= 1"),
        (json!({ "client": [] }), "at /client: must be object"),
        (
            json!({ "client": { "id": "totally-unknown", "version": "1", "platform": "x", "mode": "test" } }),
            "at /client/id",
        ),
        (
            json!({ "client": { "id": "test", "version": "", "platform": "x", "mode": "test" } }),
            "at /client/version: must NOT have fewer than 1 characters",
        ),
        (
            json!({ "client": { "id": "test", "version": "1", "mode": "test" } }),
            "must have required property 'platform'",
        ),
        (json!({ "caps": "all" }), "at /caps: must be array"),
        (json!({ "role": ["operator"] }), "at /role: must be string"),
        (json!({ "surprise": 1 }), "unexpected property 'surprise'"),
        (json!({ "auth": ["x"] }), "at /auth: must be object"),
        (json!({ "auth": "x" }), "at /auth: must be object"),
    ] {
        let params = params(|params| {
            for (key, value) in change.as_object().unwrap() {
                params[key] = value.clone();
            }
        });
        let refused = attempt(port, &connect(&params)).await;
        check_refused(&change, &refused, 1008, error);
        assert!(
            refused.error().starts_with("invalid connect params: "),
            "{refused:?}"
        );
        assert_eq!(refused.answer.unwrap()["error"]["code"], "INVALID_REQUEST");
    }
    for (min, max) in [(1, 2), (4, 9), (9, 1)] {
        let params = params(|params| {
            params["minProtocol"] = json!(min);
            params["maxProtocol"] = json!(max);
        });
        let refused = attempt(port, &connect(&params)).await;
        check_refused(&(min, max), &refused, 1002, "protocol mismatch");
        assert_eq!(
            refused.answer.unwrap()["error"]["details"]["expectedProtocol"],
            3
        );
    }
    for role in ["admin", "root", "Operator", ""] {
        let params = params(|params| params["role"] = json!(role));
        check_refused(
            &role,
            &attempt(port, &connect(&params)).await,
            1008,
            "invalid",
        );
    }
}

#[tokio::test]
async fn rule_39_a_node_needs_a_device_of_its_own() {
    let instance = instance().await;
    let params = params(|params| {
        params["role"] = json!("node");
        params["client"]["mode"] = json!("node");
        params["client"]["id"] = json!("node-host");
    });
    let refused = attempt(instance.home().port(), &connect(&params)).await;
    check_refused(&"node", &refused, 1008, "device identity required");
    assert_eq!(refused.answer.unwrap()["error"]["code"], "NOT_PAIRED");
}

// ---- the secret -------------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn rules_02_05_06_a_token_of_another_type_or_in_another_place_is_no_token() {
    let instance = instance().await;
    let port = instance.home().port();
    let with_auth = |auth: Value| params(|params| params["auth"] = auth);
    for auth in [
        json!({}),
        json!({ "token": "" }),
        json!({ "token": null }),
        json!({ "token": true }),
        json!({ "token": 0 }),
        json!({ "token": [TOKEN] }),
        json!({ "token": { "$ne": "" } }),
        json!([TOKEN]),
        json!(TOKEN),
        json!({ "password": TOKEN }),
        json!({ "token": "", "password": TOKEN }),
    ] {
        let refused = attempt(port, &connect(&with_auth(auth.clone()))).await;
        assert!(refused.end.is_some(), "{auth} was let in");
        assert_eq!(refused.code(), Some(1008), "{auth}: {refused:?}");
        assert!(!format!("{refused:?}").contains(TOKEN), "{refused:?}");
    }
    // Nor does what a browser attaches by itself, or a link, open anything.
    let without = connect(&params(|params| {
        params.as_object_mut().unwrap().remove("auth");
    }));
    let path = format!("/?token={TOKEN}");
    let header = format!("Bearer {TOKEN}");
    let cookie = format!("token={TOKEN}");
    for (path, headers) in [
        (path.as_str(), vec![]),
        ("/", vec![("Authorization", header.as_str())]),
        ("/", vec![("Cookie", cookie.as_str())]),
        ("/", vec![("Sec-WebSocket-Protocol", TOKEN)]),
        (
            "/",
            vec![
                ("Tailscale-User-Login", "owner@example.com"),
                ("X-Forwarded-For", "100.64.0.1"),
                ("X-Forwarded-Proto", "https"),
                ("X-Forwarded-Host", "gw.ts.net"),
            ],
        ),
    ] {
        match Socket::open_with(port, path, &headers).await {
            Ok(mut socket) => {
                let refused = attempt_on(&mut socket, &without).await;
                check_refused(&headers, &refused, 1008, "device identity required");
            }
            Err(NotOpened::Answered(status)) => assert!((400..500).contains(&status)),
            Err(other) => panic!("{headers:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn rules_03_04_a_near_miss_of_the_token_is_a_miss_and_the_right_one_is_never_kept_out() {
    let instance = instance().await;
    let port = instance.home().port();
    let misses = [
        TOKEN[..TOKEN.len() - 1].to_owned(),
        format!("{TOKEN}x"),
        TOKEN.to_uppercase(),
        format!(" {TOKEN}"),
        format!("{TOKEN}\n"),
        format!("{TOKEN}\u{0}"),
        // As many characters, more bytes.
        TOKEN.replace('e', "é"),
    ];
    let guesses = misses.iter().map(|miss| {
        let params = params(|params| params["auth"]["token"] = json!(miss));
        let first = connect(&params);
        async move { attempt(port, &first).await }
    });
    // While wrong guesses are slowed down, who knows the secret is not.
    let right = async {
        let mut least = Duration::MAX;
        for _ in 0..10 {
            let begin = Moment::now();
            instance.client().await;
            least = least.min(Moment::now().since(begin));
        }
        least
    };
    let (refused, least) = tokio::join!(join_all(guesses), right);
    for (miss, refused) in misses.iter().zip(refused) {
        check_refused(miss, &refused, 1008, "unauthorized: gateway token mismatch");
        let text = format!("{refused:?}");
        assert!(!text.contains(miss.trim()), "{text}");
    }
    // Each guess takes twice as long as the one before, so that the last ones of so many would take far longer.
    assert!(least < Duration::from_secs(1), "the owner waited {least:?}");
}

#[tokio::test]
async fn rule_69_wrong_guesses_are_slowed_down() {
    let instance = instance().await;
    let port = instance.home().port();
    let wrong = connect(&params(|params| params["auth"]["token"] = json!("wrong")));
    let begin = Moment::now();
    // Spread over parallel sockets, and with a web origin of this machine.
    let own = format!("http://127.0.0.1:{port}");
    let guesses = (0..12).map(|_| async {
        let mut socket = Socket::open_with(port, "/", &[("Origin", &own)])
            .await
            .unwrap();
        attempt_on(&mut socket, &wrong).await
    });
    for refused in join_all(guesses).await {
        check_refused(&"wrong", &refused, 1008, "token mismatch");
    }
    let took = Moment::now().since(begin);
    assert!(
        took >= Duration::from_secs(3),
        "a dozen guesses took only {took:?}"
    );
}

#[tokio::test]
async fn in_password_mode_the_password_opens_and_the_token_does_not() {
    let home = Home::empty();
    home.configure(
        &json!({ "gateway": { "auth": { "mode": "password", "password": "the-password" } } }),
    );
    let instance = home.launch().ready().await;
    let port = instance.home().port();
    let with = |auth: Value| params(|params| params["auth"] = auth);
    Client::connect_as(port, with(json!({ "password": "the-password" }))).await;
    for auth in [
        json!({ "token": TOKEN }),
        json!({ "token": "the-password" }),
        json!({ "password": TOKEN }),
        json!({ "password": "the-passwor" }),
    ] {
        let refused = attempt(port, &connect(&with(auth.clone()))).await;
        check_refused(&auth, &refused, 1008, "unauthorized: gateway password");
    }
}

#[tokio::test]
async fn a_token_is_made_at_the_first_start_and_only_its_owner_can_read_it() {
    let home = Home::empty();
    let mut config = home.config_with(&json!({}));
    config["gateway"].as_object_mut().unwrap().remove("auth");
    home.write_config(&config.to_string());
    let mut instance = home.launch().ready().await;
    let token = std::fs::read_to_string(home.state_dir().join("gateway-token")).unwrap();
    assert!(token.len() >= 32, "{} characters", token.len());
    assert!(
        !instance.console().contains(&token),
        "the token itself is not printed"
    );
    assert_eq!(
        instance
            .console()
            .matches("a gateway token was generated")
            .count(),
        1
    );
    let port = home.port();
    Client::connect_as(port, connect_params(token.trim())).await;
    // The next start keeps it, and says nothing more of it.
    instance.signal(openclaw_tests::process::Signal::SIGTERM);
    assert_eq!(instance.exit_code_leaving_nothing().await, 0);
    let again = home.launch().ready().await;
    Client::connect_as(port, connect_params(token.trim())).await;
    assert!(!again.console().contains("a gateway token was generated"));
}

// ---- where it comes from ----------------------------------------------------------------------------------------------------

#[tokio::test]
async fn rules_07_09_pages_of_other_origins_are_refused_whatever_they_know() {
    let instance = instance().await;
    let port = instance.home().port();
    for origin in [
        "https://evil.example",
        "null",
        "file://",
        "chrome-extension://abcdefghijklmnop",
        &format!("http://127.0.0.1.evil.example:{port}"),
        &format!("http://evil.example:{port}"),
        &format!("http://localhost.evil.example:{port}"),
        &format!("https://127.0.0.1:{port}@evil.example"),
    ] {
        for client in ["cli", "webchat-ui", "gateway-client"] {
            match Socket::open_with(port, "/", &[("Origin", origin)]).await {
                Err(NotOpened::Answered(status)) => {
                    assert!((400..500).contains(&status), "{origin}: {status}");
                }
                Ok(mut socket) => {
                    let params = params(|params| params["client"]["id"] = json!(client));
                    let refused = attempt_on(&mut socket, &connect(&params)).await;
                    assert!(refused.end.is_some(), "{origin} as {client} was let in");
                }
                Err(other) => panic!("{origin}: {other:?}"),
            }
        }
    }
    for origin in [
        format!("http://127.0.0.1:{port}"),
        format!("http://localhost:{port}"),
    ] {
        let mut socket = Socket::open_with(port, "/", &[("Origin", &origin)])
            .await
            .unwrap();
        let admitted = attempt_on(&mut socket, &connect(&connect_params(TOKEN))).await;
        assert!(admitted.end.is_none(), "{origin}: {admitted:?}");
    }
    // Programs that are no browser say no origin.
    let admitted = attempt(port, &connect(&connect_params(TOKEN))).await;
    assert!(admitted.end.is_none(), "{admitted:?}");
}

#[tokio::test]
async fn rules_08_78_a_name_that_is_not_ours_leads_nowhere() {
    let instance = instance().await;
    let port = instance.home().port();
    for host in [
        "attacker.example",
        &format!("attacker.example:{port}"),
        "127.0.0.1.attacker.example",
        "gw.ts.net",
    ] {
        let origin = format!("http://{host}");
        for headers in [
            vec![("Host", host)],
            vec![("Host", host), ("Origin", &origin)],
        ] {
            let opened = Socket::open_with(port, "/", &headers).await;
            assert!(
                matches!(opened, Err(NotOpened::Answered(400..500))),
                "{headers:?}: {opened:?}"
            );
            for path in ["/", "/healthz", "/readyz", "/__openclaw__/canvas/"] {
                let answer = http::get_with(port, path, &headers).await;
                assert!(
                    (400..500).contains(&answer.status),
                    "{headers:?} {path}: {answer:?}"
                );
            }
        }
    }
    for host in [
        "localhost",
        "127.0.0.1",
        "[::1]",
        &format!("localhost:{port}"),
        "localhost:8080",
    ] {
        let mut socket = Socket::open_with(port, "/any/path?x=1", &[("Host", host)])
            .await
            .unwrap();
        let admitted = attempt_on(&mut socket, &connect(&connect_params(TOKEN))).await;
        assert!(admitted.end.is_none(), "{host}: {admitted:?}");
    }
    // No Host at all, two of them, and nonsense.
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    ] {
        let request = head.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        let answer = http::exchange(port, request.as_bytes()).await.unwrap();
        assert!((400..500).contains(&answer.status), "{head:?}: {answer:?}");
    }
}

// ---- time and numbers -------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn rule_67_a_silent_socket_is_closed_after_the_handshake_time() {
    let instance = instance().await;
    let begin = Moment::now();
    let mut silent = Raw::websocket(instance.home().port()).await;
    assert_eq!(silent.end().await, End::Closed(1000));
    let took = Moment::now().since(begin);
    assert!(
        took >= Duration::from_secs(9) && took < Duration::from_secs(30),
        "{took:?}"
    );
}

#[tokio::test]
async fn rule_68_hundreds_of_silent_sockets_keep_nobody_out() {
    let instance = instance().await;
    let port = instance.home().port();
    let mut silent = Vec::new();
    for _ in 0..400 {
        silent.push(Raw::websocket(port).await);
    }
    let begin = Moment::now();
    instance
        .client()
        .await
        .call("status", json!({}))
        .await
        .unwrap();
    let took = Moment::now().since(begin);
    // Somebody who is kept out waits for a deadline of ten seconds, or for ever.
    assert!(took < Duration::from_secs(9), "{took:?}");
    // Connections on which not even the upgrade was asked for, on each port.
    let mut idle = Vec::new();
    for port in [
        port,
        instance.home().canvas_port(),
        instance.home().browser_port(),
    ] {
        for _ in 0..600 {
            idle.push(Raw::connect(port).await);
        }
    }
    instance
        .client()
        .await
        .call("status", json!({}))
        .await
        .unwrap();
    assert_eq!(
        http::get(instance.home().canvas_port(), "/__openclaw__/canvas/")
            .await
            .status,
        200
    );
    assert_eq!(
        http::get(instance.home().browser_port(), "/").await.status,
        401
    );
}
