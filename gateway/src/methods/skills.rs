//! What agents can be taught.

use openclaw_shared::instance::Environment;
use openclaw_shared::protocol::method::skills::SkillsStatus;
use openclaw_shared::protocol::params::skills::{SkillsStatusParams, SkillsStatusReply};

use super::{MethodError, Routes};
use crate::connection::Caller;
use crate::context::Context;
use crate::prepared::Prepared;
use crate::services::skills::{self, Machine};

pub(super) fn register(routes: Routes) -> Routes {
    routes.on(SkillsStatus, status)
}

async fn status(
    context: &Context,
    _caller: &Caller,
    _params: SkillsStatusParams,
) -> Result<Prepared<SkillsStatusReply>, MethodError> {
    let (settings, instance) = (context.settings(), context.instance.clone());
    // Hundreds of files may be read; the others must not wait for that.
    let looked = tokio::task::spawn_blocking(move || {
        let environment = Environment::from_process();
        let machine = Machine::of(&environment);
        Prepared::new(&skills::status(&settings, &instance.identity, &machine))
    });
    looked
        .await
        .map_err(|_| MethodError::unavailable("internal error"))
}
