use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use openclaw_shared::secret::Secret;
use openclaw_shared::transcript::{Message, Part, Thinking, UserMessage};
use openclaw_tests::model_server::{Answer, End, ModelServer, Script};
use serde_json::{Value, json};

use super::super::{Compat, Endpoint, Http, ModelFacts, Prices, Proxy};
use super::*;
use crate::model::{Model as _, ToolSpec};

const KEY: &str = "sk-stand-in-0123456789";

fn hosted(server: &ModelServer, api: Api, idle_limit: Duration) -> Hosted {
    let base = match api {
        Api::OpenaiCompletions | Api::OpenaiResponses => server.base_url(),
        Api::AnthropicMessages => format!("http://127.0.0.1:{}", server.port()),
        Api::GoogleGenerativeAi => format!("http://127.0.0.1:{}/v1beta/", server.port()),
    };
    Hosted::new(
        Arc::new(Http::new(&Proxy::None).unwrap()),
        Arc::new(Endpoint {
            provider: "fake".to_owned(),
            api,
            base_url: base,
            key: Some(Secret::new(KEY.to_owned())),
            bearer: false,
            headers: vec![("X-Team".to_owned(), Secret::new("blue-team".to_owned()))],
            idle_limit,
        }),
        Arc::new(ModelFacts {
            id: "m1-high".to_owned(),
            reasoning: true,
            sees: true,
            max_tokens: Some(4_096),
            prices: Prices {
                input: 1.0,
                output: 2.0,
                ..Prices::default()
            },
            compat: Compat::default(),
        }),
    )
}

fn request() -> ModelRequest {
    ModelRequest {
        system: "Be brief.".to_owned(),
        messages: vec![Message::User(UserMessage {
            content: vec![
                Part::text("hello"),
                Part::Image {
                    data: "aGk=".to_owned(),
                    mime_type: "image/png".to_owned(),
                },
            ],
            timestamp: 0,
        })],
        tools: vec![ToolSpec {
            name: "exec".to_owned(),
            description: "Runs.".to_owned(),
            parameters: json!({"type": "object", "properties": {"command": {"type": "string"}}}),
        }],
        thinking: Thinking::Low,
        ..ModelRequest::default()
    }
}

/// What came, in short: `text`, `?thought`, `~signature`, `name{…}`, `.stop`, `!kind message`.
async fn heard(model: &Hosted, request: ModelRequest) -> String {
    let events: Vec<_> = model.ask(request).collect().await;
    let mut shown = String::new();
    for event in events {
        shown += &match event {
            Ok(ModelEvent::Began(who)) => format!("[{} {} {}]", who.api, who.provider, who.model),
            Ok(ModelEvent::Text(text)) => text,
            Ok(ModelEvent::Thinking(thought)) => format!("?{thought}"),
            Ok(ModelEvent::ThinkingSignature(signature)) => format!("~{signature}"),
            Ok(ModelEvent::ToolCall(call)) => {
                format!("{}{}", call.name, Value::Object(call.arguments))
            }
            Ok(ModelEvent::Done(done)) => format!(
                ".{:?} {}+{}+{}+{}",
                done.stop,
                done.usage.input,
                done.usage.cache_read,
                done.usage.cache_write,
                done.usage.output
            ),
            Err(error) => format!("!{:?} {}", error.kind, error.message),
        };
    }
    shown
}

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(1_500);

fn thoughtful() -> Script {
    Script::Answer(Answer {
        thought: "hm".to_owned(),
        ..Answer::text("a b")
    })
}

#[tokio::test(flavor = "local")]
async fn every_protocol_streams_thoughts_and_text_to_its_proper_end() {
    for (api, expected) in [
        (
            Api::OpenaiCompletions,
            "[openai-completions fake m1-high]?hma b.Stop 10+1+0+3",
        ),
        (
            Api::OpenaiResponses,
            "[openai-responses fake m1-high]?hma b~c2ln.Stop 10+1+0+2",
        ),
        (
            Api::AnthropicMessages,
            "[anthropic-messages fake m1-high]?hm~c2lna b.Stop 11+1+2+2",
        ),
        (
            Api::GoogleGenerativeAi,
            "[google-generative-ai fake m1-high]?hma b.Stop 11+0+0+2",
        ),
    ] {
        let server = ModelServer::start(thoughtful()).await;
        let model = hosted(&server, api, LONG);
        assert_eq!(heard(&model, request()).await, expected);
        server.play([Script::Answer(Answer::text("cut").ending(End::Length))]);
        let cut = heard(&model, request()).await;
        assert!(cut.contains("cut.Length"), "{api}: {cut}");
    }
}

