//! The records of approvals, in the store.
//!
//! Each function is one decision on what the transaction reads. A record waits, is decided or runs out, and a decision that
//! allows is used once.
//!
//! Invariant: an id stands for one request. What was decided or ran out under it is never asked for again under the same id, so
//! that nobody decides on something else than what was seen.

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
/// Records of one device, and of all clients without a device together.
const MOST_OF_ONE: i64 = 256;
/// Records of everybody.
const MOST: i64 = 2_048;
/// A record keeps its place, and its id, for so long after it was decided or ran out: whoever has read it may still act on it.
const REMEMBERED_FOR: Duration = Duration::from_mins(10);
/// Approvals of one asker that can be used at one time; the newest count.
const USABLE_AT_ONCE: i64 = 32;

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
    /// The asker as a text, to tell it from others; the same as the column of this name.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Device(device) => device.clone(),
            Self::Connection { life, link } => format!("{life}/{link}"),
        }
    }

    fn device(&self) -> Option<&str> {
        match self {
            Self::Device(device) => Some(device),
            Self::Connection { .. } => None,
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
    /// What was asked for under this id was decided, or ran out.
    Used,
    /// Too much was asked for in a short time.
    Full,
}

/// What became of deciding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resolved {
    Decided,
    /// Nothing waits under this id.
    Unknown,
    /// What waits is not what was shown.
    Changed,
}

/// What is found when it is too late for a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expired {
    /// Nobody has decided.
    Undecided,
    /// It was over before; with what, if somebody decided.
    Before(Option<ApprovalDecision>),
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

/// The columns that [`asked`] reads.
const COLUMNS: &str = "id, request, created_ms, expires_ms, bound";

fn asked(row: &Row<'_>) -> Result<Asked, rusqlite::Error> {
    let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
    Ok(Asked {
        pending: PendingApproval::new(
            row.get(0)?,
            from_json(row, 1)?,
            unsigned(row.get(2)?),
            unsigned(row.get(3)?),
        ),
        bound: from_json(row, 4)?,
    })
}

/// Keeps a request that waits for a decision. With `names_node` its asker has named the node itself; else a repeat of it may
/// find another node that could be meant, and is the same nevertheless.
pub(crate) fn insert(
    tx: &Connection,
    now: WallTime,
    new: &Asked,
    names_node: bool,
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
        sha256: _,
    } = &new.pending;
    let earlier = tx
        .prepare_cached(&format!(
            "SELECT {COLUMNS}, resolved_ms IS NULL AND expires_ms > ?2 FROM exec_approval WHERE id = ?1"
        ))?
        .query_row(params![id, millis(now)], |row| {
            Ok((asked(row)?, row.get::<_, bool>(5)?))
        })
        .optional()?;
    if let Some((earlier, waits)) = earlier {
        if !waits {
            return Ok(Inserted::Used);
        }
        let mut shown = earlier.pending.request.clone();
        if !names_node {
            shown.node_id.clone_from(&request.node_id);
        }
        let is_same = earlier.bound == new.bound && shown == *request;
        return Ok(if is_same {
            Inserted::Same(Box::new(earlier.pending))
        } else {
            Inserted::Taken
        });
    }
    let device = new.bound.asker.device();
    let has_room = make_room(tx, now, "device IS ?1", device, MOST_OF_ONE)?
        && make_room(tx, now, "?1 IS ?1", device, MOST)?;
    if !has_room {
        return Ok(Inserted::Full);
    }
    tx.prepare_cached(
        "INSERT INTO exec_approval (id, request, bound, created_ms, expires_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
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

/// Lets the oldest of these records go when there are too many and its time is over. Whether there is room for one more.
fn make_room(
    tx: &Connection,
    now: WallTime,
    whose: &str,
    device: Option<&str>,
    most: i64,
) -> Result<bool, rusqlite::Error> {
    let held: i64 = tx
        .prepare_cached(&format!("SELECT count(*) FROM exec_approval WHERE {whose}"))?
        .query_row([device], |row| row.get(0))?;
    if held < most {
        return Ok(true);
    }
    let gone = tx
        .prepare_cached(&format!(
            "DELETE FROM exec_approval WHERE id = (
                 SELECT id FROM exec_approval WHERE {whose} AND coalesce(resolved_ms, expires_ms) < ?2
                 ORDER BY coalesce(resolved_ms, expires_ms) LIMIT 1)"
        ))?
        .execute(params![device, before(now, REMEMBERED_FOR)])?;
    Ok(gone == 1)
}

