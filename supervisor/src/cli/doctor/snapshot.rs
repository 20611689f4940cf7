//! What an instance and its machine look like at one moment, as plain data. The checks judge it; they ask nobody else.

use std::path::{Path, PathBuf};

use openclaw_shared::clock::WallTime;
use openclaw_shared::config::{Config, Issue};
use openclaw_shared::control::InstanceStatus;
use openclaw_shared::examine::ExamineReport;
use openclaw_shared::instance::Identity;
use serde_json::Value;

use crate::port_owner::Owner;
use crate::service::{ExtraService, Reinstall};
use crate::settings::Refusal;

/// Everything that was looked at.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) identity: Identity,
    pub(crate) now: WallTime,
    pub(crate) uid: u32,
    pub(crate) config: ConfigSeen,
    /// Whether this machine only uses a gateway elsewhere.
    pub(crate) is_remote: bool,
    /// Whether the configuration would be started on.
    pub(crate) start: Result<Start, Refusal>,
    pub(crate) running: Running,
    /// The state folder itself.
    pub(crate) state: Option<Entry>,
    /// Whether a file could be made in it.
    pub(crate) state_is_writable: bool,
    /// What lies in it, the folders of agents' work left out.
    pub(crate) entries: Vec<Entry>,
    /// The configuration file and its includes, when they lie elsewhere.
    pub(crate) elsewhere: Vec<Entry>,
    /// None when there is no database.
    pub(crate) database: Option<Result<ExamineReport, String>>,
    /// None when nothing is installed.
    pub(crate) service: Option<ServiceSeen>,
    /// The service file of this instance.
    pub(crate) unit: Option<Unit>,
    pub(crate) extra: Vec<ExtraService>,
    /// Whether the services of this user go on when nobody is logged in; none when the system does not say.
    pub(crate) lingers: Option<bool>,
    pub(crate) user: String,
    /// The ports of this instance and who has them.
    pub(crate) ports: Vec<PortSeen>,
    pub(crate) neighbours: Vec<Shared>,
    /// Local sockets of this instance.
    pub(crate) sockets: Vec<SocketSeen>,
    /// Lock files that name a process which has ended.
    pub(crate) dead_locks: Vec<PathBuf>,
    pub(crate) legacy_folders: Vec<PathBuf>,
    pub(crate) legacy_variables: Vec<String>,
    pub(crate) tmp_logs: Vec<Entry>,
    pub(crate) disk: Option<Disk>,
    /// Programs that should lie beside this one.
    pub(crate) missing_programs: Vec<String>,
    pub(crate) browser: Browser,
}

/// The configuration file.
#[derive(Debug, Clone)]
pub(crate) struct ConfigSeen {
    pub(crate) exists: bool,
    /// The mistakes for which it is refused.
    pub(crate) errors: Vec<Issue>,
    pub(crate) warnings: Vec<Issue>,
    /// As it would be used; the defaults when it cannot be.
    pub(crate) config: Config,
    /// As it was written, references to variables included.
    pub(crate) raw: Value,
    pub(crate) own_keys: Vec<&'static str>,
}

/// What a start would run on.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    /// Whether the gateway would listen to other machines.
    pub(crate) is_exposed: bool,
    /// How long the shared secret is, when there is one.
    pub(crate) secret_length: Option<usize>,
    /// The token in clear, to be looked for where it must not be.
    pub(crate) secret: Option<openclaw_shared::secret::Secret<String>>,
}

/// What answers on the supervisor's socket.
#[derive(Debug, Clone)]
pub(crate) enum Running {
    Nothing,
    Instance(Box<InstanceStatus>),
    /// Somebody who does not answer as expected.
    Silent(String),
}

impl Running {
    pub(crate) const fn status(&self) -> Option<&InstanceStatus> {
        match self {
            Self::Instance(status) => Some(status),
            Self::Nothing | Self::Silent(_) => None,
        }
    }
}

/// A thing in a folder; links are not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
    /// The bits that `chmod` sets.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) modified: WallTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    Link,
    Socket,
    Other,
}

impl Entry {
    /// Whether another user may do anything with it.
    pub(crate) fn is_open(&self) -> bool {
        self.mode & 0o077 != 0 && matches!(self.kind, Kind::File | Kind::Folder | Kind::Socket)
    }

    /// Whether another user may read it, or list it.
    pub(crate) const fn is_readable(&self) -> bool {
        self.mode & 0o044 != 0
    }
}

