//! `openclaw config`: reads, changes and checks the configuration.

use std::str::FromStr as _;

use clap::{Args, Subcommand};
use openclaw_shared::config::{Issue, IssueLevel, KeyPath, is_secret, redacted};
use openclaw_shared::exit::Exit;
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
        /// Where it goes
        path: String,
        /// JSON5, or else plain text; with --json only JSON5
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Remove a value from the file
    Unset {
        /// Where it is
        path: String,
    },
    /// Check the file; exit with 1 when it is refused
    Validate,
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
        ConfigCommand::Validate => Ok(validate(context)),
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
        Applied::Live(message) => format!("{done} {message}"),
    };
    if context.out.is_json() {
        let changed = *applied != Applied::Unchanged;
        let live = matches!(applied, Applied::Live(_));
        context.out.document(&serde_json::json!({
            "ok": true, "changed": changed, "live": live, "message": text,
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

fn validate(context: &Context) -> Exit {
    let path = &context.identity.config_path;
    let (valid, exists, issues): (bool, bool, Vec<&Issue>) = match context.loaded() {
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
            out.line(format!("{} {issue}", out.paint(tone, &format!("{word}:"))));
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
