//! Changes the configuration file: through the running supervisor, which is the only writer while it runs, or else directly.

use std::time::Duration;

use openclaw_shared::config::write::{self, EditError, parse_value};
use openclaw_shared::config::{Config, Issue, KeyPath, LoadError, Outcome, load_candidate};
use openclaw_shared::control::{CliReply, CliRequest, ConfigText};
use openclaw_shared::digest;
use openclaw_shared::log::printable;
use serde_json::Value;

use super::context::Context;
use super::control_client::{self, Asked};
use super::failure::{Failure, Kind};
use super::guard;

/// A change may need a successor to become ready before it is live.
const LIMIT: Duration = Duration::from_secs(120);

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Applied {
    /// The file says so already.
    Unchanged,
    /// It is in the file; it counts from the next start.
    Written,
    /// The running instance has it, and says what became of it.
    Taken(Outcome),
}

/// One change of the file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Edit {
    Set(KeyPath, Value),
    Unset(KeyPath),
    /// A merge patch.
    Patch(Value),
}

impl Edit {
    fn apply(&self, text: &str, effective: Option<&Value>) -> Result<String, EditError> {
        match self {
            Self::Set(path, value) => write::set(text, path, value, effective),
            Self::Unset(path) => write::unset(text, path, effective),
            Self::Patch(patch) => write::merge_patch(text, patch, effective),
        }
    }
}

/// The edits after which nothing of the gateway elsewhere is known but its address: what one is shown is not offered to another.
pub(crate) fn forget_secrets(config: &Config) -> Vec<Edit> {
    let remote = &config.gateway.remote;
    let written = [
        ("token", remote.token.is_some()),
        ("password", remote.password.is_some()),
    ];
    let written = written.into_iter().filter(|(_, is_there)| *is_there);
    written
        .map(|(key, _)| Edit::Unset(KeyPath::of_keys(["gateway", "remote", key])))
        .collect()
}

/// Reads a value as a person types it: JSON5 if it is, else plain text; with `strict` only JSON5.
///
/// # Errors
/// When it has to be JSON5 and is not.
pub(crate) fn value(text: &str, strict: bool) -> Result<Value, Failure> {
    match parse_value(text) {
        Ok(value) => Ok(value),
        Err(reason) if strict => Err(Failure::new(
            Kind::Usage,
            format!("Invalid JSON5 value: {reason}."),
        )),
        Err(_) => Ok(Value::from(text)),
    }
}

/// Makes the changes, all or none. A result that would be refused is not written.
///
/// # Errors
/// When a change cannot be made, its result is invalid, or it cannot be written or put in force.
pub(crate) async fn apply(context: &Context, edits: &[Edit]) -> Result<Applied, Failure> {
    let path = &context.identity.config_path;
    let before = match std::fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            let shown = context.shown(path);
            return Err(Failure::new(
                Kind::Config,
                format!("{shown} cannot be read: {error}."),
            ));
        }
    };
    let effective = context
        .loaded()
        .as_ref()
        .ok()
        .map(|loaded| &loaded.effective);
    let mut text = before.clone().unwrap_or_else(|| "{}\n".to_owned());
    for edit in edits {
        text = edit
            .apply(&text, effective)
            .map_err(|error| refused(context, &error))?;
    }
    if before.as_deref() == Some(&*text) {
        return Ok(Applied::Unchanged);
    }
    let candidate = load_candidate(path, &text, context.environment.variables())
        .map_err(|error| invalid(&error))?;
    let known: Vec<&str> = match context.loaded() {
        Ok(loaded) => loaded
            .warnings
            .iter()
            .map(|issue| issue.message.as_str())
            .collect(),
        Err(error) => error
            .issues
            .iter()
            .map(|issue| issue.message.as_str())
            .collect(),
    };
    for warning in candidate
        .warnings
        .iter()
        .filter(|issue| !known.contains(&&*issue.message))
    {
        let warning = printable(&explain(warning));
        context.out.note(format!("warning: {warning}"));
    }
    let base_hash = before.as_deref().map(|text| digest::hex(text.as_bytes()));
    let request = CliRequest::WriteConfig {
        base_hash: base_hash.clone(),
        text: ConfigText(text.clone()),
        trace: openclaw_shared::trace::current(),
    };
    match control_client::ask(&context.supervisor_socket(), &request, LIMIT).await {
        Asked::Answered(CliReply::Written { outcome }) => match outcome {
            Outcome::Live { .. } | Outcome::Replaced { .. } | Outcome::Pending { .. } => {
                Ok(Applied::Taken(outcome))
            }
            Outcome::RolledBack { .. } => Err(Failure::new(Kind::Refused, outcome.to_string())),
            Outcome::Refused { .. } => Err(Failure::new(
                Kind::Refused,
                format!("The running gateway refused the change: {outcome}"),
            )),
        },
        Asked::Answered(CliReply::Failed { message }) => Err(Failure::new(Kind::Refused, message)),
        Asked::Answered(CliReply::Status(_) | CliReply::Done { .. } | CliReply::Upgrade(_)) => {
            Err(Failure::new(
                Kind::Failed,
                "The supervisor gave an answer to another question.",
            ))
        }
        Asked::Failed(reason) => Err(Failure::new(
            Kind::Failed,
            format!("The running gateway did not confirm the change: {reason}."),
        )
        .hint(format!(
            "See whether it counts: {}",
            context.command("gateway status")
        ))),
        Asked::Absent => write::write_atomically(path, &text, base_hash.as_deref())
            .map(|_| Applied::Written)
            .map_err(|error| Failure::new(Kind::Config, format!("Error: failed to {error}"))),
    }
}

