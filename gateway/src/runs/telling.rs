//! What clients hear of a run: `agent` events by stream, and the `chat` event for people.
//!
//! The steps of a run are counted from 1, whether they are sent or not. Texts are sent cumulatively, so the longer one is, the
//! rarer it is sent: no run fills more than [`MOST_PER_SECOND`] of a client's connection.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use openclaw_agent::tool::ToolOutput;
use openclaw_agent::turn::TurnEvent;
use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::protocol::event::{Agent, Chat, Event};
use openclaw_shared::protocol::params::agent_runs::AgentPayload;
use openclaw_shared::protocol::params::chat::{ChatMessage, ChatPayload, ChatState, ChatTextPart};
use openclaw_shared::transcript::Part;
use serde_json::{Map, Value, json};

use super::feed::Feed;
use crate::context::Context;
use crate::prepared::Prepared;

/// Between two `chat` events of one run that tell how far its answer is.
const CHAT_PAUSE: Duration = Duration::from_millis(150);
/// How many bytes of `agent` events with text go out in a second, for each run.
const MOST_PER_SECOND: usize = 2_000_000;

/// Tells clients of one run.
pub(crate) struct Telling {
    context: Arc<Context>,
    run: String,
    /// The session, as whoever asked has named it.
    session: String,
    feed: Arc<Feed>,
    /// Whether people are to see the answer.
    shows_chat: bool,
    /// Whether clients see what tools do.
    shows_tools: Cell<bool>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    seq: u64,
    /// The answer so far.
    text: String,
    /// What was not sent of it.
    unsent: String,
    sent: Option<Moment>,
    chatted: Option<Moment>,
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}

impl Telling {
    pub(crate) fn new(context: Arc<Context>, run: &str, session: &str, feed: Arc<Feed>) -> Self {
        Self {
            context,
            run: run.to_owned(),
            session: session.to_owned(),
            feed,
            shows_chat: true,
            shows_tools: Cell::new(false),
            state: RefCell::default(),
        }
    }

    /// Nothing of the answer is shown as a chat.
    pub(crate) const fn quiet(mut self, is_quiet: bool) -> Self {
        self.shows_chat = !is_quiet;
        self
    }

    /// Whether what tools do is shown from here on.
    pub(crate) fn show_tools(&self, shows_tools: bool) {
        self.shows_tools.set(shows_tools);
    }

    /// The answer so far.
    pub(crate) fn text(&self) -> String {
        self.state.borrow().text.clone()
    }

    /// Something stands in the answer that the model has not said: why it says no more.
    pub(crate) fn adds(&self, text: &str) {
        let mut state = self.state.borrow_mut();
        if !state.text.is_empty() {
            state.text.push_str("\n\n");
        }
        state.text.push_str(text);
    }

    /// The run begins.
    pub(crate) fn starts(&self, at: WallTime) {
        self.tell(
            "lifecycle",
            json!({"phase": "start", "startedAt": at.as_millis()}),
        );
    }

    /// The run is over: what it has said in the end, or why it failed.
    pub(crate) fn ends(&self, started: Option<u64>, ended: u64, error: Option<&str>) {
        self.flush();
        match error {
            None => {
                self.tell("lifecycle", json!({"phase": "end", "endedAt": ended}));
                let text = self.text();
                self.chat(ChatState::Final, Some(text), None, None);
            }
            Some(error) => {
                let mut data = json!({"phase": "error", "endedAt": ended, "error": error});
                if let Some(started) = started {
                    data["startedAt"] = started.into();
                }
                self.tell("lifecycle", data);
                self.chat(ChatState::Error, None, Some(error.to_owned()), None);
            }
        }
    }

    /// The run was stopped.
    pub(crate) fn is_stopped(&self, started: Option<u64>, ended: u64, why: &str) {
        self.chat(ChatState::Aborted, None, None, Some(why.to_owned()));
        let mut data = json!({"phase": "end", "endedAt": ended, "aborted": true});
        if let Some(started) = started {
            data["startedAt"] = started.into();
        }
        self.tell("lifecycle", data);
    }

    /// An answer that no model has written, or none: the message was heard by another run.
    pub(crate) fn answers(&self, message: Option<ChatMessage>) {
        let payload = ChatPayload {
            run_id: self.run.clone(),
            session_key: self.session.clone(),
            seq: self.state.borrow().seq,
            state: ChatState::Final,
            message,
            error_message: None,
            stop_reason: None,
            usage: None,
        };
        publish_chat(&self.context, &payload);
    }

    /// A step of the turn.
    pub(crate) fn step(&self, event: &TurnEvent<'_>) {
        match event {
            TurnEvent::Text { text, delta } => self.says(text, delta),
            TurnEvent::Thinking { .. } => {}
            TurnEvent::ToolStart { call } => self.tool(|| {
                json!({"phase": "start", "name": call.name, "toolCallId": call.id, "args": call.arguments})
            }),
            TurnEvent::ToolUpdate { call, partial } => self.tool(|| {
                json!({"phase": "update", "name": call.name, "toolCallId": call.id, "partialResult": result(partial)})
            }),
            TurnEvent::ToolResult {
                call,
                summary,
                output,
            } => self.tool(|| {
                let mut data =
                    json!({"phase": "result", "name": call.name, "toolCallId": call.id});
                if let Some(summary) = summary {
                    data["meta"] = summary.as_str().into();
                }
                data["isError"] = output.is_error.into();
                data["result"] = result(output);
                data
            }),
            TurnEvent::CompactionStart => self.tell("compaction", json!({"phase": "start"})),
            TurnEvent::CompactionEnd { will_retry } => {
                self.tell("compaction", json!({"phase": "end", "willRetry": will_retry}));
            }
        }
    }

