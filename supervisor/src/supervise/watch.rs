//! Tells when a file that the configuration was read from has changed.
//!
//! Folders are watched rather than files, because editors replace files. What changed is only a nudge: whoever is nudged
//! reads everything again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

/// A watch on a set of files.
#[derive(Debug)]
pub(crate) struct Watch {
    watcher: Option<RecommendedWatcher>,
    files: Arc<Mutex<BTreeSet<PathBuf>>>,
    folders: BTreeSet<PathBuf>,
}

impl Watch {
    /// A watch that nudges; where the system has none to give, changes are found only by SIGHUP or a restart.
    pub(crate) fn new(nudge: mpsc::Sender<()>) -> Self {
        let files = Arc::new(Mutex::new(BTreeSet::new()));
        let seen = Arc::clone(&files);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let concerns_us = match &event {
                Ok(event) if matches!(event.kind, EventKind::Access(_)) => false,
                Ok(event) => {
                    let files = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    event.paths.iter().any(|path| files.contains(path)) || event.need_rescan()
                }
                // Events may have been lost, so reading again is right.
                Err(_) => true,
            };
            if concerns_us {
                // A full channel means that a nudge is waiting already.
                let _ = nudge.try_send(());
            }
        });
        let watcher = watcher
            .inspect_err(|error| {
                tracing::warn!(target: "supervisor", %error, "configuration files cannot be watched; use SIGHUP");
            })
            .ok();
        Self {
            watcher,
            files,
            folders: BTreeSet::new(),
        }
    }

    /// Watches these files from now on, and the files that they link to.
    pub(crate) fn follow<'a>(&mut self, paths: impl Iterator<Item = &'a Path>) {
        let mut files = BTreeSet::new();
        for path in paths {
            files.insert(path.to_path_buf());
            if let Ok(target) = path.canonicalize() {
                files.insert(target);
            }
        }
        let folders: BTreeSet<PathBuf> = files
            .iter()
            .filter_map(|file| file.parent())
            .map(Path::to_path_buf)
            .collect();
        *self.files.lock().unwrap_or_else(PoisonError::into_inner) = files;
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        for folder in self.folders.difference(&folders) {
            // A folder that is gone is not watched any more anyway.
            let _ = watcher.unwatch(folder);
        }
        for folder in folders.difference(&self.folders) {
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                tracing::debug!(target: "supervisor", folder = %folder.display(), %error, "folder is not watched");
            }
        }
        self.folders = folders;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Watch;

    #[tokio::test]
    async fn a_replaced_file_nudges_and_a_neighbour_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("openclaw.json");
        std::fs::write(&file, "{}").unwrap();
        let (nudge, mut nudged) = tokio::sync::mpsc::channel(1);
        let mut watch = Watch::new(nudge);
        watch.follow([file.as_path()].into_iter());
        let beside = folder.path().join("openclaw.json.tmp");
        std::fs::write(&beside, "{a: 1}").unwrap();
        std::fs::write(folder.path().join("other"), "x").unwrap();
        assert!(nudged.try_recv().is_err());
        std::fs::rename(&beside, &file).unwrap();
        tokio::time::timeout(Duration::from_secs(60), nudged.recv())
            .await
            .unwrap()
            .unwrap();
    }
}
