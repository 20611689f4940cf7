//! What a conversation is set to: how it thinks and what it shows, its model, where its commands run, and how it queues.

use std::fmt::Write as _;

use openclaw_shared::clock::WallTime;
use serde_json::{Map, Value, json};

use super::parse::{Directive, Setting};
use super::{Answered, Place};
use crate::methods::MethodError;
use crate::runs::queue_of;
use crate::services::sessions::{Conversation, Dial};
use crate::settings::catalog::Models;
use crate::settings::queue::{QueueMode, Wish};

/// Models that are listed at most.
const MOST_LISTED: usize = 50;

pub(super) fn model_name(provider: Option<&str>, model: &str) -> String {
    match provider {
        Some(provider) => format!("{provider}/{model}"),
        None => model.to_owned(),
    }
}

pub(super) fn list_models(models: &Models) -> String {
    if models.rows.is_empty() {
        return "No models are configured.".to_owned();
    }
    let mut text = "🧠 Models\n".to_owned();
    for (at, row) in models.rows.iter().take(MOST_LISTED).enumerate() {
        let _ = write!(text, "\n{}. {}/{}", at + 1, row.provider, row.id);
    }
    if models.rows.len() > MOST_LISTED {
        let _ = write!(text, "\n… and {} more", models.rows.len() - MOST_LISTED);
    }
    text.push_str(
        "\n\n/model <number> or /model <provider/model> chooses one, /model default goes back.",
    );
    text
}

