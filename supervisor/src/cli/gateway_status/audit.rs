//! How the installed service compares with what this version would install.

use std::path::PathBuf;

use openclaw_shared::instance::{Environment, Identity, Profile};
use serde::Serialize;

use super::super::context::Context;
use super::super::doctor;
use crate::service::ServiceView;

/// What was found; `configAudit` of the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ConfigAudit {
    pub(super) ok: bool,
    pub(super) issues: Vec<AuditIssue>,
}

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct AuditIssue {
    /// As the doctor calls it.
    pub(super) code: &'static str,
    pub(super) message: String,
    /// What to do about it.
    pub(super) detail: String,
    pub(super) level: &'static str,
}

/// Has the doctor judge the service file. Where nothing is installed, nothing is wrong with it.
pub(super) fn audit(context: &Context, service: &ServiceView) -> ConfigAudit {
    let findings = doctor::audit_service(context, service);
    let issues: Vec<AuditIssue> = findings
        .into_iter()
        .map(|finding| AuditIssue {
            code: finding.code.as_str(),
            message: finding.what,
            detail: finding.advice.unwrap_or_default(),
            level: "recommended",
        })
        .collect();
    ConfigAudit {
        ok: issues.is_empty(),
        issues,
    }
}

/// The configuration file that the installed service would use.
pub(super) fn config_path(context: &Context, service: &ServiceView) -> Option<PathBuf> {
    let command = service.command.as_ref()?;
    let mut variables = command.environment.clone();
    for name in ["HOME", "XDG_RUNTIME_DIR"] {
        if let Some(value) = context.environment.get(name) {
            variables.entry(name.to_owned()).or_insert(value.to_owned());
        }
    }
    let pairs = variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let environment = Environment::from_pairs(pairs, context.environment.working_dir());
    let mut arguments = command.program_arguments.iter();
    let named = arguments.find_map(|argument| match argument.strip_prefix("--profile") {
        Some("") => Some(None),
        Some(rest) => rest.strip_prefix('=').map(|name| Some(name.to_owned())),
        None => None,
    });
    let flag = match named {
        Some(Some(name)) => Some(name),
        Some(None) => arguments.next().cloned(),
        None => None,
    };
    let variable = environment.get("OPENCLAW_PROFILE");
    let profile = Profile::select(flag.as_deref(), false, variable).ok()?;
    let exists = |path: &std::path::Path| path.exists();
    let identity = Identity::resolve(profile, &environment, &exists).ok()?;
    Some(identity.config_path)
}
