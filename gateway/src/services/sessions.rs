//! Sessions: what belongs together and how each is set, kept in the store.
//!
//! Invariant: what `sessions.list` shows is what the store holds at that moment. An answer is kept only for as long as the store,
//! the configuration and the passing of time leave it true.

use std::sync::Arc;

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::sessions::{
    PreviewStatus, SessionEntry, SessionPreview, SessionsDefaults, SessionsListParams,
    SessionsPatchParams, SessionsPreviewParams, SessionsResolveParams,
};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::methods::MethodError;
use crate::services::session_key::{Naming, SessionKey};
use crate::settings::Settings;
use crate::store::StoreError;

pub(crate) mod list;
mod patch;

/// Keys of a preview that count.
const MOST_PREVIEWS: usize = 64;

/// Where a life of the gateway looks sessions up: the names and the models of its configuration.
#[derive(Debug, Clone)]
pub(crate) struct Register {
    settings: Arc<Settings>,
}

impl Register {
    pub(crate) const fn new(settings: Arc<Settings>) -> Self {
        Self { settings }
    }

    fn naming(&self) -> Naming<'_> {
        self.settings.naming()
    }

    /// The key that a client means.
    pub(crate) fn key(&self, text: &str) -> Result<SessionKey, MethodError> {
        SessionKey::parse(text, self.naming())
            .map_err(|error| MethodError::invalid(error.to_string()))
    }

    /// What a session uses that says nothing else.
    pub(crate) fn defaults(&self) -> SessionsDefaults {
        self.settings.catalog.models.defaults()
    }

    /// Changes a session, and creates it when there is none.
    pub(crate) fn patch(
        &self,
        connection: &Connection,
        now: WallTime,
        params: &SessionsPatchParams,
    ) -> Result<(SessionKey, SessionEntry), MethodError> {
        let key = self.key(&params.key)?;
        let before = find(connection, key.as_str())?;
        let mut entry = before.unwrap_or_else(|| fresh(now));
        patch::apply(&mut entry, &key, params, &self.settings.catalog.models)?;
        if let Some(label) = &entry.label
            && let Some(holder) = by_label(connection, label)?
            && holder != key.as_str()
        {
            return Err(MethodError::invalid(format!(
                "label already in use: {label}"
            )));
        }
        entry.updated_at = now.as_millis().max(entry.updated_at);
        self.save(connection, &key, &entry)?;
        Ok((key, entry))
    }

    /// Begins another conversation; how the session is set stays.
    pub(crate) fn reset(
        &self,
        connection: &Connection,
        now: WallTime,
        key: &str,
    ) -> Result<(SessionKey, SessionEntry), MethodError> {
        let key = self.key(key)?;
        let before = find(connection, key.as_str())?;
        let mut entry = before.unwrap_or_else(|| fresh(now));
        entry.session_id = uuid::Uuid::new_v4().to_string();
        entry.updated_at = now.as_millis().max(entry.updated_at);
        entry.system_sent = Some(false);
        entry.aborted_last_run = Some(false);
        entry.input_tokens = Some(0);
        entry.output_tokens = Some(0);
        entry.total_tokens = Some(0);
        // What lets a conversation execute things does not outlive it.
        entry.elevated_level = None;
        entry.exec_host = None;
        entry.exec_security = None;
        entry.exec_ask = None;
        entry.exec_node = None;
        entry.group_activation = None;
        self.save(connection, &key, &entry)?;
        Ok((key, entry))
    }

    /// Deletes a session. Whether there was one.
    pub(crate) fn delete(
        &self,
        connection: &Connection,
        key: &str,
    ) -> Result<(SessionKey, bool), MethodError> {
        let key = self.key(key)?;
        // Those of other agents may go: clients do not begin there, and an agent may be gone from the configuration.
        if key.is_main(self.naming()) {
            return Err(MethodError::invalid(format!(
                "Cannot delete the main session ({key})."
            )));
        }
        let deleted = connection
            .prepare_cached("DELETE FROM sessions WHERE key = ?1")
            .and_then(|mut statement| statement.execute([key.as_str()]))
            .map_err(StoreError::from)?;
        Ok((key, deleted > 0))
    }

    #[expect(
        clippy::unwrap_in_result,
        reason = "a broken promise of serialisation is no answer to a client"
    )]
    fn save(
        &self,
        connection: &Connection,
        key: &SessionKey,
        entry: &SessionEntry,
    ) -> Result<(), MethodError> {
        let text = serde_json::to_string(entry).expect("an entry is JSON");
        let agent = key.agent().unwrap_or(self.settings.default_agent());
        connection
            .prepare_cached(
                "INSERT INTO sessions (key, agent, session_id, label, spawned_by, updated_at, entry)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (key) DO UPDATE SET session_id = excluded.session_id, label = excluded.label,
                 spawned_by = excluded.spawned_by, updated_at = excluded.updated_at, entry = excluded.entry",
            )
            .and_then(|mut statement| {
                statement.execute(params![
                    key.as_str(),
                    agent,
                    entry.session_id,
                    entry.label,
                    entry.spawned_by,
                    i64::try_from(entry.updated_at).unwrap_or(i64::MAX),
                    text,
                ])
            })
            .map_err(StoreError::from)?;
        Ok(())
    }

    /// The canonical key of a session that is named by key, id or label.
    pub(crate) fn resolve(
        &self,
        connection: &Connection,
        params: &SessionsResolveParams,
    ) -> Result<String, MethodError> {
        let text = |wish: Option<&str>| {
            wish.map(str::trim)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let key = text(params.key.as_deref());
        let session_id = text(params.session_id.as_deref());
        let label = text(params.label.as_deref());
        let named = [&key, &session_id, &label].into_iter().flatten().count();
        if named > 1 {
            return Err(MethodError::invalid(
                "Provide either key, sessionId, or label (not multiple)",
            ));
        }
        if let Some(key) = key {
            let canonical = self.key(&key)?;
            return match find(connection, canonical.as_str())? {
                Some(_) => Ok(canonical.to_string()),
                None => Err(MethodError::invalid(format!("No session found: {key}"))),
            };
        }
        let (shown, wanted) = match (session_id, label) {
            (Some(id), _) => (
                id.clone(),
                list::Wanted {
                    session_id: Some(id),
                    ..list::Wanted::default()
                },
            ),
            (None, Some(label)) => (
                format!("with label: {label}"),
                list::Wanted {
                    label: Some(label),
                    ..list::Wanted::default()
                },
            ),
            (None, None) => {
                return Err(MethodError::invalid(
                    "Either key, sessionId, or label is required",
                ));
            }
        };
        let is_label = wanted.label.is_some();
        let wanted = list::Wanted {
            with_global: params.include_global == Some(true),
            with_unknown: params.include_unknown == Some(true),
            agent: params.agent_id.as_deref().map(str::to_lowercase),
            spawned_by: params.spawned_by.as_deref().map(str::to_owned),
            ..wanted
        };
        let found = list::rows(connection, &wanted).map_err(StoreError::from)?;
        match found.as_slice() {
            [(key, _)] => Ok(key.clone()),
            [] if is_label => Err(MethodError::invalid(format!("No session found {shown}"))),
            [] => Err(MethodError::invalid(format!("No session found: {shown}"))),
            many => {
                let keys: Vec<&str> = many.iter().map(|(key, _)| key.as_str()).collect();
                Err(MethodError::invalid(format!(
                    "Multiple sessions found for {shown}: {}",
                    keys.join(", ")
                )))
            }
        }
    }

    /// The newest messages of some sessions. No session has messages before there are agent runs.
    pub(crate) fn previews(
        &self,
        connection: &Connection,
        params: &SessionsPreviewParams,
    ) -> Result<Vec<SessionPreview>, StoreError> {
        let preview = |text: &str| {
            let status = match SessionKey::parse(text, self.naming()) {
                Err(_) => PreviewStatus::Error,
                Ok(key) => match find(connection, key.as_str())? {
                    Some(_) => PreviewStatus::Empty,
                    None => PreviewStatus::Missing,
                },
            };
            Ok(SessionPreview {
                key: text.to_owned(),
                status,
                items: Vec::new(),
            })
        };
        params
            .keys
            .iter()
            .map(|key| key.trim())
            .filter(|key| !key.is_empty())
            .take(MOST_PREVIEWS)
            .map(preview)
            .collect()
    }

    /// The rows that are asked for, and until when they are true.
    pub(crate) fn list(
        &self,
        connection: &Connection,
        now: WallTime,
        params: &SessionsListParams,
        path: String,
    ) -> Result<list::Listing, rusqlite::Error> {
        list::listing(connection, now, params, self.defaults(), path)
    }
}

