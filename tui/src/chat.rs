//! The chat: what it knows, what happens to it, and what it wants done.                                   (pure)
//!
//! The shell tells it everything by [`Chat::on`] and performs the effects that come back; [`crate::view`] shows it.

use openclaw_client::harmless;
use openclaw_shared::clock::Moment;
use openclaw_shared::tui::TuiLaunch;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::editor::Editor;
use crate::names::Names;
use crate::scrollback::{Kind, Scrollback};

mod commands;
mod incoming;
mod keys;
mod picker;

pub(crate) use picker::Picker;

/// How many runs are followed at once; of more, the status line knows nothing.
const RUNS: usize = 32;
/// How many sessions can be picked from.
const PICKED_FROM: u32 = 100;

/// Something that happens to the chat.
#[derive(Debug)]
pub(crate) enum Happened {
    /// A key was pressed.
    Key(crossterm::event::KeyEvent),
    /// Text was pasted.
    Pasted(String),
    /// The gateway is asked to let us in.
    Connecting,
    /// It has: the payload of its hello.
    Up(Value),
    /// The connection is gone, or could not be made; it is tried again after a while.
    Down(String),
    /// The gateway has answered.
    Answered(Ask, Result<Value, String>),
    /// The gateway has told something.
    Event { name: String, payload: Value },
}

/// What the gateway is asked for, and what its answer is then for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    /// What was said in this session.
    History(String),
    /// How this session is set.
    Standing(String),
    /// The sessions to pick from.
    Sessions,
    /// To have this run done.
    Send(String),
    /// To stop what runs.
    Abort,
    /// To begin this session again.
    Reset(String),
    /// Whether this run has ended.
    Ended(String),
}

/// Something that the chat wants done.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Ask the gateway.
    Call(Ask, &'static str, Value),
    /// Draw everything anew.
    Redraw,
    /// End.
    Quit,
}

/// How the connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    Connecting,
    Up,
    Down { why: String },
}

/// A run that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) since: Moment,
    /// What was said to begin it, when it was said here.
    said: Option<String>,
    /// The parameters, while the gateway has not said that it has them.
    unsaid: Option<Value>,
}

/// How the open session is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) model: String,
    pub(crate) thinking: String,
    pub(crate) tokens: Option<(u64, u64)>,
}

/// The chat.
#[derive(Debug)]
pub(crate) struct Chat {
    pub(crate) link: Link,
    pub(crate) url: String,
    pub(crate) names: Names,
    /// The open session; empty before the gateway has said what the main one is called.
    pub(crate) session: String,
    pub(crate) standing: Standing,
    pub(crate) scrollback: Scrollback,
    pub(crate) editor: Editor,
    pub(crate) picker: Option<Picker>,
    pub(crate) runs: Vec<Run>,
    /// How many lines are below what is shown.
    pub(crate) below: usize,
    /// How many lines there were when they were last shown, and how many fit.
    pub(crate) seen: (usize, usize),
    /// Whether another Ctrl-C ends the chat.
    pub(crate) is_leaving: bool,
    /// Why there is no connection, as it was last said.
    trouble: Option<String>,
    asked_for: Option<String>,
    thinking: Option<String>,
    deliver: bool,
    timeout_ms: Option<u64>,
    first_message: Option<String>,
    history_limit: u32,
}

impl Chat {
    /// A chat that has not met its gateway.
    pub(crate) fn new(launch: &TuiLaunch) -> Self {
        Self {
            link: Link::Connecting,
            url: launch.url.clone(),
            names: Names::default(),
            session: String::new(),
            standing: Standing::default(),
            scrollback: Scrollback::default(),
            editor: Editor::default(),
            picker: None,
            runs: Vec::new(),
            below: 0,
            seen: (0, 0),
            is_leaving: false,
            trouble: None,
            asked_for: launch.session.clone(),
            thinking: launch.thinking.clone(),
            deliver: launch.deliver,
            timeout_ms: launch.timeout_ms,
            first_message: launch
                .message
                .clone()
                .filter(|text| !text.trim().is_empty()),
            history_limit: launch.history_limit.clamp(1, 1_000),
        }
    }

    /// The agent of the open session.
    pub(crate) fn agent(&self) -> &str {
        self.names.agent(&self.session)
    }

    /// Whether something runs that Esc would stop.
    pub(crate) const fn is_busy(&self) -> bool {
        !self.runs.is_empty()
    }

    /// Takes in what happens.
    #[must_use = "effects that are not performed are requests that nobody hears"]
    pub(crate) fn on(&mut self, now: Moment, happened: Happened) -> Vec<Effect> {
        match happened {
            Happened::Key(key) => self.key(now, key),
            Happened::Pasted(text) => {
                self.paste(&text);
                Vec::new()
            }
            Happened::Connecting => {
                self.link = Link::Connecting;
                Vec::new()
            }
            Happened::Up(hello) => self.up(now, &hello),
            Happened::Down(why) => {
                self.down(why);
                Vec::new()
            }
            Happened::Answered(ask, answer) => self.answered(ask, answer),
            Happened::Event { name, payload } => self.event(now, &name, &payload),
        }
    }

