//! What a run does to its session: it begins or goes on with a conversation, and says at the end what it took.

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::sessions::SessionEntry;
use openclaw_shared::transcript::Usage;
use rusqlite::Connection;

use super::{Register, find, fresh};
use crate::methods::MethodError;
use crate::services::session_key::SessionKey;
use crate::services::transcripts;

/// Which conversation a run wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conversation {
    /// The present one, unless its time is over: what a message gets.
    IfFresh,
    /// The present one, however old it is: what the gateway does of its own accord ends no conversation.
    Present,
    /// One of its own.
    Another,
}

/// What a run took.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Used {
    /// Of the last answer of the model: what it read is what the conversation comes to.
    pub(crate) usage: Usage,
    pub(crate) provider: String,
    pub(crate) model: String,
    /// How much the model can read, in tokens.
    pub(crate) context_tokens: Option<u64>,
    pub(crate) was_aborted: bool,
    /// Whether it is no sign of life of anybody.
    pub(crate) is_silent: bool,
}

impl Register {
    /// A run begins: its session exists from here on, and its conversation.
    pub(crate) fn begin(
        &self,
        tx: &Connection,
        now: WallTime,
        key: &SessionKey,
        wanted: Conversation,
    ) -> Result<SessionEntry, MethodError> {
        let before = find(tx, key.as_str())?;
        let is_over = |entry: &SessionEntry| match wanted {
            Conversation::Present => false,
            Conversation::Another => true,
            Conversation::IfFresh => self.settings.resets.rule(key).is_over(
                WallTime::from_millis(entry.updated_at),
                now,
                |hour| now.last_at_hour(hour),
            ),
        };
        let entry = match before {
            Some(entry) if is_over(&entry) => self.renew(tx, now, key, Some(entry))?,
            Some(mut entry) => {
                // What the gateway does of its own accord is no sign of life of anybody.
                if wanted != Conversation::Present {
                    entry.updated_at = now.as_millis().max(entry.updated_at);
                }
                self.save(tx, key, &entry)?;
                entry
            }
            None => {
                let entry = fresh(now);
                self.save(tx, key, &entry)?;
                entry
            }
        };
        transcripts::begin(tx, &entry.session_id, key.as_str(), now)?;
        Ok(entry)
    }

    /// A run has ended: its session says what it took. Nothing when the session went on to another conversation meanwhile.
    pub(crate) fn ended(
        &self,
        tx: &Connection,
        now: WallTime,
        key: &SessionKey,
        session_id: &str,
        used: &Used,
    ) -> Result<(), MethodError> {
        let Some(mut entry) =
            find(tx, key.as_str())?.filter(|entry| entry.session_id == session_id)
        else {
            return Ok(());
        };
        if !used.is_silent && entry.updated_at < now.as_millis() {
            entry.updated_at = now.as_millis();
        }
        entry.aborted_last_run = Some(used.was_aborted);
        entry.system_sent = Some(true);
        if used.usage != Usage::default() {
            entry.input_tokens = Some(used.usage.input);
            entry.output_tokens = Some(used.usage.output);
            let read = used.usage.input.saturating_add(used.usage.cache_read);
            entry.total_tokens = Some(read.saturating_add(used.usage.cache_write));
        }
        let or = |text: &str, before: Option<String>| match text {
            "" => before,
            text => Some(text.to_owned()),
        };
        entry.model_provider = or(&used.provider, entry.model_provider);
        entry.model = or(&used.model, entry.model);
        entry.context_tokens = used.context_tokens.or(entry.context_tokens);
        self.save(tx, key, &entry)
    }

    /// Another conversation begins under the key; how the session is set stays, and what was said before is put aside.
    pub(super) fn renew(
        &self,
        tx: &Connection,
        now: WallTime,
        key: &SessionKey,
        before: Option<SessionEntry>,
    ) -> Result<SessionEntry, MethodError> {
        if let Some(before) = &before {
            transcripts::archive(tx, &before.session_id, now, transcripts::LEFT_FOR)?;
        }
        let mut entry = before.unwrap_or_else(|| fresh(now));
        entry.session_id = uuid::Uuid::new_v4().to_string();
        entry.updated_at = now.as_millis().max(entry.updated_at);
        entry.system_sent = Some(false);
        entry.aborted_last_run = Some(false);
        entry.input_tokens = Some(0);
        entry.output_tokens = Some(0);
        entry.total_tokens = Some(0);
        entry.compaction_count = None;
        // What lets a conversation execute things does not outlive it.
        entry.elevated_level = None;
        entry.exec_host = None;
        entry.exec_security = None;
        entry.exec_ask = None;
        entry.exec_node = None;
        entry.group_activation = None;
        self.save(tx, key, &entry)?;
        Ok(entry)
    }
}
