//! The service manager of the system: what it knows of our service, and how it is told to run it.
//!
//! What is written for it is rendered by pure functions (`definition.rs`, `systemd/unit.rs`, `launchd/agent.rs`) and can be looked at on any
//! machine; the shells around them write files and call `systemctl` or `launchctl`.
//!
//! A service is the business of the system (systemd or launchd); a child is ours. What the service manager says is reported
//! beside what the supervisor says, never instead of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use openclaw_shared::instance::{Environment, Identity};
use serde::Serialize;

mod command;
pub(crate) mod definition;
mod extra;
mod file;
mod launchd;
pub(crate) mod linger;
mod names;
mod none;
mod program;
mod systemd;

pub(crate) use definition::{Definition, Variant};
pub(crate) use extra::{ExtraService, extra};
pub(crate) use file::ServiceFile;
pub(crate) use names::Names;
pub(crate) use program::{is_this_program, replaceable, stable_program};

use launchd::Launchd;
use systemd::{Scope, Systemd};

/// A service manager, for the service of one profile.
pub(crate) trait ServiceManager {
    /// What is installed and whether it runs. An absent service is an answer, not an error.
    fn view(&self) -> ServiceView;
    /// Whether it can be asked to do anything.
    ///
    /// # Errors
    /// With what is missing, and what to do instead.
    fn check(&self) -> Result<(), Unavailable>;
    /// The files that define a service: text, and where each goes. Nothing is written.
    ///
    /// # Errors
    /// When the definition cannot be written in this manager's syntax.
    fn files(&self, definition: &Definition) -> Result<Vec<ServiceFile>, String>;
    /// Writes the files and has the service started with the session or the machine. Says what else was done.
    ///
    /// # Errors
    /// With a sentence that says what the service manager said.
    fn install(&self, files: &[ServiceFile], begin: Begin) -> Result<Vec<String>, String>;
    /// Stops the service and removes its files. Says what was done; nothing when nothing was there.
    ///
    /// # Errors
    /// With a sentence that says what the service manager said.
    fn uninstall(&self) -> Result<Vec<String>, String>;
    /// Removes what earlier names of the product have left for this profile. Says what was done.
    ///
    /// # Errors
    /// With a sentence that says what the service manager said.
    fn remove_legacy(&self) -> Result<Vec<String>, String>;
    /// Starts the service.
    ///
    /// # Errors
    /// With a sentence that says what the service manager said.
    fn start(&self) -> Result<(), String>;
    /// Stops the service.
    ///
    /// # Errors
    /// With a sentence that says what the service manager said.
    fn stop(&self) -> Result<(), String>;
    /// Restarts the service.
    ///
    /// # Errors
    /// With a sentence that says what the service manager said.
    fn restart(&self) -> Result<(), String>;
    /// The command by which a person starts the service.
    fn start_hint(&self) -> Option<String>;
    /// The command by which a person reads what the service has printed.
    fn logs_hint(&self) -> Option<String>;
    /// Whether the service ends with the user's last session unless the user may linger.
    fn needs_linger(&self) -> bool {
        false
    }
    /// Whether the service manager holds the ports.
    fn has_sockets(&self) -> bool {
        false
    }
    /// Whether the service is one of the whole system, which root installs for a user.
    fn is_of_the_system(&self) -> bool {
        false
    }
}

/// Whether a service begins once it is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// It is started, anew if it runs.
    Anew,
    /// It waits for the next session or the next boot.
    No,
}

/// Why a service manager cannot be used here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unavailable {
    /// What it said.
    pub(crate) message: String,
    /// What to do instead, one sentence each.
    pub(crate) hints: Vec<String>,
}

/// The service manager's view of our service; `service` in `gateway status --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceView {
    /// Which service manager.
    pub(crate) label: &'static str,
    /// The name of the unit.
    pub(crate) unit: Option<String>,
    /// Whether it is started with the session or the machine.
    pub(crate) loaded: bool,
    /// What `loaded` is called here.
    pub(crate) loaded_text: &'static str,
    /// What its opposite is called here.
    pub(crate) not_loaded_text: &'static str,
    /// What it starts; absent when nothing is installed.
    pub(crate) command: Option<ServiceCommand>,
    /// Whether it runs.
    pub(crate) runtime: ServiceRuntime,
}

impl ServiceView {
    /// Whether there is such a service at all.
    pub(crate) const fn is_installed(&self) -> bool {
        self.loaded || self.command.is_some()
    }
}

/// What a service starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceCommand {
    /// The program and its arguments; empty when the file does not say.
    pub(crate) program_arguments: Vec<String>,
    /// The folder in which it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) working_directory: Option<String>,
    /// What tells which instance it is. Everything else in there may be a secret, and is nobody's business.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) environment: BTreeMap<String, String>,
    /// The file that defines the service.
    pub(crate) source_path: String,
}

impl ServiceCommand {
    /// A file of which nothing else is known yet.
    fn at(path: &Path) -> Self {
        Self {
            program_arguments: Vec::new(),
            working_directory: None,
            environment: BTreeMap::new(),
            source_path: path.display().to_string(),
        }
    }

