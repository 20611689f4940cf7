//! This program as another command of its own: what a command does for a person, another command can have done the same way.

use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use super::context::Context;
use super::failure::{Failure, Kind};
use crate::service::stable_program;

/// Runs a command of this program for the same instance, and returns the document that it answers.
///
/// # Errors
/// With what it said, when it failed.
pub(crate) async fn run(context: &Context, arguments: &[&str]) -> Result<Value, Failure> {
    let failed = |why: String| Failure::new(Kind::Failed, why);
    // By the path that stays: a service that is installed this way starts what it names.
    let own = stable_program(&context.environment)
        .map_err(|error| failed(format!("This program cannot be found: {error}.")))?;
    let mut command = Command::new(own);
    if let Some(name) = context.identity.profile.name() {
        command.args(["--profile", name]);
    }
    let said = command
        .args(arguments)
        .arg("--json")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| failed(format!("This program cannot be run: {error}.")))?;
    let document: Value = serde_json::from_slice(&said.stdout).unwrap_or_default();
    if said.status.success() {
        return Ok(document);
    }
    let told = document["error"].as_str().map(str::to_owned);
    let why = told.unwrap_or_else(|| String::from_utf8_lossy(&said.stderr).trim().to_owned());
    let hints = document["hints"].as_array().cloned().unwrap_or_default();
    let failure = failed(why).detail("Command", context.command(&arguments.join(" ")));
    let hints = hints.iter().filter_map(Value::as_str);
    Err(hints.fold(failure, Failure::hint))
}
