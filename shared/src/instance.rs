//! Which instance is this? Profile, folders, ports and addresses, from flags, environment and configuration.
//!
//! Resolution is pure: it sees the environment as a value and asks the file system through [`Exists`] only. It happens in two steps,
//! because the configuration file has to be found before it can say anything: [`Identity`] first, [`Instance`] second.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::paths::{LONGEST_SOCKET_NAME, MAX_SOCKET_PATH, StatePaths};
use crate::ports::{PortError, PortWishes, Ports};
use crate::secret::names_a_secret;

mod environment;
mod profile;

pub use environment::Environment;
pub use profile::{Profile, ProfileError};

/// The version all binaries of a build share.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Tells whether a path exists; the real file system, or a table in tests.
pub type Exists<'a> = &'a dyn Fn(&Path) -> bool;

/// Who the instance is, before its configuration is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// The profile.
    pub profile: Profile,
    /// The user's home.
    pub home: PathBuf,
    /// Where everything durable lives.
    pub state_dir: PathBuf,
    /// Whether `state_dir` is the profile's own, as opposed to one named by the environment.
    pub state_dir_is_default: bool,
    /// The configuration file, which need not exist.
    pub config_path: PathBuf,
}

/// Why an instance cannot be told.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InstanceError {
    /// No home folder.
    #[error("HOME is not set; set HOME, or OPENCLAW_STATE_DIR and OPENCLAW_CONFIG_PATH")]
    NoHome,
    /// A port variable is not a port.
    #[error("{name}={value} is not a port (1 to 65535)")]
    BadPort {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
    },
    /// The ports do not fit.
    #[error("{0}")]
    Ports(#[from] PortError),
}

impl Identity {
    /// Resolves the identity. Variables win over what the profile would set.
    ///
    /// # Errors
    /// When there is no home folder and the folders are not named either.
    pub fn resolve(
        profile: Profile,
        environment: &Environment,
        exists: Exists<'_>,
    ) -> Result<Self, InstanceError> {
        let home = environment
            .get("HOME")
            .map(PathBuf::from)
            .ok_or(InstanceError::NoHome)?;
        let named = environment
            .first(&["OPENCLAW_STATE_DIR", "CLAWDBOT_STATE_DIR"])
            .map(|value| expand_home(value, &home, environment.working_dir()));
        let own = default_state_dir(&profile, &home, exists);
        let state_dir = named.unwrap_or_else(|| own.clone());
        let config_path = environment
            .first(&["OPENCLAW_CONFIG_PATH", "CLAWDBOT_CONFIG_PATH"])
            .map(|value| expand_home(value, &home, environment.working_dir()))
            .unwrap_or_else(|| existing_config(&state_dir, exists));
        Ok(Self {
            profile,
            home,
            state_dir_is_default: state_dir == own,
            state_dir,
            config_path,
        })
    }

    /// The folder of local sockets: `<state>/run`, or a short folder below `XDG_RUNTIME_DIR` when a socket's path would be
    /// too long for the system.
    #[must_use]
    pub fn run_dir(&self, environment: &Environment) -> PathBuf {
        let own = StatePaths(&self.state_dir).run();
        if own.as_os_str().len() + LONGEST_SOCKET_NAME <= MAX_SOCKET_PATH {
            return own;
        }
        // The state folder's hash keeps instances apart where their names would be cut.
        let digest = crate::digest::short_hex(self.state_dir.as_os_str().as_encoded_bytes());
        match environment.get("XDG_RUNTIME_DIR") {
            Some(runtime) => Path::new(runtime).join(format!("openclaw-{digest}")),
            None => PathBuf::from(format!("/tmp/openclaw-{}-{digest}", nix::unistd::geteuid())),
        }
    }

    /// A path as shown to people and clients: the home folder shortened to `~`.
    #[must_use]
    pub fn display(&self, path: &Path) -> String {
        shorten_home(path, &self.home)
    }

    /// A command line to type for this instance: `openclaw --profile rescue gateway status`.
    #[must_use]
    pub fn command(&self, rest: &str) -> String {
        match self.profile.name() {
            Some(name) => format!("openclaw --profile {name} {rest}"),
            None => format!("openclaw {rest}"),
        }
    }

    /// A path as people write it: `~` is the home folder, and what is relative begins at `working_dir`.
    #[must_use]
    pub fn expand(&self, written: &str, working_dir: &Path) -> PathBuf {
        expand_home(written, &self.home, working_dir)
    }
}

