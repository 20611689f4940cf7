//! Sessions: what belongs together and how each is set, kept in the store.
//!
//! Invariant: what `sessions.list` shows is what the store holds at that moment. Rows are kept, but compared with the store before
//! each answer that is made; the last one is given again only while the version of the store is the same.

use std::sync::Arc;

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::sessions::{
    PreviewStatus, SessionEntry, SessionPreview, SessionsCompactParams, SessionsCompactReply,
    SessionsDefaults, SessionsExportParams, SessionsListParams, SessionsListReply,
    SessionsPatchParams, SessionsPreviewParams, SessionsResolveParams,
};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::methods::MethodError;
use crate::prepared::Prepared;
use crate::services::session_key::{Naming, SessionKey};
use crate::services::transcripts::{self, preview};
use crate::settings::Settings;
use crate::store::StoreError;

pub(crate) mod freshness;
mod kept;
mod list;
mod patch;
pub(crate) mod retention;
mod run;

pub(crate) use kept::Rows;
use list::Asked;
pub(crate) use patch::Dial;
pub(crate) use run::{Conversation, Used};

/// Keys of a preview that count.
const MOST_PREVIEWS: usize = 64;
/// Messages of each when nobody says, and at most.
const PREVIEW_ITEMS: usize = 12;
const MOST_PREVIEW_ITEMS: usize = 50;
/// Characters of each message when nobody says, and at most.
const PREVIEW_CHARS: usize = 240;
const MOST_PREVIEW_CHARS: usize = 2_000;
/// Entries that stay when a conversation is cut and nobody says how many.
const KEPT_ENTRIES: u64 = 400;