/// Our service, as the service manager describes it.
#[derive(Debug, Clone)]
pub(crate) struct ServiceSeen {
    pub(crate) name: String,
    pub(crate) condition: Condition,
    /// How it ended last, where the service manager knows.
    pub(crate) last_exit: Option<i32>,
    /// How a person starts it.
    pub(crate) start: Option<String>,
}

/// Whether a service runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    Running,
    Stopped,
    Failed,
    Unknown,
}

/// A service file.
#[derive(Debug, Clone)]
pub(crate) struct Unit {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    /// What this version would write; none where it does not know.
    pub(crate) recommended: Option<String>,
    /// How it is written anew.
    pub(crate) install: Reinstall,
    /// Whether the program that it starts exists; none when it names none.
    pub(crate) program: Option<(PathBuf, bool)>,
    /// What another user of this machine could replace on the way to it, for a service of the whole system.
    pub(crate) replaceable: Option<PathBuf>,
    /// The file of the sockets that the service manager is to hold for it; none where there are none, or this version does not know.
    pub(crate) sockets: Option<SocketFile>,
}

/// A file of sockets.
#[derive(Debug, Clone)]
pub(crate) struct SocketFile {
    pub(crate) path: PathBuf,
    /// What is there, if anything is.
    pub(crate) text: Option<String>,
    /// What this version would write for the configuration as it is.
    pub(crate) recommended: String,
}

/// A port of this instance.
#[derive(Debug, Clone)]
pub(crate) struct PortSeen {
    pub(crate) port: u16,
    pub(crate) what: &'static str,
    pub(crate) owners: Vec<Owner>,
}

/// Another profile, and what it could not have at the same time as this one.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) profile: String,
    pub(crate) what: Vec<String>,
}

/// A local socket.
#[derive(Debug, Clone)]
pub(crate) struct SocketSeen {
    pub(crate) path: PathBuf,
    pub(crate) answers: bool,
}

/// Room on a disk, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Disk {
    pub(crate) free: u64,
}

/// The browser that would be controlled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Browser {
    /// Browser control is switched off, or uses a browser elsewhere.
    NotWanted,
    Found,
    /// The one that the configuration names is not there.
    Missing(PathBuf),
    None,
}

impl Snapshot {
    /// A path with the home folder shortened.
    pub(crate) fn shown(&self, path: &Path) -> String {
        self.identity.display(path)
    }

    /// A command line to type, for the instance that is meant.
    pub(crate) fn command(&self, rest: &str) -> String {
        self.identity.command(rest)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use openclaw_shared::instance::{Environment, Profile};
    use serde_json::json;

    use super::*;

    pub(crate) const HOME: &str = "/home/me";
    pub(crate) const STATE: &str = "/home/me/.openclaw";
    pub(crate) const UID: u32 = 1000;

    /// Something in the state folder of [`well`].
    pub(crate) fn entry(name: &str, kind: Kind, mode: u32) -> Entry {
        Entry {
            path: Path::new(STATE).join(name),
            kind,
            mode,
            uid: UID,
            modified: WallTime::from_millis(1_795_000_000_000),
        }
    }

    /// An instance with which nothing is wrong.
    pub(crate) fn well() -> Snapshot {
        let environment = Environment::from_pairs([("HOME", HOME)], Path::new("/"));
        let profile = Profile::parse("").unwrap();
        Snapshot {
            identity: Identity::resolve(profile, &environment, &|_| false).unwrap(),
            now: WallTime::from_millis(1_795_000_100_000),
            uid: UID,
            config: ConfigSeen {
                exists: true,
                errors: Vec::new(),
                warnings: Vec::new(),
                config: Config::default(),
                raw: json!({}),
                own_keys: Vec::new(),
            },
            is_remote: false,
            start: Ok(Start {
                is_exposed: false,
                secret_length: Some(64),
                secret: None,
            }),
            running: Running::Nothing,
            state: Some(entry("", Kind::Folder, 0o700)),
            state_is_writable: true,
            entries: vec![entry("openclaw.json", Kind::File, 0o600)],
            elsewhere: Vec::new(),
            database: None,
            service: None,
            unit: None,
            extra: Vec::new(),
            lingers: None,
            user: "me".to_owned(),
            ports: Vec::new(),
            neighbours: Vec::new(),
            sockets: Vec::new(),
            dead_locks: Vec::new(),
            legacy_folders: Vec::new(),
            legacy_variables: Vec::new(),
            tmp_logs: Vec::new(),
            disk: Some(Disk {
                free: 50_000_000_000,
            }),
            missing_programs: Vec::new(),
            browser: Browser::Found,
        }
    }
}
