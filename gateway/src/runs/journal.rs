//! The rows of runs, and what becomes of those that nobody does any more.
//!
//! A run is `accepted`, then `running`, then `done`. Before anything of it leaves this machine its row says so.

use openclaw_shared::clock::WallTime;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::lanes::{Class, Manner, Waiting};
use super::request::{Outcome, RunKind, RunRequest, Work};
use crate::services::session_key::SessionKey;
use crate::store::StoreError;

/// How long the end of a run is known, in milliseconds.
const KEPT_MS: u64 = 24 * 60 * 60 * 1000;
/// How many ends are known at most.
const MOST_KEPT: i64 = 100_000;

/// Where a run stands that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Entered {
    /// It is new, and this is its number.
    New(i64),
    /// It was asked for before and is not over.
    UnderWay {
        /// When it was accepted, in milliseconds since the epoch.
        accepted_ms: u64,
    },
    /// It was asked for before and is over.
    Done {
        accepted_ms: u64,
        outcome: Box<Outcome>,
    },
    /// The key belongs to a run that was to do something else.
    Conflict,
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unreadable(what: &str, error: &serde_json::Error) -> StoreError {
    StoreError::Failed(format!("{what} cannot be read: {error}"))
}

/// Writes a run down, unless it is known. `life` is who does it; none leaves it to whoever comes next.
pub(crate) fn enter(
    tx: &Connection,
    request: &RunRequest,
    fingerprint: &str,
    life: Option<&str>,
    now: WallTime,
) -> Result<Entered, StoreError> {
    let known = tx
        .prepare_cached("SELECT params, accepted_ms, outcome FROM runs WHERE id = ?1")?
        .query_row([&request.run_id], |row| {
            let (known, accepted): (String, i64) = (row.get(0)?, row.get(1)?);
            Ok((known, accepted, row.get::<_, Option<String>>(2)?))
        })
        .optional()?;
    if let Some((known, accepted, outcome)) = known {
        if known != fingerprint {
            return Ok(Entered::Conflict);
        }
        let accepted_ms = unsigned(accepted);
        return Ok(match outcome {
            None => Entered::UnderWay { accepted_ms },
            Some(text) => Entered::Done {
                accepted_ms,
                outcome: Box::new(
                    serde_json::from_str(&text)
                        .map_err(|error| unreadable("the end of a run", &error))?,
                ),
            },
        });
    }
    let kept = Kept {
        asked_as: request.asked_as.clone(),
        work: request.work.clone(),
    };
    let text = serde_json::to_string(&kept)
        .map_err(|error| StoreError::Failed(format!("a run cannot be written: {error}")))?;
    tx.prepare_cached(
        "INSERT INTO runs (id, session_key, kind, request, params, state, life, accepted_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, 'accepted', ?6, ?7)",
    )?
    .execute(params![
        request.run_id,
        request.session.as_str(),
        request.kind.as_str(),
        text,
        fingerprint,
        life,
        signed(now.as_millis()),
    ])?;
    Ok(Entered::New(tx.last_insert_rowid()))
}

/// A run that has not begun is to do something else than was asked for at first.
pub(crate) fn change(tx: &Connection, request: &RunRequest) -> Result<(), StoreError> {
    let kept = Kept {
        asked_as: request.asked_as.clone(),
        work: request.work.clone(),
    };
    let text = serde_json::to_string(&kept)
        .map_err(|error| StoreError::Failed(format!("a run cannot be written: {error}")))?;
    tx.prepare_cached("UPDATE runs SET request = ?2 WHERE id = ?1 AND state = 'accepted'")?
        .execute(params![request.run_id, text])?;
    Ok(())
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    asked_as: String,
    #[serde(flatten)]
    work: Work,
}

impl Kept {
    fn into_request(self, run_id: String, session: &str, kind: &str) -> RunRequest {
        RunRequest {
            run_id,
            kind: RunKind::from_text(kind).unwrap_or(RunKind::Agent),
            session: SessionKey::of_canonical(session),
            asked_as: self.asked_as,
            work: self.work,
        }
    }
}

/// A run, as far as it is needed to do it.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) request: RunRequest,
    pub(crate) number: i64,
}

