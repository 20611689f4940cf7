//! Whether a person has approved exactly this, and that it holds once.                              (pure)
//!
//! The gateway takes every mark of approval out of what callers send, and puts in those of its own records: the decision, the id of
//! the approval, and what it is bound to. A mark without the binding comes from somebody else, and means nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use openclaw_exec::policy::decide::Consent;
use openclaw_shared::digest;
use openclaw_shared::exec_binding::binding;
use openclaw_shared::protocol::params::approvals::ApprovalDecision;
use serde::Deserialize;

/// So many used approvals are remembered. They live for minutes, and people give few.
const REMEMBERED: usize = 10_000;

/// The gateway's record of an approval.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Approval {
    /// What it is known by.
    pub(crate) id: String,
    /// What it is bound to.
    pub(crate) sha256: String,
}

/// What came with a command about its approval.
#[derive(Debug, Clone, Default)]
pub(crate) struct Marks<'a> {
    pub(crate) approved: Option<bool>,
    pub(crate) decision: Option<&'a str>,
    pub(crate) approval: Option<&'a Approval>,
}

/// The approvals that have been used, by the digests of their ids: whoever makes them may make them long.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    ids: BTreeSet<String>,
    order: VecDeque<String>,
}

impl Spent {
    /// What a person has said about this, using the approval up if it holds.
    pub(crate) fn consent(
        &mut self,
        marks: &Marks<'_>,
        argv: &[String],
        cwd: Option<&str>,
        env: &BTreeMap<String, String>,
    ) -> Consent {
        let consent = match (
            marks.approved,
            marks.decision.map(ApprovalDecision::from_text),
        ) {
            (Some(false), _) | (_, Some(None | Some(ApprovalDecision::Deny))) | (None, None) => {
                return Consent::None;
            }
            (Some(true), None) | (_, Some(Some(ApprovalDecision::AllowOnce))) => Consent::Once,
            (_, Some(Some(ApprovalDecision::AllowAlways))) => Consent::Always,
        };
        match marks.approval {
            Some(approval)
                if !approval.id.is_empty()
                    && approval.sha256 == binding(argv, cwd, env)
                    && self.spend(&approval.id) =>
            {
                consent
            }
            Some(_) | None => Consent::None,
        }
    }

    /// Whether it was not used before.
    fn spend(&mut self, id: &str) -> bool {
        let id = digest::hex(id.as_bytes());
        if !self.ids.insert(id.clone()) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv() -> Vec<String> {
        vec!["rm".to_owned(), "a".to_owned()]
    }

    fn approval(id: &str) -> Approval {
        Approval {
            id: id.to_owned(),
            sha256: binding(&argv(), Some("/srv"), &BTreeMap::new()),
        }
    }

    fn consent(
        spent: &mut Spent,
        approved: Option<bool>,
        decision: Option<&str>,
        approval: Option<&Approval>,
    ) -> Consent {
        let marks = Marks {
            approved,
            decision,
            approval,
        };
        spent.consent(&marks, &argv(), Some("/srv"), &BTreeMap::new())
    }

    #[test]
    fn only_a_bound_approval_counts() {
        use Consent::{Always, None as No, Once};
        for (approved, decision, bound, says) in [
            (Some(true), None, true, Once),
            (Some(true), Some("allow-once"), true, Once),
            (None, Some("allow-once"), true, Once),
            (Some(true), Some("allow-always"), true, Always),
            (None, None, true, No),
            (Some(false), Some("allow-once"), true, No),
            (Some(true), Some("deny"), true, No),
            (Some(true), Some("Allow-Once"), true, No),
            (Some(true), Some("allow-once"), false, No),
            (Some(true), None, false, No),
        ] {
            let approval = approval("1");
            let approval = bound.then_some(&approval);
            let found = consent(&mut Spent::default(), approved, decision, approval);
            assert_eq!(found, says, "{approved:?} {decision:?} {bound}");
        }
    }

    #[test]
    fn rule_49_it_holds_once_and_for_nothing_else() {
        let mut spent = Spent::default();
        let approval = approval("1");
        let mut ask = |argv: &[&str], cwd: Option<&str>, env: &[(&str, &str)]| {
            let marks = Marks {
                approved: Some(true),
                decision: None,
                approval: Some(&approval),
            };
            let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
            let env = env
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            spent.consent(&marks, &argv, cwd, &env)
        };
        assert_eq!(ask(&["rm", "b"], Some("/srv"), &[]), Consent::None);
        assert_eq!(ask(&["rm a"], Some("/srv"), &[]), Consent::None);
        assert_eq!(ask(&["rm", "a"], None, &[]), Consent::None);
        assert_eq!(ask(&["rm", "a"], Some("/"), &[]), Consent::None);
        assert_eq!(
            ask(&["rm", "a"], Some("/srv"), &[("A", "1")]),
            Consent::None
        );
        assert_eq!(ask(&["rm", "a"], Some("/srv"), &[]), Consent::Once);
        assert_eq!(ask(&["rm", "a"], Some("/srv"), &[]), Consent::None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut spent = Spent::default();
        for id in 0..=REMEMBERED {
            assert!(spent.spend(&id.to_string()));
        }
        assert_eq!(
            (spent.ids.len(), spent.order.len()),
            (REMEMBERED, REMEMBERED)
        );
        assert!(!spent.spend("1"));
    }
}
