//! What is due, what runs, and how runs went, kept in the store.
//!
//! Invariant: an occurrence is in the store before anything of it happens, under the id of its run, and goes out of it together with
//! how it ended. So a run that a kill -9 has cut off is found again under the same id, and is neither lost nor done twice.

use jiff::tz::TimeZone;
use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::cron::{
    CronAction, CronJob, CronPayload, CronRunEntry, SessionTarget,
};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::course::{self, Ended, Fate};
use super::{find, parsed, remove, told, update};
use crate::services::system_events::{self, Kind, Queued};
use crate::store::{StoreError, lease};

/// The runs of a job that are remembered.
const REMEMBERED: i64 = 1_000;

/// A run of a job that is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Occurrence {
    /// The id of the run.
    pub(crate) run_id: String,
    /// The job, as it was when the run began, and with the agent that it is for.
    pub(crate) job: CronJob,
    pub(crate) began: WallTime,
}

/// Which run of a job is to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// The one that is due.
    Due,
    /// One that somebody asks for, due or not.
    Asked,
}

/// What came of an attempt to begin a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Begun {
    /// Another life does what is due.
    NotOurs,
    /// There is no such job.
    Unknown,
    /// It is not due.
    NotDue,
    /// It runs already.
    Running,
    /// It is in the store, and is to be done.
    Open(Box<Occurrence>),
    /// There was so little to do that it is over.
    Over(Box<Finished>),
}

/// A run that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) job: CronJob,
    pub(crate) entry: CronRunEntry,
    /// Whether the job went with it.
    pub(crate) is_gone: bool,
}

fn signed(time: WallTime) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Gives every job its next time, in a store that an older version or a wrong clock has left. How many have another one.
pub(crate) fn plan(
    connection: &Connection,
    now: WallTime,
    local: &TimeZone,
) -> Result<usize, StoreError> {
    let mut changed = 0;
    for before in super::list(connection, false)? {
        let mut job = before.clone();
        course::plan(&mut job, now, local);
        if job != before {
            update(connection, &job)?;
            changed += 1;
        }
    }
    Ok(changed)
}

/// A job that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) id: String,
    /// Whether it asks an agent, which takes its time.
    pub(crate) asks_agent: bool,
}

/// The jobs that are due and do not run, the one that has waited longest first.
pub(crate) fn due(connection: &Connection, now: WallTime) -> Result<Vec<Due>, rusqlite::Error> {
    let mut statement = connection.prepare_cached(
        "SELECT id, json_extract(job, '$.payload.kind') = 'agentTurn' FROM cron_jobs
         WHERE enabled AND next_run_ms IS NOT NULL AND next_run_ms <= ?1
         AND id NOT IN (SELECT job_id FROM cron_occurrences) ORDER BY next_run_ms, number",
    )?;
    let rows = statement.query_map([signed(now)], |row| {
        Ok(Due {
            id: row.get(0)?,
            asks_agent: row.get(1)?,
        })
    })?;
    rows.collect()
}

/// When the next job is due that does not run.
pub(crate) fn next_wake(connection: &Connection) -> Result<Option<u64>, rusqlite::Error> {
    let next: Option<i64> = connection
        .prepare_cached(
            "SELECT min(next_run_ms) FROM cron_jobs WHERE enabled AND next_run_ms IS NOT NULL
             AND id NOT IN (SELECT job_id FROM cron_occurrences)",
        )?
        .query_row([], |row| row.get(0))?;
    Ok(next.map(i64::unsigned_abs))
}

/// The first time after `now` at which a job is due that does not run.
pub(crate) fn next_wake_after(
    connection: &Connection,
    now: WallTime,
) -> Result<Option<u64>, rusqlite::Error> {
    let next: Option<i64> = connection
        .prepare_cached(
            "SELECT min(next_run_ms) FROM cron_jobs WHERE enabled AND next_run_ms IS NOT NULL AND next_run_ms > ?1
             AND id NOT IN (SELECT job_id FROM cron_occurrences)",
        )?
        .query_row([signed(now)], |row| row.get(0))?;
    Ok(next.map(i64::unsigned_abs))
}

/// The runs that are not over, the oldest first.
pub(crate) fn open(connection: &Connection) -> Result<Vec<Occurrence>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT run_id, began_ms, job FROM cron_occurrences ORDER BY number")?;
    let rows = statement.query_map([], |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, i64>(1)?,
            row.get::<_, String>(2)?,
        ))
    })?;
    rows.map(|row| {
        let (run_id, began, job) = row?;
        Ok(Occurrence {
            run_id,
            job: parsed(&job)?,
            began: WallTime::from_millis(began.unsigned_abs()),
        })
    })
    .collect()
}

/// Whether a run is not over.
pub(crate) fn is_open(connection: &Connection, run_id: &str) -> Result<bool, rusqlite::Error> {
    connection
        .prepare_cached("SELECT 1 FROM cron_occurrences WHERE run_id = ?1")?
        .exists([run_id])
}

/// Whom jobs are for.
pub(crate) trait Places {
    /// The agent of a job.
    fn agent(&self, job: &CronJob) -> String;
    /// The main session of an agent; none for the default agent's.
    fn main_session(&self, agent: &str) -> Option<String>;
}