/// What a run is to do.
pub(crate) fn find(connection: &Connection, run: &str) -> Result<Option<Stored>, StoreError> {
    let row = connection
        .prepare_cached(
            "SELECT number, session_key, kind, request FROM runs WHERE id = ?1 AND request IS NOT NULL",
        )?
        .query_row([run], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, String>(3)?,
            ))
        })
        .optional()?;
    let Some((number, session, kind, text)) = row else {
        return Ok(None);
    };
    let kept: Kept =
        serde_json::from_str(&text).map_err(|error| unreadable("what a run is to do", &error))?;
    Ok(Some(Stored {
        request: kept.into_request(run.to_owned(), &session, &kind),
        number,
    }))
}

/// How the run of this key ended; none while it is not known to have.
pub(crate) fn outcome(connection: &Connection, run: &str) -> Result<Option<Outcome>, StoreError> {
    let text: Option<Option<String>> = connection
        .prepare_cached("SELECT outcome FROM runs WHERE id = ?1")?
        .query_row([run], |row| row.get(0))
        .optional()?;
    text.flatten()
        .map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|error| unreadable("the end of a run", &error))
}

/// What became of an attempt to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    /// It has begun.
    Yes,
    /// Another process has a run under way in the session.
    Held,
    /// It is not to be done any more, or another process does it.
    Gone,
}

/// Begins a run, if the session is free.
pub(crate) fn begin(
    tx: &Connection,
    run: &str,
    session: &str,
    life: &str,
    now: WallTime,
) -> Result<Begun, StoreError> {
    let is_held: bool = tx
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM runs WHERE state = 'running' AND session_key = ?1 AND life IS NOT ?2)",
        )?
        .query_row(params![session, life], |row| row.get(0))?;
    if is_held {
        return Ok(Begun::Held);
    }
    let begun = tx
        .prepare_cached(
            "UPDATE runs SET state = 'running', started_ms = ?3
             WHERE id = ?1 AND state = 'accepted' AND life = ?2",
        )?
        .execute(params![run, life, signed(now.as_millis())])?;
    Ok(if begun > 0 { Begun::Yes } else { Begun::Gone })
}

/// Something of a run is about to leave this machine.
pub(crate) fn leaves(tx: &Connection, run: &str) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE runs SET has_left = 1, state = 'running' WHERE id = ?1 AND state <> 'done'",
    )?
    .execute([run])?;
    Ok(())
}

/// A run is over. Whether it was not before: only one end counts.
pub(crate) fn end(tx: &Connection, run: &str, outcome: &Outcome) -> Result<bool, StoreError> {
    let text = serde_json::to_string(outcome).map_err(|error| {
        StoreError::Failed(format!("the end of a run cannot be written: {error}"))
    })?;
    let ended = tx
        .prepare_cached(
            "UPDATE runs SET state = 'done', outcome = ?2, ended_ms = ?3, request = NULL
             WHERE id = ?1 AND state <> 'done'",
        )?
        .execute(params![run, text, signed(outcome.ended_at)])?;
    Ok(ended > 0)
}

