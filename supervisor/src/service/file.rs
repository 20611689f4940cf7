//! Service files on disk.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A file that defines a service, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceFile {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl ServiceFile {
    /// Writes it beside its place and puts it there, so that a service manager never reads half of it.
    ///
    /// # Errors
    /// With a sentence.
    pub(crate) fn write(&self) -> Result<(), String> {
        let failed =
            |error: io::Error| format!("{} cannot be written: {error}", self.path.display());
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let beside = self.path.with_extension("openclaw-new");
        // Left by a write that was interrupted, or put there by somebody else as a link to elsewhere.
        remove(&beside)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&beside)
            .map_err(failed)?;
        file.write_all(self.text.as_bytes()).map_err(failed)?;
        // Everybody may read it: service managers want that, and nothing in it is a secret.
        file.set_permissions(fs::Permissions::from_mode(0o644))
            .map_err(failed)?;
        fs::rename(&beside, &self.path).map_err(failed)
    }

    /// The same file in another folder.
    pub(crate) fn inside(&self, folder: &Path) -> Self {
        let name = self.path.file_name().unwrap_or_default();
        Self {
            path: folder.join(name),
            text: self.text.clone(),
        }
    }
}

/// Removes a file; one that is not there is fine. Tells whether there was one.
///
/// # Errors
/// With a sentence.
pub(super) fn remove(path: &Path) -> Result<bool, String> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(format!("{} cannot be removed: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_in_the_way_leads_nowhere_and_the_file_is_everybodys_to_read() {
        let folder = tempfile::tempdir().unwrap();
        let precious = folder.path().join("precious");
        fs::write(&precious, "mine").unwrap();
        let file = ServiceFile {
            path: folder.path().join("units/x.service"),
            text: "[Unit]\n".to_owned(),
        };
        fs::create_dir(folder.path().join("units")).unwrap();
        for link in ["units/x.openclaw-new", "units/x.service"] {
            std::os::unix::fs::symlink(&precious, folder.path().join(link)).unwrap();
        }
        file.write().unwrap();
        assert_eq!(fs::read_to_string(&precious).unwrap(), "mine");
        let written = fs::symlink_metadata(&file.path).unwrap();
        assert!(written.is_file());
        assert_eq!(written.permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_to_string(&file.path).unwrap(), "[Unit]\n");
        let left = fs::read_dir(folder.path().join("units")).unwrap().count();
        assert_eq!(left, 1, "nothing is left beside it");
    }
}
