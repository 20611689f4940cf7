//! What wakes an agent by itself.

use openclaw_shared::protocol::event::HeartbeatPayload;
use openclaw_shared::protocol::method::heartbeat::{LastHeartbeat, SetHeartbeats, Wake};
use openclaw_shared::protocol::params::heartbeat::{
    LastHeartbeatParams, SetHeartbeatsParams, SetHeartbeatsReply, WakeParams, WakeReply,
};

use super::{MethodError, Routes};
use crate::connection::Caller;
use crate::context::Context;
use crate::heartbeat;
use crate::services::heartbeats;
use crate::services::system_events::Queued;

pub(super) fn register(routes: Routes) -> Routes {
    routes
        .on(LastHeartbeat, last)
        .on_errand(SetHeartbeats, set)
        .on_errand(Wake, wake)
}

async fn last(
    context: &Context,
    _caller: &Caller,
    _params: LastHeartbeatParams,
) -> Result<Option<HeartbeatPayload>, MethodError> {
    Ok(context
        .store
        .read(|reader| Ok(heartbeats::last(reader)))??)
}

async fn set(
    context: &Context,
    _caller: &Caller,
    params: SetHeartbeatsParams,
) -> Result<SetHeartbeatsReply, MethodError> {
    let SetHeartbeatsParams { enabled } = params;
    context
        .store
        .write(move |tx| heartbeats::switch(tx, enabled))
        .await?;
    heartbeat::look_again(context);
    Ok(SetHeartbeatsReply { ok: true, enabled })
}

async fn wake(
    context: &Context,
    _caller: &Caller,
    params: WakeParams,
) -> Result<WakeReply, MethodError> {
    match heartbeat::wake(context, params.mode, &params.text).await? {
        Queued::Waits => Ok(WakeReply { ok: true }),
        Queued::Blank => Ok(WakeReply { ok: false }),
        Queued::TooLong => Err(MethodError::invalid(
            "invalid wake params: at /text: must NOT have more than 20000 characters",
        )),
        Queued::Full => Err(MethodError::unavailable(
            "too many notes wait for the main session; its agent is told of them by heartbeats",
        )),
    }
}
