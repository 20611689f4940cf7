//! Processes whose parent has ended: adopted, so that they are found, and ended.
//!
//! A process that becomes an orphan goes to the nearest forebear that adopts. What `setsid` or a second fork has taken out of a
//! command's group therefore becomes a child of the command's keeper; and a child of whoever asked for it, if the keeper was killed.
//! Linux alone has this. Elsewhere a process group is all that can be found.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Makes this process the parent of what its descendants leave behind.
///
/// # Errors
/// As the system says.
#[cfg(target_os = "linux")]
pub fn adopt() -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

#[cfg(not(target_os = "linux"))]
pub fn adopt() -> io::Result<()> {
    Ok(())
}

/// Ends a group whose leader is an unreaped child, and then every child and orphan of this process, until there is none.
///
/// Each round kills only children: their numbers cannot mean others, because nobody but this process reaps them. What a dead child
/// leaves behind is a child of the next round.
pub(crate) fn end_all(group: Pid) {
    // A group that has no process any more is what is wanted.
    let _ = killpg(group, Signal::SIGKILL);
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => {
                for child in children() {
                    end(Pid::from_raw(child.pid));
                }
                match waitpid(None, None) {
                    Ok(_) | Err(Errno::EINTR) => {}
                    Err(_) => return,
                }
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}

/// Starts a child of this process's own. Nobody looks for strays between its birth and its being known, so that it is not taken for
/// one. Every child of a process that adopts is started by this.
///
/// # Errors
/// As `start` says.
pub fn start_own<T>(
    start: impl FnOnce() -> io::Result<T>,
    pid_of: impl FnOnce(&T) -> Option<u32>,
) -> io::Result<T> {
    let mut own = own();
    let child = start()?;
    let pid = pid_of(&child).and_then(|pid| i32::try_from(pid).ok());
    own.extend(pid.and_then(Process::find));
    Ok(child)
}

/// Ends what came to this process because its keeper was killed, and the group that the keeper had told of. It may wait a moment.
pub fn end_strays(group: Option<Pid>) {
    if let Some(group) = group {
        // Whoever adopts its leader has not reaped it yet, so the number means no other group.
        let _ = killpg(group, Signal::SIGKILL);
    }
    loop {
        let ended = strays()
            .into_iter()
            .filter(|stray| end(*stray))
            .inspect(|stray| while waitpid(*stray, None) == Err(Errno::EINTR) {})
            .count();
        // What a stray leaves behind comes in the next round.
        if ended == 0 {
            return;
        }
    }
}

/// The children of this process that it has not started itself.
fn strays() -> Vec<Pid> {
    let mut own = own();
    let children = children();
    // One that has been reaped is no child any more, and its number may be given to another process.
    own.retain(|known| children.contains(known));
    let is_stray = |child: &&Process| !own.contains(child);
    let strays = children.iter().filter(is_stray);
    strays.map(|stray| Pid::from_raw(stray.pid)).collect()
}

/// The children that this process has started. What a process is cannot be told by its program: a command may start this one, and
/// would be spared when it has killed its own keeper. What is known of children holds for the whole process, as they do.
static OWN: Mutex<BTreeSet<Process>> = Mutex::new(BTreeSet::new());

fn own() -> MutexGuard<'static, BTreeSet<Process>> {
    // Each critical section leaves its value whole, so a poisoned lock is as good as any.
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process, told from others that have had its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Process {
    pid: i32,
    /// When it began, in ticks since the machine did.
    born: u64,
}

impl Process {
    #[cfg(target_os = "linux")]
    fn find(pid: i32) -> Option<Self> {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        let born = field(&stat, BORN)?;
        Some(Self { pid, born })
    }

    #[cfg(not(target_os = "linux"))]
    const fn find(_: i32) -> Option<Self> {
        None
    }
}

/// Says whether it could be told to end: what belongs to another user cannot.
fn end(child: Pid) -> bool {
    kill(child, Signal::SIGKILL).is_ok()
}

#[cfg(target_os = "linux")]
fn children() -> Vec<Process> {
    let this = nix::unistd::getpid();
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
            let born = field(&stat, BORN)?;
            (field(&stat, PARENT) == Some(this.as_raw())).then_some(Process { pid, born })
        })
        .collect()
}

#[cfg(not(target_os = "linux"))]
fn children() -> Vec<Process> {
    Vec::new()
}

/// Where the parent stands in `/proc/<pid>/stat`, counted from what follows the name.
#[cfg(target_os = "linux")]
const PARENT: usize = 1;
/// And where it says when the process began.
#[cfg(target_os = "linux")]
const BORN: usize = 19;

/// A field of `/proc/<pid>/stat`: `1 (name) S 0 …`. The name is what the process says, parentheses included.
#[cfg(target_os = "linux")]
fn field<T: std::str::FromStr>(stat: &[u8], at: usize) -> Option<T> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    rest.split_ascii_whitespace().nth(at)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_name_does_not_forge_a_parent() {
        let parent = |stat: &[u8]| field::<i32>(stat, PARENT);
        assert_eq!(parent(b"7 (sh) S 42 7 7"), Some(42));
        assert_eq!(parent(b"7 (a) S 1 1) S 42 7 7"), Some(42));
        assert_eq!(parent(b"7"), None);
    }

    #[test]
    fn a_process_is_told_from_another_by_its_beginning() {
        let own = i32::try_from(std::process::id()).unwrap();
        let found = Process::find(own).unwrap();
        assert_eq!(Process::find(own), Some(found));
        assert!(found.born > 0);
        assert_ne!(Process::find(1), Some(found));
    }
}
