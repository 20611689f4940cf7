//! What hooks have delivered, so that each delivery is done once, and what those that start runs are to do.
//!
//! A delivery and what it starts are written in one transaction: whoever posts it again, at any time, hears of the same run.

use std::time::Duration;

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::heartbeat::WakeMode;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use crate::runs::Work;
use crate::store::StoreError;

/// Hooks that wait for their runs at most.
const MOST_OPEN: i64 = 1_000;
/// Deliveries that are remembered at most.
const MOST_KEPT: i64 = 100_000;
/// How many old ones go with each new one, so that no write takes long.
const PRUNED_AT_ONCE: i64 = 64;

/// A delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// What is the same for two posts of one delivery.
    pub(crate) key: String,
    /// The SHA-256 of the body.
    pub(crate) body: String,
    /// How long it is remembered.
    pub(crate) kept_for: Duration,
}

/// A run that a hook starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ask {
    /// What people see as the sender.
    pub(crate) name: String,
    /// When the main session is told how it went.
    pub(crate) mode: WakeMode,
    /// The session, by its canonical key.
    pub(crate) session: String,
    /// The session, as whoever asked has named it.
    pub(crate) asked_as: String,
    /// Whether the answer is to be sent to a channel, which one, and to whom.
    pub(crate) deliver: bool,
    pub(crate) channel: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<String>,
    pub(crate) work: Work,
}

/// A run that a hook has started and that nobody has told of yet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Open {
    pub(crate) run: String,
    pub(crate) ask: Ask,
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is new.
    New,
    /// It has come before, and this is its run.
    Again(String),
    /// Its name belongs to a delivery that says something else.
    Conflict,
    /// Too many wait.
    Full,
}

