//! The variables of what runs: those of this machine, and those that a caller may set.               (pure)
//!
//! A variable can decide what a program does as much as its arguments can. Some only change how it talks; those are harmless.
//! Some make it load code: those are refused by name. All others are like an argument that nobody can judge, and need approval.
//!
//! Invariant: nothing is dropped in silence. What runs has every variable that was asked for, with the value that was asked for,
//! or it does not run.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use openclaw_shared::instance::{Environment, without_credentials};

/// What is harmless besides `LC_*`: how a program talks, not what it does.
const HARMLESS: [&str; 16] = [
    "CI",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "COLORTERM",
    "COLUMNS",
    "FORCE_COLOR",
    "LANG",
    "LANGUAGE",
    "LINES",
    "NODE_ENV",
    "NO_COLOR",
    "PYTHONUNBUFFERED",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "TERM",
    "TZ",
];

/// What makes programs load code, or shells read anything else than what they are given. Whoever approves a command cannot be
/// expected to see that in a name.
const LOADS_CODE: [&str; 31] = [
    "BASHOPTS",
    "BASH_ENV",
    "CDPATH",
    "CLASSPATH",
    "CVS_RSH",
    "DOTNET_STARTUP_HOOKS",
    "ENV",
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    "IFS",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "LESSCLOSE",
    "LESSOPEN",
    "NODE_OPTIONS",
    "NODE_PATH",
    "NODE_REPL_EXTERNAL_MODULE",
    "OPENSSL_CONF",
    "OPENSSL_ENGINES",
    "OPENSSL_MODULES",
    "PERLLIB",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "PROMPT_COMMAND",
    "PS4",
    "RSYNC_RSH",
    "SHELLOPTS",
    "SSH_ASKPASS",
    "SUDO_ASKPASS",
    "TAR_OPTIONS",
    "_JAVA_OPTIONS",
];

/// Families of such variables.
const LOAD_CODE: [&str; 8] = [
    "BASH_FUNC_",
    "DYLD_",
    "GIT_",
    "LD_",
    "LUA_",
    "PERL5",
    "PYTHON",
    "RUBY",
];

/// The harmless ones of those families.
const LOAD_NONE: [&str; 7] = [
    "GIT_AUTHOR_",
    "GIT_COMMITTER_",
    "GIT_TERMINAL_PROMPT",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONHASHSEED",
    "PYTHONIOENCODING",
    "PYTHONUTF8",
];

/// What the variables of a caller mean for the judgement of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// They change nothing about what runs.
    None,
    /// One of them may.
    Unknown,
}

/// Why a command cannot have the variables that were asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// It makes programs load code.
    #[error("the variable {0:?} makes programs load code, and cannot be set")]
    LoadsCode(String),
    /// No variable can be called so.
    #[error("a variable cannot be called {0:?}")]
    Name(String),
    /// The search path is not one that only adds to the host's own, which is this.
    #[error(
        "PATH can only put absolute folders, each with a colon behind it, before this node's own: {0}"
    )]
    Path(String),
}

/// The variables of a process.
pub type Variables = BTreeMap<OsString, OsString>;

/// What this machine gives to everything that runs.
#[derive(Debug, Clone)]
pub struct HostEnvironment {
    variables: Variables,
    /// The folders of the search path that are absolute; others would mean something else in every folder.
    pub path: Vec<PathBuf>,
    /// The folder that commands run in when none is named.
    pub working_dir: PathBuf,
    /// The user's home folder.
    pub home: Option<PathBuf>,
}

impl HostEnvironment {
    /// The environment of this process, without its credentials.
    #[must_use]
    pub fn of(environment: &Environment, home: Option<PathBuf>) -> Self {
        let path = environment.get("PATH").unwrap_or("/usr/bin:/bin");
        let mut host = Self {
            variables: without_credentials(environment.all()),
            path: folders(path),
            working_dir: environment.working_dir().to_owned(),
            home,
        };
        host.variables
            .insert("PATH".into(), host.path_text().into());
        host
    }