fn refused(context: &Context, error: &EditError) -> Failure {
    match error {
        EditError::NotFound { path } => {
            Failure::new(Kind::Config, format!("Config path not found: {path}"))
        }
        EditError::Unreadable { .. } => match context.loaded() {
            Err(load) => guard::invalid(context, load),
            Ok(_) => Failure::new(Kind::Config, format!("Error: failed to {error}")),
        },
        EditError::NotAContainer { .. }
        | EditError::BeyondEnd { .. }
        | EditError::Included { .. }
        | EditError::ForbiddenKey { .. }
        | EditError::Placeholder { .. }
        | EditError::RootNotAnObject { .. } => {
            Failure::new(Kind::Config, format!("Error: failed to {error}"))
        }
    }
}

/// The change would leave a configuration that is refused; the places are those in the text that was not written, so that
/// only keys and reasons are told.
fn invalid(error: &LoadError) -> Failure {
    let problems: Vec<String> = error.errors().map(explain).collect();
    Failure::new(
        Kind::Config,
        format!("Error: Config validation failed: {}", problems.join("\n  ")),
    )
    .hint("Nothing was written.")
}

fn explain(issue: &Issue) -> String {
    let key = if issue.key.is_empty() {
        "<root>"
    } else {
        &issue.key
    };
    let hint = issue
        .hint
        .as_ref()
        .map(|hint| format!("; {hint}"))
        .unwrap_or_default();
    format!("{key}: {}{hint}", issue.message)
}

#[cfg(test)]
mod tests {
    use super::super::context::tests::in_home;
    use super::*;

    fn path(text: &str) -> KeyPath {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_change_keeps_everything_else_and_a_bad_one_is_not_written() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join(".openclaw");
        std::fs::create_dir(&state).unwrap();
        let file = state.join("openclaw.json");
        std::fs::write(&file, "{\n  // mine\n  gateway: { port: 20001 },\n}\n").unwrap();
        let edit = Edit::Set(path("gateway.port"), Value::from(20002));
        let applied = apply(&in_home(home.path(), &[]), &[edit]).await.unwrap();
        assert_eq!(applied, Applied::Written);
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text, "{\n  // mine\n  gateway: { port: 20002 },\n}\n");

        let bad = Edit::Set(path("gateway.port"), Value::from("x"));
        let failure = apply(&in_home(home.path(), &[]), &[bad]).await.unwrap_err();
        assert!(
            failure
                .message
                .starts_with("Error: Config validation failed: gateway.port: "),
            "{failure:?}"
        );
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);

        let absent = Edit::Unset(path("nope.x"));
        let failure = apply(&in_home(home.path(), &[]), &[absent])
            .await
            .unwrap_err();
        assert_eq!(failure.message, "Config path not found: nope.x");
    }

    #[test]
    fn a_value_is_json5_or_else_text() {
        assert_eq!(value("20001", false).unwrap(), Value::from(20001));
        assert_eq!(
            value("{a: 1,}", false).unwrap(),
            serde_json::json!({"a": 1})
        );
        assert_eq!(value("hello you", false).unwrap(), Value::from("hello you"));
        assert!(value("hello you", true).is_err());
    }
}
