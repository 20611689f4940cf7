//! Which request to a hook of one's own starts what.                                      (pure)

use http::HeaderMap;
use openclaw_shared::clock::WallTime;
use openclaw_shared::config::section::{self, HookAction, HookMapping, HookMatch, HookWakeMode};
use openclaw_shared::protocol::params::heartbeat::WakeMode;
use serde_json::{Map, Value};

use super::ask::{self, Agent, Ask, Wake};
use super::template::{self, Source};

/// The name of the preset, of its path and of its sessions.
const GMAIL: &str = "gmail";
const GMAIL_SESSIONS: &str = "hook:gmail:";

/// The mappings in force.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mappings {
    list: Vec<HookMapping>,
    gmail: Gmail,
}

/// What holds for hooks of Gmail that say nothing else.
#[derive(Debug, Clone, Default)]
struct Gmail {
    model: Option<String>,
    thinking: Option<String>,
    is_trusted: bool,
}

/// A request to a hook of one's own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking<'a> {
    /// The path below the path of hooks.
    pub(super) path: &'a str,
    pub(super) body: &'a Map<String, Value>,
    pub(super) headers: &'a HeaderMap,
    pub(super) query: &'a [(String, String)],
    pub(super) now: WallTime,
    /// Channels that can be named.
    pub(super) channels: &'a [&'a str],
}

/// Why a request starts nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unmapped {
    /// No mapping is for it.
    Nothing,
    /// A module would decide, and modules are not run.
    Module,
    /// The mapping makes nothing of it; the text is for the caller.
    Unusable(String),
}

