//! An answer as it comes: from the events of the crate `genai` to ours.
//!
//! Invariant: an answer ends with [`ModelEvent::Done`] only if the provider has said that it is whole. The crate takes the end of
//! a stream for the end of the answer in some protocols; what the provider said itself is seen in the frames ([`Tail`]).

use std::collections::{BTreeSet, VecDeque};
use std::future::{Future as _, poll_fn};
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use futures_util::StreamExt as _;
use genai::ServiceTarget;
use genai::chat::{
    ChatFrameSink, ChatOptions, ChatRequest, ChatStream, ChatStreamEvent, ContentPart, FrameCtx,
    MessageContent, RawFrameRef, StopReason as Reason, StreamEnd, ToolCall as Called,
    Usage as Counted,
};
use openclaw_shared::clock::WallTime;
use openclaw_shared::transcript::{StopReason, Usage};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::{Sleep, sleep};
use tracing::Dispatch;
use tracing::dispatcher::with_default;
use tracing::instrument::WithSubscriber as _;

use super::asking::{self, REDACTED};
use super::failing::{self, Scrub};
use super::measure::{self, Measure};
use super::{Api, Hosted, error};
use crate::model::{
    Answering, Done, ModelError, ModelErrorKind, ModelEvent, ModelRequest, ToolCall,
};

/// Under this name a tool gets arguments that are no JSON object, so that it can say so to the model.
pub const UNREADABLE_ARGUMENTS: &str = "_unreadable";

/// An answer that is being heard.
pub(super) struct Answer<'a> {
    model: &'a Hosted,
    scrub: Scrub,
    state: State,
    tail: Arc<Tail>,
    /// What is to be said before the stream is listened to again.
    pending: VecDeque<ModelEvent>,
    has_begun: bool,
    /// Signatures that were told already.
    signed: usize,
    /// The calls as far as they are known, for servers that do not say when everything is said.
    calls: Vec<Called>,
    /// The names of all calls that were begun.
    begun: BTreeSet<String>,
}

enum State {
    Unsent(Box<(ServiceTarget, ChatRequest, ChatOptions)>),
    Open(Box<ChatStream>),
    Over,
}

impl<'a> Answer<'a> {
    pub(super) fn new(model: &'a Hosted, request: ModelRequest) -> Self {
        let (endpoint, facts) = (&*model.endpoint, &*model.facts);
        let tail = Arc::new(Tail {
            api: endpoint.api,
            seen: Mutex::default(),
        });
        let options = asking::options(endpoint, facts, &request)
            .with_raw_frame_sink_arc(tail.clone() as Arc<dyn ChatFrameSink>);
        let asked = (
            asking::target(endpoint, facts),
            asking::request(endpoint, facts, request),
            options,
        );
        Self {
            model,
            scrub: Scrub::new(endpoint),
            state: State::Unsent(Box::new(asked)),
            tail,
            pending: VecDeque::new(),
            has_begun: false,
            signed: 0,
            calls: Vec::new(),
            begun: BTreeSet::new(),
        }
    }

