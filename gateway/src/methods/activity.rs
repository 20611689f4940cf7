//! `activity`: what this process is doing, for a person who watches it.

use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::protocol::method::system::ActivityNow;
use openclaw_shared::protocol::params::activity::{
    Activity, ActivityParams, MethodActivity, QueueActivity,
};

use super::{MethodError, Routes};
use crate::connection::Caller;
use crate::context::Context;

/// Runs that are listed at most.
const MOST_RUNS: usize = 1_000;

pub(super) fn register(routes: Routes) -> Routes {
    routes.on(ActivityNow, activity)
}

async fn activity(
    context: &Context,
    _caller: &Caller,
    _params: ActivityParams,
) -> Result<Activity, MethodError> {
    let (clients, strangers) = context.hub.counts();
    let traffic = context.hub.traffic();
    let uptime = Moment::now().since(context.started).as_millis();
    let requests = context.routes().tallies().filter_map(|(method, tally)| {
        let answered = tally.took.count();
        let well = tally
            .outcomes()
            .find(|(outcome, _)| outcome.as_str() == "ok");
        let failed = answered.saturating_sub(well.map_or(0, |(_, count)| count));
        (answered > 0).then(|| MethodActivity {
            method: method.to_owned(),
            answered,
            failed,
            took_ms: tally.took.sum_seconds() * 1_000.0,
        })
    });
    Ok(Activity {
        ts: WallTime::now().as_millis(),
        uptime_ms: u64::try_from(uptime).unwrap_or(u64::MAX),
        clients: clients as u64,
        unauthenticated: strangers as u64,
        nodes: context.nodes(|nodes| nodes.count()) as u64,
        events_sent: traffic.events.get(),
        slow_readers: traffic.slow_readers.get(),
        requests: requests.collect(),
        runs: context.runs.list(Moment::now(), MOST_RUNS),
        queues: queues(context),
    })
}

fn queues(context: &Context) -> Vec<QueueActivity> {
    let load = context.runs.load();
    let bounds = context.settings().runs.bounds;
    let queue = |name: &str, count: usize, limit: Option<usize>| QueueActivity {
        name: name.to_owned(),
        count: count as u64,
        limit: limit.map(|limit| limit as u64),
    };
    vec![
        queue("runs waiting", load.waiting, None),
        queue("runs", load.main, Some(bounds.main)),
        queue("runs of subagents", load.subagent, Some(bounds.subagent)),
        queue("sessions at work", load.lanes, None),
        queue("writes to the store", context.store.waiting(), None),
        queue(
            "requests to nodes",
            context.invokes(|invokes| invokes.pending()),
            None,
        ),
    ]
}
