//! Notes that wait for a session, kept in the store until an agent is told.
//!
//! Three kinds, because they are owed differently. A wake-up was acknowledged as "queued", so it is never dropped: when too many
//! wait, a new one is refused. News of jobs, and what devices note about themselves, age: the oldest makes room.
//!
//! Invariant: a note is told once. A wake-up claims it first, and it is gone when its run is in the journal; a claim whose run
//! never got there is given up when this process, or the next one, looks. A run that goes on anyway claims it when it begins; it is
//! gone in the commit that keeps what the agent is told, and waits again when the run, or the life that does it, ends before that.

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::heartbeat::WakeMode;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::store::StoreError;

/// Wake-ups that wait at most.
const MOST_WAKES: i64 = 1_000;
/// Notes of devices that wait at most.
const MOST_NOTES: i64 = 20;
/// News of jobs that wait at most.
const MOST_NEWS: i64 = 100;
/// How many are shown.
const MOST_SHOWN: i64 = 100;
/// How many are told at one time, and how much of them, in bytes; the first one is told in any case.
const MOST_TOLD: i64 = 50;
const MOST_TOLD_BYTES: usize = 64 * 1024;
/// The longest wake-up, in characters.
const LONGEST_WAKE: usize = 20_000;
/// How much of a note of a device is kept, and how much of any is shown, in characters.
const LONGEST: usize = 2_000;
const NOTE: &str = "note";
const NEWS: &str = "news";
/// What the claim of a run begins with that was in the journal before.
const WITHIN: &str = "run:";

/// What kind of note it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Somebody wants the agent to know.
    Wake(WakeMode),
    /// What came of a job.
    News,
    /// What a device says of itself.
    Note,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Wake(mode) => mode.as_str(),
            Self::News => NEWS,
            Self::Note => NOTE,
        }
    }
}

/// What became of a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queued {
    /// It waits.
    Waits,
    /// There is nothing in it.
    Blank,
    /// It is too long.
    TooLong,
    /// Too many wait.
    Full,
}

/// Which notes wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Somebody wants the agent to know something at once.
    pub(crate) now: bool,
    /// Somebody wants the agent to know something.
    pub(crate) wakes: bool,
    /// There is news of jobs.
    pub(crate) news: bool,
}

/// A note that is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) text: String,
    /// When it was left.
    pub(crate) left: WallTime,
}

/// Queues a note for a session; none is the main session of the default agent.
pub(crate) fn enqueue(
    connection: &Connection,
    now: WallTime,
    session: Option<&str>,
    kind: Kind,
    text: &str,
) -> Result<Queued, StoreError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Queued::Blank);
    }
    match kind {
        Kind::Wake(_) => {
            if text.chars().count() > LONGEST_WAKE {
                return Ok(Queued::TooLong);
            }
            let waiting: i64 = connection
                .prepare_cached("SELECT count(*) FROM system_events WHERE kind NOT IN (?1, ?2)")?
                .query_row([NOTE, NEWS], |row| row.get(0))?;
            if waiting >= MOST_WAKES {
                return Ok(Queued::Full);
            }
            insert(connection, now, session, kind, text)?;
        }
        Kind::News => {
            let text: String = text.chars().take(LONGEST_WAKE).collect();
            insert(connection, now, session, kind, &text)?;
            make_room(connection, kind, MOST_NEWS)?;
        }
        Kind::Note => {
            let text: String = text.chars().take(LONGEST).collect();
            let newest: Option<String> = connection
                .prepare_cached(
                    "SELECT text FROM system_events WHERE kind = ?1 ORDER BY id DESC LIMIT 1",
                )?
                .query_row([NOTE], |row| row.get(0))
                .optional()?;
            if newest.as_deref() != Some(text.as_str()) {
                insert(connection, now, session, kind, &text)?;
                make_room(connection, kind, MOST_NOTES)?;
            }
        }
    }
    Ok(Queued::Waits)
}

/// Queues what a device notes about itself.
pub(crate) fn note(connection: &Connection, now: WallTime, text: &str) -> Result<(), StoreError> {
    enqueue(connection, now, None, Kind::Note, text).map(drop)
}

fn insert(
    connection: &Connection,
    now: WallTime,
    session: Option<&str>,
    kind: Kind,
    text: &str,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO system_events (kind, text, created_at, session) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![
            kind.as_str(),
            text,
            i64::try_from(now.as_millis()).unwrap_or(i64::MAX),
            session
        ])?;
    Ok(())
}

fn make_room(connection: &Connection, kind: Kind, most: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "DELETE FROM system_events WHERE kind = ?1 AND id <= (
                 SELECT id FROM system_events WHERE kind = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute(params![kind.as_str(), most])?;
    Ok(())
}

/// The newest that wait, the oldest of them first.
pub(crate) fn waiting(connection: &Connection) -> Result<Vec<String>, rusqlite::Error> {
    let mut texts = connection
        .prepare_cached("SELECT text FROM system_events ORDER BY id DESC LIMIT ?1")?
        .query_map([MOST_SHOWN], |row| {
            let text: String = row.get(0)?;
            Ok(text.chars().take(LONGEST).collect())
        })?
        .collect::<Result<Vec<String>, _>>()?;
    texts.reverse();
    Ok(texts)
}

