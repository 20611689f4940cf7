//! What was said in a session.

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::event;
use openclaw_shared::protocol::method::chat::{ChatHistory, ChatInject};
use openclaw_shared::protocol::params::agents::ModelRow;
use openclaw_shared::protocol::params::chat::{
    ChatHistoryParams, ChatHistoryReply, ChatInjectParams, ChatInjectReply, ChatMessage,
    ChatPayload, ChatState, ChatTextPart,
};
use openclaw_shared::protocol::params::sessions::SessionEntry;
use openclaw_shared::transcript::Thinking;
use serde_json::{Value, json};

use super::{MethodError, Routes};
use crate::connection::Caller;
use crate::context::Context;
use crate::prepared::Prepared;
use crate::services::sessions::{self, Register};
use crate::services::transcripts::{self, shown};
use crate::settings::Settings;

/// How many messages are meant when nobody says.
const USUAL_LIMIT: i64 = 200;

pub(super) fn register(routes: Routes) -> Routes {
    routes
        .on(ChatHistory, history)
        .on_errand(ChatInject, inject)
}

async fn history(
    context: &Context,
    _caller: &Caller,
    params: ChatHistoryParams,
) -> Result<Prepared<ChatHistoryReply>, MethodError> {
    let settings = context.settings();
    let key = Register::new(settings.clone()).key(&params.session_key)?;
    let limit = params.limit.map_or(USUAL_LIMIT, |limit| limit.get());
    let limit = usize::try_from(limit).unwrap_or_default();
    let (entry, messages) = context.store.read(|reader| {
        let read = || {
            let entry = sessions::find(reader, key.as_str())?;
            let messages = match &entry {
                Some(entry) => {
                    shown::messages(reader, &entry.session_id, limit, shown::MOST_BYTES)?
                }
                None => "[]".to_owned(),
            };
            Ok::<_, crate::store::StoreError>((entry, messages))
        };
        Ok(read())
    })??;
    // The messages are JSON already, and up to megabytes of it; what is around them is written by hand.
    let text = |text: &str| Value::from(text).to_string();
    let mut json = format!("{{\"sessionKey\":{}", text(&params.session_key));
    if let Some(entry) = &entry {
        json.push_str(&format!(",\"sessionId\":{}", text(&entry.session_id)));
    }
    json.push_str(&format!(
        ",\"messages\":{messages},\"thinkingLevel\":{}}}",
        text(&thinking_level(&settings, entry.as_ref()))
    ));
    Ok(Prepared::of_json(json.into()))
}

/// How much a model thinks in a session: as it is set, as the configuration says, or as its model can.
fn thinking_level(settings: &Settings, entry: Option<&SessionEntry>) -> String {
    if let Some(level) = entry.and_then(|entry| entry.thinking_level.clone()) {
        return level;
    }
    let usual = settings.runs.thinking.unwrap_or_else(|| {
        let models = &settings.catalog.models;
        let reasons = models.default.as_ref().is_some_and(|model| {
            let is_it = |row: &&ModelRow| {
                Some(&row.provider) == model.provider.as_ref() && row.id == model.model
            };
            models.rows.iter().find(is_it).and_then(|row| row.reasoning) == Some(true)
        });
        if reasons {
            Thinking::Low
        } else {
            Thinking::Off
        }
    });
    usual.as_str().to_owned()
}

/// Puts words into the mouth of the assistant: into the transcript first, then everybody hears them.
async fn inject(
    context: &Context,
    _caller: &Caller,
    params: ChatInjectParams,
) -> Result<ChatInjectReply, MethodError> {
    let register = Register::new(context.settings());
    let key = register.key(&params.session_key)?;
    let now = WallTime::now();
    let label = params.label.as_ref().map(|label| label.trim());
    let text = match label.filter(|label| !label.is_empty()) {
        Some(label) => format!("[{label}]\n\n{}", params.message),
        None => params.message.to_string(),
    };
    let said = text.clone();
    let message_id = context
        .store
        .write(move |tx| {
            let entry = sessions::find(tx, key.as_str())?
                .ok_or_else(|| MethodError::invalid("session not found"))?;
            transcripts::inject(tx, &entry.session_id, now, &said).map_err(MethodError::from)
        })
        .await?;
    let payload = ChatPayload {
        run_id: format!("inject-{message_id}"),
        session_key: params.session_key.to_string(),
        seq: 0,
        state: ChatState::Final,
        message: Some(ChatMessage {
            role: "assistant".to_owned(),
            content: vec![ChatTextPart {
                kind: "text".to_owned(),
                text,
            }],
            timestamp: now.as_millis(),
            stop_reason: Some("injected".to_owned()),
            usage: Some(json!({"input": 0, "output": 0, "totalTokens": 0})),
        }),
        error_message: None,
        stop_reason: None,
        usage: None,
    };
    context
        .hub
        .publish::<event::Chat>(&Prepared::new(&payload), context.state_version());
    Ok(ChatInjectReply {
        ok: true,
        message_id,
    })
}

#[cfg(test)]
mod tests;
