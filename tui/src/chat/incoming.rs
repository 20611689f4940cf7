//! What the gateway says: answers to what was asked, and events.

use openclaw_shared::clock::Moment;
use openclaw_shared::transcript::{Message, Part, text_of};
use serde::Deserialize as _;
use serde_json::Value;

use super::{Ask, Chat, Effect, RUNS, Run, Standing};
use crate::scrollback::Kind;

impl Chat {
    pub(super) fn answered(&mut self, ask: Ask, answer: Result<Value, String>) -> Vec<Effect> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(why) => return self.refused(&ask, &why),
        };
        match ask {
            Ask::History(session) if session == self.session => {
                let messages = list(&answer["messages"]);
                self.scrollback.show(messages);
                if let Some(level) = answer["thinkingLevel"].as_str() {
                    level.clone_into(&mut self.standing.thinking);
                }
                // What waits for its turn is not in the transcript yet.
                let newest = &messages[messages.len().saturating_sub(RUNS)..];
                for text in self.runs.iter().filter_map(|run| run.said.as_deref()) {
                    if !newest.iter().any(|message| is_said_in(text, message)) {
                        self.scrollback.push(Kind::User, text);
                    }
                }
            }
            Ask::Standing(session) if session == self.session => {
                let row = list(&answer["sessions"])
                    .iter()
                    .find(|row| row["key"] == *session);
                self.standing = standing(
                    row.unwrap_or(&Value::Null),
                    &answer["defaults"],
                    &self.standing,
                );
            }
            Ask::Sessions => {
                if let Some(picker) = &mut self.picker {
                    picker.fill(&answer);
                }
            }
            Ask::Send(run) => return self.taken(&run, &answer),
            Ask::Reset(session) if session == self.session => {
                let effects = self.open(session);
                self.notice("A new conversation.");
                return effects;
            }
            Ask::Abort if answer["aborted"] != true => {
                // Then nothing of ours runs any more, whatever we thought.
                self.runs.retain(|run| run.said.is_none());
                self.notice("Nothing was stopped.");
            }
            Ask::Ended(run) if answer["status"] != "timeout" => {
                self.forget(&run);
                return self.look();
            }
            // About a session that was left meanwhile, or told by events.
            Ask::History(_) | Ask::Standing(_) | Ask::Reset(_) | Ask::Abort | Ask::Ended(_) => {}
        }
        Vec::new()
    }

    fn refused(&mut self, ask: &Ask, why: &str) -> Vec<Effect> {
        match ask {
            Ask::Send(run) => self.forget(run),
            Ask::Sessions => self.picker = None,
            // What cannot be said does not stand in the way of chatting.
            Ask::Standing(_) | Ask::Ended(_) => return Vec::new(),
            Ask::History(_) | Ask::Abort | Ask::Reset(_) => {}
        }
        self.refuse(why)
    }

    /// The gateway has a message of ours, or had it already.
    fn taken(&mut self, run: &str, answer: &Value) -> Vec<Effect> {
        if let Some(known) = self.runs.iter_mut().find(|known| known.id == run) {
            known.unsaid = None;
        }
        let is_over = answer["status"] == "ok";
        // A word that stops runs begins none.
        if is_over || answer["aborted"].is_boolean() {
            self.forget(run);
        }
        match is_over {
            true => self.look(),
            false => Vec::new(),
        }
    }

    pub(super) fn event(&mut self, now: Moment, name: &str, payload: &Value) -> Vec<Effect> {
        let is_here = |key: &str| self.names.are_same(key, &self.session);
        match name {
            "chat" | "agent" if payload["sessionKey"].as_str().is_some_and(is_here) => {}
            _ => return Vec::new(),
        }
        let Some(run) = payload["runId"].as_str() else {
            return Vec::new();
        };
        match name {
            "chat" => self.chat(now, run, payload),
            _ => {
                self.step(now, run, payload);
                Vec::new()
            }
        }
    }

    /// The answer of a run, for people.
    fn chat(&mut self, now: Moment, run: &str, payload: &Value) -> Vec<Effect> {
        let parts = Vec::<Part>::deserialize(&payload["message"]["content"]);
        let text = parts.ok().map(|parts| text_of(&parts));
        match payload["state"].as_str() {
            Some("delta") => {
                self.know(now, run);
                self.scrollback.grow(run, &text.unwrap_or_default());
                Vec::new()
            }
            Some("final") => {
                let is_ours = self
                    .runs
                    .iter()
                    .any(|known| known.id == run && known.said.is_some());
                self.scrollback.end(run, text.as_deref());
                self.forget(run);
                match is_ours {
                    true => vec![self.ask_standing()],
                    // What was asked by others is in the transcript only.
                    false => self.look(),
                }
            }
            Some("aborted") => {
                self.scrollback.end(run, None);
                self.forget(run);
                self.notice("Stopped.");
                Vec::new()
            }
            Some("error") => {
                self.scrollback.end(run, None);
                self.forget(run);
                let why = payload["errorMessage"]
                    .as_str()
                    .unwrap_or("The run failed.");
                self.refuse(why)
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// A step of a run.
    fn step(&mut self, now: Moment, run: &str, payload: &Value) {
        let data = &payload["data"];
        let text = |key: &str| data[key].as_str().unwrap_or_default();
        match (payload["stream"].as_str(), text("phase")) {
            (Some("lifecycle"), "start") => self.know(now, run),
            (Some("tool"), "start") => {
                self.scrollback
                    .tool(run, text("toolCallId"), text("name"), &data["args"]);
            }
            (Some("tool"), "update") => {
                let said = said(&data["partialResult"]);
                self.scrollback.tool_says(text("toolCallId"), &said, false);
            }
            (Some("tool"), "result") => {
                let said = said(&data["result"]);
                self.scrollback
                    .tool_says(text("toolCallId"), &said, data["isError"] == true);
            }
            (Some("compaction"), "start") => self.notice("The conversation is being summarised…"),
            _ => {}
        }
    }

    /// Notes that a run is under way, whoever has begun it.
    fn know(&mut self, now: Moment, run: &str) {
        if let Some(known) = self.runs.iter_mut().find(|known| known.id == run) {
            known.unsaid = None;
        } else if self.runs.len() < RUNS {
            self.runs.push(Run {
                id: run.to_owned(),
                since: now,
                said: None,
                unsaid: None,
            });
        }
    }

    fn forget(&mut self, run: &str) {
        self.runs.retain(|known| known.id != run);
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Whether a message of the transcript is this one of a person.
fn is_said_in(text: &str, message: &Value) -> bool {
    matches!(Message::deserialize(message), Ok(message @ Message::User(_)) if message.text().contains(text))
}

/// The texts of what a tool gives back.
fn said(result: &Value) -> String {
    match Vec::<Part>::deserialize(&result["content"]) {
        Ok(parts) => text_of(&parts),
        Err(_) => result.as_str().unwrap_or_default().to_owned(),
    }
}

/// How a session is set; what its row leaves out is as the defaults say.
fn standing(row: &Value, defaults: &Value, before: &Standing) -> Standing {
    let text = |value: &Value, key: &str| value[key].as_str().map(str::to_owned);
    let model = text(row, "model").or_else(|| text(defaults, "model"));
    let window = row["contextTokens"]
        .as_u64()
        .or_else(|| defaults["contextTokens"].as_u64());
    Standing {
        model: model.unwrap_or_default(),
        thinking: text(row, "thinkingLevel").unwrap_or_else(|| before.thinking.clone()),
        tokens: row["totalTokens"]
            .as_u64()
            .filter(|used| *used > 0)
            .zip(window),
    }
}
