//! The configuration over the wire.

use openclaw_shared::clock::WallTime;
use openclaw_shared::config::Outcome;
use openclaw_shared::protocol::method::Method;
use openclaw_shared::protocol::method::config::{
    ConfigApply, ConfigGet, ConfigPatch, ConfigSchema, ConfigSet,
};
use openclaw_shared::protocol::params::config::{
    ConfigApplyParams, ConfigApplyReply, ConfigGetParams, ConfigRestart, ConfigSchemaParams,
    ConfigSchemaReply, ConfigSentinel, ConfigSentinelPayload, ConfigSentinelStats, ConfigSetParams,
    ConfigSetReply, ConfigSnapshot,
};
use openclaw_shared::protocol::strict::NonEmpty;

use super::{MethodError, Routes};
use crate::connection::Caller;
use crate::context::Context;
use crate::prepared::Prepared;
use crate::services::config::{Done, Edit};

pub(super) fn register(routes: Routes) -> Routes {
    routes
        .on(ConfigGet, get)
        .on(ConfigSet, set)
        .on(ConfigApply, apply)
        .on(ConfigPatch, patch)
        .on(ConfigSchema, schema)
}

async fn get(
    context: &Context,
    caller: &Caller,
    params: ConfigGetParams,
) -> Result<Prepared<ConfigSnapshot>, MethodError> {
    let with_secrets = params.include_secrets == Some(true);
    if with_secrets {
        tracing::info!(target: "config", conn = %caller.link, client = %caller.client.id, "secrets of the configuration shown");
    }
    Ok(context.config.snapshot(with_secrets).await?)
}

async fn set(
    context: &Context,
    _caller: &Caller,
    params: ConfigSetParams,
) -> Result<ConfigSetReply, MethodError> {
    let base_hash = params.base_hash.map(NonEmpty::into_string);
    let raw = params.raw.into_string();
    let Done { config, outcome } = context.config.change(Edit::Replace, raw, base_hash).await?;
    Ok(ConfigSetReply {
        ok: true,
        path: context.config.path(),
        config,
        outcome,
    })
}

async fn apply(
    context: &Context,
    _caller: &Caller,
    params: ConfigApplyParams,
) -> Result<ConfigApplyReply, MethodError> {
    change::<ConfigApply>(context, Edit::Replace, params).await
}

async fn patch(
    context: &Context,
    _caller: &Caller,
    params: ConfigApplyParams,
) -> Result<ConfigApplyReply, MethodError> {
    change::<ConfigPatch>(context, Edit::Patch, params).await
}

async fn change<M: Method>(
    context: &Context,
    edit: Edit,
    params: ConfigApplyParams,
) -> Result<ConfigApplyReply, MethodError> {
    let base_hash = params.base_hash.map(NonEmpty::into_string);
    let raw = params.raw.into_string();
    let Done { config, outcome } = context.config.change(edit, raw, base_hash).await?;
    let path = context.config.path();
    Ok(ConfigApplyReply {
        ok: true,
        restart: restart(M::NAME, &outcome),
        sentinel: ConfigSentinel {
            // Nothing reads such a file here: what it would say is in this answer.
            path: None,
            payload: ConfigSentinelPayload {
                kind: "config-apply".to_owned(),
                status: "ok".to_owned(),
                ts: WallTime::now().as_millis(),
                session_key: params.session_key,
                message: params.note,
                doctor_hint: "Run: openclaw doctor --non-interactive".to_owned(),
                stats: ConfigSentinelStats {
                    mode: M::NAME.to_owned(),
                    root: path.clone(),
                },
            },
        },
        path,
        config,
        outcome,
    })
}

fn restart(method: &str, outcome: &Outcome) -> ConfigRestart {
    let is_replaced = !outcome.children().is_empty();
    ConfigRestart {
        ok: is_replaced,
        pid: std::process::id(),
        signal: "SIGUSR1".to_owned(),
        delay_ms: 0,
        reason: method.to_owned(),
        mode: if is_replaced { "replace" } else { "none" }.to_owned(),
    }
}

async fn schema(
    context: &Context,
    _caller: &Caller,
    _params: ConfigSchemaParams,
) -> Result<Prepared<ConfigSchemaReply>, MethodError> {
    Ok(context.config.schema())
}
