//! The measurements: release builds of everything that takes part, then the bench binary.

use std::process::Command;

use anyhow::Result;

use crate::{command, peer, workspace};

/// Flags of the chore; everything after `--` goes to the bench binary.
#[derive(clap::Args)]
#[group(id = "bench")]
pub(crate) struct Args {
    #[command(flatten)]
    peer: peer::Args,

    /// Leave the peer out; nothing is installed
    #[arg(long)]
    no_peer: bool,

    /// Arguments of the bench binary (`-- --help` lists them)
    #[arg(last = true)]
    rest: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    command::run(workspace::cargo().args([
        "build",
        "--release",
        "--locked",
        "--workspace",
        "--bins",
    ]))?;
    let mut bench = Command::new(workspace::target_dir()?.join("release/bench"));
    if args.no_peer {
        bench.arg("--no-peer");
    } else {
        let dir = args.peer.dir()?;
        peer::install(&dir)?;
        bench.arg("--peer-dir").arg(dir);
    }
    command::run(bench.args(&args.rest))
}
