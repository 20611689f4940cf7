//! A look at a store that changes nothing, also while a gateway serves from it.

use std::path::Path;

use openclaw_shared::examine::ExamineReport;
use rusqlite::{Connection, OpenFlags};

use super::{BUSY_TIMEOUT, schema, settled};

/// How many faults are told; the rest would not change what is to be done.
const MOST_FAULTS: u32 = 20;

/// Reads the whole file, and compares what belongs together in it.
pub(crate) fn examine(path: &Path) -> ExamineReport {
    let mut report = ExamineReport {
        known: schema::known(),
        ..ExamineReport::default()
    };
    if let Err(error) = look(path, &mut report) {
        report.error = Some(error);
    }
    report
}

fn look(path: &Path, report: &mut ExamineReport) -> Result<(), String> {
    let path = settled(path).map_err(|error| error.to_string())?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let text = |error: rusqlite::Error| error.to_string();
    let connection = Connection::open_with_flags(&path, flags).map_err(text)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(text)?;
    match faults(&connection) {
        Ok(damage) => report.damage = damage,
        // A file that is damaged at its beginning, or none of SQLite's, cannot even be asked.
        Err(error) if is_damage(&error) => report.damage = vec![error.to_string()],
        Err(error) => return Err(error.to_string()),
    }
    if report.damage.is_empty() {
        let version = connection.query_row("PRAGMA user_version", [], |row| row.get(0));
        report.version = version.map_err(text)?;
    }
    Ok(())
}

fn faults(connection: &Connection) -> Result<Vec<String>, rusqlite::Error> {
    let mut damage = Vec::new();
    connection.pragma(None, "integrity_check", MOST_FAULTS, |row| {
        let line: String = row.get(0)?;
        if line != "ok" {
            damage.push(line);
        }
        Ok(())
    })?;
    if !damage.is_empty() {
        return Ok(damage);
    }
    let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
        damage.push(format!("a row of {table} belongs to no row of {parent}"));
        if damage.len() >= MOST_FAULTS as usize {
            break;
        }
    }
    Ok(damage)
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
    )
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, SeekFrom, Write as _};

    use super::super::open_beside;
    use super::*;

    #[test]
    fn a_store_that_is_well_has_its_version() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sqlite");
        // Somebody writes meanwhile.
        let serving = open_beside(&path).unwrap();
        serving.execute_batch("BEGIN IMMEDIATE").unwrap();
        let report = examine(&path);
        assert_eq!((report.error, report.damage), (None, Vec::new()));
        assert_eq!(report.version, report.known);
    }

    #[test]
    fn damage_is_told_and_nothing_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sqlite");
        drop(open_beside(&path).unwrap());
        let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(4096)).unwrap();
        file.write_all(&[0xAA; 8192]).unwrap();
        let before = std::fs::read(&path).unwrap();
        let report = examine(&path);
        assert!(!report.damage.is_empty(), "{report:?}");
        assert_eq!(std::fs::read(&path).unwrap(), before);

        std::fs::write(
            &path,
            "this is no database, and never was one. ".repeat(200),
        )
        .unwrap();
        assert!(!examine(&path).damage.is_empty());
    }

    #[test]
    fn a_store_that_is_not_there_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sqlite");
        assert!(examine(&path).error.is_some());
        assert!(!path.exists());
    }
}