#[tokio::test(flavor = "local")]
async fn every_protocol_calls_tools() {
    for api in Api::ALL {
        let script = Script::call("exec", json!({"command": "echo \"hi\""}), "done");
        let server = ModelServer::start(script).await;
        let model = hosted(&server, api, LONG);
        let called = heard(&model, request()).await;
        let expected = r#"exec{"command":"echo \"hi\""}.ToolUse"#;
        assert!(called.contains(expected), "{api}: {called}");
    }
}

#[tokio::test(flavor = "local")]
async fn whatever_is_not_whole_is_an_error_of_its_kind() {
    let end = |end| Script::Answer(Answer::text("a b").ending(end));
    let begin = "[openai-completions fake m1-high]a b";
    for (script, expected) in [
        (end(End::Whole), format!("{begin}.Stop 10+1+0+2")),
        (end(End::NoLastFrame), format!("{begin}.Stop 10+1+0+2")),
        (end(End::NoEnd), format!("{begin}!BrokeOff the answer of fake broke off")),
        (end(End::Failure), format!("{begin}!Overloaded(None) the model fell over")),
        (end(End::Stall), format!("{begin}!TimedOut fake has not answered in time")),
        (Script::Silence, "!TimedOut fake has not answered in time".to_owned()),
        (
            Script::status(401, &format!("no such key: {KEY} (blue-team)")),
            "!Auth HTTP 401: no such key: *** (***)".to_owned(),
        ),
        (
            Script::status(400, "bad schema"),
            "!Refused HTTP 400: bad schema".to_owned(),
        ),
        (
            Script::named("context-full").unwrap(),
            "!ContextFull HTTP 400: This model's maximum context length is 10 tokens (context_length_exceeded)".to_owned(),
        ),
        (
            Script::limited("3"),
            "!Limited(Some(3s)) HTTP 429: slow down".to_owned(),
        ),
        (
            Script::status(500, "oops"),
            "!Overloaded(None) HTTP 500: oops".to_owned(),
        ),
        (
            Script::Status {
                status: 302,
                headers: vec![("location".to_owned(), "http://127.0.0.1:1/".to_owned())],
                body: String::new(),
            },
            "!Refused HTTP 302".to_owned(),
        ),
    ] {
        let server = ModelServer::start(script.clone()).await;
        let limit = if expected.contains("!TimedOut") { SHORT } else { LONG };
        let model = hosted(&server, Api::OpenaiCompletions, limit);
        assert_eq!(heard(&model, request()).await, expected, "{script:?}");
        assert_eq!(server.counts().asked, 1, "{script:?}");
    }
}

#[tokio::test(flavor = "local")]
async fn every_protocol_notices_an_answer_that_is_not_whole() {
    for api in Api::ALL {
        for (end, kind) in [
            (End::NoEnd, "!BrokeOff"),
            (End::BreakOff, "!BrokeOff"),
            (End::Malformed, "!Malformed"),
            (End::Failure, "!Overloaded(None)"),
            (End::Stall, "!TimedOut"),
        ] {
            let server = ModelServer::start(Script::Answer(Answer::text("a b").ending(end))).await;
            let limit = if end == End::Stall { SHORT } else { LONG };
            let model = hosted(&server, api, limit);
            let heard = heard(&model, request()).await;
            assert!(
                heard.contains(&format!("a b{kind}")),
                "{api} {end:?}: {heard}"
            );
        }
    }
}

#[tokio::test(flavor = "local")]
async fn nobody_there_and_a_door_shut_are_told_apart() {
    let server = ModelServer::start(Script::Close).await;
    let model = hosted(&server, Api::OpenaiCompletions, LONG);
    let shut = heard(&model, request()).await;
    assert!(
        shut.starts_with("!BrokeOff the connection to fake broke off"),
        "{shut}"
    );
    let port = server.port();
    drop(server);
    tokio::task::yield_now().await;
    let gone = heard(&model, request()).await;
    assert!(
        gone.starts_with("!Unreachable cannot reach fake: "),
        "{gone}"
    );
    assert!(
        !gone.contains(&port.to_string()),
        "the address is nobody's business: {gone}"
    );
}

