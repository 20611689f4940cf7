//! Where files may be, and how they are opened so that they are there.
//!
//! Invariant: what is checked is what is used. A file is opened first, and then its real path is asked of the system; what is written
//! goes into a folder that was opened and checked, so that no link that is turned in between leads elsewhere.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::tools::FileRules;

/// Where files are what the system tells of itself: the variables of this process and its memory among them.
const SYSTEM: [&str; 2] = ["/proc", "/sys"];

/// The folder an agent works in, and which files it may use.
#[derive(Debug, Clone)]
pub(in crate::tools) struct Place {
    workspace: PathBuf,
    rules: FileRules,
}

/// What is done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Read,
    Write,
}

impl Place {
    pub(in crate::tools) fn new(workspace: PathBuf, rules: FileRules) -> Self {
        Self { workspace, rules }
    }

    /// The absolute path that is meant, without `.` and `..`.
    fn absolute(&self, path: &str) -> Result<PathBuf, String> {
        if path.is_empty() {
            return Err("a path is needed".to_owned());
        }
        if path.contains('\0') {
            return Err("a path has no NUL".to_owned());
        }
        let mut plain = PathBuf::new();
        for component in self.workspace.join(path).components() {
            match component {
                Component::ParentDir => {
                    plain.pop();
                }
                Component::CurDir => {}
                Component::RootDir | Component::Prefix(_) | Component::Normal(_) => {
                    plain.push(component);
                }
            }
        }
        Ok(plain)
    }

    /// Whether the file that this really is may be used so.
    fn check(&self, real: &Path, to: Use, shown: &str) -> Result<(), String> {
        let lies_in = |folder: &PathBuf| {
            let folder = fs::canonicalize(folder);
            folder.is_ok_and(|folder| real.starts_with(folder))
        };
        if SYSTEM.iter().any(|folder| real.starts_with(folder)) {
            return Err(format!(
                "{shown} is no file of a disk, but what the system tells of itself"
            ));
        }
        // A workspace may lie within what is protected, but what is protected within a workspace stays so.
        let holds_workspace = |folder: &&PathBuf| {
            let (folder, workspace) = (fs::canonicalize(folder), fs::canonicalize(&self.workspace));
            folder.is_ok_and(|folder| {
                workspace.is_ok_and(|it| it != folder && it.starts_with(folder))
            })
        };
        let mut within = (self.rules.protected.iter()).filter(|folder| !holds_workspace(folder));
        if lies_in(&self.workspace) && !within.any(lies_in) {
            return Ok(());
        }
        let is_protected = self.rules.protected.iter().any(lies_in);
        match to {
            Use::Read if is_protected && !self.rules.readable.iter().any(lies_in) => Err(format!(
                "{shown} belongs to OpenClaw itself and is not read by tools"
            )),
            Use::Write if is_protected => Err(format!(
                "{shown} belongs to OpenClaw itself and is not written by tools"
            )),
            Use::Write if !self.rules.writes_anywhere => Err(format!(
                "{shown} is outside of the workspace, where nothing is written without approval"
            )),
            Use::Read | Use::Write => Ok(()),
        }
    }

    /// Reads a file, if it has no more bytes than that.
    pub(super) fn read(&self, path: &str, most: u64) -> Result<Vec<u8>, String> {
        let absolute = self.absolute(path)?;
        let failed = |error: io::Error| told(&error, "open", &absolute);
        let file = OpenOptions::new()
            .read(true)
            // Nobody waits for whoever has the other end of a pipe.
            .custom_flags(libc_flags())
            .open(&absolute)
            .map_err(failed)?;
        let real = real_path(&file, &absolute).map_err(failed)?;
        self.check(&real, Use::Read, path)?;
        let about = file.metadata().map_err(failed)?;
        if about.is_dir() {
            return Err("EISDIR: illegal operation on a directory, read".to_owned());
        }
        if !about.is_file() {
            return Err(format!("{path} is no file"));
        }
        if about.len() > most {
            return Err(format!(
                "{path} has {} bytes, and no more than {most} are read",
                about.len()
            ));
        }
        let mut bytes = Vec::new();
        (&file).take(most).read_to_end(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }

    /// Writes a file as a whole, with the folders that it needs. Whoever reads it sees the old one or the new one.
    pub(super) fn write(&self, path: &str, bytes: &[u8]) -> Result<(), String> {
        let absolute = self.absolute(path)?;
        let failed = |error: io::Error| told(&error, "write", &absolute);
        // A link to a file stays a link.
        let target = match fs::canonicalize(&absolute) {
            Ok(real) => real,
            Err(error) if error.kind() == io::ErrorKind::NotFound => absolute.clone(),
            Err(error) => return Err(failed(error)),
        };
        if fs::symlink_metadata(&target).is_ok_and(|about| !about.is_file()) {
            return Err(format!("{path} is no file"));
        }
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(format!("{path} names no file"));
        };
        self.make_folders(parent, path)?;
        let folder = open_folder(parent).map_err(failed)?;
        let real = real_path(&folder, parent).map_err(failed)?.join(name);
        self.check(&real, Use::Write, path)?;
        let mode = fs::symlink_metadata(&real)
            .ok()
            .map(|about| about.permissions().mode() & 0o777);
        let beside = format!(".{}.openclaw-tmp", uuid::Uuid::new_v4());
        let written = write_beside(&folder, &beside, mode, bytes)
            .and_then(|()| Ok(renameat(&folder, beside.as_str(), &folder, name)?));
        written.map_err(|error| {
            // What is left of an attempt is of no use; that it cannot be removed changes nothing.
            let _ = unlinkat(&folder, beside.as_str(), UnlinkatFlags::NoRemoveDir);
            failed(error)
        })
    }

