//! What a client may make us hold, and what becomes of one that sends more, or sends nonsense.

use std::time::Duration;

use openclaw_shared::clock::Moment;
use openclaw_shared::control::ChildName;
use openclaw_tests::client::{Client, connect_params, request};
use openclaw_tests::home::{Home, TOKEN};
use openclaw_tests::http;
use openclaw_tests::instance::Instance;
use openclaw_tests::process;
use openclaw_tests::raw::{End, Raw, header, masked, opcode};
use serde_json::{Value, json};

/// `policy.maxPayload`.
const MAX_PAYLOAD: usize = 524_288;
const MIB: u64 = 1024 * 1024;

async fn instance() -> Instance {
    Home::new().launch().ready().await
}

/// Runs something that must neither end the gateway nor make it grow.
async fn check_unharmed(instance: &Instance, what: impl Future<Output = ()>) {
    let mut other = instance.client().await;
    other.call("status", json!({})).await.unwrap();
    let gateway = instance.pid_of(ChildName::Gateway).await;
    let before = process::resident_bytes(gateway);
    what.await;
    let grown = process::resident_bytes(gateway).saturating_sub(before);
    assert!(grown < 12 * MIB, "the gateway has grown by {grown} bytes");
    other.call("status", json!({})).await.unwrap();
    assert_eq!(instance.child(ChildName::Gateway).await.restarts, 0);
}

