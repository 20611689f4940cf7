//! Which folders there are to watch.

use std::fs::read_dir;
use std::io;
use std::path::{Path, PathBuf};

/// The outcome of [`folders`].
#[derive(Debug)]
pub(crate) struct Folders {
    /// The root first.
    pub(crate) paths: Vec<PathBuf>,
    /// False when there are more than were asked for.
    pub(crate) complete: bool,
}

/// The folders beneath the root, and the root itself, at most `limit` of them. Links are not followed;
/// `skip` is asked with the path relative to the root, and leaves a folder out together with
/// everything in it.
pub(crate) fn folders(
    root: &Path,
    limit: usize,
    skip: impl Fn(&Path) -> bool,
) -> io::Result<Folders> {
    let mut found = Folders {
        paths: vec![root.to_path_buf()],
        complete: true,
    };
    let mut next = 0;
    while let Some(path) = found.paths.get(next).cloned() {
        let entries = match read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if next == 0 => return Err(error),
            // Gone in the meantime, or not ours to read.
            Err(_) => {
                next += 1;
                continue;
            }
        };
        next += 1;
        for entry in entries.flatten() {
            let below = entry.path();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if !is_folder || below.strip_prefix(root).is_ok_and(&skip) {
                continue;
            }
            if found.paths.len() == limit {
                found.complete = false;
                return Ok(found);
            }
            found.paths.push(below);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn folders_are_listed_without_links_and_up_to_the_limit() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path();
        for name in ["a/b", "skipped/c", "d"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        symlink("/", root.join("link")).unwrap();
        let skip = |path: &Path| path.starts_with("skipped");
        let all = folders(root, 10, skip).unwrap();
        let mut seen: Vec<_> = all
            .paths
            .iter()
            .map(|path| path.strip_prefix(root).unwrap().to_str().unwrap())
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, ["", "a", "a/b", "d"]);
        assert!(all.complete);
        let some = folders(root, 2, skip).unwrap();
        assert_eq!((some.paths.len(), some.complete), (2, false));
    }
}