/// What flags and configuration say about an instance.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// Ports.
    pub ports: PortWishes,
    /// `agents.defaults.workspace`.
    pub workspace: Option<String>,
    /// `canvasHost.root`.
    pub canvas_root: Option<String>,
    /// `logging.file`.
    pub log_file: Option<String>,
    /// The addresses of the base port.
    pub hosts: Vec<IpAddr>,
}

/// One running configuration of everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// Who it is.
    #[serde(flatten)]
    pub identity: Identity,
    /// Its ports.
    pub ports: Ports,
    /// The addresses that the base port listens on, in order of preference; the canvas host uses the same.
    pub hosts: Vec<IpAddr>,
    /// The agent's folder.
    pub workspace: PathBuf,
    /// What the canvas host serves.
    pub canvas_root: PathBuf,
    /// Log files.
    pub log_dir: PathBuf,
    /// A single log file named by the configuration, instead of one a day in `log_dir`.
    pub log_file: Option<PathBuf>,
    /// Local sockets.
    pub run_dir: PathBuf,
    /// The version that runs.
    pub version: String,
}

impl Instance {
    /// Resolves an instance from its identity and what flags and configuration wish.
    ///
    /// # Errors
    /// When the ports do not fit, or a port variable is not a port.
    pub fn resolve(
        identity: Identity,
        wishes: Wishes,
        environment: &Environment,
        exists: Exists<'_>,
    ) -> Result<Self, InstanceError> {
        let mut ports = wishes.ports;
        ports.dev = identity.profile.is_dev();
        ports.environment = port_variable(
            environment,
            &["OPENCLAW_GATEWAY_PORT", "CLAWDBOT_GATEWAY_PORT"],
        )?;
        if let Some(port) = port_variable(environment, &["OPENCLAW_CANVAS_HOST_PORT"])? {
            ports.canvas_host = Some(port);
        }
        let expand = |value: &String| expand_home(value, &identity.home, environment.working_dir());
        let workspace = wishes
            .workspace
            .as_ref()
            .map_or_else(|| default_workspace(&identity), expand);
        let canvas_root = wishes.canvas_root.as_ref().map_or_else(
            || default_canvas_root(&identity, &workspace, exists),
            expand,
        );
        let log_file = wishes.log_file.as_ref().map(expand);
        let log_dir = log_file
            .as_deref()
            .and_then(Path::parent)
            .map_or_else(|| StatePaths(&identity.state_dir).logs(), Path::to_path_buf);
        Ok(Self {
            ports: Ports::derive(ports)?,
            hosts: wishes.hosts,
            workspace,
            canvas_root,
            log_dir,
            log_file,
            run_dir: identity.run_dir(environment),
            version: VERSION.to_owned(),
            identity,
        })
    }
}

fn port_variable(
    environment: &Environment,
    names: &[&'static str],
) -> Result<Option<u16>, InstanceError> {
    for name in names {
        if let Some(value) = environment.get(name) {
            return match value.trim().parse::<u16>() {
                Ok(port) if port > 0 => Ok(Some(port)),
                Ok(_) | Err(_) => Err(InstanceError::BadPort {
                    name,
                    value: value.to_owned(),
                }),
            };
        }
    }
    Ok(None)
}

fn default_state_dir(profile: &Profile, home: &Path, exists: Exists<'_>) -> PathBuf {
    let own = home.join(format!(".openclaw{}", profile.suffix()));
    if !profile.is_default() || exists(&own) {
        return own;
    }
    // Folders of earlier names of the product, which an existing installation may still use.
    [".clawdbot", ".moltbot", ".moldbot"]
        .into_iter()
        .map(|name| home.join(name))
        .find(|folder| exists(folder))
        .unwrap_or(own)
}

fn existing_config(state_dir: &Path, exists: Exists<'_>) -> PathBuf {
    let own = StatePaths(state_dir).config();
    if exists(&own) {
        return own;
    }
    ["clawdbot.json", "moltbot.json", "moldbot.json"]
        .into_iter()
        .map(|name| state_dir.join(name))
        .find(|file| exists(file))
        .unwrap_or(own)
}

/// Profiles keep their workspaces beside each other; an instance whose state folder was named by the environment keeps its
/// workspace inside it, because nothing else tells it apart from the profile's own instance.
fn default_workspace(identity: &Identity) -> PathBuf {
    if identity.state_dir_is_default {
        let name = format!("workspace{}", identity.profile.suffix());
        identity.home.join(".openclaw").join(name)
    } else {
        identity.state_dir.join("workspace")
    }
}

fn default_canvas_root(identity: &Identity, workspace: &Path, exists: Exists<'_>) -> PathBuf {
    let own = workspace.join("canvas");
    let earlier = identity.home.join(".openclaw").join("canvas");
    let is_main = identity.profile.is_default() && identity.state_dir_is_default;
    if is_main && !exists(&own) && exists(&earlier) {
        earlier
    } else {
        own
    }
}

/// Expands a leading `~` and makes the path absolute and free of `.` and `..`, without asking the file system.
fn expand_home(value: &str, home: &Path, working_dir: &Path) -> PathBuf {
    let value = value.trim();
    let path = match value.strip_prefix('~') {
        Some("") => home.to_path_buf(),
        Some(rest) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        Some(_) | None => working_dir.join(value),
    };
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => {
                normal.push(component);
            }
        }
    }
    normal
}

