use std::time::Duration;

use genai::chat::ChatRole;
use openclaw_shared::secret::Secret;

use super::super::{Compat, Prices};
use super::*;

fn endpoint(api: Api) -> Endpoint {
    Endpoint {
        provider: "p".to_owned(),
        api,
        base_url: "http://host/v1/".to_owned(),
        key: Some(Secret::new(" key\n".to_owned())),
        bearer: false,
        headers: Vec::new(),
        idle_limit: Duration::from_secs(1),
    }
}

fn facts() -> ModelFacts {
    ModelFacts {
        id: "m-high".to_owned(),
        reasoning: true,
        sees: false,
        max_tokens: None,
        prices: Prices::default(),
        compat: Compat::default(),
    }
}

fn user(text: &str) -> Message {
    Message::User(UserMessage {
        content: vec![Part::text(text)],
        timestamp: 0,
    })
}

fn assistant(model: &str, content: Vec<Part>) -> Message {
    Message::Assistant(AssistantMessage {
        provider: "p".to_owned(),
        model: model.to_owned(),
        content,
        ..AssistantMessage::default()
    })
}

fn call(id: &str) -> Part {
    Part::ToolCall {
        id: id.to_owned(),
        name: "exec".to_owned(),
        arguments: Map::new(),
    }
}

fn thought(text: &str, signature: Option<&str>) -> Part {
    Part::Thinking {
        thinking: text.to_owned(),
        thinking_signature: signature.map(str::to_owned),
    }
}

fn result(id: &str, content: Vec<Part>) -> Message {
    Message::ToolResult(ToolResultMessage {
        tool_call_id: id.to_owned(),
        content,
        ..ToolResultMessage::default()
    })
}

/// Each message in a line: `user: text`, `assistant: text call(id)`, `tool: id=text`.
fn check(api: Api, facts: &ModelFacts, messages: Vec<Message>, expected: &[&str]) {
    let asked = ModelRequest {
        messages,
        ..ModelRequest::default()
    };
    let written = request(&endpoint(api), facts, asked).messages;
    let shown: Vec<String> = written.iter().map(shown).collect();
    assert_eq!(shown, expected);
}

fn shown(message: &ChatMessage) -> String {
    let role = match message.role {
        ChatRole::System => "system",
        ChatRole::User => "user",
        ChatRole::Assistant => "assistant",
        ChatRole::Tool => "tool",
    };
    let parts = message.content.iter().map(|part| match part {
        ContentPart::Text(text) => text.clone(),
        ContentPart::Binary(picture) => format!("picture({})", picture.content_type),
        ContentPart::ToolCall(call) => format!("call({})", call.call_id),
        ContentPart::ToolResponse(result) => format!("{}={}", result.call_id, result.content),
        ContentPart::ThoughtSignature(signature) => format!("~{signature}"),
        ContentPart::ReasoningContent(thought) => format!("?{thought}"),
        ContentPart::Custom(custom) => custom.data.to_string(),
    });
    format!("{role}: {}", parts.collect::<Vec<_>>().join(" "))
}

#[test]
fn every_call_has_one_answer_and_every_answer_a_call() {
    check(
        Api::OpenaiCompletions,
        &facts(),
        vec![
            result("stray", vec![Part::text("x")]),
            user("go"),
            assistant("m", vec![call("a|1"), call("b")]),
            result("b", vec![Part::text("two")]),
            result("b", vec![Part::text("again")]),
            user("stop"),
            assistant("m", vec![call("c")]),
            result("c", Vec::new()),
        ],
        &[
            "user: go",
            "assistant: call(a_1) call(b)",
            "tool: b=two a_1=(no result: the run was interrupted before the tool had answered)",
            "user: stop",
            "assistant: call(c)",
            "tool: c=(no output)",
        ],
    );
}

#[test]
fn what_says_nothing_is_left_out() {
    check(
        Api::AnthropicMessages,
        &facts(),
        vec![
            user(" "),
            user("hi"),
            assistant("m-high", vec![thought("hm", Some("s"))]),
            assistant("m-high", vec![Part::text("")]),
            assistant("m-high", vec![Part::text("yes")]),
        ],
        &["user: hi", "assistant: yes"],
    );
}

