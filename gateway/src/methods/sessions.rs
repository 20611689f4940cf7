//! Sessions.

use std::sync::Arc;

use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::paths::StatePaths;
use openclaw_shared::protocol::method::sessions::{
    SessionsCompact, SessionsDelete, SessionsExport, SessionsList, SessionsPatch, SessionsPreview,
    SessionsReset, SessionsResolve,
};
use openclaw_shared::protocol::params::sessions::{
    SessionsCompactParams, SessionsCompactReply, SessionsDeleteParams, SessionsDeleteReply,
    SessionsExportParams, SessionsExportReply, SessionsListParams, SessionsListReply,
    SessionsPatchParams, SessionsPatchReply, SessionsPreviewParams, SessionsPreviewReply,
    SessionsResetParams, SessionsResetReply, SessionsResolveParams, SessionsResolveReply,
};

use super::{MethodError, Routes};
use crate::connection::Caller;
use crate::context::Context;
use crate::prepared::Prepared;
use crate::runs;
use crate::services::listings::{Listings, Question};
use crate::services::session_key::SessionKey;
use crate::services::sessions::{self, Register};
use crate::services::transcripts::export;

/// How many entries one answer of an export has when nobody says.
const EXPORTED_AT_ONCE: usize = 1_000;

pub(super) fn register(routes: Routes) -> Routes {
    routes
        .on(SessionsList, list)
        .on(SessionsPreview, preview)
        .on(SessionsResolve, resolve)
        .on(SessionsPatch, patch)
        .route(SessionsReset, reset)
        .route(SessionsDelete, delete)
        .on(SessionsCompact, compact)
        .on(SessionsExport, export)
}

fn register_of(context: &Context) -> Register {
    Register::new(context.settings())
}

fn store_path(context: &Context) -> String {
    let identity = &context.instance.identity;
    identity.display(&StatePaths(&identity.state_dir).store())
}

async fn list(
    context: &Context,
    _caller: &Caller,
    params: SessionsListParams,
) -> Result<Prepared<SessionsListReply>, MethodError> {
    let question = Question {
        // What is read may be newer than the version; then the next answer is made once too often, and never once too little.
        version: context.store.version()?,
        settings: context.settings(),
        params,
    };
    let now = WallTime::now();
    // What another life writes changes the version a few milliseconds later; while there is one, the store is asked.
    if !context.runs.is_beside_another()
        && let Some(answer) = context.listings(|listings| listings.again(&question, now))
    {
        return Ok(answer);
    }
    let register = Register::new(question.settings.clone());
    let path = store_path(context);
    let mut rows = context.listings(Listings::take);
    let listed = context
        .store
        .read(|reader| register.list(reader, &mut rows, now, &question.params, &path));
    context.listings(|listings| {
        listings.put(Moment::now(), rows);
        if let Ok(answer) = &listed {
            listings.answered(question, now, answer);
        }
    });
    Ok(listed?)
}

async fn preview(
    context: &Context,
    _caller: &Caller,
    params: SessionsPreviewParams,
) -> Result<SessionsPreviewReply, MethodError> {
    let register = register_of(context);
    let previews = context
        .store
        .read(|reader| Ok(register.previews(reader, &params)))??;
    Ok(SessionsPreviewReply {
        ts: WallTime::now().as_millis(),
        previews,
    })
}

async fn resolve(
    context: &Context,
    _caller: &Caller,
    params: SessionsResolveParams,
) -> Result<SessionsResolveReply, MethodError> {
    let register = register_of(context);
    let key = context
        .store
        .read(|reader| Ok(register.resolve(reader, &params)))??;
    Ok(SessionsResolveReply { ok: true, key })
}

async fn patch(
    context: &Context,
    _caller: &Caller,
    params: SessionsPatchParams,
) -> Result<SessionsPatchReply, MethodError> {
    let register = register_of(context);
    let (key, entry) = context
        .store
        .write(move |tx| register.patch(tx, WallTime::now(), &params))
        .await?;
    Ok(SessionsPatchReply {
        ok: true,
        path: store_path(context),
        key: key.to_string(),
        entry,
    })
}

/// What runs in the session is stopped first, so that it answers into no conversation that it does not know.
async fn reset(
    context: Arc<Context>,
    _caller: Arc<Caller>,
    params: SessionsResetParams,
) -> Result<SessionsResetReply, MethodError> {
    let register = register_of(&context);
    let key = register.key(&params.key)?;
    if !runs::clear(&context, key.as_str(), "reset").await? {
        return Err(sessions::still_active(&params.key));
    }
    let (key, entry) = context
        .store
        .write(move |tx| register.reset(tx, WallTime::now(), &params.key))
        .await?;
    Ok(SessionsResetReply {
        ok: true,
        key: key.to_string(),
        entry,
    })
}

/// What runs in the session is stopped first, so that nothing is written to what is no more.
async fn delete(
    context: Arc<Context>,
    _caller: Arc<Caller>,
    params: SessionsDeleteParams,
) -> Result<SessionsDeleteReply, MethodError> {
    let register = register_of(&context);
    let key = register.deletable(&params.key)?;
    if !runs::clear(&context, key.as_str(), "deleted").await? {
        return Err(sessions::still_active(&params.key));
    }
    let with_transcript = params.delete_transcript != Some(false);
    let named = key.to_string();
    let deleted = context
        .store
        .write(move |tx| register.delete(tx, WallTime::now(), &key, with_transcript))
        .await?;
    Ok(SessionsDeleteReply {
        ok: true,
        key: named,
        deleted: deleted.deleted,
        archived: deleted.archived.into_iter().collect(),
    })
}

async fn compact(
    context: &Context,
    _caller: &Caller,
    params: SessionsCompactParams,
) -> Result<SessionsCompactReply, MethodError> {
    let register = register_of(context);
    context
        .store
        .write(move |tx| register.cut(tx, WallTime::now(), &params))
        .await
}

async fn export(
    context: &Context,
    _caller: &Caller,
    params: SessionsExportParams,
) -> Result<SessionsExportReply, MethodError> {
    let settings = context.settings();
    let register = Register::new(settings.clone());
    let limit = params.limit.map_or(EXPORTED_AT_ONCE, |limit| {
        usize::try_from(limit.get()).unwrap_or(EXPORTED_AT_ONCE)
    });
    let after = params.after.map_or(0, |after| after.get());
    let (key, session_id, page) = context.store.read(|reader| {
        let read = || {
            let (key, session_id) = register.conversation(reader, &params)?;
            let agent = key.as_deref().map(SessionKey::of_canonical);
            let agent = agent.as_ref().and_then(SessionKey::agent);
            let agent = agent.unwrap_or(settings.default_agent());
            let cwd = settings
                .catalog
                .workspace(agent, agent == settings.default_agent());
            let cwd = cwd.to_string_lossy();
            let page = export::page(reader, &session_id, after, limit, &cwd)?;
            Ok::<_, MethodError>((key, session_id, page))
        };
        Ok(read())
    })??;
    let page =
        page.ok_or_else(|| MethodError::invalid(format!("No transcript found: {session_id}")))?;
    Ok(SessionsExportReply {
        key,
        session_id,
        entries: page.entries,
        next: page.next.map(i64::unsigned_abs),
    })
}

#[cfg(test)]
mod tests;
