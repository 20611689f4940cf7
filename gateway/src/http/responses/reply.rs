//! The answers of `/v1/responses`, whole and as events.                                    (pure)

use http::StatusCode;
use openclaw_shared::transcript::Usage;
use serde::Serialize;
use serde_json::Value;
use warp::reply::Response as Reply;

use crate::http::api::{Failure, do_not_retry, json};
use crate::http::dialogue::{Form, Head};
use crate::http::sse;
use crate::runs::request::{KeptCall, Outcome};

/// The form of an answer.
#[derive(Debug, Clone)]
pub(super) struct Responses {
    pub(super) head: Head,
    /// The id of the message within it.
    pub(super) message_id: String,
}

/// An answer.
#[derive(Debug, Clone, Serialize)]
struct Response<'a> {
    id: &'a str,
    object: &'static str,
    created_at: u64,
    status: Status,
    model: &'a str,
    output: Vec<Item<'a>>,
    usage: Tokens,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Error<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    InProgress,
    Completed,
    Incomplete,
    Failed,
}

/// Something that an answer holds.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Item<'a> {
    Message {
        id: &'a str,
        role: &'static str,
        content: [Text<'a>; 1],
        status: Status,
    },
    FunctionCall {
        id: String,
        call_id: &'a str,
        name: &'a str,
        /// JSON in a text.
        arguments: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<Status>,
    },
}

/// A text.
#[derive(Debug, Clone, Serialize)]
struct Text<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    text: &'a str,
}

const fn text_part(text: &str) -> Text<'_> {
    Text {
        kind: "output_text",
        text,
    }
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Tokens {
    input_tokens: u64,
    output_tokens: u64,
    total_tokens: u64,
}

impl From<Usage> for Tokens {
    fn from(usage: Usage) -> Self {
        let input = usage.input + usage.cache_read + usage.cache_write;
        Self {
            input_tokens: input,
            output_tokens: usage.output,
            total_tokens: usage.total_tokens.max(input + usage.output),
        }
    }
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Error<'a> {
    code: &'static str,
    message: &'a str,
}

