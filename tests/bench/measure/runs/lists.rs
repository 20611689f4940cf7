//! Very many sessions, and a very long conversation.
//!
//! They are written as the peer keeps them, before it is started; ours takes them over with `openclaw doctor`. Either has a home of its
//! own, because a state of that size would be in the way of everything else that is measured.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use openclaw_shared::clock::{Moment, WallTime};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::{ANSWERED_WITHIN, has};
use crate::connection::Connection;
use crate::options::Options;
use crate::output::grouped;
use crate::process::{resident_megabytes, tree_megabytes};
use crate::results::{Goal, Metric, Results, Section};
use crate::stats::{count, ms, percentile};
use crate::subject::{Prepared, Subject};
use crate::wire::{self, Incoming};

/// How often a list or a history is asked for, after the first time.
const LOOKS: usize = 15;
/// What ours should be better by at lists of sessions.
const TIMES_PEER: f64 = 20.0;
/// How many messages a history shows at most.
const SHOWN: usize = 1000;
/// The session of the long conversation, and the conversation.
const LONG: &str = "agent:main:long";
const LONG_ID: &str = "10000000-0000-4000-8000-000000000000";

pub(super) async fn measure(
    subject: Subject,
    options: &Options,
    results: &mut Results,
) -> Result<()> {
    let prepared = Prepared::new(subject, &options.programs())?;
    let folder = prepared.state_folder().join("agents/main/sessions");
    fill(&folder, options.sessions, options.messages).context("cannot write the sessions")?;
    prepared.take_over()?;
    let mut running = prepared.launch()?;
    let mut connection = running.first_hello().await?;
    let root = running.root();

    let sessions = grouped(count(options.sessions));
    let list = Question {
        method: "sessions.list",
        params: "{}".to_owned(),
        shows: format!(r#""count":{}"#, options.sessions + 1),
        name: format!("`sessions.list` of {sessions} sessions"),
        goal: Some(Goal::TimesPeer(TIMES_PEER)),
    };
    list.ask_often(&mut connection, subject, results).await?;
    let memory = |what: &str| {
        let name = format!("memory at {sessions} sessions, listed, all processes, {what}");
        Metric::lower(Section::Runs, name, "MB")
    };
    results.add(memory("PSS"), subject, tree_megabytes(root));
    results.add(memory("RSS"), subject, resident_megabytes(root));

    let messages = grouped(count(options.messages));
    let history = Question {
        method: "chat.history",
        params: json!({"sessionKey": LONG, "limit": SHOWN}).to_string(),
        shows: format!("message {} of", options.messages.saturating_sub(1)),
        name: format!(
            "`chat.history` of {messages} messages, the last {}",
            grouped(count(SHOWN.min(options.messages)))
        ),
        goal: None,
    };
    history.ask_often(&mut connection, subject, results).await
}

/// Something that is asked for over and over.
struct Question {
    method: &'static str,
    params: String,
    /// What its answer holds when it is whole.
    shows: String,
    name: String,
    goal: Option<Goal>,
}

impl Question {
    async fn ask_often(
        &self,
        connection: &mut Connection,
        subject: Subject,
        results: &mut Results,
    ) -> Result<()> {
        let first = self.ask(connection).await?;
        let name = format!("{}: the first after a start", self.name);
        results.add(Metric::lower(Section::Runs, name, "ms"), subject, ms(first));
        let mut took = Vec::new();
        for _ in 0..LOOKS {
            took.push(self.ask(connection).await?);
        }
        if let Some(middle) = percentile(took, 500) {
            let mut metric = Metric::lower(Section::Runs, &*self.name, "ms");
            metric.goals.extend(self.goal);
            results.add(metric, subject, ms(middle));
        }
        Ok(())
    }

    async fn ask(&self, connection: &mut Connection) -> Result<Duration> {
        let start = Moment::now();
        connection
            .write(&wire::request(1, self.method, &self.params))
            .await?;
        loop {
            while let Some((incoming, text)) = connection.next_text() {
                let took = Moment::now().since(start);
                match incoming {
                    Incoming::Answer { ok: true, .. } => {
                        ensure!(
                            has(text, self.shows.as_bytes()),
                            "{} did not show {}",
                            self.method,
                            self.shows
                        );
                        return Ok(took);
                    }
                    Incoming::Answer { ok: false, .. } | Incoming::Closed(_) => {
                        bail!("{}: {}", self.method, String::from_utf8_lossy(text));
                    }
                    Incoming::Hello | Incoming::Other => {}
                }
            }
            let more = timeout(ANSWERED_WITHIN, connection.fill()).await;
            ensure!(more.context("not answered in time")??, "cut off");
        }
    }
}

/// Writes sessions as the peer keeps them: an index, and the conversation of the long one.
fn fill(folder: &Path, sessions: usize, messages: usize) -> Result<()> {
    fs::create_dir_all(folder)?;
    let now = WallTime::now().as_millis();
    let entry = |id: &str, age: usize| {
        json!({
            "sessionId": id,
            "updatedAt": now.saturating_sub(u64::try_from(age).unwrap_or_default() * 1000),
            "systemSent": true,
            "abortedLastRun": false,
            "thinkingLevel": "low",
            "modelProvider": "stand-in",
            "model": "m1",
            "contextTokens": 200_000,
            "inputTokens": 1200,
            "outputTokens": 200,
            "totalTokens": 1400,
        })
    };
    let mut index = Map::new();
    for number in 0..sessions {
        let id = format!("{number:08x}-0000-4000-8000-000000000000");
        index.insert(format!("agent:main:list-{number}"), entry(&id, number + 1));
    }
    index.insert(LONG.to_owned(), entry(LONG_ID, 0));
    fs::write(
        folder.join("sessions.json"),
        Value::Object(index).to_string(),
    )?;
    fs::write(
        folder.join(format!("{LONG_ID}.jsonl")),
        conversation(messages)?,
    )?;
    Ok(())
}

/// A conversation, a line for each message.
fn conversation(messages: usize) -> Result<String> {
    let stamp = "2026-01-30T00:00:00.000Z";
    let mut text = String::new();
    let header =
        json!({"type": "session", "version": 3, "id": LONG_ID, "timestamp": stamp, "cwd": "/"});
    writeln!(text, "{header}")?;
    let mut parent = Value::Null;
    for number in 0..messages {
        let said = [
            json!({"type": "text", "text": format!("message {number} of a long conversation, a line that people would write")}),
        ];
        let message = if number % 2 == 0 {
            json!({"role": "user", "content": said, "timestamp": 1_769_700_000_000_u64})
        } else {
            json!({
                "role": "assistant", "content": said, "api": "openai-completions", "provider": "stand-in", "model": "m1",
                "usage": {
                    "input": 10, "output": 10, "cacheRead": 0, "cacheWrite": 0, "totalTokens": 20,
                    "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0, "total": 0},
                },
                "stopReason": "stop", "timestamp": 1_769_700_000_000_u64,
            })
        };
        let id = format!("{number:08x}");
        let line = json!({"type": "message", "id": id, "parentId": parent, "timestamp": stamp, "message": message});
        writeln!(text, "{line}")?;
        parent = id.into();
    }
    Ok(text)
}
