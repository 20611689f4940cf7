//! Lives of the gateway, as the store knows them: to tell whether one that holds a run is still there.

use rusqlite::{Connection, params};

use crate::store::StoreError;

/// A life of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) id: String,
    pid: i64,
    born: i64,
}

/// This process is here.
pub(crate) fn enter(tx: &Connection, id: &str) -> Result<(), StoreError> {
    let pid = std::process::id();
    tx.prepare_cached("INSERT OR REPLACE INTO lives (life, pid, born) VALUES (?1, ?2, ?3)")?
        .execute(params![id, pid, born(i64::from(pid)).unwrap_or_default()])?;
    Ok(())
}

/// A life is over, and nothing is left of it.
pub(crate) fn leave(tx: &Connection, id: &str) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM lives WHERE life = ?1")?
        .execute([id])?;
    Ok(())
}

/// The lives besides this one that have not been seen off.
pub(crate) fn others(connection: &Connection, own: &str) -> Result<Vec<Life>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT life, pid, born FROM lives WHERE life <> ?1")?;
    let rows = statement.query_map([own], |row| {
        Ok(Life {
            id: row.get(0)?,
            pid: row.get(1)?,
            born: row.get(2)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

impl Life {
    /// Whether its process is still there.
    pub(crate) fn is_here(&self) -> bool {
        born(self.pid).is_some_and(|born| born == self.born)
    }
}

/// When a process began, in ticks since the machine did; none when there is no such process.
#[cfg(target_os = "linux")]
fn born(pid: i64) -> Option<i64> {
    const BORN: usize = 19;
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    // One that has ended and was not reaped is not here.
    (fields.clone().next() != Some("Z")).then_some(())?;
    fields.nth(BORN)?.parse().ok()
}

#[cfg(not(target_os = "linux"))]
fn born(pid: i64) -> Option<i64> {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).ok()?);
    nix::sys::signal::kill(pid, None).is_ok().then_some(0)
}

#[cfg(test)]
mod tests {
    use super::{Life, born};

    #[test]
    fn a_process_is_told_from_another_that_has_its_number() {
        let pid = i64::from(std::process::id());
        let own = Life {
            id: "a".to_owned(),
            pid,
            born: born(pid).unwrap(),
        };
        assert!(own.is_here());
        let other = Life {
            born: own.born - 1,
            ..own
        };
        assert!(!other.is_here());
    }
}
