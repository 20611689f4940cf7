//! The rows of `sessions.list`: which, in which order, and what each shows.

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::sessions::{
    SessionEntry, SessionKind, SessionRow, SessionsDefaults, SessionsListParams,
};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::services::session_key;

const MINUTE_MS: u64 = 60_000;

/// Which sessions are meant.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) session_id: Option<String>,
    pub(super) label: Option<String>,
    pub(super) agent: Option<String>,
    pub(super) spawned_by: Option<String>,
    pub(super) since: Option<u64>,
    pub(super) with_global: bool,
    pub(super) with_unknown: bool,
}

/// The sessions that are meant, the newest first.
pub(super) fn rows(
    connection: &Connection,
    wanted: &Wanted,
) -> Result<Vec<(String, SessionEntry)>, rusqlite::Error> {
    let mut sql = "SELECT key, entry FROM sessions WHERE true".to_owned();
    let mut values: Vec<Value> = Vec::new();
    let equals = [
        ("session_id", &wanted.session_id),
        ("label", &wanted.label),
        ("agent", &wanted.agent),
        ("spawned_by", &wanted.spawned_by),
    ];
    for (column, value) in equals {
        if let Some(value) = value {
            values.push(Value::Text(value.clone()));
            sql.push_str(&format!(" AND {column} = ?{}", values.len()));
        }
    }
    if let Some(since) = wanted.since {
        values.push(Value::Integer(i64::try_from(since).unwrap_or(i64::MAX)));
        sql.push_str(&format!(" AND updated_at >= ?{}", values.len()));
    }
    for (key, is_wanted) in [
        ("global", wanted.with_global),
        ("unknown", wanted.with_unknown),
    ] {
        if !is_wanted {
            sql.push_str(&format!(" AND key <> '{key}'"));
        }
    }
    sql.push_str(" ORDER BY updated_at DESC, key");
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement.query_map(params_from_iter(values), |row| {
        let (key, text): (String, String) = (row.get(0)?, row.get(1)?);
        Ok((key, text))
    })?;
    let mut rows = Vec::new();
    for row in found {
        let (key, text) = row?;
        match super::entry(&text) {
            Ok(entry) => rows.push((key, entry)),
            // One row that cannot be read must not hide the others.
            Err(error) => tracing::error!(target: "store", key, %error, "a session is left out"),
        }
    }
    Ok(rows)
}

/// What is shown, all but the time.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Listing {
    path: String,
    count: u64,
    defaults: SessionsDefaults,
    sessions: Vec<SessionRow>,
    /// When the passing of time makes it untrue.
    #[serde(skip)]
    pub(crate) until: Option<WallTime>,
}

pub(super) fn listing(
    connection: &Connection,
    now: WallTime,
    params: &SessionsListParams,
    defaults: SessionsDefaults,
    path: String,
) -> Result<Listing, rusqlite::Error> {
    let span = params
        .active_minutes
        .map(|minutes| minutes.get_unsigned().saturating_mul(MINUTE_MS));
    let wanted = Wanted {
        session_id: None,
        label: params.label.as_deref().map(|label| label.trim().to_owned()),
        agent: params.agent_id.as_deref().map(str::to_lowercase),
        spawned_by: params.spawned_by.as_deref().map(str::to_owned),
        since: span.map(|span| now.as_millis().saturating_sub(span)),
        with_global: params.include_global == Some(true),
        with_unknown: params.include_unknown == Some(true),
    };
    let search = params
        .search
        .as_deref()
        .map(|text| text.trim().to_lowercase());
    let search = search.filter(|text| !text.is_empty());
    let limit = params.limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit.get()).unwrap_or(usize::MAX)
    });
    let sessions: Vec<SessionRow> = rows(connection, &wanted)?
        .into_iter()
        .map(|(key, entry)| row(key, entry, params.include_derived_titles == Some(true)))
        .filter(|row| search.as_deref().is_none_or(|text| mentions(row, text)))
        .take(limit)
        .collect();
    // The oldest row is the first to fall out of the span.
    let until = span
        .zip(sessions.iter().filter_map(|row| row.updated_at).min())
        .map(|(span, oldest)| WallTime::from_millis(oldest.saturating_add(span)));
    Ok(Listing {
        path,
        count: sessions.len() as u64,
        defaults,
        sessions,
        until,
    })
}

fn mentions(row: &SessionRow, text: &str) -> bool {
    let names = [&row.display_name, &row.label, &row.session_id];
    let names = names.into_iter().flatten().chain([&row.key]);
    names
        .into_iter()
        .any(|name| name.to_lowercase().contains(text))
}

fn row(key: String, entry: SessionEntry, with_title: bool) -> SessionRow {
    let kind = session_key::kind(&key);
    let (channel, group) = match kind {
        SessionKind::Group => session_key::group_name(&key).unzip(),
        SessionKind::Direct | SessionKind::Global | SessionKind::Unknown => (None, None),
    };
    SessionRow {
        kind,
        display_name: group.or_else(|| entry.label.clone()),
        channel,
        derived_title: with_title.then(|| title(&entry)),
        last_message_preview: None,
        label: entry.label,
        updated_at: Some(entry.updated_at),
        session_id: Some(entry.session_id),
        system_sent: entry.system_sent,
        aborted_last_run: entry.aborted_last_run,
        thinking_level: entry.thinking_level,
        verbose_level: entry.verbose_level,
        reasoning_level: entry.reasoning_level,
        elevated_level: entry.elevated_level,
        send_policy: entry.send_policy,
        input_tokens: entry.input_tokens,
        output_tokens: entry.output_tokens,
        total_tokens: entry.total_tokens.unwrap_or(0),
        response_usage: entry.response_usage,
        model_provider: entry.provider_override,
        model: entry.model_override,
        key,
    }
}

/// Without messages a conversation is known by its id and its day.
fn title(entry: &SessionEntry) -> String {
    let id: String = entry.session_id.chars().take(8).collect();
    let day: String = WallTime::from_millis(entry.updated_at)
        .to_rfc3339()
        .chars()
        .take("2026-11-22".len())
        .collect();
    format!("{id} ({day})")
}
