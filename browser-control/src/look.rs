//! Tells which browser would be started, and ends: `openclaw-browser-control --detect [PATH]`, which `openclaw doctor` starts.

use std::io::{self, Write as _};
use std::process::ExitCode;

use openclaw_shared::exit::Exit;
use openclaw_shared::instance::Environment;
use serde_json::json;

use crate::executable::{Surroundings, ThisMachine, detect};

/// Whether this process was started for that.
pub(crate) fn is_wanted() -> bool {
    std::env::args_os()
        .nth(1)
        .is_some_and(|argument| argument == "--detect")
}

/// Looks, and says what there is.
pub(crate) fn run() -> ExitCode {
    let environment = Environment::from_process();
    let home = environment.get("HOME").unwrap_or("/").to_owned();
    let surroundings = Surroundings::of(&environment, home.as_ref());
    let configured = std::env::args().nth(2);
    let found = detect(configured.as_deref(), &surroundings, &ThisMachine);
    let report = match found {
        Ok(found) => json!({ "path": found.map(|found| found.path) }),
        Err(error) => json!({ "path": null, "error": error.to_string() }),
    };
    // Whoever started this has left when nothing can be written, and nobody else is to be told.
    let _ = writeln!(io::stdout().lock(), "{report}");
    Exit::Ok.into()
}
