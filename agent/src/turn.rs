//! The loop of one turn: ask the model, run the tools it calls, ask again, until it has answered.
//!
//! Invariant: what is asked of a provider was kept before. Each message is in the journal before the next thing is done because of it, so
//! that a transcript never lacks what somebody else has seen.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;
use openclaw_shared::clock::WallTime;
use openclaw_shared::transcript::{
    AssistantMessage, Message, Part, StopReason, Thinking, ToolResultMessage, Usage, UserMessage,
    text_of,
};
use serde_json::{Map, Value};

use crate::model::provider::UNREADABLE_ARGUMENTS;
use crate::model::{
    Answering, Model, ModelError, ModelErrorKind, ModelEvent, ModelRequest, ToolCall, ToolChoice,
    ToolSpec,
};
use crate::tool::{Call, ToolError, ToolOutput, Toolbox};

/// How often a model is asked in one turn at most. A model that calls tools for ever would never give its place to others.
const MOST_ROUNDS: u32 = 200;
/// How long a text of a tool's result may be that watchers are sent; the model reads all of it.
const SHOWN_OF_A_RESULT: usize = 8_000;

/// What is to be done.
pub struct Turn<'a> {
    /// Who is asked.
    pub model: &'a dyn Model,
    /// What it may call.
    pub toolbox: &'a Toolbox,
    /// What whoever asked will do by themselves; a call of one of these ends the turn.
    pub client_tools: Vec<ToolSpec>,
    /// Whether tools are called, for the first answer.
    pub tool_choice: ToolChoice,
    /// What comes before the conversation.
    pub system: String,
    /// The conversation so far.
    pub history: Vec<Message>,
    /// What is said now, and kept by the turn; nothing when the conversation only goes on.
    pub prompts: Vec<Message>,
    /// How much the model is to think.
    pub thinking: Thinking,
    /// How much it may answer, in tokens.
    pub max_tokens: Option<u32>,
    /// The conversation's name for the provider's caches.
    pub cache_key: Option<String>,
    /// Makes room when the conversation is too long; without one that is an error.
    pub compactor: Option<&'a dyn Compactor>,
}

/// Why a conversation is made shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It comes near to what the model can read.
    Near,
    /// The provider has refused it.
    Refused,
    /// Somebody wants it.
    Asked,
}

/// Makes long conversations shorter.
pub trait Compactor {
    /// Whether the conversation has to be made shorter before the model is asked.
    fn is_needed(&self, system: &str, messages: &[Message]) -> bool;

    /// The conversation made shorter, what stands for the left-out part first; what it took is told with it. The result is kept by the
    /// compactor.
    fn compact<'a>(
        &'a self,
        cause: Cause,
        messages: &'a [Message],
    ) -> LocalBoxFuture<'a, Result<(Vec<Message>, Usage), ModelError>>;
}

/// Where a turn leaves what happens.
pub trait Journal {
    /// Keeps a message; durable when it returns.
    fn keep(&self, message: Message) -> LocalBoxFuture<'_, Result<(), JournalError>>;

    /// Something of the turn is about to leave this machine though nothing was kept before it; durable when it returns.
    fn leaves(&self) -> LocalBoxFuture<'_, Result<(), JournalError>>;

    /// Tells whoever watches. Never waits.
    fn tell(&self, event: TurnEvent<'_>);

    /// What was said to the agent since the turn began, to be heard now.
    fn overheard(&self) -> Vec<Message> {
        Vec::new()
    }
}

/// Why something could not be kept. The turn ends there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JournalError(pub String);

/// What happens in a turn.
#[derive(Debug)]
pub enum TurnEvent<'a> {
    /// The answer has become longer, or begins anew.
    Text {
        /// All of it.
        text: &'a str,
        /// What is new.
        delta: &'a str,
    },
    /// More of what the model thinks.
    Thinking {
        /// What is new.
        delta: &'a str,
    },
    /// A tool begins.
    ToolStart {
        /// The call.
        call: &'a ToolCall,
    },
    /// A tool tells how far it is.
    ToolUpdate {
        /// The call.
        call: &'a ToolCall,
        /// What there is.
        partial: &'a ToolOutput,
    },
    /// A tool is done.
    ToolResult {
        /// The call.
        call: &'a ToolCall,
        /// One line about it, for people.
        summary: Option<String>,
        /// What came out, as watchers are to see it.
        output: &'a ToolOutput,
    },
    /// The conversation is being made shorter.
    CompactionStart,
    /// It was, or could not be.
    CompactionEnd {
        /// Whether the model is asked again.
        will_retry: bool,
    },
}

/// How a turn went.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Finished {
    /// The texts that the model has said, one for each time it was asked and said any.
    pub texts: Vec<String>,
    /// Who answered last.
    pub answering: Answering,
    /// What all of it took.
    pub usage: Usage,
    /// What the last answer took: what it has read is what the conversation comes to.
    pub last: Usage,
    /// Why the last answer ended.
    pub stop: StopReason,
    /// What whoever asked is to do.
    pub client_calls: Vec<ToolCall>,
    /// Why there is no answer, as the provider or the model's adapter says; the texts hold it too.
    pub error: Option<ModelError>,
}

