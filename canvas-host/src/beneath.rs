//! Opening what lies beneath the root, and nothing else.
//!
//! Each name is opened in the folder that was opened before it, without following links: no
//! path is ever handed to the kernel whole, so a link that is put in the way between two steps
//! is met like any other and refused. This works alike on every Unix and inside sandboxes that
//! know no `openat2`.
//!
//! Invariant: only regular files come out. What is not one is not even opened, because opening a
//! FIFO waits for a writer and opening a device may set it in motion.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};

use crate::root::Wanted;

/// What a folder shows when nothing in it is named.
pub(crate) const INDEX: &str = "index.html";

/// What was found.
#[derive(Debug)]
pub(crate) enum Found {
    /// A regular file, open for reading.
    File(Opened),
    /// A folder, asked for without the slash at its end.
    Folder,
}

/// A regular file that lies beneath the root.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) file: File,
    pub(crate) name: String,
    pub(crate) state: FileStat,
}

/// Why nothing was found.
#[derive(Debug)]
pub(crate) enum Missing {
    /// No such file, or none that we would serve: a link, a device, a FIFO, one without permission.
    File,
    /// The folder is there and has no index.
    Index,
    /// The root itself cannot be opened.
    Root(io::Error),
    /// The file system failed.
    Broken(io::Error),
}

/// Looks up what a URL asks for. Blocks as long as the file system does.
pub(crate) fn find(root: &Path, wanted: &Wanted) -> Result<Found, Missing> {
    let mut folder = open(
        root,
        OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )
    .map_err(|errno| Missing::Root(errno.into()))?;
    let Some((last, way)) = wanted.names.split_last() else {
        return if wanted.is_folder {
            open_index(&folder)
        } else {
            Ok(Found::Folder)
        };
    };
    for name in way {
        folder = open_folder(&folder, name)?;
    }
    match kind(&folder, last)? {
        SFlag::S_IFREG if !wanted.is_folder => open_file(&folder, last),
        SFlag::S_IFDIR if !wanted.is_folder => Ok(Found::Folder),
        SFlag::S_IFDIR => open_index(&open_folder(&folder, last)?),
        _ => Err(Missing::File),
    }
}

fn open_index(folder: &OwnedFd) -> Result<Found, Missing> {
    let missing_index = |missing| match missing {
        Missing::File => Missing::Index,
        Missing::Index | Missing::Root(_) | Missing::Broken(_) => missing,
    };
    match kind(folder, INDEX).map_err(missing_index)? {
        SFlag::S_IFREG => open_file(folder, INDEX).map_err(missing_index),
        _ => Err(Missing::Index),
    }
}

fn open_folder(folder: &OwnedFd, name: &str) -> Result<OwnedFd, Missing> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    openat(folder, name, flags, Mode::empty()).map_err(missing)
}

fn open_file(folder: &OwnedFd, name: &str) -> Result<Found, Missing> {
    // Non-blocking, for it may have become a FIFO since it was looked at.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let file = openat(folder, name, flags | OFlag::O_NOCTTY, Mode::empty()).map_err(missing)?;
    let state = fstat(&file).map_err(missing)?;
    if file_kind(&state) != SFlag::S_IFREG {
        return Err(Missing::File);
    }
    Ok(Found::File(Opened {
        file: File::from(file),
        name: name.to_owned(),
        state,
    }))
}

fn kind(folder: impl AsFd, name: &str) -> Result<SFlag, Missing> {
    let state = fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(missing)?;
    Ok(file_kind(&state))
}

fn file_kind(state: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(state.st_mode) & SFlag::S_IFMT
}

fn missing(errno: Errno) -> Missing {
    const NOTHING_TO_SERVE: [Errno; 8] = [
        Errno::ENOENT,
        Errno::ENOTDIR,
        Errno::ELOOP,
        Errno::EACCES,
        Errno::EPERM,
        Errno::ENAMETOOLONG,
        Errno::ENXIO,
        Errno::EISDIR,
    ];
    // A link where a folder was expected; its number differs between systems.
    let is_link = errno == Errno::EMLINK;
    if is_link || NOTHING_TO_SERVE.contains(&errno) {
        Missing::File
    } else {
        Missing::Broken(errno.into())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::root::resolve;

    fn look(root: &Path, below: &str) -> Result<Found, Missing> {
        let Ok(wanted) = resolve(below) else {
            panic!("{below} is not looked up")
        };
        find(root, &wanted)
    }

    #[track_caller]
    fn check(root: &Path, below: &str, expected: &str) {
        let seen = match look(root, below) {
            Ok(Found::File(opened)) => io::read_to_string(opened.file).unwrap(),
            Ok(Found::Folder) => "<folder>".to_owned(),
            Err(Missing::File) => "<no file>".to_owned(),
            Err(Missing::Index) => "<no index>".to_owned(),
            Err(other) => format!("{other:?}"),
        };
        assert_eq!(seen, expected, "{below}");
    }

    #[test]
    fn only_regular_files_beneath_the_root_come_out() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("canvas");
        fs::create_dir_all(root.join("sub/deep")).unwrap();
        fs::create_dir_all(root.join("linked-index")).unwrap();
        fs::create_dir_all(home.path().join("outside")).unwrap();
        fs::write(root.join("index.html"), "index").unwrap();
        fs::write(root.join("sub/a.txt"), "a").unwrap();
        fs::write(home.path().join("secret.txt"), "secret").unwrap();
        fs::write(home.path().join("outside/index.html"), "outside").unwrap();
        symlink(home.path().join("secret.txt"), root.join("absolute.txt")).unwrap();
        symlink("../secret.txt", root.join("relative.txt")).unwrap();
        symlink("index.html", root.join("inside.html")).unwrap();
        symlink(home.path().join("outside"), root.join("out")).unwrap();
        symlink("sub", root.join("in")).unwrap();
        symlink("../../secret.txt", root.join("linked-index/index.html")).unwrap();
        nix::unistd::mkfifo(&root.join("fifo"), Mode::S_IRWXU).unwrap();
        let _socket = UnixListener::bind(root.join("socket")).unwrap();

        check(&root, "/", "index");
        check(&root, "", "<folder>");
        check(&root, "/index.html", "index");
        check(&root, "/index.html/", "<no file>");
        check(&root, "/sub", "<folder>");
        check(&root, "/sub/", "<no index>");
        check(&root, "/sub/a.txt", "a");
        check(&root, "/sub/a.txt/b", "<no file>");
        check(&root, "/absent", "<no file>");
        check(&root, "/absent/", "<no file>");
        for link in ["/absolute.txt", "/relative.txt", "/inside.html"] {
            check(&root, link, "<no file>");
        }
        for link in [
            "/out",
            "/out/",
            "/out/index.html",
            "/in",
            "/in/",
            "/in/a.txt",
        ] {
            check(&root, link, "<no file>");
        }
        check(&root, "/linked-index/", "<no index>");
        check(&root, "/linked-index/index.html", "<no file>");
        check(&root, "/fifo", "<no file>");
        check(&root, "/socket", "<no file>");
    }

    #[test]
    fn a_root_that_is_a_link_is_the_owners_business() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("real")).unwrap();
        fs::write(home.path().join("real/index.html"), "index").unwrap();
        symlink("real", home.path().join("canvas")).unwrap();
        check(&home.path().join("canvas"), "/", "index");
    }

    #[test]
    fn a_missing_root_is_told_from_a_missing_file() {
        let home = tempfile::tempdir().unwrap();
        let outcome = look(&home.path().join("absent"), "/");
        assert!(matches!(outcome, Err(Missing::Root(_))), "{outcome:?}");
    }
}
