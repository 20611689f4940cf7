//! What the rules of a node say about any program at all, before it is asked to run one.                (pure)
//!
//! Only two answers are certain without knowing the program; for all others the node is asked.

use serde_json::Value;

/// What is to be expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outlook {
    /// It depends on the program.
    Open,
    /// A person must approve each program.
    Asks,
    /// No program runs.
    Refused,
}

/// Reads the file of a node: what holds for the agent, else for every agent, else by default.
pub(super) fn outlook(file: &Value, agent: Option<&str>) -> Outlook {
    let places = [
        &file["agents"][agent.unwrap_or("main")],
        &file["agents"]["*"],
        &file["defaults"],
    ];
    let rule = |key: &str| places.iter().find_map(|place| place[key].as_str());
    match (rule("security"), rule("ask")) {
        (Some("deny"), _) => Outlook::Refused,
        (_, Some("always")) => Outlook::Asks,
        _ => Outlook::Open,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_certain_is_said() {
        for (file, agent, expected) in [
            (json!({}), None, Outlook::Open),
            (
                json!({"defaults": {"security": "deny"}}),
                None,
                Outlook::Refused,
            ),
            (json!({"defaults": {"ask": "always"}}), None, Outlook::Asks),
            (
                json!({"defaults": {"security": "deny"}, "agents": {"*": {"security": "full"}}}),
                None,
                Outlook::Open,
            ),
            (
                json!({"agents": {"main": {"security": "deny"}, "build": {"security": "allowlist"}}}),
                Some("build"),
                Outlook::Open,
            ),
        ] {
            assert_eq!(outlook(&file, agent), expected, "{file}");
        }
    }
}
