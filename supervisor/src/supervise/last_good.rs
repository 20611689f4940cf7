//! The last configuration that reached ready: the source bytes of the file and its includes, never resolved secrets.

use std::fs;
use std::io;
use std::path::Path;

use openclaw_shared::config::{Source, write};
use openclaw_shared::paths::StatePaths;

/// Keeps a configuration that serves. It is written beside, synced and renamed, so that a crash leaves the one before.
///
/// # Errors
/// As the system says.
pub(crate) fn keep(state_dir: &Path, source: &Source) -> io::Result<()> {
    let path = StatePaths(state_dir).last_good();
    let text = serde_json::to_string_pretty(source).map_err(io::Error::other)?;
    if fs::read_to_string(&path).is_ok_and(|kept| kept == text) {
        return Ok(());
    }
    if let Ok(before) = fs::read(&path) {
        write::replace_private(&StatePaths(state_dir).good_before(), &before)?;
    }
    write::replace_private(&path, text.as_bytes())
}

/// The configuration kept before the last one, if it can be read.
pub(crate) fn recall_before(state_dir: &Path) -> Option<Source> {
    read(&StatePaths(state_dir).good_before())
}

/// The configuration kept last, if it can be read.
pub(crate) fn recall(state_dir: &Path) -> Option<Source> {
    read(&StatePaths(state_dir).last_good())
}

fn read(path: &Path) -> Option<Source> {
    let text = fs::read_to_string(path).ok()?;
    match serde_json::from_str(&text) {
        Ok(source) => Some(source),
        Err(error) => {
            tracing::warn!(target: "supervisor", %error, "the last-known-good configuration is unreadable");
            None
        }
    }
}
