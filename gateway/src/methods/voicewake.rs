//! The words that wake an assistant that listens.

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::event::VoicewakeChanged;
use openclaw_shared::protocol::method::voicewake::{VoicewakeGet, VoicewakeSet};
use openclaw_shared::protocol::params::voicewake::{
    VoicewakeGetParams, VoicewakeSetParams, VoicewakeTriggers,
};

use super::{MethodError, Routes};
use crate::connection::Caller;
use crate::context::Context;
use crate::prepared::Prepared;
use crate::services::voicewake;

pub(super) fn register(routes: Routes) -> Routes {
    routes.on(VoicewakeGet, get).on_errand(VoicewakeSet, set)
}

async fn get(
    context: &Context,
    _caller: &Caller,
    _params: VoicewakeGetParams,
) -> Result<VoicewakeTriggers, MethodError> {
    Ok(context.voicewake_triggers()?)
}

async fn set(
    context: &Context,
    _caller: &Caller,
    params: VoicewakeSetParams,
) -> Result<Prepared<VoicewakeTriggers>, MethodError> {
    let triggers = voicewake::usable(params.triggers.as_ref())
        .ok_or_else(|| MethodError::invalid("voicewake.set requires triggers: string[]"))?;
    let triggers = context
        .store
        .write(move |tx| {
            voicewake::write(tx, WallTime::now(), &triggers)?;
            Ok::<_, crate::store::StoreError>(triggers)
        })
        .await?;
    let reply = Prepared::new(&VoicewakeTriggers { triggers });
    context
        .hub
        .publish::<VoicewakeChanged>(&reply, context.state_version());
    Ok(reply)
}
