//! `/healthz`: the process turns. `/readyz`: it may be trusted with traffic.

use http::StatusCode;
use warp::reply::Response as Reply;

use super::plain;
use crate::context::Context;
use crate::phase::Phase;

pub(super) fn live() -> Reply {
    plain(StatusCode::OK, "ok")
}

pub(super) fn ready(context: &Context) -> Reply {
    match context.phases.get() {
        Phase::Active => plain(StatusCode::OK, "ready"),
        Phase::Standby => plain(StatusCode::SERVICE_UNAVAILABLE, "standby"),
        Phase::Draining => plain(StatusCode::SERVICE_UNAVAILABLE, "draining"),
    }
}
