//! What clients hear of a run: `agent` events by stream, and the `chat` event for people.
//!
//! The steps of a run are counted from 1, whether they are sent or not. What a model says within [`TEXT_PAUSE`] is one step. Texts are
//! sent cumulatively, so the longer one is, the rarer it is sent: no run fills more than [`MOST_PER_SECOND`] of a client's connection.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
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
use tokio::sync::Notify;
use tokio::time::timeout;

use super::feed::Feed;
use crate::context::Context;
use crate::prepared::Prepared;

/// Between two `agent` events of one run that carry text. Nobody reads faster, and for each of them every client is written to.
const TEXT_PAUSE: Duration = Duration::from_millis(50);
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
    /// Rings when something was said that is not sent at once.
    held_back: Notify,
}

#[derive(Default)]
struct State {
    seq: u64,
    /// The answer so far.
    text: String,
    /// What was not sent of it.
    unsent: String,
    sent: Option<Moment>,
    /// Whether the last `chat` event tells less than was sent.
    is_chat_behind: bool,
    chatted: Option<Moment>,
}

impl State {
    /// What is held back: text, and a `chat` event.
    const fn owes(&self) -> (bool, bool) {
        (!self.unsent.is_empty(), self.is_chat_behind)
    }

    /// How long what was not sent is still held back; none when there is nothing.
    fn text_waits(&self, now: Moment) -> Option<Duration> {
        let pause = TEXT_PAUSE.max(Duration::from_secs(1) / rate(self.text.len()));
        (!self.unsent.is_empty()).then(|| left(self.sent, pause, now))
    }

    /// The same for the `chat` event.
    fn chat_waits(&self, now: Moment) -> Option<Duration> {
        self.is_chat_behind
            .then(|| left(self.chatted, CHAT_PAUSE, now))
    }
}

