//! A private home: its own folders, ports, configuration and, where a test wants to break one, its own copies of the binaries.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use openclaw_shared::control::ChildName;
use openclaw_shared::instance::Environment;
use openclaw_shared::paths::{RunPaths, StatePaths};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::instance::Launch;
use crate::log::Log;
use crate::ports::PortBlock;

/// The token of every instance whose test does not choose another one.
pub const TOKEN: &str = "e2e-token-4f1c29d7b0";

/// Where one instance lives. Clones are the same home.
#[derive(Debug, Clone)]
pub struct Home {
    folder: Arc<TempDir>,
    ports: Arc<PortBlock>,
    programs: Arc<PathBuf>,
    profile: Option<String>,
}

/// What a command said.
#[derive(Debug, Clone)]
pub struct Said {
    /// Its exit code; 128 and the signal when it was ended by one.
    pub code: i32,
    /// What it printed.
    pub out: String,
    /// What it complained about.
    pub err: String,
}

impl Said {
    /// What a command said that has ended.
    #[must_use]
    pub fn of(output: &std::process::Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
        Self {
            code: output
                .status
                .code()
                .unwrap_or_else(|| 128 + signal.unwrap_or_default()),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    /// The one JSON document that it printed.
    ///
    /// # Panics
    /// When it printed something else.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("no JSON document ({error}) in {self:?}"))
    }
}

impl Home {
    /// An empty home whose default profile has the smallest configuration that starts.
    #[must_use]
    pub fn new() -> Self {
        let home = Self::empty();
        home.configure(&json!({}));
        home
    }

    /// A home without a configuration.
    ///
    /// # Panics
    /// When the binaries have not been built.
    #[must_use]
    pub fn empty() -> Self {
        Self::on(PortBlock::lock())
    }

    /// A home without a configuration, on ports of its own choice.
    ///
    /// # Panics
    /// When the binaries have not been built.
    #[must_use]
    pub fn on(ports: PortBlock) -> Self {
        let folder = TempDir::with_prefix("oc-").expect("a private home can be created");
        fs::create_dir(folder.path().join("tmp")).expect("a folder for temporary files");
        Self {
            folder: Arc::new(folder),
            ports: Arc::new(ports),
            programs: Arc::new(built_programs()),
            profile: None,
        }
    }

    /// Another profile in the same home, with a block of ports of its own.
    #[must_use]
    pub fn profile(&self, name: &str) -> Self {
        Self {
            ports: Arc::new(PortBlock::lock()),
            profile: Some(name.to_owned()),
            ..self.clone()
        }
    }

    /// The same home with its own copies of the binaries, so that one of them can be replaced.
    ///
    /// # Panics
    /// When they cannot be copied.
    #[must_use]
    pub fn with_own_programs(self) -> Self {
        let own = self.path().join("programs");
        fs::create_dir_all(&own).expect("a folder for the programs");
        // The supervisor looks for the others beside itself, so it has to be a file of its own; the others may be links.
        let supervisor = own.join("openclaw");
        let built = self.programs.join("openclaw");
        if fs::hard_link(&built, &supervisor).is_err() {
            fs::copy(&built, &supervisor).expect("the supervisor can be copied");
        }
        for child in ChildName::ALL {
            let name = format!("openclaw-{child}");
            symlink(self.programs.join(&name), own.join(&name)).expect("a program can be linked");
        }
        Self {
            programs: Arc::new(own),
            ..self
        }
    }

    /// The same home, whose commands are those of the build, whatever is installed in it.
    #[must_use]
    pub fn with_programs_of_the_build(&self) -> Self {
        Self {
            programs: Arc::new(built_programs()),
            ..self.clone()
        }
    }

