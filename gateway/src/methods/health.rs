//! `health` and `status`.

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::health::{
    HealthParams, HealthSummary, StatusParams, StatusSummary,
};

use super::MethodError;
use crate::connection::Caller;
use crate::context::Context;
use crate::prepared::Prepared;
use crate::services::health::Health;

pub(super) async fn health(
    context: &Context,
    _caller: &Caller,
    params: HealthParams,
) -> Result<Prepared<HealthSummary>, MethodError> {
    if params.probe == Some(true) {
        context.health(Health::look_again);
        context.health_is_stale();
    }
    Ok(context.health(|health| health.summary(WallTime::now())))
}

pub(super) async fn status(
    context: &Context,
    _caller: &Caller,
    _params: StatusParams,
) -> Result<Prepared<StatusSummary>, MethodError> {
    Ok(context.health(Health::status))
}
