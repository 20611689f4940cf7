//! The records of approvals, in the store.
//!
//! Each function is one decision on what the transaction reads. A record waits, is decided or runs out, and a decision that
//! allows is used once.

use std::time::Duration;

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::approvals::{
    ApprovalDecision, ApprovalShown, PendingApproval,
};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::display;
use super::run::Run;

/// How long after the decision it can be used.
const USABLE_FOR: Duration = Duration::from_mins(5);
/// How long records are kept.
const KEPT_FOR: Duration = Duration::from_hours(24);
/// How many old records go with each new one.
const PRUNED_AT_ONCE: i64 = 64;

/// Who asks: the device, or for clients without one the connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Asker {
    Device(String),
    Connection {
        /// The life of the gateway it belongs to.
        life: String,
        link: u64,
    },
}

impl Asker {
    /// The asker as a text, to tell it from others.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Device(device) => device.clone(),
            Self::Connection { life, link } => format!("{life}/{link}"),
        }
    }
}

/// What a record holds for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Bound {
    pub(crate) asker: Asker,
    /// The binding of what would run; none when only a command text is known.
    #[serde(default)]
    pub(crate) sha256: Option<String>,
}

/// A record that was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) pending: PendingApproval,
    pub(crate) bound: Bound,
}

/// What became of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Inserted {
    /// It waits.
    New,
    /// The same was asked for by the same asker and still waits.
    Same(Box<PendingApproval>),
    /// Another one waits under this id.
    Taken,
}

fn millis(time: WallTime) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn before(now: WallTime, age: Duration) -> i64 {
    let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    millis(WallTime::from_millis(now.as_millis().saturating_sub(age)))
}

fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("records have string keys")
}

fn from_json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T, rusqlite::Error> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
    })
}

fn asked(row: &Row<'_>) -> Result<Asked, rusqlite::Error> {
    let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
    Ok(Asked {
        pending: PendingApproval {
            id: row.get(0)?,
            request: from_json(row, 1)?,
            created_at_ms: unsigned(row.get(2)?),
            expires_at_ms: unsigned(row.get(3)?),
        },
        bound: from_json(row, 4)?,
    })
}

/// Keeps a request that waits for a decision.
pub(crate) fn insert(
    tx: &Connection,
    now: WallTime,
    new: &Asked,
) -> Result<Inserted, rusqlite::Error> {
    tx.prepare_cached(
        "DELETE FROM exec_approval WHERE id IN (SELECT id FROM exec_approval WHERE created_ms < ?1 ORDER BY created_ms LIMIT ?2)",
    )?
    .execute(params![before(now, KEPT_FOR), PRUNED_AT_ONCE])?;
    let PendingApproval {
        id,
        request,
        created_at_ms,
        expires_at_ms,
    } = &new.pending;
    let waits = tx
        .prepare_cached(
            "SELECT id, request, created_ms, expires_ms, bound FROM exec_approval
             WHERE id = ?1 AND resolved_ms IS NULL AND expires_ms > ?2",
        )?
        .query_row(params![id, millis(now)], asked)
        .optional()?;
    if let Some(waits) = waits {
        let is_same = waits.bound == new.bound && waits.pending.request == *request;
        return Ok(if is_same {
            Inserted::Same(Box::new(waits.pending))
        } else {
            Inserted::Taken
        });
    }
    tx.prepare_cached(
        "INSERT OR REPLACE INTO exec_approval (id, request, bound, created_ms, expires_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        id,
        to_json(request),
        to_json(&new.bound),
        millis(WallTime::from_millis(*created_at_ms)),
        millis(WallTime::from_millis(*expires_at_ms)),
    ])?;
    Ok(Inserted::New)
}

