//! The one thread that writes: takes what waits, runs it in one transaction, syncs once, then answers everybody.
//!
//! Each job runs in a savepoint of its own, so that one that fails undoes itself alone. When the commit fails, or SQLite has
//! rolled the transaction back by itself (a full disk does that), every job of it fails.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use openclaw_shared::clock::Moment;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::StoreError;
use crate::metrics::CommitTally;

/// Jobs that may wait; whoever comes later waits for room.
const WAITING: usize = 1024;
/// Jobs that share a commit at most.
const BATCH: usize = 256;

/// A write that waits for its turn.
pub(super) trait Job: Send {
    /// Runs inside its savepoint.
    fn run(&mut self, connection: &Connection) -> Ran;
    /// The transaction it was part of is durable, or why not.
    fn settle(self: Box<Self>, committed: Result<(), StoreError>);
}

/// How a job went.
pub(super) enum Ran {
    /// Its writes are to be kept.
    Well,
    /// Its writes are to be undone; why, if the store is to blame.
    Badly(Option<StoreError>),
}

struct Work<F, T, E> {
    work: Option<F>,
    outcome: Option<Result<T, E>>,
    settle: oneshot::Sender<Result<T, E>>,
}

impl dyn Job {
    /// A job from what it does and where its outcome goes.
    pub(super) fn boxed<F, T, E>(work: F, settle: oneshot::Sender<Result<T, E>>) -> Box<Self>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        Box::new(Work {
            work: Some(work),
            outcome: None,
            settle,
        })
    }
}

impl<F, T, E> Job for Work<F, T, E>
where
    F: FnOnce(&Connection) -> Result<T, E> + Send,
    T: Send,
    E: From<StoreError> + Send + 'static,
{
    fn run(&mut self, connection: &Connection) -> Ran {
        let Some(work) = self.work.take() else {
            return Ran::Badly(None);
        };
        // The panic hook has already said where.
        let outcome = catch_unwind(AssertUnwindSafe(|| work(connection)))
            .unwrap_or_else(|_| Err(StoreError::Failed("internal error".to_owned()).into()));
        let ran = match &outcome {
            Ok(_) => Ran::Well,
            Err(error) => Ran::Badly((error as &dyn Any).downcast_ref().cloned()),
        };
        self.outcome = Some(outcome);
        ran
    }

    fn settle(self: Box<Self>, committed: Result<(), StoreError>) {
        let outcome = match (self.outcome, committed) {
            (Some(Err(error)), _) => Err(error),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (_, Err(error)) => Err(error.into()),
            (None, Ok(())) => Err(StoreError::Failed("the write did not run".to_owned()).into()),
        };
        // Whoever asked may have left; the write stands.
        let _ = self.settle.send(outcome);
    }
}

/// The way to the thread.
pub(super) struct Writer {
    jobs: mpsc::Sender<Box<dyn Job>>,
    commits: Arc<AtomicU64>,
}

/// What reaches the thread.
pub(super) struct Inbox {
    jobs: mpsc::Receiver<Box<dyn Job>>,
    commits: Arc<AtomicU64>,
    tally: Arc<CommitTally>,
}

impl Writer {
    /// The way in, and the way out, for [`work`].
    pub(super) fn new(tally: Arc<CommitTally>) -> (Self, Inbox) {
        let (sender, jobs) = mpsc::channel(WAITING);
        let commits = Arc::new(AtomicU64::new(0));
        let writer = Self {
            jobs: sender,
            commits: commits.clone(),
        };
        let inbox = Inbox {
            jobs,
            commits,
            tally,
        };
        (writer, inbox)
    }

    /// How many commits there were, each counted before it is acknowledged.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Acquire)
    }

    /// Jobs that wait for their turn.
    pub(super) fn waiting(&self) -> usize {
        self.jobs.max_capacity() - self.jobs.capacity()
    }

    pub(super) fn sender(&self) -> mpsc::Sender<Box<dyn Job>> {
        self.jobs.clone()
    }
}

/// Writes until nobody can ask for it any more and everything that waits is written.
pub(super) fn work(connection: &Connection, mut inbox: Inbox) {
    let mut batch = Vec::with_capacity(BATCH);
    while inbox.jobs.blocking_recv_many(&mut batch, BATCH) > 0 {
        commit(connection, &mut batch, &inbox);
    }
}

fn commit(connection: &Connection, batch: &mut Vec<Box<dyn Job>>, inbox: &Inbox) {
    let begun = Moment::now();
    let committed = try_commit(connection, batch);
    inbox.tally.took.observe(Moment::now().since(begun));
    inbox.tally.writes.add(batch.len() as u64);
    if let Err(error) = &committed {
        inbox.tally.failed.one();
        tracing::error!(target: "store", %error, writes = batch.len(), "a commit failed");
        if !connection.is_autocommit()
            && let Err(error) = connection.execute_batch("ROLLBACK")
        {
            tracing::error!(target: "store", %error, "a failed transaction cannot be undone");
        }
    }
    inbox.commits.fetch_add(1, Ordering::Release);
    for job in batch.drain(..) {
        job.settle(committed.clone());
    }
}

fn try_commit(connection: &Connection, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
    let statement = |sql: &str| -> Result<(), rusqlite::Error> {
        connection.prepare_cached(sql)?.execute([]).map(drop)
    };
    statement("BEGIN IMMEDIATE")?;
    for job in batch {
        statement("SAVEPOINT job")?;
        let ran = job.run(connection);
        if connection.is_autocommit() {
            // SQLite has ended the transaction by itself, and with it everything before this job.
            return Err(match ran {
                Ran::Badly(Some(why)) => why,
                Ran::Well | Ran::Badly(None) => StoreError::Failed(
                    "the transaction was undone by a write that it was shared with".to_owned(),
                ),
            });
        }
        match ran {
            Ran::Well => {}
            Ran::Badly(_) => statement("ROLLBACK TO job")?,
        }
        statement("RELEASE job")?;
    }
    Ok(statement("COMMIT")?)
}
