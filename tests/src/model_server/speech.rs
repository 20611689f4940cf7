//! An answer in the words of each protocol.  (pure)

use serde_json::{Value, json};

use super::{Answer, End};

/// A protocol, told by the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Completions,
    Responses,
    Messages,
    Gemini,
}

/// What is sent, and in what pieces.
#[derive(Debug, Default)]
pub(super) struct Speech {
    pub(super) opening: String,
    pub(super) frames: Vec<String>,
    pub(super) ending: String,
}

impl Dialect {
    pub(super) fn of(path: &str) -> Option<Self> {
        match path {
            _ if path.ends_with("/chat/completions") => Some(Self::Completions),
            _ if path.ends_with("/responses") => Some(Self::Responses),
            _ if path.ends_with("/messages") => Some(Self::Messages),
            _ if path.ends_with(":streamGenerateContent") => Some(Self::Gemini),
            _ => None,
        }
    }

    /// The model that is asked for.
    pub(super) fn model(self, path: &str, body: &Value) -> String {
        if self == Self::Gemini {
            let name = path.rsplit('/').next().unwrap_or_default();
            return name.split(':').next().unwrap_or_default().to_owned();
        }
        body["model"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether the last thing in the conversation is what a tool has said.
    pub(super) fn brings_results(self, body: &Value) -> bool {
        let last = |key: &str| body[key].as_array().and_then(|list| list.last());
        match self {
            Self::Completions => last("messages").is_some_and(|last| last["role"] == "tool"),
            Self::Responses => {
                last("input").is_some_and(|last| last["type"] == "function_call_output")
            }
            Self::Messages => {
                last("messages").is_some_and(|last| last["content"][0]["type"] == "tool_result")
            }
            Self::Gemini => last("contents")
                .is_some_and(|last| last["parts"][0].get("functionResponse").is_some()),
        }
    }
}

fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

fn event(value: &Value) -> String {
    let name = value["type"].as_str().unwrap_or_default();
    format!("event: {name}\ndata: {value}\n\n")
}

/// Tokens are counted as chunks; whatever was read is worth eleven.
const READ: usize = 11;

impl Speech {
    pub(super) fn new(dialect: Dialect, model: &str, body: &Value, answer: &Answer) -> Self {
        let mut speech = match dialect {
            Dialect::Completions => completions(model, body, answer),
            Dialect::Responses => responses(model, answer),
            Dialect::Messages => messages(model, answer),
            Dialect::Gemini => gemini(answer),
        };
        match answer.end {
            End::Malformed => speech
                .ending
                .insert_str(0, "data: {\"choices\": [{\"del\n\n"),
            End::Failure => {
                let error = json!({"type": "server_error", "message": "the model fell over"});
                speech.ending = match dialect {
                    Dialect::Completions | Dialect::Gemini => data(&json!({"error": error})),
                    Dialect::Messages => event(&json!({"type": "error", "error": error})),
                    Dialect::Responses => {
                        event(&json!({"type": "error", "message": "the model fell over"}))
                    }
                };
            }
            End::Whole
            | End::Length
            | End::NoLastFrame
            | End::Stall
            | End::BreakOff
            | End::NoEnd => {}
        }
        // Anthropic's frames are told apart by their event, which a broken one has too.
        if answer.end == End::Malformed && dialect == Dialect::Messages {
            speech.ending.insert_str(0, "event: content_block_delta\n");
        }
        speech
    }
}

fn completions(model: &str, body: &Value, answer: &Answer) -> Speech {
    let chunk = |delta: Value, reason: Option<&str>| {
        data(&json!({
            "id": "chatcmpl-stand-in", "object": "chat.completion.chunk", "created": 1_700_000_000,
            "model": model, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        }))
    };
    let mut frames = Vec::new();
    if !answer.thought.is_empty() {
        frames.push(chunk(json!({"reasoning_content": answer.thought}), None));
    }
    frames.extend(
        answer
            .words
            .iter()
            .map(|word| chunk(json!({"content": word}), None)),
    );
    for (index, (name, arguments)) in answer.calls.iter().enumerate() {
        let written = arguments.to_string();
        let (head, tail) = written.split_at(written.len() / 2);
        let id = format!("call_{name}_{index}_abc");
        let first = json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}});
        frames.push(chunk(json!({"tool_calls": [first]}), None));
        for part in [head, tail] {
            let more = json!({"index": index, "function": {"arguments": part}});
            frames.push(chunk(json!({"tool_calls": [more]}), None));
        }
    }
    let reason = if answer.end == End::Length {
        "length"
    } else if answer.calls.is_empty() {
        "stop"
    } else {
        "tool_calls"
    };
    let mut ending = chunk(json!({}), Some(reason));
    if body["stream_options"]["include_usage"] == true {
        let written = frames.len();
        ending.push_str(&data(&json!({
            "id": "chatcmpl-stand-in", "object": "chat.completion.chunk", "created": 1_700_000_000,
            "model": model, "choices": [],
            "usage": {
                "prompt_tokens": READ, "completion_tokens": written, "total_tokens": READ + written,
                "prompt_tokens_details": {"cached_tokens": 1},
            },
        })));
    }
    if answer.end != End::NoLastFrame {
        ending.push_str("data: [DONE]\n\n");
    }
    Speech {
        opening: chunk(json!({"role": "assistant", "content": ""}), None),
        frames,
        ending,
    }
}

