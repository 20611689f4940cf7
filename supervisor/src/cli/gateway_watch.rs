//! `openclaw gateway watch`: which other instance this one watches, as a rescue bot does.

use clap::Args;
use openclaw_shared::clock::WallTime;
use openclaw_shared::config::KeyPath;
use openclaw_shared::exit::Exit;
use openclaw_shared::log::printable;
use openclaw_shared::recovery::WatchedStatus;
use serde_json::{Value, json};

use super::config_edit::{self, Applied, Edit};
use super::context::Context;
use super::control_client::Asked;
use super::failure::{Failure, Kind};
use crate::supervise::vigil::look::Target;

/// `gateway watch`.
#[derive(Debug, Clone, Args)]
pub(crate) struct WatchArgs {
    /// The profile to watch ("default" is the one without a name), "off", or "status" [default: status]
    // The name is one of its own: a value named like a global option would be taken for that.
    #[arg(id = "watched", value_name = "PROFILE")]
    profile: Option<String>,
}

pub(crate) async fn perform(context: &Context, arguments: WatchArgs) -> Result<Exit, Failure> {
    match arguments.profile.as_deref() {
        None | Some("status") => {
            show(context).await;
            Ok(Exit::Ok)
        }
        Some("off") => {
            let message = match context.config().gateway.watch.profile {
                None => "No instance is watched.",
                Some(_) => {
                    let patch = json!({ "gateway": { "watch": null } });
                    config_edit::apply(context, &[Edit::Patch(patch)]).await?;
                    "No instance is watched any more."
                }
            };
            let document = json!({ "ok": true, "watch": null });
            context.out.answer(&document, || vec![message.to_owned()]);
            Ok(Exit::Ok)
        }
        Some(profile) => {
            let applied = set(context, profile).await?;
            let message = match applied {
                Applied::Unchanged => format!("\"{profile}\" is watched already."),
                Applied::Taken(_) => format!("\"{profile}\" is watched from now on."),
                Applied::Written => format!("\"{profile}\" is watched from the next start on."),
            };
            context
                .out
                .answer(&json!({ "ok": true, "watch": profile }), || vec![message]);
            Ok(Exit::Ok)
        }
    }
}

/// Makes this instance watch the one of another profile. It is the configuration that says so, written as any other change of it.
///
/// # Errors
/// When that is no profile, or our own; or as [`config_edit::apply`] says.
pub(crate) async fn set(context: &Context, profile: &str) -> Result<Applied, Failure> {
    Target::of(&context.identity, profile, &context.environment).map_err(|reason| {
        Failure::new(Kind::Usage, format!("Cannot watch {profile:?}: {reason}."))
    })?;
    let path = KeyPath::of_keys(["gateway", "watch", "profile"]);
    config_edit::apply(context, &[Edit::Set(path, Value::from(profile))]).await
}

/// What the running instance sees of the one it watches, or what the configuration says while it does not run.
async fn show(context: &Context) {
    let configured = context.config().gateway.watch.profile;
    let seen = match context.running().await {
        Asked::Answered(status) => status.fleet.watch.clone(),
        Asked::Absent | Asked::Failed(_) => None,
    };
    let document = json!({ "ok": true, "watch": configured, "seen": seen });
    context.out.answer(&document, || {
        let line = match (&configured, &seen) {
            (_, Some(seen)) => line(seen),
            (Some(profile), None) => format!("Watch: {profile} (this instance does not run)"),
            (None, None) => "Watch: none".to_owned(),
        };
        vec![line]
    });
}

/// `Watch: main is down since …: why`.
pub(crate) fn line(seen: &WatchedStatus) -> String {
    let since = seen
        .since_ms
        .map(WallTime::from_millis)
        .map(WallTime::to_rfc3339);
    let since = since
        .map(|since| format!(" since {since}"))
        .unwrap_or_default();
    let reason = seen.reason.as_deref().map(printable);
    let reason = reason
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    format!("Watch: {} is {}{since}{reason}", seen.profile, seen.state)
}
