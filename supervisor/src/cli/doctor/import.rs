//! What another version has left, taken over as a copy.
//!
//! The work is done by the gateway's program, which lies beside this one and knows the store. It may be done while a gateway serves.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use openclaw_shared::import::{ARGUMENT, ImportOrder, ImportReport, LARGEST_ORDER, PROGRAM, Tally};
use openclaw_shared::ipc::private_folder;
use openclaw_shared::log::printable;
use openclaw_shared::paths::StatePaths;

use super::super::context::Context;
use super::super::failure::{Failure, Kind};
use super::super::sibling::{hand_over, sibling};
use super::super::table::Table;

/// How many notes a person is shown.
const MOST_NOTES: usize = 50;

/// Takes over what lies in `from`, or only says what would be. Nothing is written when there is nothing to take over.
///
/// # Errors
/// When the work could not be begun, or ended early.
pub(super) fn take_over(
    context: &Context,
    from: &Path,
    dry_run: bool,
) -> Result<ImportReport, Failure> {
    let state = &context.identity.state_dir;
    if !dry_run && !state.exists() {
        private_folder(state)
            .map_err(|error| failed(format!("{} cannot be created: {error}", state.display())))?;
    }
    let report = import(&ImportOrder {
        from: from.to_path_buf(),
        store: StatePaths(state).store(),
        dry_run,
    })?;
    match &report.error {
        Some(error) => Err(failed(error.clone())),
        None => Ok(report),
    }
}

/// The program is started in no particular folder, so the path must not depend on one.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    path.canonicalize()
        .map_err(|error| failed(format!("{}: {error}", path.display())))
}

fn failed(why: String) -> Failure {
    Failure::new(Kind::Failed, format!("doctor failed: {why}"))
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

/// Says what was taken over.
pub(super) fn show(context: &Context, from: &Path, report: &ImportReport) {
    let out = &context.out;
    if !report.found {
        out.line(format!(
            "There is nothing of another version in {}.",
            context.shown(from)
        ));
        return;
    }
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
