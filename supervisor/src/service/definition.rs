//! What a service is to start, before any service manager's syntax.                                             (pure)
//!
//! Nothing here can go stale: which port, which token and which version is found out at each start. What is written down says only
//! which instance it is, and where its program lies.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use openclaw_shared::instance::{Identity, VERSION};
use openclaw_shared::paths::StatePaths;

use super::names::Names;

/// A service as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) names: Names,
    /// For people: which instance it is.
    pub(crate) description: String,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// The user's home: a tool must not begin in the root folder.
    pub(crate) home: PathBuf,
    /// Where a service manager that keeps no log of its own writes what is printed.
    pub(crate) logs: PathBuf,
    /// The user that a service of the whole system runs as.
    pub(crate) user: Option<String>,
    /// What the service manager listens on itself, from before the first start on.
    pub(crate) sockets: Vec<SocketAddr>,
}

/// Why a definition cannot be written down.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DefinitionError {
    /// A service file is lines of text.
    #[error("the path {0:?} cannot stand in a service file")]
    Path(PathBuf),
}

/// What differs from one service of a profile to another.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variant {
    /// The version that the file names; absent means this one.
    pub(crate) version: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) sockets: Vec<SocketAddr>,
}

impl Definition {
    /// The service of an instance.
    ///
    /// # Errors
    /// When a path has characters that would end a line, or is no text.
    pub(crate) fn of(
        identity: &Identity,
        names: Names,
        program: &Path,
        variant: Variant,
    ) -> Result<Self, DefinitionError> {
        let version = variant.version.unwrap_or_else(|| VERSION.to_owned());
        let profile = &identity.profile;
        let description = match profile.name() {
            Some(name) => format!("OpenClaw Gateway (profile: {name}, v{version})"),
            None => format!("OpenClaw Gateway (v{version})"),
        };
        let mut environment = Vec::new();
        let mut set =
            |name: &str, value: &str| environment.push((name.to_owned(), value.to_owned()));
        if let Some(name) = profile.name() {
            set("OPENCLAW_PROFILE", name);
        }
        if !identity.state_dir_is_default {
            set("OPENCLAW_STATE_DIR", text(&identity.state_dir)?);
        }
        if identity.config_path != StatePaths(&identity.state_dir).config() {
            set("OPENCLAW_CONFIG_PATH", text(&identity.config_path)?);
        }
        set("PATH", &search_path(text(&identity.home)?));
        set("OPENCLAW_SERVICE_MARKER", "openclaw");
        set("OPENCLAW_SERVICE_KIND", "gateway");
        set("OPENCLAW_SERVICE_VERSION", &version);
        text(program)?;
        Ok(Self {
            names,
            description,
            program: program.to_path_buf(),
            arguments: vec!["gateway".to_owned(), "run".to_owned()],
            environment,
            home: identity.home.clone(),
            logs: StatePaths(&identity.state_dir).logs(),
            user: variant.user,
            sockets: variant.sockets,
        })
    }
}

/// A path as text without control characters.
fn text(path: &Path) -> Result<&str, DefinitionError> {
    path.to_str()
        .filter(|text| !text.chars().any(char::is_control))
        .ok_or_else(|| DefinitionError::Path(path.to_path_buf()))
}

/// Where agents' tools are looked for: what people install into their homes, then the system. A service manager's own list is shorter.
fn search_path(home: &str) -> String {
    const IN_HOME: [&str; 8] = [
        ".local/bin",
        ".npm-global/bin",
        "bin",
        ".volta/bin",
        ".asdf/shims",
        ".local/share/pnpm",
        ".bun/bin",
        ".cargo/bin",
    ];
    const OF_SYSTEM: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];
    // A colon ends a folder's name, whatever is put around it.
    let in_home = IN_HOME
        .iter()
        .map(|folder| format!("{}/{folder}", home.trim_end_matches('/')));
    let folders = in_home.filter(|_| !home.contains(':'));
    let all: Vec<String> = folders
        .chain(OF_SYSTEM.iter().map(|folder| (*folder).to_owned()))
        .collect();
    all.join(":")
}

#[cfg(test)]
pub(crate) mod tests {
    use openclaw_shared::instance::{Environment, Profile};

    use super::*;

    pub(crate) fn definition(profile: &str, home: &str, variables: &[(&str, &str)]) -> Definition {
        let home = [("HOME", home)];
        let pairs = home.iter().chain(variables).copied();
        let environment = Environment::from_pairs(pairs, Path::new("/"));
        let profile = Profile::parse(profile).unwrap();
        let identity = Identity::resolve(profile, &environment, &|_| false).unwrap();
        let names = Names::of(&identity.profile, &environment);
        let variant = Variant {
            version: Some("2026.1.1".to_owned()),
            ..Variant::default()
        };
        Definition::of(&identity, names, Path::new("/usr/bin/openclaw"), variant).unwrap()
    }

    fn names_of(definition: &Definition) -> Vec<&str> {
        definition
            .environment
            .iter()
            .map(|(name, _)| name.as_str())
            .collect()
    }

    #[test]
    fn only_what_tells_the_instance_is_written_down() {
        let markers = [
            "PATH",
            "OPENCLAW_SERVICE_MARKER",
            "OPENCLAW_SERVICE_KIND",
            "OPENCLAW_SERVICE_VERSION",
        ];
        let main = definition(
            "",
            "/home/me",
            &[
                ("OPENCLAW_GATEWAY_TOKEN", "secret"),
                ("OPENCLAW_GATEWAY_PORT", "1"),
            ],
        );
        assert_eq!(names_of(&main), markers);
        assert_eq!(main.description, "OpenClaw Gateway (v2026.1.1)");
        let rescue = definition(
            "rescue",
            "/home/me",
            &[
                ("OPENCLAW_STATE_DIR", "/s"),
                ("OPENCLAW_CONFIG_PATH", "/c.json"),
            ],
        );
        assert_eq!(
            names_of(&rescue)[..3],
            [
                "OPENCLAW_PROFILE",
                "OPENCLAW_STATE_DIR",
                "OPENCLAW_CONFIG_PATH"
            ]
        );
        assert_eq!(
            rescue.description,
            "OpenClaw Gateway (profile: rescue, v2026.1.1)"
        );
    }

    #[test]
    fn a_path_that_would_end_a_line_is_refused() {
        let environment =
            Environment::from_pairs([("HOME", "/home/a\nExecStart=b")], Path::new("/"));
        let identity = Identity::resolve(Profile::default(), &environment, &|_| false).unwrap();
        let names = Names::of(&identity.profile, &environment);
        let refused = Definition::of(&identity, names, Path::new("/x"), Variant::default());
        assert!(
            matches!(refused, Err(DefinitionError::Path(_))),
            "{refused:?}"
        );
    }
}
