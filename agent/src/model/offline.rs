//! The offline model: it needs no provider, no key and no network, and says so.
//!
//! It repeats what it was told, word by word, so that a fresh machine can run everything end to end. Lines of the message
//! that begin with a stroke are wishes:
//!
//! | line | what it does |
//! |---|---|
//! | `/tool <name> {json}` | calls the tool, and answers with what came out of it |
//! | `/slow <ms>` | waits so long before each word |
//! | `/think <text>` | thinks that first |
//!
//! Nobody gets it by accident: it answers where it is configured, or where no provider is.

use std::time::Duration;

use futures_util::stream::{self, LocalBoxStream, StreamExt as _};
use openclaw_shared::transcript::{Message, Part, StopReason, ToolResultMessage, Usage, text_of};
use serde_json::{Map, Value};

use super::{
    Answering, Done, Model, ModelError, ModelErrorKind, ModelEvent, ModelRequest, ToolCall,
};

/// The provider, as a configuration names it.
pub const PROVIDER: &str = "offline";
/// The only model of it.
pub const MODEL: &str = "echo";
/// How much it can read, in tokens.
pub const CONTEXT_WINDOW: u64 = 200_000;
/// Nobody waits longer for one word.
const SLOWEST: Duration = Duration::from_secs(60);
/// About so many bytes of text are one token, as models of other makes count.
const BYTES_PER_TOKEN: usize = 4;

/// The offline model.
#[derive(Debug, Clone, Copy, Default)]
pub struct Offline;

impl Model for Offline {
    fn ask(&self, request: ModelRequest) -> LocalBoxStream<'_, Result<ModelEvent, ModelError>> {
        let answer = answer(&request);
        let pause = answer.pause;
        let events = stream::iter(answer.events);
        if pause.is_zero() {
            return events.map(Ok).boxed_local();
        }
        events
            .then(move |event| async move {
                if matches!(event, ModelEvent::Text(_)) {
                    tokio::time::sleep(pause).await;
                }
                Ok(event)
            })
            .boxed_local()
    }
}

/// Everything it is going to say.
#[derive(Debug, PartialEq)]
struct Answer {
    pause: Duration,
    events: Vec<ModelEvent>,
}

/// What a message asks for, apart from being repeated.
#[derive(Debug, Default, PartialEq)]
struct Wishes {
    calls: Vec<(String, Map<String, Value>)>,
    pause: Duration,
    thought: Option<String>,
    /// What is left to repeat.
    text: String,
}

fn answer(request: &ModelRequest) -> Answer {
    let read = request
        .messages
        .iter()
        .map(|message| words(message).len())
        .sum::<usize>()
        + request.system.len();
    let said = request
        .messages
        .iter()
        .rev()
        .find_map(|message| match message {
            Message::User(user) => Some(user.content.as_slice()),
            Message::Assistant(_) | Message::ToolResult(_) => None,
        });
    let wishes = Wishes::of(&text_of(said.unwrap_or_default()));
    let results = results_at_the_end(&request.messages);

    let mut events = vec![ModelEvent::Began(Answering {
        api: PROVIDER.to_owned(),
        provider: PROVIDER.to_owned(),
        model: MODEL.to_owned(),
    })];
    let mut written = 0;
    let mut stop = StopReason::Stop;
    if results.is_empty() && !wishes.calls.is_empty() {
        stop = StopReason::ToolUse;
        // The number of messages so far tells calls of one conversation apart.
        let turn = request.messages.len();
        for (index, (name, arguments)) in wishes.calls.into_iter().enumerate() {
            written += name.len();
            events.push(ModelEvent::ToolCall(ToolCall {
                id: format!("offline_{turn}_{index}"),
                name,
                arguments,
            }));
        }
    } else {
        if let (Some(thought), true) = (wishes.thought, results.is_empty()) {
            written += thought.len();
            events.push(ModelEvent::Thinking(thought));
        }
        let text = if results.is_empty() {
            repeat(&wishes.text, said.unwrap_or_default())
        } else {
            report(&results)
        };
        written += text.len();
        events.extend(
            text.split_inclusive(' ')
                .map(|word| ModelEvent::Text(word.to_owned())),
        );
    }
    events.push(ModelEvent::Done(Done {
        stop,
        usage: usage(read, written),
    }));
    Answer {
        pause: wishes.pause,
        events,
    }
}

impl Wishes {
    fn of(message: &str) -> Self {
        let mut wishes = Self::default();
        let mut rest = Vec::new();
        for line in message.lines() {
            let (wish, wanted) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
            let wanted = wanted.trim();
            match wish {
                "/tool" if !wanted.is_empty() => wishes.calls.push(call(wanted)),
                "/slow" if wanted.parse::<u64>().is_ok() => {
                    let millis = wanted.parse().unwrap_or_default();
                    wishes.pause = Duration::from_millis(millis).min(SLOWEST);
                }
                "/think" => wishes.thought = Some(wanted.to_owned()),
                // The gateway's own mark, which nobody said.
                _ if line.starts_with("[message_id: ") => {}
                _ => rest.push(line),
            }
        }
        rest.join("\n").trim().clone_into(&mut wishes.text);
        wishes
    }
}

/// `name {json}`; whatever is no object is left out.
fn call(wanted: &str) -> (String, Map<String, Value>) {
    let (name, json) = wanted
        .split_once(char::is_whitespace)
        .unwrap_or((wanted, ""));
    let arguments = serde_json::from_str(json.trim()).unwrap_or_default();
    (name.to_owned(), arguments)
}

