//! Notes that wait for the main session, kept in the store until an agent reads them.
//!
//! Two kinds, because they are owed differently. A wake-up was acknowledged as "queued", so it is never dropped: when too many
//! wait, a new one is refused. What devices note about themselves is news that ages: the oldest makes room.

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::heartbeat::WakeMode;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::store::StoreError;

/// Wake-ups that wait at most.
const MOST_WAKES: i64 = 1_000;
/// Notes of devices that wait at most.
const MOST_NOTES: i64 = 20;
/// How many are shown.
const MOST_SHOWN: i64 = 100;
/// The longest wake-up, in characters.
const LONGEST_WAKE: usize = 20_000;
/// How much of a note of a device is kept, and how much of any is shown, in characters.
const LONGEST: usize = 2_000;
const NOTE: &str = "note";

/// What became of a wake-up.
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

/// Queues a wake-up.
pub(crate) fn wake(
    connection: &Connection,
    now: WallTime,
    mode: WakeMode,
    text: &str,
) -> Result<Queued, StoreError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Queued::Blank);
    }
    if text.chars().count() > LONGEST_WAKE {
        return Ok(Queued::TooLong);
    }
    let waiting: i64 = connection
        .prepare_cached("SELECT count(*) FROM system_events WHERE kind <> ?1")?
        .query_row([NOTE], |row| row.get(0))?;
    if waiting >= MOST_WAKES {
        return Ok(Queued::Full);
    }
    insert(connection, now, mode.as_str(), text)?;
    Ok(Queued::Waits)
}

/// Queues what a device notes about itself.
pub(crate) fn note(connection: &Connection, now: WallTime, text: &str) -> Result<(), StoreError> {
    let text: String = text.trim().chars().take(LONGEST).collect();
    if text.is_empty() {
        return Ok(());
    }
    let newest: Option<String> = connection
        .prepare_cached("SELECT text FROM system_events WHERE kind = ?1 ORDER BY id DESC LIMIT 1")?
        .query_row([NOTE], |row| row.get(0))
        .optional()?;
    if newest.as_deref() == Some(text.as_str()) {
        return Ok(());
    }
    insert(connection, now, NOTE, &text)?;
    connection
        .prepare_cached(
            "DELETE FROM system_events WHERE kind = ?1 AND id <= (
                 SELECT id FROM system_events WHERE kind = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute(params![NOTE, MOST_NOTES])?;
    Ok(())
}

fn insert(
    connection: &Connection,
    now: WallTime,
    kind: &str,
    text: &str,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT INTO system_events (kind, text, created_at) VALUES (?1, ?2, ?3)")?
        .execute(params![
            kind,
            text,
            i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
        ])?;
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

#[cfg(test)]
mod tests {
    use openclaw_shared::clock::WallTime;
    use openclaw_shared::protocol::params::heartbeat::WakeMode;
    use rusqlite::Connection;

    use super::{Queued, note, waiting, wake};

    const NOW: WallTime = WallTime::from_millis(1);

    fn store() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(include_str!("../store/schema/system_events.sql"))
            .unwrap();
        connection
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
        assert_eq!(wake(&store, NOW, WakeMode::Now, " \n"), Ok(Queued::Blank));
        for number in 0..1_000 {
            let text = format!("wake {number}");
            assert_eq!(
                wake(&store, NOW, WakeMode::NextHeartbeat, &text),
                Ok(Queued::Waits)
            );
        }
        assert_eq!(wake(&store, NOW, WakeMode::Now, "late"), Ok(Queued::Full));
        for number in 0..50 {
            note(&store, NOW, &format!("note {number}")).unwrap();
        }
        let count: i64 = store
            .query_row(
                "SELECT count(*) FROM system_events WHERE text LIKE 'wake %'",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!((count, waiting(&store).unwrap().len()), (1_000, 100));
    }
}
