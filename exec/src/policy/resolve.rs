//! Which rules hold for an agent: its own, else those of `*`, else the defaults, else what is built in.        (pure)

use openclaw_shared::exec_approvals::{
    AgentApprovals, AllowlistEntry, ApprovalsFile, Ask, Security,
};

/// The agent that is meant when none is named.
const MAIN: &str = "main";
/// What is said of every agent.
pub const EVERY: &str = "*";

/// The rules that hold, one by one from the nearest place that has them.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved<'a> {
    /// How much may be executed.
    pub security: Security,
    /// When a person is asked.
    pub ask: Ask,
    /// Whether programs of known skills need no entry.
    pub auto_allow_skills: bool,
    /// Whether more than nothing is to run when nobody can be asked.
    pub has_fallback: bool,
    /// The lists of the agent and of every agent together.
    pub allowlist: Vec<&'a AllowlistEntry>,
}

/// The rules for the agent; the main one when none is named. Agents are known by their names in any case, so that an owner's
/// rule for `Work` holds for `work`.
#[must_use]
pub fn resolve<'a>(file: &'a ApprovalsFile, agent: Option<&str>) -> Resolved<'a> {
    resolved(
        file,
        agent,
        |security| security.unwrap_or(Security::Allowlist),
        |ask| ask.unwrap_or(Ask::OnMiss),
    )
}

/// The same where something else has rules as well: they hold where the file says nothing, and the stricter ones hold elsewhere.
#[must_use]
pub fn resolve_within<'a>(
    file: &'a ApprovalsFile,
    agent: Option<&str>,
    security: Security,
    ask: Ask,
) -> Resolved<'a> {
    resolved(
        file,
        agent,
        |said| said.map_or(security, |said| stricter_security(said, security)),
        |said| said.map_or(ask, |said| stricter_ask(said, ask)),
    )
}

/// The one that lets less be executed.
#[must_use]
pub const fn stricter_security(one: Security, other: Security) -> Security {
    match (one, other) {
        (Security::Deny, _) | (_, Security::Deny) => Security::Deny,
        (Security::Allowlist, _) | (_, Security::Allowlist) => Security::Allowlist,
        (Security::Full, Security::Full) => Security::Full,
    }
}

/// The one by which people are asked more often.
#[must_use]
pub const fn stricter_ask(one: Ask, other: Ask) -> Ask {
    match (one, other) {
        (Ask::Always, _) | (_, Ask::Always) => Ask::Always,
        (Ask::OnMiss, _) | (_, Ask::OnMiss) => Ask::OnMiss,
        (Ask::Off, Ask::Off) => Ask::Off,
    }
}

fn resolved<'a>(
    file: &'a ApprovalsFile,
    agent: Option<&str>,
    security: impl FnOnce(Option<Security>) -> Security,
    ask: impl FnOnce(Option<Ask>) -> Ask,
) -> Resolved<'a> {
    let name = name(agent);
    let agents = || file.agents.iter().flatten();
    let said: Vec<&AgentApprovals> = agents()
        .filter(|(listed, _)| listed.eq_ignore_ascii_case(name))
        .chain(agents().filter(|(listed, _)| *listed == EVERY))
        .map(|(_, said)| said)
        .collect();
    let defaults = file.defaults.unwrap_or_default();
    Resolved {
        security: security(
            said.iter()
                .find_map(|agent| agent.security)
                .or(defaults.security),
        ),
        ask: ask(said.iter().find_map(|agent| agent.ask).or(defaults.ask)),
        auto_allow_skills: said
            .iter()
            .find_map(|agent| agent.auto_allow_skills)
            .or(defaults.auto_allow_skills)
            .unwrap_or(false),
        has_fallback: said
            .iter()
            .find_map(|agent| agent.ask_fallback)
            .or(defaults.ask_fallback)
            .is_some_and(|fallback| fallback != Security::Deny),
        allowlist: said
            .iter()
            .filter_map(|agent| agent.allowlist.as_ref())
            .flatten()
            .collect(),
    }
}

/// The longest name of an agent.
const LONGEST_NAME: usize = 64;

/// Whether an agent can be called so: letters, digits, `_` and `-`, beginning with a letter or a digit. [`EVERY`] is no agent: what
/// is remembered for it would hold for all of them.
pub fn is_name(agent: &str) -> bool {
    let agent = agent.trim();
    agent.len() <= LONGEST_NAME
        && agent.starts_with(|first: char| first.is_ascii_alphanumeric())
        && agent
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// The agent that is meant.
pub fn name(agent: Option<&str>) -> &str {
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
        check(file.clone(), Some("WORK"), "Deny Off [\"/every\"]");
        check(file, Some("unknown"), "Full Off [\"/every\"]");
        check(
            json!({"defaults": {"ask": "always"}}),
            None,
            "Allowlist Always []",
        );
    }

    #[test]
    fn an_agent_is_one_agent() {
        for (name, is_one) in [
            ("main", true),
            (" Ops_1-x ", true),
            ("*", false),
            ("", false),
            ("-x", false),
            ("a b", false),
            ("a/b", false),
            ("ä", false),
        ] {
            assert_eq!(is_name(name), is_one, "{name:?}");
        }
        assert!(is_name(&"a".repeat(64)) && !is_name(&"a".repeat(65)));
    }

    #[test]
    fn of_two_rules_the_stricter_one_holds() {
        use Ask::{Always, Off, OnMiss};
        use Security::{Allowlist, Deny, Full};
        for (file, within, says) in [
            (json!({}), (Full, Off), (Full, Off)),
            (json!({}), (Deny, Always), (Deny, Always)),
            (
                json!({"security": "full", "ask": "off"}),
                (Allowlist, OnMiss),
                (Allowlist, OnMiss),
            ),
            (json!({"security": "deny"}), (Full, Off), (Deny, Off)),
            (json!({"ask": "always"}), (Full, Off), (Full, Always)),
            (
                json!({"security": "allowlist", "ask": "on-miss"}),
                (Full, Always),
                (Allowlist, Always),
            ),
        ] {
            let file = json!({ "version": 1, "defaults": file });
            let file = serde_json::from_value::<ApprovalsFile>(file).unwrap();
            let found = resolve_within(&file, None, within.0, within.1);
            assert_eq!((found.security, found.ask), says);
        }
    }
}
