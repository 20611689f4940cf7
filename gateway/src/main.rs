//! The gateway as a program; everything it consists of is in `lib.rs`.

use std::process::ExitCode;

fn main() -> ExitCode {
    openclaw_gateway::run()
}