#[tokio::test(flavor = "local")]
async fn dropping_the_stream_closes_the_connection() {
    let slow = Script::tokens(1_000, Duration::from_millis(20));
    for script in [slow, Script::Silence] {
        let server = ModelServer::start(script).await;
        let model = hosted(&server, Api::OpenaiCompletions, LONG);
        let mut stream = model.ask(request());
        let asked = server.until("the request", |counts| counts.asked == 1);
        tokio::pin!(asked);
        loop {
            tokio::select! {
                () = &mut asked => break,
                said = stream.next() => assert!(matches!(said, Some(Ok(_))), "{said:?}"),
            }
        }
        assert_eq!(server.counts().open, 1);
        drop(stream);
        server
            .until("the connection to close", |counts| counts.open == 0)
            .await;
    }
}

#[tokio::test(flavor = "local")]
async fn a_connection_is_used_again() {
    let server = ModelServer::start(Script::say("ok")).await;
    let model = hosted(&server, Api::OpenaiCompletions, LONG);
    for _ in 0..30 {
        assert!(heard(&model, request()).await.contains("ok.Stop"));
        let counts = server.counts();
        if counts.accepted < counts.asked {
            return;
        }
        // Who asks again at once may come before the connection is free.
    }
    panic!("{:?}", server.counts());
}

#[tokio::test(flavor = "local")]
async fn a_very_long_line_is_a_long_text() {
    let server = ModelServer::start(Script::named("long-line").unwrap()).await;
    let model = hosted(&server, Api::OpenaiCompletions, LONG);
    let text = heard(&model, request()).await;
    assert_eq!(text.matches('x').count(), 1 << 20);
    assert!(
        text.ends_with(".Stop 10+1+0+1"),
        "{}",
        &text[text.len() - 40..]
    );
}

#[tokio::test(flavor = "local")]
async fn what_never_ends_is_ended_here() {
    let too_large = "!TooLarge the answer of fake is too large to be kept";
    let late = "!TimedOut fake has not answered in time";
    let named = |name: &str| Script::named(name).unwrap();
    let complaint = Script::Pour {
        status: 500,
        opening: String::new(),
        piece: "no ".to_owned(),
        interval: Duration::from_millis(1),
    };
    for (script, limit, expected, apis) in [
        (named("endless-line"), LONG, too_large, &Api::ALL[..]),
        // Lines without an empty one are no frame, and empty ones alone are none either.
        (
            Script::pour("", "data: 1\n", 1),
            LONG,
            too_large,
            &Api::ALL[..1],
        ),
        (Script::pour("", "\n\n", 1), LONG, too_large, &Api::ALL[..1]),
        (complaint, LONG, too_large, &Api::ALL[..1]),
        (named("trickle"), SHORT, late, &Api::ALL[..]),
    ] {
        let server = ModelServer::start(script.clone()).await;
        for api in apis {
            let model = hosted(&server, *api, limit);
            assert_eq!(heard(&model, request()).await, expected, "{api} {script:?}");
        }
        server
            .until("the connections to close", |counts| counts.open == 0)
            .await;
    }
}

#[tokio::test(flavor = "local")]
async fn an_answer_without_end_is_ended_here() {
    let words = "x".repeat(256 * 1024);
    let frame = json!({"choices": [{"index": 0, "delta": {"content": words}}]});
    let server = ModelServer::start(Script::pour("", &format!("data: {frame}\n\n"), 0)).await;
    let model = hosted(&server, Api::OpenaiCompletions, LONG);
    let events: Vec<_> = model.ask(request()).collect().await;
    let Some(Err(error)) = events.last() else {
        panic!("an error was expected");
    };
    assert_eq!(error.kind, ModelErrorKind::TooLarge);
    assert!(events.len() > 100 && events.len() < 300, "{}", events.len());
}