    /// What is said next; nothing after the end or an error.
    pub(super) async fn next(&mut self) -> Option<Result<ModelEvent, ModelError>> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(Ok(event));
            }
            let heard = match mem::replace(&mut self.state, State::Over) {
                State::Over => return None,
                State::Unsent(asked) => self.send(*asked).await,
                State::Open(mut stream) => match self.hear(&mut stream).await {
                    Ok(heard) => {
                        self.state = State::Open(stream);
                        self.take(heard)
                    }
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = heard {
                self.state = State::Over;
                self.pending.clear();
                return Some(Err(error));
            }
        }
    }

    async fn send(
        &mut self,
        (target, request, options): (ServiceTarget, ChatRequest, ChatOptions),
    ) -> Result<(), ModelError> {
        let genai = &self.model.http.genai;
        let asked = genai
            .exec_chat_stream(target, request, Some(&options))
            // The crate would log what is said.
            .with_subscriber(Dispatch::none())
            .await;
        let answer = asked.map_err(|failure| self.failure(failure))?;
        self.state = State::Open(Box::new(answer.stream));
        Ok(())
    }

    fn take(&mut self, heard: Option<genai::Result<ChatStreamEvent>>) -> Result<(), ModelError> {
        let Some(heard) = heard else {
            return self.silence();
        };
        // Nothing that comes after a frame which cannot be read is to be trusted.
        if let Some(problem) = self.tail.problem() {
            return Err(failing::unreadable(&self.scrub.clean(&problem)));
        }
        match heard.map_err(|failure| self.failure(failure))? {
            // The first comes before anything was sent.
            ChatStreamEvent::Start | ChatStreamEvent::Heartbeat => {}
            ChatStreamEvent::Chunk(chunk) => {
                if !chunk.content.is_empty() {
                    self.tell(ModelEvent::Text(chunk.content));
                }
            }
            ChatStreamEvent::ReasoningChunk(chunk) => {
                if !chunk.content.is_empty() {
                    self.tell(ModelEvent::Thinking(chunk.content));
                }
            }
            ChatStreamEvent::ThoughtSignatureChunk(chunk) => {
                self.signed += 1;
                self.tell(ModelEvent::ThinkingSignature(chunk.content));
            }
            ChatStreamEvent::ToolCallChunk(chunk) => return self.note(chunk.tool_call),
            ChatStreamEvent::End(end) => return self.end(end),
        }
        Ok(())
    }

    /// The stream has ended without an end.
    fn silence(&mut self) -> Result<(), ModelError> {
        let (reason, usage) = self.tail.finish();
        // Some servers say why they stop and then leave out the last frame.
        match reason {
            Some(reason) if self.model.endpoint.api == Api::OpenaiCompletions => {
                let calls = mem::take(&mut self.calls).into_iter().map(parsed).collect();
                self.end(StreamEnd {
                    captured_usage: usage,
                    captured_stop_reason: Some(Reason::from(reason)),
                    captured_content: Some(MessageContent::from_tool_calls(calls)),
                    ..StreamEnd::default()
                })
            }
            Some(_) | None => Err(failing::broke_off(&self.model.endpoint.provider)),
        }
    }

    fn end(&mut self, end: StreamEnd) -> Result<(), ModelError> {
        self.state = State::Over;
        let provider = &self.model.endpoint.provider;
        let says_end_itself = self.model.endpoint.api == Api::OpenaiCompletions;
        let stop = match end.captured_stop_reason {
            Some(Reason::Completed(_) | Reason::StopSequence(_) | Reason::Other(_)) => {
                StopReason::Stop
            }
            Some(Reason::MaxTokens(_)) => StopReason::Length,
            Some(Reason::ToolCall(_)) => StopReason::ToolUse,
            Some(Reason::ContentFilter(reason)) => {
                let text = format!(
                    "{provider} stopped the answer: {}",
                    self.scrub.clean(&reason)
                );
                return Err(error(ModelErrorKind::Refused, text));
            }
            None if says_end_itself => StopReason::Stop,
            None => return Err(failing::broke_off(provider)),
        };
        let mut calls = 0;
        let mut signatures = 0;
        for part in end.captured_content.unwrap_or_default() {
            match part {
                ContentPart::ToolCall(call) => {
                    // A call that was cut off in the middle is none.
                    let is_cut = stop == StopReason::Length && !call.fn_arguments.is_object();
                    if !is_cut {
                        calls += 1;
                        measure::check_call(provider, calls, length(&call.fn_arguments))?;
                        self.tell(ModelEvent::ToolCall(whole(call)));
                    }
                }
                ContentPart::ThoughtSignature(signature) => {
                    signatures += 1;
                    if signatures > self.signed {
                        self.tell(ModelEvent::ThinkingSignature(signature));
                    }
                }
                ContentPart::Custom(custom) => {
                    if let Some(data) = redacted(&custom.data) {
                        self.tell(ModelEvent::ThinkingSignature(data));
                    }
                }
                ContentPart::Text(_)
                | ContentPart::Binary(_)
                | ContentPart::ToolResponse(_)
                | ContentPart::ReasoningContent(_) => {}
            }
        }
        let has_calls = calls > 0;
        let stop = match stop {
            // Not every server has a word for it.
            StopReason::Stop if has_calls => StopReason::ToolUse,
            StopReason::ToolUse if !has_calls => StopReason::Stop,
            StopReason::Stop
            | StopReason::ToolUse
            | StopReason::Length
            | StopReason::Error
            | StopReason::Aborted
            | StopReason::Injected => stop,
        };
        let mut usage = counted(end.captured_usage.unwrap_or_default());
        usage.cost = self.model.facts.prices.cost(&usage);
        self.tell(ModelEvent::Done(Done { stop, usage }));
        Ok(())
    }

    fn tell(&mut self, event: ModelEvent) {
        if !mem::replace(&mut self.has_begun, true) {
            self.pending.push_back(ModelEvent::Began(Answering {
                api: self.model.endpoint.api.as_str().to_owned(),
                provider: self.model.endpoint.provider.clone(),
                model: self.model.facts.id.clone(),
            }));
        }
        self.pending.push_back(event);
    }

    fn note(&mut self, call: Called) -> Result<(), ModelError> {
        let arguments = call.fn_arguments.as_str().map_or(0, str::len);
        if !self.begun.contains(&call.call_id) {
            self.begun.insert(call.call_id.clone());
        }
        measure::check_call(&self.model.endpoint.provider, self.begun.len(), arguments)?;
        if self.model.endpoint.api != Api::OpenaiCompletions {
            return Ok(());
        }
        match self
            .calls
            .iter_mut()
            .find(|known| known.call_id == call.call_id)
        {
            Some(known) => *known = call,
            None => self.calls.push(call),
        }
        Ok(())
    }

    /// Waits for the next event, as long as frames come, and as long as they have an end.
    async fn hear(
        &self,
        stream: &mut ChatStream,
    ) -> Result<Option<genai::Result<ChatStreamEvent>>, ModelError> {
        let quiet = Dispatch::none();
        let provider = &self.model.endpoint.provider;
        let limit = self.model.endpoint.idle_limit;
        let mut frames = self.tail.measured(|measure| measure.frames());
        let mut late: Pin<Box<Sleep>> = Box::pin(sleep(limit));
        poll_fn(|context| {
            // The crate logs what it cannot read, which may be anything that was said.
            let polled = with_default(&quiet, || stream.poll_next_unpin(context));
            let seen = self.tail.measured(|measure| {
                if polled.is_pending() && measure.frames() == frames {
                    measure.piece();
                }
                measure.clone()
            });
            if seen.is_full() {
                return Poll::Ready(Err(measure::too_large(provider)));
            }
            if let Poll::Ready(heard) = polled {
                return Poll::Ready(Ok(heard));
            }
            // Bytes alone are no progress, or a provider could go on for ever with a few.
            if seen.frames() != mem::replace(&mut frames, seen.frames()) {
                late = Box::pin(sleep(limit));
            }
            late.as_mut()
                .poll(context)
                .map(|()| Err(failing::silent(provider)))
        })
        .await
    }

    fn failure(&self, failure: genai::Error) -> ModelError {
        let provider = &self.model.endpoint.provider;
        failing::of(failure, provider, &self.scrub, WallTime::now())
    }
}

