//! The answers of `/v1/chat/completions`, whole and in pieces.                             (pure)

use http::StatusCode;
use openclaw_shared::transcript::{StopReason, Usage};
use serde::Serialize;
use serde_json::Value;
use warp::reply::Response as Reply;

use crate::http::api::{Failure, json};
use crate::http::dialogue::{Form, Head};
use crate::http::sse;
use crate::runs::request::{KeptCall, Outcome};

/// The form of an answer.
#[derive(Debug, Clone)]
pub(super) struct Completions {
    pub(super) head: Head,
    /// Whether a stream ends with what it took.
    pub(super) with_usage: bool,
}

/// A whole answer.
#[derive(Debug, Serialize)]
struct Completion<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: [Choice<'a>; 1],
    usage: Tokens,
}

#[derive(Debug, Serialize)]
struct Choice<'a> {
    index: u8,
    message: Message<'a>,
    finish_reason: &'static str,
}

#[derive(Debug, Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call>,
}

/// A piece of an answer.
#[derive(Debug, Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<Piece<'a>>,
    /// With `include_usage`, null in all pieces but the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Tokens>>,
}

#[derive(Debug, Serialize)]
struct Piece<'a> {
    index: u8,
    delta: Delta<'a>,
    finish_reason: Option<&'static str>,
}

#[derive(Debug, Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call>,
}

#[derive(Debug, Serialize)]
struct Call {
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function,
}

#[derive(Debug, Serialize)]
struct Function {
    name: String,
    /// JSON in a text.
    arguments: String,
}

/// What an answer took.
#[derive(Debug, Clone, Copy, Serialize)]
struct Tokens {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: Cached,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Cached {
    cached_tokens: u64,
}

impl From<Usage> for Tokens {
    fn from(usage: Usage) -> Self {
        let prompt = usage.input + usage.cache_read + usage.cache_write;
        Self {
            prompt_tokens: prompt,
            completion_tokens: usage.output,
            total_tokens: usage.total_tokens.max(prompt + usage.output),
            prompt_tokens_details: Cached {
                cached_tokens: usage.cache_read,
            },
        }
    }
}

fn call(call: &KeptCall, index: Option<usize>) -> Call {
    Call {
        index,
        id: call.id.clone(),
        kind: "function",
        function: Function {
            name: call.name.clone(),
            arguments: Value::Object(call.arguments.clone()).to_string(),
        },
    }
}

/// Why the answer ended, in the words of this interface.
fn finish_reason(outcome: &Outcome) -> &'static str {
    if !outcome.client_calls.is_empty() {
        return "tool_calls";
    }
    match outcome.stop {
        StopReason::Length => "length",
        StopReason::Stop
        | StopReason::ToolUse
        | StopReason::Error
        | StopReason::Aborted
        | StopReason::Injected => "stop",
    }
}

impl Form for Completions {
    fn id(&self) -> &str {
        &self.head.id
    }

    fn whole(&self, text: &str, outcome: &Outcome) -> Reply {
        json(StatusCode::OK, &self.completion(text, outcome))
    }

    fn refusal(&self, failure: &Failure, _: Usage) -> Reply {
        failure.reply()
    }

    fn opening(&self) -> String {
        let delta = Delta {
            role: Some("assistant"),
            ..Delta::default()
        };
        sse::data(&self.piece(delta, None))
    }

    fn more(&self, text: &str) -> String {
        let delta = Delta {
            content: Some(text),
            ..Delta::default()
        };
        sse::data(&self.piece(delta, None))
    }

    fn closing(&self, _: &str, outcome: &Outcome) -> String {
        let mut events = String::new();
        if !outcome.client_calls.is_empty() {
            let calls = outcome.client_calls.iter().enumerate();
            let delta = Delta {
                tool_calls: calls.map(|(index, made)| call(made, Some(index))).collect(),
                ..Delta::default()
            };
            events += &sse::data(&self.piece(delta, None));
        }
        events += &sse::data(&self.piece(Delta::default(), Some(finish_reason(outcome))));
        if self.with_usage {
            events += &sse::data(&self.chunk(Vec::new(), Some(outcome.usage.into())));
        }
        events
    }

    fn broken(&self, failure: &Failure, _: Usage) -> String {
        sse::data(&failure.body())
    }
}