/// Does a turn.
///
/// An error of a model is no error of the turn: it is in [`Finished`], and in the transcript.
///
/// # Errors
/// When something could not be kept.
pub async fn run(turn: Turn<'_>, journal: &dyn Journal) -> Result<Finished, JournalError> {
    let client: BTreeSet<String> = turn.client_tools.iter().map(|it| it.name.clone()).collect();
    let mut tools = turn.toolbox.specs();
    tools.retain(|tool| !client.contains(&tool.name));
    tools.extend(turn.client_tools);
    let mut messages = turn.history;
    if turn.prompts.is_empty() {
        journal.leaves().await?;
    }
    for prompt in turn.prompts {
        messages.push(prompt.clone());
        journal.keep(prompt).await?;
    }
    let mut finished = Finished::default();
    let mut tool_choice = turn.tool_choice;
    let mut has_made_room = false;
    for round in 0..MOST_ROUNDS {
        if let Some(compactor) = turn.compactor
            && compactor.is_needed(&turn.system, &messages)
            && let Ok(shorter) =
                make_room(compactor, Cause::Near, &messages, journal, &mut finished).await
        {
            messages = shorter;
        }
        let request = ModelRequest {
            system: turn.system.clone(),
            messages: messages.clone(),
            tools: tools.clone(),
            tool_choice: std::mem::take(&mut tool_choice),
            thinking: turn.thinking,
            max_tokens: turn.max_tokens,
            cache_key: turn.cache_key.clone(),
        };
        let mut answer = listen(turn.model, request, journal).await;
        if let (Some(error), Some(compactor)) = (&answer.error, turn.compactor)
            && error.kind == ModelErrorKind::ContextFull
            && !std::mem::replace(&mut has_made_room, true)
            && let Ok(shorter) =
                make_room(compactor, Cause::Refused, &messages, journal, &mut finished).await
        {
            messages = shorter;
            continue;
        }
        let is_last = round + 1 == MOST_ROUNDS;
        let calls = std::mem::take(&mut answer.calls);
        if is_last && !calls.is_empty() && answer.error.is_none() {
            answer.error = Some(ModelError {
                kind: ModelErrorKind::Refused,
                message: format!("the model has called tools {MOST_ROUNDS} times in one turn"),
            });
        }
        let message = answer.message(&calls);
        finished.usage = finished.usage.plus(answer.usage);
        finished.last = answer.usage;
        finished.answering = answer.answering.clone();
        finished.stop = message.stop_reason;
        let said = text_of(&message.content);
        if !said.is_empty() {
            finished.texts.push(said);
        }
        journal.keep(Message::Assistant(message.clone())).await?;
        messages.push(Message::Assistant(message));
        if let Some(error) = answer.error {
            finished.texts.push(error.message.clone());
            finished.error = Some(error);
            return Ok(finished);
        }
        let (theirs, ours): (Vec<_>, Vec<_>) = calls
            .into_iter()
            .partition(|call| client.contains(&call.name));
        for call in &ours {
            let result = Message::ToolResult(do_call(turn.toolbox, call, journal).await);
            journal.keep(result.clone()).await?;
            messages.push(result);
        }
        if !theirs.is_empty() {
            finished.client_calls = theirs;
            return Ok(finished);
        }
        let overheard = journal.overheard();
        if ours.is_empty() && overheard.is_empty() {
            return Ok(finished);
        }
        for message in overheard {
            journal.keep(message.clone()).await?;
            messages.push(message);
        }
    }
    Ok(finished)
}

async fn make_room(
    compactor: &dyn Compactor,
    cause: Cause,
    messages: &[Message],
    journal: &dyn Journal,
    finished: &mut Finished,
) -> Result<Vec<Message>, ModelError> {
    journal.tell(TurnEvent::CompactionStart);
    let made = compactor.compact(cause, messages).await;
    journal.tell(TurnEvent::CompactionEnd {
        will_retry: made.is_ok(),
    });
    match made {
        Ok((shorter, usage)) => {
            finished.usage = finished.usage.plus(usage);
            Ok(shorter)
        }
        Err(error) => {
            tracing::warn!(target: "agent", %error, "the conversation cannot be made shorter");
            Err(error)
        }
    }
}

/// An answer as it comes in.
#[derive(Default)]
struct Heard {
    answering: Answering,
    text: String,
    thinking: String,
    signature: Option<String>,
    calls: Vec<ToolCall>,
    usage: Usage,
    stop: StopReason,
    error: Option<ModelError>,
}

impl Heard {
    fn message(&self, calls: &[ToolCall]) -> AssistantMessage {
        let mut content = Vec::new();
        if !self.thinking.is_empty() || self.signature.is_some() {
            content.push(Part::Thinking {
                thinking: self.thinking.clone(),
                thinking_signature: self.signature.clone(),
            });
        }
        if !self.text.is_empty() {
            content.push(Part::text(self.text.clone()));
        }
        // What failed is not acted on, and a call without a result would be refused by the provider ever after.
        if self.error.is_none() {
            content.extend(calls.iter().map(|call| Part::ToolCall {
                id: call.id.clone(),
                name: call.name.clone(),
                arguments: call.arguments.clone(),
            }));
        }
        AssistantMessage {
            content,
            api: self.answering.api.clone(),
            provider: self.answering.provider.clone(),
            model: self.answering.model.clone(),
            usage: self.usage,
            stop_reason: match &self.error {
                Some(_) => StopReason::Error,
                None if calls.is_empty() => self.stop,
                None => StopReason::ToolUse,
            },
            error_message: self.error.as_ref().map(|error| error.message.clone()),
            timestamp: WallTime::now().as_millis(),
        }
    }
}

