//! Which file a name stands for, and which file that really is.
//!
//! The file system is behind a trait, so that whole systems of links can be tabled.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

/// What the policy asks the file system.
pub trait Files {
    /// Whether it is a file that can be executed.
    fn is_program(&self, path: &Path) -> bool;
    /// The path without links.
    fn canonical(&self, path: &Path) -> Option<PathBuf>;
    /// Whether it is something that can be read like a file.
    fn is_file(&self, path: &Path) -> bool;
    /// Whether it is a file and no pipe or device.
    fn is_regular(&self, path: &Path) -> bool;
}

/// The file system of this machine.
#[derive(Debug, Clone, Copy)]
pub struct Disk;

impl Files for Disk {
    fn is_program(&self, path: &Path) -> bool {
        fs::metadata(path)
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    }

    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        fs::canonicalize(path).ok()
    }

    fn is_file(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|meta| meta.is_file() || meta.file_type().is_fifo())
    }

    fn is_regular(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|meta| meta.is_file())
    }
}

/// Where names are looked up.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    /// The file system.
    pub files: &'a dyn Files,
    /// The folder the command runs in.
    pub cwd: &'a Path,
    /// The folders that programs are searched in: absolute ones only, and none that a caller named.
    pub path: &'a [PathBuf],
    /// What `~` stands for in the owner's patterns.
    pub home: Option<&'a Path>,
}

/// A program that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The absolute path by which it was found.
    pub found: PathBuf,
    /// The file that it is, by which it is judged.
    pub real: PathBuf,
    /// The path that is executed: the real file, so that it makes no difference what becomes of a link after the judgement. A
    /// link among the system's own programs stays, because many of those know by their name what they are to do, and whoever
    /// can change that link can change the file as well.
    pub run: PathBuf,
    /// Whether `run` does the same under its own name as under the one by which it was found.
    pub keeps_name: bool,
}

/// Programs that are many, and know by their name which one is meant.
const MANY_IN_ONE: [&str; 3] = ["busybox", "toybox", "coreutils"];

/// The folders that the system's own programs are in.
const SYSTEM: [&str; 4] = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];

/// Where what is left by nobody, or for a moment only, looks like files.
const NO_FILES: [&str; 4] = ["/dev", "/proc", "/run", "/sys"];

impl Site<'_> {
    /// Finds a program as the system would.
    #[must_use]
    pub fn locate(&self, name: &str) -> Option<Located> {
        if name.contains('/') {
            return self.at(&plain(&self.cwd.join(name)));
        }
        self.search(name)
    }

    /// Finds a program by its name alone.
    #[must_use]
    pub fn search(&self, name: &str) -> Option<Located> {
        if name.is_empty() || name.contains('/') || name == "." || name == ".." {
            return None;
        }
        let mut folders = self.path.iter();
        folders.find_map(|folder| self.at(&folder.join(name)))
    }

    fn at(&self, found: &Path) -> Option<Located> {
        if !self.files.is_program(found) {
            return None;
        }
        let real = real(self.files, found)?;
        let (run, keeps_name) = self.run(found, &real)?;
        Some(Located {
            found: found.to_owned(),
            real,
            run,
            keeps_name,
        })
    }

    fn run(&self, found: &Path, real: &Path) -> Option<(PathBuf, bool)> {
        let folder = self.files.canonical(found.parent()?)?;
        let named = folder.join(found.file_name()?);
        if named == real {
            return Some((named, true));
        }
        if is_system(&folder) && is_below(real, &["/usr", "/bin", "/sbin"]) {
            return Some((named, true));
        }
        // The version in a name (`python3.13`) tells a program nothing, but a virtual environment is known by its link.
        let is_same = family(file_name(found)) == family(file_name(real));
        let environment = folder.parent().map(|above| above.join("pyvenv.cfg"));
        let is_virtual = environment.is_some_and(|config| self.files.is_file(&config));
        Some((real.to_owned(), is_same && !is_virtual))
    }

    /// The file that a program is written in, if it is one that stays: no pipe and nothing that the kernel makes up.
    pub(crate) fn script(&self, name: &str) -> Option<PathBuf> {
        let script = self.files.canonical(&self.cwd.join(name))?;
        let stays = self.files.is_regular(&script) && !is_below(&script, &NO_FILES);
        stays.then_some(script)
    }
}

/// The name of a program without its version.
pub(crate) fn family(name: &str) -> &str {
    name.trim_end_matches(|character: char| character.is_ascii_digit() || ".-".contains(character))
}

fn file_name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}

