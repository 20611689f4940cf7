//! What may be executed on a machine, as its owner keeps it in one file: the model, and how the file is read and written.
//!
//! The gateway shows and replaces the file for clients; the node host reads it before it runs anything and notes what was used.
//! Who decides what the entries mean is the node host.
//!
//! Invariant: whoever changes the file does it through [`change`], on what it is at that moment.
//!
//! Invariant: a file that cannot be understood is reported and never replaced, and the socket's token leaves this machine in no
//! answer ([`ApprovalsFile::redacted`]).

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::write::replace_private;
use crate::digest;
use crate::literals;
use crate::protocol::strict::{Int, object, present, present_object};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 4 * 1024 * 1024;

literals! {
    /// How much may be executed.
    pub enum Security {
        /// Nothing.
        Deny = "deny",
        /// What the allow-list names.
        Allowlist = "allowlist",
        /// Everything.
        Full = "full",
    }
}

literals! {
    /// When a person is asked.
    pub enum Ask {
        /// Never.
        Off = "off",
        /// When the allow-list does not say.
        OnMiss = "on-miss",
        /// Each time.
        Always = "always",
    }
}

/// The local socket of a companion app that asks on this machine's screen.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalsSocket {
    /// Where it is.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "String")]
    pub path: Option<String>,
    /// What proves that a message is ours; never shown to clients.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "String")]
    pub token: Option<String>,
}

impl fmt::Debug for ApprovalsSocket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ApprovalsSocket")
            .field("path", &self.path)
            .field("token", &self.token.as_ref().map(|_| "***"))
            .finish()
    }
}

/// A struct with the rules that hold for everybody or for one agent, which stand beside whatever else it holds.
macro_rules! with_rules {
    ($(#[$about:meta])* pub struct $name:ident { $($others:tt)* }) => {
        $(#[$about])*
        #[derive(Default, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name {
            /// How much may be executed.
            #[serde(
                default,
                deserialize_with = "present",
                skip_serializing_if = "Option::is_none"
            )]
            #[schemars(with = "Security")]
            pub security: Option<Security>,
            /// When a person is asked.
            #[serde(
                default,
                deserialize_with = "present",
                skip_serializing_if = "Option::is_none"
            )]
            #[schemars(with = "Ask")]
            pub ask: Option<Ask>,
            /// What holds when nobody can be asked. It is kept for other programs and has no effect on node hosts of ours: what
            /// nobody approves is not executed, and a node host says in its log that it does not keep to anything else.
            #[serde(
                default,
                deserialize_with = "present",
                skip_serializing_if = "Option::is_none"
            )]
            #[schemars(with = "Security")]
            pub ask_fallback: Option<Security>,
            /// Whether programs of known skills need no entry, where they are found on the node's own search path.
            #[serde(
                default,
                deserialize_with = "present",
                skip_serializing_if = "Option::is_none"
            )]
            #[schemars(with = "bool")]
            pub auto_allow_skills: Option<bool>,
            $($others)*
        }
    };
}

with_rules! {
    /// What holds unless an agent's own entry says otherwise.
    #[derive(Copy)]
    pub struct ApprovalsDefaults {}
}

/// A program that may be executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowlistEntry {
    /// What keeps the entry one across edits; given when it is missing.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "String")]
    pub id: Option<String>,
    /// A glob over the path of the program.
    pub pattern: String,
    /// When it last allowed something, in milliseconds since the epoch.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Int<0>")]
    pub last_used_at: Option<Int<0>>,
    /// The command it last allowed.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "String")]
    pub last_used_command: Option<String>,
    /// The program it last allowed.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "String")]
    pub last_resolved_path: Option<String>,
}

with_rules! {
    /// What one agent may execute; `*` stands for all others.
    pub struct AgentApprovals {
        /// The programs that may be executed.
        #[serde(
            default,
            deserialize_with = "present_entries",
            skip_serializing_if = "Option::is_none"
        )]
        #[schemars(with = "Vec<AllowlistEntry>")]
        pub allowlist: Option<Vec<AllowlistEntry>>,
    }
}

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalsFile {
    /// The form of the file: 1.
    #[schemars(schema_with = "one")]
    #[serde(deserialize_with = "read_one")]
    pub version: u8,
    /// The socket of a companion app.
    #[serde(
        default,
        deserialize_with = "present_object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "ApprovalsSocket")]
    pub socket: Option<ApprovalsSocket>,
    /// What holds for every agent.
    #[serde(
        default,
        deserialize_with = "present_object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "ApprovalsDefaults")]
    pub defaults: Option<ApprovalsDefaults>,
    /// What holds for single agents.
    #[serde(
        default,
        deserialize_with = "present_agents",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "BTreeMap<String, AgentApprovals>")]
    pub agents: Option<BTreeMap<String, AgentApprovals>>,
}

