//! What wakes an agent by itself.

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::event::HeartbeatPayload;
use openclaw_shared::protocol::method::heartbeat::{LastHeartbeat, Wake};
use openclaw_shared::protocol::params::heartbeat::{LastHeartbeatParams, WakeParams, WakeReply};

use super::{MethodError, Routes};
use crate::connection::Caller;
use crate::context::Context;
use crate::services::system_events::{self, Queued};
use crate::store::StoreError;

pub(super) fn register(routes: Routes) -> Routes {
    routes.on(LastHeartbeat, last).on(Wake, wake)
}

/// No heart beats before there are agent runs.
async fn last(
    _context: &Context,
    _caller: &Caller,
    _params: LastHeartbeatParams,
) -> Result<Option<HeartbeatPayload>, MethodError> {
    Ok(None)
}

async fn wake(
    context: &Context,
    _caller: &Caller,
    params: WakeParams,
) -> Result<WakeReply, MethodError> {
    let queued = context
        .store
        .write(move |tx| {
            let now = WallTime::now();
            let queued = system_events::wake(tx, now, params.mode, &params.text)?;
            Ok::<_, StoreError>(queued)
        })
        .await?;
    match queued {
        Queued::Waits => Ok(WakeReply { ok: true }),
        Queued::Blank => Ok(WakeReply { ok: false }),
        Queued::TooLong => Err(MethodError::invalid(
            "invalid wake params: at /text: must NOT have more than 20000 characters",
        )),
        Queued::Full => Err(MethodError::unavailable(
            "too many notes wait for the main session; they are read when there are agent runs",
        )),
    }
}
