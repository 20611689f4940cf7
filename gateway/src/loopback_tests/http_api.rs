//! The interfaces for programs, over a real socket, with the offline model.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::testing::{DEADLINE, Gateway, TOKEN};

mod hooks;
mod refused;
mod tools;

/// An answer.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: http::HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The data of its events.
    fn events(&self) -> Vec<Value> {
        let data = self
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("data: "));
        data.map(|data| match data {
            "[DONE]" => json!("done"),
            data => serde_json::from_str(data).unwrap(),
        })
        .collect()
    }
}

async fn send(gateway: &Gateway, request: Request<Full<Bytes>>) -> http::Response<Incoming> {
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::task::spawn_local(connection);
    timeout(DEADLINE, sender.send_request(request))
        .await
        .expect("an answer in time")
        .unwrap()
}

async fn ask(
    gateway: &Gateway,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", gateway.address.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = send(gateway, request.body(Full::new(body.into())).unwrap()).await;
    let (head, body) = response.into_parts();
    let body = timeout(DEADLINE, body.collect())
        .await
        .expect("the end in time");
    Answer {
        status: head.status,
        headers: head.headers,
        text: String::from_utf8(body.unwrap().to_bytes().into()).unwrap(),
    }
}

fn bearer() -> String {
    format!("Bearer {TOKEN}")
}

async fn post(gateway: &Gateway, path: &str, body: &Value) -> Answer {
    let bearer = bearer();
    ask(
        gateway,
        "POST",
        path,
        &[("authorization", &bearer)],
        body.to_string(),
    )
    .await
}

async fn gateway() -> Gateway {
    Gateway::start_with(&json!({
        "gateway": {"http": {"endpoints": {"chatCompletions": {"enabled": true}, "responses": {"enabled": true}}}},
        "hooks": {"enabled": true, "token": "hook-secret", "presets": ["gmail"], "mappings": [
            {"match": {"path": "ci"}, "action": "wake", "textTemplate": "build {{n}} by {{headers.x-by}} {{query.q}}"},
            {"match": {"path": "js"}, "transform": {"module": "x.js"}},
        ]},
    }))
    .await
}

fn user(text: &str) -> Value {
    json!({"model": "openclaw", "messages": [{"role": "user", "content": text}]})
}

const COMPLETIONS: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";

/// How many runs are so.
fn count(gateway: &Gateway, so: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM runs WHERE {so}");
    let store = &gateway.context.store;
    store
        .read(|reader| reader.query_row(&sql, [], |row| row.get(0)))
        .unwrap()
}

/// Waits for a fact.
async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, waiting).await.expect("a fact in time");
}

async fn hook(gateway: &Gateway, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let mut all = vec![("authorization", "Bearer hook-secret")];
    all.extend_from_slice(headers);
    ask(gateway, "POST", path, &all, body.to_string()).await
}

fn notes(gateway: &Gateway) -> Vec<String> {
    let read = gateway
        .context
        .store
        .read(crate::services::system_events::waiting);
    read.unwrap()
}

#[tokio::test(flavor = "local")]
async fn a_question_is_answered_whole_and_in_pieces() {
    let gateway = gateway().await;
    let whole = post(&gateway, COMPLETIONS, &user("good morning to you")).await;
    assert_eq!(whole.status, StatusCode::OK, "{whole:?}");
    assert_eq!(
        whole.headers["content-type"],
        "application/json; charset=utf-8"
    );
    let answer = whole.json();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["model"], "openclaw");
    let choice = &answer["choices"][0];
    assert_eq!(
        (&choice["message"]["role"], &choice["finish_reason"]),
        (&json!("assistant"), &json!("stop"))
    );
    let text = choice["message"]["content"].as_str().unwrap();
    assert!(text.contains("good morning to you"), "{text}");
    assert!(answer["usage"]["total_tokens"].as_u64().unwrap() > 0);

    let mut streamed = user("good morning to you");
    streamed["stream"] = true.into();
    streamed["stream_options"] = json!({"include_usage": true});
    let streamed = post(&gateway, COMPLETIONS, &streamed).await;
    assert_eq!(
        streamed.headers["content-type"],
        "text/event-stream; charset=utf-8"
    );
    let events = streamed.events();
    assert_eq!(
        events[0]["choices"][0]["delta"],
        json!({"role": "assistant"})
    );
    let said: String = events
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(said, text);
    let [.., last, usage, done] = events.as_slice() else {
        panic!()
    };
    assert_eq!(
        last["choices"][0],
        json!({"index": 0, "delta": {}, "finish_reason": "stop"})
    );
    assert_eq!(usage["choices"], json!([]));
    assert!(usage["usage"]["completion_tokens"].as_u64().unwrap() > 0);
    assert_eq!(done, "done");
}

#[tokio::test(flavor = "local")]
async fn a_tool_of_the_client_is_called_and_its_result_is_told_back() {
    let gateway = gateway().await;
    let tools = json!([{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]);
    let mut question = user("/tool look {\"at\":\"sky\"}");
    question["tools"] = tools.clone();
    let wanted = post(&gateway, COMPLETIONS, &question).await.json();
    let choice = &wanted["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls", "{wanted}");
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(call["function"]["name"], "look");
    let arguments: Value =
        serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments, json!({"at": "sky"}));

    let mut follow_up = question.clone();
    let messages = follow_up["messages"].as_array_mut().unwrap();
    messages.push(choice["message"].clone());
    messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": "it is blue"}));
    let answer = post(&gateway, COMPLETIONS, &follow_up).await.json();
    let text = answer["choices"][0]["message"]["content"].as_str();
    assert!(
        text.is_some_and(|text| text.contains("it is blue")),
        "{answer}"
    );

    question["stream"] = true.into();
    let events = post(&gateway, COMPLETIONS, &question).await.events();
    let call = events
        .iter()
        .find_map(|event| event["choices"][0]["delta"]["tool_calls"].as_array());
    assert_eq!(call.unwrap()[0]["function"]["name"], "look");
    assert_eq!(
        events[events.len() - 2]["choices"][0]["finish_reason"],
        "tool_calls"
    );
}

