//! Who listens on a port, and how to end whoever does.
//!
//! Answers come from the kernel's socket tables and the open descriptors of processes; no tool is needed. A process of another
//! user shows neither its name nor its descriptors, and is then known by its user only.
//!
//! Invariant: a process is signalled through a pidfd taken before it was looked at, so a pid that is used again by another
//! process is never hit.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

#[cfg(target_os = "linux")]
#[path = "port_owner/linux.rs"]
mod system;
#[cfg(not(target_os = "linux"))]
#[path = "port_owner/elsewhere.rs"]
mod system;

pub(crate) use system::{Watched, look};

/// A process that listens on a port, on one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Owner {
    /// Absent when it belongs to a user whose processes we may not look into.
    pub(crate) pid: Option<u32>,
    /// The process that started it.
    #[serde(skip)]
    pub(crate) parent: Option<u32>,
    /// The short name of the program.
    pub(crate) command: String,
    /// The command line, with secrets hidden.
    pub(crate) command_line: String,
    /// Name or number of the user.
    pub(crate) user: String,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Whether it is a gateway, this one's or another instance's.
    #[serde(skip)]
    pub(crate) is_openclaw: bool,
}

impl fmt::Display for Owner {
    /// `pid 18970 root: python3 -m http.server 20001 (127.0.0.1:20001)`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => {
                let line = if self.command_line.is_empty() {
                    &self.command
                } else {
                    &self.command_line
                };
                write!(
                    formatter,
                    "pid {pid} {}: {line} ({})",
                    self.user, self.address
                )
            }
            None => write!(
                formatter,
                "a process of user {} ({})",
                self.user, self.address
            ),
        }
    }
}

/// Whose processes may be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Force {
    /// OpenClaw's own (`--force`).
    Own,
    /// Anybody's (`--force-any`).
    Any,
}

/// How a process was ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Who it was.
    pub(crate) owner: Owner,
    /// Whether it had to be killed, because it did not leave when asked.
    pub(crate) killed: bool,
}

/// Why a port could not be freed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EndError {
    /// It belongs to a program that is not ours.
    #[error("{owner} is not OpenClaw; pass --force-any to end it too")]
    Stranger {
        /// Who it is.
        owner: Box<Owner>,
    },
    /// It belongs to another user.
    #[error("{owner} cannot be ended by this user")]
    NotAllowed {
        /// Who it is.
        owner: Box<Owner>,
        /// What the system said, if it was asked.
        #[source]
        cause: Option<io::Error>,
    },
    /// It survived even a kill.
    #[error("{owner} did not end")]
    Survived {
        /// Who it is.
        owner: Box<Owner>,
    },
}

/// How long a process that was asked to leave may take: as long as an instance may drain, within reason.
const GRACE: Duration = Duration::from_secs(15);
/// A killed process is gone at once, unless the kernel is busy on its behalf.
const AFTER_KILL: Duration = Duration::from_secs(2);

/// The processes that listen on `port`; none also when the system does not tell.
pub(crate) fn owners(port: u16) -> Vec<Owner> {
    look(port).unwrap_or_default()
}

/// Ends the processes that listen on `ports`: asks, waits, then kills. A process whose parent is among them is left to its
/// parent, which ends it in its own order.
///
/// Nothing is signalled unless all of them may be.
///
/// # Errors
/// When one of them may not or cannot be ended.
pub(crate) async fn end(ports: &[u16], force: Force) -> Result<Vec<Ended>, EndError> {
    let owners: Vec<Owner> = ports.iter().flat_map(|port| owners(*port)).collect();
    end_owners(&owners, force, GRACE).await
}

async fn end_owners(
    owners: &[Owner],
    force: Force,
    grace: Duration,
) -> Result<Vec<Ended>, EndError> {
    let mut watched = Vec::new();
    for owner in distinct(owners) {
        let boxed = || Box::new(owner.clone());
        let Some(pid) = owner.pid else {
            return Err(EndError::NotAllowed {
                owner: boxed(),
                cause: None,
            });
        };
        if force == Force::Own && !owner.is_openclaw {
            return Err(EndError::Stranger { owner: boxed() });
        }
        match Watched::new(pid) {
            Ok(Some(process)) => watched.push((owner, process)),
            Ok(None) => {}
            Err(cause) => {
                return Err(EndError::NotAllowed {
                    owner: boxed(),
                    cause: Some(cause),
                });
            }
        }
    }
    let (roots, rest) = split_by_parent(watched);
    for (owner, process) in &roots {
        process.terminate().map_err(|cause| EndError::NotAllowed {
            owner: Box::new((*owner).clone()),
            cause: Some(cause),
        })?;
    }
    let mut ended = Vec::new();
    for (owner, process) in roots.iter().chain(&rest) {
        let left = process.ended(grace).await;
        if !left {
            // It may be gone by now; whether it is, the wait below tells.
            let _ = process.kill();
            if !process.ended(AFTER_KILL).await {
                return Err(EndError::Survived {
                    owner: Box::new((*owner).clone()),
                });
            }
        }
        ended.push(Ended {
            owner: (*owner).clone(),
            killed: !left,
        });
    }
    Ok(ended)
}

