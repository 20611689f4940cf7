//! A change of a session: what each field may be, and the words that stand for it.  (pure)

use openclaw_shared::protocol::params::sessions::{
    ResponseUsage, SessionEntry, SessionsPatchParams,
};
use openclaw_shared::protocol::strict::{NonEmpty, OrNull};

use crate::methods::MethodError;
use crate::services::session_key::SessionKey;
use crate::settings::catalog::{ModelRefused, Models};

/// A field of a few words: the words people use for each, the text that refuses others, and the word that is the same as
/// nothing.
struct Words {
    words: &'static [(&'static str, &'static [&'static str])],
    refusal: &'static str,
    same_as_unset: Option<&'static str>,
}

const THINKING: Words = Words {
    words: &[
        ("off", &["off"]),
        ("minimal", &["minimal", "min", "think"]),
        (
            "low",
            &[
                "low",
                "on",
                "enable",
                "enabled",
                "thinkhard",
                "think-hard",
                "think_hard",
            ],
        ),
        (
            "medium",
            &[
                "medium",
                "med",
                "mid",
                "thinkharder",
                "think-harder",
                "harder",
            ],
        ),
        (
            "high",
            &[
                "high",
                "highest",
                "max",
                "ultra",
                "ultrathink",
                "thinkhardest",
            ],
        ),
    ],
    refusal: "invalid thinkingLevel (use off|minimal|low|medium|high)",
    same_as_unset: Some("off"),
};

const VERBOSE: Words = Words {
    words: &[
        ("off", &["off", "false", "no", "0"]),
        ("full", &["full", "all", "everything"]),
        ("on", &["on", "minimal", "true", "yes", "1"]),
    ],
    refusal: "invalid verboseLevel (use \"on\"|\"off\")",
    same_as_unset: None,
};

const REASONING: Words = Words {
    words: &[
        (
            "off",
            &[
                "off", "false", "no", "0", "hide", "hidden", "disable", "disabled",
            ],
        ),
        (
            "on",
            &[
                "on", "true", "yes", "1", "show", "visible", "enable", "enabled",
            ],
        ),
        ("stream", &["stream", "streaming", "draft", "live"]),
    ],
    refusal: "invalid reasoningLevel (use \"on\"|\"off\"|\"stream\")",
    same_as_unset: Some("off"),
};

const ELEVATED: Words = Words {
    words: &[
        ("off", &["off", "false", "no", "0"]),
        ("full", &["full", "auto", "auto-approve", "autoapprove"]),
        ("ask", &["ask", "prompt", "approval", "approve"]),
        ("on", &["on", "true", "yes", "1"]),
    ],
    refusal: "invalid elevatedLevel (use \"on\"|\"off\"|\"ask\"|\"full\")",
    same_as_unset: None,
};

const EXEC_HOST: Words = Words {
    words: &[
        ("sandbox", &["sandbox"]),
        ("gateway", &["gateway"]),
        ("node", &["node"]),
    ],
    refusal: "invalid execHost (use \"sandbox\"|\"gateway\"|\"node\")",
    same_as_unset: None,
};

const EXEC_SECURITY: Words = Words {
    words: &[
        ("deny", &["deny"]),
        ("allowlist", &["allowlist"]),
        ("full", &["full"]),
    ],
    refusal: "invalid execSecurity (use \"deny\"|\"allowlist\"|\"full\")",
    same_as_unset: None,
};

const EXEC_ASK: Words = Words {
    words: &[
        ("off", &["off"]),
        ("on-miss", &["on-miss"]),
        ("always", &["always"]),
    ],
    refusal: "invalid execAsk (use \"off\"|\"on-miss\"|\"always\")",
    same_as_unset: None,
};

/// What people set by a word in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dial {
    /// How much is thought.
    Thinking,
    /// How much is told.
    Verbose,
    /// Whether reasoning is shown.
    Reasoning,
    /// Whether tools run elevated.
    Elevated,
}

impl Dial {
    const fn words(self) -> &'static Words {
        match self {
            Self::Thinking => &THINKING,
            Self::Verbose => &VERBOSE,
            Self::Reasoning => &REASONING,
            Self::Elevated => &ELEVATED,
        }
    }

    /// The word that is kept for what people say.
    pub(crate) fn word(self, said: &str) -> Option<&'static str> {
        self.words().find(said)
    }

    /// The words that are kept.
    pub(crate) fn choices(self) -> impl Iterator<Item = &'static str> {
        self.words().words.iter().map(|(word, _)| *word)
    }
}

