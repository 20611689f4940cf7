use std::cell::RefCell;

use futures_util::StreamExt as _;
use futures_util::stream::{self, LocalBoxStream};
use openclaw_shared::transcript::{
    AssistantMessage, Message, Part, StopReason, ToolResultMessage, Usage, UserMessage,
};
use proptest::prelude::*;
use serde_json::{Map, json};

use super::{Limits, cuts, is_needed, plan, shorten, tokens_of};
use crate::model::{Done, Model, ModelError, ModelErrorKind, ModelEvent, ModelRequest};

fn user(text: &str) -> Message {
    Message::User(UserMessage {
        content: vec![Part::text(text)],
        timestamp: 1,
    })
}

fn assistant(text: &str, calls: &[&str]) -> Message {
    let mut content = vec![Part::text(text)];
    content.extend(calls.iter().map(|id| Part::ToolCall {
        id: (*id).to_owned(),
        name: "exec".to_owned(),
        arguments: Map::from_iter([("command".to_owned(), json!("ls"))]),
    }));
    Message::Assistant(AssistantMessage {
        content,
        ..AssistantMessage::default()
    })
}

fn result(id: &str, text: &str) -> Message {
    Message::ToolResult(ToolResultMessage {
        tool_call_id: id.to_owned(),
        tool_name: "exec".to_owned(),
        content: vec![Part::text(text)],
        ..ToolResultMessage::default()
    })
}

const SMALL: Limits = Limits {
    window: 400,
    reserve: 100,
    keep_recent: 60,
};

/// Answers with what it was told to, and remembers what it was asked.
struct Writer {
    answers: RefCell<Vec<Result<&'static str, ModelErrorKind>>>,
    asked: RefCell<Vec<ModelRequest>>,
}

impl Writer {
    fn new(answers: &[Result<&'static str, ModelErrorKind>]) -> Self {
        Self {
            answers: RefCell::new(answers.to_vec()),
            asked: RefCell::default(),
        }
    }
}

impl Model for Writer {
    fn ask(&self, request: ModelRequest) -> LocalBoxStream<'_, Result<ModelEvent, ModelError>> {
        self.asked.borrow_mut().push(request);
        let mut answers = self.answers.borrow_mut();
        let answer = if answers.len() > 1 {
            answers.remove(0)
        } else {
            answers[0]
        };
        let events = match answer {
            Ok(text) => vec![
                Ok(ModelEvent::Text(text.to_owned())),
                Ok(ModelEvent::Done(Done {
                    stop: StopReason::Stop,
                    usage: Usage {
                        output: 1,
                        ..Usage::default()
                    },
                })),
            ],
            Err(kind) => vec![Err(ModelError {
                kind,
                message: "no".to_owned(),
            })],
        };
        stream::iter(events).boxed_local()
    }
}

#[test]
fn the_newest_messages_stay_and_a_call_stays_with_its_result() {
    let long = "x".repeat(200);
    let messages = [
        user(&long),
        assistant(&long, &["a", "b"]),
        result("a", &long),
        result("b", "short"),
        assistant("fine", &[]),
        user("next"),
    ];
    assert_eq!(
        cuts(&messages),
        [true, true, false, false, true, true],
        "a result is never the first"
    );
    assert!(is_needed(SMALL, "", 0, &messages[..]) || tokens_of(&messages[0]) < 60);
    assert_eq!(plan(SMALL, &messages), Some(4));
    let narrow = Limits {
        keep_recent: 1,
        ..SMALL
    };
    assert_eq!(
        plan(narrow, &messages),
        Some(5),
        "the last one always stays"
    );
    assert_eq!(plan(narrow, &messages[..4]), Some(1));
    assert_eq!(plan(narrow, &messages[1..4]), None, "nothing to leave out");
    assert_eq!(plan(narrow, &[]), None);
}

#[test]
fn a_small_window_leaves_room_for_a_conversation() {
    assert_eq!(Limits::of_window(200_000).room(), 180_000);
    assert_eq!(Limits::of_window(8_192).room(), 4_096);
}

