//! The variables of what runs: those of this machine, and the few that a caller may set.               (pure)
//!
//! A variable can decide what a program does as much as its arguments can: `LD_PRELOAD`, `BASH_ENV`, `GIT_SSH_COMMAND`,
//! `NODE_OPTIONS`. Therefore callers set what is on a list, and everything else they send is dropped.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use openclaw_shared::instance::{Environment, without_secrets};

/// What a caller may set besides `LC_*`: how a program talks, not what it does.
const ALLOWED: [&str; 16] = [
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

/// The variables of a process.
pub(crate) type Variables = BTreeMap<OsString, OsString>;

/// What this machine gives to everything that runs.
#[derive(Debug, Clone)]
pub(crate) struct HostEnvironment {
    variables: Variables,
    /// The folders of the search path that are absolute; others would mean something else in every folder.
    pub(crate) path: Vec<PathBuf>,
    pub(crate) working_dir: PathBuf,
    pub(crate) home: Option<PathBuf>,
}

impl HostEnvironment {
    pub(crate) fn of(environment: &Environment, home: Option<PathBuf>) -> Self {
        let path = environment.get("PATH").unwrap_or("/usr/bin:/bin");
        let mut host = Self {
            variables: without_secrets(environment.all()),
            path: folders(path),
            working_dir: environment.working_dir().to_owned(),
            home,
        };
        host.variables
            .insert("PATH".into(), host.path_text().into());
        host
    }

    /// The search path as one text.
    pub(crate) fn path_text(&self) -> String {
        joined(&self.path)
    }

    /// The variables for what the allow-list let run: on the host's own search path, on which it was judged.
    pub(crate) fn judged(&self, requested: &BTreeMap<String, String>) -> Variables {
        let mut variables = self.variables.clone();
        for (name, value) in requested {
            if may_be_set(name, value) {
                variables.insert(name.into(), value.into());
            }
        }
        variables
    }

    /// The variables for what runs as it was asked for, with the caller's search path if that only adds to the host's.
    pub(crate) fn as_asked(
        &self,
        requested: &BTreeMap<String, String>,
    ) -> (Variables, Vec<PathBuf>) {
        let mut variables = self.judged(requested);
        let path = self.extended_path(requested.get("PATH"));
        variables.insert("PATH".into(), joined(&path).into());
        (variables, path)
    }

    fn extended_path(&self, requested: Option<&String>) -> Vec<PathBuf> {
        let own = self.path_text();
        let added = requested.and_then(|path| path.strip_suffix(&*own));
        match added {
            Some(added) if added.is_empty() || added.ends_with(':') => {
                let mut path = folders(added);
                path.extend(self.path.iter().cloned());
                path
            }
            Some(_) | None => self.path.clone(),
        }
    }
}

fn may_be_set(name: &str, value: &str) -> bool {
    let is_listed = ALLOWED.contains(&name)
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
        ];
        HostEnvironment::of(&Environment::from_pairs(pairs, Path::new("/work")), None)
    }

    fn requested(name: &str, value: &str) -> BTreeMap<String, String> {
        [(name.to_owned(), value.to_owned())].into()
    }

    #[test]
    fn callers_set_what_is_on_the_list_and_nothing_else() {
        let host = host();
        for (name, value, set) in [
            ("LANG", "de_DE.UTF-8", true),
            ("LC_ALL", "C", true),
            ("TERM", "dumb", true),
            ("TZ", "Europe/Berlin", true),
            ("NO_COLOR", "1", true),
            ("LANG", "/tmp/evil", false),
            ("TZ", ":/etc/shadow", false),
            ("TZ", "../../etc/shadow", false),
            ("LC_", "C", false),
            ("LC_all", "C", false),
            ("lang", "C", false),
            ("LD_PRELOAD", "x.so", false),
            ("BASH_ENV", "x", false),
            ("ENV", "x", false),
            ("GIT_SSH_COMMAND", "x", false),
            ("NODE_OPTIONS", "x", false),
            ("PYTHONPATH", "x", false),
            ("HOME", "x", false),
            ("IFS", "x", false),
            ("OPENCLAW_STATE_DIR", "x", false),
            ("", "x", false),
        ] {
            let variables = host.judged(&requested(name, value));
            let found = variables.get(&OsString::from(name));
            assert_eq!(
                found.is_some_and(|found| found == value),
                set,
                "{name}={value}"
            );
        }
    }

    #[test]
    fn the_search_path_is_absolute_and_only_added_to() {
        let host = host();
        assert_eq!(host.path_text(), "/usr/bin:/bin");
        for (path, becomes) in [
            ("/opt/bin:/usr/bin:/bin", "/opt/bin:/usr/bin:/bin"),
            ("/opt/bin:.:/usr/bin:/bin", "/opt/bin:/usr/bin:/bin"),
            ("/usr/bin:/bin", "/usr/bin:/bin"),
            ("/tmp/evil", "/usr/bin:/bin"),
            ("/usr/bin:/bin:/tmp/evil", "/usr/bin:/bin"),
            ("/tmp/evil/usr/bin:/bin", "/usr/bin:/bin"),
            ("/tmp/evil", "/usr/bin:/bin"),
            ("", "/usr/bin:/bin"),
        ] {
            let (variables, folders) = host.as_asked(&requested("PATH", path));
            assert_eq!(variables[&OsString::from("PATH")], *becomes, "{path}");
            assert_eq!(joined(&folders), becomes);
            let judged = host.judged(&requested("PATH", path));
            assert_eq!(judged[&OsString::from("PATH")], *"/usr/bin:/bin");
        }
    }

    #[test]
    fn secrets_of_the_gateway_are_not_handed_on() {
        assert!(
            !host()
                .judged(&BTreeMap::new())
                .contains_key(&OsString::from("OPENCLAW_GATEWAY_TOKEN"))
        );
    }
}
