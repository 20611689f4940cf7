//! `process`: the commands that go on in the background.
//!
//! Invariant: there are only so many, they keep only so much, and they end with whoever holds [`Processes`].

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use openclaw_shared::clock::WallTime;
use openclaw_shared::transcript::Part;
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::arguments::Arguments;
use super::exec::{Exited, OnExit, Session};
use super::spec;
use crate::model::ToolSpec;
use crate::tool::{Call, Tool, ToolError, ToolOutput};

const NAME: &str = "process";
/// So many commands go on at once.
const MOST_RUNNING: usize = 32;
/// So many that have ended are remembered.
const MOST_ENDED: usize = 64;
/// For how long.
const REMEMBERED: Duration = Duration::from_secs(30 * 60);
/// How long the end of what is killed is waited for. Only what hangs in the kernel takes longer.
const GOING: Duration = Duration::from_secs(10);
/// So many lines of a log are shown when none are asked for.
const MOST_LINES: usize = 200;

/// The commands in the background, of all agents of one gateway. They end when the last of these goes.
#[derive(Clone, Default)]
pub struct Processes {
    inner: Rc<RefCell<Inner>>,
}

impl std::fmt::Debug for Processes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = self.inner.borrow().sessions.len();
        formatter.debug_tuple("Processes").field(&count).finish()
    }
}

#[derive(Default)]
struct Inner {
    /// The oldest first.
    sessions: Vec<Rc<Session>>,
    tasks: JoinSet<()>,
}

impl Processes {
    /// Goes on with a command that nobody waits for any more, or gives it back when there is no room.
    pub(super) fn adopt(
        &self,
        session: &Rc<Session>,
        running: LocalBoxFuture<'static, ()>,
        on_exit: Option<OnExit>,
    ) -> Result<(), LocalBoxFuture<'static, ()>> {
        let mut inner = self.inner.borrow_mut();
        inner.forget();
        let active = inner.sessions.iter().filter(|session| !session.has_ended());
        let is_taken = inner.sessions.iter().any(|other| other.id == session.id);
        if active.count() >= MOST_RUNNING || is_taken {
            return Err(running);
        }
        inner.sessions.push(Rc::clone(session));
        let session = Rc::clone(session);
        inner.tasks.spawn_local(async move {
            running.await;
            if let Some(told) = on_exit {
                told(&Exited {
                    session: session.id.clone(),
                    name: session.name.clone(),
                    how: session.end().how(),
                    tail: session.tail(),
                });
            }
        });
        Ok(())
    }

    /// How many go on.
    #[must_use]
    pub fn running(&self) -> usize {
        let inner = self.inner.borrow();
        let active = inner.sessions.iter().filter(|session| !session.has_ended());
        active.count()
    }

    fn of(&self, agent: &str) -> Vec<Rc<Session>> {
        let mut inner = self.inner.borrow_mut();
        inner.forget();
        let sessions = inner.sessions.iter();
        sessions
            .filter(|session| session.agent == agent)
            .cloned()
            .collect()
    }

    fn find(&self, agent: &str, id: &str) -> Option<Rc<Session>> {
        self.of(agent).into_iter().find(|session| session.id == id)
    }

    fn remove(&self, gone: &Rc<Session>) {
        let mut inner = self.inner.borrow_mut();
        inner.sessions.retain(|session| !Rc::ptr_eq(session, gone));
    }
}

impl Inner {
    /// Forgets what ended long ago, and the oldest of too many.
    fn forget(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        let now = WallTime::now();
        self.sessions.retain(|session| {
            let at = WallTime::from_millis(session.end().at);
            !session.has_ended() || now.since(at) < REMEMBERED
        });
        let ended = self.sessions.iter().filter(|it| it.has_ended()).count();
        let mut surplus = ended.saturating_sub(MOST_ENDED);
        self.sessions.retain(|session| {
            let goes = surplus > 0 && session.has_ended();
            surplus -= usize::from(goes);
            !goes
        });
    }
}

/// The tool.
pub(super) struct Process {
    spec: ToolSpec,
    agent: String,
    processes: Processes,
}

