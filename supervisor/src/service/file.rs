//! Service files on disk.

use std::fs;
use std::io;
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
        fs::write(&beside, &self.text).map_err(failed)?;
        // Everybody may read it: service managers want that, and nothing in it is a secret.
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o644)).map_err(failed)?;
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
