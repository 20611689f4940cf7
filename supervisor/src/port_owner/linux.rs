//! Socket tables and processes as Linux shows them below `/proc`.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use openclaw_shared::clock::Moment;
use openclaw_shared::log::{printable, redact};
use procfs::net::{TcpState, tcp, tcp6};
use procfs::process::{FDTarget, Process, all_processes};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{Owner, is_openclaw};

struct Listening {
    address: SocketAddr,
    uid: u32,
}

/// The processes that listen on `port`, on whatever address.
///
/// # Errors
/// When the kernel's tables cannot be read.
pub(crate) fn look(port: u16) -> io::Result<Vec<Owner>> {
    let mut owners = look_once(port)?;
    let own_user = user_name(nix::unistd::geteuid().as_raw());
    for _ in 0..LOOKS {
        // Our own processes hide nothing: one that could not be found was just ending, or handing its socket on.
        if !owners
            .iter()
            .any(|owner| owner.pid.is_none() && owner.user == own_user)
        {
            break;
        }
        owners = look_once(port)?;
    }
    Ok(owners)
}

/// How often it is looked again for a process that moves.
const LOOKS: usize = 3;

fn look_once(port: u16) -> io::Result<Vec<Owner>> {
    let mut sockets = HashMap::new();
    // A kernel without IPv6 has no table for it.
    let entries = tcp()
        .map_err(into_io)?
        .into_iter()
        .chain(tcp6().unwrap_or_default());
    for entry in entries {
        if entry.state == TcpState::Listen && entry.local_address.port() == port {
            let listening = Listening {
                address: entry.local_address,
                uid: entry.uid,
            };
            sockets.insert(entry.inode, listening);
        }
    }
    if sockets.is_empty() {
        return Ok(Vec::new());
    }
    let mut owners = Vec::new();
    let mut known = Vec::new();
    // A process that ends while it is looked at is no owner any more.
    for process in all_processes().map_err(into_io)?.flatten() {
        let Ok(descriptors) = process.fd() else {
            continue;
        };
        let mut inodes: Vec<u64> = descriptors
            .flatten()
            .filter_map(|descriptor| {
                let FDTarget::Socket(inode) = descriptor.target else {
                    return None;
                };
                sockets.contains_key(&inode).then_some(inode)
            })
            .collect();
        inodes.sort_unstable();
        inodes.dedup();
        for inode in inodes {
            owners.push(describe(&process, &sockets[&inode]));
            known.push(inode);
        }
    }
    for (inode, listening) in &sockets {
        if !known.contains(inode) {
            owners.push(hidden(listening));
        }
    }
    owners.sort_by_key(|owner| (owner.pid, owner.address));
    Ok(owners)
}

fn describe(process: &Process, listening: &Listening) -> Owner {
    let stat = process.stat().ok();
    let command = stat
        .as_ref()
        .map(|stat| stat.comm.clone())
        .unwrap_or_default();
    let executable = process.exe().ok();
    let executable = executable
        .as_deref()
        .and_then(|path| path.file_name()?.to_str());
    Owner {
        pid: u32::try_from(process.pid()).ok(),
        parent: stat.and_then(|stat| u32::try_from(stat.ppid).ok()),
        is_openclaw: is_openclaw(&command) || executable.is_some_and(is_openclaw),
        command: printable(&command),
        command_line: printable(&redact(&process.cmdline().unwrap_or_default().join(" "))),
        user: user_name(process.uid().unwrap_or(listening.uid)),
        address: listening.address,
    }
}

fn hidden(listening: &Listening) -> Owner {
    Owner {
        pid: None,
        parent: None,
        command: String::new(),
        command_line: String::new(),
        user: user_name(listening.uid),
        address: listening.address,
        is_openclaw: false,
    }
}

fn user_name(uid: u32) -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid))
        .ok()
        .flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

fn into_io(error: procfs::ProcError) -> io::Error {
    if let procfs::ProcError::Io(error, _) = error {
        error
    } else {
        io::Error::other(error.to_string())
    }
}

/// A process that can be signalled and waited for, however long it has been somebody else's child.
#[derive(Debug)]
pub(crate) struct Watched(OwnedFd);

impl Watched {
    /// Takes hold of a process; none when there is none.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub(crate) fn new(pid: u32) -> io::Result<Option<Self>> {
        let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
            return Ok(None);
        };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => Ok(Some(Self(descriptor))),
            Err(rustix::io::Errno::SRCH) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Asks it to leave.
    pub(crate) fn terminate(&self) -> io::Result<()> {
        self.signal(Signal::TERM)
    }

    /// Ends it.
    pub(crate) fn kill(&self) -> io::Result<()> {
        self.signal(Signal::KILL)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.0, signal) {
            // Somebody who is gone needs no signal.
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until it has ended; false when it has not by `limit`.
    pub(crate) async fn ended(&self, limit: Duration) -> bool {
        let Ok(descriptor) = self.0.try_clone() else {
            return self.wait(limit);
        };
        // The runtime watches descriptors only by a call that is unsafe; a thread that polls is not, and ends by itself.
        tokio::task::spawn_blocking(move || Self(descriptor).wait(limit))
            .await
            .unwrap_or(false)
    }

    /// The same for callers that do nothing else meanwhile.
    pub(crate) fn wait(&self, limit: Duration) -> bool {
        let deadline = Moment::now() + limit;
        loop {
            let left = remaining(deadline);
            let timeout = rustix::event::Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(left.subsec_nanos()),
            };
            match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&timeout)) {
                Ok(ready) => return ready > 0,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }
}

fn remaining(deadline: Moment) -> Duration {
    deadline.since(Moment::now())
}