impl Words {
    fn find(&self, said: &str) -> Option<&'static str> {
        let said = said.trim().to_lowercase();
        let found = self
            .words
            .iter()
            .find(|(_, said_so)| said_so.contains(&said.as_str()));
        found.map(|(word, _)| *word)
    }

    fn set(
        &self,
        field: &mut Option<String>,
        wish: Option<&OrNull<NonEmpty>>,
    ) -> Result<(), MethodError> {
        match wish {
            None => {}
            Some(OrNull::Null) => *field = None,
            Some(OrNull::Value(text)) => {
                let word = self
                    .find(text)
                    .ok_or_else(|| MethodError::invalid(self.refusal))?;
                *field = (Some(word) != self.same_as_unset).then(|| word.to_owned());
            }
        }
        Ok(())
    }
}

/// Applies a change, or refuses it whole.
pub(super) fn apply(
    entry: &mut SessionEntry,
    key: &SessionKey,
    params: &SessionsPatchParams,
    models: &Models,
) -> Result<(), MethodError> {
    let refuse = |message: &str| Err(MethodError::invalid(message));
    match &params.spawned_by {
        None => {}
        Some(OrNull::Null) if entry.spawned_by.is_some() => {
            return refuse("spawnedBy cannot be cleared once set");
        }
        Some(OrNull::Null) => {}
        Some(OrNull::Value(parent)) => match parent.trim() {
            "" => return refuse("invalid spawnedBy: empty"),
            _ if !key.is_subagent() => {
                return refuse("spawnedBy is only supported for subagent:* sessions");
            }
            parent if entry.spawned_by.as_deref().is_some_and(|set| set != parent) => {
                return refuse("spawnedBy cannot be changed once set");
            }
            parent => entry.spawned_by = Some(parent.to_owned()),
        },
    }
    match &params.label {
        None => {}
        Some(OrNull::Null) => entry.label = None,
        Some(OrNull::Value(label)) => match label.trim() {
            "" => return refuse("invalid label: empty"),
            label => entry.label = Some(label.to_owned()),
        },
    }
    THINKING.set(&mut entry.thinking_level, params.thinking_level.as_ref())?;
    VERBOSE.set(&mut entry.verbose_level, params.verbose_level.as_ref())?;
    REASONING.set(&mut entry.reasoning_level, params.reasoning_level.as_ref())?;
    match &params.response_usage {
        None => {}
        Some(OrNull::Null | OrNull::Value(ResponseUsage::Off)) => entry.response_usage = None,
        Some(OrNull::Value(ResponseUsage::On)) => {
            entry.response_usage = Some(ResponseUsage::Tokens)
        }
        Some(OrNull::Value(usage @ (ResponseUsage::Tokens | ResponseUsage::Full))) => {
            entry.response_usage = Some(*usage);
        }
    }
    ELEVATED.set(&mut entry.elevated_level, params.elevated_level.as_ref())?;
    EXEC_HOST.set(&mut entry.exec_host, params.exec_host.as_ref())?;
    EXEC_SECURITY.set(&mut entry.exec_security, params.exec_security.as_ref())?;
    EXEC_ASK.set(&mut entry.exec_ask, params.exec_ask.as_ref())?;
    match &params.exec_node {
        None => {}
        Some(OrNull::Null) => entry.exec_node = None,
        Some(OrNull::Value(node)) => match node.trim() {
            "" => return refuse("invalid execNode: empty"),
            node => entry.exec_node = Some(node.to_owned()),
        },
    }
    model(entry, params.model.as_ref(), models)?;
    match &params.send_policy {
        None => {}
        Some(OrNull::Null) => entry.send_policy = None,
        Some(OrNull::Value(policy)) => entry.send_policy = Some(*policy),
    }
    match &params.group_activation {
        None => {}
        Some(OrNull::Null) => entry.group_activation = None,
        Some(OrNull::Value(activation)) => entry.group_activation = Some(*activation),
    }
    Ok(())
}

/// The default model is no override: a session that says so follows the configuration.
fn model(
    entry: &mut SessionEntry,
    wish: Option<&OrNull<NonEmpty>>,
    models: &Models,
) -> Result<(), MethodError> {
    let chosen = match wish {
        None => return Ok(()),
        Some(OrNull::Null) => None,
        Some(OrNull::Value(text)) => match models.choose(text.trim()) {
            Ok(chosen) => (Some(&chosen) != models.default.as_ref()).then_some(chosen),
            Err(ModelRefused::Empty) => return Err(MethodError::invalid("invalid model: empty")),
            Err(ModelRefused::NoProvider) => {
                return Err(MethodError::invalid(format!(
                    "invalid model: {} (use provider/model)",
                    text.trim()
                )));
            }
            Err(ModelRefused::NotAllowed(model)) => {
                return Err(MethodError::invalid(format!("model not allowed: {model}")));
            }
        },
    };
    let (provider, model) = chosen.map(|chosen| (chosen.provider, chosen.model)).unzip();
    entry.provider_override = provider.flatten();
    entry.model_override = model;
    Ok(())
}