#[tokio::test(flavor = "local")]
async fn responses_are_answered_whole_and_as_events() {
    let gateway = gateway().await;
    let question = json!({"model": "openclaw:main", "input": "good evening"});
    let answer = post(&gateway, RESPONSES, &question).await.json();
    assert_eq!(
        (&answer["status"], &answer["model"]),
        (&json!("completed"), &json!("openclaw:main")),
        "{answer}"
    );
    let text = answer["output"][0]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("good evening"), "{text}");
    let mut streamed = question.clone();
    streamed["stream"] = true.into();
    let streamed = post(&gateway, RESPONSES, &streamed).await;
    let names: Vec<&str> = streamed
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("event: "))
        .collect();
    assert_eq!(
        &names[..4],
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added"
        ]
    );
    let (deltas, rest) = names[4..].split_at(names.len() - 8);
    assert!(
        !deltas.is_empty()
            && deltas
                .iter()
                .all(|name| *name == "response.output_text.delta"),
        "{names:?}"
    );
    assert_eq!(
        rest,
        [
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed"
        ]
    );
    let events = streamed.events();
    let whole = &events[events.len() - 2]["response"];
    assert_eq!(whole["output"][0]["content"][0]["text"], text);
    assert!(whole["usage"]["total_tokens"].as_u64().unwrap() > 0);
    let tools = json!([{"type": "function", "name": "look", "parameters": {"type": "object"}}]);
    let wanted = json!({"model": "openclaw", "input": "/tool look {}", "tools": tools});
    let wanted = post(&gateway, RESPONSES, &wanted).await.json();
    assert_eq!(wanted["status"], "incomplete", "{wanted}");
    let call = wanted["output"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&call["type"], &call["name"]),
        (&json!("function_call"), &json!("look"))
    );
}

#[tokio::test(flavor = "local")]
async fn a_client_that_leaves_stops_its_run() {
    let gateway = gateway().await;
    for is_streamed in [false, true] {
        let mut question = user("/slow 5000\none two three");
        question["stream"] = is_streamed.into();
        let request = Request::post(COMPLETIONS)
            .header("host", gateway.address.to_string())
            .header("authorization", bearer())
            .body(Full::new(Bytes::from(question.to_string())))
            .unwrap();
        let stream = TcpStream::connect(gateway.address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::task::spawn_local(connection);
        let answering = tokio::task::spawn_local(async move { sender.send_request(request).await });
        until(|| count(&gateway, "state = 'running'") == 1).await;
        answering.abort();
        connection.abort();
        until(|| count(&gateway, "state = 'running'") == 0).await;
        assert_eq!(
            count(&gateway, "outcome LIKE '%\"aborted\":\"disconnect\"%'"),
            1 + i64::from(is_streamed)
        );
    }
}

#[tokio::test(flavor = "local")]
async fn what_the_official_packages_send_is_understood() {
    let gateway = gateway().await;
    let recorded = [
        include_str!("../../../tests/golden/peer/openai/python.jsonl"),
        include_str!("../../../tests/golden/peer/openai/node.jsonl"),
    ];
    let bearer = bearer();
    for line in recorded.into_iter().flat_map(str::lines) {
        let line: Value = serde_json::from_str(line).unwrap();
        let status = line["status"].as_u64().unwrap();
        // What is slow is told elsewhere, and who was not let in had another key.
        if status == 401 || line["body"].to_string().contains("/slow") {
            continue;
        }
        let body = &line["body"];
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let text = |key: &str| line[key].as_str().unwrap().to_owned();
        let auth = [("authorization", bearer.as_str())];
        let answer = ask(&gateway, &text("method"), &text("path"), &auth, body).await;
        assert_eq!(
            u64::from(answer.status.as_u16()),
            status,
            "{line} {answer:?}"
        );
        if line["body"]["stream"] == true {
            assert_eq!(answer.events().last(), Some(&json!("done")), "{line}");
        } else {
            answer.json();
        }
    }
}

#[tokio::test(flavor = "local")]
async fn an_answer_that_is_under_way_is_ended_before_the_gateway_leaves() {
    let mut gateway = gateway().await;
    let mut question = user("/slow 1000\none two three four");
    question["stream"] = true.into();
    let request = Request::post(COMPLETIONS)
        .header("host", gateway.address.to_string())
        .header("authorization", bearer())
        .body(Full::new(Bytes::from(question.to_string())))
        .unwrap();
    let response = send(&gateway, request).await;
    until(|| count(&gateway, "state = 'running'") == 1).await;
    let reading = tokio::task::spawn_local(response.into_body().collect());
    gateway.drain().await;
    let read = timeout(DEADLINE, reading).await.unwrap().unwrap().unwrap();
    let text = String::from_utf8(read.to_bytes().into()).unwrap();
    assert!(text.contains("four"), "{text}");
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
}