    /// Makes the folders that are not there, if a file may be written into them.
    fn make_folders(&self, parent: &Path, shown: &str) -> Result<(), String> {
        let failed = |error: io::Error| told(&error, "mkdir", parent);
        let mut missing = Vec::new();
        let mut there = parent;
        let real = loop {
            match fs::canonicalize(there) {
                Ok(real) => break real,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let (Some(above), Some(name)) = (there.parent(), there.file_name()) else {
                        return Err(failed(error));
                    };
                    missing.push(name);
                    there = above;
                }
                Err(error) => return Err(failed(error)),
            }
        };
        if missing.is_empty() {
            return Ok(());
        }
        self.check(&real, Use::Write, shown)?;
        let mut folder = open_folder(&real).map_err(failed)?;
        for name in missing.into_iter().rev() {
            let mode = Mode::from_bits_truncate(0o755);
            match nix::sys::stat::mkdirat(&folder, name, mode) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(error) => return Err(failed(error.into())),
            }
            let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let next = openat(&folder, name, flags, Mode::empty());
            folder = next.map_err(|error| failed(error.into()))?.into();
        }
        Ok(())
    }
}

/// For opening: what cannot be read at once is not waited for.
fn libc_flags() -> i32 {
    (OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).bits()
}

fn open_folder(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
}

fn write_beside(folder: impl AsFd, name: &str, mode: Option<u32>, bytes: &[u8]) -> io::Result<()> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
    let new = Mode::from_bits_truncate(0o644);
    let mut file = File::from(openat(folder, name, flags | OFlag::O_CLOEXEC, new)?);
    if let Some(mode) = mode {
        file.set_permissions(fs::Permissions::from_mode(mode))?;
    }
    file.write_all(bytes)
}

/// The path of what was opened, without links.
#[cfg(target_os = "linux")]
fn real_path(opened: &File, _: &Path) -> io::Result<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{}", opened.as_raw_fd()))
}

#[cfg(not(target_os = "linux"))]
fn real_path(_: &File, path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path)
}

