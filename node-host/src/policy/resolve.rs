//! Which rules hold for an agent: its own, else those of `*`, else the defaults, else what is built in.        (pure)

use openclaw_shared::exec_approvals::{
    AgentApprovals, AllowlistEntry, ApprovalsDefaults, ApprovalsFile, Ask, Security,
};

/// The agent that is meant when none is named.
const MAIN: &str = "main";
/// What is said of every agent.
pub(crate) const EVERY: &str = "*";

/// The rules that hold, one by one from the nearest place that has them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Resolved<'a> {
    pub(crate) security: Security,
    pub(crate) ask: Ask,
    /// The lists of the agent and of every agent together.
    pub(crate) allowlist: Vec<&'a AllowlistEntry>,
}

/// The rules for the agent; the main one when none is named.
pub(crate) fn resolve<'a>(file: &'a ApprovalsFile, agent: Option<&str>) -> Resolved<'a> {
    let agents = file.agents.as_ref();
    let listed = |name: &str| agents.and_then(|agents| agents.get(name));
    let own = listed(name(agent));
    let every = listed(EVERY);
    let nearest = [
        own.map(said_by_agent),
        every.map(said_by_agent),
        file.defaults.as_ref().map(said_by_default),
    ];
    let nearest = || nearest.iter().flatten();
    Resolved {
        security: nearest()
            .find_map(|said| said.0)
            .unwrap_or(Security::Allowlist),
        ask: nearest().find_map(|said| said.1).unwrap_or(Ask::OnMiss),
        allowlist: [own, every]
            .into_iter()
            .flatten()
            .filter_map(|agent| agent.allowlist.as_ref())
            .flatten()
            .collect(),
    }
}

const fn said_by_agent(agent: &AgentApprovals) -> (Option<Security>, Option<Ask>) {
    (agent.security, agent.ask)
}

const fn said_by_default(defaults: &ApprovalsDefaults) -> (Option<Security>, Option<Ask>) {
    (defaults.security, defaults.ask)
}

/// The agent that is meant.
pub(crate) fn name(agent: Option<&str>) -> &str {
    agent
        .map(str::trim)
        .filter(|agent| !agent.is_empty())
        .unwrap_or(MAIN)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(file: Value, agent: Option<&str>, says: &str) {
        let mut file = file;
        file["version"] = 1.into();
        let file = serde_json::from_value::<ApprovalsFile>(file).unwrap();
        let resolved = resolve(&file, agent);
        let list: Vec<&str> = resolved
            .allowlist
            .iter()
            .map(|entry| &*entry.pattern)
            .collect();
        let found = format!("{:?} {:?} {list:?}", resolved.security, resolved.ask);
        assert_eq!(found, says, "{agent:?}");
    }

    #[test]
    fn each_rule_comes_from_the_nearest_place_that_has_it() {
        check(json!({}), None, "Allowlist OnMiss []");
        let file = json!({
            "defaults": {"security": "full", "ask": "always"},
            "agents": {
                "*": {"ask": "off", "allowlist": [{"pattern": "/every"}]},
                "main": {"allowlist": [{"pattern": "/main"}]},
                "work": {"security": "deny"},
            },
        });
        check(file.clone(), None, "Full Off [\"/main\", \"/every\"]");
        check(file.clone(), Some(" "), "Full Off [\"/main\", \"/every\"]");
        check(file.clone(), Some("work"), "Deny Off [\"/every\"]");
        check(file, Some("unknown"), "Full Off [\"/every\"]");
        check(
            json!({"defaults": {"ask": "always"}}),
            None,
            "Allowlist Always []",
        );
    }
}
