//! The conformance run: the peer's clients against this gateway, and the page that says how it went.

use std::process::Command;

use anyhow::Result;

use crate::{command, peer, workspace};

/// Flags of the chore; everything after `--` goes to the conformance binary.
#[derive(clap::Args)]
#[group(id = "conformance")]
pub(crate) struct Args {
    #[command(flatten)]
    peer: peer::Args,

    /// Keep the results in docs/CONFORMANCE.md, and what the clients sent in tests/golden/peer
    #[arg(long)]
    keep: bool,

    /// Arguments of the conformance binary (`-- --help` lists them)
    #[arg(last = true)]
    rest: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    command::run(workspace::cargo().args(["build", "--locked", "--workspace", "--bins"]))?;
    let dir = args.peer.dir()?;
    peer::install(&dir)?;
    let mut conformance = Command::new(workspace::target_dir()?.join("debug/conformance"));
    conformance.arg("--peer-dir").arg(dir);
    if args.keep {
        let root = workspace::root();
        conformance
            .arg("--page")
            .arg(root.join("docs/CONFORMANCE.md"))
            .arg("--record")
            .arg(root.join("tests/golden/peer"));
    }
    command::run(conformance.args(&args.rest))
}
