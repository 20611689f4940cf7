//! What people write to the gateway instead of the agent, and what it answers.
//!
//! Invariant: a command does what whoever wrote it may do by a method, and nothing more. How a conversation thinks and what it shows is for
//! everybody to set who may write to it; what decides on the execution of commands and on the gateway itself is for owners.

use std::fmt::Write as _;
use std::sync::Arc;

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::sessions::{SessionEntry, SessionsPatchParams};
use openclaw_shared::protocol::scope::Scope;
use serde_json::{Map, Value, json};

use super::{Which, stop};
use crate::briefing::{self, Occasion};
use crate::connection::Caller;
use crate::context::Context;
use crate::desk;
use crate::methods::MethodError;
use crate::services::session_key::SessionKey;
use crate::services::sessions::{self, Register};
use crate::services::status_card::{Card, short, spoken};
use crate::toolbox;

mod parse;
mod settings;

pub(crate) use parse::{Command, Hints, hints, parse};
use parse::{Detail, KNOWN};
use settings::{known_model, list_models};

/// What is answered, and what is to be done then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) text: String,
    pub(crate) then: Then,
}

/// What is to be done after an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Then {
    /// Nothing.
    Nothing,
    /// What is under way in the session is to be stopped.
    Stop,
    /// Another conversation is to begin, with this message if there is one; then the answer is not shown.
    Reset { message: Option<String> },
    /// The conversation is to be made shorter; what comes of it is told after the answer.
    Compact { wish: Option<String> },
    /// This goes to the agent instead; the answer is not shown.
    Say(String),
}

impl From<String> for Reply {
    fn from(text: String) -> Self {
        Self {
            text,
            then: Then::Nothing,
        }
    }
}

impl From<&str> for Reply {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// Where a command was written, and by whom.
pub(crate) struct Place<'a> {
    pub(crate) context: &'a Arc<Context>,
    pub(crate) caller: &'a Arc<Caller>,
    pub(crate) session: &'a SessionKey,
    /// The agent of the session.
    pub(crate) agent: &'a str,
}

/// Does a command, and says what came of it. What went wrong is an answer too.
pub(crate) async fn answer(place: &Place<'_>, command: Command) -> Reply {
    let answered = match command {
        Command::Help => Ok(help(false).into()),
        Command::Commands => Ok(help(true).into()),
        Command::Status => place.status().map(Reply::from),
        Command::Whoami => Ok(place.whoami().into()),
        Command::Reset { rest } => place.reset(&rest).await,
        Command::Stop => Ok(Reply {
            text: "⏹️ Stopped.".to_owned(),
            then: Then::Stop,
        }),
        Command::Restart => place.restart().await,
        Command::Compact { wish } => Ok(Reply {
            text: "🧹 The conversation is being made shorter.".to_owned(),
            then: Then::Compact { wish },
        }),
        Command::Context(detail) => place.context(detail).await,
        Command::Usage(wish) => place.usage(wish.as_deref()).await,
        Command::Models => Ok(list_models(&place.context.settings().catalog.models).into()),
        Command::Approve { id, decision } => place.approve(&id, &decision).await,
        Command::Send(wish) => place.send_policy(wish.as_deref()).await,
        Command::Activation(wish) => place.activation(wish.as_deref()).await,
        Command::Subagents(wish) => place.subagents(&wish).await,
        Command::Queue(wish) => place.queue(wish).await.map(Reply::from),
        Command::Skill { name, input } => Ok(use_skill(&name, &input)),
        Command::Set(directives) => place.set(directives).await,
        Command::NotHere(name) => {
            Ok(format!("⚠️ /{name} is not available in this gateway. Nothing was changed.").into())
        }
    };
    answered
        .unwrap_or_else(|error: MethodError| format!("⚠️ {}", error.into_shape().message).into())
}

type Answered = Result<Reply, MethodError>;

