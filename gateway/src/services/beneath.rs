//! Reading what lies beneath a folder, and nothing else.
//!
//! Each name is opened in the folder that was opened before it, without following links: no path is ever handed to the kernel
//! whole, so a link that is put in the way between two steps is met like any other and refused. What is no regular file is
//! not read, and nothing is read beyond a limit. Blocks as long as the file system does.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::dir::Dir;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, SFlag, fstat};

/// A folder. The first one of a way may be a link, which is its owner's business.
#[derive(Debug)]
pub(crate) struct Folder(OwnedFd);

impl Folder {
    /// Opens the folder that everything else lies beneath.
    pub(crate) fn open(path: &Path) -> Option<Self> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        open(path, flags, Mode::empty()).ok().map(Self)
    }

    /// Opens a folder in it.
    pub(crate) fn folder(&self, name: &str) -> Option<Self> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        is_name(name)
            .then(|| openat(&self.0, name, flags, Mode::empty()).ok().map(Self))
            .flatten()
    }

    /// The names in it, sorted, as many as the limit allows; hidden ones and what is no text are left out.
    pub(crate) fn names(&self, limit: usize) -> Vec<String> {
        let Ok(copy) = self.0.try_clone() else {
            return Vec::new();
        };
        let Ok(mut dir) = Dir::from_fd(copy) else {
            return Vec::new();
        };
        let mut names: Vec<String> = dir
            .iter()
            .filter_map(Result::ok)
            .filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned))
            .filter(|name| is_name(name))
            .take(limit)
            .collect();
        names.sort();
        names
    }

    /// Opens a file in it that is one to read.
    fn file(&self, name: &str) -> Option<File> {
        if !is_name(name) {
            return None;
        }
        // Non-blocking, for it may be a FIFO.
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let file = openat(&self.0, name, flags | OFlag::O_NOCTTY, Mode::empty()).ok()?;
        let state = fstat(&file).ok()?;
        let is_regular = SFlag::from_bits_truncate(state.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG;
        is_regular.then(|| File::from(file))
    }

    /// How large a file in it is, in bytes. `None` when there is no such file, or it is none to read.
    pub(crate) fn size(&self, name: &str) -> Option<u64> {
        Some(self.file(name)?.metadata().ok()?.len())
    }

    /// Reads a file in it. `None` when there is no such file, it is none to read, or it is larger than the limit.
    pub(crate) fn read(&self, name: &str, limit: u64) -> Option<Vec<u8>> {
        let file = self.file(name)?;
        if file.metadata().ok()?.len() > limit {
            return None;
        }
        let mut bytes = Vec::new();
        // One more than allowed tells a file that has grown too large meanwhile from one that just fits.
        file.take(limit + 1).read_to_end(&mut bytes).ok()?;
        (bytes.len() as u64 <= limit).then_some(bytes)
    }

    /// Reads a file by a relative path.
    pub(crate) fn read_path(&self, path: &str, limit: u64) -> Option<Vec<u8>> {
        match path.split_once('/') {
            None => self.read(path, limit),
            Some((".", rest)) => self.read_path(rest, limit),
            Some((folder, rest)) => self.folder(folder)?.read_path(rest, limit),
        }
    }
}

/// Whether this is the plain name of something that is not hidden.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0'])
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::Folder;

    /// Threat rule 58: what a name leads to lies below its folder, whatever links say.
    #[test]
    fn rule_58_links_and_dots_lead_nowhere() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("root");
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(home.path().join("secret"), "secret").unwrap();
        fs::write(root.join("sub/file"), "fine").unwrap();
        fs::write(root.join(".hidden"), "hidden").unwrap();
        symlink(home.path().join("secret"), root.join("link")).unwrap();
        symlink(home.path(), root.join("up")).unwrap();
        symlink(root.join("sub"), root.join("inner")).unwrap();
        mkfifo(&root.join("pipe"), Mode::S_IRWXU).unwrap();
        let folder = Folder::open(&root).unwrap();
        assert_eq!(folder.read_path("sub/file", 4), Some(b"fine".to_vec()));
        assert_eq!(folder.read_path("./sub/file", 4), Some(b"fine".to_vec()));
        for path in [
            "link",
            "up/secret",
            "inner/file",
            "../secret",
            "sub/../../secret",
            "/etc/passwd",
            "pipe",
            "sub",
            "",
            ".hidden",
            "sub//file",
            "nothing",
        ] {
            assert_eq!(folder.read_path(path, 100), None, "{path}");
        }
        assert_eq!(folder.read_path("sub/file", 3), None);
        assert_eq!(folder.names(9), ["inner", "link", "pipe", "sub", "up"]);
        assert_eq!(folder.names(2).len(), 2);
    }
}
