//! A running instance: started, watched over its control socket, and ended with everything it started when it is dropped.
//!
//! The supervisor gets a session of its own, by which everything that descends from it is found whoever its parent is by
//! then, and dies with the thread of its test, so that a test that is killed leaves nothing either.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use command_fds::{CommandFdExt as _, FdMapping};
use openclaw_shared::clock::Moment;
use openclaw_shared::control::{
    ChildName, ChildState, ChildStatus, CliReply, CliRequest, InstanceStatus,
};
use openclaw_shared::ipc;
use openclaw_shared::ipc::codec::{MessageReader, write_message};
use serde_json::Value;

use crate::client::{Client, Target, connect_params};
use crate::eventually::{eventually, holds_within, soon};
use crate::home::{Home, TOKEN};
use crate::process::{self, Process, Signal};

/// An instance that is about to be started.
#[derive(Debug)]
pub struct Launch {
    home: Home,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    sockets: Vec<OwnedFd>,
    terminal: Option<OwnedFd>,
}

impl Launch {
    pub(crate) const fn new(home: Home) -> Self {
        Self {
            home,
            arguments: Vec::new(),
            variables: Vec::new(),
            sockets: Vec::new(),
            terminal: None,
        }
    }

    /// Adds arguments to `openclaw gateway`.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Hands down listening sockets, as a service manager does (`LISTEN_FDS`).
    #[must_use]
    pub fn sockets(mut self, sockets: Vec<OwnedFd>) -> Self {
        self.sockets = sockets;
        self
    }

    /// Runs it in the foreground of a terminal.
    #[must_use]
    pub fn terminal(mut self, terminal: OwnedFd) -> Self {
        self.terminal = Some(terminal);
        self
    }

    /// Starts it; it need not be ready yet.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(self) -> Instance {
        let Self {
            home,
            arguments,
            variables,
            sockets,
            terminal,
        } = self;
        let (console, written) = console(&home);
        let mut command = Command::new("setsid");
        if terminal.is_some() {
            command.arg("--ctty");
        }
        command.args(["setpriv", "--pdeathsig", "KILL"]);
        // Under the most careless umask: what is private must be so by itself. The sockets are told to the process that keeps
        // the shell's id.
        let listen = match sockets.len() {
            0 => String::new(),
            count => format!("LISTEN_PID=$$ LISTEN_FDS={count} "),
        };
        let script = format!("umask 0000; {listen}exec \"$0\" \"$@\"");
        command.args(["sh", "-c", &script]);
        command.arg(home.programs().join("openclaw"));
        if let Some(profile) = home.profile_name() {
            command.args(["--profile", profile]);
        }
        command.arg("gateway").args(arguments);
        home.isolate(&mut command);
        command.envs(variables);
        match terminal {
            Some(terminal) => {
                let end = || terminal.try_clone().expect("a terminal can be shared");
                command.stdin(end()).stdout(end()).stderr(terminal);
            }
            None => {
                command.stdout(written.try_clone().expect("a file can be shared"));
                command.stderr(written);
            }
        }
        let mappings = sockets.into_iter().zip(3..);
        let mappings = mappings.map(|(parent_fd, child_fd)| FdMapping {
            parent_fd,
            child_fd,
        });
        command
            .fd_mappings(mappings.collect())
            .expect("each socket gets a number of its own");
        let child = command
            .spawn()
            .expect("setsid, of util-linux, can be started");
        let pid = i32::try_from(child.id()).expect("a process id fits");
        Instance {
            home,
            child,
            pid,
            console,
            started: Moment::now(),
        }
    }

    /// Starts it and waits until every child serves.
    pub async fn ready(self) -> Instance {
        let mut instance = self.start();
        instance.ready().await;
        instance
    }
}

/// A file for what it prints, numbered, because a home may see several lives.
fn console(home: &Home) -> (PathBuf, File) {
    let mut number = 0;
    loop {
        let path = home.path().join(format!("console-{number}.log"));
        match File::create_new(&path) {
            Ok(file) => return (path, file),
            Err(_) if number < 100 => number += 1,
            Err(error) => panic!("a file for the console cannot be created: {error}"),
        }
    }
}

/// A running instance.
#[derive(Debug)]
pub struct Instance {
    home: Home,
    child: Child,
    pid: i32,
    console: PathBuf,
    started: Moment,
}

impl Instance {
    /// Where it lives.
    #[must_use]
    pub const fn home(&self) -> &Home {
        &self.home
    }

