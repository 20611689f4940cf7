//! Every path of an instance, from its folders. Nobody else joins path segments.

use std::path::{Path, PathBuf};

use crate::control::ChildName;

/// Folders and files below the state folder.
#[derive(Debug, Clone, Copy)]
pub struct StatePaths<'a>(pub &'a Path);

impl StatePaths<'_> {
    /// The configuration file when nothing else names one.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.0.join("openclaw.json")
    }

    /// Variables that fill blanks in the environment.
    #[must_use]
    pub fn dotenv(&self) -> PathBuf {
        self.0.join(".env")
    }

    /// Log files.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    /// The generated gateway token.
    #[must_use]
    pub fn token(&self) -> PathBuf {
        self.0.join("gateway-token")
    }

    /// The last configuration that reached ready.
    #[must_use]
    pub fn last_good(&self) -> PathBuf {
        self.0.join("last-good.json")
    }

    /// The good configuration before the last one.
    #[must_use]
    pub fn good_before(&self) -> PathBuf {
        self.0.join("last-good.1.json")
    }

    /// How the last life ended, when it ended by itself.
    #[must_use]
    pub fn last_stop(&self) -> PathBuf {
        self.0.join("last-stop.json")
    }

    /// What Tailscale may be publishing.
    #[must_use]
    pub fn tailscale_published(&self) -> PathBuf {
        self.0.join("tailscale-published")
    }

    /// The name under which the gateway is announced in the local network.
    #[must_use]
    pub fn announced_name(&self) -> PathBuf {
        self.0.join("announced-name")
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.0.join("openclaw.sqlite")
    }

    /// The file whose lock is the instance.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.0.join("instance.lock")
    }

    /// Key pairs of the clients that run from this state folder, and the tokens issued to them.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.0.join("identity")
    }

    /// The identity of this instance's command line.
    #[must_use]
    pub fn operator_identity(&self) -> PathBuf {
        self.identity().join("device.json")
    }

    /// The identity of this instance's node host.
    #[must_use]
    pub fn node_identity(&self) -> PathBuf {
        self.identity().join("node.json")
    }

    /// What the node host keeps about itself.
    #[must_use]
    pub fn node_file(&self) -> PathBuf {
        self.0.join("node.json")
    }

    /// The file whose lock is the node host.
    #[must_use]
    pub fn node_lock(&self) -> PathBuf {
        self.0.join("node.lock")
    }

    /// What may be executed on this machine.
    #[must_use]
    pub fn exec_approvals(&self) -> PathBuf {
        self.0.join("exec-approvals.json")
    }

    /// Sessions of one agent.
    #[must_use]
    pub fn sessions(&self, agent: &str) -> PathBuf {
        self.0.join("agents").join(agent).join("sessions")
    }

    /// The session index of one agent.
    #[must_use]
    pub fn sessions_index(&self, agent: &str) -> PathBuf {
        self.sessions(agent).join("sessions.json")
    }

    /// Local sockets and the instance lock, when the path is short enough for a socket.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.0.join("run")
    }
}

/// Files in the folder of local sockets.
#[derive(Debug, Clone, Copy)]
pub struct RunPaths<'a>(pub &'a Path);

impl RunPaths<'_> {
    /// Where the supervisor answers the command line.
    #[must_use]
    pub fn supervisor(&self) -> PathBuf {
        self.0.join("supervisor.sock")
    }

    /// Where a child finds its control channel.
    #[must_use]
    pub fn control(&self, child: ChildName) -> PathBuf {
        self.0.join(format!("{child}.control"))
    }

    /// Where a child serves the other children.
    #[must_use]
    pub fn service(&self, child: ChildName) -> PathBuf {
        self.0.join(format!("{child}.sock"))
    }
}

/// The longest path of a local socket: `sun_path` holds 108 bytes on Linux and 104 on macOS, the last one a NUL.
pub const MAX_SOCKET_PATH: usize = 103;

/// The longest name that [`RunPaths`] makes, with its separator.
pub const LONGEST_SOCKET_NAME: usize = "/browser-control.control".len();

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{LONGEST_SOCKET_NAME, RunPaths};
    use crate::control::ChildName;

    #[test]
    fn no_socket_name_is_longer_than_announced() {
        let run = RunPaths(Path::new("/r"));
        for child in ChildName::ALL {
            for path in [run.control(child), run.service(child), run.supervisor()] {
                assert!(
                    path.as_os_str().len() - "/r".len() <= LONGEST_SOCKET_NAME,
                    "{path:?}"
                );
            }
        }
    }
}