fn one(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "const": 1, "type": "number" })
}

fn read_one<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    Int::<1, 1>::deserialize(deserializer).map(|_| 1)
}

fn present_agents<'de, D>(
    deserializer: D,
) -> Result<Option<BTreeMap<String, AgentApprovals>>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    /// An agent from an object alone.
    #[derive(Deserialize)]
    struct Strict(#[serde(deserialize_with = "object")] AgentApprovals);

    let agents = BTreeMap::<String, Strict>::deserialize(deserializer)?;
    Ok(Some(
        agents
            .into_iter()
            .map(|(name, Strict(agent))| (name, agent))
            .collect(),
    ))
}

fn present_entries<'de, D>(deserializer: D) -> Result<Option<Vec<AllowlistEntry>>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    /// An entry from an object alone.
    #[derive(Deserialize)]
    struct Strict(#[serde(deserialize_with = "object")] AllowlistEntry);

    let entries = Vec::<Strict>::deserialize(deserializer)?;
    Ok(Some(
        entries.into_iter().map(|Strict(entry)| entry).collect(),
    ))
}

impl Default for ApprovalsFile {
    fn default() -> Self {
        Self {
            version: 1,
            socket: None,
            defaults: None,
            agents: None,
        }
    }
}

impl ApprovalsFile {
    fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).expect("the file has string keys") + "\n"
    }

    /// What clients may see of it.
    #[must_use]
    pub fn redacted(mut self) -> Self {
        if let Some(socket) = &mut self.socket {
            socket.token = None;
        }
        self
    }

    /// The same with the name by which the main agent was known before, and with an id for every entry.
    #[must_use]
    pub fn normalized(mut self, mut fresh_id: impl FnMut() -> String) -> Self {
        let agents = self.agents.get_or_insert_default();
        if let Some(legacy) = agents.remove("default") {
            let main = agents.entry("main".to_owned()).or_default();
            main.security = main.security.or(legacy.security);
            main.ask = main.ask.or(legacy.ask);
            main.ask_fallback = main.ask_fallback.or(legacy.ask_fallback);
            main.auto_allow_skills = main.auto_allow_skills.or(legacy.auto_allow_skills);
            let known = main.allowlist.get_or_insert_default();
            for entry in legacy.allowlist.unwrap_or_default() {
                if !known.iter().any(|other| other.pattern == entry.pattern) {
                    known.push(entry);
                }
            }
        }
        for entry in agents
            .values_mut()
            .filter_map(|agent| agent.allowlist.as_mut())
            .flatten()
        {
            entry.id.get_or_insert_with(&mut fresh_id);
        }
        self
    }

    /// The same with the socket of the file it replaces: clients never saw its token and cannot send it back.
    #[must_use]
    pub fn keeping_socket_of(mut self, earlier: &Self) -> Self {
        if let Some(earlier) = &earlier.socket {
            let socket = self.socket.get_or_insert_default();
            socket.token.clone_from(&earlier.token);
            socket.path = socket.path.take().or_else(|| earlier.path.clone());
        } else if let Some(socket) = &mut self.socket {
            socket.token = None;
        }
        self
    }
}

/// The file as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalsSnapshot {
    /// Whether there is a file.
    pub exists: bool,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub hash: String,
    /// What it says.
    pub file: ApprovalsFile,
}

/// Why the file was not read or written. It is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalsError {
    /// It is there and cannot be read.
    #[error("read the exec approvals {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is there and is not what it should be.
    #[error("use the exec approvals {}: {reason}; mend it or move it away", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Whoever replaces it must say which one it has read.
    #[error("exec approvals base hash required; re-run exec.approvals.get and retry")]
    BaseRequired,
    /// Somebody else changed it since it was read.
    #[error("exec approvals changed since last load; re-run exec.approvals.get and retry")]
    Changed,
    /// It cannot be written.
    #[error("write the exec approvals {}: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Reads the file; what is not there says nothing.