/// How long arguments are, where that is not known already.
fn length(arguments: &Value) -> usize {
    match arguments {
        Value::String(text) => text.len(),
        Value::Object(_) | Value::Array(_) => arguments.to_string().len(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

fn parsed(mut call: Called) -> Called {
    if let Value::String(text) = &call.fn_arguments
        && let Ok(arguments) = serde_json::from_str(text)
    {
        call.fn_arguments = arguments;
    }
    call
}

fn whole(call: Called) -> ToolCall {
    let arguments = match call.fn_arguments {
        Value::Object(arguments) => arguments,
        Value::Null => Map::new(),
        Value::String(text) if text.trim().is_empty() => Map::new(),
        other @ (Value::String(_) | Value::Bool(_) | Value::Number(_) | Value::Array(_)) => {
            Map::from_iter([(UNREADABLE_ARGUMENTS.to_owned(), other)])
        }
    };
    ToolCall {
        id: call_id(call.call_id),
        name: call.fn_name,
        arguments,
    }
}

/// Servers without names for calls count them, or say nothing; in one conversation that is not enough.
fn call_id(id: String) -> String {
    let counted = id
        .strip_prefix("call_")
        .is_some_and(|rest| rest.len() <= 3 && rest.bytes().all(|byte| byte.is_ascii_digit()));
    if id.is_empty() || counted || id.starts_with("call#") {
        format!("call_{}", uuid::Uuid::new_v4().simple())
    } else {
        id
    }
}

fn redacted(block: &Value) -> Option<String> {
    let data = block.get("data").and_then(Value::as_str)?;
    (block.get("type").and_then(Value::as_str) == Some("redacted_thinking"))
        .then(|| format!("{REDACTED}{data}"))
}

fn counted(counted: Counted) -> Usage {
    let tokens = |count: Option<i32>| u64::try_from(count.unwrap_or(0)).unwrap_or(0);
    let details = counted.prompt_tokens_details.unwrap_or_default();
    let cache_read = tokens(details.cached_tokens);
    let cache_write = tokens(details.cache_creation_tokens);
    // All providers are made to count what came from a cache as read.
    let input = tokens(counted.prompt_tokens).saturating_sub(cache_read + cache_write);
    let output = tokens(counted.completion_tokens);
    Usage {
        input,
        output,
        cache_read,
        cache_write,
        total_tokens: input + output + cache_read + cache_write,
        ..Usage::default()
    }
}

/// What the frames say about the end, whatever the crate makes of it.
#[derive(Debug)]
struct Tail {
    api: Api,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    reason: Option<String>,
    usage: Option<Counted>,
    problem: Option<String>,
    measure: Measure,
}

#[derive(Debug, Deserialize)]
struct Frame {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    #[serde(default)]
    finish_reason: Option<String>,
}

impl Tail {
    fn problem(&self) -> Option<String> {
        self.seen(|seen| seen.problem.clone())
    }

    fn finish(&self) -> (Option<String>, Option<Counted>) {
        self.seen(|seen| (seen.reason.take(), seen.usage.take()))
    }

    fn measured<T>(&self, work: impl FnOnce(&mut Measure) -> T) -> T {
        self.seen(|seen| work(&mut seen.measure))
    }

    fn seen<T>(&self, work: impl FnOnce(&mut Seen) -> T) -> T {
        work(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ChatFrameSink for Tail {
    fn on_frame(&self, _: &FrameCtx, frame: RawFrameRef<'_>) {
        self.measured(|measure| measure.frame(frame.data.len()));
        if frame.data.is_empty() || frame.data == "[DONE]" {
            return;
        }
        match self.api {
            Api::OpenaiCompletions => {
                // Whether it can be read at all, the crate says itself.
                let Ok(frame) = serde_json::from_str::<Frame>(frame.data) else {
                    return;
                };
                let mut choices = frame.choices.into_iter();
                let reason = choices.find_map(|choice| choice.finish_reason);
                let usage = frame
                    .usage
                    .and_then(|usage| serde_json::from_value(usage).ok());
                self.seen(|seen| {
                    seen.reason = reason.or(seen.reason.take());
                    seen.usage = usage.or(seen.usage.take());
                });
            }
            // The crate steps over frames of this protocol that it cannot read.
            Api::OpenaiResponses => {
                if let Err(problem) = serde_json::from_str::<serde::de::IgnoredAny>(frame.data) {
                    self.seen(|seen| seen.problem = Some(problem.to_string()));
                }
            }
            Api::AnthropicMessages | Api::GoogleGenerativeAi => {}
        }
    }
}

#[cfg(test)]
mod tests;
