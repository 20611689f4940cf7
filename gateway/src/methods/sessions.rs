//! Sessions.

use openclaw_shared::clock::WallTime;
use openclaw_shared::paths::StatePaths;
use openclaw_shared::protocol::method::sessions::{
    SessionsCompact, SessionsDelete, SessionsList, SessionsPatch, SessionsPreview, SessionsReset,
    SessionsResolve,
};
use openclaw_shared::protocol::params::sessions::{
    SessionsCompactParams, SessionsCompactReply, SessionsDeleteParams, SessionsDeleteReply,
    SessionsListParams, SessionsPatchParams, SessionsPatchReply, SessionsPreviewParams,
    SessionsPreviewReply, SessionsResetParams, SessionsResetReply, SessionsResolveParams,
    SessionsResolveReply,
};

use super::{MethodError, Routes};
use crate::connection::Caller;
use crate::context::Context;
use crate::services::listings::Listed;
use crate::services::sessions::{self, Register};

pub(super) fn register(routes: Routes) -> Routes {
    routes
        .on(SessionsList, list)
        .on(SessionsPreview, preview)
        .on(SessionsResolve, resolve)
        .on(SessionsPatch, patch)
        .on(SessionsReset, reset)
        .on(SessionsDelete, delete)
        .on(SessionsCompact, compact)
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
) -> Result<Listed, MethodError> {
    let (now, version, settings) = (
        WallTime::now(),
        context.store.version()?,
        context.settings(),
    );
    let kept = context.listings(|listings| listings.get(version, &settings, now, &params));
    if let Some(listed) = kept {
        return Ok(listed);
    }
    let register = Register::new(settings);
    let path = store_path(context);
    let listing = context
        .store
        .read(|reader| register.list(reader, now, &params, path))?;
    Ok(context.listings(|listings| listings.keep(version, now, params, &listing)))
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

async fn reset(
    context: &Context,
    _caller: &Caller,
    params: SessionsResetParams,
) -> Result<SessionsResetReply, MethodError> {
    let register = register_of(context);
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

async fn delete(
    context: &Context,
    _caller: &Caller,
    params: SessionsDeleteParams,
) -> Result<SessionsDeleteReply, MethodError> {
    let register = register_of(context);
    let (key, deleted) = context
        .store
        .write(move |tx| register.delete(tx, &params.key))
        .await?;
    Ok(SessionsDeleteReply {
        ok: true,
        key: key.to_string(),
        deleted,
        archived: Vec::new(),
    })
}

/// There are no messages before there are agent runs, so there is never anything to put aside.
async fn compact(
    context: &Context,
    _caller: &Caller,
    params: SessionsCompactParams,
) -> Result<SessionsCompactReply, MethodError> {
    let key = register_of(context).key(&params.key)?;
    let found = context
        .store
        .read(|reader| Ok(sessions::find(reader, key.as_str())))??;
    let reason = if found.is_some() {
        "no transcript"
    } else {
        "no sessionId"
    };
    Ok(SessionsCompactReply {
        ok: true,
        key: key.to_string(),
        compacted: false,
        reason: Some(reason.to_owned()),
        kept: None,
        archived: None,
    })
}
