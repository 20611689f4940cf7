//! Watching the canvas folder, and telling when a page should reload.
//!
//! Every folder is watched by itself, so that the ones that are ignored (`node_modules` alone can
//! have thousands) cost nothing. What is ignored is judged by the path relative to the root: the
//! root itself may well lie below a hidden folder.
//!
//! Watching is a convenience. When the system has no watches left it is said once and the rest
//! goes on; serving files never depends on it.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use openclaw_shared::clock::Moment;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::time::{sleep, sleep_until};
use tracing::{debug, info, warn};

mod folders;
mod settle;

use folders::folders;
use settle::{Burst, Change};

use crate::live_reload::LiveReload;

/// More folders than this are not watched. A canvas has a handful.
const MAX_FOLDERS: usize = 2_000;
/// Events on their way from the watching thread. What does not fit is made good by a scan. The
/// thread itself must never wait: adding a watch waits for it.
const CAPACITY: usize = 256;
/// How long to wait before trying again what did not work: a root that is missing, or a system
/// that is out of watches.
const RETRY: Duration = Duration::from_secs(2);

/// A running watch; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Watch(JoinHandle<()>);

impl Watch {
    pub(crate) fn start(root: PathBuf, live: LiveReload) -> Self {
        Self(tokio::spawn(keep_watching(root, live)))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What the watching thread reports.
#[derive(Debug)]
enum Seen {
    Change(Change),
    /// A folder appeared, or the thread has lost track: look which folders there are.
    Folders,
    /// The root itself went away.
    RootGone,
    /// The system reports a failure.
    Failed(String),
}

async fn keep_watching(root: PathBuf, live: LiveReload) {
    let mut complained = false;
    loop {
        match Tree::plant(root.clone()).await {
            Ok(tree) => {
                if std::mem::take(&mut complained) {
                    info!(target: "canvas", "live reload watches the canvas folder again");
                    live.reload();
                }
                tree.follow(&live).await;
            }
            Err(error) if !complained => {
                complained = true;
                warn!(
                    target: "canvas", %error,
                    "live reload cannot watch the canvas folder and keeps trying; \
                     set canvasHost.liveReload=false if it is not needed"
                );
            }
            Err(error) => debug!(target: "canvas", %error, "still not watching"),
        }
        sleep(RETRY).await;
    }
}

/// The watched folders.
struct Tree {
    root: PathBuf,
    watcher: RecommendedWatcher,
    seen: mpsc::Receiver<Seen>,
    /// Events were dropped. The queue was full then, so its next entry brings this to light.
    has_missed: Arc<AtomicBool>,
    limited: bool,
}

impl Tree {
    async fn plant(root: PathBuf) -> notify::Result<Self> {
        blocking(move || {
            // Events carry real paths.
            let root = root.canonicalize()?;
            let (report, seen) = mpsc::channel(CAPACITY);
            let has_missed = Arc::new(AtomicBool::new(false));
            let (base, missed) = (root.clone(), has_missed.clone());
            let watcher = notify::recommended_watcher(move |event| {
                for seen in judge(&base, event) {
                    if report.try_send(seen).is_err() {
                        missed.store(true, Ordering::Relaxed);
                    }
                }
            })?;
            let mut tree = Self {
                root,
                watcher,
                seen,
                has_missed,
                limited: false,
            };
            tree.spread()?;
            Ok(tree)
        })
        .await
    }

    /// Watches every folder there is; the ones that are watched already stay so.
    fn spread(&mut self) -> notify::Result<()> {
        let found = folders(&self.root, MAX_FOLDERS, is_ignored)?;
        let mut limit = (!found.complete).then(|| "too many folders".to_owned());
        for (index, folder) in found.paths.iter().enumerate() {
            match self.watcher.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => {}
                Err(error) if index == 0 => return Err(error),
                Err(error) if is_exhaustion(&error) => {
                    limit = Some(error.to_string());
                    break;
                }
                // It went away between the scan and this; its removal has been reported.
                Err(error) => debug!(target: "canvas", %error, "a folder is not watched"),
            }
        }
        if let (Some(reason), false) = (limit, self.limited) {
            self.limited = true;
            warn!(
                target: "canvas", reason,
                "live reload does not see every folder of the canvas; \
                 use a smaller canvasHost.root, or set canvasHost.liveReload=false"
            );
        }
        Ok(())
    }

    /// Sends reloads until the watch has to be planted anew.
    async fn follow(mut self, live: &LiveReload) {
        let mut burst = Burst::default();
        loop {
            let due = burst.deadline();
            let seen = tokio::select! {
                seen = self.seen.recv() => seen,
                () = at(due) => {
                    if burst.on_time(Moment::now()) {
                        live.reload();
                    }
                    continue;
                }
            };
            let missed = self.has_missed.swap(false, Ordering::Relaxed);
            match seen.map(|seen| if missed { Seen::Folders } else { seen }) {
                Some(Seen::Change(change)) => burst.on_change(Moment::now(), change),
                Some(Seen::Folders) => {
                    burst.on_change(Moment::now(), Change::Moved);
                    let spread = blocking(move || {
                        self.spread()?;
                        Ok(self)
                    });
                    match spread.await {
                        Ok(tree) => self = tree,
                        Err(error) => {
                            debug!(target: "canvas", %error, "the watch starts anew");
                            return;
                        }
                    }
                    // What was written into a new folder before it was watched has made no event.
                    burst.on_change(Moment::now(), Change::Written);
                }
                Some(Seen::Failed(error)) => {
                    warn!(target: "canvas", error, "live reload lost its watch and starts anew");
                    return;
                }
                Some(Seen::RootGone) | None => return,
            }
        }
    }
}

/// What an event of the system means for the pages.                                      (pure)
fn judge(root: &Path, event: notify::Result<notify::Event>) -> Vec<Seen> {
    let event = match event {
        Ok(event) => event,
        Err(error) => return vec![Seen::Failed(error.to_string())],
    };
    if event.need_rescan() {
        return vec![Seen::Folders];
    }
    let change = match event.kind {
        EventKind::Create(_) => Seen::Folders,
        EventKind::Modify(ModifyKind::Name(_)) => Seen::Folders,
        EventKind::Remove(_) => Seen::Change(Change::Moved),
        EventKind::Modify(_) | EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
            Seen::Change(Change::Written)
        }
        // Reading, which is what we do all day.
        EventKind::Access(_) | EventKind::Any | EventKind::Other => return Vec::new(),
    };
    if event.paths.iter().any(|path| path == root) {
        let moved = matches!(change, Seen::Folders | Seen::Change(Change::Moved));
        return if moved {
            vec![Seen::RootGone]
        } else {
            Vec::new()
        };
    }
    let relevant = event
        .paths
        .iter()
        .filter_map(|path| path.strip_prefix(root).ok());
    if relevant.into_iter().all(is_ignored) {
        Vec::new()
    } else {
        vec![change]
    }
}

