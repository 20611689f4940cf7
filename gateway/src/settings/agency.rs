//! What the configuration says of agents: what they are told, and what they may do to others.  (pure)

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openclaw_agent::workspace::DEFAULT_LONGEST;
use openclaw_shared::config::Config;
use openclaw_shared::transcript::Thinking;
use serde_json::{Map, Value};

use crate::services::session_key::configured_agent_id;

/// How long the session of a task stays after it when nobody says.
const TASKS_STAY: Duration = Duration::from_secs(60 * 60);
/// How often two agents answer each other when nobody says.
const MOST_TURNS: u64 = 5;
/// Whoever is meant by everybody.
const EVERYBODY: &str = "*";

/// All of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Agency {
    /// How many characters of a file of the workspace an agent is told.
    pub(crate) longest_file: usize,
    /// Whether a new workspace gets its first files.
    pub(crate) with_first_files: bool,
    /// The time zone of the person.
    pub(crate) time_zone: Option<String>,
    /// How often two agents answer each other at most.
    pub(crate) most_turns: u64,
    /// Which agents' sessions an agent of another name may look at and write to; none when it may not at all.
    among_agents: Option<BTreeSet<String>>,
    /// How long the session of a task stays after it; none when it stays until somebody deletes it.
    pub(crate) tasks_stay: Option<Duration>,
    subagents: Subagents,
    subagents_of: BTreeMap<String, Subagents>,
    /// Whether commands and agents may change the configuration.
    pub(crate) may_configure: bool,
    /// Whether commands and agents may restart the gateway.
    pub(crate) may_restart: bool,
}

/// What holds for agents that an agent starts.
#[derive(Debug, Clone, Default, PartialEq)]
struct Subagents {
    model: Option<String>,
    thinking: Option<Thinking>,
    /// As which other agents they may run.
    allowed: BTreeSet<String>,
}

impl Agency {
    pub(super) fn of(config: &Config) -> Self {
        let defaults = &config.agents.defaults;
        let shared = serde_json::to_value(&defaults.subagents).unwrap_or_default();
        let subagents_of = config.agents.list.iter().filter_map(|entry| {
            let id = configured_agent_id(&entry.id)?;
            Some((id, Subagents::of(entry.subagents.as_ref()?.expose())))
        });
        let tools = config.tools.agent_to_agent.as_ref();
        let tools = tools.map(|tools| tools.expose());
        Self {
            longest_file: defaults
                .bootstrap_max_chars
                .and_then(|chars| usize::try_from(chars).ok())
                .unwrap_or(DEFAULT_LONGEST),
            with_first_files: !defaults.skip_bootstrap,
            time_zone: defaults.user_timezone.clone(),
            most_turns: config
                .session
                .agent_to_agent
                .max_ping_pong_turns
                .map_or(MOST_TURNS, |turns| turns.get()),
            among_agents: tools
                .filter(|tools| tools.get("enabled") == Some(&Value::Bool(true)))
                .map(|tools| match tools.get("allow") {
                    None => BTreeSet::from([EVERYBODY.to_owned()]),
                    Some(allow) => names(allow),
                }),
            tasks_stay: match defaults.subagents.archive_after_minutes {
                Some(0) => None,
                Some(minutes) => Some(Duration::from_secs(minutes.saturating_mul(60))),
                None => Some(TASKS_STAY),
            },
            subagents: shared.as_object().map(Subagents::of).unwrap_or_default(),
            subagents_of: subagents_of.collect(),
            may_configure: config.commands.config,
            may_restart: config.commands.restart,
        }
    }

    /// Whether an agent may look at and write to sessions of another one.
    pub(crate) fn may_reach(&self, from: &str, to: &str) -> bool {
        let is_named = |among: &BTreeSet<String>, agent: &str| {
            among.contains(EVERYBODY) || among.contains(agent)
        };
        from == to
            || self
                .among_agents
                .as_ref()
                .is_some_and(|among| is_named(among, from) && is_named(among, to))
    }