/// Shortens the home folder to `~`.
#[must_use]
pub fn shorten_home(path: &Path, home: &Path) -> String {
    match path.strip_prefix(home) {
        Ok(rest) if rest.as_os_str().is_empty() => "~".to_owned(),
        Ok(rest) => format!("~/{}", rest.display()),
        Err(_) => path.display().to_string(),
    }
}

/// What a child inherits of the environment: everything but the secrets that reach it by its control channel.
#[must_use]
pub fn without_secrets(variables: &BTreeMap<OsString, OsString>) -> BTreeMap<OsString, OsString> {
    const SECRETS: [&str; 4] = [
        "OPENCLAW_GATEWAY_TOKEN",
        "OPENCLAW_GATEWAY_PASSWORD",
        "CLAWDBOT_GATEWAY_TOKEN",
        "CLAWDBOT_GATEWAY_PASSWORD",
    ];
    variables
        .iter()
        .filter(|(name, _)| !SECRETS.iter().any(|secret| name.as_os_str() == *secret))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// What a command inherits that somebody else asked for: no variable whose name tells of a secret, whoever it is meant for. The keys
/// of model providers are as good as money, and a command can print all it has.
#[must_use]
pub fn without_credentials(
    variables: &BTreeMap<OsString, OsString>,
) -> BTreeMap<OsString, OsString> {
    let is_secret = |name: &str| {
        // Hosts of repositories call theirs a personal access token.
        names_a_secret(name)
            || name
                .to_ascii_uppercase()
                .split('_')
                .any(|word| word == "PAT")
    };
    variables
        .iter()
        .filter(|(name, _)| !is_secret(&name.to_string_lossy()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Environment, Identity, Instance, InstanceError, Profile, Wishes};

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let home = [("HOME", "/home/me")];
        Environment::from_pairs(home.iter().chain(variables).copied(), Path::new("/cwd"))
    }

    fn resolve(profile: &str, variables: &[(&str, &str)], existing: &[&str]) -> Instance {
        let environment = environment(variables);
        let exists = |path: &Path| existing.iter().any(|known| Path::new(known) == path);
        let profile = Profile::parse(profile).unwrap();
        let identity = Identity::resolve(profile, &environment, &exists).unwrap();
        Instance::resolve(identity, Wishes::default(), &environment, &exists).unwrap()
    }

    fn check(instance: &Instance, expected: [&str; 5]) {
        let identity = &instance.identity;
        let seen = [
            &identity.state_dir,
            &identity.config_path,
            &instance.workspace,
            &instance.canvas_root,
            &instance.log_dir,
        ];
        assert_eq!(seen.map(|path| path.to_str().unwrap()), expected);
    }

    #[test]
    fn the_default_profile_lives_where_it_always_did() {
        check(
            &resolve("default", &[], &[]),
            [
                "/home/me/.openclaw",
                "/home/me/.openclaw/openclaw.json",
                "/home/me/.openclaw/workspace",
                "/home/me/.openclaw/workspace/canvas",
                "/home/me/.openclaw/logs",
            ],
        );
    }

    #[test]
    fn a_command_from_afar_sees_no_credential() {
        let names = |names: &[&str]| -> Vec<String> {
            let pairs = names.iter().map(|name| (name.into(), "x".into())).collect();
            let left = super::without_credentials(&pairs);
            left.into_keys()
                .map(|name| name.into_string().unwrap())
                .collect()
        };
        let secrets = [
            "ANTHROPIC_API_KEY",
            "OPENAI_API_KEY",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "DISCORD_BOT_TOKEN",
            "GITHUB_PAT",
            "DB_PASSWORD",
            "OPENCLAW_GATEWAY_TOKEN",
            "CLAWDBOT_GATEWAY_PASSWORD",
            "GOOGLE_APPLICATION_CREDENTIALS",
        ];
        assert!(names(&secrets).is_empty(), "{:?}", names(&secrets));
        let others = ["DISPLAY", "HOME", "HTTPS_PROXY", "PATH", "SSH_AUTH_SOCK"];
        assert_eq!(names(&others), others);
    }

    #[test]
    fn a_profile_shares_nothing_with_another() {
        let rescue = resolve("rescue", &[], &["/home/me/.openclaw/canvas"]);
        check(
            &rescue,
            [
                "/home/me/.openclaw-rescue",
                "/home/me/.openclaw-rescue/openclaw.json",
                "/home/me/.openclaw/workspace-rescue",
                "/home/me/.openclaw/workspace-rescue/canvas",
                "/home/me/.openclaw-rescue/logs",
            ],
        );
        let main = resolve("", &[], &[]);
        assert_ne!(main.run_dir, rescue.run_dir);
    }

    #[test]
    fn variables_win_over_the_profile_and_keep_to_themselves() {
        let variables = [
            ("OPENCLAW_STATE_DIR", "~/a/../b"),
            ("OPENCLAW_CONFIG_PATH", "conf/a.json"),
        ];
        check(
            &resolve("rescue", &variables, &[]),
            [
                "/home/me/b",
                "/cwd/conf/a.json",
                "/home/me/b/workspace",
                "/home/me/b/workspace/canvas",
                "/home/me/b/logs",
            ],
        );
    }

    #[test]
    fn an_existing_canvas_of_the_default_profile_is_kept_while_there_is_no_newer_one() {
        let earlier = "/home/me/.openclaw/canvas";
        let newer = "/home/me/.openclaw/workspace/canvas";
        assert_eq!(
            resolve("", &[], &[earlier]).canvas_root,
            PathBuf::from(earlier)
        );
        assert_eq!(
            resolve("", &[], &[earlier, newer]).canvas_root,
            PathBuf::from(newer)
        );
    }

    #[test]
    fn a_state_folder_of_an_earlier_name_is_found() {
        let instance = resolve(
            "",
            &[],
            &["/home/me/.moltbot", "/home/me/.moltbot/moltbot.json"],
        );
        assert_eq!(
            instance.identity.state_dir,
            PathBuf::from("/home/me/.moltbot")
        );
        assert_eq!(
            instance.identity.config_path,
            PathBuf::from("/home/me/.moltbot/moltbot.json")
        );
    }

    #[test]
    fn dev_has_its_own_ports() {
        let dev = resolve("dev", &[], &[]);
        assert_eq!((dev.ports.gateway, dev.ports.canvas_host), (19001, 19005));
        let moved = resolve("dev", &[("OPENCLAW_CANVAS_HOST_PORT", "9000")], &[]);
        assert_eq!(
            (moved.ports.gateway, moved.ports.canvas_host),
            (19001, 9000)
        );
    }

    #[test]
    fn a_port_variable_that_is_no_port_is_an_error() {
        for value in ["0", "-1", "70000", "x"] {
            let environment = environment(&[("OPENCLAW_GATEWAY_PORT", value)]);
            let exists = |_: &Path| false;
            let profile = Profile::parse("").unwrap();
            let identity = Identity::resolve(profile, &environment, &exists).unwrap();
            let refused =
                Instance::resolve(identity, Wishes::default(), &environment, &exists).unwrap_err();
            assert!(
                matches!(refused, InstanceError::BadPort { .. }),
                "{value}: {refused}"
            );
        }
    }

    #[test]
    fn sockets_move_to_a_short_folder_when_the_state_folder_is_deep() {
        let deep = format!("/{}", "d".repeat(100));
        let variables = [
            ("OPENCLAW_STATE_DIR", deep.as_str()),
            ("XDG_RUNTIME_DIR", "/run/user/1000"),
        ];
        let run = resolve("", &variables, &[]).run_dir;
        assert!(run.starts_with("/run/user/1000"), "{run:?}");
        let other = [
            ("OPENCLAW_STATE_DIR", "/x"),
            ("XDG_RUNTIME_DIR", "/run/user/1000"),
        ];
        assert_eq!(resolve("", &other, &[]).run_dir, PathBuf::from("/x/run"));
    }
}
