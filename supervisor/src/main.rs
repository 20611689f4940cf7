//! The `openclaw` program: the command line, and the supervisor that `openclaw gateway` runs.
//!
//! Its life: read the line, do what it says, end with a code that says how it went.

mod cli;
mod port_owner;
mod service;
mod settings;
mod supervise;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(line) => cli::dispatch(line),
        Err(told) => told,
    }
}