/// Which kinds of notes wait for a session, and are not being told. `is_default` says whether it is also the one that is meant when none is named.
pub(crate) fn waiting_for(
    connection: &Connection,
    session: &str,
    is_default: bool,
) -> Result<Waiting, rusqlite::Error> {
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT kind FROM system_events
         WHERE claim IS NULL AND (session = ?1 OR (session IS NULL AND ?2))",
    )?;
    let kinds = statement.query_map(params![session, is_default], |row| row.get::<_, String>(0))?;
    let mut waiting = Waiting::default();
    for kind in kinds {
        match WakeMode::from_text(&kind?) {
            Some(WakeMode::Now) => (waiting.now, waiting.wakes) = (true, true),
            Some(WakeMode::NextHeartbeat) => waiting.wakes = true,
            None => {}
        }
    }
    waiting.news = connection
        .prepare_cached(
            "SELECT 1 FROM system_events
             WHERE claim IS NULL AND kind = ?1 AND (session = ?2 OR (session IS NULL AND ?3))",
        )?
        .exists(params![NEWS, session, is_default])?;
    Ok(waiting)
}

/// Claims the oldest notes of a session for the run that tells them.
pub(crate) fn claim(
    connection: &Connection,
    session: &str,
    is_default: bool,
    run: &str,
) -> Result<Vec<Told>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, text, created_at FROM system_events
         WHERE claim IS NULL AND (session = ?1 OR (session IS NULL AND ?2)) ORDER BY id LIMIT ?3",
    )?;
    let rows = statement.query_map(params![session, is_default, MOST_TOLD], |row| {
        let told = Told {
            text: row.get(1)?,
            left: WallTime::from_millis(row.get::<_, i64>(2)?.unsigned_abs()),
        };
        Ok((row.get::<_, i64>(0)?, told))
    })?;
    let mut claimed = Vec::new();
    let mut bytes = 0;
    for row in rows {
        let (id, told) = row?;
        bytes += told.text.len();
        if bytes > MOST_TOLD_BYTES && !claimed.is_empty() {
            break;
        }
        connection
            .prepare_cached("UPDATE system_events SET claim = ?2 WHERE id = ?1")?
            .execute(params![id, run])?;
        claimed.push(told);
    }
    Ok(claimed)
}

/// Claims the oldest notes of a session for a run that begins.
pub(crate) fn claim_within(
    connection: &Connection,
    session: &str,
    is_default: bool,
    run: &str,
) -> Result<Vec<Told>, StoreError> {
    claim(connection, session, is_default, &format!("{WITHIN}{run}"))
}

/// The agent is told what a run has claimed when it began.
pub(crate) fn told(connection: &Connection, run: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM system_events WHERE claim = ?1")?
        .execute([format!("{WITHIN}{run}")])?;
    Ok(())
}

/// What a run has claimed when it began, and has told nobody, waits again.
pub(crate) fn give_back(connection: &Connection, run: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE system_events SET claim = NULL WHERE claim = ?1")?
        .execute([format!("{WITHIN}{run}")])?;
    Ok(())
}

/// The same for all runs of a life that has ended, before they are anybody else's.
pub(crate) fn give_back_of(connection: &Connection, life: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE system_events SET claim = NULL
             WHERE claim IN (SELECT ?1 || id FROM runs WHERE life = ?2 AND state <> 'done')",
        )?
        .execute([WITHIN, life])?;
    Ok(())
}

/// Lets go of notes whose wake-up is in the journal, and gives up the other claims, so that another run tells those. Called when no
/// wake-up that has claimed something is on its way into the journal.
pub(crate) fn settle(connection: &Connection, run: Option<&str>) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "DELETE FROM system_events WHERE claim IN (SELECT id FROM runs)
             AND (?1 IS NULL OR claim = ?1)",
        )?
        .execute([run])?;
    connection
        .prepare_cached(
            "UPDATE system_events SET claim = NULL
             WHERE claim = ?1 OR (?1 IS NULL AND claim IS NOT NULL AND substr(claim, 1, length(?2)) <> ?2)",
        )?
        .execute(params![run, WITHIN])?;
    Ok(())
}

