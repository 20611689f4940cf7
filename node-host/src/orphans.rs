//! Processes whose parent has ended: adopted, so that they are found, and ended.
//!
//! A process that becomes an orphan goes to the nearest forebear that adopts. What `setsid` or a second fork has taken out of a
//! command's group therefore becomes a child of the command's keeper; and a child of the node host, if the keeper was killed.
//! Linux alone has this. Elsewhere a process group is all that can be found.

use std::io;
#[cfg(target_os = "linux")]
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

#[cfg(target_os = "linux")]
use crate::keeper;

/// Makes this process the parent of what its descendants leave behind.
///
/// # Errors
/// As the system says.
#[cfg(target_os = "linux")]
pub(crate) fn adopt() -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn adopt() -> io::Result<()> {
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
                    end(child);
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

/// Ends what came to this process because its keeper was killed, and the group that the keeper had told of. It may wait a moment.
pub(crate) fn end_strays(group: Option<Pid>) {
    if let Some(group) = group {
        // Whoever adopts its leader has not reaped it yet, so the number means no other group.
        let _ = killpg(group, Signal::SIGKILL);
    }
    loop {
        let ended = children()
            .into_iter()
            .filter(|child| !is_keeper(*child) && end(*child))
            .inspect(|stray| while waitpid(*stray, None) == Err(Errno::EINTR) {})
            .count();
        // What a stray leaves behind comes in the next round.
        if ended == 0 {
            return;
        }
    }
}

/// Says whether it could be told to end: what belongs to another user cannot.
fn end(child: Pid) -> bool {
    kill(child, Signal::SIGKILL).is_ok()
}

#[cfg(target_os = "linux")]
fn children() -> Vec<Pid> {
    let own = nix::unistd::getpid();
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let stat = std::fs::read(format!("/proc/{pid}/stat"));
            stat.is_ok_and(|stat| parent(&stat) == Some(own.as_raw()))
        })
        .map(Pid::from_raw)
        .collect()
}

#[cfg(not(target_os = "linux"))]
fn children() -> Vec<Pid> {
    Vec::new()
}

/// The parent in `/proc/<pid>/stat`: `1 (name) S 0 …`. The name is what the process says, parentheses included.
#[cfg(target_os = "linux")]
fn parent(stat: &[u8]) -> Option<i32> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// A keeper is known by its program, and is this one until it becomes it. One that has ended has no program any more; it has done its
/// work, and may be reaped here.
#[cfg(target_os = "linux")]
fn is_keeper(pid: Pid) -> bool {
    let file = |path: PathBuf| std::fs::read_link(&path).unwrap_or(path);
    let own = ["/proc/self/exe".into()]
        .into_iter()
        .chain(keeper::program());
    std::fs::read_link(format!("/proc/{pid}/exe"))
        .is_ok_and(|program| own.map(file).any(|own| own == program))
}

#[cfg(not(target_os = "linux"))]
fn is_keeper(_: Pid) -> bool {
    true
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_name_does_not_forge_a_parent() {
        assert_eq!(parent(b"7 (sh) S 42 7 7"), Some(42));
        assert_eq!(parent(b"7 (a) S 1 1) S 42 7 7"), Some(42));
        assert_eq!(parent(b"7"), None);
    }
}