/// What waits for a decision, the oldest first; with `now` none, also what is too late and was not noticed.
pub(crate) fn pending(
    connection: &Connection,
    now: Option<WallTime>,
) -> Result<Vec<Asked>, rusqlite::Error> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM exec_approval
             WHERE resolved_ms IS NULL AND expires_ms > ?1 ORDER BY created_ms, id"
        ))?
        .query_map([now.map_or(0, millis)], asked)?
        .collect()
}

/// Decides on what waits under an id; when it is known what was `shown`, on nothing else.
pub(crate) fn resolve(
    tx: &Connection,
    now: WallTime,
    id: &str,
    decision: ApprovalDecision,
    shown: Option<&str>,
) -> Result<Resolved, rusqlite::Error> {
    let waits = tx
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM exec_approval
             WHERE id = ?1 AND resolved_ms IS NULL AND expires_ms > ?2"
        ))?
        .query_row(params![id, millis(now)], asked)
        .optional()?;
    let Some(waits) = waits else {
        return Ok(Resolved::Unknown);
    };
    if shown.is_some_and(|shown| shown != waits.pending.sha256) {
        return Ok(Resolved::Changed);
    }
    tx.prepare_cached("UPDATE exec_approval SET decision = ?3, resolved_ms = ?2 WHERE id = ?1")?
        .execute(params![id, millis(now), decision.as_str()])?;
    Ok(Resolved::Decided)
}

/// It is too late for a decision.
pub(crate) fn expire(tx: &Connection, now: WallTime, id: &str) -> Result<Expired, rusqlite::Error> {
    let changed = tx
        .prepare_cached(
            "UPDATE exec_approval SET resolved_ms = ?2 WHERE id = ?1 AND resolved_ms IS NULL",
        )?
        .execute(params![id, millis(now)])?;
    if changed == 1 {
        return Ok(Expired::Undecided);
    }
    let decision: Option<Option<String>> = tx
        .prepare_cached("SELECT decision FROM exec_approval WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    let decision = decision.flatten();
    Ok(Expired::Before(
        decision.and_then(|text| ApprovalDecision::from_text(&text)),
    ))
}

/// Finds an approval of exactly this run on this node, asked for by this asker, and uses it up. The one that the run names comes
/// first.
pub(crate) fn consume(
    tx: &Connection,
    now: WallTime,
    node: &str,
    asker: &Asker,
    run: &Run,
) -> Result<Option<(String, ApprovalDecision)>, rusqlite::Error> {
    let first = |named: Option<&str>| -> Result<_, rusqlite::Error> {
        let mut usable = usable(tx, now, asker, named)?.into_iter();
        Ok(usable.find(|(asked, _)| fits(asked, node, asker, run)))
    };
    let named = match run.names.as_deref() {
        Some(named) => first(Some(named))?,
        None => None,
    };
    let found = match named {
        Some(found) => Some(found),
        None => first(None)?,
    };
    let Some((asked, decision)) = found else {
        return Ok(None);
    };
    tx.prepare_cached("UPDATE exec_approval SET consumed_ms = ?2 WHERE id = ?1")?
        .execute(params![asked.pending.id, millis(now)])?;
    Ok(Some((asked.pending.id, decision)))
}

/// What an asker may still use, or of that the one with this id; the oldest first.
fn usable(
    tx: &Connection,
    now: WallTime,
    asker: &Asker,
    id: Option<&str>,
) -> Result<Vec<(Asked, ApprovalDecision)>, rusqlite::Error> {
    tx.prepare_cached(&format!(
        "SELECT {COLUMNS}, decision FROM (
             SELECT * FROM exec_approval
             WHERE asker = ?1 AND consumed_ms IS NULL AND decision IN ('allow-once', 'allow-always')
               AND resolved_ms > ?2 AND (?3 IS NULL OR id = ?3)
             ORDER BY resolved_ms DESC, id DESC LIMIT ?4)
         ORDER BY resolved_ms, id"
    ))?
    .query_map(
        params![asker.name(), before(now, USABLE_FOR), id, USABLE_AT_ONCE],
        |row| {
            let decision: String = row.get(5)?;
            let decision = ApprovalDecision::from_text(&decision).unwrap_or(ApprovalDecision::Deny);
            Ok((asked(row)?, decision))
        },
    )?
    .collect()
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
