//! How the messaging networks are.

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::method::channels::ChannelsStatus;
use openclaw_shared::protocol::params::channels::{ChannelsStatusParams, ChannelsStatusReply};

use super::{MethodError, Routes};
use crate::connection::Caller;
use crate::context::Context;
use crate::services::channels;

pub(super) fn register(routes: Routes) -> Routes {
    routes.on(ChannelsStatus, status)
}

/// No network is asked, because no channel is at work, so there is nothing to wait for.
async fn status(
    context: &Context,
    _caller: &Caller,
    _params: ChannelsStatusParams,
) -> Result<ChannelsStatusReply, MethodError> {
    let settings = context.settings();
    Ok(channels::status(
        &settings.catalog.channels,
        WallTime::now(),
    ))
}
