//! Files put in place whole: written beside, synced, renamed, the folder synced.
//!
//! A kill or a power cut at any moment leaves the old file or the new one. Nothing here is ever readable to
//! another user, not even before its mode is set.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::config::source::{self, ReadError};
use crate::digest;

/// How many backups are kept: `.bak`, `.bak.1` and so on, the newest first.
const BACKUPS: usize = 5;

/// What a write did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The hash of the file as it is.
    pub hash: String,
    /// The copy of what was there before, if anything was.
    pub backup: Option<PathBuf>,
}

/// Why the configuration was not written. The file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Somebody else changed the file since the edit was made.
    #[error("write {}: it has changed since it was read; read it again", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// What is there cannot be read, so that nobody knows whether it changed.
    #[error("compare {} with what it was: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The new file or a backup cannot be written.
    #[error("write {}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Writes the configuration file if it still is the one the edit was made on: `base_hash` is the hash of that
/// file, or nothing if there was none.
///
/// A file that is a symbolic link stays one, and its target is replaced. Backups lie beside the path that was
/// asked for, not beside the target, which may be in a folder that is shared or published.
pub fn write_atomically(
    path: &Path,
    text: &str,
    base_hash: Option<&str>,
) -> Result<Written, WriteError> {
    let unwritable = |path: &Path| {
        let path = path.to_owned();
        |source| WriteError::Unwritable { path, source }
    };
    let target = target(path).map_err(unwritable(path))?;
    if let Some(folder) = target.parent() {
        create_private_folder(folder).map_err(unwritable(folder))?;
    }
    let beside = Beside::write(&target, text.as_bytes()).map_err(unwritable(&target))?;
    // As late as possible: between this look and the rename lies nothing but the backup.
    let current = current(&target)?;
    let current_hash = digest::hex(current.as_deref().unwrap_or_default().as_bytes());
    if base_hash.map_or(current.is_some(), |base| base != current_hash) {
        return Err(WriteError::Changed {
            path: path.to_owned(),
        });
    }
    let hash = digest::hex(text.as_bytes());
    if current.is_some() && hash == current_hash {
        return Ok(Written { hash, backup: None });
    }
    let backup = match &current {
        None => None,
        Some(current) => {
            let backup = backup_path(path, 0);
            rotate(path).map_err(unwritable(&backup))?;
            replace_private(&backup, current.as_bytes()).map_err(unwritable(&backup))?;
            Some(backup)
        }
    };
    beside.rename_over(&target).map_err(unwritable(&target))?;
    Ok(Written { hash, backup })
}

/// The text of the configuration file as it is; nothing if there is none. It waits for nobody: what is no regular file is not read.
///
/// # Errors
/// When there is something that cannot be read as a configuration.
pub fn current(path: &Path) -> Result<Option<String>, WriteError> {
    match source::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(ReadError::Missing) => Ok(None),
        Err(error) => Err(WriteError::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        }),
    }
}

/// Replaces a file by one that only its owner can read, creating its folder for the owner alone if there is none.
pub fn replace_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        create_private_folder(folder)?;
    }
    Beside::write(path, bytes)?.rename_over(path)
}

/// Creates a file that only its owner can read, whole or not at all, creating its folder for the owner alone if there is none.
///
/// # Errors
/// With [`io::ErrorKind::AlreadyExists`] when there is something at the path already, which then is as it was.
pub fn create_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        create_private_folder(folder)?;
    }
    let beside = Beside::write(path, bytes)?;
    let written = beside
        .path
        .as_deref()
        .expect("it is taken only when the rename is done");
    // A link is made only where nothing is, unlike a rename; the name beside goes when `beside` does.
    fs::hard_link(written, path)?;
    sync_folder(path)
}

/// A finished file beside the one it will replace; removed if it never does.
struct Beside {
    path: Option<PathBuf>,
}

impl Beside {
    fn write(target: &Path, bytes: &[u8]) -> io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let name = format!(
            ".{}.{:016x}.tmp",
            std::process::id(),
            u64::from_ne_bytes(random)
        );
        let path = with_suffix(target, &name);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        let beside = Self { path: Some(path) };
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(beside)
    }

    fn rename_over(mut self, target: &Path) -> io::Result<()> {
        let path = self
            .path
            .as_deref()
            .expect("it is taken only when the rename is done");
        fs::rename(path, target)?;
        self.path = None;
        sync_folder(target)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // The write has failed already, and that is what is reported.
            let _ = fs::remove_file(path);
        }
    }
}