/// Whether a path, relative to the root, is none of a page's parts.                      (pure)
fn is_ignored(relative: &Path) -> bool {
    relative.components().any(|component| match component {
        Component::Normal(name) => {
            name == "node_modules" || name.as_encoded_bytes().starts_with(b".")
        }
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
            false
        }
    })
}

fn is_exhaustion(error: &notify::Error) -> bool {
    match &error.kind {
        notify::ErrorKind::MaxFilesWatch => true,
        notify::ErrorKind::Io(error) => {
            let exhausted = [nix::errno::Errno::ENOSPC, nix::errno::Errno::EMFILE];
            let code = error.raw_os_error().map(nix::errno::Errno::from_raw);
            code.is_some_and(|code| exhausted.contains(&code))
        }
        notify::ErrorKind::Generic(_)
        | notify::ErrorKind::PathNotFound
        | notify::ErrorKind::WatchNotFound
        | notify::ErrorKind::InvalidConfig(_) => false,
    }
}

async fn at(due: Option<Moment>) {
    match due {
        Some(due) => sleep_until(due.into_std().into()).await,
        None => std::future::pending().await,
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> notify::Result<T> + Send + 'static,
) -> notify::Result<T> {
    spawn_blocking(work)
        .await
        .unwrap_or_else(|failure: JoinError| Err(notify::Error::generic(&failure.to_string())))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use notify::Event;
    use notify::event::{CreateKind, DataChange, RemoveKind};
    use tokio::time::timeout;

    use super::*;

    #[track_caller]
    fn check_ignored(relative: &str, expected: bool) {
        assert_eq!(is_ignored(Path::new(relative)), expected, "{relative}");
    }

    #[test]
    fn hidden_and_installed_things_are_ignored_below_the_root_only() {
        check_ignored("", false);
        check_ignored("index.html", false);
        check_ignored("a/b.css", false);
        check_ignored(".git/HEAD", true);
        check_ignored("a/.cache/b", true);
        check_ignored("node_modules/x/y.js", true);
        check_ignored("a/node_modules", true);
        check_ignored("my_node_modules/x", false);
    }

    #[track_caller]
    fn check_event(kind: EventKind, path: &str, expected: &str) {
        let event = Event::new(kind).add_path(PathBuf::from(path));
        let seen = judge(Path::new("/home/me/.openclaw/canvas"), Ok(event));
        assert_eq!(format!("{seen:?}"), expected, "{kind:?} {path}");
    }

    #[test]
    fn events_are_judged_by_what_they_mean_for_a_page() {
        let root = "/home/me/.openclaw/canvas";
        let page = "/home/me/.openclaw/canvas/index.html";
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        check_event(written, page, "[Change(Written)]");
        check_event(EventKind::Create(CreateKind::File), page, "[Folders]");
        check_event(EventKind::Remove(RemoveKind::File), page, "[Change(Moved)]");
        check_event(
            EventKind::Access(AccessKind::Open(AccessMode::Any)),
            page,
            "[]",
        );
        check_event(written, "/home/me/.openclaw/canvas/.git/index", "[]");
        check_event(EventKind::Remove(RemoveKind::Folder), root, "[RootGone]");
        check_event(
            EventKind::Access(AccessKind::Open(AccessMode::Any)),
            root,
            "[]",
        );
    }

    /// Waits for the next reload; the deadline is only reached by a test that fails.
    async fn reload(live: &LiveReload, seen: &mut u64) {
        let wait = timeout(Duration::from_secs(60), live.reloaded_after(*seen));
        *seen = wait.await.expect("the page should have been reloaded");
    }

    #[tokio::test]
    async fn a_change_below_a_hidden_folder_reloads_and_so_do_changes_in_new_folders() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join(".openclaw/canvas");
        fs::create_dir_all(&root).unwrap();
        let live = LiveReload::new();
        let tree = Tree::plant(root.clone()).await.unwrap();
        let followed = live.clone();
        let following = tokio::spawn(async move { tree.follow(&followed).await });
        let mut seen = 0;

        fs::write(root.join("index.html"), "one").unwrap();
        reload(&live, &mut seen).await;
        fs::create_dir(root.join("sub")).unwrap();
        reload(&live, &mut seen).await;
        fs::write(root.join("sub/a.css"), "a").unwrap();
        reload(&live, &mut seen).await;
        fs::remove_file(root.join("sub/a.css")).unwrap();
        reload(&live, &mut seen).await;
        fs::rename(root.join("sub"), root.join("moved")).unwrap();
        reload(&live, &mut seen).await;
        // Far more at once than the queue holds.
        for number in 0..2 * CAPACITY {
            fs::create_dir(root.join(format!("{number}"))).unwrap();
        }
        reload(&live, &mut seen).await;
        fs::remove_dir_all(&root).unwrap();
        timeout(Duration::from_secs(60), following)
            .await
            .unwrap()
            .unwrap();
    }
}
