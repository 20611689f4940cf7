//! What the summaries say about the store: the sessions by agent, and the notes that wait.

use std::collections::BTreeMap;

use openclaw_shared::protocol::params::sessions::SessionEntry;
use rusqlite::{Connection, params};

use crate::services::system_events;

/// The newest sessions of an agent that are shown. The special keys are nobody's.
const MOST_RECENT: i64 = 10;

/// The store at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overview {
    /// The sessions of each agent that has some.
    pub(crate) agents: BTreeMap<String, AgentSessions>,
    /// Notes that wait for the main session.
    pub(crate) system_events: Vec<String>,
}

/// The sessions of an agent.
#[derive(Debug, Clone, Default)]
pub(crate) struct AgentSessions {
    pub(crate) count: u64,
    /// The newest, the newest first.
    pub(crate) recent: Vec<Recent>,
}

/// A session.
#[derive(Debug, Clone)]
pub(crate) struct Recent {
    pub(crate) agent: String,
    pub(crate) key: String,
    pub(crate) entry: SessionEntry,
}

/// Looks.
pub(crate) fn read(connection: &Connection) -> Result<Overview, rusqlite::Error> {
    let mut agents = BTreeMap::new();
    let mut counts = connection.prepare_cached("SELECT agent, count(*) FROM sessions WHERE key NOT IN ('global', 'unknown') GROUP BY agent")?;
    let counts = counts.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
    })?;
    for counted in counts {
        let (agent, count) = counted?;
        let recent = recent(connection, &agent)?;
        agents.insert(
            agent,
            AgentSessions {
                count: count.unsigned_abs(),
                recent,
            },
        );
    }
    Ok(Overview {
        agents,
        system_events: system_events::waiting(connection)?,
    })
}

fn recent(connection: &Connection, agent: &str) -> Result<Vec<Recent>, rusqlite::Error> {
    let mut statement = connection.prepare_cached(
        "SELECT key, entry FROM sessions WHERE agent = ?1 AND key NOT IN ('global', 'unknown')
         ORDER BY updated_at DESC, key LIMIT ?2",
    )?;
    let rows = statement.query_map(params![agent, MOST_RECENT], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    })?;
    let mut recent = Vec::new();
    for row in rows {
        let (key, text) = row?;
        match serde_json::from_str(&text) {
            Ok(entry) => recent.push(Recent {
                agent: agent.to_owned(),
                key,
                entry,
            }),
            // One row that cannot be read must not hide the others.
            Err(error) => tracing::error!(target: "store", key, %error, "a session is left out"),
        }
    }
    Ok(recent)
}
