//! Runs one command: bounded output, a bounded time, and nothing left of it when it has ended or is cut off.
//!
//! The command is started by a [`keeper`], which ends whatever is left of it when this side closes their socket: at the end, when the
//! future is dropped, and when this process is killed.

use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Socket;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::Pid;
use openclaw_shared::clock::Moment;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines,
};
use tokio::net::UnixStream;
use tokio::net::unix::pipe::Receiver;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::time::{sleep_until, timeout};

use crate::environment::Variables;
use crate::keeper::{Keeper, Order, Report};
use crate::orphans;

/// How much is kept of both outputs together by [`run`].
pub const MOST_OUTPUT: usize = 200_000;
/// How long the outputs of an ended command are still read, when something that it started holds them open.
const LINGER: Duration = Duration::from_secs(1);
/// How long what is killed may take to be gone, before its keeper is killed as well. Only what hangs in the kernel takes longer.
const GOING: Duration = Duration::from_secs(2);
/// How long a keeper may take to hear what it is to do.
const HEARING: Duration = Duration::from_secs(10);
const PIECE: usize = 16 * 1024;

/// What is to be run.
#[derive(Debug)]
pub struct Task {
    /// The program; none when it was not found.
    pub program: Option<PathBuf>,
    /// What the program is told that it is called, and its arguments.
    pub argv: Vec<String>,
    /// The folder it runs in.
    pub cwd: PathBuf,
    /// All of its variables.
    pub variables: Variables,
    /// How long it may take; without a limit when absent.
    pub limit: Option<Duration>,
    /// What it reads; nothing when absent.
    pub input: Option<OwnedFd>,
    /// Where its outputs go.
    pub output: Output,
}

/// Where the outputs of a command go.
#[derive(Debug)]
pub enum Output {
    /// Both are read here, each by itself.
    Apart,
    /// Both are read here as one, in the order in which they were written, and told as [`Step::Output`].
    Together,
    /// The output goes there; the error output is read here.
    To(OwnedFd),
}

/// How it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// None when it was ended by a signal, or never began.
    pub exit_code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// Whether its time was over.
    pub timed_out: bool,
    /// What it wrote to its output, as far as it is kept.
    pub stdout: Vec<u8>,
    /// What it wrote to its error output, as far as it is kept.
    pub stderr: Vec<u8>,
    /// Whether there was more output than is kept.
    pub truncated: bool,
    /// Why it did not begin.
    pub error: Option<String>,
}

