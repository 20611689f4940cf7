//! The file itself: read as a whole, and changed under a lock.
//!
//! Invariant: whoever changes the file does it through [`change`], on what it is at that moment.
//!
//! Invariant: a file that cannot be understood is reported and never replaced.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::ApprovalsFile;
use crate::config::write::replace_private;
use crate::digest;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 4 * 1024 * 1024;

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
}