    /// Whether an agent may start one that runs as another one.
    pub(crate) fn may_start(&self, agent: &str, other: &str) -> bool {
        let of = self.subagents_of.get(agent);
        agent == other
            || of.is_some_and(|of| of.allowed.contains(EVERYBODY) || of.allowed.contains(other))
    }

    /// Whether it may start any.
    pub(crate) fn may_start_any(&self, agent: &str) -> bool {
        let of = self.subagents_of.get(agent);
        of.is_some_and(|of| of.allowed.contains(EVERYBODY))
    }

    /// The model of those that an agent starts; none leaves it to what the other agent has.
    pub(crate) fn subagent_model(&self, agent: &str) -> Option<&str> {
        let own = self
            .subagents_of
            .get(agent)
            .and_then(|of| of.model.as_deref());
        own.or(self.subagents.model.as_deref())
    }

    /// How much those think that an agent starts.
    pub(crate) fn subagent_thinking(&self, agent: &str) -> Option<Thinking> {
        let own = self.subagents_of.get(agent).and_then(|of| of.thinking);
        own.or(self.subagents.thinking)
    }
}

impl Subagents {
    fn of(block: &Map<String, Value>) -> Self {
        let model = block.get("model");
        let primary = model.and_then(|model| model.get("primary"));
        Self {
            model: model
                .and_then(Value::as_str)
                .or_else(|| primary.and_then(Value::as_str))
                .map(str::to_owned),
            thinking: block
                .get("thinking")
                .and_then(Value::as_str)
                .and_then(Thinking::from_text),
            allowed: block.get("allowAgents").map(names).unwrap_or_default(),
        }
    }
}

fn names(list: &Value) -> BTreeSet<String> {
    let texts = list
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    texts
        .filter_map(|text| match text.trim() {
            EVERYBODY => Some(EVERYBODY.to_owned()),
            name => configured_agent_id(name),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use openclaw_shared::config::Config;
    use openclaw_shared::transcript::Thinking;
    use serde_json::{Value, json};

    use super::Agency;

    fn agency(config: &Value) -> Agency {
        Agency::of(&Config::from_effective(config).unwrap())
    }

    #[test]
    fn agents_keep_to_themselves_unless_the_configuration_says_otherwise() {
        let alone = agency(&json!({"agents": {"list": [{"id": "a"}, {"id": "b"}]}}));
        assert!(alone.may_reach("a", "a") && !alone.may_reach("a", "b"));
        assert!(alone.may_start("a", "a") && !alone.may_start("a", "b"));
        assert!(alone.with_first_files && !alone.may_restart);
        assert_eq!((alone.longest_file, alone.most_turns), (20_000, 5));
        let among = agency(&json!({
            "tools": {"agentToAgent": {"enabled": true, "allow": ["A", "b"]}},
            "session": {"agentToAgent": {"maxPingPongTurns": 0}},
            "agents": {
                "defaults": {"subagents": {"model": {"primary": "x/y"}, "thinking": "low"}, "skipBootstrap": true},
                "list": [
                    {"id": "a", "subagents": {"allowAgents": ["b"], "model": "x/z"}},
                    {"id": "b", "subagents": {"allowAgents": ["*"]}}, {"id": "c"},
                ],
            },
        }));
        assert!(among.may_reach("a", "b") && !among.may_reach("a", "c"));
        assert!(among.may_start("a", "b") && !among.may_start("a", "c"));
        assert!(among.may_start("b", "c") && among.may_start_any("b"));
        assert_eq!(among.subagent_model("a"), Some("x/z"));
        assert_eq!(among.subagent_model("c"), Some("x/y"));
        assert_eq!(among.subagent_thinking("c"), Some(Thinking::Low));
        assert_eq!(among.most_turns, 0);
        assert_eq!(among.tasks_stay, Some(Duration::from_secs(3600)));
        for (minutes, stay) in [(0, None), (5, Some(Duration::from_secs(300)))] {
            let config =
                json!({"agents": {"defaults": {"subagents": {"archiveAfterMinutes": minutes}}}});
            assert_eq!(agency(&config).tasks_stay, stay);
        }
        assert!(!among.with_first_files);
    }
}
