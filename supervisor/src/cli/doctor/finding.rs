//! What can be wrong with an instance, and what can be done about it.                                   (pure)
//!
//! A code is a contract: scripts and runbooks name it. The table in `docs/OPERATIONS.md` is compared with [`Code::ALL`] by a test.

use std::path::PathBuf;

use openclaw_shared::config::KeyPath;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::service::Reinstall;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// It does not work, or it is open to others.
    Error,
    /// It works, but not as it should, or not for long.
    Warning,
    /// Worth knowing; nothing has to be done.
    Note,
}

impl Severity {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// What a finding is about; they are told in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Area {
    Configuration,
    Security,
    State,
    Database,
    Service,
    Ports,
    Leftovers,
    Machine,
}

impl Area {
    pub(crate) const ALL: [Self; 8] = [
        Self::Configuration,
        Self::Security,
        Self::State,
        Self::Database,
        Self::Service,
        Self::Ports,
        Self::Leftovers,
        Self::Machine,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Configuration => "Configuration",
            Self::Security => "Security",
            Self::State => "State",
            Self::Database => "Database",
            Self::Service => "Service",
            Self::Ports => "Ports",
            Self::Leftovers => "Leftovers",
            Self::Machine => "Machine",
        }
    }
}

/// Declares the codes: name, stable text, area, severity, and what it means, for the table in the documents.
macro_rules! codes {
    ($($code:ident = $text:literal, $area:ident, $severity:ident, $meaning:literal;)+) => {
        /// What was found.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code {
            $(
                #[doc = $meaning]
                $code,
            )+
        }

        impl Code {
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$code),+];

            /// The word by which scripts know it.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$code => $text),+ }
            }

            pub(crate) const fn area(self) -> Area {
                match self { $(Self::$code => Area::$area),+ }
            }

            pub(crate) const fn severity(self) -> Severity {
                match self { $(Self::$code => Severity::$severity),+ }
            }

            #[cfg(test)]
            pub(crate) const fn meaning(self) -> &'static str {
                match self { $(Self::$code => $meaning),+ }
            }
        }
    };
}