/// Moves every backup one place on; the oldest is overwritten.
fn rotate(path: &Path) -> io::Result<()> {
    for age in (1..BACKUPS).rev() {
        match fs::rename(backup_path(path, age - 1), backup_path(path, age)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn backup_path(path: &Path, age: usize) -> PathBuf {
    match age {
        0 => with_suffix(path, ".bak"),
        age => with_suffix(path, &format!(".bak.{age}")),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The file behind a chain of symbolic links, which need not exist.
fn target(path: &Path) -> io::Result<PathBuf> {
    /// As many as Linux follows.
    const MAX_LINKS: usize = 40;
    let mut target = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&target) {
            Ok(next) => target = target.parent().unwrap_or(Path::new("")).join(next),
            // Not a link, or nothing at all.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::NotFound
                ) =>
            {
                return Ok(target);
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

fn create_private_folder(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Makes a rename durable.
fn sync_folder(file: &Path) -> io::Result<()> {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn rule_101_a_first_write_creates_a_private_folder_and_file() {
        let home = TempDir::new().unwrap();
        let path = home.path().join("state/openclaw.json");
        let written = write_atomically(&path, "{}\n", None).unwrap();
        assert_eq!(
            written,
            Written {
                hash: digest::hex(b"{}\n"),
                backup: None
            }
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}\n");
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(names(path.parent().unwrap()), ["openclaw.json"]);
    }

    #[test]
    fn rule_101_five_backups_are_kept_and_all_are_private() {
        let home = TempDir::new().unwrap();
        let path = home.path().join("openclaw.json");
        fs::write(&path, "0").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let mut hash = digest::hex(b"0");
        for number in 1..=7 {
            hash = write_atomically(&path, &number.to_string(), Some(&hash))
                .unwrap()
                .hash;
        }
        let kept: Vec<_> = (0..BACKUPS)
            .map(|age| fs::read_to_string(backup_path(&path, age)).unwrap())
            .collect();
        assert_eq!(kept, ["6", "5", "4", "3", "2"]);
        assert_eq!(names(home.path()).len(), 1 + BACKUPS);
        for name in names(home.path()) {
            assert_eq!(mode(&home.path().join(&name)), 0o600, "{name}");
        }
    }

    #[test]
    fn rule_55_a_file_that_changed_meanwhile_is_left_alone() {
        let home = TempDir::new().unwrap();
        let path = home.path().join("openclaw.json");
        let refused = |base: Option<&str>| {
            matches!(
                write_atomically(&path, "new", base),
                Err(WriteError::Changed { .. })
            )
        };
        assert!(refused(Some(&digest::hex(b"was here"))), "the file is gone");
        fs::write(&path, "theirs").unwrap();
        assert!(refused(None), "a file appeared");
        assert!(refused(Some(&digest::hex(b"mine"))), "the file is another");
        assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
        assert_eq!(names(home.path()), ["openclaw.json"]);
    }

    #[test]
    fn rule_118_a_file_is_replaced_whole_and_never_written_in_its_place() {
        let home = TempDir::new().unwrap();
        let path = home.path().join("openclaw.json");
        fs::write(&path, "old").unwrap();
        // What a power cut in the middle of the write would leave: another name of the same file, which nothing may touch.
        let before = home.path().join("before");
        fs::hard_link(&path, &before).unwrap();
        write_atomically(&path, "new", Some(&digest::hex(b"old"))).unwrap();
        replace_private(&path, b"newer").unwrap();
        assert_eq!(fs::read_to_string(&before).unwrap(), "old");
        assert_eq!(fs::read_to_string(&path).unwrap(), "newer");
    }

    #[test]
    fn writing_what_is_there_changes_nothing() {
        let home = TempDir::new().unwrap();
        let path = home.path().join("openclaw.json");
        let first = write_atomically(&path, "same", None).unwrap();
        let again = write_atomically(&path, "same", Some(&first.hash)).unwrap();
        assert_eq!(again, first);
        assert_eq!(names(home.path()), ["openclaw.json"]);
    }

    #[test]
    fn a_link_stays_a_link_and_backups_stay_at_home() {
        let home = TempDir::new().unwrap();
        let dotfiles = TempDir::new().unwrap();
        let path = home.path().join("openclaw.json");
        let target = dotfiles.path().join("claw.json");
        std::os::unix::fs::symlink(&target, &path).unwrap();
        let hash = write_atomically(&path, "1", None).unwrap().hash;
        write_atomically(&path, "2", Some(&hash)).unwrap();
        assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&target).unwrap(), "2");
        assert_eq!(names(dotfiles.path()), ["claw.json"]);
        assert_eq!(names(home.path()), ["openclaw.json", "openclaw.json.bak"]);
    }
}
