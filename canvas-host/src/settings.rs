//! The part of the configuration that the canvas host follows.

use openclaw_shared::child::Fatal;
use openclaw_shared::config::Config;
use openclaw_shared::instance::Instance;
use openclaw_shared::serve::host::{Host, HostPolicy};
use serde_json::Value;

/// What can change while it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Whether pages reload by themselves.
    pub(crate) live_reload: bool,
}

impl Settings {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            live_reload: config.canvas_host.live_reload,
        }
    }
}

/// Reads what the supervisor handed out.
pub(crate) fn read(effective: &Value) -> Result<Config, Fatal> {
    Config::from_effective(effective).map_err(|issues| {
        let reasons: Vec<String> = issues.iter().map(ToString::to_string).collect();
        Fatal::new(format!(
            "the configuration does not fit: {}",
            reasons.join("; ")
        ))
    })
}

/// The names under which pages may be asked for: our addresses, and what the owner added.
pub(crate) fn hosts(instance: &Instance, config: &Config) -> HostPolicy {
    let policy = HostPolicy::bound_to(&instance.hosts);
    let added = config.gateway.control_ui.allowed_hosts.iter();
    added
        .filter_map(|name| Host::parse(name))
        .fold(policy, HostPolicy::and)
}
