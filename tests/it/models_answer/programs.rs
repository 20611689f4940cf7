//! What programs send over HTTP reaches the provider, and what the provider has counted reaches the program.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use openclaw_shared::control::ChildName;
use openclaw_tests::home::TOKEN;
use openclaw_tests::http;
use openclaw_tests::model_server::Script;
use openclaw_tests::pdf;
use serde_json::{Value, json};

use super::Stage;

const COMPLETIONS: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
/// The smallest picture there is.
const PICTURE: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
/// `Hello` in base64.
const FILE: &str = "SGVsbG8=";

async fn stage() -> Stage {
    let endpoints = json!({"chatCompletions": {"enabled": true}, "responses": {"enabled": true}});
    Stage::with(json!({"gateway": {"http": {"endpoints": endpoints}}})).await
}

async fn post(stage: &Stage, path: &str, headers: &[(&str, &str)], body: &Value) -> http::Answer {
    let port = stage.instance.home().port();
    let request = http::post(port, path, TOKEN, headers, body);
    let answer = http::exchange(port, request.as_bytes()).await;
    let answer = answer.unwrap_or_else(|got| panic!("{path}: {got:?}"));
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer
}

/// The data of the events of a stream, which ends as it should.
fn events(answer: &http::Answer) -> Vec<Value> {
    let text = answer.text();
    let mut data: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .collect();
    assert_eq!(data.pop(), Some("[DONE]"), "{text}");
    let data = data.into_iter();
    data.map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

#[tokio::test]
async fn pictures_and_files_of_programs_reach_the_provider() {
    let stage = stage().await;
    let picture = format!("data:image/png;base64,{PICTURE}");
    let file = format!("data:text/plain;base64,{FILE}");
    let completions = json!({"model": "openclaw", "messages": [{"role": "user", "content": [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": picture}},
        {"type": "file", "file": {"filename": "notes.txt", "file_data": file}},
    ]}]});
    let responses = json!({"model": "openclaw", "input": [{"role": "user", "content": [
        {"type": "input_text", "text": "look"},
        {"type": "input_image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}},
        {"type": "input_file", "source":
            {"type": "base64", "media_type": "text/plain", "data": FILE, "filename": "notes.txt"}},
    ]}]});
    for (path, body) in [(COMPLETIONS, completions), (RESPONSES, responses)] {
        let answer = post(&stage, path, &[], &body).await;
        assert!(answer.text().contains("Hello"), "{path}: {}", answer.text());
        let asked = stage.last_asked().body;
        let last = asked["messages"]
            .as_array()
            .unwrap()
            .last()
            .unwrap()
            .to_string();
        assert!(
            last.contains("look") && last.contains(PICTURE),
            "{path}: {last}"
        );
        let system = asked["messages"][0]["content"].to_string();
        assert!(
            system.contains("notes.txt") && system.contains("Hello"),
            "{path}: {system}"
        );
    }
}

#[tokio::test]
async fn what_the_provider_has_counted_is_told_and_a_stream_has_a_proper_end() {
    let stage = stage().await;
    // The server counts eleven tokens read and one written for each word.
    let (read, written) = (11, 4);
    for is_streamed in [false, true] {
        stage.model.play([Script::say("one two three four")]);
        let mut body =
            json!({"model": "openclaw", "messages": [{"role": "user", "content": "hi"}]});
        if is_streamed {
            body["stream"] = json!(true);
            body["stream_options"] = json!({"include_usage": true});
        }
        let answer = post(&stage, COMPLETIONS, &[], &body).await;
        let usage = json!({"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written});
        let told = match is_streamed {
            false => serde_json::from_str(&answer.text()).unwrap(),
            true => {
                let mut events = events(&answer);
                let counted = events.pop().unwrap();
                assert_eq!(counted["choices"], json!([]), "{counted}");
                let last = events.pop().unwrap();
                assert_eq!(last["choices"][0]["finish_reason"], "stop", "{last}");
                counted
            }
        };
        for (name, count) in usage.as_object().unwrap() {
            assert_eq!(told["usage"][name], *count, "{name}: {told}");
        }
        stage.model.play([Script::say("one two three four")]);
        let body = json!({"model": "openclaw", "input": "hi", "stream": is_streamed});
        let answer = post(&stage, RESPONSES, &[], &body).await;
        let told: Value = match is_streamed {
            false => serde_json::from_str(&answer.text()).unwrap(),
            true => {
                let last = events(&answer).pop().unwrap();
                assert_eq!(last["type"], "response.completed", "{last}");
                last["response"].clone()
            }
        };
        assert_eq!(told["status"], "completed", "{told}");
        let usage = &told["usage"];
        assert_eq!(
            (
                &usage["input_tokens"],
                &usage["output_tokens"],
                &usage["total_tokens"]
            ),
            (&json!(read), &json!(written), &json!(read + written)),
            "{told}"
        );
    }
}

#[tokio::test]
async fn a_program_that_names_its_session_goes_on_in_it() {
    let stage = stage().await;
    let session = [("x-openclaw-session-key", "agent:main:desk")];
    for (path, body) in [
        (
            COMPLETIONS,
            json!({"model": "openclaw", "messages": [{"role": "user", "content": "the first"}]}),
        ),
        (
            RESPONSES,
            json!({"model": "openclaw", "input": "the second"}),
        ),
    ] {
        post(&stage, path, &session, &body).await;
    }
    let asked = stage.last_asked().body["messages"].to_string();
    assert!(
        asked.contains("the first") && asked.contains("the second"),
        "{asked}"
    );
    assert_eq!(stage.history("desk").await.len(), 4);
    // Without a name each question is a conversation of its own.
    let body = json!({"model": "openclaw", "input": "the third"});
    post(&stage, RESPONSES, &[], &body).await;
    let asked = stage.last_asked().body["messages"].to_string();
    assert!(!asked.contains("the first"), "{asked}");
}

/// A question with a PDF, as each of the two interfaces has it.
fn with_pdf(pdf: &[u8]) -> [(&'static str, Value); 2] {
    let data = BASE64.encode(pdf);
    let completions = json!({"model": "openclaw", "messages": [{"role": "user", "content": [
        {"type": "text", "text": "read"},
        {"type": "file", "file": {"filename": "paper.pdf", "file_data": data}},
    ]}]});
    let responses = json!({"model": "openclaw", "input": [{"role": "user", "content": [
        {"type": "input_text", "text": "read"},
        {"type": "input_file", "source":
            {"type": "base64", "media_type": "application/pdf", "data": data, "filename": "paper.pdf"}},
    ]}]});
    [(COMPLETIONS, completions), (RESPONSES, responses)]
}

#[tokio::test]
async fn the_text_of_a_pdf_reaches_the_provider() {
    let stage = stage().await;
    for (path, body) in with_pdf(&pdf::of_pages(&["Seven blue whales", "and a boat"])) {
        post(&stage, path, &[], &body).await;
        let system = stage.last_asked().body["messages"][0]["content"].to_string();
        for expected in ["paper.pdf", "Seven blue whales", "and a boat"] {
            assert!(system.contains(expected), "{path}: {system}");
        }
    }
}

#[tokio::test]
async fn a_pdf_without_text_is_refused_with_what_to_do_and_a_hostile_one_costs_nobody_else() {
    let stage = stage().await;
    let asked = stage.model.counts().asked;
    let gateway = stage.instance.pid_of(ChildName::Gateway).await;
    let mut pdfs = pdf::hostile();
    let whole = pdf::of_pages(&["Seven blue whales"]);
    pdfs.push(("half of one", whole[..whole.len() / 2].to_vec()));
    let said = [
        ("one that is locked", pdf::encrypted(), "password"),
        (
            "one of pictures",
            pdf::of_pages(&[""]),
            "pictures of its pages",
        ),
        ("none", b"GIF89a".to_vec(), "no PDF"),
    ];
    let said = said.into_iter();
    let any = pdfs.into_iter().map(|(what, pdf)| (what, pdf, "PDF"));
    for (what, pdf, expected) in any.chain(said) {
        let [_, (path, body)] = with_pdf(&pdf);
        let port = stage.instance.home().port();
        let request = http::post(port, path, TOKEN, &[], &body);
        let answer = http::exchange(port, request.as_bytes()).await;
        let answer = answer.unwrap_or_else(|got| panic!("{what}: {got:?}"));
        let text = answer.text();
        assert_eq!(answer.status, 400, "{what}: {text}");
        assert!(text.contains(expected), "{what}: {text}");
    }
    assert_eq!(stage.model.counts().asked, asked);
    assert_eq!(stage.instance.pid_of(ChildName::Gateway).await, gateway);
}
