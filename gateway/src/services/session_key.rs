//! How sessions are named: what a client writes, and the one key it stands for.  (pure)
//!
//! Invariant: a canonical key is `global`, `unknown` or `agent:<agent>:<rest>` with an agent id and a rest of harmless
//! characters. Nothing that could be read as a path passes, so that whatever is made of a key later cannot lead astray.

use std::fmt;

use openclaw_shared::protocol::params::sessions::SessionKind;

/// The longest key, in bytes.
const LONGEST_KEY: usize = 512;
/// The longest agent id, in bytes.
const LONGEST_AGENT: usize = 64;
/// What stands for the main session of an agent in every configuration.
const MAIN: &str = "main";
const GLOBAL: &str = "global";
const UNKNOWN: &str = "unknown";

/// Why a text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyError {
    /// There is nothing in it.
    #[error("key required")]
    Blank,
    /// It is too long, or has a character or a part that no key has.
    #[error("invalid session key")]
    Malformed,
}

/// How the configuration names sessions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Naming<'a> {
    /// The agent that is meant when none is named.
    pub(crate) default_agent: &'a str,
    /// The last part of main keys.
    pub(crate) main_key: &'a str,
    /// Whether there is one session for all.
    pub(crate) is_global: bool,
}

/// A canonical key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionKey {
    text: String,
    /// Where the agent id ends; `None` for the special keys.
    agent_ends: Option<usize>,
}

impl fmt::Display for SessionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

const PREFIX: &str = "agent:";

impl SessionKey {
    /// The key that a text stands for: aliases are resolved, and a bare one belongs to the default agent.
    pub(crate) fn parse(text: &str, naming: Naming<'_>) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(KeyError::Blank);
        }
        if text.len() > LONGEST_KEY {
            return Err(KeyError::Malformed);
        }
        if text == GLOBAL || text == UNKNOWN {
            return Ok(Self::special(text));
        }
        let (agent, rest) = match text.strip_prefix(PREFIX) {
            Some(named) => named.split_once(':').ok_or(KeyError::Malformed)?,
            None => (naming.default_agent, text),
        };
        let agent = agent_id(agent).ok_or(KeyError::Malformed)?;
        if rest == MAIN || rest == naming.main_key {
            return Ok(if naming.is_global {
                Self::special(GLOBAL)
            } else {
                Self::of(&agent, naming.main_key)
            });
        }
        if is_harmless(rest) {
            Ok(Self::of(&agent, rest))
        } else {
            Err(KeyError::Malformed)
        }
    }

    fn special(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            agent_ends: None,
        }
    }

    fn of(agent: &str, rest: &str) -> Self {
        Self {
            text: format!("{PREFIX}{agent}:{rest}"),
            agent_ends: Some(PREFIX.len() + agent.len()),
        }
    }

    /// A key that was canonical when it was stored.
    pub(crate) fn of_canonical(text: &str) -> Self {
        let agent = text
            .strip_prefix(PREFIX)
            .and_then(|named| named.split_once(':'));
        Self {
            text: text.to_owned(),
            agent_ends: agent.map(|(agent, _)| PREFIX.len() + agent.len()),
        }
    }

    /// The key.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The agent it belongs to; `None` for the special keys.
    pub(crate) fn agent(&self) -> Option<&str> {
        self.agent_ends
            .and_then(|end| self.text.get(PREFIX.len()..end))
    }

    /// What comes after the agent.
    pub(crate) fn rest(&self) -> &str {
        self.agent_ends
            .and_then(|end| self.text.get(end + 1..))
            .unwrap_or(&self.text)
    }

    /// Whether it is the main session of the default agent, or the one for all.
    pub(crate) fn is_main(&self, naming: Naming<'_>) -> bool {
        if naming.is_global {
            self.text == GLOBAL
        } else {
            self.agent() == Some(naming.default_agent) && self.rest() == naming.main_key
        }
    }

    /// Whether another session may have started it.
    pub(crate) fn is_subagent(&self) -> bool {
        self.agent_ends.is_some() && self.rest().starts_with("subagent:")
    }
}

/// The agent id that a text stands for: `[a-z0-9][a-z0-9_-]{0,63}`, whatever the case.
pub(crate) fn agent_id(text: &str) -> Option<String> {
    let id = text.trim().to_ascii_lowercase();
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let first = *id.as_bytes().first()?;
    let fits = id.len() <= LONGEST_AGENT
        && is_word(first)
        && id
            .bytes()
            .all(|byte| is_word(byte) || byte == b'_' || byte == b'-');
    fits.then_some(id)
}

/// The agent id that a name in the configuration stands for: what no id can have becomes a dash, so that `Second Agent`, which
/// other versions take, is `second-agent` here too. Callers are held to the id itself.
pub(crate) fn configured_agent_id(text: &str) -> Option<String> {
    let mut id = String::new();
    for letter in text.trim().to_lowercase().chars() {
        if letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, '_' | '-') {
            id.push(letter);
        } else if !id.ends_with('-') {
            id.push('-');
        }
    }
    let id: String = id.trim_matches('-').chars().take(LONGEST_AGENT).collect();
    agent_id(&id)
}

fn is_harmless(rest: &str) -> bool {
    let fits = |letter: char| letter.is_alphanumeric() || " _-.:@+#=~%,!*".contains(letter);
    !rest.is_empty()
        && !rest.contains("..")
        && !rest.starts_with([':', '.', ' '])
        && rest.chars().all(fits)
}

