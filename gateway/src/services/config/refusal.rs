//! Why a change of the configuration did not come about, and what the client reads.

use openclaw_shared::child::Unanswered;
use openclaw_shared::config::shown::RestoreError;
use openclaw_shared::config::write::EditError;
use openclaw_shared::config::{Outcome, RefusalCause};
use openclaw_shared::protocol::error::ErrorShape;
use openclaw_shared::protocol::params::config::ConfigIssue;
use serde_json::json;

use crate::methods::MethodError;

/// Why a change did not come about.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Refused {
    /// The client does not say which file it saw.
    NoBase,
    /// It saw another one.
    OtherBase,
    /// A patch of a file that is not valid.
    Broken,
    /// What was sent is not JSON5, or hides a secret that is not there.
    Text(RestoreError),
    /// The patch is no object.
    PatchNotAnObject,
    /// The patch changes more values than this.
    PatchTooLarge(usize),
    /// The edit cannot be made in the text.
    Edit(EditError),
    /// The supervisor refused it, or took it back.
    Outcome(Outcome),
    /// The supervisor did not answer.
    Unanswered(Unanswered),
    /// Too many changes are under way.
    Busy,
    /// Reading went wrong in a way that is a bug of ours.
    Failed,
}

impl From<RestoreError> for Refused {
    fn from(error: RestoreError) -> Self {
        Self::Text(error)
    }
}

impl From<EditError> for Refused {
    fn from(error: EditError) -> Self {
        Self::Edit(error)
    }
}

impl From<Unanswered> for Refused {
    fn from(error: Unanswered) -> Self {
        Self::Unanswered(error)
    }
}

impl From<Refused> for MethodError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NoBase => {
                Self::invalid("config base hash required; re-run config.get and retry")
            }
            Refused::OtherBase => changed(),
            Refused::Broken => Self::invalid("invalid config; fix before patching"),
            Refused::Text(error @ RestoreError::Unreadable { .. }) => {
                Self::invalid(format!("SyntaxError: {error}"))
            }
            Refused::Text(RestoreError::NoSecret { ref path }) => {
                let message =
                    "this stands for a hidden value, and there is none; write the value itself";
                invalid(&[issue(path.to_string(), message.to_owned())])
            }
            Refused::PatchNotAnObject => Self::invalid("config.patch raw must be an object"),
            Refused::PatchTooLarge(most) => Self::invalid(format!(
                "config.patch changes more than {most} values at once; use config.set"
            )),
            Refused::Edit(error) => {
                let message = format!("failed to {error}");
                invalid(&[issue(String::new(), message)])
            }
            Refused::Outcome(outcome) => of_outcome(outcome),
            Refused::Unanswered(Unanswered::TooMany) | Refused::Busy => ErrorShape::unavailable(
                "other changes of the configuration are under way; try again",
            )
            .retryable_after(1_000)
            .into(),
            Refused::Unanswered(error @ Unanswered::NoAnswer) => {
                Self::unavailable(error.to_string())
            }
            Refused::Failed => Self::unavailable("the configuration file cannot be read"),
        }
    }
}

fn of_outcome(outcome: Outcome) -> MethodError {
    let details = json!({ "outcome": outcome });
    match outcome {
        Outcome::Refused {
            cause: RefusalCause::Changed,
            ..
        } => changed(),
        Outcome::Refused {
            cause: RefusalCause::Invalid,
            issues,
            ..
        } => {
            let issues: Vec<ConfigIssue> = issues.iter().map(ConfigIssue::from).collect();
            invalid(&issues)
        }
        Outcome::Refused {
            cause: RefusalCause::Unusable,
            reason,
            ..
        } => MethodError::invalid(format!("config refused: {reason}")).with_details(details),
        Outcome::Refused {
            cause: RefusalCause::Unwritable | RefusalCause::Busy,
            reason,
            ..
        } => MethodError::unavailable(reason).with_details(details),
        Outcome::RolledBack { reason, .. } => {
            MethodError::invalid(format!("config rolled back: {reason}")).with_details(details)
        }
        Outcome::Live { .. } | Outcome::Replaced { .. } | Outcome::Pending { .. } => {
            MethodError::unavailable("the change was made, and its answer lost")
        }
    }
}

fn changed() -> MethodError {
    MethodError::invalid("config changed since last load; re-run config.get and retry")
}

fn invalid(issues: &[ConfigIssue]) -> MethodError {
    MethodError::invalid("invalid config").with_details(json!({ "issues": issues }))
}

const fn issue(path: String, message: String) -> ConfigIssue {
    ConfigIssue {
        path,
        message,
        line: None,
        column: None,
    }
}
