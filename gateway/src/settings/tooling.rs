//! What the configuration says of agents' tools: which ones they have, and what those may do.  (pure)

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use openclaw_agent::tool_policy::ToolPolicy;
use openclaw_agent::tools::web_fetch::WebSettings;
use openclaw_shared::config::Config;
use openclaw_shared::config::section::{AgentTools, Mcp, Tools};
use openclaw_shared::exec_approvals::{Ask, Security};
use openclaw_shared::instance::Instance;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::services::session_key::configured_agent_id;

/// How long a command may take when nobody says.
const LIMIT: Duration = Duration::from_secs(1_800);
/// After how long it goes on in the background.
const BACKGROUND_AFTER: Duration = Duration::from_secs(10);

/// What an agent does not get that another one has started, unless the configuration names it.
const OF_SESSIONS: [&str; 4] = [
    "sessions_list",
    "sessions_history",
    "sessions_send",
    "sessions_spawn",
];

/// All of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tooling {
    all: ExecRules,
    agents: BTreeMap<String, ExecRules>,
    tools: Tools,
    /// Servers of tools.
    pub(crate) mcp: Mcp,
    tools_of: BTreeMap<String, AgentTools>,
}

/// How an agent runs commands. Where nothing is said, a person is asked for everything that the owner's list does not name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ExecRules {
    security: Option<Security>,
    ask: Option<Ask>,
    limit: Option<Duration>,
    background_after: Option<Duration>,
    /// Folders that programs are looked for in first.
    path: Vec<PathBuf>,
    tells_of_ends: Option<bool>,
}

impl ExecRules {
    /// How much may be executed.
    pub(crate) fn security(&self) -> Security {
        self.security.unwrap_or(Security::Allowlist)
    }

    /// When a person is asked.
    pub(crate) fn ask(&self) -> Ask {
        self.ask.unwrap_or(Ask::OnMiss)
    }

    /// How long a command may take that says nothing else.
    pub(crate) fn limit(&self) -> Duration {
        self.limit.unwrap_or(LIMIT)
    }

    /// After how long it goes on in the background.
    pub(crate) fn background_after(&self) -> Duration {
        self.background_after.unwrap_or(BACKGROUND_AFTER)
    }

    /// Folders that programs are looked for in first.
    pub(crate) fn path(&self) -> &[PathBuf] {
        &self.path
    }

    /// Whether the agent is told when a command in the background ends.
    pub(crate) fn tells_of_ends(&self) -> bool {
        self.tells_of_ends.unwrap_or(true)
    }

    /// The same, with what a session says; an owner has set that.
    pub(crate) fn with(mut self, security: Option<&str>, ask: Option<&str>) -> Self {
        self.security = security.and_then(Security::from_text).or(self.security);
        self.ask = ask.and_then(Ask::from_text).or(self.ask);
        self
    }

    fn of(exec: &Value, instance: &Instance) -> Self {
        let identity = &instance.identity;
        let seconds = exec["timeoutSec"].as_u64().filter(|seconds| *seconds > 0);
        let folders = exec["pathPrepend"].as_array().into_iter().flatten();
        Self {
            security: word(&exec["security"]),
            ask: word(&exec["ask"]),
            limit: seconds.map(Duration::from_secs),
            background_after: exec["backgroundMs"].as_u64().map(Duration::from_millis),
            path: folders
                .filter_map(Value::as_str)
                .map(|folder| identity.expand(folder, &identity.home))
                .collect(),
            tells_of_ends: exec["notifyOnExit"].as_bool(),
        }
    }

    fn or(self, other: &Self) -> Self {
        Self {
            security: self.security.or(other.security),
            ask: self.ask.or(other.ask),
            limit: self.limit.or(other.limit),
            background_after: self.background_after.or(other.background_after),
            path: if self.path.is_empty() {
                other.path.clone()
            } else {
                self.path
            },
            tells_of_ends: self.tells_of_ends.or(other.tells_of_ends),
        }
    }
}

fn word<T: DeserializeOwned>(value: &Value) -> Option<T> {
    T::deserialize(value).ok()
}

impl Tooling {
    pub(super) fn of(config: &Config, instance: &Instance) -> Self {
        let exec = |tools: Result<Value, serde_json::Error>| {
            let mut tools = tools.unwrap_or_default();
            ExecRules::of(&tools["exec"].take(), instance)
        };
        let agents = config.agents.list.iter().filter_map(|entry| {
            let id = configured_agent_id(&entry.id)?;
            let tools = entry.tools.as_ref()?;
            Some((id, exec(serde_json::to_value(tools))))
        });
        let tools_of = config.agents.list.iter().filter_map(|entry| {
            let id = configured_agent_id(&entry.id)?;
            Some((id, entry.tools.clone()?))
        });
        Self {
            all: exec(serde_json::to_value(&config.tools)),
            agents: agents.collect(),
            tools: config.tools.clone(),
            mcp: config.mcp.clone(),
            tools_of: tools_of.collect(),
        }
    }