/// An event. Each says its own name within, too.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type")]
enum Event<'a> {
    #[serde(rename = "response.created")]
    Created { response: Response<'a> },
    #[serde(rename = "response.in_progress")]
    InProgress { response: Response<'a> },
    #[serde(rename = "response.output_item.added")]
    ItemAdded { output_index: usize, item: Item<'a> },
    #[serde(rename = "response.content_part.added")]
    PartAdded {
        item_id: &'a str,
        output_index: usize,
        content_index: usize,
        part: Text<'a>,
    },
    #[serde(rename = "response.output_text.delta")]
    TextDelta {
        item_id: &'a str,
        output_index: usize,
        content_index: usize,
        delta: &'a str,
    },
    #[serde(rename = "response.output_text.done")]
    TextDone {
        item_id: &'a str,
        output_index: usize,
        content_index: usize,
        text: &'a str,
    },
    #[serde(rename = "response.content_part.done")]
    PartDone {
        item_id: &'a str,
        output_index: usize,
        content_index: usize,
        part: Text<'a>,
    },
    #[serde(rename = "response.output_item.done")]
    ItemDone { output_index: usize, item: Item<'a> },
    #[serde(rename = "response.completed")]
    Completed { response: Response<'a> },
    #[serde(rename = "response.failed")]
    Failed { response: Response<'a> },
}

impl Event<'_> {
    /// Its name.
    const fn name(&self) -> &'static str {
        match self {
            Self::Created { .. } => "response.created",
            Self::InProgress { .. } => "response.in_progress",
            Self::ItemAdded { .. } => "response.output_item.added",
            Self::PartAdded { .. } => "response.content_part.added",
            Self::TextDelta { .. } => "response.output_text.delta",
            Self::TextDone { .. } => "response.output_text.done",
            Self::PartDone { .. } => "response.content_part.done",
            Self::ItemDone { .. } => "response.output_item.done",
            Self::Completed { .. } => "response.completed",
            Self::Failed { .. } => "response.failed",
        }
    }
}

fn call<'a>(call: &'a KeptCall, status: Option<Status>) -> Item<'a> {
    Item::FunctionCall {
        id: format!("call_{}", call.id.trim_start_matches("call_")),
        call_id: &call.id,
        name: &call.name,
        arguments: Value::Object(call.arguments.clone()).to_string(),
        status,
    }
}

impl Form for Responses {
    fn id(&self) -> &str {
        &self.head.id
    }

    fn whole(&self, text: &str, outcome: &Outcome) -> Reply {
        json(StatusCode::OK, &self.response_of(text, outcome))
    }

    fn refusal(&self, failure: &Failure, usage: Usage) -> Reply {
        let mut reply = json(failure.status(), &self.failed(failure.message(), usage));
        do_not_retry(reply.headers_mut());
        reply
    }

    fn opening(&self) -> String {
        written(&self.first_events())
    }

    fn more(&self, text: &str) -> String {
        written(&[self.delta(text)])
    }

    fn closing(&self, text: &str, outcome: &Outcome) -> String {
        written(&self.last_events(text, outcome))
    }

    fn broken(&self, failure: &Failure, usage: Usage) -> String {
        written(&[Event::Failed {
            response: self.failed(failure.message(), usage),
        }])
    }
}

fn written(events: &[Event<'_>]) -> String {
    let written = events.iter().map(|event| sse::event(event.name(), event));
    written.collect()
}

impl Responses {
    fn response(&self, status: Status) -> Response<'_> {
        Response {
            id: &self.head.id,
            object: "response",
            created_at: self.head.created,
            status,
            model: &self.head.model,
            output: Vec::new(),
            usage: Tokens::default(),
            error: None,
        }
    }

    fn message<'a>(&'a self, text: &'a str, status: Status) -> Item<'a> {
        Item::Message {
            id: &self.message_id,
            role: "assistant",
            content: [text_part(text)],
            status,
        }
    }

    /// The whole answer.
    fn response_of<'a>(&'a self, text: &'a str, outcome: &'a Outcome) -> Response<'a> {
        let calls = &outcome.client_calls;
        let mut output = Vec::new();
        if calls.is_empty() || !text.is_empty() {
            output.push(self.message(text, Status::Completed));
        }
        output.extend(calls.iter().map(|made| call(made, None)));
        let status = if calls.is_empty() {
            Status::Completed
        } else {
            Status::Incomplete
        };
        Response {
            output,
            usage: outcome.usage.into(),
            ..self.response(status)
        }
    }

    /// What stands in the place of an answer.
    fn failed<'a>(&'a self, message: &'a str, usage: Usage) -> Response<'a> {
        Response {
            usage: usage.into(),
            error: Some(Error {
                code: "api_error",
                message,
            }),
            ..self.response(Status::Failed)
        }
    }

    /// The events before the first word.
    fn first_events(&self) -> [Event<'_>; 4] {
        [
            Event::Created {
                response: self.response(Status::InProgress),
            },
            Event::InProgress {
                response: self.response(Status::InProgress),
            },
            Event::ItemAdded {
                output_index: 0,
                item: self.message("", Status::InProgress),
            },
            Event::PartAdded {
                item_id: &self.message_id,
                output_index: 0,
                content_index: 0,
                part: text_part(""),
            },
        ]
    }

    /// More of the text.
    fn delta<'a>(&'a self, delta: &'a str) -> Event<'a> {
        Event::TextDelta {
            item_id: &self.message_id,
            output_index: 0,
            content_index: 0,
            delta,
        }
    }

    /// The events after the last word.
    fn last_events<'a>(&'a self, text: &'a str, outcome: &'a Outcome) -> Vec<Event<'a>> {
        let item_id = &self.message_id;
        let mut events = vec![
            Event::TextDone {
                item_id,
                output_index: 0,
                content_index: 0,
                text,
            },
            Event::PartDone {
                item_id,
                output_index: 0,
                content_index: 0,
                part: text_part(text),
            },
            Event::ItemDone {
                output_index: 0,
                item: self.message(text, Status::Completed),
            },
        ];
        for (index, made) in outcome.client_calls.iter().enumerate() {
            let output_index = index + 1;
            events.push(Event::ItemAdded {
                output_index,
                item: call(made, Some(Status::InProgress)),
            });
            events.push(Event::ItemDone {
                output_index,
                item: call(made, Some(Status::Completed)),
            });
        }
        let mut response = self.response_of(text, outcome);
        if text.is_empty() && !outcome.client_calls.is_empty() {
            // What was announced stands at its place, also when nothing was said.
            response
                .output
                .insert(0, self.message(text, Status::Completed));
        }
        events.push(Event::Completed { response });
        events
    }
}

