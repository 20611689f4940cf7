//! Licences, duplicate crates and sources, as `deny.toml` has them.
//!
//! cargo-deny does the work. It is built from crates.io into the target directory when it is not installed, without
//! optimisation: that halves its build, and the check itself takes seconds either way. Advisories are left out, since
//! their database lies in a git repository that CI cannot reach.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::{command, workspace};

/// The oldest cargo-deny that reads our lock file and knows the lints named below.
const VERSION: &str = "0.20.2";

pub(crate) fn run() -> Result<()> {
    let tools = workspace::target_dir()?.join("tools");
    let own = tools.join("bin/cargo-deny");
    let program = if command::succeeds(Command::new("cargo-deny").arg("--version")) {
        Path::new("cargo-deny")
    } else {
        if !own.exists() {
            install(&tools)?;
        }
        &own
    };
    command::run(
        Command::new(program)
            .current_dir(workspace::root())
            .args(["--locked", "check"])
            // An exception that nothing needs any longer is an error: the list stays true.
            .args(["--deny", "unmatched-skip", "--deny", "unnecessary-skip"])
            .args(["licenses", "bans", "sources"]),
    )
}

fn install(tools: &Path) -> Result<()> {
    command::run(
        workspace::cargo()
            .args([
                "install",
                "--locked",
                "--debug",
                "--version",
                VERSION,
                "--root",
            ])
            .arg(tools)
            .arg("cargo-deny"),
    )
}