impl Place<'_> {
    pub(super) async fn set(&self, directives: Vec<Directive>) -> Answered {
        let mut told = Vec::new();
        for Directive { setting, value } in directives {
            told.push(match setting {
                Setting::Dial(dial) => self.dial(dial, value.as_deref()).await?,
                Setting::Model => self.model(value.as_deref()).await?,
                Setting::Exec => self.exec(value.as_deref()).await?,
                Setting::Queue => {
                    let wish = Wish::parse(value.as_deref().unwrap_or_default());
                    self.queue(wish).await?
                }
            });
        }
        Ok(told.join("\n").into())
    }

    async fn dial(&self, dial: Dial, value: Option<&str>) -> Result<String, MethodError> {
        let choices = dial.choices().collect::<Vec<_>>().join(", ");
        let (field, name) = match dial {
            Dial::Thinking => ("thinkingLevel", "Thinking"),
            Dial::Verbose => ("verboseLevel", "Verbose"),
            Dial::Reasoning => ("reasoningLevel", "Reasoning"),
            Dial::Elevated => ("elevatedLevel", "Elevated"),
        };
        let Some(value) = value else {
            let entry = self.entry()?;
            let now = entry.as_ref().and_then(|entry| match dial {
                Dial::Thinking => entry.thinking_level.as_deref(),
                Dial::Verbose => entry.verbose_level.as_deref(),
                Dial::Reasoning => entry.reasoning_level.as_deref(),
                Dial::Elevated => entry.elevated_level.as_deref(),
            });
            return Ok(format!(
                "⚙️ {name}: {}. Choices: {choices}.",
                now.unwrap_or("off")
            ));
        };
        if dial == Dial::Elevated {
            self.for_owners()?;
        }
        let Some(word) = dial.word(value) else {
            return Ok(format!(
                "⚠️ There is no level \"{value}\". Choices: {choices}."
            ));
        };
        self.patch_one(field, json!(word)).await?;
        Ok(format!("⚙️ {name}: {word}."))
    }

    async fn model(&self, value: Option<&str>) -> Result<String, MethodError> {
        let settings = self.context.settings();
        let models = &settings.catalog.models;
        let name = match value {
            None | Some("list") => {
                return Ok(format!("{}\n\n{}", self.current()?, list_models(models)));
            }
            Some("status") => return self.current(),
            Some("default") => {
                self.patch_one("model", Value::Null).await?;
                return self.current();
            }
            Some(text) => match text.parse::<usize>().ok().and_then(|at| at.checked_sub(1)) {
                None => text.to_owned(),
                Some(at) => match models.rows.get(at) {
                    Some(row) => format!("{}/{}", row.provider, row.id),
                    None => {
                        return Ok(format!(
                            "⚠️ There is no model {text}. /model list tells which there are."
                        ));
                    }
                },
            },
        };
        self.patch_one("model", json!(name)).await?;
        self.current()
    }

    /// The model that answers next.
    fn current(&self) -> Result<String, MethodError> {
        let entry = self.entry()?;
        let chosen = entry.as_ref().and_then(|entry| {
            let model = entry.model_override.as_deref()?;
            Some(model_name(entry.provider_override.as_deref(), model))
        });
        let defaults = self.register().defaults();
        let default = defaults
            .model
            .map(|model| model_name(defaults.model_provider.as_deref(), &model));
        Ok(match (chosen, default) {
            (Some(chosen), Some(default)) => format!("🧠 Model: {chosen} (default {default})"),
            (Some(name), None) | (None, Some(name)) => format!("🧠 Model: {name}"),
            (None, None) => "🧠 Model: none is configured".to_owned(),
        })
    }

    async fn exec(&self, value: Option<&str>) -> Result<String, MethodError> {
        let mut changes = Map::new();
        if let Some(value) = value {
            self.for_owners()?;
            for word in value.split_whitespace() {
                let (name, value) = word.split_once('=').unwrap_or((word, ""));
                let field = match name.to_lowercase().as_str() {
                    "host" => "execHost",
                    "security" => "execSecurity",
                    "ask" => "execAsk",
                    "node" => "execNode",
                    _ => {
                        return Ok(format!(
                            "⚠️ There is no {name}. Choices: host, security, ask, node."
                        ));
                    }
                };
                changes.insert(field.to_owned(), json!(value));
            }
        }
        let entry = match changes.is_empty() {
            true => self.entry()?,
            false => Some(self.patch(changes).await?),
        };
        let said = |text: Option<&String>| text.map_or("as configured", String::as_str).to_owned();
        let entry = entry.as_ref();
        Ok(format!(
            "⚙️ Commands: host {} · security {} · ask {} · node {}",
            said(entry.and_then(|entry| entry.exec_host.as_ref())),
            said(entry.and_then(|entry| entry.exec_security.as_ref())),
            said(entry.and_then(|entry| entry.exec_ask.as_ref())),
            said(entry.and_then(|entry| entry.exec_node.as_ref())),
        ))
    }

    /// What becomes of messages that come while the agent is busy in this session.
    pub(super) async fn queue(&self, wish: Result<Wish, String>) -> Result<String, MethodError> {
        let wish = match wish {
            Ok(wish) => wish,
            Err(word) => {
                let modes: Vec<&str> = QueueMode::ALL.iter().map(|mode| mode.as_str()).collect();
                return Ok(format!(
                    "⚠️ \"{word}\" says nothing about the queue. Modes: {}. Options: debounce:2s, cap:25, drop:old|new|summarize. \
                     /queue default goes back to what is configured.",
                    modes.join(", ")
                ));
            }
        };
        if wish != Wish::Show {
            let (register, key) = (self.register(), self.session.clone());
            self.context
                .store
                .write(move |tx| {
                    let mut entry =
                        register.begin(tx, WallTime::now(), &key, Conversation::Present)?;
                    wish.apply(&mut entry.other);
                    register.save(tx, &key, &entry)
                })
                .await?;
        }
        let queue = queue_of(self.context, self.session.as_str());
        Ok(format!(
            "⚙️ Queue: {} · debounce {} ms · cap {} · drop {}",
            queue.mode.as_str(),
            queue.debounce.as_millis(),
            queue.cap,
            queue.drop.as_str()
        ))
    }
}

/// A model that the configuration names, by what a person calls it.
pub(super) fn known_model(models: &Models, text: &str) -> Option<String> {
    let chosen = models.choose(text).ok()?;
    let is_known = models
        .rows
        .iter()
        .any(|row| Some(&row.provider) == chosen.provider.as_ref() && row.id == chosen.model);
    is_known.then(|| model_name(chosen.provider.as_deref(), &chosen.model))
}