    /// The supervisor.
    #[must_use]
    pub const fn pid(&self) -> i32 {
        self.pid
    }

    /// When it was started.
    #[must_use]
    pub const fn started(&self) -> Moment {
        self.started
    }

    /// What it has printed.
    #[must_use]
    pub fn console(&self) -> String {
        fs::read_to_string(&self.console).unwrap_or_default()
    }

    /// Every process of it that lives, whoever its parent is.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        process::of_session(self.pid)
    }

    /// Sends the supervisor a signal.
    pub fn signal(&self, signal: Signal) {
        process::send(self.pid, signal);
    }

    /// Waits until every child that is switched on serves.
    pub async fn ready(&mut self) -> InstanceStatus {
        eventually("the instance is ready", async || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!(
                    "the instance ended ({status}) instead of serving:\n{}",
                    self.console()
                );
            }
            let status = self.ask_status().await?;
            let serves = |child: &&ChildStatus| {
                matches!(child.state, ChildState::Active | ChildState::Disabled)
            };
            match status.fleet.children.iter().find(|child| !serves(child)) {
                Some(child) => Err(format!("{child:?}")),
                None => Ok(status),
            }
        })
        .await
    }

    /// Asks the supervisor what runs.
    pub async fn status(&self) -> InstanceStatus {
        eventually("the supervisor says what runs", async || {
            self.ask_status().await
        })
        .await
    }

    /// Waits until what the supervisor says fits.
    pub async fn until(
        &self,
        what: &str,
        mut fits: impl FnMut(&InstanceStatus) -> bool,
    ) -> InstanceStatus {
        eventually(what, async || {
            let status = self.ask_status().await?;
            if fits(&status) {
                Ok(status)
            } else {
                Err(format!("{:#?}", status.fleet))
            }
        })
        .await
    }

    /// What the supervisor says of one child.
    pub async fn child(&self, name: ChildName) -> ChildStatus {
        of(&self.status().await, name)
    }

    /// Waits until a child is in a state.
    pub async fn until_child(&self, name: ChildName, state: ChildState) -> ChildStatus {
        let what = format!("{name} is {state}");
        let status = self
            .until(&what, |status| of(status, name).state == state)
            .await;
        of(&status, name)
    }

    /// The process of a child that lives.
    ///
    /// # Panics
    /// When it has none.
    pub async fn pid_of(&self, name: ChildName) -> i32 {
        let status = self.child(name).await;
        pid(&status).unwrap_or_else(|| panic!("no process: {status:?}"))
    }

    /// Waits until a later life of a child serves, and says what the supervisor knows of it.
    pub async fn until_later_life(&self, name: ChildName, earlier: &ChildStatus) -> ChildStatus {
        let what = format!("a later life of {name} serves");
        let serves = |status: &InstanceStatus| {
            let child = of(status, name);
            child.generation > earlier.generation && child.state == ChildState::Active
        };
        of(&self.until(&what, serves).await, name)
    }

    async fn ask_status(&self) -> Result<InstanceStatus, String> {
        match ask(&self.home, &CliRequest::Status).await? {
            CliReply::Status(status) => Ok(*status),
            other @ (CliReply::Done { .. }
            | CliReply::Failed { .. }
            | CliReply::Written { .. }
            | CliReply::Upgrade(_)) => Err(format!("{other:?}")),
        }
    }

    /// Asks the supervisor for a restart, waits for its end, and says how it ended.
    ///
    /// # Errors
    /// As the supervisor says.
    ///
    /// # Panics
    /// When the supervisor does not answer.
    pub async fn restart(&self, child: Option<ChildName>) -> Result<String, String> {
        let request = CliRequest::Restart { child, trace: None };
        match soon("the restart ends", ask(&self.home, &request)).await {
            Ok(CliReply::Done { message }) => Ok(message),
            Ok(CliReply::Failed { message }) => Err(message),
            other => panic!("an answer to something else: {other:?}"),
        }
    }

    /// The address and the secret of its base port.
    #[must_use]
    pub fn target(&self) -> Target {
        Target {
            port: self.home.port(),
            token: TOKEN.to_owned(),
        }
    }

    /// A client that was let in by the life that serves. One that comes in late at the life before, which leaves, comes again.
    pub async fn client(&self) -> Client {
        let target = self.target();
        eventually("a client comes in", async || {
            let client = Client::try_connect(target.port, connect_params(&target.token)).await?;
            let gateway = self.child(ChildName::Gateway).await;
            match pid(&gateway) {
                Some(pid) if client.is_served_by(pid) => Ok(client),
                Some(_) | None => Err(format!("not served by {gateway:?}")),
            }
        })
        .await
    }

    /// Waits until `health` shows the supervisor's view with a value at this place. The gateway hears of a change a moment after
    /// the supervisor knows of it.
    ///
    /// # Panics
    /// When it does not come to that.
    pub async fn health_shows(&self, pointer: &str, value: &Value) -> Value {
        eventually(&format!("health shows {value} at {pointer}"), async || {
            let mut client = self.client().await;
            let health = client.call_unless_sent_away("health", serde_json::json!({}));
            let health = health.await.map_err(|ended| format!("{ended:?}"))?;
            match health.pointer(pointer) == Some(value) {
                true => Ok(health),
                false => Err(health["supervisor"].to_string()),
            }
        })
        .await
    }

    /// Whether the supervisor still runs.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|ended| ended.is_some())
    }

    /// Waits for the supervisor's end, and says its exit code; 128 and the signal when it was killed.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn exit_code(&mut self) -> i32 {
        let status = eventually("the supervisor ends", async || {
            let ended: Option<ExitStatus> = self.child.try_wait().map_err(|e| e.to_string())?;
            ended.ok_or_else(|| "it runs".to_owned())
        })
        .await;
        status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
    }

    /// Waits for the end, which must leave no process and no port behind.
    ///
    /// # Panics
    /// When something is left.
    pub async fn exit_code_leaving_nothing(&mut self) -> i32 {
        let code = self.exit_code().await;
        let left = self.processes();
        assert!(
            left.is_empty(),
            "left behind by an instance that ended: {left:?}"
        );
        self.ports_are_free()
            .expect("an instance that ended leaves its ports free");
        code
    }

    /// Waits until every process is gone, for as long as a promise allows.
    pub async fn leaves_nothing_within(&mut self, time: Duration) {
        holds_within(time, "no process is left", async || {
            // A killed supervisor has to be reaped by whoever started it.
            let _ = self.child.try_wait();
            let left = self.processes();
            match left.is_empty() {
                // The threads of a killed process may hold its sockets for a moment longer than it is seen to live.
                true => self.ports_are_free(),
                false => Err(format!("{left:?}")),
            }
        })
        .await;
    }

    fn ports_are_free(&self) -> Result<(), String> {
        for port in [
            self.home.port(),
            self.home.browser_port(),
            self.home.canvas_port(),
        ] {
            std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, port))
                .map_err(|error| format!("port {port}: {error}"))?;
        }
        Ok(())
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if std::thread::panicking() {
            show(&self.console());
        }
        // The supervisor first, or it would start what was killed again.
        process::send(self.pid, Signal::SIGKILL);
        let start = Moment::now();
        loop {
            let left = self.processes();
            if left.is_empty() || Moment::now().since(start) > Duration::from_secs(5) {
                break;
            }
            for process in left {
                process::send(process.pid, Signal::SIGKILL);
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
        // Killed, so it ends; when even that cannot be learned nobody is left to tell.
        let _ = self.child.wait();
    }
}

