use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use futures_util::StreamExt as _;
use futures_util::future::{FutureExt as _, LocalBoxFuture};
use futures_util::stream::{self, LocalBoxStream};
use openclaw_shared::transcript::{Message, Part, StopReason, Thinking, Usage};
use serde_json::json;

use super::{Cause, Compactor, Finished, Journal, JournalError, Turn, TurnEvent, run, said};
use crate::model::provider::UNREADABLE_ARGUMENTS;
use crate::model::{
    Answering, Done, Model, ModelError, ModelErrorKind, ModelEvent, ModelRequest, ToolCall,
    ToolChoice, ToolSpec,
};
use crate::tool::{Call, Tool, ToolError, ToolOutput, Toolbox};

type Script = Vec<Result<ModelEvent, ModelError>>;

/// Answers as it is told, and notes what it is asked.
struct Scripted {
    answers: RefCell<VecDeque<Script>>,
    asked: RefCell<Vec<ModelRequest>>,
}

impl Scripted {
    fn new(answers: impl IntoIterator<Item = Script>) -> Self {
        Self {
            answers: RefCell::new(answers.into_iter().collect()),
            asked: RefCell::default(),
        }
    }
}

impl Model for Scripted {
    fn ask(&self, request: ModelRequest) -> LocalBoxStream<'_, Result<ModelEvent, ModelError>> {
        self.asked.borrow_mut().push(request);
        let script = self.answers.borrow_mut().pop_front().unwrap_or_default();
        stream::iter(script).boxed_local()
    }
}

#[derive(Default)]
struct Notes {
    kept: RefCell<Vec<Message>>,
    told: RefCell<Vec<String>>,
    is_full: bool,
    overheard: RefCell<Vec<Message>>,
}

impl Journal for Notes {
    fn keep(&self, message: Message) -> LocalBoxFuture<'_, Result<(), JournalError>> {
        async move {
            if self.is_full {
                return Err(JournalError("the disk is full".to_owned()));
            }
            self.kept.borrow_mut().push(message);
            Ok(())
        }
        .boxed_local()
    }

    fn leaves(&self) -> LocalBoxFuture<'_, Result<(), JournalError>> {
        self.told.borrow_mut().push("leaves".to_owned());
        std::future::ready(Ok(())).boxed_local()
    }

    fn tell(&self, event: TurnEvent<'_>) {
        let told = match event {
            TurnEvent::Text { text, delta } => format!("text {text:?} {delta:?}"),
            TurnEvent::Thinking { delta } => format!("thinking {delta:?}"),
            TurnEvent::ToolStart { call } => format!("start {}", call.id),
            TurnEvent::ToolUpdate { call, .. } => format!("update {}", call.id),
            TurnEvent::ToolResult { call, output, .. } => {
                format!("result {} {}", call.id, output.is_error)
            }
            TurnEvent::CompactionStart => "compaction".to_owned(),
            TurnEvent::CompactionEnd { will_retry } => format!("compacted {will_retry}"),
        };
        self.told.borrow_mut().push(told);
    }

    fn overheard(&self) -> Vec<Message> {
        std::mem::take(&mut self.overheard.borrow_mut())
    }
}

struct Shout(ToolSpec);

impl Shout {
    fn boxed() -> Toolbox {
        let tool: Rc<dyn Tool> = Rc::new(Self(spec("shout")));
        Toolbox::new([tool])
    }
}

impl Tool for Shout {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    fn call<'a>(&'a self, call: Call<'a>) -> LocalBoxFuture<'a, Result<ToolOutput, ToolError>> {
        async move {
            (call.progress)(ToolOutput::text("…"));
            match call.arguments.get("text").and_then(|text| text.as_str()) {
                Some(text) => Ok(ToolOutput::text(text.to_uppercase())),
                None => Err(ToolError("text required".to_owned())),
            }
        }
        .boxed_local()
    }
}

fn spec(name: &str) -> ToolSpec {
    ToolSpec {
        name: name.to_owned(),
        description: String::new(),
        parameters: json!({"type": "object"}),
    }
}

fn began() -> Result<ModelEvent, ModelError> {
    Ok(ModelEvent::Began(Answering {
        api: "test".to_owned(),
        provider: "p".to_owned(),
        model: "m".to_owned(),
    }))
}

fn text(text: &str) -> Result<ModelEvent, ModelError> {
    Ok(ModelEvent::Text(text.to_owned()))
}

fn call(id: &str, name: &str, arguments: serde_json::Value) -> Result<ModelEvent, ModelError> {
    let arguments = arguments.as_object().cloned().unwrap_or_default();
    Ok(ModelEvent::ToolCall(ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments,
    }))
}

fn done(tokens: u64) -> Result<ModelEvent, ModelError> {
    Ok(ModelEvent::Done(Done {
        stop: StopReason::Stop,
        usage: Usage {
            input: tokens,
            total_tokens: tokens,
            ..Usage::default()
        },
    }))
}

fn failed(kind: ModelErrorKind) -> Result<ModelEvent, ModelError> {
    Err(ModelError {
        kind,
        message: "HTTP 400: no".to_owned(),
    })
}

