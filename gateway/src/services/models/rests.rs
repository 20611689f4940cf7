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

#[cfg(test)]
mod tests {
    use openclaw_agent::model::ModelErrorKind;
    use openclaw_agent::model::failover::RestRules;

    use super::*;
    use crate::store::open_in_memory;
    use crate::testing::Gateway;

    const HOUR_MS: u64 = 60 * 60 * 1000;

    fn at(millis: u64) -> WallTime {
        WallTime::from_millis(millis)
    }

    fn failed(cooldowns: &SharedCooldowns, now: WallTime, key: &str, kind: ModelErrorKind) {
        cooldowns.with(|it| it.failed(now, &RestRules::default(), key, kind));
    }

    fn keys(known: Vec<(String, Rest)>) -> Vec<String> {
        let mut keys: Vec<String> = known.into_iter().map(|(key, _)| key).collect();
        keys.sort();
        keys
    }

    #[test]
    fn what_is_kept_is_what_the_next_life_knows() {
        let store = open_in_memory().unwrap();
        let (first, next) = (SharedCooldowns::default(), SharedCooldowns::default());
        let now = at(1_800_000_000_000);
        failed(&first, now, "unpaid", ModelErrorKind::Unpaid);
        failed(&first, now, "refused", ModelErrorKind::Auth);
        let changes = first.with(|it| it.take_changes());
        save(&store, now, &changes).unwrap();
        next.with(|it| it.adopt(load(&store).unwrap()));
        for key in ["unpaid", "refused", "fine"] {
            let known = |it: &SharedCooldowns| it.with(|it| it.until(now, key));
            assert_eq!(known(&next), known(&first), "{key}");
        }
        // A second failure in the next life is a second one.
        let later = at(now.as_millis() + 6 * HOUR_MS);
        failed(&next, later, "unpaid", ModelErrorKind::Unpaid);
        let rest = next.with(|it| it.until(later, "unpaid")).unwrap();
        assert_eq!(rest.as_millis(), later.as_millis() + 10 * HOUR_MS);
        // What has worked is not kept any longer.
        next.with(|it| it.worked("refused"));
        let changes = next.with(|it| it.take_changes());
        save(&store, later, &changes).unwrap();
        assert_eq!(keys(load(&store).unwrap()), ["unpaid"]);
    }

    #[test]
    fn keys_that_nobody_has_any_more_are_forgotten() {
        let store = open_in_memory().unwrap();
        let cooldowns = SharedCooldowns::default();
        let now = at(1_800_000_000_000);
        failed(&cooldowns, now, "old", ModelErrorKind::Auth);
        let changes = cooldowns.with(|it| it.take_changes());
        save(&store, now, &changes).unwrap();
        let month = at(now.as_millis() + 31 * 24 * HOUR_MS);
        save(&store, month, &[]).unwrap();
        assert_eq!(keys(load(&store).unwrap()), ["old"]);
        let later = at(month.as_millis() + HOUR_MS);
        failed(&cooldowns, later, "new", ModelErrorKind::Auth);
        let changes = cooldowns.with(|it| it.take_changes());
        save(&store, later, &changes).unwrap();
        assert_eq!(keys(load(&store).unwrap()), ["new"]);
    }

    #[tokio::test(flavor = "local")]
    async fn what_cannot_be_kept_yet_is_kept_later() {
        let gateway = Gateway::start().await;
        let does = async |sql: &'static str| {
            let done = gateway.context.store.write(move |tx| {
                tx.execute_batch(sql)?;
                Ok::<_, StoreError>(())
            });
            done.await.unwrap();
        };
        let kept = || {
            let known = gateway.context.store.read(|reader| Ok(load(reader)));
            keys(known.unwrap().unwrap())
        };
        does(
            "CREATE TRIGGER refuses BEFORE INSERT ON model_rests
             BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
        )
        .await;
        let cooldowns = SharedCooldowns::default();
        failed(&cooldowns, WallTime::now(), "k", ModelErrorKind::Auth);
        assert!(keep(&gateway.context, &cooldowns).await.is_err());
        assert_eq!(kept(), [""; 0]);
        does("DROP TRIGGER refuses").await;
        assert!(keep(&gateway.context, &cooldowns).await.is_ok());
        assert_eq!(kept(), ["k"]);
    }
}
