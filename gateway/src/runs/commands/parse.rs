//! What people write to the gateway instead of the agent: `/status`, `/think high`, …                              (pure)
//!
//! A command is a whole message. Settings may also stand before a message (`/think high what is …`) and hold for its answer alone. A
//! text that only looks like a command, such as a path, is an ordinary message.

use openclaw_shared::transcript::Thinking;
use serde_json::{Map, Value};

use crate::services::sessions::Dial;
use crate::settings::queue::Wish;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// `/help`.
    Help,
    /// `/commands`.
    Commands,
    /// `/status`.
    Status,
    /// `/whoami`, `/id`.
    Whoami,
    /// `/new`, `/reset`: another conversation begins, with this message if there is one.
    Reset { rest: String },
    /// `/stop`.
    Stop,
    /// `/restart`.
    Restart,
    /// `/compact`: with what the notes are to mind.
    Compact { wish: Option<String> },
    /// `/context`.
    Context(Detail),
    /// `/usage`.
    Usage(Option<String>),
    /// `/models`.
    Models,
    /// `/approve`.
    Approve { id: String, decision: String },
    /// `/send`.
    Send(Option<String>),
    /// `/activation`.
    Activation(Option<String>),
    /// `/subagents`.
    Subagents(String),
    /// `/queue`.
    Queue(Result<Wish, String>),
    /// `/skill`.
    Skill { name: String, input: String },
    /// One or several settings and nothing else.
    Set(Vec<Directive>),
    /// A command of other versions that does nothing here.
    NotHere(&'static str),
}

/// How much `/context` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// What it can tell.
    Help,
    /// The parts.
    List,
    /// Every part of the parts.
    Full,
    /// The same for programs.
    Json,
}

/// What a conversation can be set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    /// A level of a few words.
    Dial(Dial),
    /// The model.
    Model,
    /// Where and under which rules commands are executed.
    Exec,
    /// What becomes of messages while the agent is busy. Alone it is a command of its own.
    Queue,
}

/// A setting, and to what; without a value it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Directive {
    pub(crate) setting: Setting,
    pub(crate) value: Option<String>,
}

/// Settings for one message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hints {
    /// How much the model thinks.
    pub(crate) thinking: Option<Thinking>,
    /// The model.
    pub(crate) model: Option<String>,
    /// Whether people see what tools do.
    pub(crate) verbose: Option<String>,
    /// What becomes of it while the agent is busy.
    pub(crate) queue: Map<String, Value>,
    /// What is said to the agent.
    pub(crate) message: String,
}

/// A command, with what `/help` says of it.
pub(super) struct Known {
    pub(super) names: &'static [&'static str],
    pub(super) usage: &'static str,
    pub(super) about: &'static str,
}

const fn known(names: &'static [&'static str], usage: &'static str, about: &'static str) -> Known {
    Known {
        names,
        usage,
        about,
    }
}

/// Everything that works here, in the order in which it is listed.
pub(super) const KNOWN: &[Known] = &[
    known(&["help"], "/help", "what you can say to me"),
    known(&["commands"], "/commands", "all commands"),
    known(
        &["status"],
        "/status",
        "the model, the context and the settings of this conversation",
    ),
    known(&["whoami", "id"], "/whoami", "who you are to the gateway"),
    known(
        &["context"],
        "/context list|detail|json",
        "what the agent is told, and how large it is",
    ),
    known(
        &["new", "reset"],
        "/new [model] [message]",
        "begin another conversation",
    ),
    known(&["stop"], "/stop", "stop what the agent does"),
    known(
        &["compact"],
        "/compact [what to mind]",
        "make the conversation shorter",
    ),
    known(
        &["think", "thinking", "t"],
        "/think off|minimal|low|medium|high",
        "how much the model thinks",
    ),
    known(
        &["verbose", "v"],
        "/verbose on|full|off",
        "whether you see what tools do",
    ),
    known(
        &["reasoning", "reason"],
        "/reasoning on|off|stream",
        "whether you see what the model thinks",
    ),
    known(
        &["elevated", "elev"],
        "/elevated on|off|ask|full",
        "whether tools run outside the sandbox",
    ),
    known(
        &["exec"],
        "/exec host=… security=… ask=… node=…",
        "where and under which rules commands run",
    ),
    known(
        &["model"],
        "/model [list|status|<number>|<provider/model>]",
        "the model of this conversation",
    ),
    known(&["models"], "/models", "all models"),
    known(
        &["usage"],
        "/usage off|tokens|full|cost",
        "what an answer took",
    ),
    known(
        &["approve"],
        "/approve <id> allow-once|allow-always|deny",
        "decide on a command that waits",
    ),
    known(
        &["subagents"],
        "/subagents [list|stop <number>|stop all]",
        "agents that this one has started",
    ),
    known(
        &["skill"],
        "/skill <name> [input]",
        "have the agent use a skill",
    ),
    known(
        &["send"],
        "/send on|off|inherit",
        "whether messages may be sent to this conversation",
    ),
    known(
        &["activation"],
        "/activation mention|always",
        "when the agent answers in a group",
    ),
    known(
        &["queue"],
        "/queue <mode> debounce:2s cap:25 drop:old|new|summarize",
        "what becomes of messages while the agent is busy",
    ),
    known(&["restart"], "/restart", "restart the gateway"),
];