impl Process {
    pub(super) fn new(agent: String, processes: Processes) -> Self {
        let spec = spec(
            NAME,
            "Manage running exec sessions: list, poll, log, write, submit, paste, kill, clear, remove.",
            &["action"],
            json!({
                "action": { "description": "Process action", "type": "string" },
                "sessionId": { "description": "Session id for actions other than list", "type": "string" },
                "data": { "description": "Data to write for write", "type": "string" },
                "text": { "description": "Text to paste for paste", "type": "string" },
                "eof": { "description": "Close stdin after write", "type": "boolean" },
                "offset": { "description": "Log offset", "type": "number" },
                "limit": { "description": "Log length", "type": "number" },
            }),
        );
        Self {
            spec,
            agent,
            processes,
        }
    }
}

impl Tool for Process {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn call<'a>(&'a self, call: Call<'a>) -> LocalBoxFuture<'a, Result<ToolOutput, ToolError>> {
        async move {
            let arguments = Arguments::new(NAME, &call.arguments);
            let action = arguments.required(&["action"])?;
            if action == "list" {
                return Ok(listed(self.processes.of(&self.agent)));
            }
            let Some(id) = arguments.text(&["sessionId"]) else {
                return Ok(refused("sessionId is required for this action."));
            };
            let found = self.processes.find(&self.agent, id);
            let active = found.clone().filter(|session| !session.has_ended());
            let inactive = || Ok(refused(&format!("No active session found for {id}")));
            match action {
                "poll" => Ok(match found {
                    Some(session) => polled(&session),
                    None => refused(&format!("No session found for {id}")),
                }),
                "log" => Ok(match found {
                    Some(session) => {
                        let (offset, limit) =
                            (arguments.integer("offset")?, arguments.integer("limit")?);
                        logged(&session, offset, limit)
                    }
                    None => refused(&format!("No session found for {id}")),
                }),
                "write" | "paste" | "submit" => {
                    let Some(session) = active else {
                        return inactive();
                    };
                    let is_last = action == "write" && arguments.flag("eof");
                    let data = match action {
                        "write" => arguments.text(&["data"]).unwrap_or_default(),
                        "paste" => arguments.text(&["text"]).unwrap_or_default(),
                        _ => "\r",
                    };
                    Ok(match session.write(data.as_bytes(), is_last).await {
                        Ok(()) => {
                            let closed = if is_last { " (stdin closed)" } else { "" };
                            let size = data.len();
                            let says = match action {
                                "submit" => format!("Submitted session {id} (sent CR)."),
                                _ => format!("Wrote {size} bytes to session {id}{closed}."),
                            };
                            about(&session, says, Map::new())
                        }
                        Err(error) => refused(&format!("Cannot write to session {id}: {error}")),
                    })
                }
                "kill" => {
                    let Some(session) = active else {
                        return inactive();
                    };
                    ended(&session).await;
                    Ok(about(&session, format!("Killed session {id}."), Map::new()))
                }
                "clear" => Ok(match found.filter(|session| session.has_ended()) {
                    Some(session) => {
                        self.processes.remove(&session);
                        done(format!("Cleared session {id}."))
                    }
                    None => refused(&format!("No finished session found for {id}")),
                }),
                "remove" => Ok(match found {
                    Some(session) => {
                        ended(&session).await;
                        self.processes.remove(&session);
                        done(format!("Removed session {id}."))
                    }
                    None => refused(&format!("No session found for {id}")),
                }),
                other => Ok(refused(&format!("Unknown action {other}"))),
            }
        }
        .boxed_local()
    }

    fn summary(&self, arguments: &Map<String, Value>) -> Option<String> {
        let arguments = Arguments::new(NAME, arguments);
        let action = arguments.text(&["action"])?;
        Some(match arguments.text(&["sessionId"]) {
            Some(id) => format!("{action} {id}"),
            None => action.to_owned(),
        })
    }
}

/// Ends a command and waits for it to be gone.
async fn ended(session: &Session) {
    session.stop();
    let gone = async {
        while !session.has_ended() {
            session.changed().await;
        }
    };
    // What is not gone by then goes on being ended by its keeper.
    let _ = timeout(GOING, gone).await;
}

fn done(says: String) -> ToolOutput {
    ToolOutput {
        content: vec![Part::text(says)],
        details: json!({ "status": "completed" }),
        is_error: false,
    }
}

