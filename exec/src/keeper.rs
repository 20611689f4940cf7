//! The keeper: a small process between whoever asked for a command and the command, so that nothing of it outlives either of them.
//!
//! It is the same program again, started with [`ARGUMENT`]; its standard input is one end of a socket. It reads an [`Order`], starts
//! the command in a group of its own, tells in [`Report`]s how that goes, and waits for the end of the socket: when the asker
//! has had enough, and also when it was killed. Then it kills whatever the command has started, and ends when all of it is gone.
//!
//! Invariant: the command's first process is not reaped before its group was killed, so that the number of the group means no other.
//!
//! Where the system lets a process adopt orphans (Linux), what left the group is found too. Elsewhere only the group is.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;

use command_fds::{CommandFdExt as _, FdMapping};
use nix::errno::Errno;
use nix::unistd::{Pid, dup2_stderr, dup2_stdout};
use openclaw_shared::exit::Exit;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use serde::{Deserialize, Serialize};

use crate::orphans;

/// What a program is called with to be a keeper.
const ARGUMENT: &str = "keep-one-command";
/// What the process is called. Whoever kills all gateways or node hosts by their name does not mean the keepers.
const NAME: &str = "openclaw-keeper";

/// What is to be run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) program: OsString,
    /// What it is told that it is called: some programs know by this what they are to do.
    pub(crate) name: String,
    pub(crate) arguments: Vec<String>,
    pub(crate) cwd: OsString,
    pub(crate) variables: Vec<(OsString, OsString)>,
    /// Whether its input is what the keeper has at [`INPUT`]; it has none otherwise.
    pub(crate) has_input: bool,
}

/// What a keeper tells, each on one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The command is about to run, and this is the number of its group.
    Began { group: i32 },
    /// The command did not begin.
    Failed { errno: Option<i32>, reason: String },
    /// Its first process has ended, with this code, or by this signal.
    Ended {
        code: Option<i32>,
        signal: Option<i32>,
    },
}

/// Where a keeper gets the input of its command.
const INPUT: RawFd = 3;

/// The program that keepers are.
#[derive(Debug, Clone)]
pub struct Keeper {
    program: PathBuf,
}

impl Keeper {
    /// This very program, also when its file was replaced since it began. Its `main` begins with [`live_if_meant`].
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn of_this_program() -> Self {
        Self::at("/proc/self/exe")
    }

    /// This very program. Its `main` begins with [`live_if_meant`].
    #[cfg(not(target_os = "linux"))]
    #[must_use]
    pub fn of_this_program() -> Self {
        // Whoever has no path starts no command, and says so when it is asked to.
        Self::at(std::env::current_exe().unwrap_or_default())
    }

    /// The program at this path.
    #[must_use]
    pub fn at(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
        }
    }

    #[cfg(test)]
    pub(crate) fn program(&self) -> &std::path::Path {
        &self.program
    }

    /// How it is started: without a folder, without variables, and not where a terminal sends its signals.
    pub(crate) fn command(&self, input: Option<OwnedFd>) -> io::Result<Command> {
        let mut command = Command::new(&self.program);
        command
            .arg0(NAME)
            .arg(ARGUMENT)
            .env_clear()
            .current_dir("/")
            .process_group(0);
        if let Some(parent_fd) = input {
            let child_fd = INPUT;
            command
                .fd_mappings(vec![FdMapping {
                    parent_fd,
                    child_fd,
                }])
                .map_err(io::Error::other)?;
        }
        Ok(command)
    }
}

/// Lives the life of a keeper and says how it ended, if this process is to be one. The first thing that `main` does.
#[must_use]
pub fn live_if_meant() -> Option<ExitCode> {
    let is_meant = std::env::args_os().nth(1).is_some_and(|it| it == ARGUMENT);
    is_meant.then(live)
}

/// The life of a keeper.
fn live() -> ExitCode {
    match keep() {
        Ok(()) => Exit::Ok.into(),
        // Whoever starts one by hand, or has gone already, learns no more from a text.
        Err(_) => Exit::Failure.into(),
    }
}