#[test]
fn thoughts_go_back_to_the_model_that_had_them_in_its_own_way() {
    let conversation = || {
        vec![
            assistant("other", vec![thought("x", Some("y")), Part::text("one")]),
            assistant(
                "m-high",
                vec![
                    thought("hm", Some("s")),
                    thought("", Some("redacted_thinking:zz")),
                    thought("unsigned", None),
                    call("a"),
                ],
            ),
            result("a", vec![Part::text("r")]),
        ]
    };
    for (api, expected) in [
        (
            Api::AnthropicMessages,
            r#"assistant: ~s ?hm {"type":"redacted_thinking","data":"zz"} call(a)"#,
        ),
        (
            Api::OpenaiResponses,
            "assistant: ~s ~redacted_thinking:zz call(a)",
        ),
        (Api::OpenaiCompletions, "assistant: ?hm ?unsigned call(a)"),
    ] {
        check(
            api,
            &facts(),
            conversation(),
            &["assistant: one", expected, "tool: a=r"],
        );
    }
}

#[test]
fn pictures_go_to_models_that_see() {
    let picture = || Part::Image {
        data: "aGk=".to_owned(),
        mime_type: "image/png".to_owned(),
    };
    let conversation = || {
        vec![
            assistant("m", vec![call("a")]),
            result("a", vec![picture()]),
            user("and?"),
        ]
    };
    check(
        Api::OpenaiCompletions,
        &facts(),
        conversation(),
        &[
            "assistant: call(a)",
            "tool: a=[a picture (image/png) that cannot be shown]",
            "user: and?",
        ],
    );
    let sees = ModelFacts {
        sees: true,
        ..facts()
    };
    check(
        Api::OpenaiCompletions,
        &sees,
        conversation(),
        &[
            "assistant: call(a)",
            "tool: a=(the picture that follows)",
            "user: picture(image/png)",
            "user: and?",
        ],
    );
}

#[test]
fn addresses_are_put_together_as_each_protocol_wants_them() {
    for (api, base, expected) in [
        (
            Api::OpenaiCompletions,
            "http://h/v1",
            "http://h/v1/chat/completions",
        ),
        (
            Api::OpenaiCompletions,
            "http://h/v1/?v=2",
            "http://h/v1/chat/completions?v=2",
        ),
        (
            Api::OpenaiResponses,
            "http://h/v1/",
            "http://h/v1/responses",
        ),
        (Api::AnthropicMessages, "http://h", "http://h/v1/messages"),
        (
            Api::AnthropicMessages,
            "http://h/v1/",
            "http://h/v1/messages",
        ),
        (
            Api::GoogleGenerativeAi,
            "http://h/v1beta?a=b",
            "http://h/v1beta/models/m:streamGenerateContent?a=b&alt=sse",
        ),
    ] {
        let endpoint = Endpoint {
            base_url: base.to_owned(),
            ..endpoint(api)
        };
        assert_eq!(url(&endpoint, "m"), expected);
    }
}

#[test]
fn the_key_goes_where_the_protocol_or_the_configuration_wants_it() {
    let sent = |endpoint: &Endpoint| {
        let headers = headers(endpoint);
        let mut found: Vec<String> = headers
            .iter()
            .filter(|(name, _)| *name != "accept" && *name != "anthropic-version")
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        found.sort();
        found
    };
    assert_eq!(sent(&endpoint(Api::AnthropicMessages)), ["x-api-key: key"]);
    let bearer = Endpoint {
        bearer: true,
        headers: vec![("X-One".to_owned(), Secret::new("1".to_owned()))],
        ..endpoint(Api::AnthropicMessages)
    };
    assert_eq!(sent(&bearer), ["authorization: Bearer key", "x-one: 1"]);
    let local = Endpoint {
        key: None,
        ..endpoint(Api::OpenaiCompletions)
    };
    assert!(sent(&local).is_empty());
    let own = Endpoint {
        headers: vec![(
            "Authorization".to_owned(),
            Secret::new("Basic x".to_owned()),
        )],
        ..endpoint(Api::OpenaiCompletions)
    };
    assert_eq!(sent(&own), ["authorization: Basic x"]);
}

#[test]
fn a_limit_leaves_room_for_thoughts_where_they_count() {
    let limit = |api, thinking, asked, most| {
        let facts = ModelFacts {
            max_tokens: most,
            ..facts()
        };
        let request = ModelRequest {
            thinking,
            max_tokens: asked,
            ..ModelRequest::default()
        };
        max_tokens(api, &facts, &request)
    };
    let anthropic = Api::AnthropicMessages;
    assert_eq!(
        limit(anthropic, Thinking::High, None, Some(8_192)),
        Some(32_000)
    );
    assert_eq!(
        limit(anthropic, Thinking::High, None, Some(64_000)),
        Some(64_000)
    );
    assert_eq!(
        limit(anthropic, Thinking::Off, Some(100), Some(8_192)),
        Some(100)
    );
    assert_eq!(
        limit(Api::OpenaiCompletions, Thinking::High, Some(9), None),
        Some(9)
    );
    assert_eq!(
        limit(Api::OpenaiCompletions, Thinking::High, None, None),
        None
    );
}
