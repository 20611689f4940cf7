//! The parameters of a `system.run`: what it would run, and that nothing in them speaks of approval but what the gateway
//! itself has put there.                                                                  (pure)

use std::collections::BTreeMap;

use openclaw_shared::exec_binding;
use openclaw_shared::protocol::params::approvals::ApprovalDecision;
use serde_json::{Map, Value, json};

use super::display;

/// The command that is meant.
pub(crate) const COMMAND: &str = "system.run";
/// What a caller may not say.
const APPROVAL_KEYS: [&str; 3] = ["approved", "approvalDecision", "approval"];

/// A run as it was asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Run {
    params: Map<String, Value>,
    /// Whether the caller believes that it was approved.
    pub(crate) claims_approval: bool,
    /// The approval that it names, if it does.
    pub(crate) names: Option<String>,
    /// What its events are known by.
    pub(crate) id: String,
    /// What would run; none when the parameters do not say it as they should.
    pub(crate) exactly: Option<Exactly>,
    pub(crate) agent_id: Option<String>,
    pub(crate) session_key: Option<String>,
}

/// Exactly what would run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exactly {
    pub(crate) argv: Vec<String>,
    pub(crate) cwd: Option<String>,
    pub(crate) env: BTreeMap<String, String>,
}

impl Exactly {
    /// What an approval is bound to.
    pub(crate) fn sha256(&self) -> String {
        exec_binding::binding(&self.argv, self.cwd.as_deref(), &self.env)
    }
}

/// Reads the parameters and takes out what a caller may not say.
///
/// # Errors
/// When they are no object, or show another command than the one that would run.
pub(crate) fn read(params: Option<Value>, fresh_id: &str) -> Result<Run, &'static str> {
    let mut params = match params {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(params)) => params,
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            return Err("params of system.run must be an object");
        }
    };
    let [approved, decision, approval] = APPROVAL_KEYS.map(|key| params.shift_remove(key));
    let text = |params: &Map<String, Value>, key: &str| {
        params.get(key).and_then(Value::as_str).map(str::to_owned)
    };
    let names = approval
        .as_ref()
        .and_then(|approval| approval["id"].as_str().map(str::to_owned))
        .or_else(|| text(&params, "runId"));
    let id = match text(&params, "runId").filter(|id| !id.is_empty()) {
        Some(id) => id,
        None => {
            params.insert("runId".to_owned(), json!(fresh_id));
            fresh_id.to_owned()
        }
    };
    let exactly = exactly(&params);
    if let (Some(raw), Some(exactly)) = (params.get("rawCommand").and_then(Value::as_str), &exactly)
        && !display::describes(raw, &exactly.argv)
    {
        return Err("rawCommand does not match command");
    }
    Ok(Run {
        claims_approval: approved == Some(Value::Bool(true))
            || decision.is_some_and(|decision| decision.is_string())
            || approval.is_some(),
        names,
        id,
        exactly,
        agent_id: text(&params, "agentId"),
        session_key: text(&params, "sessionKey"),
        params,
    })
}

fn exactly(params: &Map<String, Value>) -> Option<Exactly> {
    let texts = |items: &Vec<Value>| {
        items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<Vec<_>>>()
    };
    let argv = params.get("command")?.as_array().and_then(texts)?;
    let cwd = match params.get("cwd") {
        None | Some(Value::Null) => None,
        Some(cwd) => Some(cwd.as_str()?.to_owned()),
    };
    let env = match params.get("env") {
        None | Some(Value::Null) => BTreeMap::new(),
        Some(env) => {
            let env = env.as_object()?.iter();
            env.map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect::<Option<_>>()?
        }
    };
    (!argv.is_empty()).then_some(Exactly { argv, cwd, env })
}

impl Run {
    /// The parameters as they are sent: without a word on approval, or with that of the record.
    pub(crate) fn into_params(mut self, approval: Option<(&str, ApprovalDecision)>) -> Value {
        if let (Some((id, decision)), Some(exactly)) = (approval, &self.exactly) {
            let sha256 = exactly.sha256();
            self.params.insert("approved".to_owned(), json!(true));
            self.params
                .insert("approvalDecision".to_owned(), json!(decision));
            self.params
                .insert("approval".to_owned(), json!({ "id": id, "sha256": sha256 }));
        }
        Value::Object(self.params)
    }
}

#[cfg(test)]
mod tests {
    use openclaw_shared::protocol::params::approvals::ApprovalDecision;
    use serde_json::{Value, json};

    use super::read;

    #[test]
    fn rule_41_whatever_the_caller_says_of_approval_is_taken_out() {
        for claim in [
            json!({"approved": true}),
            json!({"approvalDecision": "allow-always"}),
            json!({"approval": {"id": "a", "sha256": "x"}}),
            json!({"approved": true, "approvalDecision": "allow-once", "approval": true}),
        ] {
            let mut params = json!({"command": ["id"], "runId": "r", "cwd": "/"});
            params
                .as_object_mut()
                .unwrap()
                .append(&mut claim.as_object().unwrap().clone());
            let run = read(Some(params), "fresh").unwrap();
            assert!(run.claims_approval, "{claim}");
            assert_eq!(
                run.into_params(None),
                json!({"command": ["id"], "runId": "r", "cwd": "/"})
            );
        }
        let run = read(
            Some(json!({"command": ["id"], "approved": "true"})),
            "fresh",
        )
        .unwrap();
        assert!(!run.claims_approval);
        assert_eq!(
            run.into_params(None),
            json!({"command": ["id"], "runId": "fresh"})
        );
    }

    #[test]
    fn the_gateway_s_own_word_is_bound_to_what_runs() {
        let run = read(Some(json!({"command": ["id"], "env": {"A": "1"}})), "fresh").unwrap();
        let sha256 = run.exactly.as_ref().unwrap().sha256();
        assert_eq!(
            run.into_params(Some(("a1", ApprovalDecision::AllowOnce))),
            json!({"command": ["id"], "env": {"A": "1"}, "runId": "fresh", "approved": true, "approvalDecision": "allow-once",
                "approval": {"id": "a1", "sha256": sha256}})
        );
    }

    #[test]
    fn what_is_shown_must_be_what_runs_and_what_cannot_be_read_is_bound_to_nothing() {
        let shown = json!({"command": ["/bin/sh", "-c", "id"], "rawCommand": "head -1"});
        assert_eq!(
            read(Some(shown), "f"),
            Err("rawCommand does not match command")
        );
        assert!(read(Some(json!([])), "f").is_err());
        for odd in [
            json!({}),
            json!({"command": "id"}),
            json!({"command": []}),
            json!({"command": ["id", 1]}),
            json!({"command": ["id"], "env": {"A": 1}}),
            json!({"command": ["id"], "cwd": 1}),
        ] {
            let run = read(Some(odd.clone()), "f").unwrap();
            assert_eq!(run.exactly, None, "{odd}");
            let sent = run.into_params(Some(("a", ApprovalDecision::AllowOnce)));
            assert_eq!(sent.get("approved"), None::<&Value>, "{odd}");
        }
        assert_eq!(
            read(None, "f").unwrap().into_params(None),
            json!({"runId": "f"})
        );
    }
}
