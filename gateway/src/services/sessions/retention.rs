//! What goes by itself: sessions that were made for one question and are not asked again, and conversations whose time is over.

use std::time::Duration;

use openclaw_shared::clock::WallTime;
use rusqlite::{Connection, params};

use crate::services::transcripts;
use crate::store::StoreError;

/// How long a session stays that was made for one question.
const ONE_QUESTION_FOR: Duration = Duration::from_secs(30 * 24 * 3600);
/// How many of them one sweep removes, so that nobody waits long for it.
const MOST_SWEPT: i64 = 50;
/// How their keys go on after the agent: one is made for each question, and nobody knows it afterwards.
const ONE_QUESTION: [&str; 4] = ["openai", "openresponses", "hook", "subagent"];

/// Removes some of what has been kept for long enough. Whether there may be more.
pub(crate) fn sweep(tx: &Connection, now: WallTime) -> Result<bool, StoreError> {
    let span = u64::try_from(ONE_QUESTION_FOR.as_millis()).unwrap_or(u64::MAX);
    let before = now.as_millis().saturating_sub(span);
    let kinds = ONE_QUESTION.map(|kind| format!("key GLOB 'agent:*:{kind}:*'"));
    let sql = format!(
        "SELECT key, session_id FROM sessions WHERE updated_at < ?1 AND ({}) ORDER BY updated_at LIMIT ?2",
        kinds.join(" OR ")
    );
    let old: Vec<(String, String)> = tx
        .prepare_cached(&sql)?
        .query_map(
            params![i64::try_from(before).unwrap_or(i64::MAX), MOST_SWEPT],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?
        .collect::<Result<_, _>>()?;
    for (key, session_id) in &old {
        tx.prepare_cached("DELETE FROM sessions WHERE key = ?1")?
            .execute([key])?;
        transcripts::archive(tx, session_id, now, transcripts::DELETED_FOR)?;
    }
    let gone = transcripts::sweep(tx, now)?;
    Ok(old.len() + gone > 0)
}

#[cfg(test)]
mod tests {
    use openclaw_shared::clock::WallTime;
    use rusqlite::{Connection, params};

    use super::sweep;

    #[test]
    fn sessions_made_for_one_question_go_and_others_stay() {
        let store = Connection::open_in_memory().unwrap();
        for tables in [
            include_str!("../../store/schema/sessions.sql"),
            include_str!("../../store/schema/transcripts.sql"),
        ] {
            store.execute_batch(tables).unwrap();
        }
        const DAY: i64 = 24 * 3600 * 1000;
        for (key, days) in [
            ("agent:main:main", 0),
            ("agent:main:openai:1", 0),
            ("agent:ops:subagent:1", 9),
            ("agent:main:hook:2", 20),
            ("agent:main:openai-user:me", 0),
            ("agent:main:cron:1", 0),
        ] {
            store
                .execute(
                    "INSERT INTO sessions (key, agent, session_id, updated_at, entry) VALUES (?1, 'a', ?1, ?2, '{}')",
                    params![key, days * DAY],
                )
                .unwrap();
        }
        let day = |days: u64| WallTime::from_millis(days * DAY.unsigned_abs());
        assert!(!sweep(&store, day(30)).unwrap());
        assert!(sweep(&store, day(40)).unwrap());
        let mut left = store
            .prepare("SELECT key FROM sessions ORDER BY key")
            .unwrap();
        let left: Vec<String> = left
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(
            left,
            [
                "agent:main:cron:1",
                "agent:main:hook:2",
                "agent:main:main",
                "agent:main:openai-user:me"
            ]
        );
    }
}