#[cfg(test)]
mod tests {
    use openclaw_shared::transcript::Usage;
    use serde_json::{Value, json};

    use super::{Event, Head, KeptCall, Outcome, Responses};
    use crate::runs::request::RunStatus;

    fn form() -> Responses {
        Responses {
            head: Head {
                id: "resp_1".into(),
                created: 7,
                model: "openclaw:main".into(),
            },
            message_id: "msg_1".into(),
        }
    }

    fn outcome(calls: &[&str]) -> Outcome {
        let mut outcome = Outcome::ended(RunStatus::Ok, None, 1);
        outcome.usage = Usage {
            input: 11,
            output: 5,
            total_tokens: 16,
            ..Usage::default()
        };
        outcome.client_calls = calls
            .iter()
            .map(|id| KeptCall {
                id: (*id).to_owned(),
                name: "see".into(),
                arguments: json!({"a": 1}).as_object().unwrap().clone(),
            })
            .collect();
        outcome
    }

    fn value(of: impl serde::Serialize) -> Value {
        serde_json::to_value(of).unwrap()
    }

    #[test]
    fn a_whole_answer_looks_like_this() {
        assert_eq!(
            value(form().response_of("Hello", &outcome(&[]))),
            json!({"id": "resp_1", "object": "response", "created_at": 7, "status": "completed", "model": "openclaw:main",
                "output": [{"type": "message", "id": "msg_1", "role": "assistant",
                    "content": [{"type": "output_text", "text": "Hello"}], "status": "completed"}],
                "usage": {"input_tokens": 11, "output_tokens": 5, "total_tokens": 16}})
        );
        let wanted = value(form().response_of("", &outcome(&["call_9"])));
        assert_eq!(wanted["status"], "incomplete");
        assert_eq!(
            wanted["output"],
            json!([{"type": "function_call", "id": "call_9", "call_id": "call_9", "name": "see", "arguments": "{\"a\":1}"}])
        );
        let failed = value(form().failed("why", Usage::default()));
        assert_eq!(
            (&failed["status"], &failed["output"]),
            (&json!("failed"), &json!([]))
        );
        assert_eq!(
            failed["error"],
            json!({"code": "api_error", "message": "why"})
        );
    }

    #[test]
    fn events_come_in_order_and_say_their_names() {
        let form = form();
        let two = outcome(&["call_9"]);
        let mut events: Vec<Event<'_>> = form.first_events().into();
        events.push(form.delta("Hel"));
        events.extend(form.last_events("Hel", &two));
        let names: Vec<&str> = events.iter().map(Event::name).collect();
        assert_eq!(
            names,
            [
                "response.created",
                "response.in_progress",
                "response.output_item.added",
                "response.content_part.added",
                "response.output_text.delta",
                "response.output_text.done",
                "response.content_part.done",
                "response.output_item.done",
                "response.output_item.added",
                "response.output_item.done",
                "response.completed",
            ]
        );
        for event in &events {
            assert_eq!(value(event)["type"], event.name());
        }
        assert_eq!(
            value(&events[2])["item"],
            json!({"type": "message", "id": "msg_1", "role": "assistant",
                "content": [{"type": "output_text", "text": ""}], "status": "in_progress"})
        );
        assert_eq!(
            value(&events[4]),
            json!({"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": "Hel"})
        );
        assert_eq!(value(&events[10])["response"]["status"], "incomplete");
    }
}