impl Mappings {
    /// Takes what the configuration says, presets last.
    pub(crate) fn of(hooks: &section::Hooks) -> Self {
        let mut list = hooks.mappings.clone();
        for preset in &hooks.presets {
            match preset.trim() {
                GMAIL => list.push(gmail()),
                other => {
                    tracing::warn!(target: "gateway/hooks", preset = other, "skipped a preset that does not exist");
                }
            }
        }
        let said = hooks.gmail.as_ref().map(|block| block.expose());
        let text = |key: &str| {
            let text = said?.get(key)?.as_str()?.trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        let trusted = said.and_then(|block| block.get("allowUnsafeExternalContent"));
        Self {
            list,
            gmail: Gmail {
                model: text("model"),
                thinking: text("thinking"),
                is_trusted: trusted == Some(&Value::Bool(true)),
            },
        }
    }

    /// What a request starts: what the first mapping that is for it says.
    pub(super) fn decide(&self, asking: Asking<'_>) -> Result<Ask, Unmapped> {
        let mapping = self
            .list
            .iter()
            .find(|mapping| is_for(&mapping.matches, asking))
            .ok_or(Unmapped::Nothing)?;
        if mapping.transform.is_some() {
            return Err(Unmapped::Module);
        }
        let payload = Value::Object(asking.body.clone());
        let source = Source {
            payload: &payload,
            headers: asking.headers,
            query: asking.query,
            path: asking.path,
            now: asking.now,
        };
        let fill = |template: Option<&String>| {
            let text = template::render(template?, source).trim().to_owned();
            (!text.is_empty()).then_some(text)
        };
        match mapping.action.unwrap_or(HookAction::Agent) {
            HookAction::Wake => {
                let text = fill(mapping.text_template.as_ref());
                let text = text.ok_or_else(|| unusable("hook mapping requires text"))?;
                Ok(Ask::Wake(Wake {
                    text,
                    mode: mode(mapping.wake_mode),
                }))
            }
            HookAction::Agent => {
                let message = fill(mapping.message_template.as_ref());
                let message = message.ok_or_else(|| unusable("hook mapping requires message"))?;
                let session_key = fill(mapping.session_key.as_ref()).map(|key| harmless(&key));
                let is_gmail = asking.path == GMAIL
                    || session_key
                        .as_ref()
                        .is_some_and(|key| key.starts_with(GMAIL_SESSIONS));
                let gmail = is_gmail.then_some(&self.gmail);
                let named = mapping.channel.as_deref().unwrap_or(ask::LAST);
                Ok(Ask::Agent(Box::new(Agent {
                    message,
                    name: fill(mapping.name.as_ref()).unwrap_or_else(|| ask::NAME.to_owned()),
                    mode: mode(mapping.wake_mode),
                    session_key,
                    deliver: mapping.deliver.unwrap_or(true),
                    channel: ask::channel(named, asking.channels).map_err(Unmapped::Unusable)?,
                    to: fill(mapping.to.as_ref()),
                    model: fill(mapping.model.as_ref())
                        .or_else(|| gmail.and_then(|gmail| gmail.model.clone())),
                    thinking: fill(mapping.thinking.as_ref())
                        .or_else(|| gmail.and_then(|gmail| gmail.thinking.clone())),
                    timeout_seconds: mapping.timeout_seconds.filter(|seconds| *seconds > 0),
                    is_trusted: mapping.allow_unsafe_external_content
                        || gmail.is_some_and(|gmail| gmail.is_trusted),
                })))
            }
        }
    }
}

fn unusable(text: &str) -> Unmapped {
    Unmapped::Unusable(text.to_owned())
}

fn is_for(matches: &HookMatch, asking: Asking<'_>) -> bool {
    let path = matches
        .path
        .as_deref()
        .map(|path| path.trim().trim_matches('/'));
    let source = matches.source.as_deref().map(str::trim);
    path.is_none_or(|path| path.is_empty() || path == asking.path)
        && source.is_none_or(|source| {
            source.is_empty() || asking.body.get("source").and_then(Value::as_str) == Some(source)
        })
}

fn mode(written: Option<HookWakeMode>) -> WakeMode {
    match written {
        Some(HookWakeMode::NextHeartbeat) => WakeMode::NextHeartbeat,
        Some(HookWakeMode::Now) | None => WakeMode::Now,
    }
}

/// The same key of a session without what no key has: parts of it are strangers' words.
fn harmless(key: &str) -> String {
    let fits = |letter: char| letter.is_alphanumeric() || " _-.:@+#=~%,!*".contains(letter);
    let key: String = key
        .chars()
        .map(|letter| if fits(letter) { letter } else { '_' })
        .collect();
    key.replace("..", "__")
}

/// The mapping for what `gog gmail watch serve` sends.
fn gmail() -> HookMapping {
    HookMapping {
        id: Some(GMAIL.to_owned()),
        matches: HookMatch {
            path: Some(GMAIL.to_owned()),
            source: None,
        },
        action: Some(HookAction::Agent),
        wake_mode: Some(HookWakeMode::Now),
        name: Some("Gmail".to_owned()),
        session_key: Some(format!("{GMAIL_SESSIONS}{{{{messages[0].id}}}}")),
        message_template: Some(
            "New email from {{messages[0].from}}\nSubject: {{messages[0].subject}}\n{{messages[0].snippet}}\n{{messages[0].body}}"
                .to_owned(),
        ),
        ..HookMapping::default()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use openclaw_shared::clock::WallTime;
    use openclaw_shared::config::Config;
    use openclaw_shared::protocol::params::heartbeat::WakeMode;
    use serde_json::{Value, json};

    use super::{Ask, Asking, Mappings, Unmapped};

    fn mappings(hooks: &Value) -> Mappings {
        let config = Config::from_effective(&json!({ "hooks": hooks })).unwrap();
        Mappings::of(&config.hooks)
    }

    fn decide(hooks: Value, path: &str, body: Value) -> Result<Ask, Unmapped> {
        mappings(&hooks).decide(Asking {
            path,
            body: body.as_object().unwrap_or(&serde_json::Map::new()),
            headers: &HeaderMap::new(),
            query: &[],
            now: WallTime::from_millis(0),
            channels: &["telegram"],
        })
    }

    fn agent(hooks: Value, path: &str, body: Value) -> super::Agent {
        match decide(hooks, path, body).unwrap() {
            Ask::Agent(agent) => *agent,
            Ask::Wake(wake) => panic!("{wake:?}"),
        }
    }

    #[test]
    fn the_first_mapping_that_fits_counts() {
        let hooks = json!({"mappings": [
            {"match": {"path": "/ci/", "source": "ghosts"}, "action": "wake", "textTemplate": "never"},
            {"match": {"path": "ci"}, "action": "wake", "wakeMode": "next-heartbeat", "textTemplate": "build {{n}}"},
            {"match": {"source": "mail"}, "messageTemplate": "{{subject}}", "allowUnsafeExternalContent": true, "timeoutSeconds": 9},
        ]});
        let wake = super::Wake {
            text: "build 7".into(),
            mode: WakeMode::NextHeartbeat,
        };
        assert_eq!(
            decide(hooks.clone(), "ci", json!({"n": 7})),
            Ok(Ask::Wake(wake))
        );
        let mail = agent(
            hooks.clone(),
            "whatever/x",
            json!({"source": "mail", "subject": "Hi"}),
        );
        assert_eq!(
            (mail.message.as_str(), mail.is_trusted, mail.timeout_seconds),
            ("Hi", true, Some(9))
        );
        assert_eq!(
            decide(hooks.clone(), "x", json!({})),
            Err(Unmapped::Nothing)
        );
        let empty = decide(hooks, "x", json!({"source": "mail"}));
        assert_eq!(
            empty,
            Err(Unmapped::Unusable("hook mapping requires message".into()))
        );
    }

    #[test]
    fn the_preset_for_gmail_is_there_when_it_is_asked_for_and_own_mappings_come_first() {
        let mail =
            json!({"messages": [{"id": "../1/a", "from": "Ada", "subject": "S", "snippet": "s"}]});
        let hooks = json!({"presets": ["gmail"], "gmail": {"model": "p/m", "thinking": "off"}});
        let run = agent(hooks, "gmail", mail.clone());
        assert_eq!(run.message, "New email from Ada\nSubject: S\ns");
        assert_eq!(run.session_key.as_deref(), Some("hook:gmail:___1_a"));
        assert_eq!(
            (
                run.name.as_str(),
                run.model.as_deref(),
                run.thinking.as_deref()
            ),
            ("Gmail", Some("p/m"), Some("off"))
        );
        assert!(!run.is_trusted);
        let own = json!({"presets": ["gmail"], "gmail": {"model": "p/m", "allowUnsafeExternalContent": true},
            "mappings": [{"match": {"path": "gmail"}, "messageTemplate": "mine", "model": "q/n"}]});
        let run = agent(own, "gmail", mail.clone());
        assert_eq!(
            (run.message.as_str(), run.model.as_deref(), run.is_trusted),
            ("mine", Some("q/n"), true)
        );
        assert_eq!(
            decide(json!({"presets": ["fax"]}), "gmail", mail),
            Err(Unmapped::Nothing)
        );
    }

    #[test]
    fn what_a_module_would_decide_starts_nothing() {
        let hooks = json!({"mappings": [{"match": {"path": "x"}, "transform": {"module": "x.js"}, "messageTemplate": "m"}]});
        assert_eq!(decide(hooks, "x", json!({})), Err(Unmapped::Module));
    }
}