/// Begins a run of a job. A note for the main session is left at once; what asks an agent is kept as open.
pub(crate) fn begin(
    connection: &Connection,
    now: WallTime,
    local: &TimeZone,
    id: &str,
    which: Which,
    places: &impl Places,
) -> Result<Begun, StoreError> {
    if !lease::is_ours(connection)? {
        return Ok(Begun::NotOurs);
    }
    let Some(mut job) = find(connection, id)? else {
        return Ok(Begun::Unknown);
    };
    let is_running = connection
        .prepare_cached("SELECT 1 FROM cron_occurrences WHERE job_id = ?1")?
        .exists([id])?;
    if is_running {
        return Ok(Begun::Running);
    }
    let scheduled = job
        .state
        .next_run_at_ms
        .filter(|at| job.enabled && *at <= now.as_millis());
    let run_id = match (which, scheduled) {
        (Which::Due, None) => return Ok(Begun::NotDue),
        (Which::Due | Which::Asked, Some(scheduled)) => format!("cron:{id}:{scheduled}"),
        // Each time that it is asked for is another run.
        (Which::Asked, None) => format!("cron:{id}:{}", uuid::Uuid::new_v4()),
    };
    let mut was = job.clone();
    // Whatever the configuration becomes, the run stays the one that was begun.
    let agent = places.agent(&job);
    was.agent_id = Some(agent.clone());
    course::begin(&mut job, now, local);
    match &job.payload {
        CronPayload::SystemEvent(note) => {
            let session = places.main_session(&agent);
            let kind = Kind::Wake(job.wake_mode);
            let queued =
                system_events::enqueue(connection, now, session.as_deref(), kind, &note.text)?;
            let ended = told::left(queued, &note.text);
            let run = Occurrence {
                run_id,
                job: was,
                began: now,
            };
            let finished = close(connection, now, local, &run, job, ended)?;
            Ok(Begun::Over(Box::new(finished)))
        }
        CronPayload::AgentTurn(_) => {
            update(connection, &job)?;
            let text = super::text(&was);
            connection
                .prepare_cached(
                    "INSERT INTO cron_occurrences (run_id, job_id, began_ms, job) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![run_id, id, signed(now), text])?;
            Ok(Begun::Open(Box::new(Occurrence {
                run_id,
                job: was,
                began: now,
            })))
        }
    }
}

/// A run is over: notes how it went, and tells the main session. None when another life has noted it, or the job is gone.
pub(crate) fn finish(
    connection: &Connection,
    now: WallTime,
    local: &TimeZone,
    run: &Occurrence,
    answer: &told::Answer,
    main_session: Option<&str>,
) -> Result<Option<Finished>, StoreError> {
    let was_open = connection
        .prepare_cached("DELETE FROM cron_occurrences WHERE run_id = ?1")?
        .execute([&run.run_id])?;
    let Some(job) = find(connection, &run.job.id)?.filter(|_| was_open > 0) else {
        return Ok(None);
    };
    if run.job.session_target == SessionTarget::Isolated {
        let text = told::for_main(&run.job, answer);
        let queued = system_events::enqueue(connection, now, main_session, Kind::News, &text)?;
        debug_assert!(
            queued != Queued::Full,
            "the oldest news makes room for newer"
        );
    }
    close(connection, now, local, run, job, answer.ended.clone()).map(Some)
}

fn close(
    connection: &Connection,
    now: WallTime,
    local: &TimeZone,
    run: &Occurrence,
    mut job: CronJob,
    ended: Ended,
) -> Result<Finished, StoreError> {
    let fate = course::end(&mut job, &run.job, run.began, now, &ended, local);
    let entry = CronRunEntry {
        ts: now.as_millis(),
        job_id: job.id.clone(),
        action: CronAction::Finished,
        status: Some(ended.status),
        error: ended.error,
        summary: ended.summary,
        run_at_ms: Some(run.began.as_millis()),
        duration_ms: job.state.last_duration_ms,
        next_run_at_ms: job.state.next_run_at_ms,
    };
    let is_gone = fate == Fate::Goes;
    if is_gone {
        remove(connection, &job.id)?;
    } else {
        update(connection, &job)?;
        remember(connection, &job.id, &entry)?;
    }
    Ok(Finished {
        job,
        entry,
        is_gone,
    })
}

fn remember(connection: &Connection, id: &str, entry: &CronRunEntry) -> Result<(), StoreError> {
    let text =
        serde_json::to_string(entry).map_err(|error| StoreError::Failed(error.to_string()))?;
    connection
        .prepare_cached("INSERT INTO cron_runs (job_id, entry) VALUES (?1, ?2)")?
        .execute([id, &text])?;
    let oldest: Option<i64> = connection
        .prepare_cached(
            "SELECT number FROM cron_runs WHERE job_id = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2",
        )?
        .query_row(params![id, REMEMBERED], |row| row.get(0))
        .optional()?;
    if let Some(oldest) = oldest {
        connection
            .prepare_cached("DELETE FROM cron_runs WHERE job_id = ?1 AND number <= ?2")?
            .execute(params![id, oldest])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
