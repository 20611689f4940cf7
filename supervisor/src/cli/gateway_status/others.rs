//! The other instances of this user: profiles that have a configuration, and whether they run.

use std::collections::BTreeMap;
use std::path::PathBuf;

use openclaw_shared::instance::{Environment, Identity};
use openclaw_shared::paths::RunPaths;
use serde::Serialize;

use super::super::context::Context;
use super::super::control_client::{self, Asked};
use crate::supervise::neighbours::neighbours;

/// Another instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OtherInstance {
    /// Its profile; `default` is the one without a name.
    pub(super) profile: String,
    pub(super) state_dir: PathBuf,
    pub(super) running: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pid: Option<u32>,
    /// Its base port: the one that it has, or would get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) port: Option<u16>,
}

/// Asks each of them.
pub(super) async fn others(context: &Context) -> Vec<OtherInstance> {
    // What names this instance's folders in the environment does not name theirs.
    let kept = ["HOME", "XDG_RUNTIME_DIR"].into_iter().filter_map(|name| {
        let value = context.environment.get(name)?;
        Some((name, value))
    });
    let environment = Environment::from_pairs(
        kept.collect::<BTreeMap<_, _>>(),
        context.environment.working_dir(),
    );
    let mut found = Vec::new();
    for neighbour in neighbours(&context.identity, &context.environment) {
        let exists = |path: &std::path::Path| path.exists();
        let Ok(identity) = Identity::resolve(neighbour.profile, &environment, &exists) else {
            continue;
        };
        let socket = RunPaths(&identity.run_dir(&environment)).supervisor();
        let status = match control_client::status(&socket).await {
            Asked::Answered(status) => Some(status),
            Asked::Absent | Asked::Failed(_) => None,
        };
        let configured = neighbour.ports.map(|ports| ports.gateway);
        found.push(OtherInstance {
            profile: identity.profile.name().unwrap_or("default").to_owned(),
            state_dir: identity.state_dir,
            running: status.is_some(),
            pid: status.as_ref().map(|status| status.pid),
            port: status
                .as_ref()
                .map(|status| status.instance.ports.gateway)
                .or(configured),
        });
    }
    found
}
