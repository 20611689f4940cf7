//! Puts the configuration of another instance back to what served last, or to what served before that.
//!
//! While its supervisor runs, the main file goes through it, since it is the only writer; else the file is written here. What was there
//! is kept beside it (`.bak`), as with every change.

use std::path::{Path, PathBuf};
use std::time::Duration;

use openclaw_shared::config::write::{self, WriteError};
use openclaw_shared::config::{Outcome, Source, load_from_source};
use openclaw_shared::control::{CliReply, CliRequest, ConfigText};
use openclaw_shared::digest;
use openclaw_shared::exit::Exit;
use serde_json::json;

use super::super::context::Context;
use super::super::control_client::{self, Asked};
use super::super::failure::{Failure, Kind};
use crate::supervise::last_good;

/// A successor may have to become ready before it is in force.
const LIMIT: Duration = Duration::from_secs(120);

/// A file that does not say what it said when it was good.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Differing {
    path: PathBuf,
    good: String,
    /// The hash of what it says, when it says anything.
    hash: Option<String>,
}

/// The files that differ from `good`, the includes first, so that the main file counts when everything it includes is there.
/// `current` reads a file.
fn differing<E>(
    good: &Source,
    current: impl Fn(&Path) -> Result<Option<String>, E>,
) -> Result<Vec<Differing>, E> {
    let mut found = Vec::new();
    for file in good.files.iter().rev() {
        let text = current(&file.path)?;
        if text.as_deref() != Some(&*file.text) {
            found.push(Differing {
                path: file.path.clone(),
                good: file.text.clone(),
                hash: text.map(|text| digest::hex(text.as_bytes())),
            });
        }
    }
    Ok(found)
}

pub(super) async fn perform(other: &Context, previous: bool) -> Result<Exit, Failure> {
    let state_dir = &other.identity.state_dir;
    let (good, which) = match previous {
        true => (
            last_good::recall_before(state_dir),
            "served before the last one",
        ),
        false => (last_good::recall(state_dir), "served last"),
    };
    let good = good.ok_or_else(|| {
        let message = format!("No configuration is known that {which}.");
        Failure::new(Kind::Config, message)
    })?;
    if good.main != other.identity.config_path {
        let moved = other.shown(&good.main);
        let message = format!("The configuration that {which} was another file: {moved}.");
        return Err(Failure::new(Kind::Config, message));
    }
    load_from_source(&good, other.environment.variables()).map_err(|error| {
        let message = format!("The configuration that {which} cannot be used any more: {error}");
        Failure::new(Kind::Config, message)
    })?;
    let files = differing(&good, current)?;
    if files.is_empty() {
        let message = format!("The file says what {which}; there is nothing to roll back.");
        let document =
            json!({ "ok": true, "result": "unchanged", "files": [], "message": message });
        other.out.answer(&document, || {
            let hint = (!previous).then(|| "--previous goes back one more.".to_owned());
            std::iter::once(message.clone()).chain(hint).collect()
        });
        return Ok(Exit::Ok);
    }
    let runs = super::supervisor(other).await.answer().is_some();
    let mut outcome = None;
    for file in &files {
        if runs && file.path == good.main {
            outcome = Some(through_supervisor(other, file).await?);
        } else {
            write::write_atomically(&file.path, &file.good, file.hash.as_deref())
                .map_err(|error| unwritten(&error))?;
        }
    }
    let names: Vec<String> = files.iter().map(|file| other.shown(&file.path)).collect();
    let done = format!("Rolled back to what {which}: {}.", names.join(", "));
    let counts = match &outcome {
        Some(outcome) => outcome.to_string(),
        None if runs => "The running instance reads it again.".to_owned(),
        None => "It counts from the next start.".to_owned(),
    };
    let message = format!("{done} {counts} What was there is kept as .bak.");
    let document = json!({
        "ok": true, "result": "rolled-back", "files": names, "outcome": outcome, "message": message,
    });
    other.out.answer(&document, || {
        let start = (!runs).then(|| format!("Start it: {}", other.command("gateway")));
        std::iter::once(message.clone()).chain(start).collect()
    });
    Ok(Exit::Ok)
}

fn current(path: &Path) -> Result<Option<String>, Failure> {
    match write::current(path) {
        Ok(text) => Ok(text),
        // A file that is no text is broken too, and is kept out of the way by nobody; the owner has to look.
        Err(error) => Err(unwritten(&error)),
    }
}

async fn through_supervisor(other: &Context, file: &Differing) -> Result<Outcome, Failure> {
    let request = CliRequest::WriteConfig {
        base_hash: file.hash.clone(),
        text: ConfigText(file.good.clone()),
        trace: openclaw_shared::trace::current(),
    };
    let refused = |reason: String| {
        Failure::new(
            Kind::Refused,
            format!("The configuration was not rolled back: {reason}"),
        )
    };
    match control_client::ask(&other.supervisor_socket(), &request, LIMIT).await {
        Asked::Answered(CliReply::Written { outcome }) => match outcome {
            Outcome::Live { .. } | Outcome::Replaced { .. } | Outcome::Pending { .. } => {
                Ok(outcome)
            }
            Outcome::RolledBack { .. } | Outcome::Refused { .. } => {
                Err(refused(outcome.to_string()))
            }
        },
        Asked::Answered(CliReply::Failed { message }) => Err(refused(message)),
        Asked::Answered(CliReply::Status(_) | CliReply::Done { .. } | CliReply::Upgrade(_)) => Err(
            refused("the supervisor gave an answer to another question.".to_owned()),
        ),
        Asked::Failed(reason) => Err(refused(format!("{reason}."))),
        Asked::Absent => Err(refused(
            "its supervisor has just ended; try again.".to_owned(),
        )),
    }
}

fn unwritten(error: &WriteError) -> Failure {
    let source = std::error::Error::source(error).map(|source| format!(": {source}"));
    let source = source.unwrap_or_default();
    Failure::new(Kind::Config, format!("Error: failed to {error}{source}"))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::path::Path;

    use openclaw_shared::config::{Source, SourceFile};
    use openclaw_shared::digest;

    use super::{Differing, differing};

    #[test]
    fn only_what_differs_is_written_and_the_main_file_comes_last() {
        let file = |path: &str, text: &str| SourceFile {
            path: path.into(),
            text: text.to_owned(),
        };
        let good = Source {
            main: "/c/main.json".into(),
            files: vec![
                file("/c/main.json", "good"),
                file("/c/a.json", "a"),
                file("/c/b.json", "b"),
            ],
            hash: digest::hex(b"good"),
        };
        let current = |path: &Path| -> Result<Option<String>, Infallible> {
            Ok(match path.to_str().unwrap() {
                "/c/main.json" => Some("bad".to_owned()),
                "/c/a.json" => Some("a".to_owned()),
                _ => None,
            })
        };
        let expected = [
            Differing {
                path: "/c/b.json".into(),
                good: "b".to_owned(),
                hash: None,
            },
            Differing {
                path: "/c/main.json".into(),
                good: "good".to_owned(),
                hash: Some(digest::hex(b"bad")),
            },
        ];
        assert_eq!(differing(&good, current).unwrap(), expected);
    }
}
