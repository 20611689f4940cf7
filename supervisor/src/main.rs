//! The `openclaw` program: the command line, and the supervisor that `openclaw gateway` runs.
//!
//! Its life: read the line, do what it says, end with a code that says how it went.

mod cli;
mod port_owner;
mod service;
mod settings;
mod supervise;

use std::process::ExitCode;

use openclaw_shared::instance::Environment;

use self::supervise::upgrade::handed::HandedOver;

fn main() -> ExitCode {
    // A gateway that was handed over by the program before goes back to it when it cannot go on.
    match HandedOver::find(&Environment::from_process()) {
        Some(handed) => handed.guard(|| live(Some(&handed))),
        None => live(None),
    }
}

fn live(handed: Option<&HandedOver>) -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(line) => cli::dispatch(line, handed),
        Err(told) => told,
    }
}
