//! What an agent is told before a conversation, put together from the configuration, its workspace, its skills and its tools.

use std::sync::Arc;

use openclaw_agent::model::ToolSpec;
use openclaw_agent::prompt::{self, Briefing, Skill, SystemPrompt, Who};
use openclaw_agent::workspace::{self, Reader, WorkspaceFile};
use openclaw_shared::clock::WallTime;
use openclaw_shared::instance::Environment;

use crate::context::Context;
use crate::services::session_key::SessionKey;
use crate::services::skills::{self, Machine};
use crate::settings::Settings;

/// For whom.
#[derive(Debug)]
pub(crate) struct Occasion<'a> {
    pub(crate) agent: &'a str,
    pub(crate) session: &'a SessionKey,
    /// What the agent can call.
    pub(crate) tools: &'a [ToolSpec],
    /// What whoever asks adds.
    pub(crate) extra: Option<&'a str>,
    /// The model, as `provider/model`.
    pub(crate) model: &'a str,
}

/// Puts it together. Reads files.
///
/// # Errors
/// When the workspace cannot be used, in a sentence for people.
pub(crate) async fn system_prompt(
    context: &Arc<Context>,
    occasion: &Occasion<'_>,
) -> Result<SystemPrompt, String> {
    let settings = context.settings();
    let &Occasion {
        agent,
        session,
        tools,
        extra,
        model,
    } = occasion;
    let reader = if session.is_subagent() {
        Reader::Subagent
    } else if session.is_main(settings.naming()) {
        Reader::Main
    } else {
        Reader::Elsewhere
    };
    let (files, skills) = look(settings.clone(), agent.to_owned(), reader).await?;
    let profile = settings.catalog.agent(agent);
    let identity = profile.and_then(|profile| profile.identity.as_ref());
    let name = identity
        .and_then(|identity| identity.name.as_deref())
        .or_else(|| profile.and_then(|profile| profile.name.as_deref()));
    let workspace = settings
        .catalog
        .workspace(agent, agent == settings.default_agent());
    let now = WallTime::now().in_zone(settings.agency.time_zone.as_deref());
    Ok(prompt::write(&Briefing {
        is_subagent: session.is_subagent(),
        who: Who {
            id: agent,
            name,
            theme: identity.and_then(|identity| identity.theme.as_deref()),
            emoji: identity.and_then(|identity| identity.emoji.as_deref()),
        },
        workspace: &workspace.display().to_string(),
        tools,
        skills: &skills,
        files: &files,
        extra,
        now: Some(&now),
        runtime: &format!(
            "host={} os={} session={session} model={model}",
            context.machine.host,
            std::env::consts::OS
        ),
    }))
}

/// Reads the workspace and the skills where nobody else waits for it.
async fn look(
    settings: Arc<Settings>,
    agent: String,
    reader: Reader,
) -> Result<(Vec<WorkspaceFile>, Vec<Skill>), String> {
    let looked = tokio::task::spawn_blocking(move || {
        let agency = &settings.agency;
        let folder = settings
            .catalog
            .workspace(&agent, agent == settings.default_agent());
        workspace::prepare(&folder, agency.with_first_files).map_err(|error| {
            format!("the workspace {} cannot be used: {error}", folder.display())
        })?;
        let files = workspace::read(&folder, reader, agency.longest_file);
        let skills = match reader {
            Reader::Subagent => Vec::new(),
            Reader::Main | Reader::Elsewhere => {
                let environment = Environment::from_process();
                skills::ready(&settings, &Machine::of(&environment), &agent)
            }
        };
        let skills = skills.into_iter().map(|skill| Skill {
            name: skill.name,
            description: skill.description,
            location: skill.file_path,
        });
        Ok((files, skills.collect()))
    });
    looked
        .await
        .unwrap_or_else(|_| Err("the workspace cannot be read".to_owned()))
}
