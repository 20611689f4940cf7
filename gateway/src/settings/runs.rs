//! What the configuration says of runs.  (pure)

use std::time::Duration;

use openclaw_shared::config::Config;
use openclaw_shared::transcript::Thinking;
use serde_json::Value;

use crate::runs::Bounds;

/// How long a run may take when nobody says.
const TIMEOUT: Duration = Duration::from_secs(600);
/// How many messages wait in one session when nobody says.
const CAP: usize = 20;

openclaw_shared::literals! {
    /// What becomes of a message that comes while its session is busy.
    #[derive(Default)]
    pub enum QueueMode {
        /// All that wait are answered together.
        #[default]
        Collect = "collect",
        /// Each is answered by itself.
        Followup = "followup",
        /// The run that is under way hears it.
        Steer = "steer",
        /// The run that is under way hears it, and it is answered by itself as well.
        SteerBacklog = "steer-backlog",
        /// The run that is under way is stopped.
        Interrupt = "interrupt",
    }
}

impl QueueMode {
    /// A mode, also by the names of older configurations.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.trim().to_lowercase().as_str() {
            "queue" => Some(Self::Steer),
            "steer+backlog" => Some(Self::SteerBacklog),
            other => Self::from_text(other),
        }
    }
}

openclaw_shared::literals! {
    /// Which message goes when too many wait.
    #[derive(Default)]
    pub enum DropPolicy {
        /// None: what waits is answered together, and nothing is lost.
        #[default]
        Summarize = "summarize",
        /// The oldest.
        Old = "old",
        /// The one that comes.
        New = "new",
    }
}

/// All of it.
#[derive(Debug, Clone)]
pub(crate) struct RunSettings {
    pub(crate) bounds: Bounds,
    pub(crate) timeout: Duration,
    pub(crate) queue: QueueMode,
    pub(crate) drop: DropPolicy,
    /// How many messages wait in one session at most.
    pub(crate) cap: usize,
    /// Whether tools are shown where a session says nothing else.
    pub(crate) verbose: Option<String>,
    /// How much a model thinks where a session says nothing else.
    pub(crate) thinking: Option<Thinking>,
}

impl RunSettings {
    /// Takes what concerns runs.
    pub(crate) fn of(config: &Config) -> Self {
        let defaults = &config.agents.defaults;
        let queue = config
            .messages
            .as_ref()
            .and_then(|messages| serde_json::to_value(messages).ok())
            .map(|mut messages| messages["queue"].take())
            .unwrap_or_default();
        let words = |value: Option<Value>| value.and_then(|it| it.as_str().map(str::to_owned));
        let default_of = |setting: &Option<_>| words(serde_json::to_value(setting).ok());
        let named = |key: &str| queue[key].as_str();
        Self {
            bounds: Bounds {
                main: defaults.max_concurrent as usize,
                subagent: defaults.subagents.max_concurrent as usize,
            },
            timeout: defaults
                .timeout_seconds
                .filter(|seconds| *seconds > 0)
                .map_or(TIMEOUT, Duration::from_secs),
            queue: named("mode").and_then(QueueMode::parse).unwrap_or_default(),
            drop: named("drop")
                .and_then(DropPolicy::from_text)
                .unwrap_or_default(),
            cap: queue["cap"]
                .as_u64()
                .filter(|cap| *cap > 0)
                .and_then(|cap| usize::try_from(cap).ok())
                .unwrap_or(CAP),
            verbose: default_of(&defaults.verbose_default),
            thinking: default_of(&defaults.thinking_default)
                .and_then(|text| Thinking::from_text(&text)),
        }
    }
}