/// One owner a process: it may listen on several addresses.
fn distinct(owners: &[Owner]) -> Vec<&Owner> {
    let mut seen = Vec::new();
    owners
        .iter()
        .filter(|owner| {
            let new = owner.pid.is_none() || !seen.contains(&owner.pid);
            seen.push(owner.pid);
            new
        })
        .collect()
}

type Pair<'a> = (&'a Owner, Watched);

fn split_by_parent(watched: Vec<Pair<'_>>) -> (Vec<Pair<'_>>, Vec<Pair<'_>>) {
    let pids: Vec<Option<u32>> = watched.iter().map(|(owner, _)| owner.pid).collect();
    watched
        .into_iter()
        .partition(|(owner, _)| owner.parent.is_none() || !pids.contains(&owner.parent))
}

/// Whether a program of this name is one of ours. The kernel cuts names after 15 bytes.
fn is_openclaw(name: &str) -> bool {
    [
        "openclaw",
        "openclaw-gateway",
        "openclaw-canvas-host",
        "openclaw-browser-control",
    ]
    .iter()
    .any(|ours| *ours == name || (name.len() == 15 && ours.starts_with(name)))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv6Addr, TcpListener};
    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, Command, Stdio};

    use super::*;

    #[test]
    fn a_listener_of_this_process_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let found = owners(port);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].pid, Some(std::process::id()));
        assert_eq!(found[0].address, listener.local_addr().unwrap());
        assert!(
            found[0]
                .to_string()
                .contains(&format!("pid {}", std::process::id()))
        );
    }

    #[test]
    fn an_ipv6_listener_is_found() {
        let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
            eprintln!("skipped: this system has no IPv6 loopback");
            return;
        };
        let address = listener.local_addr().unwrap();
        assert_eq!(owners(address.port())[0].address, address);
    }

    #[test]
    fn a_free_port_has_no_owner() {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        assert_eq!(owners(port), []);
    }

    struct Sleeper(Child);

    impl Sleeper {
        /// A process that holds the listener as its standard input and sleeps.
        fn holding(listener: TcpListener, script: &str) -> Self {
            let descriptor = std::os::fd::OwnedFd::from(listener);
            let mut command = Command::new("/bin/sh");
            command
                .args(["-c", script])
                .stdin(Stdio::from(descriptor))
                .process_group(0);
            Self(command.spawn().unwrap())
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            // Both fail when it has ended already, which is what the tests want.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[tokio::test]
    async fn a_stranger_is_ended_only_when_strangers_may_be() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut sleeper = Sleeper::holding(listener, "exec sleep 60");
        let found = owners(port);
        assert!(!found.is_empty());
        let grace = Duration::from_secs(5);
        let refused = end_owners(&found, Force::Own, grace).await;
        assert!(
            matches!(refused, Err(EndError::Stranger { .. })),
            "{refused:?}"
        );
        assert!(
            sleeper.0.try_wait().unwrap().is_none(),
            "it was only looked at"
        );
        let ended = end(&[port], Force::Any).await.unwrap();
        assert!(ended.iter().all(|ended| !ended.killed));
        assert_eq!(owners(port), []);
    }

    #[tokio::test]
    async fn who_does_not_leave_when_asked_is_killed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (read, write) = io::pipe().unwrap();
        let descriptor = std::os::fd::OwnedFd::from(listener);
        let mut command = Command::new("/bin/sh");
        command
            .args([
                "-c",
                "trap '' TERM; echo armed; read line; while :; do :; done",
            ])
            .stdin(Stdio::from(descriptor))
            .stdout(write)
            .process_group(0);
        let _sleeper = Sleeper(command.spawn().unwrap());
        drop(command);
        let mut armed = [0; 6];
        io::Read::read_exact(&mut { read }, &mut armed).unwrap();
        let grace = Duration::from_millis(50);
        let ended = end_owners(&owners(port), Force::Any, grace).await.unwrap();
        assert!(ended[0].killed);
    }

    #[test]
    fn our_own_programs_are_known_by_their_cut_names_too() {
        for ours in [
            "openclaw",
            "openclaw-gateway",
            "openclaw-gatewa",
            "openclaw-canvas",
        ] {
            assert!(is_openclaw(ours), "{ours}");
        }
        for other in ["node", "openclaw2", "openclaw-evil", "open", ""] {
            assert!(!is_openclaw(other), "{other}");
        }
    }
}
