//! What nodes tell by `node.event`.                                                       (pure)

use openclaw_shared::protocol::params::nodes::NodeEventParams;
use openclaw_shared::transcript::Thinking;
use serde_json::Value;

/// How much of a program's output is passed on, in characters; its end is what matters.
const LONGEST_OUTPUT: usize = 1_500;
/// How much of any other text is passed on, in characters.
const LONGEST_TEXT: usize = 200;

/// How long may be what somebody wants of an agent, in characters.
const LONGEST_WISH: usize = 20_000;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Happening {
    /// Nothing that is known here.
    Unknown,
    /// Somebody wants something of an agent.
    Wish(Wish),
    /// Somebody wants something of an agent that cannot be: why.
    Refused(&'static str),
    /// The node wants to follow a session, or no longer does.
    Follow { session: String, wants: bool },
    /// Something was executed, or was not.
    Run(Told),
}

/// What somebody at a node wants of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) message: String,
    /// The session; the main one when it was spoken, the node's own otherwise.
    pub(crate) session: Option<String>,
    pub(crate) thinking: Option<Thinking>,
    /// How long it may take, in seconds.
    pub(crate) timeout: Option<u64>,
    /// Whether it was spoken.
    pub(crate) is_spoken: bool,
}

/// What a node tells of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) run: String,
    stage: Stage,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    Started { command: String },
    Finished { code: String, output: String },
    Denied { reason: String, command: String },
}

/// Reads an event.
pub(crate) fn read(params: &NodeEventParams) -> Happening {
    let parsed: Option<Value> = params
        .payload_json
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok());
    let payload = parsed
        .as_ref()
        .or(params.payload.as_ref())
        .unwrap_or(&Value::Null);
    let text = |key: &str| {
        payload[key]
            .as_str()
            .map(str::trim)
            .filter(|text| !text.is_empty())
    };
    let short = |key: &str| {
        text(key)
            .unwrap_or_default()
            .chars()
            .take(LONGEST_TEXT)
            .collect::<String>()
    };
    let run = |stage: Stage| match text("runId") {
        Some(run) => Happening::Run(Told {
            run: run.to_owned(),
            stage,
        }),
        None => Happening::Unknown,
    };
    let follow = |wants: bool| match text("sessionKey") {
        Some(session) => Happening::Follow {
            session: session.to_owned(),
            wants,
        },
        None => Happening::Unknown,
    };
    match &*params.event {
        "voice.transcript" => wish(
            text("text"),
            Wish {
                message: String::new(),
                session: text("sessionKey").map(str::to_owned),
                thinking: Some(Thinking::Low),
                timeout: None,
                is_spoken: true,
            },
        ),
        "agent.request" => wish(
            text("message"),
            Wish {
                message: String::new(),
                session: text("sessionKey").map(str::to_owned),
                thinking: text("thinking").and_then(Thinking::from_text),
                timeout: payload["timeoutSeconds"].as_u64().filter(|it| *it > 0),
                is_spoken: false,
            },
        ),
        "chat.subscribe" => follow(true),
        "chat.unsubscribe" => follow(false),
        "exec.started" => run(Stage::Started {
            command: short("command"),
        }),
        "exec.finished" => run(Stage::Finished {
            code: match (&payload["timedOut"], payload["exitCode"].as_i64()) {
                (Value::Bool(true), _) => "timeout".to_owned(),
                (_, Some(code)) => format!("code {code}"),
                (_, None) => "code ?".to_owned(),
            },
            output: end_of(text("output").unwrap_or_default()),
        }),
        "exec.denied" => run(Stage::Denied {
            reason: short("reason"),
            command: short("command"),
        }),
        _ => Happening::Unknown,
    }
}

fn wish(message: Option<&str>, wish: Wish) -> Happening {
    match message {
        None => Happening::Unknown,
        Some(text) if text.chars().count() > LONGEST_WISH => {
            Happening::Refused("the message is too long")
        }
        Some(text) => Happening::Wish(Wish {
            message: text.to_owned(),
            ..wish
        }),
    }
}

