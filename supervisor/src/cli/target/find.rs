//! What has a say in the choice of the gateway, collected from where it lies.

use std::path::Path;

use openclaw_shared::exit::Exit;
use openclaw_shared::paths::StatePaths;
use openclaw_shared::secret::Secret;

use super::super::args::RpcFlags;
use super::super::context::Context;
use super::super::control_client::Asked;
use super::super::failure::{Failure, Kind};
use super::{Inputs, Target, resolve};
use crate::supervise::read_token;

/// Chooses the gateway to talk to. A running instance of ours is asked for its port first, because it may have been
/// started with another one than the configuration says.
///
/// # Errors
/// As [`resolve`], and when the token file cannot be read.
pub(crate) async fn find_target(
    context: &Context,
    flags: &RpcFlags,
    fall_back: bool,
) -> Result<Target, Failure> {
    let (port, hosts) = match context.running().await {
        Asked::Answered(running) => (
            running.instance.ports.gateway,
            running.instance.hosts.clone(),
        ),
        Asked::Absent | Asked::Failed(_) => (context.instance()?.ports.gateway, Vec::new()),
    };
    let secret = |text: &str| Secret::new(text.trim().to_owned());
    let token_from_file = match &flags.token_file {
        Some(path) => Some(read_secret(path)?),
        None => None,
    };
    let environment = &context.environment;
    resolve(Inputs {
        flags: flags.clone(),
        port,
        hosts,
        config: context.config(),
        config_shown: context.shown(&context.identity.config_path),
        token_from_file,
        token_from_environment: environment
            .first(&["OPENCLAW_GATEWAY_TOKEN", "CLAWDBOT_GATEWAY_TOKEN"])
            .map(secret),
        password_from_environment: environment
            .first(&["OPENCLAW_GATEWAY_PASSWORD", "CLAWDBOT_GATEWAY_PASSWORD"])
            .map(secret),
        // A token that cannot be read is like none: the gateway then says that it is missing.
        generated_token: read_token(&context.identity.state_dir),
        identity: Some(StatePaths(&context.identity.state_dir).operator_identity()),
        fall_back,
    })
}

/// Reads a secret that stands alone in a file.
///
/// # Errors
/// When the file cannot be read or is blank.
pub(crate) fn read_secret(path: &Path) -> Result<Secret<String>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::new(
            Kind::Usage,
            format!("The token file {} cannot be read: {error}", path.display()),
        )
        .exit(Exit::Failure)
    })?;
    match text.trim() {
        "" => Err(Failure::new(
            Kind::Usage,
            format!("The token file {} is empty", path.display()),
        )),
        token => Ok(Secret::new(token.to_owned())),
    }
}