fn messages(model: &str, answer: &Answer) -> Speech {
    let mut frames = Vec::new();
    let mut index = 0;
    let mut block = |start: Value, deltas: Vec<Value>| {
        let mut events = vec![event(
            &json!({"type": "content_block_start", "index": index, "content_block": start}),
        )];
        events.extend(deltas.into_iter().map(|delta| {
            event(&json!({"type": "content_block_delta", "index": index, "delta": delta}))
        }));
        events.push(event(
            &json!({"type": "content_block_stop", "index": index}),
        ));
        index += 1;
        frames.extend(events);
    };
    if !answer.thought.is_empty() {
        block(
            json!({"type": "thinking", "thinking": "", "signature": ""}),
            vec![
                json!({"type": "thinking_delta", "thinking": answer.thought}),
                json!({"type": "signature_delta", "signature": "c2ln"}),
            ],
        );
    }
    if !answer.words.is_empty() {
        let deltas = answer.words.iter();
        block(
            json!({"type": "text", "text": ""}),
            deltas
                .map(|word| json!({"type": "text_delta", "text": word}))
                .collect(),
        );
    }
    for (number, (name, arguments)) in answer.calls.iter().enumerate() {
        let written = arguments.to_string();
        let (head, tail) = written.split_at(written.len() / 2);
        block(
            json!({"type": "tool_use", "id": format!("toolu_{name}_{number}"), "name": name, "input": {}}),
            [head, tail]
                .map(|part| json!({"type": "input_json_delta", "partial_json": part}))
                .to_vec(),
        );
    }
    let reason = if answer.end == End::Length {
        "max_tokens"
    } else if answer.calls.is_empty() {
        "end_turn"
    } else {
        "tool_use"
    };
    let opening = event(&json!({"type": "message_start", "message": {
        "id": "msg_stand_in", "type": "message", "role": "assistant", "model": model, "content": [],
        "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": READ, "output_tokens": 1, "cache_read_input_tokens": 1, "cache_creation_input_tokens": 2},
    }})) + &event(&json!({"type": "ping"}));
    let mut ending = event(&json!({
        "type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null},
        "usage": {"output_tokens": answer.words.len() + answer.calls.len()},
    }));
    if answer.end != End::NoLastFrame {
        ending.push_str(&event(&json!({"type": "message_stop"})));
    }
    Speech {
        opening,
        frames,
        ending,
    }
}

fn responses(model: &str, answer: &Answer) -> Speech {
    let response = |status: &str, output: Value| {
        json!({
            "id": "resp_stand_in", "object": "response", "model": model, "status": status, "output": output,
            "usage": {
                "input_tokens": READ, "input_tokens_details": {"cached_tokens": 1},
                "output_tokens": answer.words.len() + answer.calls.len(), "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": READ + answer.words.len() + answer.calls.len(),
            },
        })
    };
    let mut frames = Vec::new();
    if !answer.thought.is_empty() {
        frames.push(event(&json!({
            "type": "response.reasoning_summary_text.delta", "item_id": "rs_1", "output_index": 0,
            "summary_index": 0, "delta": answer.thought,
        })));
        let item =
            json!({"type": "reasoning", "id": "rs_1", "encrypted_content": "c2ln", "summary": []});
        frames.push(event(
            &json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
        ));
    }
    frames.extend(answer.words.iter().map(|word| {
        event(&json!({
            "type": "response.output_text.delta", "item_id": "msg_1", "output_index": 1, "content_index": 0, "delta": word,
        }))
    }));
    for (number, (name, arguments)) in answer.calls.iter().enumerate() {
        let place = number + 2;
        let item = |arguments: &str| {
            json!({
                "type": "function_call", "id": format!("fc_{number}"), "call_id": format!("call_{name}_{number}_abc"),
                "name": name, "arguments": arguments,
            })
        };
        let written = arguments.to_string();
        frames.push(event(
            &json!({"type": "response.output_item.added", "output_index": place, "item": item("")}),
        ));
        frames.push(event(&json!({
            "type": "response.function_call_arguments.delta", "item_id": "fc", "output_index": place, "delta": written,
        })));
        frames.push(event(
            &json!({"type": "response.output_item.done", "output_index": place, "item": item(&written)}),
        ));
    }
    let status = if answer.end == End::Length {
        "incomplete"
    } else {
        "completed"
    };
    Speech {
        opening: event(
            &json!({"type": "response.created", "response": response("in_progress", json!([]))}),
        ),
        frames,
        ending: event(
            &json!({"type": format!("response.{status}"), "response": response(status, json!([]))}),
        ),
    }
}

fn gemini(answer: &Answer) -> Speech {
    let chunk = |parts: Value, reason: Option<&str>| {
        let mut candidate = json!({"index": 0, "content": {"role": "model", "parts": parts}});
        if let Some(reason) = reason {
            candidate["finishReason"] = json!(reason);
        }
        data(&json!({
            "candidates": [candidate],
            "usageMetadata": {
                "promptTokenCount": READ, "candidatesTokenCount": answer.words.len() + answer.calls.len(),
                "totalTokenCount": READ + answer.words.len() + answer.calls.len(),
            },
        }))
    };
    let mut frames = Vec::new();
    if !answer.thought.is_empty() {
        frames.push(chunk(
            json!([{"text": answer.thought, "thought": true}]),
            None,
        ));
    }
    frames.extend(
        answer
            .words
            .iter()
            .map(|word| chunk(json!([{"text": word}]), None)),
    );
    for (name, arguments) in &answer.calls {
        let part =
            json!({"functionCall": {"name": name, "args": arguments}, "thoughtSignature": "c2ln"});
        frames.push(chunk(json!([part]), None));
    }
    let reason = if answer.end == End::Length {
        "MAX_TOKENS"
    } else {
        "STOP"
    };
    Speech {
        opening: String::new(),
        frames,
        ending: chunk(json!([{"text": ""}]), Some(reason)),
    }
}