/// Notes as an agent reads them: each line says that it comes from the system, so that none can pass for a person's.
pub(crate) fn lines(told: &[Told]) -> String {
    let mut text = String::new();
    for note in told {
        let when = note.left.to_rfc3339();
        for (number, line) in note.text.lines().enumerate() {
            if number == 0 {
                text.push_str(&format!("System: [{when}] {line}\n"));
            } else {
                text.push_str(&format!("System: {line}\n"));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use openclaw_shared::clock::WallTime;
    use openclaw_shared::protocol::params::heartbeat::WakeMode;
    use rusqlite::Connection;

    use super::{
        Kind, Queued, Waiting, claim, claim_within, enqueue, give_back, give_back_of, lines, note,
        settle, told, waiting, waiting_for,
    };

    const NOW: WallTime = WallTime::from_millis(1);
    const MAIN: &str = "agent:main:main";

    fn store() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        for schema in [
            include_str!("../store/schema/system_events.sql"),
            include_str!("../store/schema/system_events_claims.sql"),
            "CREATE TABLE runs (id TEXT, life TEXT, state TEXT)",
        ] {
            connection.execute_batch(schema).unwrap();
        }
        connection
    }

    fn wake(store: &Connection, mode: WakeMode, text: &str) -> Queued {
        enqueue(store, NOW, None, Kind::Wake(mode), text).unwrap()
    }

    #[test]
    fn notes_are_bounded_and_a_repeated_one_is_kept_once() {
        let store = store();
        for number in 0..50 {
            note(&store, NOW, &format!(" note {} ", number / 2)).unwrap();
        }
        note(&store, NOW, "  ").unwrap();
        let notes = waiting(&store).unwrap();
        assert_eq!(
            (notes.len(), &*notes[0], &*notes[19]),
            (20, "note 5", "note 24")
        );
    }

    #[test]
    fn a_wake_up_that_was_taken_is_never_dropped_for_another() {
        let store = store();
        assert_eq!(wake(&store, WakeMode::Now, " \n"), Queued::Blank);
        for number in 0..1_000 {
            let text = format!("wake {number}");
            assert_eq!(wake(&store, WakeMode::NextHeartbeat, &text), Queued::Waits);
        }
        assert_eq!(wake(&store, WakeMode::Now, "late"), Queued::Full);
        for number in 0..150 {
            note(&store, NOW, &format!("note {number}")).unwrap();
            let news = enqueue(&store, NOW, None, Kind::News, &format!("news {number}"));
            assert_eq!(news, Ok(Queued::Waits));
        }
        let count = |like: &str| -> i64 {
            let sql = "SELECT count(*) FROM system_events WHERE text LIKE ?1";
            store.query_row(sql, [like], |row| row.get(0)).unwrap()
        };
        assert_eq!(
            (count("wake %"), count("news %"), count("note %")),
            (1_000, 100, 20)
        );
        assert_eq!(waiting(&store).unwrap().len(), 100);
    }

    #[test]
    fn a_note_is_told_once_in_the_session_it_is_for() {
        let store = store();
        assert_eq!(waiting_for(&store, MAIN, true), Ok(Waiting::default()));
        wake(&store, WakeMode::NextHeartbeat, "first");
        let other = Some("agent:ops:main");
        let kind = Kind::Wake(WakeMode::Now);
        assert_eq!(enqueue(&store, NOW, other, kind, "ops"), Ok(Queued::Waits));
        assert_eq!(
            enqueue(&store, NOW, None, Kind::News, "b\nc"),
            Ok(Queued::Waits)
        );
        let shown = waiting_for(&store, MAIN, true).unwrap();
        assert_eq!((shown.now, shown.wakes, shown.news), (false, true, true));
        assert!(waiting_for(&store, "agent:ops:main", false).unwrap().now);
        let told = claim(&store, MAIN, true, "r1").unwrap();
        assert_eq!(
            lines(&told),
            "System: [1970-01-01T00:00:00.001Z] first\nSystem: [1970-01-01T00:00:00.001Z] b\nSystem: c\n"
        );
        assert_eq!(claim(&store, MAIN, true, "r2").unwrap(), []);
        // The run never got into the journal.
        settle(&store, None).unwrap();
        assert_eq!(claim(&store, MAIN, true, "r3").unwrap(), told);
        store
            .execute("INSERT INTO runs (id) VALUES ('r3')", [])
            .unwrap();
        settle(&store, Some("r3")).unwrap();
        assert_eq!(waiting(&store).unwrap(), ["ops"]);
    }

    #[test]
    fn what_a_run_has_claimed_waits_again_unless_it_was_told() {
        let store = store();
        wake(&store, WakeMode::Now, "first");
        let nothing = Waiting::default();
        let run = "INSERT INTO runs VALUES (?1, ?2, 'running')";
        for (run_id, life) in [("r1", "a"), ("r2", "b"), ("r3", "a")] {
            store.execute(run, [run_id, life]).unwrap();
        }
        let first = claim_within(&store, MAIN, true, "r1").unwrap();
        assert_eq!(first.len(), 1);
        assert_eq!(waiting_for(&store, MAIN, true), Ok(nothing));
        // A wake-up, or the beginning of its loop, takes nothing away from a run, though the run is in the journal.
        settle(&store, None).unwrap();
        assert_eq!(claim(&store, MAIN, true, "heartbeat:1").unwrap(), []);
        give_back(&store, "r1").unwrap();
        assert_eq!(claim_within(&store, MAIN, true, "r2").unwrap(), first);
        give_back_of(&store, "a").unwrap();
        assert_eq!(claim_within(&store, MAIN, true, "r3").unwrap(), []);
        give_back_of(&store, "b").unwrap();
        assert_eq!(claim_within(&store, MAIN, true, "r3").unwrap(), first);
        told(&store, "r3").unwrap();
        give_back_of(&store, "a").unwrap();
        assert_eq!(waiting(&store).unwrap(), [""; 0]);
    }
}
