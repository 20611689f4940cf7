//! Leaving without cutting anybody off.
//!
//! Order: stop accepting (the successor accepts from the same sockets), finish the upgrades that were accepted, tell every
//! client, answer what was read, close with 1012, and read on until each client has seen it. Whoever comes through a late
//! upgrade gets its hello and the same goodbye.

use std::time::Duration;

use openclaw_shared::control::{Drain, StopReason};
use openclaw_shared::protocol::event::ShutdownPayload;
use openclaw_shared::serve::{Drained, Server};
use tokio::time::timeout;

use crate::connection::handshake::close_code;
use crate::connection::link::SERVICE_RESTART;
use crate::context::Context;
use crate::http::mounts::Mounts;
use crate::limits::LINGER;
use crate::phase::Phase;
use crate::prepared::Prepared;

/// Drains within the budget.
pub(crate) async fn drain(
    context: &Context,
    server: Server,
    mounts: Option<Mounts>,
    order: &Drain,
    budget: Duration,
) {
    tracing::info!(target: "gateway", reason = ?order.reason, "gateway drains");
    context.phases.set(Phase::Draining);
    context
        .hub
        .send_away(farewell(order), context.state_version());
    let settle = budget.saturating_sub(LINGER);
    let settled = async {
        let (drained, (), ()) =
            tokio::join!(server.drain(settle), context.hub.emptied(), close(mounts));
        drained
    };
    if let Ok(Drained { cut }) = timeout(settle, settled).await {
        tracing::info!(target: "gateway", cut, "gateway drained");
        return;
    }
    let (clients, strangers) = context.hub.counts();
    tracing::warn!(target: "gateway", clients, strangers, "cut off what did not leave in time");
    context.hub.cut_off(close_code::RESTART, SERVICE_RESTART);
    // The exit ends whatever is left after this.
    let _ = timeout(LINGER, context.hub.emptied()).await;
}

async fn close(mounts: Option<Mounts>) {
    if let Some(mounts) = mounts {
        mounts.close().await;
    }
}

fn farewell(order: &Drain) -> Prepared<ShutdownPayload> {
    let reason = match order.reason {
        StopReason::Stop | StopReason::Disabled => "gateway stopping",
        StopReason::Replaced => "gateway restarting",
    };
    Prepared::new(&ShutdownPayload {
        reason: reason.to_owned(),
        restart_expected_ms: order.restart_expected_ms,
    })
}
