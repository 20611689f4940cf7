//! One instance of ours, a recorder in front of it, and a home of the peer that is told to use it.

use std::path::Path;

use anyhow::{Context, Result};
use openclaw_tests::home::{Home, TOKEN};
use openclaw_tests::instance::Instance;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::recorder::Recorder;

/// Everything one client needs.
pub(crate) struct Stage {
    pub(crate) instance: Instance,
    pub(crate) recorder: Recorder,
    peer_home: TempDir,
}

impl Stage {
    /// Starts an instance with this configuration added to the smallest one.
    pub(crate) async fn open(added: &Value) -> Result<Self> {
        let home = Home::new();
        home.configure(added);
        let instance = home.launch().ready().await;
        let recorder = Recorder::start(home.port()).await?;
        let peer_home = TempDir::with_prefix("openclaw-peer-").context("a home for the peer")?;
        let folder = peer_home.path().join(".openclaw");
        std::fs::create_dir_all(&folder)?;
        let config = json!({
            "gateway": { "mode": "local", "port": recorder.port, "auth": { "token": TOKEN } },
            "update": { "checkOnStart": false },
            "discovery": { "mdns": { "mode": "off" } },
        });
        std::fs::write(folder.join("openclaw.json"), format!("{config:#}\n"))?;
        Ok(Self {
            instance,
            recorder,
            peer_home,
        })
    }

    /// The home of the peer's programs.
    pub(crate) fn peer_home(&self) -> &Path {
        self.peer_home.path()
    }

    /// Writes what was sent into a golden file.
    pub(crate) fn keep(&self, folder: Option<&Path>, name: &str) -> Result<()> {
        let Some(folder) = folder else { return Ok(()) };
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("{name}.jsonl"));
        let home = self.peer_home().display().to_string();
        std::fs::write(&path, self.recorder.lines(&home))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}