    fn say(
        &mut self,
        command: Vec<String>,
        environment: Vec<(String, String)>,
        working_dir: Option<String>,
    ) {
        const SHOWN: [&str; 7] = [
            "OPENCLAW_PROFILE",
            "OPENCLAW_STATE_DIR",
            "OPENCLAW_CONFIG_PATH",
            "OPENCLAW_GATEWAY_PORT",
            "OPENCLAW_NIX_MODE",
            "OPENCLAW_SERVICE_MARKER",
            "OPENCLAW_SERVICE_VERSION",
        ];
        self.program_arguments = command;
        self.working_directory = working_dir;
        self.environment = environment
            .into_iter()
            .filter(|(name, _)| SHOWN.contains(&name.as_str()))
            .collect();
    }
}

/// Whether a service runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceRuntime {
    /// The answer in one word.
    pub(crate) status: RuntimeStatus,
    /// The service manager's own word for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<String>,
    /// Its finer word for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sub_state: Option<String>,
    /// Its main process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pid: Option<u32>,
    /// How the last one ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_exit_status: Option<i32>,
    /// Why, in the service manager's word (`exit-code`, `watchdog`, `start-limit-hit`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_exit_reason: Option<String>,
    /// How often the service manager has started it again by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) restarts: Option<u32>,
    /// Why nothing is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
    /// The unit does not exist.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) missing_unit: bool,
}

/// Whether a service runs, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RuntimeStatus {
    /// It runs.
    Running,
    /// It does not.
    Stopped,
    /// The service manager did not say.
    #[default]
    Unknown,
}

/// Which service manager is meant, where a person says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Which {
    /// systemd, for this user.
    SystemdUser,
    /// systemd, for the whole system.
    SystemdSystem,
    /// launchd, for this user.
    Launchd,
}

/// The service manager that has the service of this instance, or would get it: the user's own, unless a service of the whole system that
/// runs as this user is all there is. To root each of them is its own.
pub(crate) fn manager(identity: &Identity, environment: &Environment) -> Box<dyn ServiceManager> {
    let names = || Names::of(&identity.profile, environment);
    if let Some(launchd) = Launchd::find(identity, names()) {
        return Box::new(launchd);
    }
    let user = Systemd::find(identity, names(), Scope::User);
    let system = Systemd::find(identity, names(), Scope::System);
    match (user, system) {
        (Some(user), Some(system))
            if !user.has_file() && system.text().is_some_and(|unit| is_mine(&unit)) =>
        {
            Box::new(system)
        }
        (Some(user), _) => Box::new(user),
        (None, _) => Box::new(none::NoServiceManager),
    }
}

/// The service manager that is asked for; absent when this system does not have it.
pub(crate) fn manager_of(
    which: Which,
    identity: &Identity,
    environment: &Environment,
) -> Option<Box<dyn ServiceManager>> {
    let names = Names::of(&identity.profile, environment);
    Some(match which {
        Which::SystemdUser => Box::new(Systemd::find(identity, names, Scope::User)?),
        Which::SystemdSystem => Box::new(Systemd::find(identity, names, Scope::System)?),
        Which::Launchd => Box::new(Launchd::find(identity, names)?),
    })
}

/// What writes the files of a service manager, also for another machine.
pub(crate) fn writer_of(
    which: Which,
    identity: &Identity,
    environment: &Environment,
) -> Box<dyn ServiceManager> {
    let names = Names::of(&identity.profile, environment);
    match which {
        Which::SystemdUser => Box::new(Systemd::anywhere(identity, names, Scope::User)),
        Which::SystemdSystem => Box::new(Systemd::anywhere(identity, names, Scope::System)),
        Which::Launchd => Box::new(Launchd::anywhere(identity, names)),
    }
}

/// The command by which an installed service is written anew as what it is: for the same user, with its sockets. Without that, one of
/// the whole system would run everything as root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reinstall(Vec<String>);

impl Default for Reinstall {
    fn default() -> Self {
        Self(["gateway", "install", "--force"].map(str::to_owned).into())
    }
}

impl Reinstall {
    /// Of the service whose file says this.
    pub(crate) fn of(manager: &dyn ServiceManager, text: &str) -> Self {
        let Self(mut words) = Self::default();
        if manager.is_of_the_system() {
            words.push("--system".to_owned());
            if let Some(user) = user_in(text) {
                words.extend(["--user".to_owned(), user.to_owned()]);
            }
        }
        if has_sockets(manager, text) {
            words.push("--socket".to_owned());
        }
        Self(words)
    }

    /// What stands behind the name of the program.
    pub(crate) fn words(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }

    /// As a person types it.
    pub(crate) fn typed(&self, identity: &Identity) -> String {
        let command = identity.command(&self.0.join(" "));
        match self.0.iter().any(|word| word == "--system") {
            true => format!("sudo {command}"),
            false => command,
        }
    }
}