/// What other versions have.
const NOT_HERE: &[&str] = &[
    "allowlist",
    "bash",
    "config",
    "debug",
    "dock-discord",
    "dock-slack",
    "dock-telegram",
    "dock_discord",
    "dock_slack",
    "dock_telegram",
    "tts",
    "voice",
];

/// The command that a message is; none for a message to the agent.
pub(crate) fn parse(text: &str) -> Option<Command> {
    let text = text.trim();
    let (name, rest) = named(text)?;
    if setting_of(name).is_some_and(|setting| setting != Setting::Queue) {
        return set(text);
    }
    let words: Vec<&str> = rest.split_whitespace().collect();
    let word = || words.first().map(|word| word.to_lowercase());
    let alone = |command: Command| rest.is_empty().then_some(command);
    match name {
        "help" => Some(Command::Help),
        "commands" => Some(Command::Commands),
        "status" => alone(Command::Status),
        "whoami" | "id" => alone(Command::Whoami),
        "new" | "reset" => Some(Command::Reset {
            rest: rest.to_owned(),
        }),
        "stop" => alone(Command::Stop),
        "restart" => alone(Command::Restart),
        "models" => alone(Command::Models),
        "compact" => Some(Command::Compact {
            wish: (!rest.is_empty()).then(|| rest.to_owned()),
        }),
        "context" => Some(Command::Context(match word().as_deref() {
            Some("list") => Detail::List,
            Some("detail" | "deep") => Detail::Full,
            Some("json") => Detail::Json,
            Some(_) | None => Detail::Help,
        })),
        "usage" => (words.len() <= 1).then(|| Command::Usage(word())),
        "send" => (words.len() <= 1).then(|| Command::Send(word())),
        "activation" => (words.len() <= 1).then(|| Command::Activation(word())),
        // A sentence that begins with the word is a message; one word that says nothing is a slip, and so is a pair that is none.
        "queue" => match (Wish::parse(rest), directives(text)) {
            (Err(_), (several, "")) if several.len() > 1 => Some(Command::Set(several)),
            (Err(word), _) if words.len() > 1 && !word.contains([':', '=']) => None,
            (wish, _) => Some(Command::Queue(wish)),
        },
        "approve" => Some(Command::Approve {
            id: words.first().copied().unwrap_or_default().to_owned(),
            decision: words.get(1).copied().unwrap_or_default().to_lowercase(),
        }),
        "subagents" => Some(Command::Subagents(words.join(" "))),
        "skill" => {
            let (name, input) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            Some(Command::Skill {
                name: name.to_owned(),
                input: input.trim().to_owned(),
            })
        }
        _ => NOT_HERE
            .iter()
            .find(|known| **known == name)
            .map(|known| Command::NotHere(known)),
    }
}

