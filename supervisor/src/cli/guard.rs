//! What is said when the configuration is broken: each mistake once, with its place.

use openclaw_shared::config::{Issue, LoadError};
use openclaw_shared::log::printable;

use super::context::Context;
use super::failure::{Failure, Kind};

/// Refuses to go on with a broken configuration.
///
/// # Errors
/// When the file exists and is invalid.
pub(crate) fn require_valid(context: &Context) -> Result<(), Failure> {
    match context.loaded() {
        Ok(_) => Ok(()),
        Err(error) => Err(invalid(context, error)),
    }
}

/// Says that the configuration is broken, and goes on: commands that look at a gateway must work then more than ever.
pub(crate) fn mention(context: &Context) {
    let Err(error) = context.loaded() else { return };
    if context.out.is_json() {
        return;
    }
    let first = error
        .errors()
        .next()
        .map(Issue::to_string)
        .unwrap_or_default();
    let first = printable(&first);
    context.out.note(format!(
        "Config invalid; the last good one, or else the defaults, are used where the running gateway does not say otherwise: {first}"
    ));
    context.out.note(format!(
        "See all of it: {}",
        context.command("config validate")
    ));
}

/// The failure that lists every mistake.
pub(crate) fn invalid(context: &Context, error: &LoadError) -> Failure {
    let mut message = format!(
        "Config invalid\nFile: {}\nProblem:",
        context.shown(&context.identity.config_path)
    );
    for issue in error.errors() {
        message.push_str("\n  - ");
        message.push_str(&issue.to_string());
    }
    Failure::new(Kind::Config, message).hint(format!(
        "Mend the file, then check it: {}",
        context.command("config validate")
    ))
}