#[expect(
    clippy::print_stderr,
    reason = "a failed test shows what its instance said"
)]
fn show(console: &str) {
    let lines: Vec<&str> = console.lines().collect();
    let tail = lines.len().saturating_sub(60);
    eprintln!(
        "--- the instance said ---\n{}\n---",
        lines[tail..].join("\n")
    );
}

/// What a status says of one child.
///
/// # Panics
/// When it says nothing of it.
#[must_use]
pub fn of(status: &InstanceStatus, name: ChildName) -> ChildStatus {
    let child = status
        .fleet
        .children
        .iter()
        .find(|child| child.name == name);
    child.cloned().expect("a status names every child")
}

/// The process of a child.
#[must_use]
pub fn pid(child: &ChildStatus) -> Option<i32> {
    child.pid.and_then(|pid| i32::try_from(pid).ok())
}

/// Asks the supervisor of a home one thing.
///
/// # Errors
/// When nobody answers.
pub async fn ask(home: &Home, request: &CliRequest) -> Result<CliReply, String> {
    let text = |error: std::io::Error| error.to_string();
    let stream = ipc::connect(&home.supervisor_socket())
        .await
        .map_err(text)?;
    let (receive, mut send) = tokio::io::split(stream);
    write_message(&mut send, request).await.map_err(text)?;
    let reply = MessageReader::new(receive).next().await.map_err(text)?;
    reply.ok_or_else(|| "the supervisor closed the connection".to_owned())
}