///
/// # Errors
/// When it is there and cannot be read or understood.
pub fn load(path: &Path) -> Result<ApprovalsSnapshot, ApprovalsError> {
    let unreadable = |source| ApprovalsError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let broken = |reason: String| ApprovalsError::Broken {
        path: path.to_owned(),
        reason,
    };
    match fs::metadata(path) {
        Ok(about) if about.len() > LARGEST => {
            return Err(broken(format!("it has more than {LARGEST} bytes")));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(ApprovalsSnapshot {
                exists: false,
                hash: digest::hex(b""),
                file: ApprovalsFile::default(),
            });
        }
        Err(source) => return Err(unreadable(source)),
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    let file = serde_json::from_slice(&bytes).map_err(|error| broken(error.to_string()))?;
    Ok(ApprovalsSnapshot {
        exists: true,
        hash: digest::hex(&bytes),
        file,
    })
}

/// Replaces the file, if it still is the one whose hash is `base`; a file that is not there yet needs none.
///
/// # Errors
/// When it has changed, cannot be understood, or cannot be written.
pub fn replace(
    path: &Path,
    file: ApprovalsFile,
    base: Option<&str>,
) -> Result<ApprovalsSnapshot, ApprovalsError> {
    change(path, |current| match base {
        None if current.exists => Err(ApprovalsError::BaseRequired),
        Some(base) if current.exists && base != current.hash => Err(ApprovalsError::Changed),
        None | Some(_) => Ok(Some(file.keeping_socket_of(&current.file))),
    })
}

/// Changes the file as it is at this moment: nobody else who changes it this way comes in between, in whatever process, so that an
/// entry that was taken out does not come back. What is given is written for the owner alone; nothing given changes nothing.
///
/// It waits for others and for the disk, and is not for a thread that must not wait.
///
/// # Errors
/// What `edit` says; and when the file cannot be understood, was changed by somebody who does not keep to this, or cannot be written.
pub fn change(
    path: &Path,
    edit: impl FnOnce(&ApprovalsSnapshot) -> Result<Option<ApprovalsFile>, ApprovalsError>,
) -> Result<ApprovalsSnapshot, ApprovalsError> {
    let unwritable = |source| ApprovalsError::Unwritable {
        path: path.to_owned(),
        source,
    };
    let _lock = lock(path).map_err(unwritable)?;
    let current = load(path)?;
    let Some(file) = edit(&current)? else {
        return Ok(current);
    };
    let file = file.normalized(random_id);
    let text = file.to_text();
    // An editor takes no lock. As late as possible: after this look there is only the write itself.
    if load(path)?.hash != current.hash {
        return Err(ApprovalsError::Changed);
    }
    replace_private(path, text.as_bytes()).map_err(unwritable)?;
    Ok(ApprovalsSnapshot {
        exists: true,
        hash: digest::hex(text.as_bytes()),
        file,
    })
}

/// The lock of everybody who changes the file. It lies beside the file, because the file itself is replaced by each change.
fn lock(path: &Path) -> io::Result<Flock<File>> {
    if let Some(folder) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(name)?;
    loop {
        match Flock::lock(file, FlockArg::LockExclusive) {
            Ok(lock) => return Ok(lock),
            Err((again, Errno::EINTR)) => file = again,
            Err((_, error)) => return Err(error.into()),
        }
    }
}

/// A random id in the form of a UUID.
fn random_id() -> String {
    let mut random = [0; 16];
    // Without randomness nothing else on this machine works either; equal ids only make edits ambiguous.
    let _ = getrandom::fill(&mut random);
    random[6] = (random[6] & 0x0f) | 0x40;
    random[8] = (random[8] & 0x3f) | 0x80;
    let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use serde_json::json;

    use super::*;

    fn file(value: serde_json::Value) -> ApprovalsFile {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_file_is_private_and_replaced_only_by_who_has_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("exec-approvals.json");
        let missing = load(&path).unwrap();
        assert!(!missing.exists);
        let first = file(json!({"version": 1, "defaults": {"security": "deny"}}));
        let written = replace(&path, first.clone(), None).unwrap();
        assert_eq!(load(&path).unwrap(), written);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(matches!(
            replace(&path, first.clone(), None),
            Err(ApprovalsError::BaseRequired)
        ));
        assert!(matches!(
            replace(&path, first.clone(), Some("x")),
            Err(ApprovalsError::Changed)
        ));
        let second = file(json!({"version": 1, "defaults": {"security": "full"}}));
        assert!(replace(&path, second, Some(&written.hash)).is_ok());
        assert!(matches!(
            replace(&path, first, Some(&written.hash)),
            Err(ApprovalsError::Changed)
        ));
    }

    #[test]
    fn an_entry_that_was_taken_out_does_not_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("exec-approvals.json");
        let listed = |pattern: &str| {
            file(
                json!({"version": 1, "agents": {"main": {"allowlist": [{"id": "1", "pattern": pattern}]}}}),
            )
        };
        let base = replace(&path, listed("/bin/sh"), None).unwrap().hash;
        // While one changes the file, another takes the entry out: it comes afterwards, and sees what it did not know.
        let (began, wait) = std::sync::mpsc::channel();
        let other = {
            let path = path.clone();
            std::thread::spawn(move || {
                wait.recv().unwrap();
                replace(&path, ApprovalsFile::default(), Some(&base))
            })
        };
        let noted = change(&path, |current| {
            began.send(()).unwrap();
            let mut file = current.file.clone();
            let agents = file.agents.get_or_insert_default();
            agents.entry("noted".to_owned()).or_default();
            Ok(Some(file))
        });
        assert!(matches!(
            other.join().unwrap(),
            Err(ApprovalsError::Changed)
        ));
        assert_eq!(load(&path).unwrap(), noted.unwrap());
        // An editor that takes no lock is noticed before it is overwritten.
        let text = r#"{"version":1}"#;
        let changed = change(&path, |current| {
            fs::write(&path, text).unwrap();
            Ok(Some(current.file.clone()))
        });
        assert!(matches!(changed, Err(ApprovalsError::Changed)));
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn a_broken_file_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("exec-approvals.json");
        for text in [
            "{",
            "",
            "[]",
            r#"{"version":2}"#,
            r#"{"version":1,"agents":{"a":[]}}"#,
            r#"{"version":1,"defaults":{"security":"al"}}"#,
        ] {
            fs::write(&path, text).unwrap();
            assert!(
                matches!(load(&path), Err(ApprovalsError::Broken { .. })),
                "{text}"
            );
            let hash = digest::hex(text.as_bytes());
            let replaced = replace(&path, ApprovalsFile::default(), Some(&hash));
            assert!(
                matches!(replaced, Err(ApprovalsError::Broken { .. })),
                "{text}"
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn the_token_of_the_socket_is_not_shown_and_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("exec-approvals.json");
        fs::write(
            &path,
            r#"{"version":1,"socket":{"path":"/s","token":"secret"}}"#,
        )
        .unwrap();
        let read = load(&path).unwrap();
        assert!(!format!("{read:?}").contains("secret"));
        let shown = read.file.redacted();
        assert!(!serde_json::to_string(&shown).unwrap().contains("secret"));
        replace(&path, shown, Some(&read.hash)).unwrap();
        assert_eq!(
            load(&path).unwrap().file.socket.unwrap().token.as_deref(),
            Some("secret")
        );
    }

    #[test]
    fn entries_get_ids_and_the_old_name_of_the_main_agent_is_understood() {
        let old = file(json!({"version": 1, "agents": {
            "default": {"security": "full", "ask": "off", "allowlist": [{"pattern": "/bin/a"}, {"pattern": "/bin/b"}]},
            "main": {"security": "deny", "allowlist": [{"id": "x", "pattern": "/bin/a"}]},
        }}));
        let mut count = 0;
        let new = old.normalized(|| {
            count += 1;
            format!("new-{count}")
        });
        assert_eq!(
            serde_json::to_value(new).unwrap(),
            json!({"version": 1, "agents": {"main": {"security": "deny", "ask": "off",
                "allowlist": [{"id": "x", "pattern": "/bin/a"}, {"id": "new-1", "pattern": "/bin/b"}]}}})
        );
    }
}
