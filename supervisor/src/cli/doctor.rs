//! `openclaw doctor`: says what is wrong with an instance, and repairs what can be repaired.
//!
//! It gathers a snapshot, has every check judge it, and does the repairs that are wanted. What another version has left in the
//! state folder is taken over on the way, as a copy.

use std::path::PathBuf;

use clap::Args;
use openclaw_shared::exit::Exit;
use openclaw_shared::import::ImportReport;
use serde_json::{Value, json};

use super::context::Context;
use super::failure::{Failure, Kind};
use crate::service::ServiceView;
use consent::Consent;
use finding::{Code, Finding, Repair};

mod checks;
mod consent;
mod files;
mod finding;
mod gather;
mod import;
mod narrow;
mod repair;
mod snapshot;
mod text;

/// `doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "At a terminal it asks before each repair. A file that is changed is copied first, beside itself, as\n\
                  NAME.bak-TIME; nothing of another program is ever deleted.\n\
                  What another version has left in the state folder is taken over as a copy; its files are only read.\n\
                  Exits with 0 when nothing is left to do, and with 4 otherwise."
)]
pub(crate) struct DoctorArgs {
    /// Repair what can be repaired
    #[arg(long, alias = "repair", conflicts_with = "dry_run")]
    fix: bool,
    /// Say yes to every repair; implies --fix
    #[arg(long, short = 'y', conflicts_with = "dry_run")]
    yes: bool,
    /// Ask nothing, also at a terminal
    #[arg(long)]
    non_interactive: bool,
    /// Change nothing and take nothing over, only say what would be
    #[arg(long)]
    dry_run: bool,
    /// Look for services of the whole system too
    #[arg(long)]
    deep: bool,
    /// Only take over the state of another version that lies here
    #[arg(long, value_name = "DIR", conflicts_with = "deep")]
    from: Option<PathBuf>,
    /// Make a gateway token when there is none
    #[arg(long, conflicts_with = "dry_run")]
    generate_gateway_token: bool,
    /// Accepted for scripts, since nothing is suggested about workspaces
    #[arg(long, hide = true)]
    no_workspace_suggestions: bool,
    /// Rewrite services that were changed
    #[arg(long, hide = true)]
    force: bool,
}

impl DoctorArgs {
    /// Refuses what a script must not take for done.
    fn check(&self) -> Result<(), Failure> {
        match self.force {
            false => Ok(()),
            true => Err(Failure::new(
                Kind::Usage,
                "error: option '--force' is not needed: --fix writes a service file that differs anew",
            )),
        }
    }
}

/// What the doctor says of an installed service, for whoever shows its state.
pub(crate) fn audit_service(context: &Context, view: &ServiceView) -> Vec<Finding> {
    let secret = gather::secret(context);
    match gather::unit(context, view) {
        Some(unit) => checks::of_unit(&unit, secret.as_ref(), &context.identity),
        None => Vec::new(),
    }
}

/// What was looked at, and what became of it.
struct Outcome {
    checks: usize,
    findings: Vec<Finding>,
    import: Option<ImportReport>,
}

pub(crate) async fn perform(context: &Context, arguments: DoctorArgs) -> Result<Exit, Failure> {
    arguments.check()?;
    if let Some(from) = &arguments.from {
        return take_over_only(context, import::absolute(from)?, &arguments);
    }
    let snapshot = gather::look(context, arguments.deep).await;
    let mut findings = checks::all(&snapshot);
    let import = take_over(context, &arguments, &mut findings);
    let json = context.out.is_json();
    if !json {
        text::overview(context, &findings);
        text::findings(context, &findings);
    }
    let silent = json || arguments.non_interactive;
    let consent = match arguments.dry_run {
        true => Consent::None,
        false => Consent::of(arguments.fix, arguments.yes, silent),
    };
    let mut wanted = consent::wanted(consent, &findings).await;
    if arguments.generate_gateway_token {
        let makes = |index: &usize| matches!(findings[*index].repair, Some(Repair::MakeToken(_)));
        let token: Vec<usize> = (0..findings.len()).filter(makes).collect();
        wanted.extend(
            token
                .iter()
                .filter(|index| !wanted.contains(index))
                .collect::<Vec<_>>(),
        );
    }
    repair::repair(context, &mut findings, &wanted).await;
    let outcome = Outcome {
        checks: checks::COUNT,
        findings,
        import,
    };
    if json {
        context.out.document(&outcome.to_json(context));
    } else {
        text::repaired(context, &outcome.findings);
        if let Some(report) = outcome.import.as_ref().filter(|report| report.found) {
            context.out.line("");
            import::show(context, &context.identity.state_dir, report);
        }
        text::summary(context, outcome.checks, &outcome.findings);
    }
    Ok(outcome.exit())
}

impl Outcome {
    fn exit(&self) -> Exit {
        match self.findings.iter().any(Finding::is_left) {
            true => Exit::NotWell,
            false => Exit::Ok,
        }
    }

    /// The document of `--json`.
    fn to_json(&self, context: &Context) -> Value {
        json!({
            "ok": self.exit() == Exit::Ok,
            "profile": context.identity.profile.name(),
            "stateDir": context.identity.state_dir,
            "configPath": context.identity.config_path,
            "checks": self.checks,
            "findings": self.findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
            "import": self.import,
        })
    }
}

/// `--from`: nothing else is looked at.
fn take_over_only(
    context: &Context,
    from: PathBuf,
    arguments: &DoctorArgs,
) -> Result<Exit, Failure> {
    let report = import::take_over(context, &from, arguments.dry_run)?;
    let outcome = Outcome {
        checks: 0,
        findings: Vec::new(),
        import: Some(report),
    };
    if context.out.is_json() {
        context.out.document(&outcome.to_json(context));
    } else if let Some(report) = &outcome.import {
        import::show(context, &from, report);
    }
    Ok(outcome.exit())
}

/// Takes over what lies in the state folder of this instance. That this fails is one finding among others.
fn take_over(
    context: &Context,
    arguments: &DoctorArgs,
    findings: &mut Vec<Finding>,
) -> Option<ImportReport> {
    let state = &context.identity.state_dir;
    // A database that is damaged is not written to, and a folder that is none not read.
    let hopeless = |finding: &Finding| {
        matches!(
            finding.code,
            Code::StateUnusable | Code::DatabaseDamaged | Code::ProgramsIncomplete
        )
    };
    if !state.is_dir() || findings.iter().any(hopeless) {
        return None;
    }
    match import::take_over(context, state, arguments.dry_run) {
        Ok(report) => Some(report),
        Err(failure) => {
            let mut finding = Finding::new(Code::ImportFailed, format!("{}.", failure.message))
                .at(context.shown(state));
            if !failure.hints.is_empty() {
                finding = finding.advice(failure.hints.join(" "));
            }
            findings.push(finding);
            None
        }
    }
}
