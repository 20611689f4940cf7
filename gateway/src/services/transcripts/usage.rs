//! What conversations have used, by day.

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::usage::{UsageDay, UsageTotals};
use openclaw_shared::transcript::Usage;
use rusqlite::{Connection, params};

use crate::store::StoreError;

/// Counts what a message took, on its day in the zone of the machine.
pub(crate) fn count(
    tx: &Connection,
    at: WallTime,
    usage: &Usage,
    is_without_cost: bool,
) -> Result<(), StoreError> {
    if *usage == Usage::default() {
        return Ok(());
    }
    let whole = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
    let total = if usage.total_tokens == 0 {
        usage
            .input
            .saturating_add(usage.output)
            .saturating_add(usage.cache_read)
            .saturating_add(usage.cache_write)
    } else {
        usage.total_tokens
    };
    tx.prepare_cached(
        "INSERT INTO usage_days (day, input, output, cache_read, cache_write, total_tokens, total_cost, missing_cost)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (day) DO UPDATE SET input = input + excluded.input, output = output + excluded.output,
         cache_read = cache_read + excluded.cache_read, cache_write = cache_write + excluded.cache_write,
         total_tokens = total_tokens + excluded.total_tokens, total_cost = total_cost + excluded.total_cost,
         missing_cost = missing_cost + excluded.missing_cost",
    )?
    .execute(params![
        at.local_date(),
        whole(usage.input),
        whole(usage.output),
        whole(usage.cache_read),
        whole(usage.cache_write),
        whole(total),
        usage.cost.total,
        is_without_cost,
    ])?;
    Ok(())
}

/// The days since `first` on which something was used, the oldest first.
pub(crate) fn since(connection: &Connection, first: &str) -> Result<Vec<UsageDay>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT day, input, output, cache_read, cache_write, total_tokens, total_cost, missing_cost
         FROM usage_days WHERE day >= ?1 ORDER BY day",
    )?;
    let days = statement.query_map([first], |row| {
        let tokens = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
        Ok(UsageDay {
            date: row.get(0)?,
            totals: UsageTotals {
                input: tokens(1)?,
                output: tokens(2)?,
                cache_read: tokens(3)?,
                cache_write: tokens(4)?,
                total_tokens: tokens(5)?,
                total_cost: row.get(6)?,
                missing_cost_entries: tokens(7)?,
            },
        })
    })?;
    days.collect::<Result<_, _>>().map_err(StoreError::from)
}

/// All of them together.
pub(crate) fn total(days: &[UsageDay]) -> UsageTotals {
    let mut all = UsageTotals::default();
    for UsageDay { totals, .. } in days {
        all.input += totals.input;
        all.output += totals.output;
        all.cache_read += totals.cache_read;
        all.cache_write += totals.cache_write;
        all.total_tokens += totals.total_tokens;
        all.total_cost += totals.total_cost;
        all.missing_cost_entries += totals.missing_cost_entries;
    }
    all
}
