//! Which life may do what must not be done twice.
//!
//! The newest life that activated holds the lease. Generations grow within one life of the supervisor and begin again with
//! the next, so whoever activates takes the lease, whatever is written there: the supervisor has one active life at a time.

use openclaw_shared::control::Generation;
use rusqlite::{Connection, OptionalExtension as _, params};

/// Takes the lease.
pub(super) fn take(connection: &Connection, generation: Generation) -> Result<(), rusqlite::Error> {
    connection.execute(
        "INSERT INTO lease (id, generation, pid) VALUES (1, ?1, ?2)
         ON CONFLICT (id) DO UPDATE SET generation = excluded.generation, pid = excluded.pid",
        params![
            i64::try_from(generation.0).unwrap_or(i64::MAX),
            std::process::id()
        ],
    )?;
    Ok(())
}

/// Whether this process holds the lease.
pub(crate) fn is_ours(connection: &Connection) -> Result<bool, rusqlite::Error> {
    let holder: Option<u32> = connection
        .prepare_cached("SELECT pid FROM lease WHERE id = 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(holder == Some(std::process::id()))
}