fn turn<'a>(model: &'a dyn Model, toolbox: &'a Toolbox) -> Turn<'a> {
    Turn {
        model,
        toolbox,
        client_tools: Vec::new(),
        tool_choice: ToolChoice::Auto,
        system: "be kind".to_owned(),
        history: Vec::new(),
        prompts: vec![said("hi", [])],
        thinking: Thinking::Off,
        max_tokens: None,
        cache_key: None,
        compactor: None,
    }
}

fn roles(messages: &[Message]) -> Vec<&'static str> {
    let role = |message: &Message| match message {
        Message::User(_) => "user",
        Message::Assistant(_) => "assistant",
        Message::ToolResult(_) => "result",
    };
    messages.iter().map(role).collect()
}

#[tokio::test]
async fn an_answer_is_told_as_it_grows_and_kept_when_it_is_whole() {
    let model = Scripted::new([vec![began(), text("Hel"), text("lo"), done(7)]]);
    let (toolbox, notes) = (Toolbox::default(), Notes::default());
    let finished = run(turn(&model, &toolbox), &notes).await.unwrap();
    assert_eq!(finished.texts, ["Hello"]);
    assert_eq!(finished.usage.total_tokens, 7);
    assert_eq!(finished.answering.model, "m");
    assert_eq!(
        *notes.told.borrow(),
        [r#"text "Hel" "Hel""#, r#"text "Hello" "lo""#]
    );
    assert_eq!(roles(&notes.kept.borrow()), ["user", "assistant"]);
    assert_eq!(model.asked.borrow()[0].messages, notes.kept.borrow()[..1]);
}

#[tokio::test]
async fn tools_are_called_and_their_results_read() {
    let calls = vec![
        began(),
        text("Let me see."),
        call("1", "shout", json!({"text": "hi"})),
        call("2", "shout", json!({})),
        call("3", "nope", json!({})),
        done(5),
    ];
    let model = Scripted::new([calls, vec![began(), text("HI"), done(6)]]);
    let (toolbox, notes) = (Shout::boxed(), Notes::default());
    let finished = run(turn(&model, &toolbox), &notes).await.unwrap();
    assert_eq!(finished.texts, ["Let me see.", "HI"]);
    assert_eq!(finished.usage.total_tokens, 11);
    assert_eq!(finished.last.total_tokens, 6);
    let kept = notes.kept.borrow();
    assert_eq!(
        roles(&kept),
        [
            "user",
            "assistant",
            "result",
            "result",
            "result",
            "assistant"
        ]
    );
    assert_eq!(model.asked.borrow()[1].messages, kept[..5]);
    let texts: Vec<String> = kept[2..5].iter().map(Message::text).collect();
    assert_eq!(texts, ["HI", "text required", "there is no tool nope"]);
    let told = notes.told.borrow();
    assert!(told.contains(&"update 1".to_owned()), "{told:?}");
    assert!(told.contains(&"result 1 false".to_owned()), "{told:?}");
    assert!(told.contains(&"result 3 true".to_owned()), "{told:?}");
}

#[tokio::test]
async fn a_call_whose_arguments_cannot_be_read_does_nothing_and_says_so() {
    let half = json!({UNREADABLE_ARGUMENTS: "{\"text\": \"hi", "text": "hi"});
    let model = Scripted::new([
        vec![began(), call("1", "shout", half), done(5)],
        vec![began(), text("Sorry"), done(6)],
    ]);
    let (toolbox, notes) = (Shout::boxed(), Notes::default());
    run(turn(&model, &toolbox), &notes).await.unwrap();
    let kept = notes.kept.borrow();
    let Message::ToolResult(result) = &kept[2] else {
        panic!("{kept:?}")
    };
    assert!(result.is_error);
    let said = kept[2].text();
    assert!(said.contains("no JSON object"), "{said}");
    assert_eq!(model.asked.borrow()[1].messages, kept[..3]);
}

#[tokio::test]
async fn what_whoever_asks_does_by_themselves_ends_the_turn() {
    let calls = vec![
        began(),
        call("1", "weather", json!({"city": "Bonn"})),
        done(5),
    ];
    let model = Scripted::new([calls]);
    let (toolbox, notes) = (Shout::boxed(), Notes::default());
    let asked = Turn {
        client_tools: vec![spec("weather"), spec("shout")],
        ..turn(&model, &toolbox)
    };
    let finished = run(asked, &notes).await.unwrap();
    assert_eq!(finished.client_calls.len(), 1);
    assert_eq!(finished.stop, StopReason::ToolUse);
    // A tool of the client stands before one of ours that has its name.
    assert_eq!(model.asked.borrow()[0].tools.len(), 2);
}

#[tokio::test]
async fn an_error_of_the_model_is_an_answer_and_its_calls_do_not_count() {
    let model = Scripted::new([vec![
        began(),
        text("I thi"),
        call("1", "shout", json!({"text": "x"})),
        failed(ModelErrorKind::Refused),
    ]]);
    let (toolbox, notes) = (Shout::boxed(), Notes::default());
    let finished = run(turn(&model, &toolbox), &notes).await.unwrap();
    assert_eq!(finished.texts, ["I thi", "HTTP 400: no"]);
    assert_eq!(finished.stop, StopReason::Error);
    let kept = notes.kept.borrow();
    assert_eq!(roles(&kept), ["user", "assistant"]);
    let Message::Assistant(answer) = &kept[1] else {
        panic!("an assistant has answered")
    };
    assert_eq!(answer.error_message.as_deref(), Some("HTTP 400: no"));
    assert_eq!(answer.content, [Part::text("I thi")]);
}

#[tokio::test]
async fn a_turn_without_a_prompt_says_that_it_leaves() {
    let model = Scripted::new([vec![began(), done(1)]]);
    let (toolbox, notes) = (Toolbox::default(), Notes::default());
    let asked = Turn {
        prompts: Vec::new(),
        history: vec![said("before", [])],
        ..turn(&model, &toolbox)
    };
    run(asked, &notes).await.unwrap();
    assert_eq!(notes.told.borrow()[0], "leaves");
}

#[tokio::test]
async fn an_answer_without_an_end_is_no_answer() {
    let model = Scripted::new([vec![began(), text("I")]]);
    let (toolbox, notes) = (Toolbox::default(), Notes::default());
    let finished = run(turn(&model, &toolbox), &notes).await.unwrap();
    assert_eq!(finished.error.unwrap().kind, ModelErrorKind::BrokeOff);
}

#[tokio::test]
async fn when_another_model_takes_over_nothing_of_the_first_counts() {
    let model = Scripted::new([vec![began(), text("I th"), began(), text("Yes"), done(1)]]);
    let (toolbox, notes) = (Toolbox::default(), Notes::default());
    let finished = run(turn(&model, &toolbox), &notes).await.unwrap();
    assert_eq!(finished.texts, ["Yes"]);
    assert_eq!(notes.told.borrow()[1], r#"text "" """#);
}

#[tokio::test]
async fn what_cannot_be_kept_is_not_asked() {
    let model = Scripted::new([vec![began(), done(1)]]);
    let toolbox = Toolbox::default();
    let notes = Notes {
        is_full: true,
        ..Notes::default()
    };
    assert!(run(turn(&model, &toolbox), &notes).await.is_err());
    assert!(model.asked.borrow().is_empty());
}

#[tokio::test]
async fn what_is_said_meanwhile_is_heard_in_the_same_turn() {
    let model = Scripted::new([
        vec![began(), text("One"), done(1)],
        vec![began(), text("Two"), done(1)],
    ]);
    let (toolbox, notes) = (Toolbox::default(), Notes::default());
    notes.overheard.borrow_mut().push(said("and?", []));
    let finished = run(turn(&model, &toolbox), &notes).await.unwrap();
    assert_eq!(finished.texts, ["One", "Two"]);
    assert_eq!(
        roles(&notes.kept.borrow()),
        ["user", "assistant", "user", "assistant"]
    );
}

struct Last;

impl Compactor for Last {
    fn is_needed(&self, _system: &str, _messages: &[Message]) -> bool {
        false
    }

    fn compact<'a>(
        &'a self,
        cause: Cause,
        messages: &'a [Message],
    ) -> LocalBoxFuture<'a, Result<(Vec<Message>, Usage), ModelError>> {
        assert_eq!(cause, Cause::Refused);
        let last = messages.last().cloned().into_iter().collect();
        std::future::ready(Ok((last, Usage::default()))).boxed_local()
    }
}