    /// Which tools an agent has when this model answers, named as `provider/model`.
    pub(crate) fn policy(&self, agent: &str, model: &str, is_subagent: bool) -> ToolPolicy {
        let (provider, name) = model.split_once('/').unwrap_or((model, ""));
        let policy = ToolPolicy::of(&self.tools, self.tools_of.get(agent), provider, name);
        if !is_subagent {
            return policy;
        }
        let block = self.tools.subagents.as_ref();
        let lists = block.and_then(|block| block.expose().get("tools"));
        let texts = |key: &str| {
            let list = lists.and_then(|lists| lists.get(key)?.as_array());
            list.map(|list| {
                let texts = list.iter().filter_map(Value::as_str);
                texts.map(str::to_owned).collect::<Vec<String>>()
            })
        };
        let allow = texts("allow");
        let mut deny = texts("deny").unwrap_or_default();
        let is_named = |name: &str| allow.iter().flatten().any(|named| named == name);
        let of_sessions = OF_SESSIONS.into_iter().filter(|name| !is_named(name));
        deny.extend(of_sessions.map(str::to_owned));
        policy.and(allow.as_deref(), &deny)
    }

    /// How pages are fetched; none when they are not.
    pub(crate) fn web(&self) -> Option<WebSettings> {
        let fetch = &self.tools.web.fetch;
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        fetch.enabled.then(|| WebSettings {
            max_chars: size(fetch.max_chars),
            limit: Duration::from_secs(fetch.timeout_seconds),
            max_redirects: size(fetch.max_redirects),
            user_agent: fetch.user_agent.clone(),
            allow_hosts: fetch.allow_hosts.iter().cloned().collect(),
        })
    }

    /// How an agent runs commands.
    pub(crate) fn exec(&self, agent: &str) -> ExecRules {
        match self.agents.get(agent) {
            Some(own) => own.clone().or(&self.all),
            None => self.all.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use openclaw_shared::config::Config;
    use openclaw_shared::exec_approvals::{Ask, Security};
    use serde_json::{Value, json};

    use super::Tooling;
    use crate::testing::instance;

    fn tooling(config: &Value) -> Tooling {
        Tooling::of(
            &Config::from_effective(config).unwrap(),
            &instance(Path::new("/home/ida")),
        )
    }

    #[test]
    fn people_are_asked_unless_the_owner_says_otherwise() {
        let rules = tooling(&json!({})).exec("main");
        assert_eq!(
            (rules.security(), rules.ask()),
            (Security::Allowlist, Ask::OnMiss)
        );
        assert_eq!(rules.limit(), Duration::from_secs(1_800));
        let rules = rules.with(Some("full"), Some("off"));
        assert_eq!((rules.security(), rules.ask()), (Security::Full, Ask::Off));
    }

    #[test]
    fn who_was_started_for_a_task_looks_at_no_other_conversation() {
        let usual = tooling(&json!({}));
        assert!(usual.policy("main", "a/b", false).passes("sessions_list"));
        let task = usual.policy("main", "a/b", true);
        assert!(task.passes("read") && !task.passes("sessions_list"));
        let denied = tooling(&json!({
            "tools": {"deny": ["exec"], "subagents": {"tools": {"deny": ["cron"], "allow": ["sessions_list", "read", "cron"]}}},
        }));
        assert!(!denied.policy("main", "", false).passes("exec"));
        let task = denied.policy("main", "", true);
        assert!(task.passes("sessions_list") && task.passes("read"));
        assert!(!task.passes("cron") && !task.passes("sessions_send") && !task.passes("nodes"));
    }

    #[test]
    fn an_agent_s_own_rules_come_first() {
        let tooling = tooling(&json!({
            "tools": {"exec": {"security": "full", "ask": "always", "timeoutSec": 60, "pathPrepend": ["~/bin"]}},
            "agents": {"list": [{"id": "a", "tools": {"exec": {"security": "deny"}}}, {"id": "b"}]},
        }));
        let (a, b) = (tooling.exec("a"), tooling.exec("b"));
        assert_eq!((a.security(), a.ask()), (Security::Deny, Ask::Always));
        assert_eq!(b.security(), Security::Full);
        assert_eq!(a.limit(), Duration::from_secs(60));
        assert_eq!(a.path(), [Path::new("/home/ida/bin")]);
    }
}