    /// The same with these folders before all others of the search path, as far as they are absolute.
    #[must_use]
    pub fn preferring(mut self, folders: impl IntoIterator<Item = PathBuf>) -> Self {
        let mut path: Vec<PathBuf> = folders.into_iter().collect();
        path.retain(|folder| folder.is_absolute());
        path.append(&mut self.path);
        self.path = path;
        self.variables
            .insert("PATH".into(), self.path_text().into());
        self
    }

    /// The search path as one text.
    #[must_use]
    pub fn path_text(&self) -> String {
        joined(&self.path)
    }

    /// What these variables mean for what runs.
    ///
    /// # Errors
    /// When one of them cannot be set.
    pub fn effect(&self, requested: &BTreeMap<String, String>) -> Result<Effect, Forbidden> {
        let mut effect = Effect::None;
        for (name, value) in requested {
            if name == "PATH" {
                let added = self.added(value);
                let added = added.ok_or_else(|| Forbidden::Path(self.path_text()))?;
                if added.is_empty() {
                    continue;
                }
            } else if is_harmless(name, value) {
                continue;
            } else if name.is_empty() || name.contains(['=', '\0']) {
                return Err(Forbidden::Name(beginning(name)));
            } else if loads_code(name) {
                return Err(Forbidden::LoadsCode(beginning(name)));
            }
            effect = Effect::Unknown;
        }
        Ok(effect)
    }

    /// The variables of a command: those of this machine, and all that a caller asked for.
    #[must_use]
    pub fn with(&self, requested: &BTreeMap<String, String>) -> Variables {
        let requested = requested.iter();
        let requested = requested.map(|(name, value)| (name.into(), value.into()));
        self.variables
            .clone()
            .into_iter()
            .chain(requested)
            .collect()
    }

    /// The folders in which a command with these variables would search.
    #[must_use]
    pub fn path_with(&self, requested: &BTreeMap<String, String>) -> Vec<PathBuf> {
        let added = requested.get("PATH").and_then(|path| self.added(path));
        let mut path = added.map(folders).unwrap_or_default();
        path.extend(self.path.iter().cloned());
        path
    }

    /// What this search path has before the host's own, if it is one that only adds to it.
    fn added<'a>(&self, path: &'a str) -> Option<&'a str> {
        let added = path.strip_suffix(&*self.path_text())?;
        let folders = match added.strip_suffix(':') {
            Some(folders) => folders,
            None => return added.is_empty().then_some(added),
        };
        folders
            .split(':')
            .all(|folder| folder.starts_with('/'))
            .then_some(added)
    }
}

fn is_harmless(name: &str, value: &str) -> bool {
    let is_listed = HARMLESS.contains(&name)
        || name.strip_prefix("LC_").is_some_and(|rest| {
            !rest.is_empty()
                && rest
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
        });
    // Locales and time zones are files as well; only the system's own are meant.
    let leads_elsewhere = match name {
        "TZ" => value.starts_with(['/', ':']) || value.contains(".."),
        "RUST_LOG" => false,
        _ => value.contains('/'),
    };
    is_listed && !leads_elsewhere && !value.contains('\0')
}

fn loads_code(name: &str) -> bool {
    let begins = |with: &[&str]| with.iter().any(|prefix| name.starts_with(prefix));
    LOADS_CODE.contains(&name)
        || begins(&LOAD_CODE) && !HARMLESS.contains(&name) && !begins(&LOAD_NONE)
}

/// As much of a name as fits into a message.
fn beginning(name: &str) -> String {
    name.chars().take(64).collect()
}

fn folders(path: &str) -> Vec<PathBuf> {
    path.split(':')
        .map(Path::new)
        .filter(|folder| folder.is_absolute())
        .map(Path::to_owned)
        .collect()
}

