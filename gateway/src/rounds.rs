//! What happens by itself: ticks, refreshed health, the presence list, a look at every connection.
//!
//! Invariant: a flood of causes is one effect. However many clients come and go, presence and health go out at most once
//! per pause, and always once after the last cause.

use std::sync::Arc;
use std::time::Duration;

use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::memory;
use openclaw_shared::protocol::TICK_INTERVAL_MS;
use openclaw_shared::protocol::event::{Tick, TickPayload};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::approvals;
use crate::context::Context;
use crate::hooks;
use crate::limits::{
    DEPARTURES, DEVICES_INTERVAL, EXPIRY_INTERVAL, HEALTH_INTERVAL, SWEEP_INTERVAL,
};
use crate::nodes;
use crate::prepared::Prepared;
use crate::runs;
use crate::services::devices;
use crate::services::models::rests;
use crate::services::sessions::retention;

/// Between two presence events.
const PRESENCE_PAUSE: Duration = Duration::from_millis(200);
/// Between two health events.
const HEALTH_PAUSE: Duration = Duration::from_secs(1);

/// Between two looks for what has been kept for long enough.
const RETENTION_INTERVAL: Duration = Duration::from_secs(3600);
/// The same while there is more of it.
const RETENTION_PAUSE: Duration = Duration::from_secs(1);

/// Runs for as long as it is polled.
pub(crate) async fn run(context: &Arc<Context>) {
    tokio::join!(
        ticks(context),
        presence(context),
        health(context),
        care(context),
        devices(context),
        nodes::look_after(context),
        adoption(context),
        approvals::look_after(context),
        expiry(context),
        crate::cron::look_after(context),
        crate::heartbeat::look_after(context),
        retention(context),
        runs::look_after(context),
        rests::look_after(context),
        hooks::look_after(context),
        context.reception.call()
    );
}

async fn ticks(context: &Context) {
    let mut ticks = interval(Duration::from_millis(TICK_INTERVAL_MS));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first one is due at once, when nobody is there.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let tick = Prepared::new(&TickPayload {
            ts: WallTime::now().as_millis(),
        });
        context.hub.publish::<Tick>(&tick, context.state_version());
    }
}

async fn presence(context: &Context) {
    loop {
        context.presence_bell.notified().await;
        context.publish_presence();
        sleep(PRESENCE_PAUSE).await;
    }
}

async fn health(context: &Context) {
    loop {
        // Whichever comes first; both ask for the same.
        let _ = timeout(HEALTH_INTERVAL, context.health_bell.notified()).await;
        context.refresh_health();
        sleep(HEALTH_PAUSE).await;
        if context.hub.counts() == (0, 0) {
            memory::rest();
        }
    }
}

async fn care(context: &Context) {
    let mut sweeps = interval(SWEEP_INTERVAL);
    sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Moment::now();
    let mut gone = 0;
    loop {
        sweeps.tick().await;
        let now = Moment::now();
        context.hub.look_after(now.since(last));
        last = now;
        gone += context.hub.take_departed();
        if gone >= DEPARTURES {
            gone = 0;
            memory::give_back();
        }
    }
}

async fn devices(context: &Context) {
    loop {
        sleep(DEVICES_INTERVAL).await;
        devices::write_sightings(context).await;
    }
}

/// What waits for people is known as soon as it can be read.
async fn adoption(context: &Context) {
    context.store.opened().await;
    approvals::adopt(context);
}

async fn expiry(context: &Context) {
    loop {
        sleep(EXPIRY_INTERVAL).await;
        devices::expire(context).await;
        runs::forget(context).await;
        archive_tasks(context).await;
        if context.listings(|listings| listings.forget(Moment::now())) {
            memory::give_back();
        }
    }
}

/// The sessions of tasks that are over go when nobody has asked for them in a while.
async fn archive_tasks(context: &Context) {
    let Some(stay) = context.settings().agency.tasks_stay else {
        return;
    };
    let now = WallTime::now();
    let old = context
        .store
        .read(|reader| Ok(retention::old_tasks(reader, now, stay)))
        .and_then(|old| old);
    let archived = match old {
        Ok(old) if old.is_empty() => return,
        Ok(_) => {
            let archive = move |tx: &_| retention::archive_tasks(tx, now, stay);
            context.store.write(archive).await
        }
        Err(error) => Err(error),
    };
    match archived {
        Ok(archived) => tracing::info!(target: "runs", archived, "sessions of tasks are archived"),
        Err(error) => {
            tracing::warn!(target: "runs", %error, "sessions of tasks cannot be archived");
        }
    }
}

/// What has been kept for long enough goes, a little at a time.
async fn retention(context: &Context) {
    context.store.opened().await;
    loop {
        let swept = context
            .store
            .write(|tx| retention::sweep(tx, WallTime::now()))
            .await;
        let pause = match swept {
            Ok(true) => RETENTION_PAUSE,
            Ok(false) => RETENTION_INTERVAL,
            Err(error) => {
                tracing::warn!(target: "store", %error, "what is old could not be removed");
                RETENTION_INTERVAL
            }
        };
        sleep(pause).await;
    }
}