fn is_below(path: &Path, folders: &[&str]) -> bool {
    folders.iter().any(|folder| path.starts_with(folder))
}

/// The file that a path stands for. In the system's folders a name of a program that is many stays that name.
pub(crate) fn real(files: &dyn Files, path: &Path) -> Option<PathBuf> {
    let canonical = files.canonical(path)?;
    let is_many = canonical
        .file_name()
        .is_some_and(|name| MANY_IN_ONE.iter().any(|many| name == *many));
    if let (true, Some(folder), Some(name)) = (is_many, path.parent(), path.file_name())
        && let Some(folder) = files.canonical(folder).filter(|folder| is_system(folder))
    {
        return Some(folder.join(name));
    }
    Some(canonical)
}

fn is_system(folder: &Path) -> bool {
    SYSTEM.iter().any(|system| folder == Path::new(system))
}

impl Located {
    /// The names under which it could be known: the one that was asked for, and its own.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        [&self.found, &self.real]
            .into_iter()
            .filter_map(|path| path.file_name()?.to_str())
    }

    /// Whether it is one of the system's own programs, so that its name says what it does.
    pub(crate) fn is_of_the_system(&self) -> bool {
        self.real.parent().is_some_and(is_system)
    }
}

/// The path without `.`; `..` stays, because what it leads to depends on links.
fn plain(path: &Path) -> PathBuf {
    path.components()
        .filter(|component| *component != Component::CurDir)
        .collect()
}

#[cfg(test)]
pub(crate) mod testing {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::{Path, PathBuf};

    use super::Files;

    /// A file system in a table: programs, other files, and links from a path to what it leads to.
    #[derive(Debug, Default)]
    pub(crate) struct Table {
        programs: BTreeSet<PathBuf>,
        files: BTreeSet<PathBuf>,
        links: BTreeMap<PathBuf, PathBuf>,
    }

    impl Table {
        /// A usual system: `/bin` is a link to `/usr/bin`, `sh` to `dash`, `awk` to `mawk`.
        pub(crate) fn usual() -> Self {
            let mut table = Self::default();
            for name in [
                "echo",
                "ls",
                "cat",
                "head",
                "grep",
                "sort",
                "jq",
                "wc",
                "tr",
                "tail",
                "cut",
                "uniq",
                "dash",
                "bash",
                "env",
                "nice",
                "nohup",
                "timeout",
                "flock",
                "sudo",
                "xargs",
                "find",
                "busybox",
                "python3.13",
                "mawk",
                "sed",
                "setsid",
                "stdbuf",
                "git",
                "perl",
                "node",
                "time",
                "xz",
                "ln",
                "tar",
                "cp",
            ] {
                table = table.program(&format!("/usr/bin/{name}"));
            }
            table
                .link("/bin", "/usr/bin")
                .link("/usr/bin/sh", "/usr/bin/dash")
                .link("/usr/bin/awk", "/usr/bin/mawk")
                .link("/usr/bin/python3", "/usr/bin/python3.13")
                .link("/usr/bin/unxz", "/usr/bin/xz")
        }

        pub(crate) fn program(mut self, path: &str) -> Self {
            self.programs.insert(path.into());
            self
        }

        pub(crate) fn file(mut self, path: &str) -> Self {
            self.files.insert(path.into());
            self
        }

        pub(crate) fn link(mut self, from: &str, to: &str) -> Self {
            self.links.insert(from.into(), to.into());
            self
        }

        fn follow(&self, path: &Path) -> PathBuf {
            let mut path = path.to_owned();
            'again: loop {
                for (from, to) in &self.links {
                    if let Ok(rest) = path.strip_prefix(from) {
                        path = if rest.as_os_str().is_empty() {
                            to.clone()
                        } else {
                            to.join(rest)
                        };
                        continue 'again;
                    }
                }
                return path;
            }
        }

        fn is_folder(&self, path: &Path) -> bool {
            self.programs
                .iter()
                .chain(&self.files)
                .chain(self.links.keys())
                .any(|file| file.starts_with(path))
        }
    }

    impl Files for Table {
        fn is_program(&self, path: &Path) -> bool {
            self.programs.contains(&self.follow(path))
        }

        fn canonical(&self, path: &Path) -> Option<PathBuf> {
            let end = self.follow(path);
            (self.programs.contains(&end) || self.files.contains(&end) || self.is_folder(&end))
                .then_some(end)
        }

        fn is_file(&self, path: &Path) -> bool {
            let end = self.follow(path);
            self.files.contains(&end) || self.programs.contains(&end)
        }

        fn is_regular(&self, path: &Path) -> bool {
            self.is_file(path)
        }
    }
}