fn millis(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Takes a delivery in. `run` is the run that it starts if it is new.
pub(crate) fn take(
    tx: &Connection,
    now: WallTime,
    delivery: &Delivery,
    run: &str,
    ask: Option<&Ask>,
) -> Result<Taken, StoreError> {
    prune(tx, now)?;
    let known: Option<(String, String, i64)> = tx
        .prepare_cached("SELECT body, run, until_ms FROM hook_deliveries WHERE key = ?1")?
        .query_row([&delivery.key], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    match known {
        Some((body, _, until)) if until > millis(now.as_millis()) && body != delivery.body => {
            return Ok(Taken::Conflict);
        }
        Some((_, run, until)) if until > millis(now.as_millis()) => return Ok(Taken::Again(run)),
        Some(_) | None => {}
    }
    let written = match ask {
        None => None,
        Some(ask) => {
            let open: i64 = tx
                .prepare_cached("SELECT count(*) FROM hook_deliveries WHERE ask IS NOT NULL")?
                .query_row([], |row| row.get(0))?;
            if open >= MOST_OPEN {
                return Ok(Taken::Full);
            }
            let text = serde_json::to_string(ask);
            Some(text.map_err(|error| StoreError::Failed(error.to_string()))?)
        }
    };
    // What stands there has had its time; if its run is still open, it keeps its row under the run's own name.
    tx.prepare_cached(
        "UPDATE hook_deliveries SET key = 'run ' || run WHERE key = ?1 AND ask IS NOT NULL",
    )?
    .execute([&delivery.key])?;
    let until = now
        .as_millis()
        .saturating_add(u64::try_from(delivery.kept_for.as_millis()).unwrap_or(u64::MAX));
    tx.prepare_cached(
        "INSERT OR REPLACE INTO hook_deliveries (key, body, run, until_ms, ask) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![delivery.key, delivery.body, run, millis(until), written])?;
    Ok(Taken::New)
}

/// The runs that nobody has told of yet.
pub(crate) fn open(connection: &Connection) -> Result<Vec<Open>, StoreError> {
    let mut rows = connection.prepare_cached(
        "SELECT run, ask FROM hook_deliveries WHERE ask IS NOT NULL ORDER BY run LIMIT ?1",
    )?;
    let rows = rows.query_map([MOST_OPEN], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    })?;
    let mut open = Vec::new();
    for row in rows {
        let (run, text) = row?;
        match serde_json::from_str(&text) {
            Ok(ask) => open.push(Open { run, ask }),
            // Written by another version, which knows what to do with it.
            Err(error) => {
                tracing::warn!(target: "gateway/hooks", run, %error, "a hook cannot be read");
            }
        }
    }
    Ok(open)
}

/// A run is told of. Whether it was not before.
pub(crate) fn close(tx: &Connection, run: &str) -> Result<bool, StoreError> {
    let closed = tx
        .prepare_cached("UPDATE hook_deliveries SET ask = NULL WHERE run = ?1 AND ask IS NOT NULL")?
        .execute([run])?;
    Ok(closed > 0)
}

fn prune(tx: &Connection, now: WallTime) -> Result<(), StoreError> {
    let kept: i64 = tx
        .prepare_cached("SELECT count(*) FROM (SELECT 1 FROM hook_deliveries LIMIT ?1)")?
        .query_row([MOST_KEPT], |row| row.get(0))?;
    // The ones that have had their time, and beyond the bound those that have the least left.
    let before = if kept < MOST_KEPT {
        millis(now.as_millis())
    } else {
        i64::MAX
    };
    tx.prepare_cached(
        "DELETE FROM hook_deliveries WHERE key IN (
             SELECT key FROM hook_deliveries WHERE ask IS NULL AND until_ms <= ?1 ORDER BY until_ms LIMIT ?2)",
    )?
    .execute(params![before, PRUNED_AT_ONCE])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use openclaw_shared::clock::WallTime;
    use openclaw_shared::protocol::params::heartbeat::WakeMode;
    use rusqlite::Connection;

    use super::{Ask, Delivery, Taken, close, open, take};
    use crate::runs::Work;

    fn store() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(include_str!("../store/schema/hook_deliveries.sql"))
            .unwrap();
        connection
    }

    fn delivery(key: &str, body: &str) -> Delivery {
        Delivery {
            key: key.into(),
            body: body.into(),
            kept_for: Duration::from_millis(100),
        }
    }

    fn ask(message: &str) -> Ask {
        Ask {
            name: "Hook".into(),
            mode: WakeMode::Now,
            session: "agent:main:hook:1".into(),
            asked_as: "hook:1".into(),
            deliver: true,
            channel: "last".into(),
            to: None,
            work: Work {
                message: message.into(),
                ..Work::default()
            },
        }
    }

    #[test]
    fn a_delivery_is_taken_once_while_it_is_remembered() {
        let store = store();
        let at = |ms, delivery: &Delivery, run| {
            take(&store, WallTime::from_millis(ms), delivery, run, None).unwrap()
        };
        let first = delivery("k", "b");
        assert_eq!(at(1_000, &first, "r1"), Taken::New);
        assert_eq!(at(1_099, &first, "r2"), Taken::Again("r1".into()));
        assert_eq!(at(1_050, &delivery("k", "other"), "r3"), Taken::Conflict);
        assert_eq!(at(1_100, &first, "r4"), Taken::New);
        assert_eq!(at(1_101, &first, "r5"), Taken::Again("r4".into()));
        assert_eq!(at(5_000, &delivery("k2", "b"), "r6"), Taken::New);
        let rows: i64 = store
            .query_row("SELECT count(*) FROM hook_deliveries", [], |row| row.get(0))
            .unwrap();
        assert_eq!(rows, 1, "what has had its time is gone");
    }

    #[test]
    fn a_run_is_open_until_it_is_told_of_however_long_that_takes() {
        let store = store();
        let now = WallTime::from_millis;
        let (one, two) = (ask("one"), ask("two"));
        let key = delivery("k", "b");
        take(&store, now(0), &key, "r1", Some(&one)).unwrap();
        assert_eq!(
            take(&store, now(9_000), &key, "r2", Some(&two)).unwrap(),
            Taken::New
        );
        let runs: Vec<(String, Ask)> = open(&store)
            .unwrap()
            .into_iter()
            .map(|open| (open.run, open.ask))
            .collect();
        assert_eq!(runs, [("r1".to_owned(), one), ("r2".to_owned(), two)]);
        assert!(close(&store, "r1").unwrap());
        assert!(!close(&store, "r1").unwrap());
        assert_eq!(open(&store).unwrap().len(), 1);
    }

    #[test]
    fn no_more_than_a_thousand_wait() {
        let store = store();
        let now = WallTime::from_millis(0);
        for number in 0..super::MOST_OPEN {
            let name = number.to_string();
            let taken = take(&store, now, &delivery(&name, "b"), &name, Some(&ask("x")));
            assert_eq!(taken.unwrap(), Taken::New);
        }
        let taken = take(&store, now, &delivery("k", "b"), "r", Some(&ask("x"))).unwrap();
        assert_eq!(taken, Taken::Full);
    }
}