fn help(all: bool) -> String {
    const FIRST: usize = 8;
    let shown = if all { KNOWN } else { &KNOWN[..FIRST] };
    let lines: Vec<String> = shown
        .iter()
        .map(|known| format!("{} — {}", known.usage, known.about))
        .collect();
    let more = if all {
        ""
    } else {
        "\n\n/commands lists all of them."
    };
    format!("ℹ️ Commands\n\n{}{more}", lines.join("\n"))
}

fn use_skill(name: &str, input: &str) -> Reply {
    if name.is_empty() {
        return "Usage: /skill <name> [input]".into();
    }
    let mut said = format!("Use the skill \"{name}\" for this.");
    if !input.is_empty() {
        let _ = write!(said, "\n\n{input}");
    }
    Reply {
        text: String::new(),
        then: Then::Say(said),
    }
}

impl Place<'_> {
    fn register(&self) -> Register {
        Register::new(self.context.settings())
    }

    fn entry(&self) -> Result<Option<SessionEntry>, MethodError> {
        let key = self.session.as_str();
        let found = self
            .context
            .store
            .read(|reader| Ok(sessions::find(reader, key)))?;
        Ok(found?)
    }

    /// Sets something of the session; null clears it.
    async fn patch(&self, changes: Map<String, Value>) -> Result<SessionEntry, MethodError> {
        let mut params = changes;
        params.insert("key".to_owned(), json!(self.session.as_str()));
        let params: SessionsPatchParams = serde_json::from_value(Value::Object(params))
            .map_err(|error| MethodError::invalid(error.to_string()))?;
        let register = self.register();
        let (_, entry) = self
            .context
            .store
            .write(move |tx| register.patch(tx, WallTime::now(), &params))
            .await?;
        Ok(entry)
    }

    async fn patch_one(&self, field: &str, value: Value) -> Result<SessionEntry, MethodError> {
        self.patch(Map::from_iter([(field.to_owned(), value)]))
            .await
    }

    fn for_owners(&self) -> Result<(), MethodError> {
        self.caller
            .rights
            .check(Scope::Admin)
            .map_err(|denied| MethodError::invalid(denied.to_string()))
    }

    fn status(&self) -> Result<String, MethodError> {
        card(self.context, self.session)
    }

    fn whoami(&self) -> String {
        let client = &self.caller.client;
        let name = client.display_name.as_deref();
        let mut text = format!(
            "🧭 You write as {} ({}, {}).",
            name.unwrap_or(client.id.as_str()),
            client.id,
            &*client.platform
        );
        if let Some(device) = &self.caller.device {
            let _ = write!(text, "\nDevice: {device}");
        }
        let _ = write!(text, "\nSession: {} (agent {})", self.session, self.agent);
        text
    }

    /// A first word that names a model chooses it; the rest is said in the new conversation.
    async fn reset(&self, rest: &str) -> Answered {
        let (first, others) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let settings = self.context.settings();
        let mut said = rest.trim();
        let mut text = "✅ A new conversation has begun.".to_owned();
        if let Some(name) = known_model(&settings.catalog.models, first) {
            self.patch_one("model", json!(name)).await?;
            let _ = write!(text, "\n🧠 Model: {name}");
            said = others.trim();
        }
        Ok(Reply {
            text,
            then: Then::Reset {
                message: (!said.is_empty()).then(|| said.to_owned()),
            },
        })
    }

    async fn restart(&self) -> Answered {
        self.for_owners()?;
        if !self.context.settings().agency.may_restart {
            return Ok("⚠️ /restart is off. commands.restart turns it on.".into());
        }
        self.context.config.ask_for_restart().await;
        Ok("🔄 The gateway is being restarted.".into())
    }

    async fn context(&self, detail: Detail) -> Answered {
        if detail == Detail::Help {
            return Ok(
                "🧠 /context list tells what the agent is told and how large it is, /context detail the same of every \
                 tool and skill, /context json for programs."
                    .into(),
            );
        }
        let settings = self.context.settings();
        let toolbox = toolbox::of(self.context, self.agent, self.session, None).await;
        let entry = self.entry()?;
        let tools = toolbox.specs();
        let occasion = Occasion {
            agent: self.agent,
            session: self.session,
            tools: &tools,
            extra: None,
            model: "",
        };
        let prompt = briefing::system_prompt(self.context, &occasion)
            .await
            .map_err(MethodError::unavailable)?;
        let report = &prompt.report;
        if detail == Detail::Json {
            return Ok(serde_json::to_string_pretty(report)
                .unwrap_or_default()
                .into());
        }
        let size = |chars: usize| format!("{chars} chars (~{} tok)", chars.div_ceil(4));
        let mut text = format!(
            "🧠 Context\nWorkspace: {}\nMost of a file: {} chars\nSystem prompt: {}, of it from the workspace {}\n\nFiles of the \
             workspace:",
            report.workspace_dir,
            settings.agency.longest_file,
            size(report.system_prompt.chars),
            size(report.system_prompt.project_context_chars),
        );
        for file in &report.injected_workspace_files {
            let state = match (file.missing, file.truncated) {
                (true, _) => "MISSING",
                (false, true) => "TRUNCATED",
                (false, false) => "OK",
            };
            let _ = write!(
                text,
                "\n- {}: {state} | raw {} | injected {}",
                file.name,
                size(file.raw_chars),
                size(file.injected_chars)
            );
        }
        let _ = write!(
            text,
            "\n\nSkills: {} ({})\nTools: {} (list {}, schemas {})",
            report.skills.entries.len(),
            size(report.skills.prompt_chars),
            report.tools.entries.len(),
            size(report.tools.list_chars),
            size(report.tools.schema_chars),
        );
        if detail == Detail::Full {
            for tool in &report.tools.entries {
                let chars = tool.summary_chars + tool.schema_chars;
                let _ = write!(text, "\n- {}: {}", tool.name, size(chars));
            }
            for skill in &report.skills.entries {
                let _ = write!(
                    text,
                    "\n- skill {}: {}",
                    skill.name,
                    size(skill.block_chars)
                );
            }
        }
        let used = entry.as_ref().and_then(|entry| entry.total_tokens);
        let _ = write!(
            text,
            "\n\nTokens in the conversation: {}",
            short(used.unwrap_or(0))
        );
        Ok(text.into())
    }

    async fn usage(&self, wish: Option<&str>) -> Answered {
        match wish {
            None => {
                let now = self.entry()?.and_then(|entry| entry.response_usage);
                let now = now.map_or("off", |usage| usage.as_str());
                Ok(
                    format!("⚙️ Usage after an answer: {now}. Choices: off, tokens, full, cost.")
                        .into(),
                )
            }
            Some("cost") => {
                let cost = desk::call(self.context, self.caller, "usage.cost", &json!({})).await?;
                let totals = &cost["totals"];
                Ok(format!(
                    "💸 The last {} days: {} tokens, ${:.2}.",
                    cost["days"],
                    short(totals["totalTokens"].as_u64().unwrap_or(0)),
                    totals["totalCost"].as_f64().unwrap_or(0.0)
                )
                .into())
            }
            Some(level @ ("off" | "on" | "tokens" | "full")) => {
                self.patch_one("responseUsage", json!(level)).await?;
                Ok(format!("⚙️ Usage after an answer: {level}.").into())
            }
            Some(_) => Ok("Usage: /usage off|tokens|full|cost".into()),
        }
    }

    async fn approve(&self, id: &str, decision: &str) -> Answered {
        let decision = match decision {
            "once" | "allow" | "yes" => "allow-once",
            "always" => "allow-always",
            "no" => "deny",
            other => other,
        };
        if id.is_empty() || !["allow-once", "allow-always", "deny"].contains(&decision) {
            return Ok("Usage: /approve <id> allow-once|allow-always|deny".into());
        }
        let params = json!({"id": id, "decision": decision});
        desk::call(self.context, self.caller, "exec.approval.resolve", &params).await?;
        Ok(format!("✅ Decided: {decision}.").into())
    }

    async fn send_policy(&self, wish: Option<&str>) -> Answered {
        self.for_owners()?;
        let policy = match wish {
            Some("on" | "allow") => json!("allow"),
            Some("off" | "deny") => json!("deny"),
            Some("inherit" | "default" | "reset") => Value::Null,
            Some(_) | None => return Ok("Usage: /send on|off|inherit".into()),
        };
        self.patch_one("sendPolicy", policy).await?;
        Ok(format!("⚙️ Sending: {}.", wish.unwrap_or_default()).into())
    }

    async fn activation(&self, wish: Option<&str>) -> Answered {
        match wish {
            Some(activation @ ("mention" | "always")) => {
                self.patch_one("groupActivation", json!(activation)).await?;
                Ok(format!("⚙️ In the group I answer: {activation}.").into())
            }
            Some(_) | None => Ok("Usage: /activation mention|always".into()),
        }
    }

    async fn subagents(&self, wish: &str) -> Answered {
        let params = json!({"spawnedBy": self.session.as_str()});
        let listed = desk::call(self.context, self.caller, "sessions.list", &params).await?;
        let rows = listed["sessions"].as_array().cloned().unwrap_or_default();
        let key_of = |row: &Value| row["key"].as_str().unwrap_or_default().to_owned();
        let (word, which) = wish.split_once(' ').unwrap_or((wish, ""));
        match word {
            "" | "list" => {
                if rows.is_empty() {
                    return Ok("🧭 This conversation has started no other agents.".into());
                }
                let mut text = "🧭 Agents that this conversation has started".to_owned();
                for (at, row) in rows.iter().enumerate() {
                    let key = key_of(row);
                    let state = if self.context.runs.is_busy(&key) {
                        "at work"
                    } else {
                        "done"
                    };
                    let name = row["label"].as_str().unwrap_or(&key);
                    let updated = WallTime::from_millis(row["updatedAt"].as_u64().unwrap_or(0));
                    let age = spoken(WallTime::now().since(updated));
                    let _ = write!(text, "\n{}. {name} · {state} · {age} ago", at + 1);
                }
                Ok(text.into())
            }
            "stop" => {
                let number: Option<usize> = which.trim_start_matches('#').parse().ok();
                let chosen: Vec<String> = rows
                    .iter()
                    .enumerate()
                    .filter(|(at, row)| {
                        which == "all" || number == Some(at + 1) || key_of(row) == which
                    })
                    .map(|(_, row)| key_of(row))
                    .collect();
                if chosen.is_empty() {
                    return Ok("Usage: /subagents stop <number>|all".into());
                }
                let mut stopped = 0;
                for key in &chosen {
                    stopped += stop(self.context, Which::Session(key), "stop").await?.len();
                }
                Ok(format!("⏹️ Stopped: {stopped}.").into())
            }
            "log" | "info" | "send" => Ok(format!(
                "⚠️ /subagents {word} is not available in this gateway. Nothing was done."
            )
            .into()),
            _ => Ok("Usage: /subagents [list|stop <number>|stop all]".into()),
        }
    }
}

/// How a session stands.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn card(context: &Context, session: &SessionKey) -> Result<String, MethodError> {
    let settings = context.settings();
    let key = session.as_str();
    let entry = context
        .store
        .read(|reader| Ok(sessions::find(reader, key)))??;
    let now = WallTime::now();
    let defaults = settings.catalog.models.defaults();
    Ok(Card {
        version: &context.instance.version,
        key,
        entry: entry.as_ref(),
        defaults: &defaults,
        now,
        local: &now.in_zone(settings.agency.time_zone.as_deref()),
        is_busy: context.runs.is_busy(key),
    }
    .lines())
}

#[cfg(test)]
mod tests;
