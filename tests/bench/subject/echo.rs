//! The echo: one process that needs nothing but its port.

use std::process::Command;

use super::{Programs, program};
use crate::connection::Target;

pub(super) fn server(programs: &Programs, target: &Target) -> Command {
    let mut command = program(&programs.ours, "bench-echo");
    command.arg(target.port.to_string());
    command
}
