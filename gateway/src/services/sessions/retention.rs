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

/// The sessions of tasks that ended so long ago.
pub(crate) fn old_tasks(
    connection: &Connection,
    now: WallTime,
    stay: Duration,
) -> Result<Vec<String>, StoreError> {
    let stay = u64::try_from(stay.as_millis()).unwrap_or(u64::MAX);
    let before = now.as_millis().saturating_sub(stay);
    let mut statement = connection.prepare_cached(
        "SELECT key FROM sessions
         WHERE updated_at < ?1 AND spawned_by IS NOT NULL AND key GLOB 'agent:*:subagent:*'
             AND NOT EXISTS (SELECT 1 FROM runs WHERE session_key = key AND state <> 'done')
         ORDER BY updated_at LIMIT ?2",
    )?;
    let before = i64::try_from(before).unwrap_or(i64::MAX);
    let keys = statement.query_map(params![before, MOST_SWEPT], |row| row.get(0))?;
    Ok(keys.collect::<Result<_, _>>()?)
}

/// Puts the sessions of tasks aside that ended so long ago, as whoever deletes them does.
pub(crate) fn archive_tasks(
    tx: &Connection,
    now: WallTime,
    stay: Duration,
) -> Result<usize, StoreError> {
    // They are looked for again: one may have been written to since.
    let old = old_tasks(tx, now, stay)?;
    for key in &old {
        let session_id: String = tx
            .prepare_cached("DELETE FROM sessions WHERE key = ?1 RETURNING session_id")?
            .query_row([key], |row| row.get(0))?;
        transcripts::archive(tx, &session_id, now, transcripts::DELETED_FOR)?;
    }
    Ok(old.len())
}

#[cfg(test)]
mod tests {
    use openclaw_shared::clock::WallTime;
    use rusqlite::{Connection, params};

    use super::{archive_tasks, sweep};
    use crate::store::open_in_memory;

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

    #[test]
    fn the_session_of_a_task_goes_when_it_is_over_and_its_time_is_up() {
        const MINUTE: u64 = 60_000;
        let store = open_in_memory().unwrap();
        let session = "INSERT INTO sessions (key, agent, session_id, spawned_by, updated_at, entry)
            VALUES (?1, 'main', ?1, ?2, ?3, '{}')";
        for (key, spawned_by, minutes) in [
            ("agent:main:subagent:old", Some("agent:main:main"), 40),
            ("agent:main:subagent:at-work", Some("agent:main:main"), 40),
            ("agent:main:subagent:new", Some("agent:main:main"), 50),
            ("agent:main:subagent:nobodys", None, 40),
            ("agent:main:elsewhere", Some("agent:main:main"), 40),
        ] {
            let at = i64::try_from(minutes * MINUTE).unwrap();
            store
                .execute(session, params![key, spawned_by, at])
                .unwrap();
        }
        let runs = "INSERT INTO runs (id, session_key, kind, params, state, accepted_ms)
            VALUES ('a', 'agent:main:subagent:at-work', 'subagent', '', 'running', 1),
                   ('b', 'agent:main:subagent:old', 'subagent', '', 'done', 1)";
        store.execute(runs, []).unwrap();
        let now = WallTime::from_millis(105 * MINUTE);
        let gone = archive_tasks(&store, now, std::time::Duration::from_secs(3600));
        assert_eq!(gone, Ok(1));
        let left: i64 = store
            .query_row(
                "SELECT count(*) FROM sessions WHERE key LIKE '%:old'",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(left, 0);
    }
}