/// What the system said, in the words that models know.
fn told(error: &io::Error, doing: &str, path: &Path) -> String {
    if error.kind() == io::ErrorKind::NotFound {
        let path = path.display();
        return format!("ENOENT: no such file or directory, access '{path}'");
    }
    match error.raw_os_error() {
        Some(number) => format!(
            "{:?}: {doing} '{}'",
            Errno::from_raw(number),
            path.display()
        ),
        None => format!("{error}, {doing} '{}'", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    /// `state/{secret, skills/s}` with the workspace `state/workspace`, and `elsewhere/note` outside.
    fn house(writes_anywhere: bool) -> (TempDir, Place) {
        let house = TempDir::new().unwrap();
        let at = |path: &str| house.path().join(path);
        for folder in ["state/workspace", "state/skills", "elsewhere"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        for file in [
            "state/secret",
            "state/skills/s",
            "elsewhere/note",
            "state/workspace/a",
        ] {
            fs::write(at(file), file).unwrap();
        }
        let rules = FileRules {
            protected: vec![at("state")],
            readable: vec![at("state/skills")],
            writes_anywhere,
        };
        let place = Place::new(at("state/workspace"), rules);
        (house, place)
    }

    #[test]
    fn files_are_read_where_they_may_be_whatever_leads_there() {
        let (house, place) = house(false);
        let at = |path: &str| house.path().join(path);
        symlink(at("state/secret"), at("state/workspace/link")).unwrap();
        symlink(at("state"), at("state/workspace/folder")).unwrap();
        symlink(at("elsewhere/note"), at("state/workspace/note")).unwrap();
        let outside = at("state/secret").display().to_string();
        let note = at("elsewhere/note").display().to_string();
        for (path, is_read) in [
            ("a", true),
            ("./x/../a", true),
            ("../skills/s", true),
            ("note", true),
            (&note, true),
            ("../secret", false),
            ("link", false),
            ("folder/secret", false),
            ("folder/workspace/a", true),
            (&outside, false),
            ("", false),
            ("a\0b", false),
            ("none", false),
        ] {
            let read = place.read(path, 100);
            assert_eq!(read.is_ok(), is_read, "{path}: {read:?}");
        }
        assert!(place.read("a", 3).unwrap_err().contains("no more than 3"));
        nix::unistd::mkfifo(&at("state/workspace/pipe"), Mode::S_IRWXU).unwrap();
        assert_eq!(place.read("pipe", 9).unwrap_err(), "pipe is no file");
    }

    #[test]
    fn files_are_written_where_they_may_be_whatever_leads_there() {
        for writes_anywhere in [false, true] {
            let (house, place) = house(writes_anywhere);
            let at = |path: &str| house.path().join(path);
            symlink(at("state/secret"), at("state/workspace/link")).unwrap();
            symlink(at("state"), at("state/workspace/folder")).unwrap();
            symlink(at("elsewhere"), at("state/workspace/out")).unwrap();
            symlink(at("state/workspace/a"), at("state/workspace/inside")).unwrap();
            for (path, is_written) in [
                ("a", true),
                ("deep/er/b", true),
                ("inside", true),
                ("link", false),
                ("../secret", false),
                ("../new/secret", false),
                ("folder/secret", false),
                ("folder/new/x", false),
                ("../skills/s", false),
                ("out/note", writes_anywhere),
                ("out/new/note", writes_anywhere),
                ("deep", false),
                ("/", false),
            ] {
                let written = place.write(path, b"new");
                assert_eq!(written.is_ok(), is_written, "{path}: {written:?}");
            }
            assert_eq!(fs::read(at("state/secret")).unwrap(), b"state/secret");
            assert_eq!(fs::read(at("state/workspace/a")).unwrap(), b"new");
            assert!(at("state/workspace/inside").is_symlink());
            assert!(!at("state/new").exists());
            assert_eq!(at("elsewhere/new").exists(), writes_anywhere);
            let left: Vec<_> = fs::read_dir(at("state/workspace"))
                .unwrap()
                .filter(|entry| {
                    let name = entry.as_ref().unwrap().file_name();
                    name.to_string_lossy().contains("tmp")
                })
                .collect();
            assert!(left.is_empty());
        }
    }

    #[test]
    fn rule_51_a_workspace_around_what_is_protected_opens_nothing() {
        let (house, _) = house(false);
        let at = |path: &str| house.path().join(path);
        for writes_anywhere in [false, true] {
            let rules = FileRules {
                protected: vec![at("state"), at("state/secret")],
                readable: vec![at("state/skills")],
                writes_anywhere,
            };
            let place = Place::new(house.path().to_owned(), rules);
            for (path, is_open) in [
                ("elsewhere/note", true),
                ("state/secret", false),
                ("state/workspace/../secret", false),
                ("state/new", false),
                ("state/new/er", false),
            ] {
                if path != "state/new" && path != "state/new/er" {
                    assert_eq!(place.read(path, 100).is_ok(), is_open, "{path}");
                }
                assert_eq!(place.write(path, b"x").is_ok(), is_open, "{path}");
            }
            assert!(place.read("state/skills/s", 100).is_ok());
            assert!(place.write("state/skills/s", b"x").is_err());
            assert_eq!(fs::read(at("state/secret")).unwrap(), b"state/secret");
        }
    }

    #[test]
    fn rule_51_what_is_protected_is_no_workspace_whatever_leads_there() {
        let (house, _) = house(false);
        let at = |path: &str| house.path().join(path);
        symlink(at("state"), at("turned")).unwrap();
        for workspace in ["state", "turned"] {
            let rules = FileRules {
                protected: vec![at("state")],
                readable: Vec::new(),
                writes_anywhere: true,
            };
            let place = Place::new(at(workspace), rules);
            assert!(place.read("secret", 100).is_err(), "{workspace}");
            assert!(place.write("secret", b"x").is_err(), "{workspace}");
            assert!(place.write("new", b"x").is_err(), "{workspace}");
        }
        assert_eq!(fs::read(at("state/secret")).unwrap(), b"state/secret");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn rule_100_what_the_system_tells_of_this_process_is_not_read() {
        let (house, place) = house(true);
        let link = house.path().join("state/workspace/environ");
        symlink("/proc/self/environ", link).unwrap();
        let of_thread = format!("/proc/{0}/task/{0}/environ", std::process::id());
        for path in [
            "/proc/self/environ",
            "/proc/self/../thread-self/environ",
            "//proc/self/cmdline",
            &of_thread,
            "environ",
            "/proc/self/root/proc/self/environ",
            "/dev/null",
        ] {
            assert!(place.read(path, 1_000_000).is_err(), "{path}");
        }
        assert!(place.write("/proc/self/comm", b"x").is_err());
    }

    #[test]
    fn a_file_keeps_its_rights() {
        let (house, place) = house(false);
        let path = house.path().join("state/workspace/a");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
        place.write("a", b"x").unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o750);
    }
}
