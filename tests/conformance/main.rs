//! Whether existing clients of the protocol work with this gateway, unchanged: the Node implementation's command line, its
//! published web page in a real browser, and its headless node host.
//!
//! Never part of the ordinary tests: it needs the peer (`cargo xtask peer`). What its clients send is recorded; the ordinary
//! tests replay it ([`openclaw_tests::golden`]).
#![cfg(target_os = "linux")]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use openclaw_shared::clock::WallTime;

mod anonymous;
mod cli;
mod node;
mod openai;
mod page;
mod peer;
mod recorder;
mod report;
mod stage;

use report::Outcome;

/// Point the peer's clients at this gateway and see whether they work
#[derive(Debug, Parser)]
#[command(name = "conformance")]
struct Options {
    /// Only these clients (several: separated by commas) [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Client>,
    /// Folder that `cargo xtask peer` filled
    #[arg(long)]
    peer_dir: PathBuf,
    /// Write the page of results here
    #[arg(long)]
    page: Option<PathBuf>,
    /// Record what the clients send into this folder
    #[arg(long)]
    record: Option<PathBuf>,
}

/// A client of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Client {
    /// The command line
    Cli,
    /// The web page, in Chromium
    Page,
    /// The headless node host
    Node,
    /// The official `openai` packages for Python and Node, against `/v1`
    Openai,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            report::progress(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Whether everything works.
fn run(options: &Options) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let outcomes = runtime.block_on(all(options))?;
    let page = report::page(&outcomes, WallTime::now());
    report::table(&page);
    if let Some(path) = &options.page {
        std::fs::write(path, &page).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(outcomes.iter().all(Outcome::works))
}

async fn all(options: &Options) -> Result<Vec<Outcome>> {
    let wanted = |client| options.only.is_empty() || options.only.contains(&client);
    let peer = peer::Peer::new(&options.peer_dir)?;
    let mut outcomes = Vec::new();
    if wanted(Client::Cli) {
        outcomes.extend(cli::run(&peer, options.record.as_deref()).await?);
    }
    if wanted(Client::Node) {
        outcomes.extend(node::run(&peer, options.record.as_deref()).await?);
    }
    if wanted(Client::Openai) {
        outcomes.extend(openai::run(options.record.as_deref()).await?);
    }
    if wanted(Client::Page) {
        outcomes.extend(page::run(&peer, options.record.as_deref()).await?);
    }
    Ok(outcomes)
}
