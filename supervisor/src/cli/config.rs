//! `openclaw config`: reads, changes and checks the configuration.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use clap::{Args, Subcommand};
use openclaw_shared::config::schema::json_schema;
use openclaw_shared::config::write::parse_value;
use openclaw_shared::config::{
    Issue, IssueLevel, KeyPath, LoadError, Loaded, Outcome, is_secret, load, redacted,
};
use openclaw_shared::exit::Exit;
use openclaw_shared::log::printable;
use serde::Serialize;
use serde_json::Value;

use super::config_edit::{Applied, Edit, apply, value};
use super::context::Context;
use super::failure::{Failure, Kind};
use super::guard;
use super::output::Tone;

/// `config`.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Show a value, with includes merged and variables replaced
    Get {
        /// Where it is, for example gateway.port or agents.list[0].id
        path: Option<String>,
        /// Show secrets in clear
        #[arg(long)]
        show_secrets: bool,
    },
    /// Set a value in the file, keeping comments, order and everything else
    Set {
        /// Where it goes, for example gateway.port or agents.list[0].id
        path: String,
        /// JSON5, or else plain text; with --json only JSON5
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Remove a value from the file
    Unset {
        /// Where it is, for example gateway.port or agents.list[0].id
        path: String,
    },
    /// Merge a JSON5 patch into the file; null removes a key, objects merge
    Patch {
        /// The file that holds the patch; - reads it from standard input
        file: PathBuf,
    },
    /// Show the JSON Schema of the file, for editors and forms
    Schema,
    /// Check the file; exit with 1 when it is refused
    Validate {
        /// Check this file instead
        file: Option<PathBuf>,
    },
    /// Show where the file is
    File,
}

pub(crate) async fn perform(context: &Context, arguments: ConfigArgs) -> Result<Exit, Failure> {
    match arguments.command {
        ConfigCommand::Get { path, show_secrets } => get(context, path.as_deref(), show_secrets),
        ConfigCommand::Set { path, value: text } => {
            let edit = Edit::Set(parse(&path)?, value(&text, context.out.is_json())?);
            let applied = apply(context, &[edit]).await?;
            report(
                context,
                &applied,
                &format!("Updated {path}."),
                &format!("{path} is that already."),
            );
            Ok(Exit::Ok)
        }
        ConfigCommand::Unset { path } => {
            let applied = apply(context, &[Edit::Unset(parse(&path)?)]).await?;
            report(
                context,
                &applied,
                &format!("Removed {path}."),
                &format!("{path} is not set."),
            );
            Ok(Exit::Ok)
        }
        ConfigCommand::Patch { file } => {
            let applied = apply(context, &[Edit::Patch(patch(&file)?)]).await?;
            let unchanged = "The file says so already.";
            report(context, &applied, "Patched the configuration.", unchanged);
            Ok(Exit::Ok)
        }
        ConfigCommand::Schema => {
            context.out.document(&json_schema());
            Ok(Exit::Ok)
        }
        ConfigCommand::Validate { file: None } => Ok(validate(
            context,
            &context.identity.config_path,
            context.loaded(),
        )),
        ConfigCommand::Validate { file: Some(file) } => {
            let loaded = load(&file, context.environment.variables());
            Ok(validate(context, &file, &loaded))
        }
        ConfigCommand::File => {
            let path = &context.identity.config_path;
            if context.out.is_json() {
                context
                    .out
                    .document(&serde_json::json!({ "path": path, "exists": path.exists() }));
            } else {
                context.out.line(path.display().to_string());
            }
            Ok(Exit::Ok)
        }
    }
}

fn parse(path: &str) -> Result<KeyPath, Failure> {
    KeyPath::from_str(path)
        .map_err(|error| Failure::new(Kind::Usage, format!("Error: failed to {error}")))
}

