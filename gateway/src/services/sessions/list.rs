//! The rows of `sessions.list`: which, in which order, and what each shows. All of it is read from the store; [`super::kept`] keeps
//! what is read.

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::sessions::{
    ResponseUsage, SendPolicy, SessionKind, SessionRow, SessionsListParams,
};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use serde::Deserialize;

use crate::services::session_key;

const MINUTE_MS: u64 = 60_000;

/// Which sessions are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) session_id: Option<String>,
    pub(super) label: Option<String>,
    pub(super) agent: Option<String>,
    pub(super) spawned_by: Option<String>,
    pub(super) since: Option<u64>,
    pub(super) with_global: bool,
    pub(super) with_unknown: bool,
}

impl Wanted {
    /// What it comes to in SQL, and its values.
    fn conditions(&self) -> (String, Vec<Value>) {
        let mut sql = String::new();
        let mut values: Vec<Value> = Vec::new();
        let equals = [
            ("session_id", &self.session_id),
            ("label", &self.label),
            ("agent", &self.agent),
            ("spawned_by", &self.spawned_by),
        ];
        for (column, value) in equals {
            if let Some(value) = value {
                values.push(Value::Text(value.clone()));
                sql.push_str(&format!(" AND session.{column} = ?{}", values.len()));
            }
        }
        if let Some(since) = self.since {
            values.push(Value::Integer(i64::try_from(since).unwrap_or(i64::MAX)));
            sql.push_str(&format!(" AND session.updated_at >= ?{}", values.len()));
        }
        for (key, is_wanted) in [("global", self.with_global), ("unknown", self.with_unknown)] {
            if !is_wanted {
                sql.push_str(&format!(" AND session.key <> '{key}'"));
            }
        }
        (sql, values)
    }
}

/// The keys of the sessions that are meant, the newest first.
pub(super) fn keys(
    connection: &Connection,
    wanted: &Wanted,
) -> Result<Vec<String>, rusqlite::Error> {
    let (conditions, values) = wanted.conditions();
    let sql = format!(
        "SELECT session.key FROM sessions AS session WHERE true{conditions} ORDER BY session.updated_at DESC, session.key"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let keys = statement.query_map(params_from_iter(values), |row| row.get(0))?;
    keys.collect()
}

/// What of an entry is shown. Entries are larger than that, and thousands are read for one answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Facts {
    session_id: String,
    updated_at: u64,
    system_sent: Option<bool>,
    aborted_last_run: Option<bool>,
    thinking_level: Option<String>,
    verbose_level: Option<String>,
    reasoning_level: Option<String>,
    elevated_level: Option<String>,
    response_usage: Option<ResponseUsage>,
    send_policy: Option<SendPolicy>,
    provider_override: Option<String>,
    model_override: Option<String>,
    label: Option<String>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    total_tokens: Option<u64>,
    context_tokens: Option<u64>,
    model_provider: Option<String>,
    model: Option<String>,
    display_name: Option<String>,
    channel: Option<String>,
    subject: Option<String>,
    group_channel: Option<String>,
    space: Option<String>,
    chat_type: Option<String>,
    origin: Option<serde_json::Value>,
    delivery_context: Option<serde_json::Value>,
    last_channel: Option<String>,
    last_to: Option<String>,
    last_account_id: Option<String>,
}

/// What a conversation is known by.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) title: Option<String>,
    pub(super) preview: Option<String>,
}

/// What each row shows besides what the session is set to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shows {
    pub(super) title: bool,
    pub(super) preview: bool,
}

/// What a request asks for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) wanted: Wanted,
    pub(super) shows: Shows,
    /// In lower case.
    pub(super) search: Option<String>,
    pub(super) limit: usize,
}

impl Asked {
    pub(super) fn of(params: &SessionsListParams, now: WallTime) -> Self {
        let since = params.active_minutes.map(|minutes| {
            let span = minutes.get_unsigned().saturating_mul(MINUTE_MS);
            now.as_millis().saturating_sub(span)
        });
        let search = params.search.as_deref();
        let search = search.map(|text| text.trim().to_lowercase());
        let limit = params.limit.map(|limit| limit.get_unsigned());
        Self {
            wanted: Wanted {
                session_id: None,
                label: params.label.as_deref().map(|label| label.trim().to_owned()),
                agent: params.agent_id.as_deref().map(str::to_lowercase),
                spawned_by: params.spawned_by.as_deref().map(str::to_owned),
                since,
                with_global: params.include_global == Some(true),
                with_unknown: params.include_unknown == Some(true),
            },
            shows: Shows {
                title: params.include_derived_titles == Some(true),
                preview: params.include_last_message == Some(true),
            },
            search: search.filter(|text| !text.is_empty()),
            limit: limit.map_or(usize::MAX, |limit| {
                usize::try_from(limit).unwrap_or(usize::MAX)
            }),
        }
    }
}