// ---- frames -----------------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn rule_63_a_frame_above_the_limit_is_refused_from_its_header() {
    let instance = instance().await;
    check_unharmed(&instance, async {
        for length in [
            MAX_PAYLOAD as u64 + 1,
            1 << 31,
            1 << 40,
            (1 << 63) - 1,
            u64::MAX,
        ] {
            let mut raw = Raw::admitted(&instance.target()).await;
            raw.write(&header(true, opcode::TEXT, length))
                .await
                .unwrap();
            raw.write(&[1, 2, 3, 4]).await.unwrap();
            let end = raw.end().await;
            // A length with its highest bit set is none that the protocol knows.
            assert!(matches!(end, End::Closed(1009 | 1002)), "{length}: {end:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_largest_frame_is_taken_and_one_byte_more_is_not() {
    let instance = instance().await;
    let mut client = instance.client().await;
    let frame = |length: usize| {
        let empty = request("big", "status", json!({ "x": "" })).to_string();
        request(
            "big",
            "status",
            json!({ "x": "x".repeat(length - empty.len()) }),
        )
        .to_string()
    };
    client
        .socket()
        .send_text(&frame(MAX_PAYLOAD))
        .await
        .unwrap();
    client.answer("big").await;
    let _ = client.socket().send_text(&frame(MAX_PAYLOAD + 1)).await;
    let (_, end) = client.rest().await;
    assert!(
        matches!(
            end,
            openclaw_tests::client::Received::Closed { code: 1009, .. }
        ),
        "{end:?}"
    );
}

#[tokio::test]
async fn rule_64_before_the_connect_much_less_is_taken() {
    let instance = instance().await;
    check_unharmed(&instance, async {
        let port = instance.home().port();
        for length in [70 * 1024, 8 * 1024 * 1024] {
            let mut raw = Raw::websocket(port).await;
            raw.frame(true, opcode::TEXT, &vec![b' '; length]).await;
            assert_eq!(raw.end().await, End::Closed(1009), "{length}");
        }
        // In pieces, each of them small.
        let mut raw = Raw::websocket(port).await;
        raw.frame(false, opcode::TEXT, b"{").await;
        for _ in 0..200 {
            raw.frame(false, opcode::CONTINUATION, &[b' '; 1024]).await;
        }
        assert_eq!(raw.end().await, End::Closed(1009));
        // Pings count as well.
        let mut raw = Raw::websocket(port).await;
        for _ in 0..2000 {
            raw.frame(true, opcode::PING, &[0; 100]).await;
        }
        assert_eq!(raw.end().await, End::Closed(1009));
    })
    .await;
}

#[tokio::test]
async fn a_message_in_fragments_is_one_message_and_has_the_same_limit() {
    let instance = instance().await;
    check_unharmed(&instance, async {
        // In three parts, with a ping between them.
        let mut raw = Raw::websocket(instance.home().port()).await;
        let connect = request("c", "connect", connect_params(TOKEN)).to_string();
        let (one, rest) = connect.as_bytes().split_at(20);
        let (two, three) = rest.split_at(20);
        raw.frame(false, opcode::TEXT, one).await;
        raw.frame(true, opcode::PING, b"there?").await;
        raw.frame(false, opcode::CONTINUATION, two).await;
        raw.frame(true, opcode::CONTINUATION, three).await;
        raw.hello().await;
        // Without an end.
        raw.frame(false, opcode::TEXT, b"{").await;
        for _ in 0..1024 {
            raw.frame(false, opcode::CONTINUATION, &[b' '; 1024]).await;
        }
        assert_eq!(raw.end().await, End::Closed(1009));
    })
    .await;
}

#[tokio::test]
async fn rule_65_endless_empty_fragments_stall_nobody() {
    let instance = instance().await;
    check_unharmed(&instance, async {
        let mut raw = Raw::admitted(&instance.target()).await;
        raw.frame(false, opcode::TEXT, b"{").await;
        let many: Vec<u8> = (0..1000)
            .flat_map(|_| masked(false, opcode::CONTINUATION, b""))
            .collect();
        let mut other = instance.client().await;
        for _ in 0..200 {
            if raw.write(&many).await.is_err() {
                break;
            }
        }
        let begin = Moment::now();
        other.call("status", json!({})).await.unwrap();
        assert!(Moment::now().since(begin) < Duration::from_secs(10));
    })
    .await;
}

#[tokio::test]
async fn rule_66_what_is_not_the_websocket_protocol_is_closed() {
    let instance = instance().await;
    check_unharmed(&instance, async {
        let unmasked = [0x81, 0x02, b'{', b'}'];
        let mut reserved = masked(true, opcode::TEXT, b"{}");
        reserved[0] |= 0x40;
        let cases: [(&str, Vec<u8>); 8] = [
            ("unmasked", unmasked.to_vec()),
            ("a reserved bit", reserved),
            ("an opcode nobody knows", masked(true, 11, b"{}")),
            ("a long ping", masked(true, opcode::PING, &[0; 200])),
            ("a ping in parts", masked(false, opcode::PING, b"x")),
            (
                "a continuation of nothing",
                masked(true, opcode::CONTINUATION, b"{}"),
            ),
            (
                "a text that is none",
                masked(true, opcode::TEXT, &[0xff, 0xfe]),
            ),
            (
                "a text within a text",
                [
                    masked(false, opcode::TEXT, b"{"),
                    masked(true, opcode::TEXT, b"}"),
                ]
                .concat(),
            ),
        ];
        for (what, bytes) in &cases {
            for is_admitted in [false, true] {
                let mut raw = match is_admitted {
                    true => Raw::admitted(&instance.target()).await,
                    false => Raw::websocket(instance.home().port()).await,
                };
                raw.write(bytes).await.unwrap();
                let end = raw.end().await;
                assert!(
                    matches!(end, End::Closed(1002 | 1007)),
                    "{what}, admitted {is_admitted}: {end:?}"
                );
            }
        }
        // Close frames with no sense are closed as well, in whatever way.
        for payload in [&[0_u8][..], &[0, 1], &[0x03, 0xed], &[0xff; 120]] {
            let mut raw = Raw::admitted(&instance.target()).await;
            raw.frame(true, opcode::CLOSE, payload).await;
            raw.end().await;
        }
    })
    .await;
}

// ---- requests ---------------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn rules_52_53_every_request_is_answered_once_however_odd() {
    let instance = instance().await;
    let mut client = instance.client().await;
    let long = "m".repeat(20_000);
    for method in [
        "constructor",
        "__proto__",
        "toString",
        "valueOf",
        "hasOwnProperty",
        " health",
        "HEALTH",
        "health ",
        "a\u{0}b",
        long.as_str(),
    ] {
        let error = client.call(method, json!({})).await.unwrap_err();
        assert_eq!(error["code"], "INVALID_REQUEST", "{method}");
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with("unknown method"), "{method}: {message}");
    }
    // What is JSON and no request gets an answer that names what is wrong; what is no JSON gets none.
    for (frame, id, error) in [
        ("[]", json!("invalid"), "must be object"),
        ("null", json!("invalid"), "must be object"),
        ("{}", json!("invalid"), "must have required property"),
        (
            r#"{"type":"req"}"#,
            json!("invalid"),
            "must have required property 'id'",
        ),
        (
            r#"{"type":"req","id":5}"#,
            json!(5),
            "must have required property 'method'",
        ),
        (
            r#"{"type":"req","id":"x","method":["health"]}"#,
            json!("x"),
            "at /method: must be string",
        ),
        (
            r#"{"type":"req","id":"x","method":"health","extra":1}"#,
            json!("x"),
            "unexpected property 'extra'",
        ),
        (
            r#"{"type":"req","id":"x","method":""}"#,
            json!("x"),
            "must NOT have fewer than 1 characters",
        ),
    ] {
        for nonsense in ["{", "", "hello", "\u{feff}{}"] {
            client.socket().send_text(nonsense).await.unwrap();
        }
        client.socket().send_text(frame).await.unwrap();
        let answer = answer(&mut client).await;
        assert_eq!(
            (&answer["id"], &answer["ok"]),
            (&id, &json!(false)),
            "{frame}"
        );
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(
            message.starts_with("invalid request frame: ") && message.contains(error),
            "{frame}: {message}"
        );
    }
    for params in [json!("x"), json!([1]), json!(7), json!(true)] {
        let error = client.call("logs.tail", params.clone()).await.unwrap_err();
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("must be object"), "{params}: {message}");
    }
    client.call("status", Value::Null).await.unwrap();
    let error = client
        .call("logs.tail", json!({ "limit": 0, "foo": 1 }))
        .await
        .unwrap_err();
    assert_eq!(
        error["message"],
        "invalid logs.tail params: at root: unexpected property 'foo'; at /limit: must be >= 1"
    );
    // A thousand at once, and each comes back once.
    let mut waiting: std::collections::BTreeSet<String> = std::collections::BTreeSet::new();
    for _ in 0..1000 {
        waiting.insert(client.send("status", json!({})).await);
    }
    while !waiting.is_empty() {
        let answer = answer(&mut client).await;
        assert!(
            waiting.remove(answer["id"].as_str().unwrap()),
            "answered twice: {answer}"
        );
    }
}