/// The settings that stand before a message; none when there are none, or nothing comes after them.
pub(crate) fn hints(text: &str) -> Option<Hints> {
    let (directives, rest) = directives(text.trim());
    if directives.is_empty() || rest.is_empty() {
        return None;
    }
    let mut hints = Hints {
        message: rest.to_owned(),
        ..Hints::default()
    };
    for directive in directives {
        let value = directive.value?;
        match directive.setting {
            Setting::Dial(Dial::Thinking) => {
                let word = Dial::Thinking.word(&value)?;
                hints.thinking = Some(Thinking::from_text(word)?);
            }
            Setting::Model => hints.model = Some(value),
            Setting::Dial(Dial::Verbose) => {
                hints.verbose = Some(Dial::Verbose.word(&value)?.to_owned());
            }
            Setting::Queue => match Wish::parse(&value) {
                Ok(Wish::Set(wished)) => hints.queue.extend(wished),
                Ok(Wish::Show | Wish::Clear) | Err(_) => return None,
            },
            // What else is shown and where commands run is a matter of the conversation.
            Setting::Dial(Dial::Reasoning | Dial::Elevated) | Setting::Exec => {}
        }
    }
    Some(hints)
}

/// The name of a command, lower-cased as far as it is known, and what comes after it.
fn named(text: &str) -> Option<(&'static str, &str)> {
    let after = text.strip_prefix('/')?;
    let ends = after
        .find(|letter: char| letter.is_whitespace() || letter == ':')
        .unwrap_or(after.len());
    let (name, rest) = after.split_at(ends);
    let rest = rest.strip_prefix(':').unwrap_or(rest).trim();
    let name = name.to_lowercase();
    let known = KNOWN.iter().flat_map(|known| known.names.iter());
    let name = known.chain(NOT_HERE).find(|known| **known == name)?;
    Some((*name, rest))
}

fn setting_of(name: &str) -> Option<Setting> {
    Some(match name {
        "think" | "thinking" | "t" => Setting::Dial(Dial::Thinking),
        "verbose" | "v" => Setting::Dial(Dial::Verbose),
        "reasoning" | "reason" => Setting::Dial(Dial::Reasoning),
        "elevated" | "elev" => Setting::Dial(Dial::Elevated),
        "model" => Setting::Model,
        "exec" => Setting::Exec,
        "queue" => Setting::Queue,
        _ => return None,
    })
}

fn set(text: &str) -> Option<Command> {
    let (mut directives, rest) = directives(text);
    if rest.is_empty() {
        return Some(Command::Set(directives));
    }
    // One word that is no value is a slip; more words are a sentence.
    let is_slip = !rest.contains(char::is_whitespace) && !rest.starts_with('/');
    match directives.as_mut_slice() {
        [only] if only.value.is_none() && is_slip => {
            only.value = Some(rest.to_owned());
            Some(Command::Set(directives))
        }
        _ => None,
    }
}

/// The settings at the beginning of a text, and what comes after them.
fn directives(text: &str) -> (Vec<Directive>, &str) {
    let mut directives = Vec::new();
    let mut left = text;
    while let Some((name, mut rest)) = named(left)
        && let Some(setting) = setting_of(name)
    {
        let mut values: Vec<&str> = Vec::new();
        loop {
            let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            let takes = match setting {
                Setting::Dial(dial) => values.is_empty() && dial.word(word).is_some(),
                Setting::Model => values.is_empty() && !word.is_empty() && !word.starts_with('/'),
                Setting::Exec => word.contains('=') && !word.starts_with('/'),
                Setting::Queue => matches!(Wish::parse(word), Ok(Wish::Set(_))),
            };
            if !takes {
                break;
            }
            values.push(word);
            rest = after.trim_start();
        }
        directives.push(Directive {
            setting,
            value: (!values.is_empty()).then(|| values.join(" ")),
        });
        left = rest;
    }
    (directives, left)
}

#[cfg(test)]
mod tests {
    use openclaw_shared::transcript::Thinking;
    use serde_json::{Value, json};

    use super::{Command, Detail, Directive, Hints, Setting, Wish, hints, parse};
    use crate::services::sessions::Dial;

    fn set(directives: &[(Setting, Option<&str>)]) -> Option<Command> {
        let directive = |(setting, value): &(Setting, Option<&str>)| Directive {
            setting: *setting,
            value: value.map(str::to_owned),
        };
        Some(Command::Set(directives.iter().map(directive).collect()))
    }