/// The rows that are asked for, the newest first.
pub(super) fn rows(
    connection: &Connection,
    asked: &Asked,
) -> Result<Vec<SessionRow>, rusqlite::Error> {
    let shows = asked.shows;
    let (conditions, values) = asked.wanted.conditions();
    let (columns, join) = if shows.title || shows.preview {
        let join = " LEFT JOIN transcripts AS conversation ON conversation.session_id = session.session_id";
        ("conversation.title, conversation.preview", join)
    } else {
        ("NULL, NULL", "")
    };
    let sql = format!(
        "SELECT session.key, session.entry, {columns} FROM sessions AS session{join}
         WHERE true{conditions} ORDER BY session.updated_at DESC, session.key"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut found = statement.query(params_from_iter(values))?;
    let mut rows = Vec::new();
    while rows.len() < asked.limit
        && let Some(row) = found.next()?
    {
        let key: String = row.get(0)?;
        let known = Known {
            title: row.get(2)?,
            preview: row.get(3)?,
        };
        let entry = row.get_ref(1)?.as_str().unwrap_or_default();
        let Some(facts) = facts(&key, entry) else {
            continue;
        };
        let row = shown(key, facts, known, shows);
        // What is searched for is in none of the columns.
        let is_found = asked.search.as_ref().is_none_or(|text| {
            let mut names = names(&row);
            names.any(|name| name.to_lowercase().contains(text))
        });
        if is_found {
            rows.push(row);
        }
    }
    Ok(rows)
}

/// What an entry says. One that cannot be read must not hide the others.
pub(super) fn facts(key: &str, entry: &str) -> Option<Facts> {
    serde_json::from_str(entry)
        .inspect_err(|error| tracing::error!(target: "store", key, %error, "a session is left out"))
        .ok()
}

/// What a session is called, and found by.
pub(super) fn names(row: &SessionRow) -> impl Iterator<Item = &String> {
    let names = [&row.display_name, &row.label, &row.subject, &row.session_id];
    names.into_iter().flatten().chain([&row.key])
}

pub(super) fn shown(key: String, facts: Facts, known: Known, shows: Shows) -> SessionRow {
    let kind = session_key::kind(&key);
    let (channel, group) = match kind {
        SessionKind::Group => session_key::group_name(&key).unzip(),
        SessionKind::Direct | SessionKind::Global | SessionKind::Unknown => (None, None),
    };
    let derived_title = shows.title.then(|| {
        let named = facts.display_name.clone().or_else(|| facts.subject.clone());
        named
            .or(known.title)
            .unwrap_or_else(|| nameless(&facts.session_id, facts.updated_at))
    });
    SessionRow {
        kind,
        derived_title,
        last_message_preview: known.preview.filter(|_| shows.preview),
        display_name: facts.display_name.or(group).or_else(|| facts.label.clone()),
        channel: facts.channel.or(channel),
        subject: facts.subject,
        group_channel: facts.group_channel,
        space: facts.space,
        chat_type: facts.chat_type,
        origin: facts.origin,
        label: facts.label,
        updated_at: Some(facts.updated_at),
        session_id: Some(facts.session_id),
        system_sent: facts.system_sent,
        aborted_last_run: facts.aborted_last_run,
        thinking_level: facts.thinking_level,
        verbose_level: facts.verbose_level,
        reasoning_level: facts.reasoning_level,
        elevated_level: facts.elevated_level,
        send_policy: facts.send_policy,
        input_tokens: facts.input_tokens,
        output_tokens: facts.output_tokens,
        total_tokens: facts.total_tokens.unwrap_or(0),
        response_usage: facts.response_usage,
        model_provider: facts.model_provider.or(facts.provider_override),
        model: facts.model.or(facts.model_override),
        context_tokens: facts.context_tokens,
        delivery_context: facts.delivery_context,
        last_channel: facts.last_channel,
        last_to: facts.last_to,
        last_account_id: facts.last_account_id,
        key,
    }
}

/// Without messages a conversation is known by its id and its day.
fn nameless(session_id: &str, updated_at: u64) -> String {
    let id: String = session_id.chars().take(8).collect();
    let day: String = WallTime::from_millis(updated_at)
        .to_rfc3339()
        .chars()
        .take("2026-11-22".len())
        .collect();
    format!("{id} ({day})")
}
