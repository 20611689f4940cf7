//! The page that a new canvas folder begins with.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::beneath::INDEX;

const PAGE: &str = include_str!("first_page/index.html");

/// What was found or done at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prepared {
    /// There was an index, or a link or folder of that name; nothing was touched.
    AsItWas,
    /// The first page was written.
    PageWritten,
}

/// Makes sure that the root exists and has an index. What exists is never changed.
pub(crate) fn prepare(root: &Path) -> io::Result<Prepared> {
    DirBuilder::new().recursive(true).mode(0o700).create(root)?;
    let path = root.join(INDEX);
    let mut file = match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
    {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(Prepared::AsItWas),
        Err(error) => return Err(error),
    };
    file.write_all(PAGE.as_bytes()).inspect_err(|_| {
        // A part of a page is worse than none; when even that fails there is nothing left to do.
        let _ = std::fs::remove_file(&path);
    })?;
    Ok(Prepared::PageWritten)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_page_is_written_once_and_never_over_another() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("workspace/canvas");
        assert_eq!(prepare(&root).unwrap(), Prepared::PageWritten);
        assert_eq!(prepare(&root).unwrap(), Prepared::AsItWas);
        fs::write(root.join(INDEX), "mine").unwrap();
        assert_eq!(prepare(&root).unwrap(), Prepared::AsItWas);
        assert_eq!(fs::read_to_string(root.join(INDEX)).unwrap(), "mine");
    }

    #[test]
    fn a_link_in_the_place_of_the_page_is_not_followed() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("elsewhere");
        std::os::unix::fs::symlink(&target, home.path().join(INDEX)).unwrap();
        assert_eq!(prepare(home.path()).unwrap(), Prepared::AsItWas);
        assert!(!target.exists());
    }

    #[test]
    fn the_page_has_what_apps_and_tests_look_for() {
        for hook in [
            "<title>OpenClaw Canvas</title>",
            ">OpenClaw Canvas</h1>",
            "id=\"btn-hello\"",
            "id=\"btn-time\"",
            "id=\"btn-photo\"",
            "id=\"btn-dalek\"",
            "id=\"status\"",
            "id=\"log\"",
            "openclawSendUserAction",
            "openclaw:a2ui-action-status",
        ] {
            assert!(PAGE.contains(hook), "{hook}");
        }
    }
}
