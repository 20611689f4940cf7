//! What is refused, to whom, and in which words.

use std::time::Duration;

use futures_util::FutureExt as _;
use http::StatusCode;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{
    Answer, COMPLETIONS, RESPONSES, ask, bearer, count, gateway, notes, post, until, user,
};
use crate::testing::{Gateway, TOKEN};
#[tokio::test(flavor = "local")]
async fn rule_76_nobody_is_answered_without_the_secret() {
    let gateway = gateway().await;
    let body = user("hi").to_string();
    let doubled = format!("{TOKEN}{TOKEN}");
    let wrong: [(&str, Vec<(&str, String)>); 7] = [
        ("", vec![]),
        ("", vec![("authorization", "Bearer nope".into())]),
        ("", vec![("authorization", format!("Basic {TOKEN}"))]),
        ("", vec![("authorization", format!("Bearer {doubled}"))]),
        ("", vec![("cookie", format!("token={TOKEN}"))]),
        ("", vec![("authorization", "Bearer hook-secret".into())]),
        (&format!("?token={TOKEN}"), vec![]),
    ];
    // Three wrong guesses cost nothing, so the paths share them.
    for (path, wrong) in [
        (COMPLETIONS, &wrong[..4]),
        (RESPONSES, &wrong[4..]),
        ("/tools/invoke", &wrong[..1]),
    ] {
        for (query, headers) in wrong {
            let headers: Vec<(&str, &str)> = headers
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            let path = format!("{path}{query}");
            let refused = ask(&gateway, "POST", &path, &headers, body.clone()).await;
            assert_eq!(
                refused.status,
                StatusCode::UNAUTHORIZED,
                "{path} {headers:?}"
            );
            assert_eq!(
                refused.json(),
                json!({"error": {"message": "Unauthorized", "type": "unauthorized"}})
            );
        }
    }
    let models = ask(&gateway, "GET", "/v1/models", &[], "").await;
    assert_eq!(models.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "local")]
async fn rule_76_no_other_spelling_of_a_path_runs_anything() {
    let gateway = gateway().await;
    let bodies = [
        user("hi").to_string(),
        json!({"tool": "sessions_list"}).to_string(),
        json!({"message": "hi"}).to_string(),
    ];
    for (right, body) in [
        (COMPLETIONS, &bodies[0]),
        ("/tools/invoke", &bodies[1]),
        ("/hooks/agent", &bodies[2]),
    ] {
        let secret = match right {
            "/hooks/agent" => "Bearer hook-secret".to_owned(),
            _ => bearer(),
        };
        let auth = [("authorization", secret.as_str())];
        let (first, rest) = right[1..].split_once('/').unwrap();
        for path in [
            format!("/{}/{rest}", first.to_uppercase()),
            format!("/x/..{right}"),
            format!("/{first}/./{rest}"),
            format!("/{first}//{rest}"),
            format!("/{right}"),
            format!("/%{:02x}{}", right.as_bytes()[1], &right[2..]),
            format!("/{first}%2f{rest}"),
        ] {
            let nothing = ask(&gateway, "POST", &path, &auth, body.clone()).await;
            assert!(nothing.status.is_client_error(), "{path}: {nothing:?}");
        }
        // The same without another spelling would have run.
        let ran = ask(&gateway, "POST", right, &auth, body.clone()).await;
        assert!(ran.status.is_success(), "{right}: {ran:?}");
    }
    // A hook that is done wakes the main session, which is a run of its own.
    let asked = "kind <> 'heartbeat'";
    until(|| count(&gateway, &format!("{asked} AND state = 'done'")) == 2).await;
    assert_eq!(count(&gateway, asked), 2);
}