async fn answer(client: &mut Client) -> Value {
    loop {
        let frame = client.socket().frame().await;
        if frame["type"] == "res" {
            return frame;
        }
    }
}

#[tokio::test]
async fn rule_54_nesting_without_end_is_refused_without_using_the_stack_up() {
    let instance = instance().await;
    check_unharmed(&instance, async {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            for depth in [200, 10_000, 50_000] {
                let nested = format!("{}1{}", open.repeat(depth), close.repeat(depth));
                if nested.len() < 60_000 {
                    let mut raw = Raw::websocket(instance.home().port()).await;
                    raw.frame(true, opcode::TEXT, nested.as_bytes()).await;
                    assert!(matches!(raw.end().await, End::Closed(_)));
                }
                let mut client = instance.client().await;
                for frame in [
                    nested.clone(),
                    format!(r#"{{"type":"req","id":"n","method":"logs.tail","params":{nested}}}"#),
                    format!(r#"{{"type":"req","id":"n","method":"system-event","params":{{"text":"x","tags":{nested}}}}}"#),
                ] {
                    if frame.len() <= MAX_PAYLOAD {
                        client.socket().send_text(&frame).await.unwrap();
                    }
                }
                client.call("status", json!({})).await.unwrap();
            }
        }
    })
    .await;
}

// ---- HTTP -------------------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn http_that_two_parsers_could_read_differently_is_one_400() {
    let instance = instance().await;
    for port in ports(&instance) {
        for head in [
            "Content-Length: 4\r\nTransfer-Encoding: chunked",
            "Content-Length: 4\r\nContent-Length: 5",
            "Content-Length: 4, 5",
            "Content-Length: -1",
            "Content-Length: 99999999999999999999",
            "Transfer-Encoding: nonsense",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Content-Length : 4",
            "X: a\r\n folded",
        ] {
            let smuggled = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
            let request = format!("POST / HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n{smuggled}");
            let mut raw = Raw::connect(port).await;
            raw.write(request.as_bytes()).await.unwrap();
            let bytes = raw.to_end().await;
            let text = String::from_utf8_lossy(&bytes);
            assert!(text.starts_with("HTTP/1.1 4"), "{head:?} on {port}: {text}");
            assert_eq!(
                text.matches("HTTP/1.1").count(),
                1,
                "{head:?} on {port}: {text}"
            );
        }
    }
    instance.client().await;
}

