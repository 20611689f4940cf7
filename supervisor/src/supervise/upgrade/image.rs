//! What this process executes, and what it would execute if it were started again.
//!
//! A program is known by the path by which it was started: an installation replaces the file there, or turns a link on the way.
//! What runs keeps its own file open, because that file has no name any more then.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Which file this is, and in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl FileId {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }

    /// The file at a path, whatever links lead to it.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().as_ref().map(Self::of)
    }
}

/// The program of this process.
#[derive(Debug)]
pub(crate) struct Image {
    /// As it was started.
    path: PathBuf,
    /// The file that runs.
    running: File,
    id: FileId,
    /// The folder of the file that runs, for when nothing is left at its path.
    folder: PathBuf,
}

impl Image {
    /// The program of this process, which was started by this name.
    ///
    /// # Errors
    /// As the system says.
    pub(crate) fn of_process(
        started_as: Option<&OsStr>,
        search: Option<&OsStr>,
        working_dir: &Path,
    ) -> io::Result<Self> {
        let own = std::env::current_exe()?;
        let running = open_running(&own)?;
        let id = FileId::of(&running.metadata()?);
        let named = started_as.and_then(|name| named(name, search, working_dir));
        // A name is what whoever started us says; it counts when it leads to the file that runs.
        let path = named
            .filter(|path| FileId::at(path) == Some(id))
            .unwrap_or_else(|| own.clone());
        Ok(Self::new(path, running, id, &own))
    }

    /// The program of a process whose path was handed over.
    ///
    /// # Errors
    /// As the system says.
    pub(crate) fn handed_over(path: PathBuf) -> io::Result<Self> {
        let own = std::env::current_exe()?;
        let running = open_running(&own)?;
        let id = FileId::of(&running.metadata()?);
        Ok(Self::new(path, running, id, &own))
    }

    fn new(path: PathBuf, running: File, id: FileId, own: &Path) -> Self {
        let folder = own.parent().map(Path::to_path_buf).unwrap_or_default();
        Self {
            path,
            running,
            id,
            folder,
        }
    }

    /// The path to execute.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file that runs.
    pub(crate) const fn running(&self) -> &File {
        &self.running
    }

    /// What lies at the path, when it is not what runs.
    pub(crate) fn successor(&self) -> Option<FileId> {
        FileId::at(&self.path).filter(|id| *id != self.id)
    }

    /// The folder of the binaries: where the path leads by now, or where what runs was when nothing is there.
    pub(crate) fn folder(&self) -> PathBuf {
        let real = self.path.canonicalize().ok();
        let folder = real.and_then(|real| Some(real.parent()?.to_path_buf()));
        folder.unwrap_or_else(|| self.folder.clone())
    }
}

/// What this process runs, also when it has no name any more.
fn open_running(own: &Path) -> io::Result<File> {
    if cfg!(target_os = "linux") {
        File::open("/proc/self/exe")
    } else {
        File::open(own)
    }
}

/// The path that a name leads to, as a shell finds it.
fn named(name: &OsStr, search: Option<&OsStr>, working_dir: &Path) -> Option<PathBuf> {
    let path = Path::new(name);
    if path.components().count() > 1 || path.is_absolute() {
        return Some(working_dir.join(path));
    }
    let folders: Vec<PathBuf> = std::env::split_paths(search?).collect();
    let found = folders
        .into_iter()
        .map(|folder| working_dir.join(folder).join(path));
    found.into_iter().find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::path::Path;

    use super::{FileId, Image, named};

    #[test]
    fn a_name_is_found_as_a_shell_finds_it() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("openclaw");
        fs::write(&program, "x").unwrap();
        let here = Path::new("/home/me");
        let found = |name: &str, search: Option<&Path>| {
            named(OsStr::new(name), search.map(Path::as_os_str), here)
        };
        assert_eq!(
            found("bin/openclaw", None),
            Some("/home/me/bin/openclaw".into())
        );
        assert_eq!(
            found("/usr/bin/openclaw", None),
            Some("/usr/bin/openclaw".into())
        );
        assert_eq!(found("openclaw", Some(folder.path())), Some(program));
        assert_eq!(found("openclaw", None), None);
    }

    #[test]
    fn a_renamed_installation_is_seen_and_a_lying_name_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("openclaw");
        fs::write(&path, "one").unwrap();
        let here = Path::new("/");
        let lying = Image::of_process(Some(path.as_os_str()), None, here).unwrap();
        assert_ne!(lying.path(), path);
        assert_eq!(lying.successor(), None);
        let image = Image::handed_over(path.clone()).unwrap();
        let first = image.successor();
        assert!(first.is_some(), "what lies there is not this test");
        let beside = folder.path().join("new");
        fs::write(&beside, "two").unwrap();
        fs::rename(&beside, &path).unwrap();
        assert_ne!(image.successor(), first);
        assert_eq!(image.successor(), FileId::at(&path));
        fs::remove_file(&path).unwrap();
        assert_eq!(image.successor(), None, "nothing to go on with");
    }
}
