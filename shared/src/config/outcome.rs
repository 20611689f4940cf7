//! What became of a change of the configuration: one account for the wire, the command line and the log.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::issue::{Issue, IssueLevel, LoadError};
use crate::control::ChildName;

/// What became of a change that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Outcome {
    /// It is in the file and in force; every process took it while it ran. Without keys there was nothing to take.
    Live {
        /// The keys that changed.
        keys: Vec<String>,
    },
    /// It is in the file and in force; these children were replaced, switched on or switched off for it.
    Replaced {
        /// The keys that changed.
        keys: Vec<String>,
        /// The children, in start order.
        children: Vec<ChildName>,
    },
    /// It is in the file, and counts from the next restart: the reload mode allows no sooner, or the instance stops.
    Pending {
        /// The keys that wait.
        keys: Vec<String>,
    },
    /// It did not work. What ran before runs again, and the file is as it was before, unless somebody else edited it meanwhile.
    RolledBack {
        /// Why it did not work.
        reason: String,
        /// The file that keeps the rejected text; absent when the configuration file was edited meanwhile and left alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kept: Option<String>,
    },
    /// Nothing was written and nothing has changed.
    Refused {
        /// What kind of reason there is.
        cause: RefusalCause,
        /// The reason, as a sentence without its full stop.
        reason: String,
        /// What is wrong in the text, when that is the reason.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        issues: Vec<Issue>,
    },
}

/// Why a change was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalCause {
    /// The file is not the one that the change was made on.
    Changed,
    /// The text is not a valid configuration.
    Invalid,
    /// It is valid, but this instance must not or cannot run on it.
    Unusable,
    /// The file cannot be written.
    Unwritable,
    /// The instance is stopping, or too much is asked at once.
    Busy,
}

impl Outcome {
    /// Nothing was done, for a reason other than the text.
    pub fn refused(cause: RefusalCause, reason: impl Into<String>) -> Self {
        Self::Refused {
            cause,
            reason: reason.into(),
            issues: Vec::new(),
        }
    }

    /// Nothing was done, because the text is not a valid configuration.
    #[must_use]
    pub fn invalid(error: &LoadError) -> Self {
        let errors = error.issues.iter();
        Self::Refused {
            cause: RefusalCause::Invalid,
            reason: error.to_string(),
            issues: errors
                .filter(|issue| issue.level == IssueLevel::Error)
                .cloned()
                .collect(),
        }
    }

    /// Whether the change is in the file and will stay there.
    #[must_use]
    pub const fn is_accepted(&self) -> bool {
        match self {
            Self::Live { .. } | Self::Replaced { .. } | Self::Pending { .. } => true,
            Self::RolledBack { .. } | Self::Refused { .. } => false,
        }
    }

    /// Whether it is what runs.
    #[must_use]
    pub const fn is_in_force(&self) -> bool {
        match self {
            Self::Live { .. } | Self::Replaced { .. } => true,
            Self::Pending { .. } | Self::RolledBack { .. } | Self::Refused { .. } => false,
        }
    }

    /// The keys that changed, or wait.
    #[must_use]
    pub fn keys(&self) -> &[String] {
        match self {
            Self::Live { keys } | Self::Replaced { keys, .. } | Self::Pending { keys } => keys,
            Self::RolledBack { .. } | Self::Refused { .. } => &[],
        }
    }

    /// The children that were replaced for it.
    #[must_use]
    pub fn children(&self) -> &[ChildName] {
        match self {
            Self::Replaced { children, .. } => children,
            Self::Live { .. }
            | Self::Pending { .. }
            | Self::RolledBack { .. }
            | Self::Refused { .. } => &[],
        }
    }
}

/// One sentence, or two, for people.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live { .. } => f.write_str("The configuration is in force."),
            Self::Replaced { children, .. } => {
                let names: Vec<_> = children.iter().map(|child| child.as_str()).collect();
                let names = names.join(", ");
                write!(f, "The configuration is in force; replaced: {names}.")
            }
            Self::Pending { keys } => {
                write!(
                    f,
                    "Written. Restart the gateway to apply {}.",
                    keys.join(", ")
                )
            }
            Self::RolledBack { reason, kept } => {
                write!(f, "The configuration was rolled back: {reason}.")?;
                match kept {
                    Some(kept) => write!(f, " The rejected text is kept in {kept}."),
                    None => Ok(()),
                }
            }
            Self::Refused { reason, .. } => write!(f, "{reason}."),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Outcome, RefusalCause};
    use crate::control::ChildName;

    fn check(outcome: &Outcome, wire: &Value, sentence: &str) {
        assert_eq!(serde_json::to_value(outcome).unwrap(), *wire);
        assert_eq!(
            serde_json::from_value::<Outcome>(wire.clone()).unwrap(),
            *outcome
        );
        assert_eq!(outcome.to_string(), sentence);
    }

    #[test]
    fn an_outcome_reads_the_same_for_programs_and_people() {
        let keys = || vec!["gateway.port".to_owned()];
        check(
            &Outcome::Live { keys: Vec::new() },
            &json!({"state": "live", "keys": []}),
            "The configuration is in force.",
        );
        check(
            &Outcome::Replaced {
                keys: keys(),
                children: vec![ChildName::Gateway, ChildName::CanvasHost],
            },
            &json!({"state": "replaced", "keys": ["gateway.port"], "children": ["gateway", "canvas-host"]}),
            "The configuration is in force; replaced: gateway, canvas-host.",
        );
        check(
            &Outcome::Pending { keys: keys() },
            &json!({"state": "pending", "keys": ["gateway.port"]}),
            "Written. Restart the gateway to apply gateway.port.",
        );
        check(
            &Outcome::RolledBack {
                reason: "gateway: it exited".into(),
                kept: Some("/c.rejected".into()),
            },
            &json!({"state": "rolled-back", "reason": "gateway: it exited", "kept": "/c.rejected"}),
            "The configuration was rolled back: gateway: it exited. The rejected text is kept in /c.rejected.",
        );
        check(
            &Outcome::refused(RefusalCause::Changed, "it has changed"),
            &json!({"state": "refused", "cause": "changed", "reason": "it has changed"}),
            "it has changed.",
        );
    }
}
