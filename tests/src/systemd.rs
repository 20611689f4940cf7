//! A real `systemd --user` of a test's own, or a whole system's, on machines whose first process is something else.
//!
//! The manager lives in namespaces of its own (processes, mounts, control groups) with a private `/run`, and in a control
//! group of its own, so that units of the same name in two tests are strangers. It reads the units of a [`Home`], which is
//! seen from both sides, and the network is shared: what it starts is reached as any instance is. Whatever runs in there
//! ends with its first process, and that ends with the test.
//!
//! Process ids differ on both sides: what speaks of processes runs inside ([`SystemdUser::openclaw`]). What
//! [`SystemdUser::systemctl`] prints are those of the inside; [`SystemdUser::outside`] translates them.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;

use crate::eventually::{eventually, soon};
use crate::home::{Home, Said};
use crate::process;

/// The programs of the system that this needs, and the Debian packages that bring them.
const NEEDED: [(&str, &str); 4] = [
    ("/lib/systemd/systemd", "systemd"),
    ("/usr/bin/systemctl", "systemd"),
    ("/usr/bin/dbus-daemon", "dbus-user-session"),
    ("/usr/bin/unshare", "util-linux"),
];

/// Makes the namespaces habitable, then runs the manager.
const INSIDE: &str = r#"
set -eu
umount -R /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 none /sys/fs/cgroup
mkdir "/sys/fs/cgroup/$1"
echo $$ > "/sys/fs/cgroup/$1/cgroup.procs"
export inside=$2
exec unshare --cgroup sh -euc '
umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs tmpfs /run
# Who may linger is for the test to say.
mkdir -p /var/lib/systemd/linger
mount -t tmpfs tmpfs /var/lib/systemd/linger
eval "$inside"
'
"#;

/// The manager of a user. The shell stays the first process and takes in orphans.
const OF_USER: &str = r#"
mkdir -p /run/systemd/system "$XDG_RUNTIME_DIR"
chmod 700 "$XDG_RUNTIME_DIR"
/lib/systemd/systemd --user &
wait $!
"#;

/// The manager of a whole system. It sees no unit but those that are put into its empty folder, so nothing of this machine is started.
const OF_SYSTEM: &str = r#"
mount -t tmpfs tmpfs /etc/systemd/system
for target in sysinit basic multi-user shutdown network-online sockets paths timers slices; do
  printf '[Unit]\nDefaultDependencies=no\n' > "/etc/systemd/system/$target.target"
done
exec env -i PATH=/usr/bin:/bin container=openclaw-test SYSTEMD_UNIT_PATH=/etc/systemd/system \
  SYSTEMD_LOG_TARGET=console /lib/systemd/systemd --system --unit=multi-user.target
"#;

/// A running manager. Dropped, it ends with everything it has started.
#[derive(Debug)]
pub struct SystemdUser {
    home: Home,
    unshare: Child,
    first: i32,
    group: String,
    scope: &'static str,
    log: PathBuf,
}

impl SystemdUser {
    /// Starts a manager that reads the units of this home, or says loudly why this machine cannot have one.
    ///
    /// # Panics
    /// When it cannot be started although everything it needs is there.
    pub async fn start(home: &Home) -> Option<Self> {
        Self::begin(home, "--user", OF_USER).await
    }

    /// As [`SystemdUser::start`], but the manager of a whole system.
    ///
    /// # Panics
    /// As [`SystemdUser::start`].
    pub async fn of_a_system(home: &Home) -> Option<Self> {
        Self::begin(home, "--system", OF_SYSTEM).await
    }

    async fn begin(home: &Home, scope: &'static str, inside: &str) -> Option<Self> {
        if let Some(reason) = lacking() {
            crate::skip(&format!("no systemd of its own: {reason}"));
            return None;
        }
        let log = home.path().join("systemd.log");
        let said = fs::File::create(&log).expect("a file for what systemd says");
        // A folder's name is unique on the machine for as long as the test runs.
        let name = home.path().file_name().unwrap_or_default();
        let group = format!("openclaw-test-{}", name.to_string_lossy());
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        command.args(["unshare", "--fork", "--kill-child", "--pid", "--mount"]);
        command.args([
            "--uts",
            "--ipc",
            "--mount-proc",
            "sh",
            "-c",
            INSIDE,
            "inside",
        ]);
        command.args([&group, inside]);
        home.isolate(&mut command);
        command.envs(session_variables());
        command.stdin(Stdio::null());
        command.stdout(said.try_clone().expect("a file can be shared"));
        command.stderr(said).process_group(0);
        let unshare = command
            .spawn()
            .expect("setpriv, of util-linux, can be started");
        let outer = i32::try_from(unshare.id()).expect("a process id fits");
        let mut manager = Self {
            home: home.clone(),
            unshare,
            first: 0,
            group,
            scope,
            log,
        };
        manager.first = eventually("the namespaces have a first process", async || {
            let children = process::children_of(outer);
            children
                .first()
                .map(|first| first.pid)
                .ok_or_else(|| manager.log())
        })
        .await;
        eventually("systemd answers", async || {
            let said = manager.systemctl(&["is-system-running"]).await;
            match said.out.trim() {
                "running" | "degraded" => Ok(()),
                _ => Err(format!("{said:?}\n{}", manager.log())),
            }
        })
        .await;
        Some(manager)
    }

    /// The home whose units it reads.
    #[must_use]
    pub const fn home(&self) -> &Home {
        &self.home
    }

