//! What was taken over, and what it looked like then.

use openclaw_shared::clock::WallTime;
use openclaw_shared::digest;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::store::StoreError;

/// Something of the other version.
#[derive(Debug, Clone, Copy)]
pub(super) struct Thing<'a> {
    pub(super) kind: &'static str,
    /// What tells it from others of its kind.
    pub(super) name: &'a str,
    /// The file it is in, for people.
    pub(super) file: &'a str,
    /// What it looks like.
    pub(super) text: &'a str,
}

/// Whether it was taken over as it looks.
pub(super) fn knows(connection: &Connection, thing: &Thing<'_>) -> Result<bool, StoreError> {
    let known: Option<String> = connection
        .prepare_cached("SELECT digest FROM imports WHERE kind = ?1 AND name = ?2")?
        .query_row([thing.kind, thing.name], |row| row.get(0))
        .optional()?;
    Ok(known.is_some_and(|known| known == digest::hex(thing.text.as_bytes())))
}

/// It was taken over.
pub(super) fn note(tx: &Connection, thing: &Thing<'_>, now: WallTime) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO imports (kind, name, digest, at_ms) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (kind, name) DO UPDATE SET digest = excluded.digest, at_ms = excluded.at_ms",
    )?
    .execute(params![
        thing.kind,
        thing.name,
        digest::hex(thing.text.as_bytes()),
        i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
    ])?;
    Ok(())
}

/// Whether it was taken over at all, whatever it looked like.
pub(super) fn remembers(
    connection: &Connection,
    kind: &str,
    name: &str,
) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached("SELECT 1 FROM imports WHERE kind = ?1 AND name = ?2")?
        .exists([kind, name])?)
}
