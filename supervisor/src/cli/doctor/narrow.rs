//! Takes rights away from files and folders that are too open.
//!
//! Invariant: what is changed is what was looked at. It is opened once, without following a link, and everything else is done to what
//! was opened, so that something which takes its place meanwhile keeps its rights.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use nix::fcntl::OFlag;

use super::finding::Narrowing;

/// Leaves each of them only these rights. What is gone needs none.
///
/// # Errors
/// With the first that is not what it was, or cannot be changed.
pub(super) fn narrow(paths: &[Narrowing]) -> Result<(), String> {
    for Narrowing { path, mode } in paths {
        let told = |error: io::Error| format!("{}: {error}", path.display());
        match Held::open(path) {
            Ok(held) => held.narrow(path, *mode)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(told(error)),
        }
    }
    Ok(())
}

/// A file or folder, whatever may be at its path meanwhile.
struct Held(File);

impl Held {
    fn open(path: &Path) -> io::Result<Self> {
        // Where the system can, it is only pointed at: then it needs no right to be read, and a device does nothing.
        #[cfg(target_os = "linux")]
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW;
        #[cfg(not(target_os = "linux"))]
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_NOFOLLOW;
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(flags.bits());
        options.open(path).map(Self)
    }

    fn narrow(&self, path: &Path, mode: u32) -> Result<(), String> {
        let shown = path.display();
        let told = |error: io::Error| format!("{shown}: {error}");
        let metadata = self.0.metadata().map_err(told)?;
        if metadata.is_symlink() {
            return Err(format!("{shown} has become a link"));
        }
        if metadata.uid() != nix::unistd::geteuid().as_raw() {
            return Err(format!("{shown} belongs to another user"));
        }
        let narrower = metadata.mode() & 0o7777 & mode;
        self.set(Permissions::from_mode(narrower)).map_err(told)
    }

    /// A descriptor that only points at something is changed by its own name.
    #[cfg(target_os = "linux")]
    fn set(&self, permissions: Permissions) -> io::Result<()> {
        use std::os::fd::AsRawFd as _;
        fs::set_permissions(format!("/proc/self/fd/{}", self.0.as_raw_fd()), permissions)
    }

    #[cfg(not(target_os = "linux"))]
    fn set(&self, permissions: Permissions) -> io::Result<()> {
        self.0.set_permissions(permissions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn file(path: &Path, mode: u32) {
        fs::write(path, "x").unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn rights_are_only_taken_away_and_what_is_gone_is_no_failure() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("unreadable");
        file(&path, 0o044);
        let gone = home.path().join("gone");
        let all = [&path, &gone].map(|path| Narrowing {
            path: path.clone(),
            mode: 0o600,
        });
        narrow(&all).unwrap();
        assert_eq!(mode(&path), 0);
    }

    #[test]
    fn what_takes_the_place_of_a_file_keeps_its_rights() {
        let home = tempfile::tempdir().unwrap();
        let (path, other) = (home.path().join("secret"), home.path().join("other"));
        file(&path, 0o644);
        file(&other, 0o755);
        let held = Held::open(&path).unwrap();
        let moved = home.path().join("moved");
        fs::rename(&path, &moved).unwrap();
        fs::rename(&other, &path).unwrap();
        held.narrow(&path, 0o600).unwrap();
        assert_eq!((mode(&path), mode(&moved)), (0o755, 0o600));
    }

    #[test]
    fn a_file_of_somebody_else_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("theirs");
        file(&path, 0o644);
        let somebody = nix::unistd::Uid::from_raw(65_534);
        if nix::unistd::chown(&path, Some(somebody), None).is_err() {
            eprintln!("skipped: only root can give a file away");
            return;
        }
        let refused = Held::open(&path).unwrap().narrow(&path, 0o600).unwrap_err();
        assert!(refused.contains("belongs to another user"), "{refused}");
        assert_eq!(mode(&path), 0o644);
    }
}
