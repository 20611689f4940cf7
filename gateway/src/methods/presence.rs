//! `system-presence` and `system-event`.

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::presence::{
    SystemEventParams, SystemEventReply, SystemPresenceParams,
};
use openclaw_shared::protocol::snapshot::PresenceEntry;

use super::MethodError;
use crate::connection::Caller;
use crate::context::Context;
use crate::prepared::Prepared;

pub(super) async fn system_presence(
    context: &Context,
    _caller: &Caller,
    _params: SystemPresenceParams,
) -> Result<Prepared<Vec<PresenceEntry>>, MethodError> {
    Ok(context.presence(|presence| presence.list(WallTime::now())))
}

pub(super) async fn system_event(
    context: &Context,
    _caller: &Caller,
    params: SystemEventParams,
) -> Result<SystemEventReply, MethodError> {
    let text = params.text.to_string();
    let note = context.presence(|presence| presence.note(WallTime::now(), params));
    if note.is_news {
        context.health(|health| health.queue_system_event(text));
    }
    context.presence_changed();
    Ok(SystemEventReply { ok: true })
}