    /// Installs the supervisor of the build once more, as packages do: written beside, then renamed over the one that may be running.
    /// Only for a home [`Home::with_own_programs`].
    ///
    /// # Panics
    /// When it cannot be copied.
    pub fn install_again(&self) {
        let place = self.programs.join("openclaw");
        let beside = self.programs.join("openclaw.new");
        fs::copy(built_programs().join("openclaw"), &beside).expect("the supervisor can be copied");
        fs::rename(&beside, &place).expect("a program can be replaced");
    }

    /// Installs a script in the place of the supervisor's program. Only for a home [`Home::with_own_programs`].
    ///
    /// # Panics
    /// When the home uses the programs of the build.
    pub fn install_script(&self, script: &str) {
        assert!(
            self.programs.starts_with(self.path()),
            "the programs of the build are not ours"
        );
        let place = self.programs.join("openclaw");
        let beside = self.programs.join("openclaw.new");
        write_executable(&beside, script);
        fs::rename(&beside, &place).expect("a program can be replaced");
    }

    /// Puts something else in the place of a child's program. Only for a home [`Home::with_own_programs`].
    ///
    /// # Panics
    /// When the home uses the programs of the build.
    pub fn replace_program(&self, child: ChildName, script: &str) {
        assert!(
            self.programs.starts_with(self.path()),
            "the programs of the build are not ours"
        );
        let place = self.programs.join(format!("openclaw-{child}"));
        let beside = place.with_extension("new");
        write_executable(&beside, script);
        fs::rename(&beside, &place).expect("a program can be replaced");
    }

    /// Puts a child's own program back.
    ///
    /// # Panics
    /// As [`Home::replace_program`].
    pub fn restore_program(&self, child: ChildName) {
        let built = built_programs().join(format!("openclaw-{child}"));
        self.replace_program(
            child,
            &format!("#!/bin/sh\nexec {} \"$@\"\n", built.display()),
        );
    }

    /// The home folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of the binaries that this home uses.
    #[must_use]
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// The base port of the block.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.ports.base()
    }

    /// The canvas host's port.
    #[must_use]
    pub fn canvas_port(&self) -> u16 {
        self.port() + 4
    }

    /// The port of browser control.
    #[must_use]
    pub fn browser_port(&self) -> u16 {
        self.port() + 2
    }

    fn suffix(&self) -> String {
        self.profile
            .as_ref()
            .map(|name| format!("-{name}"))
            .unwrap_or_default()
    }