fn keep() -> io::Result<()> {
    orphans::adopt()?;
    call_this_process(NAME);
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Read as a file, so that whatever the input is, this waits for its end.
    let mut orders = BufReader::new(File::from(io::stdin().as_fd().try_clone_to_owned()?));
    let mut line = Vec::new();
    orders.read_until(b'\n', &mut line)?;
    let order: Order = serde_json::from_slice(&line)?;
    let started = input_of(&order).and_then(|input| spawn(&order, input, socket.try_clone()?));
    let child = match started {
        Ok(child) => child,
        Err(error) => {
            let errno = error.raw_os_error();
            let reason = error.to_string();
            return tell(&socket, &Report::Failed { errno, reason });
        }
    };
    let group = i32::try_from(child.id()).map_err(io::Error::other)?;
    // From here on nothing may fail before everything is ended: an error would leave the command alone.
    let _ = let_go_of_outputs();
    let watch = thread::Builder::new().spawn(move || {
        // Whoever is told and does not listen any more has gone, which the end of the socket tells as well.
        let _ =
            wait(&child).and_then(|(code, signal)| tell(&socket, &Report::Ended { code, signal }));
    });
    // There are no other orders: this waits for the end. An end that nobody would tell of is not waited for.
    if watch.is_ok() {
        let _ = io::copy(&mut orders.by_ref(), &mut io::sink());
    }
    orphans::end_all(Pid::from_raw(group));
    Ok(())
}

/// The command's input. Only the command is to hold it open.
fn input_of(order: &Order) -> io::Result<Stdio> {
    if !order.has_input {
        return Ok(Stdio::null());
    }
    let input = File::open(format!("/dev/fd/{INPUT}"))?;
    nix::unistd::close(INPUT)?;
    Ok(input.into())
}

fn spawn(order: &Order, input: Stdio, socket: UnixStream) -> io::Result<Child> {
    let mut command = Command::new(&order.program);
    command
        .arg0(&order.name)
        .args(&order.arguments)
        .current_dir(&order.cwd)
        .env_clear()
        .envs(order.variables.iter().map(|(name, value)| (name, value)))
        .stdin(input)
        .process_group(0);
    before_it_runs(&mut command, socket);
    command.spawn()
}

/// Only what the command itself has started is to hold its outputs open.
fn let_go_of_outputs() -> io::Result<()> {
    let nowhere = File::options().write(true).open("/dev/null")?;
    dup2_stdout(&nowhere)?;
    dup2_stderr(&nowhere)?;
    Ok(())
}

/// Waits for the end of the command's first process without reaping it: the code, or the signal.
fn wait(child: &Child) -> io::Result<(Option<i32>, Option<i32>)> {
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    let pid = rustix::process::Pid::from_raw(pid).ok_or(Errno::ECHILD)?;
    loop {
        match waitid(
            WaitId::Pid(pid),
            WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
        ) {
            Ok(Some(status)) => return Ok((status.exit_status(), status.terminating_signal())),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn tell(mut socket: &UnixStream, report: &Report) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    socket.write_all(&line)
}

/// What has to be done by the command's first process itself, before it is the command. It tells its group, so that the asker
/// knows it before the command can kill its keeper.
#[expect(
    unsafe_code,
    reason = "only between fork and exec is the process there and not yet the command"
)]
fn before_it_runs(command: &mut Command, socket: UnixStream) {
    let keeper = nix::unistd::getpid();
    let prepare = move || {
        end_with(keeper)?;
        let mut line = [0; LONGEST_BEGAN];
        let length = began(&mut line, nix::unistd::getpid())?;
        (&socket).write_all(&line[..length])
    };
    // SAFETY: the closure writes numbers into its own memory and makes system calls that are async-signal-safe; it allocates nothing
    // and takes no lock.
    unsafe {
        command.pre_exec(prepare);
    }
}

const LONGEST_BEGAN: usize = 48;

/// [`Report::Began`] as a line, without allocating anything.
fn began(line: &mut [u8], group: Pid) -> io::Result<usize> {
    let room = line.len();
    let mut rest = line;
    writeln!(rest, r#"{{"Began":{{"group":{group}}}}}"#)?;
    Ok(room - rest.len())
}

/// A keeper that is killed takes at least the first process of its command with it. The signal follows the thread that forks: the
/// main one, which lives as long as the keeper.
#[cfg(target_os = "linux")]
fn end_with(keeper: Pid) -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    // A keeper that went before the signal was asked for sends none.
    if nix::unistd::getppid() == keeper {
        Ok(())
    } else {
        Err(Errno::ECHILD.into())
    }
}

#[cfg(not(target_os = "linux"))]
fn end_with(_: Pid) -> io::Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
fn call_this_process(name: &str) {
    if let Ok(name) = std::ffi::CString::new(name) {
        // The name is for people.
        let _ = nix::sys::prctl::set_name(&name);
    }
}

#[cfg(not(target_os = "linux"))]
fn call_this_process(_: &str) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_told_as_every_report() {
        for group in [2, i32::MAX] {
            let mut line = [0; LONGEST_BEGAN];
            let length = began(&mut line, Pid::from_raw(group)).unwrap();
            let report: Report = serde_json::from_slice(&line[..length]).unwrap();
            assert_eq!(report, Report::Began { group });
            assert!(line[..length].ends_with(b"}\n"));
        }
    }
}
