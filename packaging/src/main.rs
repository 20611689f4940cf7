//! Chores of the workspace, run as `cargo xtask CHORE`.
//!
//! A chore is something a person or CI does to the repository rather than something the product does: each is one
//! module with one `run` function. What can be a test is a test instead.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod codegen;
mod command;
mod conformance;
mod dist;
mod fuzz;
mod licences;
mod peer;
mod report;
mod workspace;

/// Chores of the OpenClaw workspace
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Build the release binaries and measure them beside the peer and a bare echo server
    Bench(bench::Args),
    /// Point the clients of the peer at this gateway and see whether they work
    Conformance(conformance::Args),
    /// Write the artefacts that are generated from the protocol's types
    Codegen(codegen::Args),
    /// Make a release: archive, Debian package, install script, checksums
    Dist(dist::Args),
    /// Feed whatever parses foreign bytes with invented ones
    Fuzz(fuzz::Args),
    /// Check licences, duplicate crates and sources against deny.toml
    Licences,
    /// Install the Node implementation, the peer that measurements compare with
    Peer(peer::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().chore {
        Chore::Bench(args) => bench::run(&args),
        Chore::Conformance(args) => conformance::run(&args),
        Chore::Codegen(args) => codegen::run(&args),
        Chore::Dist(args) => dist::run(&args),
        Chore::Fuzz(args) => fuzz::run(&args),
        Chore::Licences => licences::run(),
        Chore::Peer(args) => peer::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::error(&error);
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