    #[test]
    fn whole_messages_are_commands() {
        for (text, command) in [
            ("/help", Command::Help),
            (" /Help: ", Command::Help),
            ("/STATUS", Command::Status),
            ("/id", Command::Whoami),
            (
                "/new",
                Command::Reset {
                    rest: String::new(),
                },
            ),
            (
                "/reset tell me a story",
                Command::Reset {
                    rest: "tell me a story".into(),
                },
            ),
            ("/stop", Command::Stop),
            ("/compact", Command::Compact { wish: None }),
            (
                "/compact: keep the plan",
                Command::Compact {
                    wish: Some("keep the plan".into()),
                },
            ),
            ("/context", Command::Context(Detail::Help)),
            ("/context detail", Command::Context(Detail::Full)),
            ("/usage tokens", Command::Usage(Some("tokens".into()))),
            (
                "/approve a1 Allow-Once",
                Command::Approve {
                    id: "a1".into(),
                    decision: "allow-once".into(),
                },
            ),
            (
                "/skill tea  green please",
                Command::Skill {
                    name: "tea".into(),
                    input: "green please".into(),
                },
            ),
            ("/queue", Command::Queue(Ok(Wish::Show))),
            ("/queue: Reset", Command::Queue(Ok(Wish::Clear))),
            ("/queue banana", Command::Queue(Err("banana".into()))),
            (
                "/queue collect debounce:soon",
                Command::Queue(Err("debounce:soon".into())),
            ),
            ("/tts on", Command::NotHere("tts")),
        ] {
            assert_eq!(parse(text), Some(command), "{text}");
        }
    }

    #[test]
    fn everything_else_is_a_message() {
        for text in [
            "",
            "hello",
            "/",
            "/home/me/notes.txt",
            "/statusquo",
            "/unknown",
            "see /status",
            "/status of my order?",
            "/think about the weather today",
            "/usage of the word is what?",
            "/queue up some music",
            "/think high /queue up some music",
            "//help",
        ] {
            assert_eq!(parse(text), None, "{text}");
            assert_eq!(hints(text), None, "{text}");
        }
    }

    #[test]
    fn settings_alone_are_kept() {
        let (think, verbose) = (Setting::Dial(Dial::Thinking), Setting::Dial(Dial::Verbose));
        assert_eq!(parse("/think"), set(&[(think, None)]));
        assert_eq!(parse("/t: HIGH"), set(&[(think, Some("HIGH"))]));
        assert_eq!(parse("/think banana"), set(&[(think, Some("banana"))]));
        assert_eq!(
            parse("/think high /verbose on\n/model a/b"),
            set(&[
                (think, Some("high")),
                (verbose, Some("on")),
                (Setting::Model, Some("a/b"))
            ])
        );
        assert_eq!(
            parse("/exec host=gateway ask=always"),
            set(&[(Setting::Exec, Some("host=gateway ask=always"))])
        );
        for text in [
            "/queue collect cap:3 /think high",
            "/queue: collect cap:3\n/think high",
        ] {
            assert_eq!(
                parse(text),
                set(&[
                    (Setting::Queue, Some("collect cap:3")),
                    (think, Some("high"))
                ])
            );
        }
    }

    #[test]
    fn settings_before_a_message_are_for_its_answer() {
        let text = "/think high /model a/b what is\n2 + 2?";
        assert_eq!(parse(text), None);
        assert_eq!(
            hints(text),
            Some(Hints {
                thinking: Some(Thinking::High),
                model: Some("a/b".into()),
                message: "what is\n2 + 2?".into(),
                ..Hints::default()
            })
        );
        let text = "/queue steer debounce:2s /verbose full turn left";
        assert_eq!(parse(text), None);
        let Value::Object(queue) = json!({"queueMode": "steer", "queueDebounceMs": 2_000}) else {
            unreachable!("it is written as an object");
        };
        assert_eq!(
            hints(text),
            Some(Hints {
                verbose: Some("full".into()),
                queue,
                message: "turn left".into(),
                ..Hints::default()
            })
        );
        assert_eq!(hints("/think high"), None, "there is no message");
        assert_eq!(
            hints("/verbose on hello").map(|hints| hints.message),
            Some("hello".into())
        );
    }
}
