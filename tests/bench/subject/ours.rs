//! This gateway: the release binaries, run as the README says.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{Programs, program};
use crate::connection::Target;

pub(super) fn config(target: &Target, revision: usize) -> Value {
    json!({
        "gateway": {
            "mode": "local",
            "port": target.port,
            "auth": { "token": target.token },
        },
        "env": { "vars": { "BENCH_REVISION": revision.to_string() } },
    })
}

pub(super) fn gateway(programs: &Programs) -> Command {
    let mut command = program(&programs.ours, "openclaw");
    command.args(["gateway", "--allow-unconfigured"]);
    command
}

pub(super) fn restart(programs: &Programs) -> Command {
    let mut command = program(&programs.ours, "openclaw");
    command.args(["gateway", "restart"]);
    command
}

pub(super) fn take_over(programs: &Programs, state: &Path) -> Command {
    let mut command = program(&programs.ours, "openclaw");
    command.arg("doctor").arg("--from").arg(state);
    command
}