async fn listen(model: &dyn Model, request: ModelRequest, journal: &dyn Journal) -> Heard {
    let mut heard = Heard::default();
    let mut stream = model.ask(request);
    let mut is_done = false;
    while let Some(event) = stream.next().await {
        match event {
            Ok(ModelEvent::Began(answering)) => {
                if !heard.text.is_empty() {
                    journal.tell(TurnEvent::Text {
                        text: "",
                        delta: "",
                    });
                }
                heard = Heard {
                    answering,
                    ..Heard::default()
                };
            }
            Ok(ModelEvent::Text(delta)) => {
                if !delta.is_empty() {
                    heard.text.push_str(&delta);
                    journal.tell(TurnEvent::Text {
                        text: &heard.text,
                        delta: &delta,
                    });
                }
            }
            Ok(ModelEvent::Thinking(delta)) => {
                heard.thinking.push_str(&delta);
                journal.tell(TurnEvent::Thinking { delta: &delta });
            }
            Ok(ModelEvent::ThinkingSignature(signature)) => heard.signature = Some(signature),
            Ok(ModelEvent::ToolCall(call)) => heard.calls.push(call),
            Ok(ModelEvent::Done(done)) => {
                heard.usage = done.usage;
                heard.stop = done.stop;
                is_done = true;
                break;
            }
            Err(error) => {
                heard.error = Some(error);
                break;
            }
        }
    }
    if !is_done && heard.error.is_none() {
        heard.error = Some(ModelError {
            kind: ModelErrorKind::BrokeOff,
            message: "the answer broke off".to_owned(),
        });
    }
    heard
}

async fn do_call(toolbox: &Toolbox, call: &ToolCall, journal: &dyn Journal) -> ToolResultMessage {
    journal.tell(TurnEvent::ToolStart { call });
    let (output, summary) = match toolbox.find(&call.name) {
        None => (
            failure(&ToolError(format!("there is no tool {}", call.name))),
            None,
        ),
        // What a tool would make of half a call is not what was meant.
        Some(_) if call.arguments.contains_key(UNREADABLE_ARGUMENTS) => (
            failure(&ToolError(format!(
                "the arguments of {} are no JSON object, so nothing was done; call it again with one",
                call.name
            ))),
            None,
        ),
        Some(tool) => {
            let progress = |partial: ToolOutput| {
                journal.tell(TurnEvent::ToolUpdate {
                    call,
                    partial: &shown(&partial),
                });
            };
            let done = tool
                .call(Call {
                    id: &call.id,
                    arguments: call.arguments.clone(),
                    progress: &progress,
                })
                .await;
            let output = done.unwrap_or_else(|error| failure(&error));
            (output, tool.summary(&call.arguments))
        }
    };
    journal.tell(TurnEvent::ToolResult {
        call,
        summary,
        output: &shown(&output),
    });
    ToolResultMessage {
        tool_call_id: call.id.clone(),
        tool_name: call.name.clone(),
        content: output.content,
        details: output.details,
        is_error: output.is_error,
        timestamp: WallTime::now().as_millis(),
    }
}

fn failure(error: &ToolError) -> ToolOutput {
    ToolOutput {
        content: vec![Part::text(error.to_string())],
        details: Value::Object(Map::from_iter([
            ("status".to_owned(), Value::from("error")),
            ("error".to_owned(), Value::from(error.to_string())),
        ])),
        is_error: true,
    }
}

/// A result as watchers see it: texts cut, pictures without their bytes.
fn shown(output: &ToolOutput) -> ToolOutput {
    let cut = |part: &Part| match part {
        Part::Text { text } if text.chars().count() > SHOWN_OF_A_RESULT => {
            let kept: String = text.chars().take(SHOWN_OF_A_RESULT).collect();
            Part::text(format!("{kept}\n…(truncated)…"))
        }
        Part::Image { mime_type, .. } => Part::Image {
            data: String::new(),
            mime_type: mime_type.clone(),
        },
        Part::Text { .. } | Part::ToolCall { .. } | Part::Thinking { .. } => part.clone(),
    };
    ToolOutput {
        content: output.content.iter().map(cut).collect(),
        details: output.details.clone(),
        is_error: output.is_error,
    }
}

/// What a person has said.
#[must_use]
pub fn said(text: impl Into<String>, images: impl IntoIterator<Item = Part>) -> Message {
    let mut content = vec![Part::text(text)];
    content.extend(images);
    Message::User(UserMessage {
        content,
        timestamp: WallTime::now().as_millis(),
    })
}

#[cfg(test)]
mod tests;
