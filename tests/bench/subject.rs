//! The three servers that are measured, behind one interface: prepared once, launched as often as a measurement needs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use openclaw_shared::clock::Moment;
use openclaw_tests::ports::PortBlock;
use openclaw_tests::process::{Signal, send};
use serde::Serialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::connection::{Connection, NotOpened, Target};
use crate::process;

mod echo;
mod ours;
mod peer;

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Subject {
    /// The Node implementation
    Peer,
    /// This gateway
    Ours,
    /// A bare tokio-tungstenite echo
    Echo,
}

impl Subject {
    /// The name in tables and messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Ours => "ours",
            Self::Echo => "echo",
        }
    }

    /// Whether it answers the protocol's methods; the echo only sends back what it gets.
    pub(crate) fn speaks_the_protocol(self) -> bool {
        match self {
            Self::Peer | Self::Ours => true,
            Self::Echo => false,
        }
    }
}

/// Where the programs of the subjects lie.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    /// The folder of our release binaries and of the echo.
    pub(crate) ours: PathBuf,
    /// The folder that `cargo xtask peer` filled.
    pub(crate) peer: PathBuf,
}

/// A subject with a private home, a block of ports and a configuration.
pub(crate) struct Prepared {
    pub(crate) subject: Subject,
    pub(crate) target: Target,
    programs: Programs,
    home: TempDir,
    _ports: PortBlock,
}

impl Prepared {
    pub(crate) fn new(subject: Subject, programs: &Programs) -> Result<Self> {
        let home =
            TempDir::with_prefix("openclaw-bench-").context("cannot create a private home")?;
        fs::create_dir(home.path().join("tmp")).context("cannot create a private TMPDIR")?;
        let ports = PortBlock::lock();
        let target = Target {
            port: ports.base(),
            token: "bench-token-0123456789".into(),
        };
        let prepared = Self {
            subject,
            target,
            programs: programs.clone(),
            home,
            _ports: ports,
        };
        prepared.configure(0)?;
        Ok(prepared)
    }

    /// Writes the configuration; another `revision` differs in one setting that the gateway must be replaced for.
    pub(crate) fn configure(&self, revision: usize) -> Result<()> {
        self.configure_with(revision, &json!({}))
    }

    /// The same with more top-level keys.
    pub(crate) fn configure_with(&self, revision: usize, more: &Value) -> Result<()> {
        let mut text = match self.subject {
            Subject::Peer => peer::config(&self.target, revision),
            Subject::Ours => ours::config(&self.target, revision),
            Subject::Echo => return Ok(()),
        };
        for (key, value) in more.as_object().into_iter().flatten() {
            text[key] = value.clone();
        }
        let folder = self.state_folder();
        fs::create_dir_all(&folder).context("cannot create the state folder")?;
        let fresh = folder.join("openclaw.json.fresh");
        fs::write(&fresh, format!("{text:#}\n")).context("cannot write the configuration")?;
        fs::rename(&fresh, folder.join("openclaw.json"))
            .context("cannot put the configuration in place")
    }

    /// Where it keeps its state.
    pub(crate) fn state_folder(&self) -> PathBuf {
        self.home.path().join(".openclaw")
    }

    /// Has it take over what the peer has kept in its state folder; the peer itself only reads it.
    pub(crate) fn take_over(&self) -> Result<()> {
        if self.subject != Subject::Ours {
            return Ok(());
        }
        let mut command = ours::take_over(&self.programs, &self.state_folder());
        self.isolate(&mut command);
        let done = command.output().context("cannot start the doctor")?;
        ensure!(
            done.status.success(),
            "the state was not taken over: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        Ok(())
    }

    /// Starts it. It need not be ready yet.
    pub(crate) fn launch(&self) -> Result<Running<'_>> {
        let mut command = match self.subject {
            Subject::Peer => peer::gateway(&self.programs)?,
            Subject::Ours => ours::gateway(&self.programs),
            Subject::Echo => echo::server(&self.programs, &self.target),
        };
        self.isolate(&mut command);
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .context("cannot open the log")?;
        command
            .stdout(log.try_clone().context("cannot share the log")?)
            .stderr(log);
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        Ok(Running {
            prepared: self,
            child,
        })
    }