    fn says(&self, text: &str, delta: &str) {
        let is_due = {
            let mut state = self.state.borrow_mut();
            if delta.is_empty() {
                self.feed.anew();
                state.unsent.clear();
            } else if state.text.len() + delta.len() != text.len() {
                // Another answer of the same turn: whoever follows reads on below.
                if !state.text.is_empty() {
                    self.feed.grows("\n\n");
                }
                self.feed.grows(delta);
            } else {
                self.feed.grows(delta);
            }
            state.text.clear();
            state.text.push_str(text);
            state.unsent.push_str(delta);
            let pause = Duration::from_secs(1) / rate(text.len());
            state
                .sent
                .is_none_or(|sent| Moment::now().since(sent) >= pause)
        };
        if is_due {
            self.flush();
        }
    }

    /// Sends what there is of the text.
    fn flush(&self) {
        let (text, delta) = {
            let mut state = self.state.borrow_mut();
            if state.unsent.is_empty() {
                return;
            }
            state.sent = Some(Moment::now());
            (state.text.clone(), std::mem::take(&mut state.unsent))
        };
        let chats = {
            let mut state = self.state.borrow_mut();
            let now = Moment::now();
            let is_due = state
                .chatted
                .is_none_or(|chatted| now.since(chatted) >= CHAT_PAUSE);
            if is_due {
                state.chatted = Some(now);
            }
            is_due
        };
        let chatted = chats.then(|| text.clone());
        self.tell("assistant", json!({"text": text, "delta": delta}));
        if let Some(text) = chatted {
            self.chat(ChatState::Delta, Some(text), None, None);
        }
    }

    fn tool(&self, data: impl FnOnce() -> Value) {
        self.flush();
        if self.shows_tools.get() {
            self.tell("tool", data());
        } else {
            self.state.borrow_mut().seq += 1;
        }
    }

    fn tell(&self, stream: &str, data: Value) {
        let seq = {
            let mut state = self.state.borrow_mut();
            state.seq += 1;
            state.seq
        };
        if !self.context.runs.is_anybody_there(&self.context) {
            return;
        }
        let payload = AgentPayload {
            run_id: self.run.clone(),
            stream: stream.to_owned(),
            data: object(data),
            session_key: Some(self.session.clone()),
            seq: Some(seq),
            ts: WallTime::now().as_millis(),
        };
        publish_agent(&self.context, &payload);
    }

    fn chat(
        &self,
        state: ChatState,
        text: Option<String>,
        error: Option<String>,
        stop: Option<String>,
    ) {
        if !self.shows_chat || !self.context.runs.is_anybody_there(&self.context) {
            return;
        }
        let payload = ChatPayload {
            run_id: self.run.clone(),
            session_key: self.session.clone(),
            seq: self.state.borrow().seq,
            state,
            message: text.filter(|text| !text.is_empty()).map(message),
            error_message: error,
            stop_reason: stop,
            usage: None,
        };
        publish_chat(&self.context, &payload);
    }
}

/// How often in a second a text of this length may be sent.
fn rate(length: usize) -> u32 {
    let times = MOST_PER_SECOND / length.max(1);
    u32::try_from(times).unwrap_or(u32::MAX).max(1)
}

fn result(output: &ToolOutput) -> Value {
    let content: Vec<Value> = output
        .content
        .iter()
        .map(|part| match part {
            Part::Image { mime_type, data } => {
                json!({"type": "image", "mimeType": mime_type, "bytes": data.len(), "omitted": true})
            }
            Part::Text { .. } | Part::ToolCall { .. } | Part::Thinking { .. } => json!(part),
        })
        .collect();
    json!({"content": content, "details": output.details})
}

/// That a run has failed, for people.
pub(crate) fn failed(run: &str, session: &str, why: &str) -> ChatPayload {
    ChatPayload {
        run_id: run.to_owned(),
        session_key: session.to_owned(),
        seq: 0,
        state: ChatState::Error,
        message: None,
        error_message: Some(why.to_owned()),
        stop_reason: None,
        usage: None,
    }
}

/// A text as the `chat` event carries it.
pub(crate) fn message(text: String) -> ChatMessage {
    ChatMessage {
        role: "assistant".to_owned(),
        content: vec![ChatTextPart {
            kind: "text".to_owned(),
            text,
        }],
        timestamp: WallTime::now().as_millis(),
        stop_reason: None,
        usage: None,
    }
}

/// Tells everybody of a step, and the nodes that follow the session.
fn publish_agent(context: &Context, payload: &AgentPayload) {
    let session = payload.session_key.as_deref().unwrap_or_default();
    let prepared = Prepared::new(payload);
    context.runs.hand_on::<Agent>(context, &prepared);
    tell_followers::<Agent>(context, session, &prepared);
    context
        .hub
        .publish::<Agent>(&prepared, context.state_version());
}

/// Tells everybody how far an answer is, and the nodes that follow the session.
pub(crate) fn publish_chat(context: &Context, payload: &ChatPayload) {
    let may_be_lost = payload.state == ChatState::Delta;
    let prepared = Prepared::new(payload);
    context.runs.hand_on::<Chat>(context, &prepared);
    tell_followers::<Chat>(context, &payload.session_key, &prepared);
    let version = context.state_version();
    if may_be_lost {
        context.hub.publish_if_taken::<Chat>(&prepared, version);
    } else {
        context.hub.publish::<Chat>(&prepared, version);
    }
}

/// Tells the nodes that follow a session.
fn tell_followers<E: Event>(context: &Context, session: &str, payload: &Prepared<E::Payload>) {
    for link in context.nodes(|nodes| nodes.followers(session)) {
        context.hub.send_to::<E>(link, payload);
    }
}