fn repeat(text: &str, parts: &[Part]) -> String {
    let pictures = parts
        .iter()
        .filter(|part| matches!(part, Part::Image { .. }))
        .count();
    let seen = match pictures {
        0 => String::new(),
        1 => " (and showed 1 picture)".to_owned(),
        several => format!(" (and showed {several} pictures)"),
    };
    format!("You said{seen}: {text}")
}

fn report(results: &[&ToolResultMessage]) -> String {
    let lines = results.iter().map(|result| {
        let outcome = if result.is_error {
            "failed"
        } else {
            "answered"
        };
        format!(
            "{} {outcome}: {}",
            result.tool_name,
            text_of(&result.content)
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What came out of the calls that nobody has answered to yet, in their order.
fn results_at_the_end(messages: &[Message]) -> Vec<&ToolResultMessage> {
    let mut results: Vec<_> = messages
        .iter()
        .rev()
        .map_while(|message| match message {
            Message::ToolResult(result) => Some(result),
            Message::User(_) | Message::Assistant(_) => None,
        })
        .collect();
    results.reverse();
    results
}

fn words(message: &Message) -> String {
    match message {
        Message::User(user) => text_of(&user.content),
        Message::Assistant(assistant) => text_of(&assistant.content),
        Message::ToolResult(result) => text_of(&result.content),
    }
}

fn usage(read: usize, written: usize) -> Usage {
    let tokens = |bytes: usize| bytes.div_ceil(BYTES_PER_TOKEN) as u64;
    Usage {
        input: tokens(read),
        output: tokens(written),
        total_tokens: tokens(read) + tokens(written),
        ..Usage::default()
    }
}

/// What stands in the place of a model that cannot be had.
#[derive(Debug, Clone)]
pub struct Absent(pub String);

impl Model for Absent {
    fn ask(&self, _request: ModelRequest) -> LocalBoxStream<'_, Result<ModelEvent, ModelError>> {
        let error = ModelError {
            kind: ModelErrorKind::Unknown,
            message: self.0.clone(),
        };
        stream::iter([Err(error)]).boxed_local()
    }
}

#[cfg(test)]
mod tests {
    use openclaw_shared::transcript::UserMessage;
    use serde_json::json;

    use super::*;

    fn said(text: &str) -> Message {
        Message::User(UserMessage {
            content: vec![Part::text(text)],
            timestamp: 0,
        })
    }

    async fn ask(messages: Vec<Message>) -> Vec<ModelEvent> {
        let request = ModelRequest {
            messages,
            ..ModelRequest::default()
        };
        Offline.ask(request).map(Result::unwrap).collect().await
    }

    fn text(events: &[ModelEvent]) -> String {
        let texts = events.iter().filter_map(|event| match event {
            ModelEvent::Text(text) => Some(text.as_str()),
            ModelEvent::Began(_)
            | ModelEvent::Thinking(_)
            | ModelEvent::ThinkingSignature(_)
            | ModelEvent::ToolCall(_)
            | ModelEvent::Done(_) => None,
        });
        texts.collect()
    }

    #[tokio::test(flavor = "local")]
    async fn it_repeats_the_last_message_word_by_word() {
        let events = ask(vec![said("one"), said("two three\n[message_id: x]")]).await;
        assert_eq!(text(&events), "You said: two three");
        assert_eq!(events.len(), 6, "{events:?}");
        assert!(matches!(&events[0], ModelEvent::Began(who) if who.model == "echo"));
        assert!(
            matches!(&events[5], ModelEvent::Done(done) if done.stop == StopReason::Stop && done.usage.total_tokens > 0)
        );
    }

    #[tokio::test(flavor = "local")]
    async fn it_calls_tools_on_request_and_tells_what_came_out() {
        let wish = said("/tool exec {\"command\": \"echo hi\"}\n/tool broken {");
        let events = ask(vec![wish.clone()]).await;
        let ModelEvent::ToolCall(call) = &events[1] else {
            panic!("{events:?}");
        };
        assert_eq!(
            (call.id.as_str(), call.name.as_str()),
            ("offline_1_0", "exec")
        );
        assert_eq!(
            Value::Object(call.arguments.clone()),
            json!({"command": "echo hi"})
        );
        assert!(matches!(&events[2], ModelEvent::ToolCall(call) if call.arguments.is_empty()));
        assert!(matches!(&events[3], ModelEvent::Done(done) if done.stop == StopReason::ToolUse));

        let result = |name: &str, is_error| {
            Message::ToolResult(ToolResultMessage {
                tool_name: name.to_owned(),
                content: vec![Part::text("hi")],
                is_error,
                ..ToolResultMessage::default()
            })
        };
        let events = ask(vec![wish, result("exec", false), result("broken", true)]).await;
        assert_eq!(text(&events), "exec answered: hi\nbroken failed: hi");
    }

    #[tokio::test(flavor = "local", start_paused = true)]
    async fn it_is_as_slow_as_it_is_asked_to_be() {
        let started = tokio::time::Instant::now();
        let events = ask(vec![said("/slow 500\n/think hm\na b")]).await;
        assert_eq!(text(&events), "You said: a b");
        assert!(matches!(&events[1], ModelEvent::Thinking(thought) if thought == "hm"));
        assert_eq!(started.elapsed(), Duration::from_millis(4 * 500));
    }
}
