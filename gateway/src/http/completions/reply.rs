//! The answers of `/v1/chat/completions`, whole and in pieces.                             (pure)

use openclaw_shared::transcript::{StopReason, Usage};
use serde::Serialize;
use serde_json::Value;

use crate::runs::request::{KeptCall, Outcome};

/// What every piece of an answer says.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) id: String,
    /// In seconds since the epoch.
    pub(super) created: u64,
    /// As the client wrote it.
    pub(super) model: String,
}

/// A whole answer.
#[derive(Debug, Serialize)]
pub(super) struct Completion<'a> {
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
pub(super) struct Chunk<'a> {
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

impl Head {
    /// The whole answer.
    pub(super) fn completion<'a>(&'a self, text: &'a str, outcome: &Outcome) -> Completion<'a> {
        let calls = outcome.client_calls.iter().map(|made| call(made, None));
        let message = Message {
            role: "assistant",
            content: (!text.is_empty() || outcome.client_calls.is_empty()).then_some(text),
            tool_calls: calls.collect(),
        };
        Completion {
            id: &self.id,
            object: "chat.completion",
            created: self.created,
            model: &self.model,
            choices: [Choice {
                index: 0,
                message,
                finish_reason: finish_reason(outcome),
            }],
            usage: outcome.usage.into(),
        }
    }

    /// The pieces of an answer.
    pub(super) const fn pieces(&self, with_usage: bool) -> Pieces<'_> {
        Pieces {
            head: self,
            with_usage,
        }
    }
}

/// The pieces of one answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pieces<'a> {
    head: &'a Head,
    with_usage: bool,
}

impl<'a> Pieces<'a> {
    fn chunk(self, choices: Vec<Piece<'a>>, usage: Option<Tokens>) -> Chunk<'a> {
        Chunk {
            id: &self.head.id,
            object: "chat.completion.chunk",
            created: self.head.created,
            model: &self.head.model,
            choices,
            usage: self.with_usage.then_some(usage),
        }
    }

    fn piece(self, delta: Delta<'a>, finish_reason: Option<&'static str>) -> Chunk<'a> {
        let piece = Piece {
            index: 0,
            delta,
            finish_reason,
        };
        self.chunk(vec![piece], None)
    }

    /// The first one.
    pub(super) fn begin(self) -> Chunk<'a> {
        let delta = Delta {
            role: Some("assistant"),
            ..Delta::default()
        };
        self.piece(delta, None)
    }

    /// More of the text.
    pub(super) fn text(self, text: &'a str) -> Chunk<'a> {
        let delta = Delta {
            content: Some(text),
            ..Delta::default()
        };
        self.piece(delta, None)
    }

    /// The calls that the client is to make; none when there are none.
    pub(super) fn calls(self, outcome: &Outcome) -> Option<Chunk<'a>> {
        if outcome.client_calls.is_empty() {
            return None;
        }
        let calls = outcome.client_calls.iter().enumerate();
        let delta = Delta {
            tool_calls: calls.map(|(index, made)| call(made, Some(index))).collect(),
            ..Delta::default()
        };
        Some(self.piece(delta, None))
    }

    /// The last one that has a choice.
    pub(super) fn end(self, outcome: &Outcome) -> Chunk<'a> {
        self.piece(Delta::default(), Some(finish_reason(outcome)))
    }

    /// What it took, when the client wants to know.
    pub(super) fn usage(self, outcome: &Outcome) -> Option<Chunk<'a>> {
        self.with_usage
            .then(|| self.chunk(Vec::new(), Some(outcome.usage.into())))
    }
}

#[cfg(test)]
mod tests {
    use openclaw_shared::transcript::{StopReason, Usage};
    use serde_json::{Value, json};

    use super::{Head, KeptCall, Outcome};
    use crate::runs::request::RunStatus;

    fn head() -> Head {
        Head {
            id: "chatcmpl_1".into(),
            created: 7,
            model: "openclaw:main".into(),
        }
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

    fn value(of: impl serde::Serialize) -> Value {
        serde_json::to_value(of).unwrap()
    }

    #[test]
    fn a_whole_answer_looks_like_this() {
        let usage = json!({"prompt_tokens": 14, "completion_tokens": 5, "total_tokens": 19, "prompt_tokens_details": {"cached_tokens": 3}});
        assert_eq!(
            value(head().completion("Hello", &outcome())),
            json!({"id": "chatcmpl_1", "object": "chat.completion", "created": 7, "model": "openclaw:main",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}], "usage": usage})
        );
        let mut calls = outcome();
        calls.client_calls = vec![KeptCall {
            id: "c1".into(),
            name: "look".into(),
            arguments: json!({"at": 1}).as_object().unwrap().clone(),
        }];
        let answer = value(head().completion("", &calls));
        assert_eq!(
            answer["choices"],
            json!([{"index": 0, "message": {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{\"at\":1}"}}]}, "finish_reason": "tool_calls"}])
        );
        let mut long = outcome();
        long.stop = StopReason::Length;
        assert_eq!(
            value(head().completion("x", &long))["choices"][0]["finish_reason"],
            "length"
        );
    }

    #[test]
    fn pieces_look_like_this() {
        let head = head();
        let pieces = head.pieces(false);
        assert_eq!(
            value(pieces.begin()),
            json!({"id": "chatcmpl_1", "object": "chat.completion.chunk", "created": 7, "model": "openclaw:main",
                "choices": [{"index": 0, "delta": {"role": "assistant"}, "finish_reason": null}]})
        );
        let choice = |chunk| value(chunk)["choices"][0].clone();
        assert_eq!(
            choice(pieces.text("Hel")),
            json!({"index": 0, "delta": {"content": "Hel"}, "finish_reason": null})
        );
        assert_eq!(
            choice(pieces.end(&outcome())),
            json!({"index": 0, "delta": {}, "finish_reason": "stop"})
        );
        assert!(pieces.usage(&outcome()).is_none() && pieces.calls(&outcome()).is_none());
        let counted = head.pieces(true);
        assert_eq!(value(counted.begin())["usage"], Value::Null);
        assert!(
            value(counted.begin())
                .as_object()
                .unwrap()
                .contains_key("usage")
        );
        let last = value(counted.usage(&outcome()).unwrap());
        assert_eq!(
            (&last["choices"], &last["usage"]["total_tokens"]),
            (&json!([]), &json!(19))
        );
    }
}