/// Whether the ports are the service manager's: by their own file, or, when that is gone, by what the service says.
fn has_sockets(manager: &dyn ServiceManager, text: &str) -> bool {
    let wants = |line: &str| line.starts_with("Requires=") && line.ends_with(".socket");
    manager.has_sockets() || text.lines().any(wants)
}

/// The user that a unit runs as, when it says so.
pub(crate) fn user_in(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("User="))
}

/// Whether a unit of the whole system is the business of this user.
fn is_mine(unit: &str) -> bool {
    nix::unistd::geteuid().is_root() || user_in(unit).is_some_and(is_me)
}

fn is_me(name: &str) -> bool {
    let known = nix::unistd::User::from_name(name).ok().flatten();
    known.is_some_and(|user| user.uid == nix::unistd::geteuid())
}

/// The files that `install` would write over an installed service, for whoever looks for drift. The sockets are compared where their
/// addresses are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Anew {
    /// The service's own file.
    pub(crate) service: Option<String>,
    /// The file of its sockets, when it has them.
    pub(crate) sockets: Option<ServiceFile>,
}

/// What `install` would write over this installed file and the one beside it. What only tells the version is taken from the installed
/// file: a newer program runs from an older unit as well as from a new one.
pub(crate) fn anew(
    identity: &Identity,
    environment: &Environment,
    installed: &Path,
    addresses: impl FnOnce() -> Vec<SocketAddr>,
) -> Option<Anew> {
    let manager = manager(identity, environment);
    let text = std::fs::read_to_string(installed).ok()?;
    let marker = "OPENCLAW_SERVICE_VERSION=";
    let version = text.split_once(marker).map(|(_, rest)| rest);
    let version = version.and_then(|rest| rest.split(['"', '<', '\n']).next());
    let user = user_in(&text);
    // The service of another user lives in folders that this one does not know.
    if user.is_some_and(|name| !is_me(name)) {
        return None;
    }
    let addresses = match has_sockets(manager.as_ref(), &text) {
        true => addresses(),
        false => Vec::new(),
    };
    let are_known = !addresses.is_empty();
    let variant = Variant {
        version: version.map(str::to_owned),
        user: user.map(str::to_owned),
        // That there are some is all that the service's own file says about them.
        sockets: match has_sockets(manager.as_ref(), &text) && !are_known {
            true => vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            false => addresses,
        },
    };
    let names = Names::of(&identity.profile, environment);
    // Another path of the same file is as good as the one by which this command was called.
    let view = manager.view();
    let starts = view
        .command
        .and_then(|command| command.program_arguments.into_iter().next());
    let starts = starts
        .map(PathBuf::from)
        .filter(|program| is_this_program(program));
    let program = match starts {
        Some(program) => program,
        None => stable_program(environment).ok()?,
    };
    let definition = Definition::of(identity, names, &program, variant).ok()?;
    let (own, others): (Vec<_>, Vec<_>) = manager
        .files(&definition)
        .ok()?
        .into_iter()
        .partition(|file| file.path == installed);
    Some(Anew {
        service: own.into_iter().next().map(|file| file.text),
        sockets: others.into_iter().find(|_| are_known),
    })
}

#[cfg(test)]
mod tests {
    use openclaw_shared::instance::Profile;

    use super::*;

    #[test]
    fn a_service_of_another_user_is_nobody_elses_but_roots() {
        let own = nix::unistd::User::from_uid(nix::unistd::geteuid());
        let own = own.unwrap().unwrap().name;
        assert!(is_mine(&format!("[Service]\nUser={own}\n")));
        let is_root = nix::unistd::geteuid().is_root();
        for unit in ["[Service]\nUser=nobody-here-7\n", "[Service]\n"] {
            assert_eq!(is_mine(unit), is_root, "{unit}");
        }
    }

    #[test]
    fn a_service_is_written_anew_as_what_it_is() {
        let home = tempfile::tempdir().unwrap();
        let shown = home.path().display().to_string();
        let environment = Environment::from_pairs([("HOME", shown.as_str())], Path::new("/"));
        let profile = Profile::parse("anew").unwrap();
        let identity = Identity::resolve(profile, &environment, &|_| false).unwrap();
        let typed = |which: Which, text: &str| {
            let manager = writer_of(which, &identity, &environment);
            Reinstall::of(manager.as_ref(), text).typed(&identity)
        };
        let unit = "[Service]\nUser=claw\nExecStart=/usr/bin/openclaw\n";
        assert_eq!(
            typed(Which::SystemdSystem, unit),
            "sudo openclaw --profile anew gateway install --force --system --user claw"
        );
        assert_eq!(
            typed(Which::SystemdUser, "[Service]\n"),
            "openclaw --profile anew gateway install --force"
        );
        let units = home.path().join(".config/systemd/user");
        std::fs::create_dir_all(&units).unwrap();
        std::fs::write(units.join("openclaw-gateway-anew.socket"), "").unwrap();
        assert_eq!(
            typed(Which::SystemdUser, "[Service]\n"),
            "openclaw --profile anew gateway install --force --socket"
        );
    }
}
