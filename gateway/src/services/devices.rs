//! Which devices are known, what each was approved for, and what waits for approval: the one truth behind `device.pair.*`,
//! `node.pair.*` and the handshake.
//!
//! What is decided is decided by pure functions ([`standing`], [`pending`], [`record`]) on what a transaction reads ([`keep`]),
//! and each change is one transaction ([`pair`]). Nothing is kept in memory but how a device was last seen ([`sightings`]).
//!
//! Invariant: an approval covers one key, one role and the scopes that were asked for, and is never widened without another one.

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::event::{
    DevicePairRequested, DevicePairResolved, NodePairRequested, NodePairResolved,
};
use openclaw_shared::protocol::params::devices::{
    DevicePairResolvedPayload, NodePairResolvedPayload,
};
use openclaw_shared::protocol::scope::Role;

use crate::context::Context;
use crate::prepared::Prepared;
use crate::store::StoreError;

pub(crate) mod done;
pub(crate) mod keep;
pub(crate) mod node;
pub(crate) mod pair;
pub(crate) mod pending;
pub(crate) mod platform;
pub(crate) mod record;
pub(crate) mod scopes;
pub(crate) mod sightings;
pub(crate) mod standing;
pub(crate) mod view;

pub(crate) use node::{NodeFacts, PairedNode, note_node, paired_node, paired_nodes};

use done::{Announcement, Done};
use pair::PairError;

/// Does what follows from a change that is durable: ends the connections that what they came in by no longer speaks for, and
/// tells those who may pair.
pub(crate) fn finish<T>(context: &Context, done: Done<T>) -> T {
    for ended in &done.ended {
        context
            .hub
            .revoke(ended.why, |admitted| ended.names(admitted));
    }
    announce(context, done.announcements);
    done.value
}

fn announce(context: &Context, announcements: Vec<Announcement>) {
    let version = context.state_version();
    for announcement in announcements {
        match announcement {
            Announcement::Requested(request) => {
                if let Some(device) = view::pending_device(&request) {
                    let payload = Prepared::new(&device);
                    context
                        .hub
                        .publish::<DevicePairRequested>(&payload, version);
                }
                if request.role == Role::Node {
                    let payload = Prepared::new(&view::pending_node(&request));
                    context.hub.publish::<NodePairRequested>(&payload, version);
                }
            }
            Announcement::Resolved {
                request,
                device,
                role,
                decision,
                at,
            } => {
                if role == Role::Node {
                    let payload = Prepared::new(&NodePairResolvedPayload {
                        request_id: request.clone(),
                        node_id: device.clone(),
                        decision,
                        ts: at.as_millis(),
                    });
                    context.hub.publish::<NodePairResolved>(&payload, version);
                }
                let payload = Prepared::new(&DevicePairResolvedPayload {
                    request_id: request,
                    device_id: device,
                    decision,
                    ts: at.as_millis(),
                });
                context.hub.publish::<DevicePairResolved>(&payload, version);
            }
        }
    }
}

/// Drops the requests that nobody has decided in time, and tells of it.
pub(crate) async fn expire(context: &Context) {
    let now = WallTime::now();
    let is_due = context
        .store
        .read(keep::requests)
        .is_ok_and(|requests| requests.iter().any(|request| request.has_expired(now)));
    if !is_due {
        return;
    }
    match context.store.write(move |tx| pair::expire(tx, now)).await {
        Ok(done) => finish(context, done),
        // The next round tries again; until then nobody can approve them.
        Err(error) => {
            tracing::debug!(target: "gateway/devices", %error, "expired requests stay for now")
        }
    }
}

/// Writes down how devices were last seen.
pub(crate) async fn write_sightings(context: &Context) {
    let fresh = context.sightings(sightings::Sightings::take);
    if fresh.is_empty() {
        return;
    }
    let now = WallTime::now();
    let written = context.store.write(move |tx| {
        for (id, sighting) in &fresh {
            if let Some(mut stored) = keep::device(tx, id)? {
                stored.sighting.renew(sighting);
                keep::see(tx, id, &stored.sighting, now)?;
            }
        }
        Ok::<_, PairError>(())
    });
    if let Err(error) = written.await {
        tracing::debug!(target: "gateway/devices", %error, "how devices were last seen is not written down");
    }
}

/// Everything `device.pair.list` and `node.pair.list` are made of: what waits, the oldest first, and who is approved.
pub(crate) fn all(
    context: &Context,
    now: WallTime,
) -> Result<(Vec<pending::Request>, Vec<keep::Stored>), StoreError> {
    let (mut requests, mut stored) = context
        .store
        .read(|reader| Ok((keep::requests(reader)?, keep::devices(reader)?)))?;
    requests.retain(|request| !request.has_expired(now));
    context.sightings(|sightings| {
        stored
            .iter_mut()
            .for_each(|stored| sightings.complete(stored))
    });
    Ok((requests, stored))
}

#[cfg(test)]
mod tests;
