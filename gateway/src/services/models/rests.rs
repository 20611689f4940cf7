//! The rests of keys, from one life to the next.

use std::sync::Arc;
use std::time::Duration;

use openclaw_agent::model::failover::{Rest, SharedCooldowns};
use openclaw_shared::clock::WallTime;
use rusqlite::{Connection, params};
use tokio::time::sleep;

use crate::context::Context;
use crate::store::StoreError;

/// A store that cannot write is tried again after so long.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// After so long a rest says nothing about the next failure, whatever is configured.
const FORGOTTEN: Duration = Duration::from_secs(60 * 60 * 24 * 31);

/// Keeps what changes. Runs for as long as it is polled.
pub(crate) async fn look_after(context: &Arc<Context>) {
    context.store.opened().await;
    let cooldowns = context.models.cooldowns();
    match context.store.read(|reader| Ok(load(reader))) {
        Ok(Ok(known)) => cooldowns.with(|cooldowns| cooldowns.adopt(known)),
        Ok(Err(error)) | Err(error) => {
            tracing::warn!(target: "models", %error, "it is not known which keys of model providers rest");
        }
    }
    loop {
        cooldowns.changed().await;
        while let Err(error) = keep(context, cooldowns).await {
            tracing::warn!(target: "models", %error, "it cannot be kept which keys of model providers rest");
            sleep(TRY_AGAIN).await;
        }
    }
}

async fn keep(context: &Context, cooldowns: &SharedCooldowns) -> Result<(), StoreError> {
    let changes = cooldowns.with(|cooldowns| cooldowns.take_changes());
    if changes.is_empty() {
        return Ok(());
    }
    let keys: Vec<String> = changes.iter().map(|(key, _)| key.clone()).collect();
    let written: Result<(), StoreError> = context
        .store
        .write(move |tx| save(tx, WallTime::now(), &changes))
        .await;
    if written.is_err() {
        cooldowns.with(|cooldowns| cooldowns.put_back(keys));
    }
    written
}

fn load(reader: &Connection) -> Result<Vec<(String, Rest)>, StoreError> {
    let mut select =
        reader.prepare("SELECT key, until_ms, failures, is_unpaid, failed_ms FROM model_rests")?;
    let rows = select.query_map([], |row| {
        let rest = Rest {
            until: time(row.get(1)?),
            failures: row.get(2)?,
            is_unpaid: row.get(3)?,
            failed: time(row.get(4)?),
        };
        Ok((row.get(0)?, rest))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn save(
    tx: &Connection,
    now: WallTime,
    changes: &[(String, Option<Rest>)],
) -> Result<(), StoreError> {
    for (key, rest) in changes {
        match rest {
            Some(rest) => tx
                .prepare_cached(
                    "INSERT OR REPLACE INTO model_rests (key, until_ms, failures, is_unpaid, failed_ms)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![
                    key,
                    millis(rest.until),
                    rest.failures,
                    rest.is_unpaid,
                    millis(rest.failed),
                ])?,
            None => tx
                .prepare_cached("DELETE FROM model_rests WHERE key = ?1")?
                .execute(params![key])?,
        };
    }
    // Keys that are nowhere configured any longer would stay for ever.
    let forgotten = i64::try_from(FORGOTTEN.as_millis()).unwrap_or(i64::MAX);
    tx.prepare_cached("DELETE FROM model_rests WHERE until_ms < ?1")?
        .execute(params![millis(now).saturating_sub(forgotten)])?;
    Ok(())
}

fn millis(time: WallTime) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn time(millis: i64) -> WallTime {
    WallTime::from_millis(millis.unsigned_abs())
}
