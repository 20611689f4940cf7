//! The one store: SQLite in the state folder, one writer, readers beside it.
//!
//! What is decided is decided inside a transaction, on what the transaction reads: there is no copy in memory that could
//! differ from the file, and so nothing to roll back when a commit fails. A write is answered after its commit has been synced;
//! writes that wait at the same moment share one commit.
//!
//! Invariant: nothing outside of this folder knows that it is SQLite but the modules that hold statements.
//!
//! Decision: while a successor takes over, the predecessor may still write what it has read, under SQLite's own lock. Refusing
//! it would lose requests that were taken. What must not be done twice (runs, timers, channels) asks for the [`lease`].

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openclaw_shared::clock::Moment;
use openclaw_shared::control::Generation;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

pub(crate) mod lease;
mod schema;
mod writer;

use writer::{Job, Writer};

/// How long one process waits for the other while a life hands over to its successor.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// What SQLite may keep of the file in memory, per connection, in KiB.
const CACHE_KIB: u32 = 256;
/// How long a store that cannot be opened is left alone before it is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why the store did not do what was asked. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreError {
    /// It cannot be opened, or this process may not use it yet.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// The disk is full.
    #[error("the store cannot write: the disk is full")]
    Full,
    /// A statement failed.
    #[error("the store failed: {0}")]
    Failed(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full,
            Some(rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::CannotOpen) => {
                Self::Unavailable(error.to_string())
            }
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// The store of an instance.
pub(crate) struct Store {
    path: PathBuf,
    state: Mutex<State>,
}

enum State {
    /// This life does not serve yet.
    Standby,
    /// It could not be opened.
    Broken {
        why: StoreError,
        tried: Moment,
        generation: Generation,
    },
    Open(Box<Open>),
}

struct Open {
    reader: Connection,
    writer: Writer,
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &*self.state() {
            State::Standby => "standby",
            State::Broken { .. } => "broken",
            State::Open(_) => "open",
        };
        formatter
            .debug_struct("Store")
            .field("path", &self.path)
            .field("state", &state)
            .finish()
    }
}

impl Store {
    /// A store that is not opened before [`Store::activate`].
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self {
            path,
            state: Mutex::new(State::Standby),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A statement that panicked has left its transaction; the connection is as good as any.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This life serves from now on: opens the store, brings its tables up to date, and takes the lease. A store that cannot
    /// be opened is tried again when it is needed; until then whatever needs it fails with the reason.
    pub(crate) fn activate(&self, generation: Generation) {
        let mut state = self.state();
        *state = open(&self.path, generation);
    }

    /// Reads.
    ///
    /// # Errors
    /// When the store cannot be opened or a statement fails.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        let mut state = self.state();
        let open = usable(&self.path, &mut state)?;
        read(&open.reader).map_err(StoreError::from)
    }

    /// A number that changes with every commit, by whichever process; what is made of the store can be kept while it stays
    /// the same.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub(crate) fn version(&self) -> Result<i64, StoreError> {
        self.read(|reader| {
            reader
                .prepare_cached("PRAGMA data_version")?
                .query_row([], |row| row.get(0))
        })
    }

    /// Decides and writes in one transaction, and returns when it is durable. An error of the closure undoes its writes and no
    /// others.
    ///
    /// # Errors
    /// Those of the closure, or why nothing could be written.
    pub(crate) async fn write<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (settle, settled) = oneshot::channel();
        let sender = {
            let mut state = self.state();
            usable(&self.path, &mut state)?.writer.sender()
        };
        let gone = || StoreError::Failed("the write was given up".to_owned());
        if sender.send(<dyn Job>::boxed(work, settle)).await.is_err() {
            return Err(gone().into());
        }
        settled.await.unwrap_or_else(|_| Err(gone().into()))
    }
}

fn usable<'a>(path: &Path, state: &'a mut State) -> Result<&'a mut Open, StoreError> {
    if let State::Broken {
        tried, generation, ..
    } = &*state
        && Moment::now().since(*tried) >= RETRY_AFTER
    {
        *state = open(path, *generation);
    }
    match state {
        State::Open(open) => Ok(open),
        State::Broken { why, .. } => Err(why.clone()),
        State::Standby => Err(StoreError::Unavailable(
            "this process does not serve yet".to_owned(),
        )),
    }
}

fn open(path: &Path, generation: Generation) -> State {
    match try_open(path, generation) {
        Ok(open) => State::Open(Box::new(open)),
        Err(why) => {
            tracing::error!(target: "store", error = %why, "the store cannot be opened");
            State::Broken {
                why,
                tried: Moment::now(),
                generation,
            }
        }
    }
}

fn try_open(path: &Path, generation: Generation) -> Result<Open, StoreError> {
    let path = &settled(path).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    create_private(path).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let mut writing = connect(path)?;
    schema::migrate(&mut writing)?;
    lease::take(&writing, generation)?;
    let reader = connect(path)?;
    reader.pragma_update(None, "query_only", true)?;
    let writer =
        Writer::start(writing).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    Ok(Open { reader, writer })
}

/// The path with the links in its folder followed: where the owner keeps the folder is the owner's business, and SQLite is
/// told to follow none.
fn settled(path: &Path) -> io::Result<PathBuf> {
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => Ok(folder.canonicalize()?.join(name)),
        (None, _) | (_, None) => Ok(path.to_owned()),
    }
}

/// SQLite gives its side files the mode of the database, so the database is created with the right one.
fn create_private(path: &Path) -> io::Result<()> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map(drop)
}

fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cache_size", -i64::from(CACHE_KIB))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

#[cfg(test)]
mod tests;