    /// What the manager has said.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// A command as a person types it who is logged in there.
    #[must_use]
    pub fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.first.to_string());
        command.args(["--pid", "--mount", "--cgroup", "--"]);
        command.arg(program).args(arguments);
        self.home.isolate(&mut command);
        command.envs(session_variables());
        command
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    /// When it cannot be started or does not end.
    pub async fn run(&self, program: &Path, arguments: &[&str]) -> Said {
        self.run_with(program, arguments, &[]).await
    }

    /// Runs a command to its end, with variables.
    ///
    /// # Panics
    /// When it cannot be started or does not end.
    pub async fn run_with(
        &self,
        program: &Path,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Said {
        let mut command = self.command(program, arguments);
        command.envs(variables.iter().copied());
        let mut command = tokio::process::Command::from(command);
        command.kill_on_drop(true);
        let what = format!("`{} {}` ends", program.display(), arguments.join(" "));
        let output = soon(&what, command.output()).await;
        Said::of(&output.expect("nsenter, of util-linux, can be started"))
    }

    /// Runs `openclaw` for a profile of this home.
    pub async fn openclaw(&self, home: &Home, arguments: &[&str]) -> Said {
        let mut all: Vec<&str> = Vec::new();
        if let Some(profile) = home.profile_name() {
            all.extend(["--profile", profile]);
        }
        all.extend(arguments);
        self.run(&home.programs().join("openclaw"), &all).await
    }

    /// Runs `systemctl` for this manager.
    pub async fn systemctl(&self, arguments: &[&str]) -> Said {
        let all: Vec<&str> = [self.scope].iter().chain(arguments).copied().collect();
        self.run(Path::new("/usr/bin/systemctl"), &all).await
    }

    /// A property of a unit.
    pub async fn property(&self, unit: &str, name: &str) -> String {
        let property = format!("--property={name}");
        let said = self.systemctl(&["show", unit, "--value", &property]).await;
        said.out.trim().to_owned()
    }

    /// Waits until a property of a unit fits.
    pub async fn until(&self, unit: &str, name: &str, fits: impl Fn(&str) -> bool) -> String {
        eventually(&format!("{name} of {unit} fits"), async || {
            let value = self.property(unit, name).await;
            if fits(&value) {
                Ok(value)
            } else {
                Err(format!("{value:?}\n{}", self.log()))
            }
        })
        .await
    }

    /// The main process of a unit that runs, as the inside counts.
    ///
    /// # Panics
    /// When it is none.
    pub async fn main_pid(&self, unit: &str) -> i32 {
        let text = self.until(unit, "MainPID", |pid| pid != "0").await;
        text.parse().expect("a process id")
    }

    /// What a process of the inside is called out here, where it can be sent signals; absent when it is gone.
    #[must_use]
    pub fn outside(&self, inside: i32) -> Option<i32> {
        let namespace = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let ours = namespace(self.first)?;
        process::all()
            .into_iter()
            .map(|process| process.pid)
            .find(|pid| namespace(*pid).as_ref() == Some(&ours) && innermost(*pid) == Some(inside))
    }

    /// Sends a process of the inside a signal.
    ///
    /// # Panics
    /// When it is gone.
    pub fn signal(&self, inside: i32, signal: Signal) {
        let outside = self.outside(inside).expect("the process lives");
        process::send(outside, signal);
    }

    /// Makes a user's services run without a session, or not, as `loginctl enable-linger` does.
    pub async fn linger(&self, user: &str, on: bool) {
        let file = format!("/var/lib/systemd/linger/{user}");
        let program = Path::new(if on { "/usr/bin/touch" } else { "/bin/rm" });
        self.run(program, &[&file]).await;
    }
}

impl Drop for SystemdUser {
    fn drop(&mut self) {
        if std::thread::panicking() {
            explain(&self.log());
        }
        // The end of the first process is the end of all.
        if self.first > 0 {
            process::send(self.first, Signal::SIGKILL);
        }
        let _ = self.unshare.wait();
        // What is left of its control groups is empty.
        let script = "mount -t cgroup2 none /sys/fs/cgroup && find \"/sys/fs/cgroup/$1\" -depth -type d -exec rmdir {} +";
        let _ = Command::new("unshare")
            .args(["--mount", "sh", "-c", script, "cleanup", &self.group])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

#[expect(
    clippy::print_stderr,
    reason = "a test that fails shows what the manager has seen"
)]
fn explain(log: &str) {
    eprintln!("what systemd said:\n{log}");
}

/// What keeps this machine from running one.
fn lacking() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("namespaces and control groups of one's own need root".to_owned());
    }
    let missing = NEEDED
        .into_iter()
        .find(|(program, _)| !Path::new(program).exists());
    if let Some((program, package)) = missing {
        return Some(format!("{program} is missing (Debian: {package})"));
    }
    let probe = Command::new("unshare")
        .args(["--fork", "--pid", "--mount", "--cgroup", "--mount-proc"])
        .args(["mount", "-t", "cgroup2", "none", "/sys/fs/cgroup"])
        .stdin(Stdio::null())
        .output();
    match probe {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!(
            "this container may not have namespaces and control groups of its own: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => Some(error.to_string()),
    }
}

/// What a session has in its environment.
fn session_variables() -> [(&'static str, String); 2] {
    let runtime = format!("/run/user/{}", nix::unistd::geteuid());
    let bus = format!("unix:path={runtime}/bus");
    [
        ("XDG_RUNTIME_DIR", runtime),
        ("DBUS_SESSION_BUS_ADDRESS", bus),
    ]
}

/// What the innermost namespace calls a process.
fn innermost(pid: i32) -> Option<i32> {
    let status = procfs::process::Process::new(pid).ok()?.status().ok()?;
    status.nspid?.last().copied()
}
