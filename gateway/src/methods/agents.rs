//! Agents and models.

use openclaw_shared::protocol::method::agents::{AgentIdentityGet, AgentsList, ModelsList};
use openclaw_shared::protocol::params::agents::{
    AgentIdentityParams, AgentIdentityReply, AgentsListParams, AgentsListReply, ModelsListParams,
    ModelsListReply,
};

use super::{MethodError, Routes};
use crate::connection::Caller;
use crate::context::Context;
use crate::services::agents;
use crate::services::session_key::{SessionKey, agent_id};

pub(super) fn register(routes: Routes) -> Routes {
    routes
        .on(AgentsList, list)
        .on(AgentIdentityGet, identity)
        .on(ModelsList, models)
}

fn gone(_: tokio::task::JoinError) -> MethodError {
    MethodError::unavailable("internal error")
}

async fn list(
    context: &Context,
    _caller: &Caller,
    _params: AgentsListParams,
) -> Result<AgentsListReply, MethodError> {
    let settings = context.settings();
    let ids = context
        .store
        .read(|reader| agents::ids(&settings, reader))?;
    let defaults = settings.session_defaults();
    // Pictures are files, and a slow disk must not hold up the others.
    let rows = tokio::task::spawn_blocking(move || {
        ids.iter().map(|id| agents::row(&settings, id)).collect()
    });
    Ok(AgentsListReply {
        default_id: defaults.default_agent_id,
        main_key: defaults.main_key,
        scope: defaults.scope.unwrap_or_default(),
        agents: rows.await.map_err(gone)?,
    })
}

async fn identity(
    context: &Context,
    _caller: &Caller,
    params: AgentIdentityParams,
) -> Result<AgentIdentityReply, MethodError> {
    let refuse =
        |text: String| MethodError::invalid(format!("invalid agent.identity.get params: {text}"));
    let settings = context.settings();
    let named = match params
        .agent_id
        .as_deref()
        .map(str::trim)
        .filter(|id| !id.is_empty())
    {
        None => None,
        Some(id) => Some(
            agent_id(id).ok_or_else(|| refuse("at /agentId: must be an agent id".to_owned()))?,
        ),
    };
    let of_session = match params
        .session_key
        .as_deref()
        .map(str::trim)
        .filter(|key| !key.is_empty())
    {
        None => None,
        Some(key) => {
            let key = SessionKey::parse(key, settings.naming())
                .map_err(|error| refuse(format!("at /sessionKey: {error}")))?;
            Some(key.agent().unwrap_or(settings.default_agent()).to_owned())
        }
    };
    let id = match (named, of_session) {
        (Some(named), Some(of_session)) if named != of_session => {
            return Err(refuse(format!(
                r#"agent "{named}" does not match session key agent "{of_session}""#
            )));
        }
        (Some(id), _) | (None, Some(id)) => id,
        (None, None) => settings.default_agent().to_owned(),
    };
    tokio::task::spawn_blocking(move || agents::identity(&settings, &id))
        .await
        .map_err(gone)
}

async fn models(
    context: &Context,
    _caller: &Caller,
    _params: ModelsListParams,
) -> Result<ModelsListReply, MethodError> {
    Ok(ModelsListReply {
        models: context.settings().catalog.models.rows.clone(),
    })
}