impl Completions {
    fn completion<'a>(&'a self, text: &'a str, outcome: &Outcome) -> Completion<'a> {
        let calls = outcome.client_calls.iter().map(|made| call(made, None));
        let message = Message {
            role: "assistant",
            content: (!text.is_empty() || outcome.client_calls.is_empty()).then_some(text),
            tool_calls: calls.collect(),
        };
        Completion {
            id: &self.head.id,
            object: "chat.completion",
            created: self.head.created,
            model: &self.head.model,
            choices: [Choice {
                index: 0,
                message,
                finish_reason: finish_reason(outcome),
            }],
            usage: outcome.usage.into(),
        }
    }

    fn chunk<'a>(&'a self, choices: Vec<Piece<'a>>, usage: Option<Tokens>) -> Chunk<'a> {
        Chunk {
            id: &self.head.id,
            object: "chat.completion.chunk",
            created: self.head.created,
            model: &self.head.model,
            choices,
            usage: self.with_usage.then_some(usage),
        }
    }

    fn piece<'a>(&'a self, delta: Delta<'a>, finish_reason: Option<&'static str>) -> Chunk<'a> {
        let piece = Piece {
            index: 0,
            delta,
            finish_reason,
        };
        self.chunk(vec![piece], None)
    }
}

#[cfg(test)]
mod tests {
    use openclaw_shared::transcript::{StopReason, Usage};
    use serde_json::{Value, json};

    use super::{Completions, Form as _, Head, KeptCall, Outcome};
    use crate::http::sse;
    use crate::runs::request::RunStatus;

    fn form(with_usage: bool) -> Completions {
        let head = Head {
            id: "chatcmpl_1".into(),
            created: 7,
            model: "openclaw:main".into(),
        };
        Completions { head, with_usage }
    }

    fn outcome() -> Outcome {
        let mut outcome = Outcome::ended(RunStatus::Ok, None, 1);
        outcome.usage = Usage {
            input: 11,
            output: 5,
            cache_read: 3,
            total_tokens: 19,
            ..Usage::default()
        };
        outcome
    }

    fn usage() -> Value {
        json!({"prompt_tokens": 14, "completion_tokens": 5, "total_tokens": 19, "prompt_tokens_details": {"cached_tokens": 3}})
    }

    fn value(of: impl serde::Serialize) -> Value {
        serde_json::to_value(of).unwrap()
    }

    #[test]
    fn a_whole_answer_looks_like_this() {
        assert_eq!(
            value(form(false).completion("Hello", &outcome())),
            json!({"id": "chatcmpl_1", "object": "chat.completion", "created": 7, "model": "openclaw:main",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}], "usage": usage()})
        );
        let mut calls = outcome();
        calls.client_calls = vec![KeptCall {
            id: "c1".into(),
            name: "look".into(),
            arguments: json!({"at": 1}).as_object().unwrap().clone(),
        }];
        let answer = value(form(false).completion("", &calls));
        assert_eq!(
            answer["choices"],
            json!([{"index": 0, "message": {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{\"at\":1}"}}]}, "finish_reason": "tool_calls"}])
        );
        let mut long = outcome();
        long.stop = StopReason::Length;
        assert_eq!(
            value(form(false).completion("x", &long))["choices"][0]["finish_reason"],
            "length"
        );
    }

    #[test]
    fn pieces_look_like_this() {
        let plain = form(false);
        let chunk = |choices: Value| json!({"id": "chatcmpl_1", "object": "chat.completion.chunk", "created": 7, "model": "openclaw:main", "choices": choices});
        let piece = |delta: Value, why: Value| {
            sse::data(&chunk(
                json!([{"index": 0, "delta": delta, "finish_reason": why}]),
            ))
        };
        assert_eq!(
            plain.opening(),
            piece(json!({"role": "assistant"}), Value::Null)
        );
        assert_eq!(
            plain.more("Hel"),
            piece(json!({"content": "Hel"}), Value::Null)
        );
        assert_eq!(
            plain.closing("Hel", &outcome()),
            piece(json!({}), json!("stop"))
        );
        let counted = form(true);
        assert!(counted.opening().contains(r#","usage":null}"#));
        let mut last = chunk(json!([]));
        last["usage"] = usage();
        let closing = counted.closing("Hel", &outcome());
        assert!(closing.ends_with(&sse::data(&last)), "{closing}");
    }
}
