//! Health, status, presence and the log.

use openclaw_shared::clock::WallTime;
use openclaw_shared::log;
use openclaw_shared::protocol::method::system::{
    Health, LogsTail, Status, SystemEvent, SystemPresence,
};
use openclaw_shared::protocol::params::health::{
    HealthParams, HealthSummary, StatusParams, StatusSummary,
};
use openclaw_shared::protocol::params::logs::{LogsTailParams, LogsTailReply};
use openclaw_shared::protocol::params::presence::{
    SystemEventParams, SystemEventReply, SystemPresenceParams,
};
use openclaw_shared::protocol::snapshot::PresenceEntry;

use super::{MethodError, Routes};
use crate::connection::Caller;
use crate::context::Context;
use crate::prepared::Prepared;
use crate::services::health;
use crate::services::log_tail::{self, Wanted};
use crate::services::system_events;

pub(super) fn register(routes: Routes) -> Routes {
    routes
        .on(Health, health)
        .on(Status, status)
        .on(SystemPresence, system_presence)
        .on_errand(SystemEvent, system_event)
        .on(LogsTail, tail)
}

pub(super) async fn health(
    context: &Context,
    _caller: &Caller,
    params: HealthParams,
) -> Result<Prepared<HealthSummary>, MethodError> {
    if params.probe == Some(true) {
        context.health(health::Health::look_again);
        context.health_is_stale();
    }
    Ok(context.health_summary())
}

async fn status(
    context: &Context,
    _caller: &Caller,
    _params: StatusParams,
) -> Result<Prepared<StatusSummary>, MethodError> {
    Ok(context.status_summary())
}

async fn system_presence(
    context: &Context,
    _caller: &Caller,
    _params: SystemPresenceParams,
) -> Result<Prepared<Vec<PresenceEntry>>, MethodError> {
    Ok(context.presence(|presence| presence.list(WallTime::now())))
}

async fn system_event(
    context: &Context,
    _caller: &Caller,
    params: SystemEventParams,
) -> Result<SystemEventReply, MethodError> {
    let text = params.text.trim().to_owned();
    if text.is_empty() {
        return Err(MethodError::invalid("text required"));
    }
    let note = context.presence(|presence| presence.note(WallTime::now(), params));
    if note.is_news {
        context
            .store
            .write(move |tx| system_events::note(tx, WallTime::now(), &text))
            .await?;
    }
    context.presence_changed();
    Ok(SystemEventReply { ok: true })
}

async fn tail(
    context: &Context,
    _caller: &Caller,
    params: LogsTailParams,
) -> Result<LogsTailReply, MethodError> {
    let logging = context.logging();
    let wanted = Wanted::from(params);
    // A read of a million bytes would make the others wait.
    let tailed = tokio::task::spawn_blocking(move || {
        let now = WallTime::now();
        let file =
            log::newest_file(&logging, now).unwrap_or_else(|| log::current_file(&logging, now));
        (log_tail::tail(&file, wanted), file)
    })
    .await;
    let unreadable = || MethodError::unavailable("the log file cannot be read");
    let (tail, file) = tailed.map_err(|_| unreadable())?;
    let tail = tail.map_err(|error| {
        tracing::warn!(target: "gateway", %error, "the log file cannot be read");
        unreadable()
    })?;
    Ok(LogsTailReply {
        file: context.instance.identity.display(&file),
        cursor: tail.cursor,
        size: tail.size,
        lines: tail.lines,
        truncated: tail.truncated,
        reset: tail.reset,
    })
}