/// What waits for a decision, the oldest first; with `now` none, also what is too late and was not noticed.
pub(crate) fn pending(
    connection: &Connection,
    now: Option<WallTime>,
) -> Result<Vec<Asked>, rusqlite::Error> {
    connection
        .prepare_cached(
            "SELECT id, request, created_ms, expires_ms, bound FROM exec_approval
             WHERE resolved_ms IS NULL AND expires_ms > ?1 ORDER BY created_ms, id",
        )?
        .query_map([now.map_or(0, millis)], asked)?
        .collect()
}

/// Decides. Whether there was something to decide.
pub(crate) fn resolve(
    tx: &Connection,
    now: WallTime,
    id: &str,
    decision: ApprovalDecision,
) -> Result<bool, rusqlite::Error> {
    let changed = tx
        .prepare_cached(
            "UPDATE exec_approval SET decision = ?3, resolved_ms = ?2
             WHERE id = ?1 AND resolved_ms IS NULL AND expires_ms > ?2",
        )?
        .execute(params![id, millis(now), decision.as_str()])?;
    Ok(changed == 1)
}

/// It is too late for a decision. Whether nobody had decided.
pub(crate) fn expire(tx: &Connection, now: WallTime, id: &str) -> Result<bool, rusqlite::Error> {
    let changed = tx
        .prepare_cached(
            "UPDATE exec_approval SET resolved_ms = ?2 WHERE id = ?1 AND resolved_ms IS NULL",
        )?
        .execute(params![id, millis(now)])?;
    Ok(changed == 1)
}

/// Finds an approval of exactly this run on this node, asked for by this asker, and uses it up.
pub(crate) fn consume(
    tx: &Connection,
    now: WallTime,
    node: &str,
    asker: &Asker,
    run: &Run,
) -> Result<Option<(String, ApprovalDecision)>, rusqlite::Error> {
    let allowed: Vec<(Asked, ApprovalDecision)> = tx
        .prepare_cached(
            "SELECT id, request, created_ms, expires_ms, bound, decision FROM exec_approval
             WHERE decision IN ('allow-once', 'allow-always') AND consumed_ms IS NULL AND resolved_ms > ?1
             ORDER BY resolved_ms, id",
        )?
        .query_map([before(now, USABLE_FOR)], |row| {
            let decision: String = row.get(5)?;
            Ok((asked(row)?, ApprovalDecision::from_text(&decision).unwrap_or(ApprovalDecision::Deny)))
        })?
        .collect::<Result<_, _>>()?;
    let mut fitting = allowed
        .into_iter()
        .filter(|(asked, _)| fits(asked, node, asker, run));
    let Some(first) = fitting.next() else {
        return Ok(None);
    };
    let named = |asked: &Asked| run.names.as_deref() == Some(asked.pending.id.as_str());
    let (asked, decision) = if named(&first.0) {
        first
    } else {
        fitting.find(|(asked, _)| named(asked)).unwrap_or(first)
    };
    let used = tx
        .prepare_cached(
            "UPDATE exec_approval SET consumed_ms = ?2 WHERE id = ?1 AND consumed_ms IS NULL",
        )?
        .execute(params![asked.pending.id, millis(now)])?;
    Ok((used == 1).then_some((asked.pending.id, decision)))
}

fn fits(asked: &Asked, node: &str, asker: &Asker, run: &Run) -> bool {
    let ApprovalShown {
        command,
        cwd,
        host,
        agent_id,
        session_key,
        node_id,
        ..
    } = &asked.pending.request;
    let Some(exactly) = &run.exactly else {
        return false;
    };
    let is_meant = asked.bound.asker == *asker
        && agent_id.as_ref() == run.agent_id.as_ref()
        && session_key.as_ref() == run.session_key.as_ref()
        && node_id.as_deref().is_none_or(|meant| meant == node);
    is_meant
        && match &asked.bound.sha256 {
            Some(sha256) => node_id.is_some() && *sha256 == exactly.sha256(),
            None => {
                host.as_deref() == Some("node")
                    && *cwd == exactly.cwd
                    && exactly.env.is_empty()
                    && display::is_exactly(command, &exactly.argv)
            }
        }
}

#[cfg(test)]
mod tests;
