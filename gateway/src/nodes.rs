//! Nodes as they come and go, and the one who looks after what they were asked.
//!
//! What is decided is decided by [`services::nodes`](crate::services::nodes) and the store; this is the way between them, the
//! connections and the clock. How a node is asked is in [`asking`].

use std::collections::BTreeSet;
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::protocol::connect::ConnectParams;
use openclaw_shared::protocol::event::{Event as _, NodeInvokeCancel, VoicewakeChanged};
use openclaw_shared::protocol::params::nodes::NodeInvokeCancelPayload;
use tokio::time::{Instant, sleep_until};

use crate::connection::link::{Leave, Link, LinkId};
use crate::connection::notice::event_head;
use crate::context::Context;
use crate::prepared::Prepared;
use crate::services::devices;
use crate::services::nodes::Profile;
use crate::services::nodes::invokes::{Cancelled, Work};
use crate::services::voicewake;
use crate::store::StoreError;

mod asking;

pub(crate) use asking::{Hearing, Question, answer, ask, asker, invoke};

/// The reason that a node reads on the connection it has replaced.
const REPLACED: &str = "replaced by a newer connection";

/// A node has been let in.
pub(crate) fn arrive(
    context: &Context,
    link: &Arc<Link>,
    node: &Arc<str>,
    params: &ConnectParams,
    remote_ip: Option<String>,
) {
    let now = WallTime::now();
    let paired = context.store.read(|reader| devices::paired_node(reader, node)).unwrap_or_else(|error| {
        tracing::warn!(target: "gateway/nodes", %error, "what was paired cannot be read; the node is asked for nothing");
        None
    });
    let settings = context.settings();
    let profile = Profile::of(
        now,
        params,
        remote_ip,
        paired.as_ref(),
        &settings.node_commands,
    );
    let replaced = context.nodes(|nodes| nodes.enter(now, node, link.id, profile));
    if let Some(older) = replaced {
        context.invokes(|invokes| invokes.disconnect(older));
        if let Some(older) = context.hub.link(older) {
            older.leave(Leave::Revoked(REPLACED));
        }
    }
    // Whoever cannot read the words listens for those it knows.
    if let Ok(triggers) = context.store.read(voicewake::read) {
        let triggers = Prepared::new(&triggers);
        link.send(&event_head(VoicewakeChanged::NAME, triggers.json()));
    }
    context.nodes_bell.notify_one();
}

/// A connection of a node has ended.
pub(crate) fn depart(context: &Context, node: &str, link: LinkId) {
    context.nodes(|nodes| nodes.leave(WallTime::now(), node, link));
    context.invokes(|invokes| invokes.disconnect(link));
    context.nodes_bell.notify_one();
}

/// This life ends, and no node is asked anything new. The connections that stay, because their nodes have not answered yet.
#[must_use = "whoever must answer may not be sent away"]
pub(crate) fn close(context: &Context) -> BTreeSet<LinkId> {
    context.invokes(|invokes| invokes.close())
}

/// Nodes are not waited for any more: whoever waits is told at once, and the nodes go on.
pub(crate) fn give_up(context: &Context) {
    context.invokes(|invokes| invokes.give_up());
    context.nodes_bell.notify_one();
}

/// Nodes are not waited for any more: whoever waits is told at once, and the nodes may stop.
pub(crate) fn stop(context: &Context) {
    let cancelled = context.invokes(|invokes| {
        invokes.stop();
        invokes.take_cancelled()
    });
    // Here, because the connections may close before anything else has its turn.
    cancel(context, cancelled);
    context.nodes_bell.notify_one();
}

/// Resolves when nobody waits for a node, and every answer is kept and told.
pub(crate) async fn finished(context: &Context) {
    while !context.invokes(|invokes| invokes.is_idle()) {
        context.nodes_idle.notified().await;
    }
}

/// A piece of work that goes on beside the others.
type Chore<'a> = Pin<Box<dyn Future<Output = Done> + 'a>>;

/// What a piece of work was.
enum Done {
    Settled,
    Noted,
}

/// Keeps and tells how it ended what nodes were asked, ends what is too late or cut off, and keeps what nodes said about themselves.
/// Runs for as long as it is polled.
///
/// It is done here and not by the connections it is for, because it has to be done to its end and they may end first.
pub(crate) async fn look_after(context: &Context) {
    let mut chores: FuturesUnordered<Chore<'_>> = FuturesUnordered::new();
    let mut is_noting = false;
    loop {
        let deadline = context.invokes(|invokes| invokes.next_deadline());
        tokio::select! {
            () = context.nodes_bell.notified() => {}
            () = until(deadline) => {}
            Some(done) = chores.next() => match done {
                Done::Settled => context.invokes(|invokes| invokes.settled()),
                Done::Noted => is_noting = false,
            },
        }
        let Work {
            over,
            cancelled,
            released,
        } = context.invokes(|invokes| {
            invokes.expire(Moment::now());
            invokes.take_work()
        });
        for over in over {
            chores.push(chore(asking::settle(context, over), Done::Settled));
        }
        cancel(context, cancelled);
        for link in released {
            if let Some(link) = context.hub.link(link) {
                link.leave(Leave::Restart);
            }
        }
        if !is_noting && context.nodes(|nodes| nodes.has_notes()) {
            is_noting = true;
            chores.push(chore(keep_notes(context), Done::Noted));
        }
        if context.invokes(|invokes| invokes.is_idle()) {
            context.nodes_idle.notify_one();
        }
    }
}

/// One that panics costs itself alone; the panic hook has said where.
fn chore<'a>(work: impl Future<Output = ()> + 'a, done: Done) -> Chore<'a> {
    Box::pin(AssertUnwindSafe(work).catch_unwind().map(|_| done))
}

/// Tells nodes that they may stop.
fn cancel(context: &Context, cancelled: Vec<Cancelled>) {
    for Cancelled { id, node, link } in cancelled {
        let node_id = node.to_string();
        let payload = Prepared::new(&NodeInvokeCancelPayload { id, node_id });
        // A node that has gone has nothing to stop.
        context.hub.send_to::<NodeInvokeCancel>(link, &payload);
    }
}

/// Sleeps until then, or for ever.
pub(crate) async fn until(deadline: Option<Moment>) {
    match deadline {
        Some(deadline) => sleep_until(Instant::from_std(deadline.into_std())).await,
        None => pending().await,
    }
}

async fn keep_notes(context: &Context) {
    let notes = context.nodes(|nodes| nodes.take_notes());
    let written: Result<(), StoreError> = context
        .store
        .write(move |tx| {
            for (node, facts) in &notes {
                devices::note_node(tx, node, facts)?;
            }
            Ok(())
        })
        .await;
    if let Err(error) = written {
        tracing::warn!(target: "gateway/nodes", %error, "what a node offers cannot be kept");
    }
}

#[cfg(test)]
mod tests;