#[tokio::test]
async fn a_conversation_that_is_too_long_is_made_shorter_once() {
    for (second, wanted) in [
        (vec![began(), text("Yes"), done(1)], Some("Yes")),
        (vec![began(), failed(ModelErrorKind::ContextFull)], None),
    ] {
        let model = Scripted::new([vec![began(), failed(ModelErrorKind::ContextFull)], second]);
        let (toolbox, notes) = (Toolbox::default(), Notes::default());
        let asked = Turn {
            history: vec![said("long ago", [])],
            compactor: Some(&Last),
            ..turn(&model, &toolbox)
        };
        let finished: Finished = run(asked, &notes).await.unwrap();
        assert_eq!(finished.error.is_none(), wanted.is_some());
        assert_eq!(model.asked.borrow()[1].messages.len(), 1);
        assert_eq!(
            *notes.told.borrow().iter().take(2).collect::<Vec<_>>(),
            ["compaction", "compacted true"]
        );
    }
}

#[tokio::test]
async fn a_model_that_calls_tools_for_ever_is_stopped() {
    let endless =
        (0..500).map(|_| vec![began(), call("1", "shout", json!({"text": "x"})), done(1)]);
    let model = Scripted::new(endless);
    let (toolbox, notes) = (Shout::boxed(), Notes::default());
    let finished = run(turn(&model, &toolbox), &notes).await.unwrap();
    assert!(finished.error.is_some());
    let last = notes.kept.borrow().last().cloned().unwrap();
    assert!(matches!(last, Message::Assistant(_)), "{last:?}");
}