/// What kind of conversation a canonical key is for.
pub(crate) fn kind(key: &str) -> SessionKind {
    match key {
        GLOBAL => SessionKind::Global,
        UNKNOWN => SessionKind::Unknown,
        _ if key.contains(":group:") || key.contains(":channel:") => SessionKind::Group,
        _ => SessionKind::Direct,
    }
}

/// The channel of a group's canonical key and what to show as its name, when the key names a channel.
pub(crate) fn group_name(key: &str) -> Option<(String, String)> {
    let rest = key.strip_prefix(PREFIX)?.split_once(':')?.1;
    let (channel, peer) = rest.split_once(':')?;
    let peer = peer
        .strip_prefix("group:")
        .or_else(|| peer.strip_prefix("channel:"))?;
    let channel = channel.to_lowercase();
    let name = format!(
        "{channel}:g-{}",
        peer.to_lowercase().replace([':', ' '], "-")
    );
    Some((channel, name))
}

#[cfg(test)]
mod tests {
    use openclaw_shared::protocol::params::sessions::SessionKind;

    use super::{
        LONGEST_AGENT, Naming, SessionKey, agent_id, configured_agent_id, group_name, kind,
    };

    const NAMING: Naming<'_> = Naming {
        default_agent: "main",
        main_key: "main",
        is_global: false,
    };

    fn check_with(naming: Naming<'_>, text: &str, expected: &str) {
        let shown = match SessionKey::parse(text, naming) {
            Ok(key) => key.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected, "{text:?}");
    }

    #[test]
    fn aliases_and_bare_keys_become_canonical() {
        for (text, expected) in [
            ("main", "agent:main:main"),
            (" main ", "agent:main:main"),
            ("agent:Ops:main", "agent:ops:main"),
            ("x", "agent:main:x"),
            ("BAR Baz", "agent:main:BAR Baz"),
            ("subagent:1", "agent:main:subagent:1"),
            ("cron:abc", "agent:main:cron:abc"),
            (
                "agent:main:telegram:group:-100123:topic:5",
                "agent:main:telegram:group:-100123:topic:5",
            ),
            (
                "agent:main:whatsapp:dm:+49151@s.whatsapp.net",
                "agent:main:whatsapp:dm:+49151@s.whatsapp.net",
            ),
            ("global", "global"),
            ("unknown", "unknown"),
            ("AGENT:main:x", "agent:main:AGENT:main:x"),
        ] {
            check_with(NAMING, text, expected);
        }
        let renamed = Naming {
            default_agent: "ops",
            main_key: "home",
            is_global: false,
        };
        check_with(renamed, "main", "agent:ops:home");
        check_with(renamed, "home", "agent:ops:home");
        check_with(renamed, "agent:a:main", "agent:a:home");
        let global = Naming {
            is_global: true,
            ..NAMING
        };
        check_with(global, "agent:main:main", "global");
        check_with(global, "main", "global");
        check_with(global, "x", "agent:main:x");
    }

    /// Threat rule 58: identifiers that could become file names.
    #[test]
    fn rule_58_what_could_be_a_path_is_no_key() {
        for text in [
            "../../../../etc/passwd",
            "agent:main:../../x",
            "agent:../../x:main",
            "agent:main:a/../b",
            "agent:main:..",
            "agent:main:a..b",
            "agent:main:/etc/passwd",
            "agent:main:a\\b",
            "agent:main:a\0b",
            "agent:main:a\nb",
            "agent:main:",
            "agent:main",
            "agent::x",
            "agent:-x:main",
            "agent:a b:main",
            ".hidden",
            ":x",
        ] {
            check_with(NAMING, text, "invalid session key");
        }
        check_with(NAMING, &"x".repeat(513), "invalid session key");
        check_with(NAMING, "  ", "key required");
        for id in ["../x", "a/b", "", "_a", "a.b", "ä"] {
            assert_eq!(agent_id(id), None, "{id}");
        }
        assert_eq!(agent_id(&"a".repeat(65)), None);
        assert_eq!(agent_id(" Ops_1-x "), Some("ops_1-x".to_owned()));
        for (written, id) in [
            ("ops", Some("ops")),
            ("Second Agent", Some("second-agent")),
            (" ZZ Top! ", Some("zz-top")),
            ("a..//b", Some("a-b")),
            ("..", None),
            ("", None),
        ] {
            assert_eq!(configured_agent_id(written).as_deref(), id, "{written}");
        }
        let long = configured_agent_id(&"x y".repeat(40));
        assert_eq!(long.map(|id| id.len()), Some(LONGEST_AGENT));
    }

    #[test]
    fn a_key_tells_what_it_is_for() {
        let parse = |text| SessionKey::parse(text, NAMING).unwrap();
        assert!(parse("main").is_main(NAMING));
        assert!(!parse("x").is_main(NAMING));
        assert!(!parse("agent:ops:main").is_main(NAMING));
        assert!(parse("subagent:1").is_subagent());
        assert_eq!(parse("agent:ops:x:y").agent(), Some("ops"));
        assert_eq!(parse("agent:ops:x:y").rest(), "x:y");
        assert_eq!(parse("global").agent(), None);
        assert_eq!(kind("global"), SessionKind::Global);
        assert_eq!(kind("agent:main:telegram:group:5"), SessionKind::Group);
        assert_eq!(kind("agent:main:telegram:dm:5"), SessionKind::Direct);
        let named = |key| group_name(key).map(|(channel, name)| format!("{channel} {name}"));
        assert_eq!(
            named("agent:main:discord:group:my-Team_1:thread:5").as_deref(),
            Some("discord discord:g-my-team_1-thread-5")
        );
        assert_eq!(named("agent:main:group:zz"), None);
        assert_eq!(named("agent:main:main"), None);
    }
}