/// Reads a patch from a file, or from standard input.
fn patch(file: &Path) -> Result<Value, Failure> {
    let shown = file.display();
    let mut text = String::new();
    let read = match file.as_os_str() == "-" {
        true => std::io::stdin().read_to_string(&mut text),
        false => File::open(file).and_then(|mut file| file.read_to_string(&mut text)),
    };
    read.map_err(|error| Failure::new(Kind::Usage, format!("{shown} cannot be read: {error}.")))?;
    parse_value(&text)
        .map_err(|reason| Failure::new(Kind::Usage, format!("{shown} is not JSON5: {reason}.")))
}

fn get(context: &Context, path: Option<&str>, show_secrets: bool) -> Result<Exit, Failure> {
    guard::require_valid(context)?;
    let Ok(loaded) = context.loaded() else {
        return Ok(Exit::Failure);
    };
    let key = path.map(parse).transpose()?.unwrap_or_default();
    let Some(found) = key.find(&loaded.effective) else {
        return Err(Failure::new(
            Kind::Config,
            format!("Config path not found: {key}"),
        ));
    };
    let shown = match show_secrets {
        true => found.clone(),
        false if is_secret(&key) => hide(found),
        false => redacted(found),
    };
    if let (Value::String(text), false) = (&shown, context.out.is_json()) {
        context.out.line(text);
    } else {
        context.out.document(&shown);
    }
    if shown != *found {
        context
            .out
            .note("Secrets are hidden; --show-secrets shows them.");
    }
    Ok(Exit::Ok)
}

/// Hides a value that is a secret by its own name; objects of secrets keep their keys.
fn hide(value: &Value) -> Value {
    let wrapped = serde_json::json!({ "secret": value });
    redacted(&wrapped)["secret"].clone()
}

fn report(context: &Context, applied: &Applied, done: &str, unchanged: &str) {
    let text = match applied {
        Applied::Unchanged => unchanged.to_owned(),
        Applied::Written => format!("{done} Restart the gateway to apply."),
        Applied::Taken(outcome) => format!("{done} {outcome}"),
    };
    if context.out.is_json() {
        let changed = *applied != Applied::Unchanged;
        let outcome = match applied {
            Applied::Unchanged | Applied::Written => None,
            Applied::Taken(outcome) => Some(outcome),
        };
        let live = outcome.is_some_and(Outcome::is_in_force);
        context.out.document(&serde_json::json!({
            "ok": true, "changed": changed, "live": live, "outcome": outcome, "message": text,
        }));
    } else {
        context.out.line(text);
    }
}

/// The verdict on the file, for scripts.
#[derive(Debug, Serialize)]
struct Verdict<'a> {
    ok: bool,
    path: &'a std::path::Path,
    exists: bool,
    valid: bool,
    issues: Vec<&'a Issue>,
}

fn validate(context: &Context, path: &Path, loaded: &Result<Loaded, LoadError>) -> Exit {
    let (valid, exists, issues): (bool, bool, Vec<&Issue>) = match loaded {
        Ok(loaded) => (true, loaded.exists, loaded.warnings.iter().collect()),
        Err(error) => (false, true, error.issues.iter().collect()),
    };
    let out = &context.out;
    if out.is_json() {
        out.document(&Verdict {
            ok: valid,
            path,
            exists,
            valid,
            issues,
        });
    } else {
        for issue in &issues {
            let (tone, word) = match issue.level {
                IssueLevel::Error => (Tone::Bad, "error"),
                IssueLevel::Warning => (Tone::Odd, "warning"),
            };
            let word = out.paint(tone, &format!("{word}:"));
            out.line(format!("{word} {}", printable(&issue.to_string())));
        }
        let errors = issues
            .iter()
            .filter(|issue| issue.level == IssueLevel::Error)
            .count();
        let shown = context.shown(path);
        out.line(match (valid, exists) {
            (false, _) => format!("Config invalid: {shown} ({errors} errors)"),
            (true, false) => format!("Config OK: {shown} does not exist; defaults are used"),
            (true, true) => format!("Config OK: {shown}"),
        });
    }
    if valid { Exit::Ok } else { Exit::Failure }
}