fn fresh(now: WallTime) -> SessionEntry {
    SessionEntry {
        session_id: uuid::Uuid::new_v4().to_string(),
        updated_at: now.as_millis(),
        system_sent: None,
        aborted_last_run: None,
        thinking_level: None,
        verbose_level: None,
        reasoning_level: None,
        response_usage: None,
        elevated_level: None,
        exec_host: None,
        exec_security: None,
        exec_ask: None,
        exec_node: None,
        provider_override: None,
        model_override: None,
        send_policy: None,
        group_activation: None,
        label: None,
        spawned_by: None,
        input_tokens: None,
        output_tokens: None,
        total_tokens: None,
        other: serde_json::Map::new(),
    }
}

/// What is kept of a session.
pub(crate) fn find(connection: &Connection, key: &str) -> Result<Option<SessionEntry>, StoreError> {
    let kept: Option<String> = connection
        .prepare_cached("SELECT entry FROM sessions WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?;
    kept.map(|text| entry(&text)).transpose()
}

fn by_label(connection: &Connection, label: &str) -> Result<Option<String>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT key FROM sessions WHERE label = ?1")?
        .query_row([label], |row| row.get(0))
        .optional()?)
}

fn entry(text: &str) -> Result<SessionEntry, StoreError> {
    serde_json::from_str(text)
        .map_err(|error| StoreError::Failed(format!("a session cannot be read: {error}")))
}

#[cfg(test)]
mod tests;
