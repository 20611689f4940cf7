//! `talk.mode`: whether people talk, told to everybody.

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::connect::ClientMode;
use openclaw_shared::protocol::event;
use openclaw_shared::protocol::method::speech::TalkMode;
use openclaw_shared::protocol::params::speech::{TalkModeParams, TalkModePayload};

use super::{MethodError, Routes};
use crate::connection::Caller;
use crate::context::Context;
use crate::prepared::Prepared;

pub(super) fn register(routes: Routes) -> Routes {
    routes.on(TalkMode, talk_mode)
}

/// The event and the answer are the same value.
async fn talk_mode(
    context: &Context,
    caller: &Caller,
    params: TalkModeParams,
) -> Result<Prepared<TalkModePayload>, MethodError> {
    if caller.client.mode == ClientMode::Webchat && !context.nodes(|nodes| nodes.has_phone()) {
        return Err(MethodError::unavailable(
            "talk disabled: no connected iOS/Android nodes",
        ));
    }
    let payload = Prepared::new(&TalkModePayload {
        enabled: params.enabled,
        phase: params.phase,
        ts: WallTime::now().as_millis(),
    });
    context
        .hub
        .publish::<event::TalkMode>(&payload, context.state_version());
    Ok(payload)
}