#[tokio::test]
async fn rules_73_74_77_83_84_http_without_measure_or_sense_is_refused_and_the_process_lives() {
    let instance = instance().await;
    let huge = "x".repeat(2 * 1024 * 1024);
    let many = "X: y\r\n".repeat(60_000);
    for port in ports(&instance) {
        for (what, request) in [
            (
                "a long request line",
                format!("GET /{huge} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            ),
            (
                "a long header",
                format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {huge}\r\n\r\n"),
            ),
            (
                "many headers",
                format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"),
            ),
            (
                "no target",
                "GET  HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            ),
            (
                "an odd target",
                "GET ^^^ HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            ),
            (
                "a target without a slash",
                "GET healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            ),
            (
                "an absolute target",
                "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            ),
            (
                "CONNECT",
                "CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            ),
            (
                "TRACE",
                "TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            ),
            (
                "no name for a host",
                "GET / HTTP/1.1\r\nHost: a b/c\r\n\r\n".to_owned(),
            ),
            (
                "a host that is no text",
                "GET / HTTP/1.1\r\nHost: \u{ff}\r\n\r\n".to_owned(),
            ),
            ("no host", "GET / HTTP/1.1\r\n\r\n".to_owned()),
            (
                "two hosts",
                "GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n".to_owned(),
            ),
            ("no HTTP", "\u{16}\u{3}\u{1}\u{2}\r\n\r\n".to_owned()),
            ("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        ] {
            let mut raw = Raw::connect(port).await;
            // It may be refused before it has been read to its end.
            let _ = raw.write(request.as_bytes()).await;
            let text = raw.head().await;
            let status = text.get(9..12).unwrap_or_default();
            assert!(
                text.is_empty() || status.starts_with('4') || status == "505",
                "{what} on {port}: {}",
                &text[..text.len().min(300)]
            );
            assert!(!text.contains("evil.example"), "{what}: reflected");
        }
    }
    for child in ChildName::ALL {
        assert_eq!(instance.child(child).await.restarts, 0, "{child}");
    }
    instance.client().await;
}

#[tokio::test]
async fn a_malformed_upgrade_is_a_400() {
    let instance = instance().await;
    let port = instance.home().port();
    for headers in [
        "Upgrade: websocket\r\nConnection: Upgrade",
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13",
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 7",
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n");
        let mut raw = Raw::connect(port).await;
        raw.write(request.as_bytes()).await.unwrap();
        let text = raw.head().await;
        assert!(text.starts_with("HTTP/1.1 4"), "{headers:?}: {text}");
    }
}

#[tokio::test]
async fn rules_79_80_81_85_pages_tell_no_secret_and_grant_nothing_to_strangers() {
    let instance = instance().await;
    let port = instance.home().port();
    for path in [
        "/",
        "/healthz",
        "/readyz",
        "/none",
        "/tools/invoke",
        "/v1/chat/completions",
    ] {
        let answer = http::get_with(
            port,
            path,
            &[("Host", "localhost"), ("Origin", "https://evil.example")],
        )
        .await;
        assert!(answer.status < 500, "{path}: {answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert!(!answer.text().contains(TOKEN), "{path}");
        assert!(
            !answer
                .text()
                .contains(instance.home().path().to_str().unwrap()),
            "{path}"
        );
    }
    assert_eq!(http::get(port, "/healthz").await.status, 200);
    assert_eq!(http::get(port, "/readyz").await.status, 200);
    let preflight = http::ask(
        port,
        "OPTIONS",
        "/tools/invoke",
        &[
            ("Host", "localhost"),
            ("Origin", "https://evil.example"),
            ("Access-Control-Request-Private-Network", "true"),
        ],
    );
    let preflight = preflight.await;
    assert!((400..500).contains(&preflight.status), "{preflight:?}");
    assert_eq!(preflight.header("access-control-allow-private-network"), "");
}

#[tokio::test]
async fn rule_94_browser_control_answers_only_who_knows_the_secret() {
    let instance = instance().await;
    let port = instance.home().browser_port();
    let bearer = format!("Bearer {TOKEN}");
    let ok = [("Host", "localhost"), ("Authorization", bearer.as_str())];
    assert_eq!(http::get_with(port, "/", &ok).await.status, 200);
    for headers in [
        vec![("Host", "localhost")],
        vec![("Host", "localhost"), ("Authorization", "Bearer nope")],
        vec![("Host", "localhost"), ("Authorization", "Basic eDp5")],
        vec![("Host", "localhost"), ("Cookie", "token=x")],
    ] {
        for path in ["/", "/profiles", "/tabs"] {
            let answer = http::get_with(port, path, &headers).await;
            assert_eq!(answer.status, 401, "{path} {headers:?}: {answer:?}");
        }
    }
    let foreign = [
        ("Host", "attacker.example"),
        ("Authorization", bearer.as_str()),
    ];
    let answer = http::get_with(port, "/", &foreign).await;
    assert!((400..500).contains(&answer.status), "{answer:?}");
    let cross_site = [
        ("Host", "localhost"),
        ("Authorization", bearer.as_str()),
        ("Origin", "https://evil.example"),
        ("Content-Length", "0"),
    ];
    let answer = http::ask(port, "POST", "/stop", &cross_site).await;
    assert!((400..500).contains(&answer.status), "{answer:?}");
}

fn ports(instance: &Instance) -> [u16; 3] {
    let home = instance.home();
    [home.port(), home.canvas_port(), home.browser_port()]
}