/// What became of a session that was to be deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Deleted {
    pub(crate) deleted: bool,
    /// The conversation that goes some time after.
    pub(crate) archived: Option<String>,
}

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
        let entry = self.renew(connection, now, &key, before)?;
        Ok((key, entry))
    }

    /// The key of a session that may be deleted.
    pub(crate) fn deletable(&self, key: &str) -> Result<SessionKey, MethodError> {
        let key = self.key(key)?;
        // Those of other agents may go: clients do not begin there, and an agent may be gone from the configuration.
        if key.is_main(self.naming()) {
            return Err(MethodError::invalid(format!(
                "Cannot delete the main session ({key})."
            )));
        }
        Ok(key)
    }

    /// Deletes a session, and has its conversation go some time after if that is wanted.
    pub(crate) fn delete(
        &self,
        tx: &Connection,
        now: WallTime,
        key: &SessionKey,
        with_transcript: bool,
    ) -> Result<Deleted, MethodError> {
        // What it was to stop has been stopped, but something else may have begun meanwhile.
        let is_running: bool = tx
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM runs WHERE session_key = ?1 AND state = 'running')",
            )
            .and_then(|mut statement| statement.query_row([key.as_str()], |row| row.get(0)))
            .map_err(StoreError::from)?;
        if is_running {
            return Err(still_active(key.as_str()));
        }
        let Some(entry) = find(tx, key.as_str())? else {
            return Ok(Deleted::default());
        };
        tx.prepare_cached("DELETE FROM sessions WHERE key = ?1")
            .and_then(|mut statement| statement.execute([key.as_str()]))
            .map_err(StoreError::from)?;
        let is_archived = with_transcript
            && transcripts::archive(tx, &entry.session_id, now, transcripts::DELETED_FOR)?;
        Ok(Deleted {
            deleted: true,
            archived: is_archived.then_some(entry.session_id),
        })
    }

    /// Puts all but the newest entries of a conversation aside.
    pub(crate) fn cut(
        &self,
        tx: &Connection,
        now: WallTime,
        params: &SessionsCompactParams,
    ) -> Result<SessionsCompactReply, MethodError> {
        let key = self.key(&params.key)?;
        let keep = params
            .max_lines
            .map_or(KEPT_ENTRIES, |lines| lines.get_unsigned());
        let mut reply = SessionsCompactReply {
            ok: true,
            key: key.to_string(),
            compacted: false,
            reason: None,
            archived: None,
            kept: None,
        };
        let Some(mut entry) = find(tx, key.as_str())? else {
            reply.reason = Some("no sessionId".to_owned());
            return Ok(reply);
        };
        match transcripts::cut(tx, &entry.session_id, now, keep)? {
            Some((kept, archived)) => {
                reply.compacted = true;
                reply.kept = Some(kept);
                reply.archived = Some(archived);
                // What was counted is not what the model reads from here on.
                entry.input_tokens = None;
                entry.output_tokens = None;
                entry.total_tokens = None;
                entry.updated_at = now.as_millis().max(entry.updated_at);
                self.save(tx, &key, &entry)?;
            }
            None => match transcripts::entries(tx, &entry.session_id)? {
                0 => reply.reason = Some("no transcript".to_owned()),
                entries => reply.kept = Some(entries),
            },
        }
        Ok(reply)
    }

    /// Keeps how a session is set.
    pub(crate) fn save(
        &self,
        connection: &Connection,
        key: &SessionKey,
        entry: &SessionEntry,
    ) -> Result<(), MethodError> {
        write(connection, key, self.settings.default_agent(), entry)?;
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
        let found = list::keys(connection, &wanted).map_err(StoreError::from)?;
        match found.as_slice() {
            [key] => Ok(key.clone()),
            [] if is_label => Err(MethodError::invalid(format!("No session found {shown}"))),
            [] => Err(MethodError::invalid(format!("No session found: {shown}"))),
            many => Err(MethodError::invalid(format!(
                "Multiple sessions found for {shown}: {}",
                many.join(", ")
            ))),
        }
    }

    /// The conversation that is to be exported, and the session that has it.
    pub(crate) fn conversation(
        &self,
        connection: &Connection,
        params: &SessionsExportParams,
    ) -> Result<(Option<String>, String), MethodError> {
        match (&params.key, &params.session_id) {
            (Some(key), None) => {
                let canonical = self.key(key)?;
                let entry = find(connection, canonical.as_str())?
                    .ok_or_else(|| MethodError::invalid(format!("No session found: {key}")))?;
                Ok((Some(canonical.to_string()), entry.session_id))
            }
            (None, Some(id)) => Ok((by_id(connection, id)?, id.to_string())),
            (None, None) => Err(MethodError::invalid("Either key or sessionId is required")),
            (Some(_), Some(_)) => Err(MethodError::invalid(
                "Provide either key or sessionId (not both)",
            )),
        }
    }

    /// The newest messages of some sessions.
    pub(crate) fn previews(
        &self,
        connection: &Connection,
        params: &SessionsPreviewParams,
    ) -> Result<Vec<SessionPreview>, StoreError> {
        let at_most = |wish: Option<u64>, usual: usize, most: usize| {
            let wish = wish.and_then(|wish| usize::try_from(wish).ok());
            wish.unwrap_or(usual).min(most)
        };
        let limit = params.limit.map(|limit| limit.get_unsigned());
        let limit = at_most(limit, PREVIEW_ITEMS, MOST_PREVIEW_ITEMS);
        let most_chars = params.max_chars.map(|chars| chars.get_unsigned());
        let most_chars = at_most(most_chars, PREVIEW_CHARS, MOST_PREVIEW_CHARS);
        let preview = |text: &str| {
            let (status, items) = match SessionKey::parse(text, self.naming()) {
                Err(_) => (PreviewStatus::Error, Vec::new()),
                Ok(key) => match find(connection, key.as_str())? {
                    None => (PreviewStatus::Missing, Vec::new()),
                    Some(entry) => {
                        let items =
                            preview::items(connection, &entry.session_id, limit, most_chars)?;
                        let status = if items.is_empty() {
                            PreviewStatus::Empty
                        } else {
                            PreviewStatus::Ok
                        };
                        (status, items)
                    }
                },
            };
            Ok(SessionPreview {
                key: text.to_owned(),
                status,
                items,
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

    /// The list that is asked for, of what is kept and what has changed since.
    pub(crate) fn list(
        &self,
        connection: &Connection,
        kept: &mut Rows,
        now: WallTime,
        params: &SessionsListParams,
        path: &str,
    ) -> Result<Prepared<SessionsListReply>, rusqlite::Error> {
        // What has changed and what it has become are one look at the store.
        let snapshot = connection.unchecked_transaction()?;
        let asked = Asked::of(params, now);
        let is_kept = kept.refresh(&snapshot)?;
        let found = is_kept.then(|| kept.found(&asked)).flatten();
        let Some(found) = found else {
            let listing = self.listing(&snapshot, &asked, now, path)?;
            return Ok(Prepared::new(&listing));
        };
        Ok(found.within(self.head(now, path)))
    }

    /// The list that is asked for, all of it read from the store.
    fn listing(
        &self,
        connection: &Connection,
        asked: &Asked,
        now: WallTime,
        path: &str,
    ) -> Result<SessionsListReply, rusqlite::Error> {
        let mut listing = self.head(now, path);
        listing.sessions = list::rows(connection, asked)?;
        listing.count = listing.sessions.len() as u64;
        Ok(listing)
    }

    /// A list without rows.
    fn head(&self, now: WallTime, path: &str) -> SessionsListReply {
        SessionsListReply {
            ts: now.as_millis(),
            path: path.to_owned(),
            count: 0,
            defaults: self.defaults(),
            sessions: Vec::new(),
        }
    }
}

/// Why a session cannot be deleted at this moment.
pub(crate) fn still_active(key: &str) -> MethodError {
    MethodError::unavailable(format!(
        "Session {key} is still active; try again in a moment."
    ))
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
        context_tokens: None,
        model_provider: None,
        model: None,
        compaction_count: None,
        other: serde_json::Map::new(),
    }
}

/// Keeps a session. One of the special keys is its default agent's.
#[expect(
    clippy::unwrap_in_result,
    reason = "a broken promise of serialisation is no answer to a client"
)]
pub(crate) fn write(
    connection: &Connection,
    key: &SessionKey,
    default_agent: &str,
    entry: &SessionEntry,
) -> Result<(), StoreError> {
    let text = serde_json::to_string(entry).expect("an entry is JSON");
    connection
        .prepare_cached(
            "INSERT INTO sessions (key, agent, session_id, label, spawned_by, updated_at, entry)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (key) DO UPDATE SET session_id = excluded.session_id, label = excluded.label,
             spawned_by = excluded.spawned_by, updated_at = excluded.updated_at, entry = excluded.entry",
        )?
        .execute(params![
            key.as_str(),
            key.agent().unwrap_or(default_agent),
            entry.session_id,
            entry.label,
            entry.spawned_by,
            i64::try_from(entry.updated_at).unwrap_or(i64::MAX),
            text,
        ])?;
    Ok(())
}

/// What is kept of a session.
pub(crate) fn find(connection: &Connection, key: &str) -> Result<Option<SessionEntry>, StoreError> {
    let kept: Option<String> = connection
        .prepare_cached("SELECT entry FROM sessions WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?;
    kept.map(|text| entry(&text)).transpose()
}

/// The key of the session that has this conversation; the newest, should several have it.
pub(crate) fn by_id(
    connection: &Connection,
    session_id: &str,
) -> Result<Option<String>, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT key FROM sessions WHERE session_id = ?1 ORDER BY updated_at DESC LIMIT 1",
        )?
        .query_row([session_id], |row| row.get(0))
        .optional()?)
}

/// The key of the session that has this label.
pub(crate) fn by_label(connection: &Connection, label: &str) -> Result<Option<String>, StoreError> {
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