#[tokio::test(flavor = "local")]
async fn calls_without_end_are_ended_here() {
    let call = |arguments: &str| ("exec".to_owned(), json!({ "command": arguments }));
    for (calls, is_heard) in [
        (vec![call("echo"); 64], true),
        (vec![call("echo"); 65], false),
        (vec![call(&"x".repeat(1_000_000))], true),
        (vec![call(&"x".repeat(1_100_000))], false),
    ] {
        for api in Api::ALL {
            let answer = Answer {
                calls: calls.clone(),
                ..Answer::text("done")
            };
            let server = ModelServer::start(Script::Answer(answer)).await;
            let events: Vec<_> = hosted(&server, api, LONG).ask(request()).collect().await;
            match events.last() {
                Some(Ok(ModelEvent::Done(done))) => {
                    assert!(is_heard, "{api} {}", calls.len());
                    assert_eq!(done.stop, StopReason::ToolUse);
                }
                Some(Err(error)) => {
                    assert!(!is_heard, "{api} {}: {error}", calls.len());
                    assert_eq!(error.kind, ModelErrorKind::TooLarge, "{api}");
                }
                other => panic!("{api}: {other:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "local")]
async fn the_request_says_what_was_asked() {
    let server = ModelServer::start(Script::say("ok")).await;
    for api in Api::ALL {
        heard(&hosted(&server, api, LONG), request()).await;
    }
    let asked = server.asked();
    let paths: Vec<_> = asked.iter().map(|asked| asked.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "/v1/chat/completions",
            "/v1/responses",
            "/v1/messages",
            "/v1beta/models/m1-high:streamGenerateContent?alt=sse"
        ]
    );
    for (asked, header) in asked.iter().zip([
        ("authorization", format!("Bearer {KEY}")),
        ("authorization", format!("Bearer {KEY}")),
        ("x-api-key", KEY.to_owned()),
        ("x-goog-api-key", KEY.to_owned()),
    ]) {
        assert_eq!(asked.header(header.0), header.1);
        assert_eq!(asked.header("x-team"), "blue-team");
        assert_eq!(asked.header("accept"), "text/event-stream");
    }
    let body = &asked[0].body;
    assert_eq!(body["model"], "m1-high");
    assert_eq!(body["reasoning_effort"], "low");
    assert_eq!(body["max_tokens"], 4_096);
    assert_eq!(
        body["messages"][0],
        json!({"role": "system", "content": "Be brief."})
    );
    assert_eq!(
        body["messages"][1]["content"][1],
        json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}})
    );
    assert_eq!(body["tools"][0]["function"]["name"], "exec");
    assert_eq!(asked[2].body["system"][0]["text"], "Be brief.");
    assert_eq!(
        asked[2].body["messages"][0]["content"][1]["source"]["data"],
        "aGk="
    );
    assert_eq!(
        asked[3].body["contents"][0]["parts"][1]["inline_data"]["data"],
        "aGk="
    );
}

#[tokio::test(flavor = "local")]
async fn no_secret_shows_in_what_is_printed() {
    let server = ModelServer::start(Script::say("ok")).await;
    let model = hosted(&server, Api::OpenaiCompletions, LONG);
    let printed = format!("{model:?}");
    assert!(
        !printed.contains(KEY) && !printed.contains("blue-team"),
        "{printed}"
    );
    assert!(printed.contains("***"), "{printed}");
}

#[test]
fn names_of_calls_that_only_count_are_replaced() {
    for (id, is_kept) in [
        ("call_abc123", true),
        ("toolu_1", true),
        ("call_0", false),
        ("", false),
        ("call#exec#0", false),
    ] {
        assert_eq!(call_id(id.to_owned()) == id, is_kept, "{id}");
    }
    assert_ne!(call_id(String::new()), call_id(String::new()));
}

#[test]
fn a_call_with_arguments_that_are_none_says_so() {
    let call = |arguments: Value| {
        whole(Called {
            call_id: "call_x_1".to_owned(),
            fn_name: "t".to_owned(),
            fn_arguments: arguments,
            thought_signatures: None,
        })
        .arguments
    };
    assert_eq!(call(json!({"a": 1})).len(), 1);
    assert!(call(Value::Null).is_empty() && call(json!("")).is_empty());
    assert_eq!(call(json!("{\"a\": "))[UNREADABLE_ARGUMENTS], "{\"a\": ");
}