#[tokio::test]
async fn what_is_left_out_is_replaced_by_notes_once_and_again() {
    let long = "word ".repeat(60);
    let mut messages = vec![
        user(&format!("{long} secret-task")),
        assistant(&long, &["a"]),
        result("a", &long),
        assistant("done", &[]),
        user("and now?"),
    ];
    let writer = Writer::new(&[Ok(" The notes. ")]);
    let shortened = shorten(&writer, SMALL, &messages, Some("mind the tea"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(shortened.summary, "The notes.");
    assert_eq!(shortened.first_kept, 3);
    {
        let asked = writer.asked.borrow();
        let all: String = asked.iter().map(|it| it.messages[0].text()).collect();
        assert!(all.contains("secret-task") && all.contains("mind the tea"));
        assert!(all.contains("[calls exec {\"command\":\"ls\"}]"), "{all}");
        assert!(asked.iter().all(|it| it.tools.is_empty()));
    }
    messages = shortened.apply(&messages);
    assert_eq!(messages.len(), 3);
    assert!(messages[0].text().ends_with("The notes."));
    let narrow = Limits {
        keep_recent: 1,
        ..SMALL
    };
    assert_eq!(plan(narrow, &messages[..2]), None, "notes on notes");
    assert_eq!(plan(narrow, &messages), Some(2));
}

#[tokio::test]
async fn more_than_the_writer_can_read_comes_in_pieces() {
    let messages: Vec<Message> = (0..40)
        .map(|number| user(&format!("#{number}: {}", "word ".repeat(60))))
        .collect();
    let writer = Writer::new(&[Ok("first"), Ok("second"), Ok("last")]);
    let shortened = shorten(&writer, SMALL, &messages, None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(shortened.summary, "last");
    let asked = writer.asked.borrow();
    assert!(asked.len() >= 3, "{}", asked.len());
    assert_eq!(shortened.usage.output, asked.len() as u64);
    assert!(
        asked[1].messages[0]
            .text()
            .contains("<notes>\nfirst\n</notes>")
    );
    for (number, message) in messages[..shortened.first_kept].iter().enumerate() {
        let told = asked
            .iter()
            .filter(|it| it.messages[0].text().contains(&message.text()))
            .count();
        assert_eq!(told, 1, "{number}");
    }
}

#[tokio::test]
async fn without_notes_nothing_is_left_out() {
    let messages = [user(&"x".repeat(2_000)), user("b")];
    for answer in [Ok("  "), Err(ModelErrorKind::Auth)] {
        let writer = Writer::new(&[answer]);
        assert!(shorten(&writer, SMALL, &messages, None).await.is_err());
    }
}

#[derive(Debug, Clone)]
enum Said {
    User(usize),
    Assistant(usize, Vec<u8>),
    Result(u8, usize),
}

fn conversation() -> impl Strategy<Value = Vec<Message>> {
    let said = prop_oneof![
        (0..300usize).prop_map(Said::User),
        (0..300usize, proptest::collection::vec(0..4u8, 0..3))
            .prop_map(|(size, calls)| Said::Assistant(size, calls)),
        (0..4u8, 0..300usize).prop_map(|(id, size)| Said::Result(id, size)),
    ];
    proptest::collection::vec(said, 0..30).prop_map(|said| {
        let message = |said: Said| match said {
            Said::User(size) => user(&"u".repeat(size)),
            Said::Assistant(size, calls) => {
                let ids: Vec<String> = calls.iter().map(|id| format!("call_{id}")).collect();
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                assistant(&"a".repeat(size), &ids)
            }
            Said::Result(id, size) => result(&format!("call_{id}"), &"r".repeat(size)),
        };
        said.into_iter().map(message).collect()
    })
}

proptest! {
    #[test]
    fn wherever_it_is_cut_every_result_that_stays_has_its_call(
        messages in conversation(),
        keep_recent in 0..2_000u64,
        window in 0..4_000u64,
    ) {
        let limits = Limits { window, reserve: 100, keep_recent };
        let Some(first) = plan(limits, &messages) else { return Ok(()) };
        prop_assert!(first > 0 && first < messages.len());
        for (index, message) in messages.iter().enumerate().skip(first) {
            let Message::ToolResult(result) = message else { continue };
            let call = messages[..index].iter().rposition(|it| it.content().iter().any(
                |part| matches!(part, Part::ToolCall { id, .. } if *id == result.tool_call_id),
            ));
            prop_assert!(call.is_none_or(|call| call >= first), "{index} of {first}");
            prop_assert!(index > first, "a result comes first");
        }
    }

    #[test]
    fn as_much_stays_as_may(messages in conversation(), keep_recent in 0..2_000u64) {
        let limits = Limits { window: 100_000, reserve: 100, keep_recent };
        let size = |from: usize| messages[from..].iter().map(tokens_of).sum::<u64>();
        let may_cut = cuts(&messages);
        if let Some(first) = plan(limits, &messages) {
            prop_assert!(may_cut[first]);
            let next = (first + 1..messages.len()).any(|later| may_cut[later]);
            prop_assert!(size(first) <= keep_recent || !next, "more stays than may");
            for earlier in (0..first).filter(|earlier| may_cut[*earlier]) {
                prop_assert!(size(earlier) > keep_recent, "more could stay");
            }
        }
    }
}