    /// The connection is there. What was asked on an earlier one is asked again: under the same key, nothing is done twice.
    fn up(&mut self, now: Moment, hello: &Value) -> Vec<Effect> {
        if let Ok(defaults) = serde_json::from_value(hello["snapshot"]["sessionDefaults"].clone()) {
            self.names = Names::new(defaults);
        }
        self.link = Link::Up;
        self.trouble = None;
        if self.session.is_empty() {
            let agent = self.names.agent(self.names.main()).to_owned();
            self.session = match self.asked_for.take() {
                Some(name) => self.names.key(&name, &agent),
                None => self.names.main().to_owned(),
            };
        }
        let mut effects = self.look();
        for run in &self.runs {
            effects.push(match &run.unsaid {
                Some(params) => {
                    Effect::Call(Ask::Send(run.id.clone()), "chat.send", params.clone())
                }
                None => Effect::Call(
                    Ask::Ended(run.id.clone()),
                    "agent.wait",
                    json!({ "runId": run.id, "timeoutMs": 0 }),
                ),
            });
        }
        if let Some(message) = self.first_message.take() {
            effects.extend(self.send(now, &message));
        }
        effects
    }

    fn down(&mut self, why: String) {
        let why = harmless(&why).replace('\n', " ");
        // Once, and not again with each attempt.
        if self.trouble.as_ref() != Some(&why) {
            self.scrollback
                .push(Kind::Failure, &format!("Not connected: {why}"));
            self.trouble = Some(why.clone());
        }
        self.link = Link::Down { why };
        self.picker = self.picker.take().filter(|picker| !picker.is_waiting());
    }

    /// Asks what was said in the open session, and how it is set.
    fn look(&self) -> Vec<Effect> {
        let key = &self.session;
        vec![
            Effect::Call(
                Ask::History(key.clone()),
                "chat.history",
                json!({ "sessionKey": key, "limit": self.history_limit }),
            ),
            self.ask_standing(),
        ]
    }

    fn ask_standing(&self) -> Effect {
        let params = json!({ "search": self.session, "includeGlobal": true, "includeUnknown": true, "limit": 20 });
        Effect::Call(Ask::Standing(self.session.clone()), "sessions.list", params)
    }

    /// Opens a session.
    fn open(&mut self, key: String) -> Vec<Effect> {
        self.picker = None;
        self.session = key;
        self.standing = Standing::default();
        self.scrollback.clear();
        self.runs.clear();
        self.below = 0;
        self.look()
    }

    /// Says something to the agent; without a connection, as soon as there is one.
    fn send(&mut self, now: Moment, text: &str) -> Vec<Effect> {
        let id = Uuid::new_v4().to_string();
        let mut params = json!({
            "sessionKey": self.session,
            "message": text,
            "idempotencyKey": id,
            "deliver": self.deliver,
        });
        if let Some(thinking) = &self.thinking {
            params["thinking"] = thinking.as_str().into();
        }
        if let Some(timeout) = self.timeout_ms {
            params["timeoutMs"] = timeout.into();
        }
        self.scrollback.push(Kind::User, text);
        self.below = 0;
        self.runs.truncate(RUNS - 1);
        self.runs.push(Run {
            id: id.clone(),
            since: now,
            said: Some(text.to_owned()),
            unsaid: Some(params.clone()),
        });
        match self.link {
            Link::Up => vec![Effect::Call(Ask::Send(id), "chat.send", params)],
            Link::Connecting | Link::Down { .. } => Vec::new(),
        }
    }

    /// Stops what runs in the open session. Without a connection, what the gateway has not got is not sent any more.
    fn abort(&mut self) -> Vec<Effect> {
        if self.link != Link::Up {
            let before = self.runs.len();
            self.runs.retain(|run| run.unsaid.is_none());
            return match self.runs.len() < before {
                true => self.refuse("Not connected; what was not sent stays unsent."),
                false => self.refuse("Not connected."),
            };
        }
        let params = json!({ "sessionKey": self.session });
        vec![Effect::Call(Ask::Abort, "chat.abort", params)]
    }

    fn pick_session(&mut self) -> Vec<Effect> {
        if self.link != Link::Up {
            return self.refuse("Not connected.");
        }
        self.picker = Some(Picker::default());
        let params =
            json!({ "limit": PICKED_FROM, "includeGlobal": true, "includeDerivedTitles": true });
        vec![Effect::Call(Ask::Sessions, "sessions.list", params)]
    }

    fn notice(&mut self, text: &str) {
        self.scrollback.push(Kind::Notice, text);
    }

    /// Says why something is not done.
    fn refuse(&mut self, why: &str) -> Vec<Effect> {
        self.scrollback.push(Kind::Failure, why);
        Vec::new()
    }
}

#[cfg(test)]
mod tests;
