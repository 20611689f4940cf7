//! What Tailscale may be publishing of this instance, kept in its state folder: it outlives the process that has published it, and
//! whoever starts next has to know what is open.
//!
//! Invariant: it is written before anything is published, and goes only when that was taken back. It may name what is not published,
//! and never lacks what is.

use std::io;
use std::path::{Path, PathBuf};

use openclaw_shared::config::write::{current, replace_private};
use openclaw_shared::paths::StatePaths;
use serde::{Deserialize, Serialize};

use super::Audience;

/// What may be published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Kept {
    /// To whom.
    #[serde(rename = "mode")]
    pub(super) to: Audience,
    /// The ports that it may lead to: more than one while another takes the place of the first.
    pub(super) ports: Vec<u16>,
}

/// The file.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
}

impl Record {
    pub(super) fn of(state_dir: &Path) -> Self {
        Self {
            path: StatePaths(state_dir).tailscale_published(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What was kept.
    ///
    /// # Errors
    /// When there is something that does not say what is published.
    pub(super) fn recall(&self) -> Result<Option<Kept>, String> {
        let text = current(&self.path).map_err(|error| error.to_string())?;
        let Some(text) = text else { return Ok(None) };
        let kept: Kept = serde_json::from_str(&text)
            .map_err(|error| format!("{} cannot be read: {error}", self.path.display()))?;
        match kept.ports.is_empty() {
            true => Err(format!("{} names no port", self.path.display())),
            false => Ok(Some(kept)),
        }
    }

    /// Keeps what may be published from now on.
    ///
    /// # Errors
    /// As the system says.
    pub(super) fn keep(&self, kept: &Kept) -> io::Result<()> {
        let text = serde_json::to_vec(kept).map_err(io::Error::other)?;
        replace_private(&self.path, &text)
    }

    /// Nothing is published any more.
    ///
    /// # Errors
    /// As the system says.
    pub(super) fn forget(&self) -> io::Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_is_kept_is_recalled_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let record = Record::of(folder.path());
        assert_eq!(record.recall(), Ok(None));
        record.forget().unwrap();
        let kept = Kept {
            to: Audience::Everybody,
            ports: vec![18789, 19789],
        };
        record.keep(&kept).unwrap();
        let text = std::fs::read_to_string(record.path()).unwrap();
        assert_eq!(text, r#"{"mode":"funnel","ports":[18789,19789]}"#);
        let mode = std::fs::metadata(record.path())
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(record.recall(), Ok(Some(kept)));
        record.forget().unwrap();
        assert_eq!(record.recall(), Ok(None));
    }

    #[test]
    fn nothing_is_taken_from_a_file_that_says_something_else() {
        let folder = tempfile::tempdir().unwrap();
        let record = Record::of(folder.path());
        for odd in [
            "",
            "{",
            "[]",
            r#"{"mode":"ssh","ports":[1]}"#,
            r#"{"mode":"serve","ports":[]}"#,
            r#"{"mode":"serve","ports":["1; reboot"]}"#,
            r#"{"mode":"serve","ports":[70000]}"#,
            r#"{"mode":"serve","ports":[1],"command":"reset"}"#,
        ] {
            std::fs::write(record.path(), odd).unwrap();
            let error = record.recall().unwrap_err();
            assert!(error.contains("tailscale-published"), "{error}");
        }
        std::fs::remove_file(record.path()).unwrap();
        std::fs::create_dir(record.path()).unwrap();
        record.recall().unwrap_err();
    }
}
