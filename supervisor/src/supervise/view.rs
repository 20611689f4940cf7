//! The supervisor's view of everything, as people and clients see it. Pure.

use std::collections::BTreeMap;

use openclaw_shared::clock::WallTime;
use openclaw_shared::control::{
    ChildName, ChildStatus, ConfigState, ConfigStatus, FleetStatus, Generation,
};
use openclaw_shared::recovery::Rung;
use openclaw_shared::upgrade::UpgradeStatus;

use super::fleet::Fleet;
use super::recover::Record;
use super::sample::Usage;
use super::vigil::Vigil;
use crate::settings::Settings;

/// How the running configuration relates to the file.
#[derive(Debug, Clone)]
pub(crate) struct ConfigView {
    pub(crate) state: ConfigState,
    pub(crate) error: Option<String>,
    /// How far it had to go back.
    pub(crate) rung: Rung,
}

impl ConfigView {
    /// The file is what runs.
    pub(crate) const fn ok() -> Self {
        Self {
            state: ConfigState::Ok,
            error: None,
            rung: Rung::Well,
        }
    }

    /// It is not, and why.
    pub(crate) const fn not_ok(state: ConfigState, error: String) -> Self {
        Self {
            state,
            error: Some(error),
            rung: match state {
                ConfigState::Ok | ConfigState::Pending => Rung::Well,
                ConfigState::Rejected => Rung::Refused,
                ConfigState::Degraded => Rung::LastGood,
            },
        }
    }
}

/// Puts the view together.
pub(crate) fn view(
    fleet: &Fleet,
    settings: &Settings,
    config: &ConfigView,
    pid_of: impl Fn(ChildName, Generation) -> Option<u32>,
    usage: &BTreeMap<u32, Usage>,
    record: &Record,
    upgrade: Option<&UpgradeStatus>,
) -> FleetStatus {
    let now = WallTime::now();
    let identity = &settings.instance.identity;
    // Clients that may only read see this too, and the layout of the disk is none of their business.
    let home = format!("{}/", identity.home.display());
    let shown = |text: &str| text.replace(&home, "~/");
    let children: Vec<ChildStatus> = ChildName::ALL
        .map(|name| {
            let child = fleet.child(name);
            let pid = pid_of(name, child.generation());
            let used = pid.and_then(|pid| usage.get(&pid));
            ChildStatus {
                name,
                state: child.state(),
                generation: child.generation(),
                pid,
                restarts: child.restarts(),
                memory_bytes: used.map(|usage| usage.memory_bytes),
                cpu_ms: used.map(|usage| usage.cpu_ms),
                last_error: child.last_error().map(str::to_owned),
                rung: record.rung(now, name, child.generation(), child.state()),
                memory_limit_bytes: settings.bounds.get(&name).map(|bound| bound.memory),
            }
        })
        .into();
    let rungs = children.iter().map(|child| child.rung);
    let mut recovery = record.ladder.view(rungs, config.rung);
    for step in &mut recovery.steps {
        step.reason = shown(&step.reason);
    }
    if let Some(stop) = &mut recovery.last_stop {
        stop.reason = shown(&stop.reason);
    }
    let mut watch = record.vigil.as_ref().map(Vigil::status);
    if let Some(watched) = &mut watch {
        watched.reason = watched.reason.as_deref().map(shown);
    }
    FleetStatus {
        config: ConfigStatus {
            state: config.state,
            path: identity.display(&identity.config_path),
            hash: settings.config_exists.then(|| settings.source.hash.clone()),
            error: config.error.as_deref().map(shown),
            warnings: settings
                .warnings
                .iter()
                .map(|warning| shown(&warning.to_string()))
                .collect(),
        },
        children,
        recovery,
        watch,
        upgrade: upgrade.map(|upgrade| UpgradeStatus {
            reason: upgrade.reason.as_deref().map(shown),
            ..upgrade.clone()
        }),
        memory_bytes: usage
            .get(&std::process::id())
            .map(|usage| usage.memory_bytes),
    }
}