codes! {
    ConfigMissing = "config-missing", Configuration, Error, "there is no configuration file";
    ConfigInvalid = "config-invalid", Configuration, Error, "the configuration file cannot be used; one finding for each mistake";
    ConfigRefused = "config-refused", Configuration, Error, "the configuration reads well, and a start on it is refused";
    ConfigUnknownKey = "config-unknown-key", Configuration, Warning, "a key means nothing to this version";
    ConfigLegacyKey = "config-legacy-key", Configuration, Warning, "a key belongs to an older version and has moved";
    ConfigOdd = "config-odd", Configuration, Warning, "a setting works, but probably not as its author thinks";
    ConfigNotInForce = "config-not-in-force", Configuration, Error, "the running gateway runs on another configuration than the file";
    ConfigOwnKeys = "config-own-keys", Configuration, Note, "keys that only this version knows; the Node version refuses a file that has them";
    TokenMissing = "token-missing", Security, Note, "there is no gateway token; one is made at the first start";
    TokenWeak = "token-weak", Security, Warning, "the shared secret is short enough to be guessed";
    SecretReadable = "secret-readable", Security, Error, "another user of this machine can read a file with secrets";
    SecretInUnit = "secret-in-unit", Security, Error, "a service file holds the token in clear";
    BindExposed = "bind-exposed", Security, Warning, "the gateway listens to other machines, and what is said to it is not encrypted";
    SafetyOff = "safety-off", Security, Warning, "a setting switches a safeguard off";
    ChannelOpen = "channel-open", Security, Warning, "a channel lets anybody talk to the agent";
    StateMissing = "state-missing", State, Note, "there is no state folder; it is made at the first start";
    StateUnusable = "state-unusable", State, Error, "the state folder is no folder, belongs to another user, or cannot be written";
    StateOpen = "state-open", State, Warning, "other users of this machine can look into the state folder";
    StateForeignFile = "state-foreign-file", State, Error, "a file in the state folder belongs to another user";
    DatabaseDamaged = "database-damaged", Database, Error, "the database is damaged";
    DatabaseNewer = "database-newer", Database, Warning, "the database was written by a newer version";
    DatabaseUnread = "database-unread", Database, Warning, "the database could not be looked over";
    ServiceFailed = "service-failed", Service, Error, "the service is installed and its last start failed";
    ServiceStopped = "service-stopped", Service, Warning, "the service is installed and not running";
    ServiceDrift = "service-drift", Service, Warning, "the service file differs from the one that this version writes";
    ServiceProgramMissing = "service-program-missing", Service, Error, "the program that the service starts does not exist";
    ServiceProgramOpen = "service-program-open", Service, Warning, "another user of this machine can replace the program that the service starts";
    ServiceOther = "service-other", Service, Warning, "another service looks like a gateway";
    ServiceLegacy = "service-legacy", Service, Warning, "a service of an earlier name of the product is installed";
    ServiceLinger = "service-linger", Service, Warning, "the service ends when its user logs out";
    PortBusy = "port-busy", Ports, Error, "a port of this instance belongs to another program";
    PortShared = "port-shared", Ports, Warning, "another profile is configured for the same ports";
    SocketStale = "socket-stale", Leftovers, Note, "a local socket on which nobody answers";
    LockStale = "lock-stale", Leftovers, Note, "a lock file of a process that has ended";
    HalfWritten = "half-written", Leftovers, Note, "a file that a write which never ended has left";
    LegacyFolder = "legacy-folder", Leftovers, Note, "a state folder of an earlier name of the product";
    LegacyVariable = "legacy-variable", Leftovers, Warning, "a variable of an earlier name of the product is set";
    TmpLogs = "tmp-logs", Leftovers, Note, "log files of another version lie where every user can read them";
    SupervisorSilent = "supervisor-silent", Machine, Error, "a supervisor is there and does not answer";
    ChildNotWell = "child-not-well", Machine, Error, "a process of the running instance is not as it should be";
    ProgramsIncomplete = "programs-incomplete", Machine, Error, "one of the programs of openclaw is missing";
    DiskLow = "disk-low", Machine, Warning, "there is little room on the disk of the state folder";
    DiskFull = "disk-full", Machine, Error, "there is no room on the disk of the state folder";
    ClockWrong = "clock-wrong", Machine, Warning, "the clock of the machine cannot be right";
    BrowserMissing = "browser-missing", Machine, Note, "no browser was found that could be controlled";
    ImportFailed = "import-failed", State, Error, "what another version has left could not be taken over";
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One remark about one thing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Finding {
    pub(crate) code: Code,
    /// The file, port or service that is meant, as people are shown it.
    pub(crate) place: Option<String>,
    /// What is wrong, one sentence.
    pub(crate) what: String,
    /// What to do about it, one sentence; none where the repair says it all or nothing has to be done.
    pub(crate) advice: Option<String>,
    /// What `--fix` does about it.
    pub(crate) repair: Option<Repair>,
    /// What became of it.
    pub(crate) state: State,
}

/// What became of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// It is as it was found.
    Left,
    /// It is repaired; where a file was changed, a copy of it as it was lies there.
    Fixed { backup: Option<PathBuf> },
    /// The repair did not work.
    Failed(String),
}

/// What a repair does, as data. Nothing of somebody else's is ever deleted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Repair {
    /// Takes the rights of other users away.
    Narrow(Vec<Narrowing>),
    /// Takes keys out of the configuration file.
    RemoveKeys(Vec<KeyPath>),
    /// Moves what stands behind a key to where it belongs.
    MoveKey {
        from: KeyPath,
        to: KeyPath,
        value: Value,
    },
    /// Deletes sockets and unfinished files of our own, which nobody uses.
    Delete(Vec<PathBuf>),
    /// Makes a gateway token.
    MakeToken(PathBuf),
    /// Writes the service file anew, as `gateway install --force` does.
    Reinstall { unit: PathBuf, by: Reinstall },
}

