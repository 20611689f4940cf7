//! What a hook asks for, and how a body of `/wake` and `/agent` says it.                  (pure)

use openclaw_shared::protocol::params::heartbeat::WakeMode;
use serde_json::{Map, Value};

/// What the sender of a run is called when nothing else is said.
pub(super) const NAME: &str = "Hook";
/// The channel of the last conversation.
pub(super) const LAST: &str = "last";

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    /// The main session is told something.
    Wake(Wake),
    /// An agent is to work on something.
    Agent(Box<Agent>),
}

/// A note for the main session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wake {
    pub(super) text: String,
    pub(super) mode: WakeMode,
}

/// Work for an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Agent {
    pub(super) message: String,
    pub(super) name: String,
    pub(super) mode: WakeMode,
    /// As it was written; a fresh one when absent.
    pub(super) session_key: Option<String>,
    pub(super) deliver: bool,
    pub(super) channel: String,
    pub(super) to: Option<String>,
    pub(super) model: Option<String>,
    pub(super) thinking: Option<String>,
    pub(super) timeout_seconds: Option<u64>,
    /// Whether the message is the owner's own word, and not what strangers have written.
    pub(super) is_trusted: bool,
}

/// Reads the body of `/wake`.
///
/// # Errors
/// The text for the caller.
pub(super) fn wake(body: &Map<String, Value>) -> Result<Wake, String> {
    let text = words(body, "text").ok_or("text required")?;
    Ok(Wake {
        text,
        mode: mode(body.get("mode")),
    })
}

/// Reads the body of `/agent`.
///
/// # Errors
/// The text for the caller.
pub(super) fn agent(body: &Map<String, Value>, channels: &[&str]) -> Result<Agent, String> {
    let message = words(body, "message").ok_or("message required")?;
    let model = match body.get("model") {
        None | Some(Value::Null) => None,
        Some(_) => Some(words(body, "model").ok_or("model required")?),
    };
    let channel = match body.get("channel") {
        None | Some(Value::Null) => LAST.to_owned(),
        Some(Value::String(named)) => channel(named, channels)?,
        Some(_) => return Err(no_channel(channels)),
    };
    Ok(Agent {
        message,
        name: words(body, "name").unwrap_or_else(|| NAME.to_owned()),
        mode: mode(body.get("wakeMode")),
        session_key: words(body, "sessionKey"),
        deliver: body.get("deliver") != Some(&Value::Bool(false)),
        channel,
        to: words(body, "to"),
        model,
        thinking: words(body, "thinking"),
        timeout_seconds: body.get("timeoutSeconds").and_then(seconds),
        is_trusted: false,
    })
}

/// The channel of a name.
///
/// # Errors
/// The text for the caller, when there is none.
pub(super) fn channel(named: &str, channels: &[&str]) -> Result<String, String> {
    let named = named.trim().to_lowercase();
    if named == LAST || channels.contains(&named.as_str()) {
        Ok(named)
    } else {
        Err(no_channel(channels))
    }
}

fn no_channel(channels: &[&str]) -> String {
    let names: Vec<&str> = std::iter::once(LAST)
        .chain(channels.iter().copied())
        .collect();
    format!("channel must be {}", names.join("|"))
}

/// A text with something in it.
fn words(body: &Map<String, Value>, key: &str) -> Option<String> {
    let text = body.get(key)?.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn mode(value: Option<&Value>) -> WakeMode {
    match value.and_then(Value::as_str) {
        Some("next-heartbeat") => WakeMode::NextHeartbeat,
        Some(_) | None => WakeMode::Now,
    }
}

/// Whole seconds, at least one.
fn seconds(value: &Value) -> Option<u64> {
    let whole = value.as_u64().or_else(|| {
        let written = value
            .as_f64()
            .filter(|seconds| (1.0..1e9).contains(seconds))?;
        format!("{:.0}", written.floor()).parse().ok()
    });
    whole.filter(|seconds| *seconds > 0)
}

#[cfg(test)]
mod tests {
    use openclaw_shared::protocol::params::heartbeat::WakeMode;
    use serde_json::{Map, Value, json};

    use super::{Agent, Wake, agent, wake};

    fn body(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_wake_up_needs_a_text() {
        let told = |value| wake(&body(value));
        assert_eq!(
            told(json!({"text": " hi ", "mode": "next-heartbeat"})),
            Ok(Wake {
                text: "hi".into(),
                mode: WakeMode::NextHeartbeat
            })
        );
        assert_eq!(
            told(json!({"text": "hi", "mode": "whenever"})).map(|wake| wake.mode),
            Ok(WakeMode::Now)
        );
        for nothing in [json!({}), json!({"text": " "}), json!({"text": 5})] {
            assert_eq!(told(nothing), Err("text required".to_owned()));
        }
    }

    #[test]
    fn an_agent_is_asked_with_what_the_body_says_and_defaults_for_the_rest() {
        let asked = |value| agent(&body(value), &["telegram", "slack"]);
        let plain = Agent {
            message: "go".into(),
            name: "Hook".into(),
            mode: WakeMode::Now,
            session_key: None,
            deliver: true,
            channel: "last".into(),
            to: None,
            model: None,
            thinking: None,
            timeout_seconds: None,
            is_trusted: false,
        };
        assert_eq!(
            asked(json!({"message": "go", "deliver": "no", "to": ""})),
            Ok(plain.clone())
        );
        let all = json!({
            "message": " go ", "name": "Mail", "wakeMode": "next-heartbeat", "sessionKey": "hook:x", "deliver": false,
            "channel": "Slack", "to": "#a", "model": "p/m", "thinking": "low", "timeoutSeconds": 12.9,
        });
        let expected = Agent {
            name: "Mail".into(),
            mode: WakeMode::NextHeartbeat,
            session_key: Some("hook:x".into()),
            deliver: false,
            channel: "slack".into(),
            to: Some("#a".into()),
            model: Some("p/m".into()),
            thinking: Some("low".into()),
            timeout_seconds: Some(12),
            ..plain
        };
        assert_eq!(asked(all), Ok(expected));
        for (wrong, text) in [
            (json!({}), "message required"),
            (json!({"message": "x", "model": ""}), "model required"),
            (json!({"message": "x", "model": 1}), "model required"),
            (
                json!({"message": "x", "channel": "fax"}),
                "channel must be last|telegram|slack",
            ),
            (
                json!({"message": "x", "channel": 1}),
                "channel must be last|telegram|slack",
            ),
        ] {
            assert_eq!(asked(wrong), Err(text.to_owned()));
        }
        let odd = asked(json!({"message": "x", "timeoutSeconds": -5})).unwrap();
        assert_eq!(odd.timeout_seconds, None);
    }
}
