//! The gateway as a program; everything it consists of is in `lib.rs`. Commands of agents run under a small process of the same
//! program, their keeper.

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = openclaw_exec::keeper::live_if_meant() {
        return code;
    }
    openclaw_gateway::run()
}