fn end_of(output: &str) -> String {
    let skipped = output.chars().count().saturating_sub(LONGEST_OUTPUT);
    output.chars().skip(skipped).collect()
}

impl Told {
    /// Whether nothing more is to come of the run.
    pub(crate) const fn is_over(&self) -> bool {
        match self.stage {
            Stage::Started { .. } => false,
            Stage::Finished { .. } | Stage::Denied { .. } => true,
        }
    }

    /// The same for people.
    pub(crate) fn text(&self, node: &str) -> String {
        let run = &self.run;
        let with = |head: String, more: &str, joint: &str| {
            if more.is_empty() {
                head
            } else {
                format!("{head}{joint}{more}")
            }
        };
        match &self.stage {
            Stage::Started { command } => with(
                format!("Exec started (node={node} id={run})"),
                command,
                ": ",
            ),
            Stage::Finished { code, output } => with(
                format!("Exec finished (node={node} id={run}, {code})"),
                output,
                "\n",
            ),
            Stage::Denied { reason, command } => {
                let why = if reason.is_empty() {
                    String::new()
                } else {
                    format!(", {reason}")
                };
                with(
                    format!("Exec denied (node={node} id={run}{why})"),
                    command,
                    ": ",
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Happening, read};

    fn told(event: &str, payload: Value) -> Happening {
        read(&serde_json::from_value(json!({"event": event, "payload": payload})).unwrap())
    }

    #[test]
    fn what_is_told_of_runs_becomes_a_line_for_people() {
        for (event, payload, line) in [
            (
                "exec.started",
                json!({"runId": "r", "command": "ls"}),
                "Exec started (node=n id=r): ls",
            ),
            (
                "exec.finished",
                json!({"runId": "r", "exitCode": 0, "output": "hi\n"}),
                "Exec finished (node=n id=r, code 0)\nhi",
            ),
            (
                "exec.finished",
                json!({"runId": "r", "timedOut": true, "exitCode": 1}),
                "Exec finished (node=n id=r, timeout)",
            ),
            (
                "exec.finished",
                json!({"runId": "r"}),
                "Exec finished (node=n id=r, code ?)",
            ),
            (
                "exec.denied",
                json!({"runId": "r", "reason": "allowlist-miss", "command": "id"}),
                "Exec denied (node=n id=r, allowlist-miss): id",
            ),
        ] {
            let Happening::Run(told) = told(event, payload) else {
                panic!("{event} is of a run")
            };
            assert_eq!(told.text("n"), line);
            assert_eq!(told.is_over(), event != "exec.started");
        }
    }

    #[test]
    fn the_payload_may_come_as_text_and_nonsense_is_nothing() {
        let params = json!({"event": "chat.subscribe", "payloadJSON": "{\"sessionKey\":\" s \"}"});
        let follow = Happening::Follow {
            session: "s".to_owned(),
            wants: true,
        };
        assert_eq!(read(&serde_json::from_value(params).unwrap()), follow);
        for (event, payload) in [
            ("chat.subscribe", json!({})),
            ("exec.finished", json!("x")),
            ("exec.finished", json!({"runId": 1})),
            ("whatever", json!({"runId": "r"})),
        ] {
            assert_eq!(told(event, payload), Happening::Unknown);
        }
        assert_eq!(told("agent.request", json!({})), Happening::Unknown);
        let long = "x".repeat(20_001);
        assert!(matches!(
            told("voice.transcript", json!({ "text": long })),
            Happening::Refused(_)
        ));
        let Happening::Wish(wish) = told(
            "agent.request",
            json!({"message": "hi", "timeoutSeconds": 5}),
        ) else {
            panic!("a wish is one")
        };
        assert_eq!((wish.message.as_str(), wish.timeout), ("hi", Some(5)));
    }
}