fn refused(says: &str) -> ToolOutput {
    ToolOutput {
        content: vec![Part::text(says)],
        details: json!({ "status": "failed" }),
        is_error: true,
    }
}

/// Something about a command, with how it stands.
fn about(session: &Session, says: String, more: Map<String, Value>) -> ToolOutput {
    let mut details = Map::new();
    details.insert("status".to_owned(), session.status().into());
    details.insert("sessionId".to_owned(), session.id.as_str().into());
    details.extend(more);
    if session.has_ended()
        && let Some(code) = session.end().exit_code
    {
        details.insert("exitCode".to_owned(), code.into());
    }
    details.insert("name".to_owned(), session.name.as_str().into());
    ToolOutput {
        content: vec![Part::text(says)],
        details: details.into(),
        is_error: false,
    }
}

fn polled(session: &Session) -> ToolOutput {
    let is_over = session.has_ended();
    // The end is told with everything, so that whoever polls once has all of it.
    let new = if is_over {
        session.output()
    } else {
        session.poll()
    };
    let shown = if new.is_empty() {
        "(no new output)"
    } else {
        &new
    };
    let shown = if is_over { shown } else { shown.trim_end() };
    let how = if is_over {
        let end = session.end();
        let late = if end.timed_out { " (timed out)" } else { "" };
        format!("\n\nProcess exited with {}{late}.", end.how())
    } else {
        "\n\nProcess still running.".to_owned()
    };
    let mut more = Map::new();
    more.insert("aggregated".to_owned(), session.output().into());
    about(session, format!("{shown}{how}"), more)
}

fn logged(session: &Session, offset: Option<usize>, limit: Option<usize>) -> ToolOutput {
    let output = session.output();
    let lines: Vec<&str> = output.lines().collect();
    let total = lines.len();
    let most = limit.unwrap_or(MOST_LINES);
    let first = offset.unwrap_or(total.saturating_sub(most)).min(total);
    let shown = &lines[first..total.min(first.saturating_add(most))];
    let text = if shown.is_empty() {
        "(no output)".to_owned()
    } else {
        shown.join("\n")
    };
    let mut more = Map::new();
    more.insert("total".to_owned(), total.into());
    more.insert("totalLines".to_owned(), total.into());
    more.insert("totalChars".to_owned(), output.chars().count().into());
    more.insert("truncated".to_owned(), session.is_cut().into());
    about(session, text, more)
}

fn listed(mut sessions: Vec<Rc<Session>>) -> ToolOutput {
    sessions.sort_by_key(|session| session.has_ended());
    let details: Vec<Value> = sessions.iter().map(|session| shown(session)).collect();
    let mut lines: Vec<(u64, String)> = sessions
        .iter()
        .map(|session| {
            let runtime = for_people(session.runtime());
            let line = format!(
                "{} {:<9} {runtime:>5} :: {}",
                session.id,
                session.status(),
                session.name
            );
            (session.started_at.as_millis(), line)
        })
        .collect();
    lines.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let lines: Vec<String> = lines.into_iter().map(|(_, line)| line).collect();
    let text = if lines.is_empty() {
        "No running or recent sessions.".to_owned()
    } else {
        lines.join("\n")
    };
    ToolOutput {
        content: vec![Part::text(text)],
        details: json!({ "status": "completed", "sessions": details }),
        is_error: false,
    }
}

fn shown(session: &Session) -> Value {
    let end = session.end();
    let is_over = session.has_ended();
    let mut shown = json!({
        "sessionId": session.id,
        "status": session.status(),
        "pid": session.pid().filter(|_| !is_over),
        "startedAt": session.started_at.as_millis(),
        "endedAt": is_over.then_some(end.at),
        "runtimeMs": u64::try_from(session.runtime().as_millis()).unwrap_or(u64::MAX),
        "cwd": session.cwd,
        "command": session.command,
        "name": session.name,
        "tail": session.tail(),
        "truncated": session.is_cut(),
        "exitCode": end.exit_code,
        "exitSignal": end.signal,
    });
    if let Some(members) = shown.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    shown
}

fn for_people(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{}ms", time.as_millis()),
        1..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{}s", seconds / 60, seconds % 60),
        _ => format!("{}h{}m", seconds / 3_600, seconds / 60 % 60),
    }
}
