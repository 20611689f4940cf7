//! The statements: devices and requests as rows.

use openclaw_shared::clock::WallTime;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::pending::Request;
use super::record::{Device, Sighting};

/// A device as a row holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    /// What was approved.
    pub(crate) device: Device,
    /// How it was last seen.
    pub(crate) sighting: Sighting,
}

/// A value as a column holds it.
pub(super) fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("what is kept has string keys and no failing parts")
}

/// A value out of a column.
pub(super) fn from_json<T: DeserializeOwned>(
    text: &str,
    column: usize,
) -> Result<T, rusqlite::Error> {
    serde_json::from_str(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
    })
}

/// Reads the columns `record, sighting`.
pub(super) fn stored(row: &Row<'_>) -> Result<Stored, rusqlite::Error> {
    Ok(Stored {
        device: from_json(row.get_ref(0)?.as_str()?, 0)?,
        sighting: from_json(row.get_ref(1)?.as_str()?, 1)?,
    })
}

/// One device.
pub(crate) fn device(connection: &Connection, id: &str) -> Result<Option<Stored>, rusqlite::Error> {
    connection
        .prepare_cached("SELECT record, sighting FROM device WHERE id = ?1")?
        .query_row([id], stored)
        .optional()
}

/// All devices.
pub(crate) fn devices(connection: &Connection) -> Result<Vec<Stored>, rusqlite::Error> {
    connection
        .prepare_cached("SELECT record, sighting FROM device ORDER BY id")?
        .query_map([], stored)?
        .collect()
}

/// Writes what its owner has said about a device, which is kept from then on; what else is known of it stays.
pub(crate) fn save(
    tx: &Connection,
    device: &Device,
    first: &Sighting,
) -> Result<(), rusqlite::Error> {
    tx.prepare_cached(
        "INSERT INTO device (id, record, sighting) VALUES (?1, ?2, ?3)
         ON CONFLICT (id) DO UPDATE SET record = excluded.record, unasked_seen_ms = NULL",
    )?
    .execute(params![device.id, to_json(device), to_json(first)])?;
    Ok(())
}

/// Writes what nobody was asked about. A device that is new by it may be forgotten; of one that was known it stays as it is.
pub(crate) fn save_unasked(
    tx: &Connection,
    device: &Device,
    first: &Sighting,
    now: WallTime,
) -> Result<(), rusqlite::Error> {
    tx.prepare_cached(
        "INSERT INTO device (id, record, sighting, unasked_seen_ms) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (id) DO UPDATE SET record = excluded.record",
    )?
    .execute(params![
        device.id,
        to_json(device),
        to_json(first),
        millis(now)
    ])?;
    Ok(())
}

/// How many devices there are that nobody was asked about.
pub(crate) fn count_unasked(connection: &Connection) -> Result<u32, rusqlite::Error> {
    connection
        .prepare_cached("SELECT count(*) FROM device WHERE unasked_seen_ms IS NOT NULL")?
        .query_row([], |row| row.get(0))
}

/// Who they are, the least recently seen first.
pub(crate) fn unasked(connection: &Connection) -> Result<Vec<String>, rusqlite::Error> {
    connection
        .prepare_cached(
            "SELECT id FROM device WHERE unasked_seen_ms IS NOT NULL ORDER BY unasked_seen_ms, id",
        )?
        .query_map([], |row| row.get(0))?
        .collect()
}

fn millis(at: WallTime) -> i64 {
    i64::try_from(at.as_millis()).unwrap_or(i64::MAX)
}

/// Forgets a device. Whether it was known.
pub(crate) fn forget(tx: &Connection, id: &str) -> Result<bool, rusqlite::Error> {
    let gone = tx
        .prepare_cached("DELETE FROM device WHERE id = ?1")?
        .execute([id])?;
    Ok(gone == 1)
}

/// Writes how a device was seen a moment ago; one that is not known any more is left out.
pub(crate) fn see(
    tx: &Connection,
    id: &str,
    sighting: &Sighting,
    now: WallTime,
) -> Result<(), rusqlite::Error> {
    tx.prepare_cached(
        "UPDATE device SET sighting = ?2,
             unasked_seen_ms = CASE WHEN unasked_seen_ms IS NOT NULL THEN ?3 END
         WHERE id = ?1",
    )?
    .execute(params![id, to_json(sighting), millis(now)])?;
    Ok(())
}

/// Every request, the oldest first; those that have expired included.
pub(crate) fn requests(connection: &Connection) -> Result<Vec<Request>, rusqlite::Error> {
    connection
        .prepare_cached("SELECT request FROM pairing_request ORDER BY asked_at_ms, rowid")?
        .query_map([], |row| from_json(row.get_ref(0)?.as_str()?, 0))?
        .collect()
}

/// Adds a request.
pub(crate) fn add_request(tx: &Connection, request: &Request) -> Result<(), rusqlite::Error> {
    let asked_at = i64::try_from(request.asked_at_ms).unwrap_or(i64::MAX);
    tx.prepare_cached(
        "INSERT INTO pairing_request (id, device_id, asked_at_ms, request) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![
        request.id,
        request.device,
        asked_at,
        to_json(request)
    ])?;
    Ok(())
}

/// Takes a request off the list.
pub(crate) fn drop_request(tx: &Connection, id: &str) -> Result<(), rusqlite::Error> {
    tx.prepare_cached("DELETE FROM pairing_request WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}
