//! What a node is to be asked, read from what the caller sent.                              (pure)
//!
//! Most commands are the node's own business. A `system.run` is also ours: whose rules apply to it, and what its events are known
//! by, is not for every caller to choose.

use serde_json::{Value, json};

use crate::services::exec_approvals::run::{self, Run};
use crate::services::session_key::agent_id;

/// The longest `runId` that a caller may give, in bytes.
const LONGEST_RUN: usize = 128;
/// The agent that nodes take when none is named.
const NODES_OWN: &str = "main";

/// The parameters of a question: those of a run, or any other.
#[derive(Debug)]
pub(crate) enum What {
    Run {
        run: Box<Run>,
        /// The agent that a node must be told although nobody named it.
        agent: Option<String>,
    },
    Other(Option<Value>),
}

/// Why a run cannot be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misasked {
    /// The parameters are wrong.
    Invalid(&'static str),
    /// Only who may approve names an agent.
    MayNotChoose,
}

/// Whose rules a caller may choose.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice<'a> {
    /// The agent that is meant when none is named.
    pub(crate) default: &'a str,
    /// Whether the caller may name another one.
    pub(crate) is_free: bool,
}

/// Reads the parameters of a command. `fresh_id` is what a run is known by whose caller does not say.
///
/// # Errors
/// When they are no run, or one that this caller may not ask for.
pub(crate) fn read(
    command: &str,
    mut params: Option<Value>,
    choice: Choice<'_>,
    fresh_id: &str,
) -> Result<What, Misasked> {
    if command != run::COMMAND {
        return Ok(What::Other(params));
    }
    let named = choose(params.as_mut(), choice)?;
    let run = run::read(params, fresh_id).map_err(Misasked::Invalid)?;
    if run.id.len() > LONGEST_RUN {
        return Err(Misasked::Invalid("runId must not have more than 128 bytes"));
    }
    let is_said = named || choice.default == NODES_OWN;
    Ok(What::Run {
        run: Box::new(run),
        agent: (!is_said).then(|| choice.default.to_owned()),
    })
}

/// Whether an agent is named, and that the caller may name it. It is written as everybody else writes it, so that no other spelling
/// of its name has other rules.
fn choose(params: Option<&mut Value>, choice: Choice<'_>) -> Result<bool, Misasked> {
    let named = params.and_then(|params| params.get_mut("agentId"));
    let Some(named) = named.filter(|named| !named.is_null()) else {
        return Ok(false);
    };
    let text = named
        .as_str()
        .ok_or(Misasked::Invalid("agentId must be a string"))?;
    if text.trim().is_empty() {
        return Ok(false);
    }
    // `*` is everybody's entry, and no agent.
    let agent = agent_id(text).ok_or(Misasked::Invalid("agentId must name an agent"))?;
    if !choice.is_free && agent != choice.default {
        return Err(Misasked::MayNotChoose);
    }
    *named = json!(agent);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Choice, Misasked, What, read};

    fn asked(params: Value, default: &str, is_free: bool) -> Result<Value, Misasked> {
        let choice = Choice { default, is_free };
        let What::Run { run, agent } = read("system.run", Some(params), choice, "fresh")? else {
            panic!("it is a run")
        };
        let mut sent = run.into_params(None);
        sent["told"] = json!(agent);
        Ok(json!([sent["agentId"], sent["told"]]))
    }

    #[test]
    fn whose_rules_apply_is_for_those_to_choose_who_may_approve() {
        let main =
            |agent: Value| asked(json!({"command": ["id"], "agentId": agent}), "main", false);
        assert_eq!(main(json!("dev")), Err(Misasked::MayNotChoose));
        assert_eq!(main(json!("default")), Err(Misasked::MayNotChoose));
        for same in ["main", " Main ", "MAIN"] {
            assert_eq!(main(json!(same)), Ok(json!(["main", null])));
        }
        let free = |agent: Value| asked(json!({"command": ["id"], "agentId": agent}), "main", true);
        assert_eq!(free(json!("Dev")), Ok(json!(["dev", null])));
        for nobody in ["*", "a*", "a b", "../x"] {
            let expected = Err(Misasked::Invalid("agentId must name an agent"));
            assert_eq!(free(json!(nobody)), expected, "{nobody}");
        }
        for odd in [json!(1), json!(["dev"]), json!({})] {
            let expected = Err(Misasked::Invalid("agentId must be a string"));
            assert_eq!(free(odd), expected);
        }
    }

    #[test]
    fn a_node_is_told_the_default_agent_when_it_would_take_another() {
        for unsaid in [
            json!({"command": ["id"]}),
            json!({"command": ["id"], "agentId": null}),
            json!({"command": ["id"], "agentId": " "}),
        ] {
            assert_eq!(
                asked(unsaid.clone(), "main", false).unwrap()[1],
                Value::Null
            );
            assert_eq!(asked(unsaid, "ops", false).unwrap()[1], "ops");
        }
        let named = json!({"command": ["id"], "agentId": "main"});
        assert_eq!(asked(named, "ops", false), Err(Misasked::MayNotChoose));
    }

    #[test]
    fn what_a_run_is_known_by_is_short() {
        let run = |id: String| asked(json!({"command": ["id"], "runId": id}), "main", false);
        assert!(run("x".repeat(128)).is_ok());
        assert!(matches!(run("x".repeat(129)), Err(Misasked::Invalid(_))));
    }
}