/// New rights of one file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Narrowing {
    pub(crate) path: PathBuf,
    pub(crate) mode: u32,
}

impl Repair {
    /// What it does, as an imperative sentence.
    pub(crate) fn summary(&self) -> String {
        let count = |number: usize, one: &str, many: &str| match number {
            1 => format!("1 {one}"),
            number => format!("{number} {many}"),
        };
        match self {
            Self::Narrow(paths) => format!(
                "take away what other users may do with {}",
                count(paths.len(), "file or folder", "files and folders")
            ),
            Self::RemoveKeys(keys) => {
                let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
                format!("take {} out of the configuration file", keys.join(", "))
            }
            Self::MoveKey { from, to, .. } => format!("move {from} to {to}"),
            Self::Delete(paths) => format!("delete {}", count(paths.len(), "file", "files")),
            Self::MakeToken(_) => "make a token".to_owned(),
            Self::Reinstall { .. } => "write the service file anew".to_owned(),
        }
    }
}

impl Finding {
    pub(crate) fn new(code: Code, what: impl Into<String>) -> Self {
        Self {
            code,
            place: None,
            what: what.into(),
            advice: None,
            repair: None,
            state: State::Left,
        }
    }

    #[must_use]
    pub(crate) fn at(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    #[must_use]
    pub(crate) fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    #[must_use]
    pub(crate) fn repair(mut self, repair: Repair) -> Self {
        self.repair = Some(repair);
        self
    }

    pub(crate) const fn is_fixed(&self) -> bool {
        matches!(self.state, State::Fixed { .. })
    }

    /// Whether somebody still has to do something.
    pub(crate) fn is_left(&self) -> bool {
        self.code.severity() < Severity::Note && !self.is_fixed()
    }

    /// As scripts get it.
    pub(crate) fn to_json(&self) -> Value {
        let (backup, error) = match &self.state {
            State::Left => (None, None),
            State::Fixed { backup } => (backup.as_ref(), None),
            State::Failed(why) => (None, Some(why)),
        };
        json!({
            "code": self.code,
            "severity": self.code.severity(),
            "area": self.code.area(),
            "place": self.place,
            "message": self.what,
            "advice": self.advice,
            "repair": self.repair.as_ref().map(Repair::summary),
            "fixed": self.is_fixed(),
            "backup": backup,
            "fixError": error,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_is_one_word_of_its_own() {
        let words: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), Code::ALL.len());
        let fits = |c: char| c.is_ascii_lowercase() || c == '-';
        assert!(words.iter().all(|word| word.chars().all(fits)), "{words:?}");
    }

    #[test]
    fn the_operations_page_lists_every_code() {
        let page = include_str!("../../../../docs/OPERATIONS.md");
        let mut rows = BTreeSet::new();
        for code in Code::ALL {
            let row = format!(
                "| `{}` | {} | {} |",
                code.as_str(),
                code.severity().as_str(),
                code.meaning()
            );
            assert!(
                page.contains(&row),
                "docs/OPERATIONS.md lacks the row:\n{row}"
            );
            rows.insert(row);
        }
        let of_codes = |line: &&str| {
            ["| error |", "| warning |", "| note |"]
                .iter()
                .any(|severity| line.starts_with("| `") && line.contains(severity))
        };
        for line in page.lines().filter(of_codes) {
            assert!(
                rows.contains(line),
                "docs/OPERATIONS.md has a row of no code:\n{line}"
            );
        }
    }

    #[test]
    fn a_finding_that_is_repaired_is_nobodys_business_any_more() {
        let mut finding = Finding::new(Code::StateOpen, "x");
        assert!(finding.is_left());
        finding.state = State::Failed("no".to_owned());
        assert!(finding.is_left());
        finding.state = State::Fixed { backup: None };
        assert!(!finding.is_left());
        assert!(!Finding::new(Code::StateMissing, "x").is_left());
    }
}