    /// The state folder.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.path().join(format!(".openclaw{}", self.suffix()))
    }

    /// The configuration file.
    #[must_use]
    pub fn config_path(&self) -> PathBuf {
        StatePaths(&self.state_dir()).config()
    }

    /// The canvas folder.
    #[must_use]
    pub fn canvas_root(&self) -> PathBuf {
        self.path()
            .join(format!(".openclaw/workspace{}/canvas", self.suffix()))
    }

    /// The folder of the log files.
    #[must_use]
    pub fn log_dir(&self) -> PathBuf {
        StatePaths(&self.state_dir()).logs()
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> Log {
        Log::new(self.log_dir())
    }

    /// The supervisor's local socket.
    #[must_use]
    pub fn supervisor_socket(&self) -> PathBuf {
        RunPaths(&StatePaths(&self.state_dir()).run()).supervisor()
    }

    /// A child's control channel.
    #[must_use]
    pub fn control_socket(&self, child: ChildName) -> PathBuf {
        RunPaths(&StatePaths(&self.state_dir()).run()).control(child)
    }

    /// A child's local service.
    #[must_use]
    pub fn service_socket(&self, child: ChildName) -> PathBuf {
        RunPaths(&StatePaths(&self.state_dir()).run()).service(child)
    }

    /// Writes a configuration: what every instance here needs, and what the test adds to it.
    pub fn configure(&self, added: &Value) {
        self.write_config(&format!("{:#}\n", self.config_with(added)));
    }

    /// The configuration that [`Home::configure`] writes.
    #[must_use]
    pub fn config_with(&self, added: &Value) -> Value {
        let mut config = json!({
            "gateway": {
                "mode": "local",
                "port": self.port(),
                "auth": { "token": TOKEN },
                "reload": { "debounceMs": 20 },
            },
        });
        merge(&mut config, added);
        config
    }

    /// Writes the configuration file as an editor does: beside, then renamed.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write_config(&self, text: &str) {
        let path = self.config_path();
        let folder = path.parent().expect("the configuration is in a folder");
        fs::create_dir_all(folder).expect("the folder of the configuration");
        let beside = path.with_extension("json.edited");
        fs::write(&beside, text).expect("the configuration can be written");
        fs::rename(&beside, &path).expect("the configuration can be put in place");
    }

    /// The text of the configuration file.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn config_text(&self) -> String {
        fs::read_to_string(self.config_path()).expect("the configuration can be read")
    }

    /// A command line of this instance: isolated, with nothing of the caller's environment but `PATH`.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join("openclaw"));
        self.isolate(&mut command);
        if let Some(profile) = &self.profile {
            command.args(["--profile", profile]);
        }
        command.args(arguments);
        command
    }

    /// Gives a command this home and nothing else.
    pub fn isolate(&self, command: &mut Command) {
        let environment = Environment::from_process();
        command
            .env_clear()
            .env("PATH", environment.get("PATH").unwrap_or("/usr/bin:/bin"))
            .env("HOME", self.path())
            .env("TMPDIR", self.path().join("tmp"))
            // Tests that are about it switch it on, on loopback; all others leave the network alone.
            .env("OPENCLAW_DISABLE_BONJOUR", "1")
            .current_dir(self.path())
            .stdin(std::process::Stdio::null());
    }

    /// Runs a command line to its end.
    pub async fn run(&self, arguments: &[&str]) -> Said {
        self.run_with(arguments, &[]).await
    }

    /// Runs a command line to its end, with variables.
    ///
    /// # Panics
    /// When it cannot be started or does not end.
    pub async fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Said {
        let mut command = self.command(arguments);
        command.envs(variables.iter().copied());
        let mut command = tokio::process::Command::from(command);
        command.kill_on_drop(true);
        // Longer than any deadline of the command itself, so that its own words are seen.
        let ended = tokio::time::timeout(Duration::from_secs(60), command.output()).await;
        let output = ended
            .unwrap_or_else(|_| panic!("`openclaw {}` does not end", arguments.join(" ")))
            .expect("the openclaw binary can be started");
        Said::of(&output)
    }

    /// An instance that is about to be started here.
    #[must_use]
    pub fn launch(&self) -> Launch {
        Launch::new(self.clone())
    }

    pub(crate) fn profile_name(&self) -> Option<&str> {
        self.profile.as_deref()
    }
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

/// The folder where cargo puts the binaries that were built with this test.
///
/// # Panics
/// When they are not there.
#[must_use]
pub fn built_programs() -> PathBuf {
    let own = std::env::current_exe().expect("a test knows its own program");
    // Tests lie in `deps`, programs such as the conformance run beside the binaries.
    let folder = own
        .ancestors()
        .skip(1)
        .take(2)
        .find(|folder| folder.join("openclaw").is_file())
        .expect("`cargo build --workspace --bins` has run");
    let names = [
        "openclaw",
        "openclaw-gateway",
        "openclaw-canvas-host",
        "openclaw-browser-control",
        "openclaw-node-host",
    ];
    for name in names.into_iter().chain(["openclaw-test-stub"]) {
        let program = folder.join(name);
        assert!(
            program.is_file(),
            "{} is missing; run `cargo build --workspace --bins` first",
            program.display()
        );
    }
    folder.to_path_buf()
}

fn write_executable(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, text).expect("a script can be written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a script can be run");
}

/// Adds what `added` says to `to`; objects are joined, everything else is replaced.
fn merge(to: &mut Value, added: &Value) {
    match (to, added) {
        (Value::Object(to), Value::Object(added)) => {
            for (key, value) in added {
                merge(to.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (to, added) => *to = added.clone(),
    }
}
