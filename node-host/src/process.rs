//! Runs one command: no input, bounded output, its own process group, and nothing left of it when it is cut off.

use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use openclaw_shared::clock::Moment;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::sleep_until;

use crate::environment::Variables;

/// How much is kept of both outputs together.
pub(crate) const MOST_OUTPUT: usize = 200_000;
/// How long the outputs of an ended command are still read, when something that it started holds them open.
const LINGER: Duration = Duration::from_secs(1);
const PIECE: usize = 16 * 1024;

/// What is to be run.
#[derive(Debug)]
pub(crate) struct Task {
    /// The program; none when it was not found.
    pub(crate) program: Option<PathBuf>,
    /// The program as it was asked for, and its arguments.
    pub(crate) argv: Vec<String>,
    pub(crate) cwd: PathBuf,
    pub(crate) variables: Variables,
    pub(crate) time: Option<Duration>,
}

/// How it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    /// None when it was ended by a signal, or never began.
    pub(crate) exit_code: Option<i32>,
    pub(crate) timed_out: bool,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    /// Whether there was more output than is kept.
    pub(crate) truncated: bool,
    /// Why it did not begin.
    pub(crate) error: Option<String>,
}

/// The process group of a command. It is killed unless its command has ended.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        Self(pid.map(Pid::from_raw))
    }

    /// The leader was not waited for yet, so that the number cannot mean another group.
    fn kill(&self) {
        if let Some(group) = self.0 {
            // A group that has no process any more is what is wanted.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs it to its end. Dropping the future kills everything that it started.
pub(crate) async fn run(task: Task) -> Ended {
    let name = task.argv.first().cloned().unwrap_or_default();
    match spawn(&task) {
        Ok(child) => watch(child, task.time).await,
        Err(error) => Ended {
            error: Some(match error.raw_os_error().map(Errno::from_raw) {
                Some(errno) => format!("spawn {name} {errno:?}"),
                None => format!("spawn {name}: {error}"),
            }),
            ..Ended::default()
        },
    }
}

fn spawn(task: &Task) -> io::Result<Child> {
    let program = task
        .program
        .as_ref()
        .ok_or_else(|| io::Error::from_raw_os_error(Errno::ENOENT as i32))?;
    let mut command = Command::new(program);
    command
        .args(task.argv.iter().skip(1))
        .current_dir(&task.cwd)
        .env_clear()
        .envs(&task.variables)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    die_with_this_process(&mut command);
    command.spawn()
}

/// Where there is a parent-death signal, a node host that is killed takes its commands with it. It is tied to the thread that
/// forks, which is the main one of a single-threaded runtime.
#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "only between fork and exec can a process ask for the signal"
)]
fn die_with_this_process(command: &mut Command) {
    let ask = || Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?);
    // SAFETY: the closure makes one system call, which is async-signal-safe; it allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(ask);
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with_this_process(_: &mut Command) {}

async fn watch(mut child: Child, time: Option<Duration>) -> Ended {
    let mut group = Group::of(&child);
    let mut outputs = Outputs::default();
    let mut stdout = child.stdout.take();
    let mut stderr = child.stderr.take();
    let mut status: Option<io::Result<ExitStatus>> = None;
    let mut deadline = time.map(|time| Moment::now() + time);
    let mut timed_out = false;
    let mut out = vec![0; PIECE];
    let mut err = vec![0; PIECE];
    while status.is_none() || stdout.is_some() || stderr.is_some() {
        let until = deadline.map(Moment::into_std);
        tokio::select! {
            // Reads are cancel-safe: what was not read stays in the pipe.
            read = read(&mut stdout, &mut out), if stdout.is_some() => {
                match read {
                    Some(count) => outputs.take(Which::Out, &out[..count]),
                    None => stdout = None,
                }
            }
            read = read(&mut stderr, &mut err), if stderr.is_some() => {
                match read {
                    Some(count) => outputs.take(Which::Err, &err[..count]),
                    None => stderr = None,
                }
            }
            ended = child.wait(), if status.is_none() => {
                // From here on the number of the group may be given to another.
                group.0 = None;
                status = Some(ended);
                deadline = Some(Moment::now() + LINGER);
            }
            () = async { match until {
                Some(until) => sleep_until(until.into()).await,
                None => std::future::pending().await,
            } } => {
                if status.is_some() {
                    break;
                }
                timed_out = true;
                deadline = None;
                group.kill();
            }
        }
    }
    let exit_code = match status {
        Some(Ok(status)) if !timed_out => status.code(),
        Some(Ok(_) | Err(_)) | None => None,
    };
    Ended {
        exit_code,
        timed_out,
        stdout: outputs.out,
        stderr: outputs.err,
        truncated: outputs.truncated,
        error: None,
    }
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
mod tests {
    use super::*;

    async fn shell(script: &str, time: Option<u64>) -> Ended {
        run(Task {
            program: Some("/bin/sh".into()),
            argv: ["/bin/sh", "-c", script].map(str::to_owned).into(),
            cwd: "/".into(),
            variables: [("PATH".into(), "/usr/bin:/bin".into())].into(),
            time: time.map(Duration::from_millis),
        })
        .await
    }

    #[tokio::test]
    async fn outputs_and_code_are_told_apart() {
        let ended = shell("echo out; echo err >&2; cat; exit 3", None).await;
        assert_eq!(ended.exit_code, Some(3));
        assert_eq!(
            (&*ended.stdout, &*ended.stderr),
            (&b"out\n"[..], &b"err\n"[..])
        );
        assert!(!ended.timed_out && !ended.truncated);
    }

    #[tokio::test]
    async fn a_command_that_is_not_there_is_said_to_be() {
        let task = |program: Option<&str>, cwd: &str| Task {
            program: program.map(Into::into),
            argv: vec!["/no/such".to_owned()],
            cwd: cwd.into(),
            variables: Variables::new(),
            time: None,
        };
        let ended = run(task(None, "/")).await;
        assert_eq!(ended.error.as_deref(), Some("spawn /no/such ENOENT"));
        let ended = run(task(Some("/bin/sh"), "/no/folder")).await;
        assert_eq!(ended.error.as_deref(), Some("spawn /no/such ENOENT"));
    }

    #[tokio::test]
    async fn output_is_bounded_and_the_command_still_ends() {
        let ended = shell("head -c 1000000 /dev/zero; echo end >&2", None).await;
        assert_eq!(ended.exit_code, Some(0));
        assert!(ended.truncated);
        assert_eq!(ended.stdout.len() + ended.stderr.len(), MOST_OUTPUT);
    }

    #[tokio::test]
    async fn when_time_is_over_the_whole_group_is_killed() {
        // The grandchild would keep the pipe open for a minute.
        let started = Moment::now();
        let ended = shell("sleep 60 & echo $!; wait", Some(300)).await;
        assert!(ended.timed_out);
        assert_eq!(ended.exit_code, None);
        assert!(Moment::now().since(started) < Duration::from_secs(20));
        let pid: i32 = String::from_utf8(ended.stdout)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        // The pipe has ended only because the grandchild has.
        assert!(nix::sys::signal::kill(Pid::from_raw(pid), None).is_err() || is_zombie(pid));
    }

    fn is_zombie(pid: i32) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z"))
    }
}