/// What is left of a pause.
fn left(last: Option<Moment>, pause: Duration, now: Moment) -> Duration {
    last.map_or(Duration::ZERO, |last| pause.saturating_sub(now.since(last)))
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
            held_back: Notify::new(),
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

    /// The run cannot begin yet, for this reason.
    pub(crate) fn waits(&self, why: &str) {
        self.tell("lifecycle", json!({"phase": "waiting", "reason": why}));
    }

    /// The run is over: what it has said in the end, or why it failed.
    pub(crate) fn ends(&self, started: Option<u64>, ended: u64, error: Option<&str>) {
        self.context
            .hub
            .together(|| self.tell_end(started, ended, error));
    }

    fn tell_end(&self, started: Option<u64>, ended: u64, error: Option<&str>) {
        // The last `chat` event comes at once.
        self.state.borrow_mut().chatted = Some(Moment::now());
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
        self.context.hub.together(|| {
            // The last `chat` event comes at once.
            self.state.borrow_mut().chatted = Some(Moment::now());
            self.flush();
            self.chat(ChatState::Aborted, None, None, Some(why.to_owned()));
            let mut data = json!({"phase": "end", "endedAt": ended, "aborted": true});
            if let Some(started) = started {
                data["startedAt"] = started.into();
            }
            self.tell("lifecycle", data);
        });
    }

    /// An answer that no model has written, or none: the message was heard by another run.
    pub(crate) fn answers(&self, message: Option<ChatMessage>) {
        let payload = ChatPayload {
            run_id: self.run.clone(),
            session_key: self.session.clone(),
            seq: self.state.borrow().seq + 1,
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
        let owed = self.state.borrow().owes();
        let goes_on = self.state.borrow().text.len() + delta.len() == text.len();
        if delta.is_empty() {
            self.feed.anew();
            self.state.borrow_mut().unsent.clear();
        } else if !goes_on {
            // Another answer of the same turn: the one before it is told whole, and whoever follows reads on below.
            self.flush();
            if !self.state.borrow().text.is_empty() {
                self.feed.grows("\n\n");
            }
        }
        self.feed.grows(delta);
        {
            let mut state = self.state.borrow_mut();
            if goes_on {
                state.text.push_str(delta);
            } else {
                text.clone_into(&mut state.text);
            }
            state.unsent.push_str(delta);
        }
        self.send_what_is_due(Moment::now());
        if self.state.borrow().owes() != owed {
            self.held_back.notify_one();
        }
    }

    /// Sends what is due of what was held back, for as long as it is polled: also when the model says nothing more for a while.
    pub(crate) async fn keep_up(&self) -> Infallible {
        loop {
            let now = Moment::now();
            let waits = {
                let state = self.state.borrow();
                let waits = [state.text_waits(now), state.chat_waits(now)];
                waits.into_iter().flatten().min()
            };
            match waits {
                None => self.held_back.notified().await,
                Some(Duration::ZERO) => self.send_what_is_due(now),
                // More may be held back meanwhile, and be due before.
                Some(wait) => drop(timeout(wait, self.held_back.notified()).await),
            }
        }
    }

    fn send_what_is_due(&self, now: Moment) {
        let waits = self.state.borrow().text_waits(now);
        if waits == Some(Duration::ZERO) {
            self.flush();
        } else {
            self.chat_if_due(now);
        }
    }

    /// Sends what there is of the text.
    fn flush(&self) {
        let now = Moment::now();
        let data = {
            let mut state = self.state.borrow_mut();
            if state.unsent.is_empty() {
                return;
            }
            state.sent = Some(now);
            state.is_chat_behind = true;
            let delta = std::mem::take(&mut state.unsent);
            json!({"text": state.text, "delta": delta})
        };
        self.context.hub.together(|| {
            self.tell("assistant", data);
            self.chat_if_due(now);
        });
    }

    fn chat_if_due(&self, now: Moment) {
        let text = {
            let mut state = self.state.borrow_mut();
            if state.chat_waits(now) != Some(Duration::ZERO) {
                return;
            }
            state.is_chat_behind = false;
            state.chatted = Some(now);
            state.text.clone()
        };
        self.chat(ChatState::Delta, Some(text), None, None);
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
        // What no step of the run has caused counts as the step after the last.
        let is_step = state != ChatState::Aborted;
        let payload = ChatPayload {
            run_id: self.run.clone(),
            session_key: self.session.clone(),
            seq: self.state.borrow().seq + u64::from(!is_step),
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
    let mut result = json!({ "content": content });
    if !output.details.is_null() {
        result["details"] = output.details.clone();
    }
    result
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use openclaw_agent::turn::TurnEvent;
    use serde_json::{Value, json};

    use super::Telling;
    use crate::testing::{Client, Gateway, Seen};

    async fn next(client: &mut Client) -> Value {
        let Seen::Frame(frame) = client.see().await else {
            panic!("the connection has ended");
        };
        frame
    }

    #[tokio::test(flavor = "local")]
    async fn what_a_model_says_at_once_is_one_step_and_told_though_it_says_nothing_more() {
        let gateway = Gateway::start().await;
        let (mut client, _) = gateway.client().await;
        let telling = Telling::new(gateway.context.clone(), "r1", "main", Arc::default());
        let mut text = String::new();
        for word in ["one", " two", " three"] {
            text.push_str(word);
            telling.step(&TurnEvent::Text {
                text: &text,
                delta: word,
            });
        }
        let mut steps = Vec::new();
        let mut chat = Value::Null;
        // The answer has not ended: nobody but the clock sends what was held back.
        let all_told = async {
            while chat["message"]["content"][0]["text"] != "one two three" {
                let mut frame = next(&mut client).await;
                match frame["event"].as_str() {
                    Some("agent") => steps.push(frame["payload"]["data"].take()),
                    Some("chat") => chat = frame["payload"].take(),
                    Some(_) | None => {}
                }
            }
        };
        tokio::select! {
            never = telling.keep_up() => match never {},
            () = all_told => {}
        }
        assert_eq!(steps[0], json!({"text": "one", "delta": "one"}));
        assert_eq!(steps.last().unwrap()["text"], "one two three");
        let said: Vec<&str> = (steps.iter())
            .map(|it| it["delta"].as_str().unwrap())
            .collect();
        assert_eq!(said.concat(), "one two three");
        assert_eq!(
            (&chat["state"], &chat["seq"]),
            (&json!("delta"), &json!(steps.len()))
        );
    }
}
