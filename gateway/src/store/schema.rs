//! The tables, and how an older file gets the newer ones.
//!
//! Migrations only add: a predecessor of an older version goes on reading and writing while its successor has migrated. A
//! file of a newer version is used as it is, for the same reason.

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// What each version adds, the first one first. A step that has been released is never edited; its pieces are one file for each
/// part of the gateway that keeps something.
const STEPS: &[&[&str]] = &[
    &[
        include_str!("schema/lease.sql"),
        include_str!("schema/devices.sql"),
        include_str!("schema/idempotency.sql"),
        include_str!("schema/exec_approvals.sql"),
        include_str!("schema/sessions.sql"),
        include_str!("schema/system_events.sql"),
        include_str!("schema/voicewake.sql"),
        include_str!("schema/cron.sql"),
    ],
    &[
        include_str!("schema/exec_approvals_askers.sql"),
        include_str!("schema/devices_unasked.sql"),
        include_str!("schema/idempotency_total.sql"),
    ],
    &[
        include_str!("schema/runs.sql"),
        include_str!("schema/transcripts.sql"),
        include_str!("schema/imports.sql"),
        include_str!("schema/cron_occurrences.sql"),
        include_str!("schema/system_events_claims.sql"),
        include_str!("schema/heartbeats.sql"),
        include_str!("schema/hook_deliveries.sql"),
        include_str!("schema/session_changes.sql"),
    ],
    &[
        include_str!("schema/runs_stop.sql"),
        include_str!("schema/model_rests.sql"),
    ],
];

/// The newest version that this program knows.
pub(super) fn known() -> u32 {
    u32::try_from(STEPS.len()).unwrap_or(u32::MAX)
}

/// Brings the tables up to date, all or nothing.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: u32 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = known();
    if found > known {
        tracing::warn!(target: "store", found, known, "the store was written by a newer version");
    }
    for (_, step) in (0..known).zip(STEPS).filter(|(at, _)| *at >= found) {
        for piece in *step {
            transaction.execute_batch(piece)?;
        }
    }
    if found < known {
        transaction.pragma_update(None, "user_version", known)?;
        tracing::info!(target: "store", from = found, to = known, "store migrated");
    }
    transaction.commit()?;
    Ok(())
}
