//! A program that can be a keeper and nothing else: what the tests of this crate start.

use std::process::ExitCode;

fn main() -> ExitCode {
    openclaw_exec::keeper::live_if_meant().unwrap_or(ExitCode::FAILURE)
}