/// What happens with a command before it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// It runs, and this is the number of its first process and of its group.
    Began(i32),
    /// It wrote this to its output.
    Output(&'a [u8]),
    /// It wrote this to its error output.
    Errors(&'a [u8]),
}

/// Runs it to its end and keeps its outputs. Dropping the future ends everything that it started.
pub async fn run(keeper: &Keeper, task: Task) -> Ended {
    let mut outputs = Outputs::default();
    let ended = follow(keeper, task, pending(), &mut |step| match step {
        Step::Began(_) => {}
        Step::Output(piece) => outputs.take(Which::Out, piece),
        Step::Errors(piece) => outputs.take(Which::Err, piece),
    })
    .await;
    Ended {
        stdout: outputs.out,
        stderr: outputs.err,
        truncated: outputs.truncated,
        ..ended
    }
}

/// Runs it to its end, or until `stop` says so, and tells each step; nothing of its outputs is kept. Everything that it started is
/// gone when this is done. Dropping the future ends it as well.
pub async fn follow(
    keeper: &Keeper,
    task: Task,
    stop: impl Future<Output = ()>,
    tell: &mut impl FnMut(Step<'_>),
) -> Ended {
    let name = task.argv.first().cloned().unwrap_or_default();
    let folder = task.cwd.clone();
    let failed = |errno: Option<i32>, reason: &str| {
        Ended::failed(match errno.map(Errno::from_raw) {
            // The system says only that something is not there.
            Some(errno) if !folder.is_dir() => {
                format!("spawn {name} {errno:?}: {} is no folder", folder.display())
            }
            Some(errno) => format!("spawn {name} {errno:?}"),
            None => format!("spawn {name}: {reason}"),
        })
    };
    let Some(program) = task.program else {
        return failed(Some(Errno::ENOENT as i32), "");
    };
    let order = Order {
        program: program.into_os_string(),
        name: name.clone(),
        arguments: task.argv.into_iter().skip(1).collect(),
        cwd: task.cwd.into_os_string(),
        variables: task.variables.into_iter().collect(),
        has_input: task.input.is_some(),
    };
    match Kept::begin(keeper, &order, task.input, task.output).await {
        Ok(kept) => match kept.watch(task.limit, stop, tell).await {
            Ok(ended) => ended,
            Err(NotBegun { errno, reason }) => failed(errno, &reason),
        },
        Err(error) => failed(None, &format!("no keeper: {error}")),
    }
}

impl Ended {
    fn failed(error: String) -> Self {
        Self {
            error: Some(error),
            ..Self::default()
        }
    }
}

/// Why a command did not begin.
struct NotBegun {
    errno: Option<i32>,
    reason: String,
}

/// A command and its keeper.
struct Kept {
    keeper: Child,
    stdout: Option<Receiver>,
    stderr: Option<Receiver>,
    reports: Lines<BufReader<OwnedReadHalf>>,
    /// While this is open the command is kept. When it is closed, by whatever way, everything is ended.
    hold: Option<OwnedWriteHalf>,
    /// The number of the command's group.
    group: Option<Pid>,
}

impl Kept {
    async fn begin(
        keeper: &Keeper,
        order: &Order,
        input: Option<OwnedFd>,
        output: Output,
    ) -> io::Result<Self> {
        let (own, other) = Socket::pair()?;
        own.set_nonblocking(true)?;
        let mut command = Command::from(keeper.command(input)?);
        command
            .stdin(Stdio::from(OwnedFd::from(other)))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let (mut stdout, mut stderr) = (None, None);
        match output {
            Output::Apart => {
                let (read, write) = io::pipe()?;
                stdout = Some(read);
                command.stdout(write);
                let (read, write) = io::pipe()?;
                stderr = Some(read);
                command.stderr(write);
            }
            Output::Together => {
                let (read, write) = io::pipe()?;
                stdout = Some(read);
                command.stdout(write.try_clone()?).stderr(write);
            }
            Output::To(place) => {
                let (read, write) = io::pipe()?;
                stderr = Some(read);
                command.stdout(place).stderr(write);
            }
        }
        let listening = |pipe: Option<io::PipeReader>| {
            pipe.map(|pipe| Receiver::from_owned_fd(pipe.into()))
                .transpose()
        };
        let (stdout, stderr) = (listening(stdout)?, listening(stderr)?);
        let keeper = orphans::start_own(|| command.spawn(), Child::id)?;
        // The command holds the keeper's end of the socket as well, until it goes.
        drop(command);
        let (reports, mut hold) = UnixStream::from_std(own)?.into_split();
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        timeout(HEARING, hold.write_all(&line)).await??;
        Ok(Self {
            keeper,
            stdout,
            stderr,
            reports: BufReader::new(reports).lines(),
            hold: Some(hold),
            group: None,
        })
    }

    async fn watch(
        mut self,
        limit: Option<Duration>,
        stop: impl Future<Output = ()>,
        tell: &mut impl FnMut(Step<'_>),
    ) -> Result<Ended, NotBegun> {
        tokio::pin!(stop);
        let mut stdout = self.stdout.take();
        let mut stderr = self.stderr.take();
        let (mut out, mut err) = (vec![0; PIECE], vec![0; PIECE]);
        let mut phase = Phase::Running;
        let mut deadline = limit.map(|limit| Moment::now() + limit);
        let mut ended = Ended::default();
        loop {
            let is_silent = stdout.is_none() && stderr.is_none();
            if matches!(phase, Phase::Lingering) && is_silent {
                phase = Phase::Going;
                deadline = Some(Moment::now() + GOING);
                self.hold = None;
            }
            if matches!(phase, Phase::Gone) && is_silent {
                break;
            }
            tokio::select! {
                // Reads are cancel-safe: what was not read stays in the pipe, or in the buffer.
                read = read(&mut stdout, &mut out), if stdout.is_some() => {
                    match read {
                        Some(count) => tell(Step::Output(&out[..count])),
                        None => stdout = None,
                    }
                }
                read = read(&mut stderr, &mut err), if stderr.is_some() => {
                    match read {
                        Some(count) => tell(Step::Errors(&err[..count])),
                        None => stderr = None,
                    }
                }
                report = next(&mut self.reports), if !matches!(phase, Phase::Gone) => match report {
                    Some(Report::Began { group }) => {
                        self.group = Some(Pid::from_raw(group));
                        tell(Step::Began(group));
                    }
                    Some(Report::Failed { errno, reason }) => {
                        return Err(NotBegun { errno, reason });
                    }
                    Some(Report::Ended { code, signal }) => {
                        // The code of what was killed because its time was over says nothing.
                        if matches!(phase, Phase::Running) {
                            ended.exit_code = code;
                            ended.signal = signal;
                            phase = Phase::Lingering;
                            deadline = Some(Moment::now() + LINGER);
                        }
                    }
                    None => {
                        if matches!(phase, Phase::Running) {
                            ended.error = Some("the command was killed with its keeper".to_owned());
                        }
                        phase = Phase::Gone;
                        deadline = Some(Moment::now() + GOING);
                        self.bury().await;
                    }
                },
                () = &mut stop, if matches!(phase, Phase::Running) => {
                    phase = Phase::Going;
                    deadline = Some(Moment::now() + GOING);
                    self.hold = None;
                }
                () = until(deadline) => match phase {
                    Phase::Running | Phase::Lingering => {
                        ended.timed_out = matches!(phase, Phase::Running);
                        phase = Phase::Going;
                        deadline = Some(Moment::now() + GOING);
                        self.hold = None;
                    }
                    Phase::Going => {
                        // It hangs, or was stopped. What it keeps comes to this process when it is gone.
                        let _ = self.keeper.start_kill();
                        phase = Phase::Gone;
                        deadline = Some(Moment::now() + GOING);
                        self.bury().await;
                    }
                    Phase::Gone => break,
                },
            }
        }
        Ok(ended)
    }

    /// Waits for the end of a keeper that has closed its socket, and does its work if it did not.
    async fn bury(&mut self) {
        let status = timeout(GOING, self.keeper.wait()).await;
        if !matches!(status, Ok(Ok(status)) if status.success()) {
            let group = self.group;
            // What is killed there is gone in a moment, or hangs in the kernel; nothing is lost when nobody waits for that.
            let ended = tokio::task::spawn_blocking(move || orphans::end_strays(group));
            let _ = timeout(GOING, ended).await;
        }
    }
}

/// Waits until then; for ever when there is no such moment.
async fn until(deadline: Option<Moment>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into_std().into()).await,
        None => pending().await,
    }
}

/// How far a command is.
#[derive(Debug, Clone, Copy)]
enum Phase {
    Running,
    /// Its first process has ended, and something still holds its outputs open.
    Lingering,
    /// Its keeper was told to end what is left.
    Going,
    /// Its keeper has gone, and everything with it.
    Gone,
}

/// The next report; none when there will be no more.
async fn next(reports: &mut Lines<BufReader<OwnedReadHalf>>) -> Option<Report> {
    let line = reports.next_line().await.ok()??;
    serde_json::from_str(&line).ok()
}

/// The next piece; none at the end.
async fn read(pipe: &mut Option<impl AsyncRead + Unpin>, piece: &mut [u8]) -> Option<usize> {
    let count = pipe.as_mut()?.read(piece).await.ok()?;
    (count > 0).then_some(count)
}

#[derive(Clone, Copy)]
enum Which {
    Out,
    Err,
}

#[derive(Default)]
struct Outputs {
    out: Vec<u8>,
    err: Vec<u8>,
    truncated: bool,
}

impl Outputs {
    /// Keeps what there is room for. The rest is read all the same, so that the command does not wait for a reader.
    fn take(&mut self, which: Which, piece: &[u8]) {
        let room = MOST_OUTPUT - self.out.len() - self.err.len();
        let kept = piece.len().min(room);
        self.truncated |= kept < piece.len();
        let output = match which {
            Which::Out => &mut self.out,
            Which::Err => &mut self.err,
        };
        output.extend_from_slice(&piece[..kept]);
    }
}

#[cfg(test)]
mod tests;
