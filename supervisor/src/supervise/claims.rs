//! What an instance may not share with another: its state, its configuration file, its workspace, its canvas folder and its logs.
//!
//! A claim is a lock held by the kernel on an open file, never a file's existence, so a crash leaves none behind. The claim
//! on the state is inherited by every child and therefore lasts as long as any process of the instance.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use openclaw_shared::instance::Instance;
use openclaw_shared::ipc::private_folder;
use openclaw_shared::paths::StatePaths;

/// How often it is looked whether a predecessor that is just ending is gone: for a second, or for longer on a machine that is too busy
/// to let either of the two go on.
pub(crate) const LOOKS: u32 = 100;
/// How long it takes from one look to the next; the kernel has no lock with a deadline.
pub(crate) const RETRY: Duration = Duration::from_millis(10);

/// Everything an instance claims.
#[derive(Debug)]
pub(crate) struct Claims {
    state: File,
    others: Vec<File>,
}

/// Why an instance cannot have what it needs for itself.
#[derive(Debug)]
pub(crate) enum ClaimError {
    /// Another instance has it.
    Taken {
        what: &'static str,
        path: PathBuf,
        holder: Option<u32>,
    },
    /// It cannot be created or opened.
    Unusable {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

impl fmt::Display for ClaimError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken { what, path, holder } => {
                write!(
                    formatter,
                    "the {what} {} belongs to a running instance",
                    path.display()
                )?;
                match holder {
                    Some(pid) => write!(formatter, " (pid {pid})"),
                    None => Ok(()),
                }
            }
            Self::Unusable { what, path, source } => {
                write!(
                    formatter,
                    "the {what} {} cannot be used: {source}",
                    path.display()
                )
            }
        }
    }
}

impl Claims {
    /// Claims everything, waiting a moment for an instance that is just ending.
    ///
    /// # Errors
    /// The first thing another instance has, naming that instance; nothing stays claimed then.
    pub(crate) async fn take(instance: &Instance) -> Result<Self, ClaimError> {
        let state_dir = &instance.identity.state_dir;
        let unusable = |what, path: &Path| {
            let path = path.to_path_buf();
            move |source| ClaimError::Unusable { what, path, source }
        };
        private_folder(state_dir).map_err(unusable("state folder", state_dir))?;
        let lock_path = StatePaths(state_dir).lock();
        let mut state = lock_file(&lock_path).map_err(unusable("state folder", state_dir))?;
        lock(&state, "state folder", state_dir).await?;
        // For people who look; nobody reads it to decide anything.
        let _ = state
            .set_len(0)
            .and_then(|()| writeln!(state, "{}", std::process::id()));

        let mut others = Vec::new();
        for (what, folder) in [
            ("workspace", &instance.workspace),
            ("canvas folder", &instance.canvas_root),
            ("log folder", &instance.log_dir),
        ] {
            // Folders inside the state folder are covered by its claim, unless somebody else points there.
            create_folder(folder).map_err(unusable(what, folder))?;
            let file = File::open(folder).map_err(unusable(what, folder))?;
            lock(&file, what, folder).await?;
            others.push(file);
        }
        let config = &instance.identity.config_path;
        if config.parent() != Some(state_dir.as_path())
            && let Some(path) = lock_beside(config)
            && path.parent().is_some_and(Path::is_dir)
        {
            match lock_file(&path) {
                Ok(file) => {
                    lock(&file, "configuration", config).await?;
                    others.push(file);
                }
                // A read-only folder: nobody can change the configuration there, so sharing it harms nobody.
                Err(error) => {
                    tracing::debug!(target: "supervisor", %error, "configuration is not claimed")
                }
            }
        }
        Ok(Self { state, others })
    }

    /// Goes on with claims that were handed over.
    pub(crate) const fn resumed(state: File, others: Vec<File>) -> Self {
        Self { state, others }
    }

    /// All of them, to be handed over.
    pub(crate) fn into_parts(self) -> (File, Vec<File>) {
        (self.state, self.others)
    }

    /// The claim that children inherit.
    pub(crate) fn inherited(&self) -> BorrowedFd<'_> {
        self.state.as_fd()
    }
}

fn create_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        Ok(())
    } else {
        private_folder(folder)
    }
}

/// `.openclaw.json.lock` beside `openclaw.json`: the file itself is replaced by every edit, so a lock on it would not hold.
fn lock_beside(config: &Path) -> Option<PathBuf> {
    let name = config.file_name()?.to_str()?;
    Some(config.with_file_name(format!(".{name}.lock")))
}

fn lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(path)
}

async fn lock(file: &File, what: &'static str, path: &Path) -> Result<(), ClaimError> {
    let mut looks = 0;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if looks < LOOKS => {
                looks += 1;
                tokio::time::sleep(RETRY).await;
            }
            Err(TryLockError::WouldBlock) => {
                let holder = holder(file);
                return Err(ClaimError::Taken {
                    what,
                    path: path.to_path_buf(),
                    holder,
                });
            }
            Err(TryLockError::Error(source)) => {
                return Err(ClaimError::Unusable {
                    what,
                    path: path.to_path_buf(),
                    source,
                });
            }
        }
    }
}

/// Whether an instance holds this state folder, and which process; for a command that found no supervisor to ask.
pub(crate) fn holder_of(state_dir: &Path) -> Option<u32> {
    // The folder may be another user's: what lies there in the place of the file is not waited for, and leads nowhere else.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
        .open(StatePaths(state_dir).lock())
        .ok()?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => holder(&file),
        // Nobody has it; the lock just taken ends with the descriptor.
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

/// The process that holds the lock, as the kernel lists it.
fn holder(file: &File) -> Option<u32> {
    let inode = file.metadata().ok()?.ino();
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        // `1: FLOCK  ADVISORY  WRITE 2764 fe:00:131090 0 EOF`
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, pid, place, ..] = *fields.as_slice() else {
            return None;
        };
        let listed: u64 = place.rsplit(':').next()?.parse().ok()?;
        (listed == inode).then(|| pid.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::{ClaimError, holder, lock, lock_file};

    #[tokio::test]
    async fn a_lock_names_its_holder_and_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = lock_file(&path).unwrap();
        lock(&first, "state folder", &path).await.unwrap();
        let second = lock_file(&path).unwrap();
        assert_eq!(holder(&second), Some(std::process::id()));
        let refused = lock(&second, "state folder", &path).await.unwrap_err();
        assert!(
            matches!(
                refused,
                ClaimError::Taken {
                    holder: Some(_),
                    ..
                }
            ),
            "{refused}"
        );
        drop(first);
        lock(&second, "state folder", &path).await.unwrap();
    }

    #[tokio::test]
    async fn the_holder_of_a_state_folder_is_known_without_asking_it() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(super::holder_of(folder.path()), None);
        let path = openclaw_shared::paths::StatePaths(folder.path()).lock();
        let held = lock_file(&path).unwrap();
        assert_eq!(super::holder_of(folder.path()), None);
        lock(&held, "state folder", folder.path()).await.unwrap();
        assert_eq!(super::holder_of(folder.path()), Some(std::process::id()));
    }
}
