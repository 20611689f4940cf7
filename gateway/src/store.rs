//! The one store: SQLite in the state folder, one writer, readers beside it.
//!
//! What is decided is decided inside a transaction, on what the transaction reads: there is no copy in memory that could
//! differ from the file, and so nothing to roll back when a commit fails. A write is answered after its commit has been synced;
//! writes that wait at the same moment share one commit.
//!
//! Invariant: the thread that writes also opens, and nobody else waits for that. Whoever needs a store that is not open fails at once.
//!
//! Invariant: nothing outside of this folder knows that it is SQLite but the modules that hold statements.
//!
//! Decision: while a successor takes over, the predecessor may still write what it has read, under SQLite's own lock. Refusing
//! it would lose requests that were taken. What must not be done twice (runs, timers, channels) asks for the [`lease`].

use std::cell::Cell;
use std::convert::Infallible;
use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::libc::O_NOFOLLOW;
use openclaw_shared::clock::Moment;
use openclaw_shared::control::Generation;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{oneshot, watch};

pub(crate) mod examine;
pub(crate) mod lease;
mod schema;
mod writer;

use crate::metrics::CommitTally;
use writer::{Job, Writer};

/// How long one process waits for the other while a life hands over to its successor.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a read does. Readers wait for no writer; whoever makes them wait holds the whole file, and everybody waits for the thread
/// that reads.
const READ_PATIENCE: Duration = Duration::from_millis(10);
/// What SQLite may keep of the file in memory, per connection, in KiB.
const CACHE_KIB: u32 = 256;
/// How old the last look may be for what other processes have written.
const LOOK_FOR_OTHERS: Duration = Duration::from_millis(5);
/// How long a store that cannot be opened is left alone before its thread tries again.
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
    state: Arc<Mutex<State>>,
    opened: Arc<watch::Sender<bool>>,
    commits: Arc<CommitTally>,
    /// What the thread of the store ends by while it cannot open it.
    alive: Mutex<Option<mpsc::Sender<Infallible>>>,
}

enum State {
    /// This life does not serve yet.
    Standby,
    /// It is not open, for this reason; its thread tries.
    Closed(StoreError),
    Open(Box<Open>),
}

struct Open {
    reader: Connection,
    writer: Writer,
    seen: Cell<Option<Seen>>,
}

/// The changes of the store that have been noticed.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Commits of this process.
    commits: u64,
    /// SQLite's own count of everybody's, and when it was asked for.
    data_version: i64,
    asked: Moment,
    /// The number that stands for both.
    version: u64,
}

impl Open {
    /// Asking SQLite takes locks on the file, so it is not asked each time: others write only while one life follows another.
    fn version(&self) -> Result<u64, rusqlite::Error> {
        let (commits, now) = (self.writer.commits(), Moment::now());
        let before = self.seen.get();
        let data_version = match before {
            Some(seen) if now.since(seen.asked) < LOOK_FOR_OTHERS => None,
            Some(_) | None => Some(
                self.reader
                    .prepare_cached("PRAGMA data_version")?
                    .query_row([], |row| row.get(0))?,
            ),
        };
        let seen = match (before, data_version) {
            (None, data_version) => Seen {
                commits,
                data_version: data_version.unwrap_or_default(),
                asked: now,
                version: 1,
            },
            (Some(before), data_version) => {
                let is_same = before.commits == commits
                    && data_version.is_none_or(|version| version == before.data_version);
                Seen {
                    commits,
                    data_version: data_version.unwrap_or(before.data_version),
                    asked: data_version.map_or(before.asked, |_| now),
                    version: before.version + u64::from(!is_same),
                }
            }
        };
        self.seen.set(Some(seen));
        Ok(seen.version)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &*lock(&self.state) {
            State::Standby => "standby",
            State::Closed(_) => "closed",
            State::Open(_) => "open",
        };
        formatter
            .debug_struct("Store")
            .field("path", &self.path)
            .field("state", &state)
            .finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A statement that panicked has left its transaction; the connection is as good as any.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// A store that is not opened before [`Store::begin`].
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            state: Arc::new(Mutex::new(State::Standby)),
            opened: Arc::new(watch::Sender::new(false)),
            commits: Arc::default(),
            alive: Mutex::new(None),
        }
    }

    /// This life serves from now on: has the store opened, its tables brought up to date, and the lease taken. What is returned
    /// resolves when that was tried, which may take as long as another process holds the file. A store that cannot be opened is
    /// tried again by its own thread; until then whatever needs it fails with the reason.
    pub(crate) fn begin(&self, generation: Generation) -> oneshot::Receiver<()> {
        let (alive, stop) = mpsc::channel();
        let (tried, first) = oneshot::channel();
        let opening = StoreError::Unavailable("it is being opened".to_owned());
        *lock(&self.state) = State::Closed(opening);
        let opener = Opener {
            path: self.path.clone(),
            generation,
            state: self.state.clone(),
            opened: self.opened.clone(),
            commits: self.commits.clone(),
            stop,
        };
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .stack_size(512 * 1024)
            .spawn(move || opener.run(tried));
        match thread {
            Ok(_) => *lock(&self.alive) = Some(alive),
            Err(error) => {
                tracing::error!(target: "store", %error, "the thread of the store cannot be started");
                *lock(&self.state) = State::Closed(StoreError::Unavailable(error.to_string()));
            }
        }
        first
    }

    /// Begins, and blocks until that was tried.
    #[cfg(test)]
    pub(crate) fn activate(&self, generation: Generation) {
        let tried = self.begin(generation);
        let waiting = std::thread::spawn(move || tried.blocking_recv());
        waiting.join().unwrap().unwrap();
    }

    /// The commits of this process, counted.
    pub(crate) fn commits(&self) -> &CommitTally {
        &self.commits
    }

    /// Whether it can be used.
    pub(crate) fn is_open(&self) -> bool {
        usable(&lock(&self.state)).is_ok()
    }

    /// Writes that wait for their turn.
    pub(crate) fn waiting(&self) -> usize {
        usable(&lock(&self.state)).map_or(0, |open| open.writer.waiting())
    }

    /// How large it is on the disk, its log of changes apart.
    pub(crate) fn bytes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let files = [("database", ""), ("wal", "-wal")];
        files.into_iter().filter_map(|(name, suffix)| {
            let mut path = self.path.clone().into_os_string();
            path.push(suffix);
            Some((name, std::fs::metadata(path).ok()?.len()))
        })
    }

    /// Resolves when the store is open.
    pub(crate) async fn opened(&self) {
        // It is open for as long as this life lasts, and the sender lives as long as this.
        let _ = self.opened.subscribe().wait_for(|is_open| *is_open).await;
    }

    /// Reads.
    ///
    /// # Errors
    /// When the store is not open or a statement fails.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        let state = lock(&self.state);
        read(&usable(&state)?.reader).map_err(StoreError::from)
    }

    /// A number that changes with every commit; what is made of the store can be kept while it stays the same. A commit of this
    /// process changes it before it is acknowledged, one of another process a few milliseconds later at most.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub(crate) fn version(&self) -> Result<u64, StoreError> {
        let state = lock(&self.state);
        usable(&state)?.version().map_err(StoreError::from)
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
        let sender = usable(&lock(&self.state))?.writer.sender();
        let gone = || StoreError::Failed("the write was given up".to_owned());
        if sender.send(<dyn Job>::boxed(work, settle)).await.is_err() {
            return Err(gone().into());
        }
        settled.await.unwrap_or_else(|_| Err(gone().into()))
    }
}

