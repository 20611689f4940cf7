//! `openclaw doctor`: takes over the state of another version that lies in this instance's folder, or elsewhere.
//!
//! The work is done by the gateway's program, which lies beside this one and knows the store. It may be done while a gateway serves.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use clap::Args;
use openclaw_shared::exit::Exit;
use openclaw_shared::import::{ARGUMENT, ImportOrder, ImportReport, LARGEST_ORDER, PROGRAM, Tally};
use openclaw_shared::ipc::private_folder;
use openclaw_shared::log::printable;
use openclaw_shared::paths::StatePaths;

use super::context::Context;
use super::failure::{Failure, Kind};
use super::sibling::{hand_over, sibling};
use super::table::Table;

/// How many notes a person is shown.
const MOST_NOTES: usize = 50;

/// `doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "What is taken over is copied: the files of the other version are only read.\n\
                  A second run takes over what is new there, and leaves alone what is newer here."
)]
pub(crate) struct DoctorArgs {
    /// Look for the state of another version here [default: the state folder of this instance]
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Only say what would be taken over
    #[arg(long)]
    dry_run: bool,
    /// Ask nothing; accepted for scripts, since nothing is ever asked
    #[arg(long, hide = true)]
    non_interactive: bool,
    /// The same
    #[arg(long, hide = true)]
    yes: bool,
    /// The same, since whatever is found is taken over
    #[arg(long, hide = true, alias = "fix")]
    repair: bool,
    /// The same, since nothing is suggested
    #[arg(long, hide = true)]
    no_workspace_suggestions: bool,
    /// Rewrite services
    #[arg(long, hide = true)]
    force: bool,
    /// Look for services of other installations
    #[arg(long, hide = true)]
    deep: bool,
    /// Make a token
    #[arg(long, hide = true)]
    generate_gateway_token: bool,
}

impl DoctorArgs {
    /// Refuses what a script must not take for done.
    fn check(&self) -> Result<(), Failure> {
        let why = if self.force || self.deep {
            "error: options '--force' and '--deep' are about services of the system, which 'doctor' does not look at"
        } else if self.generate_gateway_token {
            "error: option '--generate-gateway-token' is not needed: the gateway makes a token when it has none"
        } else {
            return Ok(());
        };
        Err(Failure::new(Kind::Unsupported, why))
    }
}

pub(crate) fn perform(context: &Context, arguments: DoctorArgs) -> Result<Exit, Failure> {
    arguments.check()?;
    let state = &context.identity.state_dir;
    let from = match &arguments.from {
        Some(from) => absolute(from)?,
        None if !state.exists() => return Ok(found_nothing(context, state)),
        None => state.clone(),
    };
    if !arguments.dry_run {
        private_folder(state)
            .map_err(|error| failed(format!("{} cannot be created: {error}", state.display())))?;
    }
    let report = import(&ImportOrder {
        from: from.clone(),
        store: StatePaths(state).store(),
        dry_run: arguments.dry_run,
    })?;
    if let Some(error) = &report.error {
        return Err(failed(error.clone()));
    }
    if !report.found {
        return Ok(found_nothing(context, &from));
    }
    show(context, &from, &report);
    Ok(Exit::Ok)
}

/// The program is started in no particular folder, so the path must not depend on one.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    path.canonicalize()
        .map_err(|error| failed(format!("{}: {error}", path.display())))
}

fn failed(why: String) -> Failure {
    Failure::new(Kind::Failed, format!("doctor failed: {why}"))
}

fn found_nothing(context: &Context, from: &Path) -> Exit {
    if context.out.is_json() {
        context.out.document(&ImportReport::default());
    } else {
        context.out.line(format!(
            "There is nothing of another version in {}.",
            context.shown(from)
        ));
    }
    Exit::Ok
}

fn import(order: &ImportOrder) -> Result<ImportReport, Failure> {
    let mut program = sibling(PROGRAM)?;
    let done = program
        .arg(ARGUMENT)
        .stdin(hand_over(order, LARGEST_ORDER)?)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .output();
    let output = done.map_err(|error| {
        failed(format!("{PROGRAM} cannot be started: {error}"))
            .hint("Install openclaw as a whole: its programs lie in one folder.")
    })?;
    serde_json::from_slice(&output.stdout).map_err(|_| {
        failed(format!(
            "{PROGRAM} ended without a report ({})",
            output.status
        ))
    })
}

fn show(context: &Context, from: &Path, report: &ImportReport) {
    if context.out.is_json() {
        context.out.document(report);
        return;
    }
    let out = &context.out;
    let verb = if report.dry_run { "Would take" } else { "Took" };
    out.line(format!(
        "{verb} over what another version left in {}.",
        context.shown(from)
    ));
    out.line("");
    let mut table = Table::new([
        "",
        "Added",
        "Updated",
        "As before",
        "Newer here",
        "Left out",
    ]);
    for (name, tally) in [
        ("Sessions", &report.sessions),
        ("Conversations", &report.transcripts),
        ("Jobs", &report.jobs),
        ("Histories of jobs", &report.histories),
        ("Devices", &report.devices),
        ("Nodes", &report.nodes),
        ("Wake words", &report.voicewake),
    ] {
        table.row(row(name, tally));
    }
    for line in table.lines() {
        out.line(line);
    }
    out.line("");
    out.line(format!(
        "{} entries of conversations and {} runs of jobs were new.",
        report.entries, report.runs
    ));
    for note in report.notes.iter().take(MOST_NOTES) {
        out.line(printable(&format!("{}: {}.", note.file, note.text)));
    }
    let more = report.notes.len().saturating_sub(MOST_NOTES);
    if more > 0 {
        out.line(format!("And {more} more; --json shows all."));
    }
    if report.jobs.added > 0 && !report.dry_run {
        out.line("The jobs run here from now on: stop the other gateway, or they run twice.");
    }
    out.line("The files of the other version are as they were.");
}

fn row(name: &str, tally: &Tally) -> [String; 6] {
    let number = |count: u64| match count {
        0 => "-".to_owned(),
        count => count.to_string(),
    };
    [
        name.to_owned(),
        number(tally.added),
        number(tally.updated),
        number(tally.unchanged),
        number(tally.newer_here),
        number(tally.skipped),
    ]
}