fn joined(path: &[PathBuf]) -> String {
    let folders: Vec<_> = path.iter().map(|folder| folder.to_string_lossy()).collect();
    folders.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> HostEnvironment {
        let pairs = [
            ("PATH", "/usr/bin:.:/bin:relative:"),
            ("HOME", "/home/me"),
            ("OPENCLAW_GATEWAY_TOKEN", "secret"),
            ("ANTHROPIC_API_KEY", "secret"),
        ];
        HostEnvironment::of(&Environment::from_pairs(pairs, Path::new("/srv")), None)
    }

    fn requested(name: &str, value: &str) -> BTreeMap<String, String> {
        [(name.to_owned(), value.to_owned())].into()
    }

    #[test]
    fn rule_50_a_variable_is_harmless_or_needs_approval_or_is_refused() {
        let host = host();
        for (name, value, says) in [
            ("LANG", "de_DE.UTF-8", "harmless"),
            ("LC_ALL", "C", "harmless"),
            ("TERM", "dumb", "harmless"),
            ("TZ", "Europe/Berlin", "harmless"),
            ("NO_COLOR", "1", "harmless"),
            ("PYTHONUNBUFFERED", "1", "harmless"),
            ("PATH", "/usr/bin:/bin", "harmless"),
            ("LANG", "/tmp/evil", "unknown"),
            ("TZ", ":/etc/shadow", "unknown"),
            ("TZ", "../../etc/shadow", "unknown"),
            ("LC_", "C", "unknown"),
            ("LC_all", "C", "unknown"),
            ("lang", "C", "unknown"),
            ("FOO", "bar", "unknown"),
            ("HOME", "x", "unknown"),
            ("GIT_AUTHOR_NAME", "x", "unknown"),
            ("OPENCLAW_STATE_DIR", "x", "unknown"),
            ("PATH", "/opt/bin:/usr/bin:/bin", "unknown"),
            ("LD_PRELOAD", "x.so", "refused"),
            ("DYLD_INSERT_LIBRARIES", "x", "refused"),
            ("BASH_ENV", "x", "refused"),
            ("BASH_FUNC_ls%%", "() { id; }", "refused"),
            ("ENV", "x", "refused"),
            ("GIT_SSH_COMMAND", "x", "refused"),
            ("NODE_OPTIONS", "x", "refused"),
            ("PYTHONPATH", "x", "refused"),
            ("PYTHONUNBUFFERED", "/x", "unknown"),
            ("PERL5OPT", "x", "refused"),
            ("RUBYOPT", "x", "refused"),
            ("IFS", "x", "refused"),
            ("PS4", "$(id)", "refused"),
            ("", "x", "refused"),
            ("A=B", "x", "refused"),
        ] {
            let found = match host.effect(&requested(name, value)) {
                Ok(Effect::None) => "harmless",
                Ok(Effect::Unknown) => "unknown",
                Err(_) => "refused",
            };
            assert_eq!(found, says, "{name}={value}");
        }
    }

    #[test]
    fn the_search_path_is_absolute_and_only_added_to() {
        let host = host();
        assert_eq!(host.path_text(), "/usr/bin:/bin");
        for (path, searched) in [
            ("/opt/bin:/usr/bin:/bin", Some("/opt/bin:/usr/bin:/bin")),
            ("/usr/bin:/bin", Some("/usr/bin:/bin")),
            ("/opt/bin:.:/usr/bin:/bin", None),
            (":/usr/bin:/bin", None),
            ("/opt/bin::/usr/bin:/bin", None),
            ("/tmp/evil", None),
            ("/usr/bin:/bin:/tmp/evil", None),
            ("/tmp/evil/usr/bin:/bin", None),
            ("", None),
        ] {
            let requested = requested("PATH", path);
            assert_eq!(
                host.effect(&requested).is_ok(),
                searched.is_some(),
                "{path}"
            );
            if let Some(searched) = searched {
                assert_eq!(joined(&host.path_with(&requested)), searched);
                assert_eq!(host.with(&requested)[&OsString::from("PATH")], *path);
            }
        }
        assert_eq!(joined(&host.path_with(&BTreeMap::new())), "/usr/bin:/bin");
    }

    #[test]
    fn what_is_asked_for_is_what_runs() {
        let variables = host().with(&requested("DRY_RUN", "1"));
        assert_eq!(variables[&OsString::from("DRY_RUN")], *"1");
        assert_eq!(variables[&OsString::from("HOME")], *"/home/me");
    }

    #[test]
    fn rule_102_secrets_of_this_process_are_not_handed_on() {
        let names: Vec<OsString> = host().with(&BTreeMap::new()).into_keys().collect();
        assert_eq!(names, ["HOME", "PATH"]);
    }
}