fn usable(state: &State) -> Result<&Open, StoreError> {
    match state {
        State::Open(open) => Ok(open),
        State::Closed(why) => Err(why.clone()),
        State::Standby => Err(StoreError::Unavailable(
            "this process does not serve yet".to_owned(),
        )),
    }
}

/// Opens the store on the thread that writes from then on.
struct Opener {
    path: PathBuf,
    generation: Generation,
    state: Arc<Mutex<State>>,
    opened: Arc<watch::Sender<bool>>,
    commits: Arc<CommitTally>,
    /// Ends with the store.
    stop: mpsc::Receiver<Infallible>,
}

impl Opener {
    fn run(self, tried: oneshot::Sender<()>) {
        let mut tried = Some(tried);
        let mut last = None;
        let (connection, waiting) = loop {
            match try_open(&self.path, self.generation) {
                Ok((writing, reader)) => {
                    let (writer, waiting) = Writer::new(self.commits.clone());
                    *lock(&self.state) = State::Open(Box::new(Open {
                        reader,
                        writer,
                        seen: Cell::new(None),
                    }));
                    break (writing, waiting);
                }
                Err(why) => {
                    if last.as_ref() == Some(&why) {
                        tracing::debug!(target: "store", error = %why, "the store still cannot be opened");
                    } else {
                        tracing::error!(target: "store", error = %why, "the store cannot be opened");
                    }
                    *lock(&self.state) = State::Closed(why.clone());
                    last = Some(why);
                }
            }
            // Nobody may wait for it any more.
            tried.take().map(|tried| tried.send(()));
            match self.stop.recv_timeout(RETRY_AFTER) {
                Ok(never) => match never {},
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        };
        if last.is_some() {
            tracing::info!(target: "store", "the store is open");
        }
        self.opened.send_replace(true);
        tried.take().map(|tried| tried.send(()));
        // The way to the writer must end with the store, and not live on in here.
        drop(self);
        writer::work(&connection, waiting);
    }
}

/// The connection that writes, and the one that reads.
fn try_open(path: &Path, generation: Generation) -> Result<(Connection, Connection), StoreError> {
    let path = &settled(path).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    create_private(path).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let mut writing = connect(path)?;
    schema::migrate(&mut writing)?;
    lease::take(&writing, generation)?;
    // The pages that new tables were made in are not needed again soon.
    writing.execute_batch("PRAGMA shrink_memory")?;
    let reader = connect(path)?;
    reader.pragma_update(None, "query_only", true)?;
    reader.busy_timeout(READ_PATIENCE)?;
    Ok((writing, reader))
}

/// A connection of a process that does not serve, and may work beside one that does.
pub(crate) fn open_beside(path: &Path) -> Result<Connection, StoreError> {
    let path = &settled(path).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    create_private(path).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let mut connection = connect(path)?;
    schema::migrate(&mut connection)?;
    Ok(connection)
}

/// A store that nobody else sees, and that ends with the connection.
pub(crate) fn open_in_memory() -> Result<Connection, StoreError> {
    let mut connection = Connection::open_in_memory()?;
    connection.pragma_update(None, "foreign_keys", true)?;
    schema::migrate(&mut connection)?;
    Ok(connection)
}

/// The path with the links in its folder followed: where the owner keeps the folder is the owner's business, and SQLite is
/// told to follow none.
fn settled(path: &Path) -> io::Result<PathBuf> {
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => Ok(folder.canonicalize()?.join(name)),
        (None, _) | (_, None) => Ok(path.to_owned()),
    }
}

/// SQLite gives its side files the mode of the database, so the database is created with the right one. A link in its place is
/// not followed, so that nothing is created where it points to.
fn create_private(path: &Path) -> io::Result<()> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .custom_flags(O_NOFOLLOW)
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
