//! Looks the store over: `openclaw-gateway --examine`, which `openclaw doctor` starts. Nothing is changed by it.

use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

use openclaw_shared::examine::{ARGUMENT, ExamineOrder, ExamineReport};
use openclaw_shared::exit::Exit;
use openclaw_shared::import::LARGEST_ORDER;

use crate::store;

/// Whether this process was started for that.
pub(crate) fn is_wanted() -> bool {
    std::env::args_os()
        .nth(1)
        .is_some_and(|argument| argument == ARGUMENT)
}

/// Reads the order, does it, and writes the report.
pub(crate) fn run() -> ExitCode {
    let report = order().map_or_else(
        |error| ExamineReport {
            error: Some(error),
            ..ExamineReport::default()
        },
        |order| store::examine::examine(&order.store),
    );
    let exit = match report.error {
        None => Exit::Ok,
        Some(_) => Exit::Failure,
    };
    let text = serde_json::to_string(&report).expect("a report is JSON");
    // Whoever started this has left when nothing can be written, and nobody else is to be told.
    let _ = writeln!(io::stdout().lock(), "{text}");
    exit.into()
}

fn order() -> Result<ExamineOrder, String> {
    let mut text = String::new();
    let limit = u64::try_from(LARGEST_ORDER).unwrap_or(u64::MAX);
    let read = io::stdin().lock().take(limit).read_to_string(&mut text);
    read.map_err(|error| format!("the order cannot be read: {error}"))?;
    serde_json::from_str(&text).map_err(|error| format!("the order is none: {error}"))
}