    /// The command that asks a running instance for a restart, or the signal that does, where there is no command.
    pub(crate) fn restart_request(&self) -> RestartRequest {
        match self.subject {
            Subject::Peer => RestartRequest::Signal(Signal::SIGUSR1),
            Subject::Ours => {
                let mut command = ours::restart(&self.programs);
                self.isolate(&mut command);
                RestartRequest::Command(command)
            }
            Subject::Echo => RestartRequest::None,
        }
    }

    /// The last lines that the subject wrote, for a message that says why a measurement failed.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
    }

    fn log(&self) -> PathBuf {
        self.home.path().join("subject.log")
    }

    /// A private home and temporary folder, and nothing of the caller's environment.
    fn isolate(&self, command: &mut Command) {
        let system = "/usr/local/bin:/usr/bin:/bin";
        let path = match self.subject {
            Subject::Peer => format!("{}:{system}", peer::node_bin(&self.programs).display()),
            Subject::Ours | Subject::Echo => system.to_owned(),
        };
        command
            .env_clear()
            .env("HOME", self.home.path())
            .env("TMPDIR", self.home.path().join("tmp"))
            .env("PATH", path)
            .current_dir(self.home.path())
            .stdin(Stdio::null());
    }
}

/// How a subject is asked to restart.
pub(crate) enum RestartRequest {
    /// A command to run.
    Command(Command),
    /// A signal for the process that serves.
    Signal(Signal),
    /// It cannot be asked.
    None,
}

/// A subject that has been started; it ends, with all its processes, when this is dropped.
pub(crate) struct Running<'a> {
    prepared: &'a Prepared,
    child: Child,
}

/// How long a subject may take to its first `hello-ok`, and how long to end when asked kindly.
const READY_WITHIN: Duration = Duration::from_secs(180);
const ENDS_WITHIN: Duration = Duration::from_secs(10);

impl Running<'_> {
    /// The process that was started.
    pub(crate) fn root(&self) -> i32 {
        i32::try_from(self.child.id()).expect("process ids fit into the kernel's pid_t")
    }

    /// The processes that serve it.
    pub(crate) fn processes(&self) -> Vec<process::Process> {
        process::tree(self.root())
    }

    /// Connects over and over until the first `hello-ok`, and returns that connection.
    ///
    /// The pauses block this thread on purpose: nothing else runs on it, and the runtime's timers are too coarse for a
    /// server that is ready within milliseconds.
    pub(crate) async fn first_hello(&mut self) -> Result<Connection> {
        let start = Moment::now();
        loop {
            match Connection::open(&self.prepared.target).await {
                Ok(connection) => return Ok(connection),
                Err(NotOpened::Refused | NotOpened::Cut | NotOpened::NoHello) => {}
            }
            let waited = Moment::now().since(start);
            if waited > READY_WITHIN || self.child.try_wait()?.is_some() {
                anyhow::bail!(
                    "{} gave no hello: {}",
                    self.prepared.subject.name(),
                    self.prepared.last_words()
                );
            }
            let eager = waited < Duration::from_millis(200);
            std::thread::park_timeout(Duration::from_micros(if eager { 100 } else { 1000 }));
        }
    }

    /// Kills every process of it at once, as a crash would.
    pub(crate) fn kill(&mut self) -> Result<()> {
        for process in self.processes() {
            send(process.pid, Signal::SIGKILL);
        }
        self.child
            .wait()
            .context("cannot wait for the killed process")?;
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let all = self.processes();
        send(self.root(), Signal::SIGTERM);
        let start = Moment::now();
        while self.child.try_wait()?.is_none() {
            if Moment::now().since(start) > ENDS_WITHIN {
                self.child.kill()?;
            }
            std::thread::park_timeout(Duration::from_millis(2));
        }
        for process in all {
            // Ids are not reused within moments; what still carries one of these is what outlived its parent.
            if process::tree(process.pid)
                .first()
                .is_some_and(|found| found.name == process.name)
            {
                send(process.pid, Signal::SIGKILL);
            }
        }
        Ok(())
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            // Nobody is left to tell when even that fails.
            self.end().ok();
        }
    }
}

fn program(folder: &Path, name: &str) -> Command {
    Command::new(folder.join(name))
}
