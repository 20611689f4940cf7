//! What the kernel knows about processes, and signals.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use nix::sys::signal::kill;
use nix::unistd::Pid;
use procfs::process::FDTarget;

pub use nix::sys::signal::Signal;

/// A process that lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// The process that started it, or whoever took it over.
    pub parent: i32,
    /// The group it belongs to, which is what a signal of the terminal reaches.
    pub group: i32,
    /// The session it belongs to.
    pub session: i32,
    /// Whether it is stopped by a signal.
    pub is_stopped: bool,
    /// The short name of its program.
    pub name: String,
}

/// The process of this id, if it lives; one that only waits to be reaped does not.
#[must_use]
pub fn find(pid: i32) -> Option<Process> {
    procfs::process::Process::new(pid)
        .ok()
        .and_then(|process| of(&process))
}

/// Every process of a session.
#[must_use]
pub fn of_session(session: i32) -> Vec<Process> {
    all()
        .into_iter()
        .filter(|process| process.session == session)
        .collect()
}

/// Every process whose parent is this one.
#[must_use]
pub fn children_of(parent: i32) -> Vec<Process> {
    all()
        .into_iter()
        .filter(|process| process.parent == parent)
        .collect()
}

/// Whether a process lives.
#[must_use]
pub fn is_alive(pid: i32) -> bool {
    find(pid).is_some()
}

/// The arguments of a process.
#[must_use]
pub fn arguments(pid: i32) -> Vec<String> {
    procfs::process::Process::new(pid)
        .and_then(|process| process.cmdline())
        .unwrap_or_default()
}

/// The environment of a process.
#[must_use]
pub fn environment(pid: i32) -> BTreeMap<String, String> {
    let variables = procfs::process::Process::new(pid).and_then(|process| process.environ());
    let text = |part: std::ffi::OsString| part.to_string_lossy().into_owned();
    variables
        .unwrap_or_default()
        .into_iter()
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

/// How many descriptors a process has open.
#[must_use]
pub fn descriptors(pid: i32) -> usize {
    procfs::process::Process::new(pid)
        .and_then(|process| process.fd_count())
        .unwrap_or_default()
}

/// Whether a process holds the end at `local` of a TCP connection whose other end is at `remote`.
#[must_use]
pub fn holds_connection(pid: i32, local: SocketAddr, remote: SocketAddr) -> bool {
    let all = procfs::net::tcp().unwrap_or_default();
    let ends = (local, remote);
    let Some(end) = (all.iter()).find(|it| (it.local_address, it.remote_address) == ends) else {
        return false;
    };
    let is_it =
        |target: &FDTarget| matches!(target, FDTarget::Socket(inode) if *inode == end.inode);
    let descriptors = procfs::process::Process::new(pid).and_then(|process| process.fd());
    descriptors.is_ok_and(|all| all.flatten().any(|descriptor| is_it(&descriptor.target)))
}

/// The memory of a process that is resident, in bytes.
#[must_use]
pub fn resident_bytes(pid: i32) -> u64 {
    let pages = procfs::process::Process::new(pid)
        .and_then(|process| process.statm())
        .map_or(0, |memory| memory.resident);
    pages * procfs::page_size()
}

/// Sends a signal. A process that is gone already is no error.
pub fn send(pid: i32, signal: Signal) {
    // It may have ended in this moment, which is what most signals of a test want anyway.
    let _ = kill(Pid::from_raw(pid), signal);
}

/// Every process that lives.
///
/// # Panics
/// When the system does not list them.
#[must_use]
pub fn all() -> Vec<Process> {
    let processes = procfs::process::all_processes().expect("the processes can be listed");
    // One that ends while the list is walked is not part of it.
    processes.filter_map(|process| of(&process.ok()?)).collect()
}

fn of(process: &procfs::process::Process) -> Option<Process> {
    let stat = process.stat().ok()?;
    let is_dead = matches!(stat.state, 'Z' | 'X' | 'x');
    (!is_dead).then_some(Process {
        pid: stat.pid,
        parent: stat.ppid,
        group: stat.pgrp,
        session: stat.session,
        is_stopped: stat.state == 'T',
        name: stat.comm,
    })
}