#[tokio::test(flavor = "local")]
async fn rule_76_no_hook_is_opened_by_its_address() {
    let gateway = gateway().await;
    let body = json!({"text": "x", "message": "x"}).to_string();
    for path in ["wake", "agent", "ci"] {
        let path = format!("/hooks/{path}?token=hook-secret");
        let refused = ask(&gateway, "POST", &path, &[], body.clone()).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!((notes(&gateway).len(), count(&gateway, "1")), (0, 0));
}

#[tokio::test(flavor = "local")]
async fn what_does_not_fit_is_refused_as_json() {
    let gateway = gateway().await;
    let bearer = bearer();
    let auth = ("authorization", bearer.as_str());
    let error = |answer: &Answer| {
        answer.json()["error"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let get = ask(&gateway, "GET", COMPLETIONS, &[auth], "").await;
    assert_eq!(
        (get.status, &get.headers["allow"]),
        (StatusCode::METHOD_NOT_ALLOWED, &"POST".parse().unwrap())
    );
    let silent = post(&gateway, COMPLETIONS, &json!({})).await;
    assert_eq!(
        (silent.status, error(&silent).as_str()),
        (
            StatusCode::BAD_REQUEST,
            "Missing user message in `messages`."
        )
    );
    let broken = ask(&gateway, "POST", COMPLETIONS, &[auth], "{\"a\"").await;
    assert_eq!(broken.status, StatusCode::BAD_REQUEST);
    assert!(error(&broken).starts_with("SyntaxError: "), "{broken:?}");
    let deep = ask(&gateway, "POST", RESPONSES, &[auth], "[".repeat(100_000)).await;
    assert_eq!(deep.status, StatusCode::BAD_REQUEST);
    let large = ask(
        &gateway,
        "POST",
        COMPLETIONS,
        &[auth],
        vec![b' '; 8 * 1024 * 1024],
    )
    .await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(error(&large), "payload too large: at most 1048576 bytes");
    let nobody = post(
        &gateway,
        COMPLETIONS,
        &json!({"model": "openclaw:zzz", "messages": [{"role": "user", "content": "x"}]}),
    )
    .await;
    assert_eq!(
        (nobody.status, nobody.json()["error"]["code"].as_str()),
        (StatusCode::NOT_FOUND, Some("model_not_found"))
    );
    let strict = post(
        &gateway,
        RESPONSES,
        &json!({"model": "m", "input": "x", "zzz": 1}),
    )
    .await;
    assert_eq!(error(&strict), ": Unrecognized key: \"zzz\"");
    let models = ask(&gateway, "GET", "/v1/models", &[auth], "").await.json();
    let ids: Vec<&str> = models["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|model| model["id"].as_str())
        .collect();
    assert_eq!(ids, ["openclaw", "openclaw:main"]);
    let one = ask(&gateway, "GET", "/v1/models/openclaw:main", &[auth], "").await;
    assert_eq!(one.json()["id"], "openclaw:main");
    let none = ask(&gateway, "GET", "/v1/models/gpt-9", &[auth], "").await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "local")]
async fn what_is_switched_off_says_by_which_key() {
    let gateway = Gateway::start().await;
    for (path, key) in [
        (
            COMPLETIONS,
            "gateway.http.endpoints.chatCompletions.enabled",
        ),
        (RESPONSES, "gateway.http.endpoints.responses.enabled"),
    ] {
        let answer = post(&gateway, path, &user("hi")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        let message = answer.json()["error"]["message"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(message.contains(key), "{message}");
    }
    let hook = post(&gateway, "/hooks/wake", &json!({"text": "x"})).await;
    assert_eq!(
        (hook.status, &hook.json()["ok"]),
        (StatusCode::NOT_FOUND, &json!(false))
    );
}

#[tokio::test(flavor = "local")]
async fn pictures_of_this_machine_are_not_fetched() {
    let gateway = gateway().await;
    let bait = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "http://127.0.0.1:{}/x.png",
        bait.local_addr().unwrap().port()
    );
    let source = json!({"type": "url", "url": url});
    let question = json!({"model": "openclaw", "input": [{"role": "user", "content": [
        {"type": "input_text", "text": "look"}, {"type": "input_image", "source": source}]}]});
    let refused = post(&gateway, RESPONSES, &question).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
    let message = refused.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        message.starts_with("input.0.content.1.source.url: Blocked"),
        "{message}"
    );
    assert!(bait.accept().now_or_never().is_none(), "somebody came");
}

#[tokio::test(flavor = "local")]
async fn wrong_guesses_wait_and_the_right_secret_does_not() {
    let gateway = gateway().await;
    let wrong = [("authorization", "Bearer nope")];
    for _ in 0..3 {
        ask(&gateway, "GET", "/v1/models", &wrong, "").await;
    }
    let begun = openclaw_shared::clock::Moment::now();
    let is_refused = std::cell::Cell::new(false);
    let (slow, hook, right) = tokio::join!(
        async {
            let slow = ask(&gateway, "GET", "/v1/models", &wrong, "").await;
            is_refused.set(true);
            slow
        },
        ask(&gateway, "POST", "/hooks/wake", &wrong, "{}"),
        async {
            let bearer = bearer();
            let auth = [("authorization", bearer.as_str())];
            let right = ask(&gateway, "GET", "/v1/models", &auth, "").await;
            (right.status, is_refused.get())
        }
    );
    let took = openclaw_shared::clock::Moment::now().since(begun);
    assert_eq!(
        (slow.status, hook.status),
        (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED)
    );
    assert_eq!(
        right,
        (StatusCode::OK, false),
        "whoever knows the secret is answered before who guesses"
    );
    assert!(
        took >= Duration::from_millis(400),
        "the fifth guess waits longer than the fourth: {took:?}"
    );
}

#[tokio::test(flavor = "local")]
async fn a_body_that_does_not_come_costs_its_connection() {
    let gateway = gateway().await;
    for (path, secret) in [
        (COMPLETIONS, bearer()),
        (RESPONSES, bearer()),
        ("/tools/invoke", bearer()),
        ("/hooks/wake", "Bearer hook-secret".to_owned()),
    ] {
        let mut socket = TcpStream::connect(gateway.address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: {secret}\r\nContent-Length: 100\r\n\
             Expect: 100-continue\r\n\r\n",
            gateway.address
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut told = [0; 25];
        socket.read_exact(&mut told).await.unwrap();
        assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
        // It is being waited for. From here on, time passes as fast as nothing happens.
        tokio::time::pause();
        socket.write_all(b"{\"text\":").await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        tokio::time::resume();
        assert!(
            answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"),
            "{path}: {answer}"
        );
        assert!(
            answer.contains("did not arrive in time"),
            "{path}: {answer}"
        );
    }
    assert_eq!(notes(&gateway).len(), 0);
}