/// Runs that wait and that nobody does are this life's from now on.
pub(crate) fn adopt(tx: &Connection, life: &str) -> Result<Vec<(i64, RunRequest)>, StoreError> {
    tx.prepare_cached("UPDATE runs SET life = ?1 WHERE state = 'accepted' AND life IS NULL")?
        .execute([life])?;
    let mut statement = tx.prepare_cached(
        "SELECT id FROM runs WHERE state = 'accepted' AND life = ?1 ORDER BY number",
    )?;
    let ids = statement.query_map([life], |row: &Row<'_>| row.get::<_, String>(0))?;
    let mut adopted = Vec::new();
    for id in ids {
        adopted.extend(find(tx, &id?)?.map(|stored| (stored.number, stored.request)));
    }
    Ok(adopted)
}

/// A run as the lanes know it.
pub(crate) fn waiting(run: String, number: i64, kind: RunKind, manner: Manner) -> Waiting {
    Waiting {
        run,
        number,
        class: match kind {
            RunKind::Subagent => Class::Subagent,
            RunKind::Agent
            | RunKind::Chat
            | RunKind::Http
            | RunKind::Hook
            | RunKind::Cron
            | RunKind::Heartbeat => Class::Main,
        },
        message: (kind == RunKind::Chat).then_some(manner),
        is_heard: false,
    }
}

/// This life leaves: what it has not begun is somebody else's.
pub(crate) fn release(tx: &Connection, life: &str) -> Result<usize, StoreError> {
    let released = tx
        .prepare_cached("UPDATE runs SET life = NULL WHERE state = 'accepted' AND life = ?1")?
        .execute([life])?;
    Ok(released)
}

/// Leaves word that runs of other lives are to be stopped, and says which: one, or those of a session with the tasks that it has given,
/// all of its own or only what people have said in it.
pub(crate) fn ask_to_stop(
    tx: &Connection,
    own: &str,
    run: Option<&str>,
    session: Option<(String, bool)>,
    why: &str,
) -> Result<Vec<String>, StoreError> {
    let (session, is_said) = session.unzip();
    let mut statement = tx.prepare_cached(
        "UPDATE runs SET stop = ?1
         WHERE state <> 'done' AND stop IS NULL AND life IS NOT ?2 AND (
             id = ?3
             OR session_key = ?4 AND (kind = 'chat' OR NOT ?5)
             OR kind = 'subagent' AND session_key GLOB 'agent:*:subagent:*'
                 AND json_extract(request, '$.spawnedBy') = ?4)
         RETURNING id",
    )?;
    let is_said = is_said.unwrap_or_default();
    let asked = statement.query_map(params![why, own, run, session, is_said], |row| row.get(0))?;
    Ok(asked.collect::<Result<_, _>>()?)
}

/// The runs of a life that another one wants to be stopped, and why.
pub(crate) fn asked_to_stop(
    connection: &Connection,
    life: &str,
) -> Result<Vec<(String, String)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, stop FROM runs WHERE state <> 'done' AND stop IS NOT NULL AND life = ?1",
    )?;
    let asked = statement.query_map([life], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(asked.collect::<Result<_, _>>()?)
}

/// A run that was under way when the process that did it ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Orphan {
    pub(crate) run: String,
    pub(crate) session: String,
    pub(crate) asked_as: String,
    /// What it was to do, if that can be read.
    pub(crate) request: Option<RunRequest>,
    pub(crate) started_ms: Option<u64>,
}

/// What a life has left behind that has ended: what it had not begun, and what nothing was told of yet, waits again; the rest is
/// returned, to be closed.
pub(crate) fn bereave(tx: &Connection, life: &str) -> Result<Vec<Orphan>, StoreError> {
    tx.prepare_cached(
        "UPDATE runs SET life = NULL, state = 'accepted', started_ms = NULL
         WHERE life = ?1 AND (state = 'accepted' OR state = 'running' AND has_left = 0)",
    )?
    .execute([life])?;
    let mut statement = tx.prepare_cached(
        "SELECT id, session_key, kind, request, started_ms FROM runs WHERE life = ?1 AND state = 'running'",
    )?;
    let rows = statement.query_map([life], |row| {
        let (run, session): (String, String) = (row.get(0)?, row.get(1)?);
        let (kind, request): (String, Option<String>) = (row.get(2)?, row.get(3)?);
        let kept = request.and_then(|text| serde_json::from_str::<Kept>(&text).ok());
        let request = kept.map(|kept| kept.into_request(run.clone(), &session, &kind));
        Ok(Orphan {
            asked_as: (request.as_ref()).map_or_else(|| session.clone(), |it| it.asked_as.clone()),
            run,
            session,
            request,
            started_ms: row.get::<_, Option<i64>>(4)?.map(unsigned),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Ends that are too old, or too many, are forgotten.
pub(crate) fn forget(tx: &Connection, now: WallTime) -> Result<usize, StoreError> {
    let oldest = signed(now.as_millis().saturating_sub(KEPT_MS));
    let aged = tx
        .prepare_cached("DELETE FROM runs WHERE ended_ms IS NOT NULL AND ended_ms < ?1")?
        .execute([oldest])?;
    let extra = tx
        .prepare_cached(
            "DELETE FROM runs WHERE ended_ms IS NOT NULL AND number <=
             (SELECT max(number) FROM runs) - ?1",
        )?
        .execute([MOST_KEPT])?;
    Ok(aged + extra)
}
