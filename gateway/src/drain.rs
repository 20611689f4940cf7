//! Leaving without cutting anybody off.
//!
//! Order: stop accepting (the successor accepts from the same sockets), finish the upgrades that were accepted, tell every
//! client, answer what was read, close with 1012, and read on until each client has seen it. Whoever comes through a late
//! upgrade, by a secret that still counts, gets its hello and the same goodbye. Errands whose clients have left are finished too.
//!
//! What a node is asked was read, too: a life that is replaced keeps the connections of nodes that are at work until they have
//! answered, because an answer counts on that connection alone. When the budget is nearly over, or nobody comes after this life,
//! whoever waits is told that the outcome is unknown. In the latter case the nodes are told that they may stop.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use openclaw_shared::control::{Drain, StopReason};
use openclaw_shared::protocol::event::ShutdownPayload;
use openclaw_shared::serve::{Drained, Server};
use tokio::time::{sleep, timeout};

use crate::approvals;
use crate::connection::handshake::close_code;
use crate::connection::link::SERVICE_RESTART;
use crate::context::Context;
use crate::http::mounts::Mounts;
use crate::limits::{LINGER, STRANGERS_GRACE};
use crate::nodes;
use crate::phase::Phase;
use crate::prepared::Prepared;
use crate::runs;
use crate::toolbox;

/// How long a stop waits for sockets that were accepted and have not asked for anything.
const LATECOMERS: Duration = Duration::from_secs(1);

/// What is left of the budget, when nodes and models are not waited for any more, to keep and send what those who wait are told
/// instead.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Drains within the budget.
pub(crate) async fn drain(
    context: &Arc<Context>,
    server: Server,
    mounts: Option<Mounts>,
    order: &Drain,
    budget: Duration,
) {
    tracing::info!(target: "gateway", reason = ?order.reason, "gateway drains");
    context.phases.set(Phase::Draining);
    let settle = budget.saturating_sub(LINGER);
    let (latecomers, patience) = match order.reason {
        StopReason::Replaced => (settle, settle.saturating_sub(LAST_ANSWERS)),
        // Nobody is served any more, so a socket that has not said anything yet is not waited for, and a node may be at work for
        // much longer than a stop may take.
        StopReason::Stop | StopReason::Disabled => {
            nodes::stop(context);
            runs::stop_all(context, runs::SHUTDOWN);
            (settle.min(LATECOMERS), Duration::ZERO)
        }
    };
    let at_work = nodes::close(context);
    context
        .hub
        .send_away(farewell(order), context.state_version(), &at_work);
    approvals::close(context);
    runs::close(context);
    let settled = async {
        // Upgrades reach the hub before the server counts them as finished, so nobody is overlooked in between.
        let doors = async {
            let drained = server.drain(latecomers).await;
            context.hub.emptied().await;
            context.errands.settled().await;
            drained
        };
        let runs = async {
            // Within the budget, too: a store that does not answer is no reason to stay.
            runs::release(context).await;
            runs::finished(context).await;
            runs::depart(context).await;
            toolbox::standard::end(context);
        };
        tokio::join!(doors, close(mounts), nodes_answer(context, patience), runs).0
    };
    let settled = async {
        tokio::select! {
            drained = settled => drained,
            never = dismiss_strangers(context) => match never {},
            never = say_last_words(context, patience) => match never {},
        }
    };
    if let Ok(Drained { cut }) = timeout(settle, settled).await {
        tracing::info!(target: "gateway", cut, "gateway drained");
        return;
    }
    let (clients, strangers) = context.hub.counts();
    tracing::warn!(target: "gateway", clients, strangers, "cut off what did not leave in time");
    context.hub.cut_off(close_code::RESTART, SERVICE_RESTART);
    let last = async {
        context.hub.emptied().await;
        context.errands.settled().await;
    };
    // The exit ends whatever is left after this.
    let _ = timeout(LINGER, last).await;
}

/// Waits until nodes have answered, and for as long as may be; then until all that is kept.
async fn nodes_answer(context: &Context, patience: Duration) {
    if timeout(patience, nodes::finished(context)).await.is_err() {
        tracing::info!(target: "gateway", "nodes that are at work are not waited for any longer");
        nodes::give_up(context);
        nodes::finished(context).await;
    }
}

/// Closes, again and again, the sockets that were upgraded and on which nobody says who it is.
async fn dismiss_strangers(context: &Context) -> Infallible {
    loop {
        sleep(STRANGERS_GRACE).await;
        context
            .hub
            .dismiss_strangers(close_code::RESTART, SERVICE_RESTART);
    }
}

/// Tells who waits for the answer to an HTTP request that there will be none. Clients on a WebSocket hear of the rest from the
/// successor; these can hear it only here.
async fn say_last_words(context: &Context, patience: Duration) -> Infallible {
    sleep(patience).await;
    context.last_words.send_replace(true);
    pending().await
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
