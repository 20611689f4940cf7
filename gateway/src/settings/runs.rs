//! What the configuration says of runs.  (pure)

use std::time::Duration;

use openclaw_agent::compact::DEFAULT_RESERVE;
use openclaw_shared::config::Config;
use openclaw_shared::transcript::Thinking;
use serde_json::{Map, Value};

use super::queue::Queue;
use crate::runs::Bounds;

/// How long a run may take when nobody says.
const TIMEOUT: Duration = Duration::from_secs(600);
/// What is left free for an answer however little is configured, in tokens.
const LEAST_RESERVE: u64 = 16_384;
/// How much earlier a conversation is made shorter when the agent writes something down before, in tokens.
const SOFT_THRESHOLD: u64 = 4_000;
/// What the agent is told of it.
const FLUSH_SYSTEM: &str = "This conversation is about to be made shorter. Nobody reads what you answer to the last message.";
/// What it is asked.
const FLUSH_PROMPT: &str = "\
Before the earlier part of this conversation is left out: write down what must last (decisions, preferences, open promises, exact names) in \
memory/YYYY-MM-DD.md in your working folder, after what is there already. When there is nothing to keep, or when you are done, answer with \
NO_REPLY alone.";

/// How an agent is asked to write down what it is to remember.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemoryFlush {
    /// How much earlier a conversation is made shorter for it, in tokens.
    pub(crate) soft_threshold: u64,
    /// What is added to what the agent is told before the conversation.
    pub(crate) system: String,
    prompt: String,
}

impl MemoryFlush {
    /// What the agent is asked on this day.
    pub(crate) fn prompt(&self, today: &str) -> String {
        self.prompt.replace("YYYY-MM-DD", today)
    }

    fn of(compaction: &Map<String, Value>) -> Option<Self> {
        let flush = &compaction.get("memoryFlush").unwrap_or(&Value::Null);
        let words = |key: &str, usual: &str| {
            let text = flush[key].as_str().map(str::trim);
            let text = text.filter(|text| !text.is_empty());
            text.unwrap_or(usual).to_owned()
        };
        (flush["enabled"] != false).then(|| Self {
            soft_threshold: flush["softThresholdTokens"]
                .as_u64()
                .unwrap_or(SOFT_THRESHOLD),
            system: words("systemPrompt", FLUSH_SYSTEM),
            prompt: words("prompt", FLUSH_PROMPT),
        })
    }
}

/// All of it.
#[derive(Debug, Clone)]
pub(crate) struct RunSettings {
    pub(crate) bounds: Bounds,
    pub(crate) timeout: Duration,
    /// What becomes of messages that come while their session is busy and says nothing else.
    pub(crate) queue: Queue,
    /// Whether tools are shown where a session says nothing else.
    pub(crate) verbose: Option<String>,
    /// How much a model thinks where a session says nothing else.
    pub(crate) thinking: Option<Thinking>,
    /// How much of what a model can read is left free for its answer, in tokens.
    pub(crate) reserve: u64,
    /// Whether agents write down what they are to remember before a conversation is made shorter.
    pub(crate) flush: Option<MemoryFlush>,
}

impl RunSettings {
    /// Takes what concerns runs.
    pub(crate) fn of(config: &Config) -> Self {
        let defaults = &config.agents.defaults;
        let compaction = defaults.compaction.as_ref();
        let compaction = compaction.map_or_else(Map::new, |it| it.expose().clone());
        let queue = config
            .messages
            .as_ref()
            .and_then(|messages| serde_json::to_value(messages).ok())
            .map(|mut messages| messages["queue"].take())
            .unwrap_or_default();
        let words = |value: Option<Value>| value.and_then(|it| it.as_str().map(str::to_owned));
        let default_of = |setting: &Option<_>| words(serde_json::to_value(setting).ok());
        Self {
            bounds: Bounds {
                main: defaults.max_concurrent as usize,
                subagent: defaults.subagents.max_concurrent as usize,
            },
            timeout: defaults
                .timeout_seconds
                .filter(|seconds| *seconds > 0)
                .map_or(TIMEOUT, Duration::from_secs),
            queue: Queue::of(&queue),
            verbose: default_of(&defaults.verbose_default),
            thinking: default_of(&defaults.thinking_default)
                .and_then(|text| Thinking::from_text(&text)),
            reserve: compaction
                .get("reserveTokensFloor")
                .and_then(Value::as_u64)
                .unwrap_or(DEFAULT_RESERVE)
                .max(LEAST_RESERVE),
            flush: MemoryFlush::of(&compaction),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(compaction: Value) -> RunSettings {
        let config = json!({"agents": {"defaults": {"compaction": compaction}}});
        RunSettings::of(&Config::from_effective(&config).unwrap())
    }

    #[test]
    fn how_much_is_left_free_has_a_floor() {
        for (compaction, reserve) in [
            (json!({}), 20_000),
            (json!({"reserveTokensFloor": 40_000}), 40_000),
            (json!({"reserveTokensFloor": 0}), 16_384),
        ] {
            assert_eq!(settings(compaction).reserve, reserve);
        }
    }

    #[test]
    fn agents_write_down_what_they_remember_unless_told_not_to() {
        let usual = settings(json!({})).flush.unwrap();
        assert_eq!(usual.soft_threshold, 4_000);
        assert!(usual.prompt("2026-01-02").contains("memory/2026-01-02.md"));
        let own = json!({"memoryFlush": {"softThresholdTokens": 7, "prompt": "Note it on YYYY-MM-DD.", "systemPrompt": "Soon."}});
        let own = settings(own).flush.unwrap();
        assert_eq!((own.soft_threshold, own.system.as_str()), (7, "Soon."));
        assert_eq!(own.prompt("2026-01-02"), "Note it on 2026-01-02.");
        let off = settings(json!({"memoryFlush": {"enabled": false}}));
        assert_eq!(off.flush, None);
    }
}
