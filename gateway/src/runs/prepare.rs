//! What a turn is made of: the model, the tools, what the agent is told before the conversation, and the conversation.

use std::rc::Rc;
use std::sync::Arc;

use openclaw_agent::model::Model;
use openclaw_agent::tool::Toolbox;
use openclaw_shared::protocol::params::sessions::SessionEntry;
use openclaw_shared::transcript::Message;
use serde_json::Value;

use super::request::RunRequest;
use crate::briefing::{self, Occasion};
use crate::context::Context;
use crate::services::models::{Chosen, Wanted};
use crate::services::transcripts;
use crate::store::StoreError;
use crate::toolbox;

/// Everything but the conversation.
pub(crate) struct Prepared {
    pub(crate) model: Rc<dyn Model>,
    /// The provider that is asked first, and the name of the model there.
    pub(crate) first: (String, String),
    /// How much the model can read, in tokens.
    pub(crate) window: u64,
    pub(crate) toolbox: Toolbox,
    pub(crate) system: String,
    /// What the prompt is made of, in sizes.
    pub(crate) report: Value,
}

/// What the model is to read of a conversation, and where each message is in the transcript.
pub(crate) fn history(
    context: &Context,
    session_id: &str,
) -> Result<(Vec<Message>, Vec<Option<String>>), StoreError> {
    context.store.read(|reader| {
        Ok(
            transcripts::since_compaction(reader, session_id).map(|(compaction, said)| {
                let summary = compaction.map(|(at, it)| (transcripts::summary(at, &it), None));
                let said = said.into_iter().map(|said| (said.message, Some(said.id)));
                summary.into_iter().chain(said).unzip()
            }),
        )
    })?
}

/// Prepares a turn, or says why that cannot be.
pub(crate) async fn prepare(
    context: &Arc<Context>,
    request: &RunRequest,
    entry: &SessionEntry,
) -> Result<Prepared, String> {
    let settings = context.settings();
    let work = &request.work;
    let agent = match work.agent.as_str() {
        "" => settings.default_agent(),
        named => named,
    };
    let chosen = choose(context, agent, entry, work.model.as_deref())?;
    let name = format!("{}/{}", chosen.provider, chosen.name);
    let toolbox = match work.is_without_tools {
        true => Toolbox::default(),
        false => toolbox::of(context, agent, &request.session, Some(&name)).await,
    };
    let prompt = briefing::system_prompt(
        context,
        &Occasion {
            agent,
            session: &request.session,
            tools: &toolbox.specs(),
            extra: work.extra_system.as_deref(),
            model: &name,
        },
    )
    .await?;
    Ok(Prepared {
        model: chosen.model,
        first: (chosen.provider, chosen.name),
        window: chosen.window,
        toolbox,
        system: prompt.text,
        report: serde_json::to_value(&prompt.report).unwrap_or_default(),
    })
}

fn choose(
    context: &Context,
    agent: &str,
    entry: &SessionEntry,
    wish: Option<&str>,
) -> Result<Chosen, String> {
    let of_session = entry.model_override.as_deref();
    let wanted = Wanted {
        session: of_session.map(|model| (entry.provider_override.as_deref(), model)),
        run: wish,
    };
    let settings = context.settings();
    context
        .models
        .choose(&settings.catalog.models, agent, wanted)
}
