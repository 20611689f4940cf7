//! Puts the page of `/metrics` together: what was counted, and what is so at this moment.

use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::control::{ChildState, ConfigState};
use openclaw_shared::instance::VERSION;
use openclaw_shared::recovery::Rung;

use super::page::Page;
use super::{RunEnd, Turned, table};
use crate::context::Context;
use crate::phase::Phase;
use crate::services::cron;
use crate::services::cron::agenda;

const STATES: [ChildState; 8] = [
    ChildState::Starting,
    ChildState::Standby,
    ChildState::Active,
    ChildState::Draining,
    ChildState::Backoff,
    ChildState::Failed,
    ChildState::Disabled,
    ChildState::Stopped,
];

const CONFIG_STATES: [(ConfigState, &str); 4] = [
    (ConfigState::Ok, "ok"),
    (ConfigState::Degraded, "degraded"),
    (ConfigState::Rejected, "rejected"),
    (ConfigState::Pending, "pending"),
];

const RUNGS: [Rung; 10] = [
    Rung::Well,
    Rung::Restarted,
    Rung::Replaced,
    Rung::Discarded,
    Rung::Refused,
    Rung::BackingOff,
    Rung::GivenUp,
    Rung::RolledBack,
    Rung::LastGood,
    Rung::Stopped,
];

/// The page as of this moment.
pub(crate) fn page(context: &Context) -> String {
    let mut page = Page::default();
    process(context, &mut page);
    fleet(context, &mut page);
    clients(context, &mut page);
    runs(context, &mut page);
    store(context, &mut page);
    jobs(context, &mut page);
    nodes(context, &mut page);
    page.into_text()
}

/// Milliseconds since the epoch as the format likes time.
fn seconds(millis: u64) -> f64 {
    std::time::Duration::from_millis(millis).as_secs_f64()
}

fn process(context: &Context, page: &mut Page) {
    page.of(&table::BUILD_INFO).is(&[VERSION], true);
    let lived = Moment::now().since(context.started).as_millis();
    let born = WallTime::now()
        .as_millis()
        .saturating_sub(u64::try_from(lived).unwrap_or(u64::MAX));
    page.of(&table::START_TIME).is(&[], seconds(born));
    let serves = context.phases.get() == Phase::Active;
    page.of(&table::READY).is(&[], serves);
}

fn fleet(context: &Context, page: &mut Page) {
    let fleet = context.health(|health| health.fleet().clone());
    let children = &fleet.children;
    let mut family = page.of(&table::SUPERVISOR_MEMORY);
    if let Some(bytes) = fleet.memory_bytes {
        family.is(&[], bytes);
    }
    let mut family = page.of(&table::CHILD_STATE);
    for child in children {
        for state in STATES {
            let values = [child.name.as_str(), &state.to_string()];
            family.is(&values, child.state == state);
        }
    }
    let mut family = page.of(&table::CHILD_GENERATION);
    for child in children {
        family.is(&[child.name.as_str()], child.generation.0);
    }
    let mut family = page.of(&table::CHILD_RESTARTS);
    for child in children {
        family.is(&[child.name.as_str()], u64::from(child.restarts));
    }
    let mut family = page.of(&table::CHILD_MEMORY);
    for child in children {
        if let Some(bytes) = child.memory_bytes {
            family.is(&[child.name.as_str()], bytes);
        }
    }
    let mut family = page.of(&table::CHILD_MEMORY_LIMIT);
    for child in children {
        if let Some(bytes) = child.memory_limit_bytes {
            family.is(&[child.name.as_str()], bytes);
        }
    }
    let mut family = page.of(&table::CHILD_CPU);
    for child in children {
        if let Some(millis) = child.cpu_ms {
            family.is(&[child.name.as_str()], seconds(millis));
        }
    }
    let mut family = page.of(&table::CONFIG_STATE);
    for (state, name) in CONFIG_STATES {
        family.is(&[name], fleet.config.state == state);
    }
    let mut family = page.of(&table::RECOVERY);
    for rung in RUNGS {
        family.is(&[rung.as_str()], fleet.recovery.rung == rung);
    }
}

fn clients(context: &Context, page: &mut Page) {
    let (admitted, strangers) = context.hub.counts();
    let traffic = context.hub.traffic();
    page.of(&table::CLIENTS).is(&[], admitted);
    page.of(&table::STRANGERS).is(&[], strangers);
    page.of(&table::OPENED).is(&[], traffic.opened.get());
    let mut family = page.of(&table::TURNED);
    for why in Turned::ALL {
        family.is(&[why.as_str()], context.metrics.turned(why));
    }
    page.of(&table::SLOW_READERS)
        .is(&[], traffic.slow_readers.get());
    let mut family = page.of(&table::REQUESTS);
    for (method, tally) in context.routes().tallies() {
        for (outcome, count) in tally.outcomes() {
            family.is(&[method, outcome.as_str()], count);
        }
    }
    let mut family = page.of(&table::REQUEST_SECONDS);
    for (method, tally) in context.routes().tallies() {
        if tally.took.count() > 0 {
            family.took(&[method], &tally.took);
        }
    }
    page.of(&table::EVENTS).is(&[], traffic.events.get());
    page.of(&table::EVENTS_SKIPPED)
        .is(&[], traffic.skipped.get());
    let mut family = page.of(&table::HTTP);
    for (class, count) in context.metrics.http() {
        family.is(&[&format!("{class}xx")], count);
    }
}

fn runs(context: &Context, page: &mut Page) {
    let load = context.runs.load();
    let bounds = context.settings().runs.bounds;
    page.of(&table::RUNS_QUEUED).is(&[], load.waiting);
    page.of(&table::RUNS_ACTIVE)
        .is(&["main"], load.main)
        .is(&["subagent"], load.subagent);
    page.of(&table::RUNS_BOUND)
        .is(&["main"], bounds.main)
        .is(&["subagent"], bounds.subagent);
    page.of(&table::LANES).is(&[], load.lanes);
    let tally = &context.metrics.runs;
    let mut family = page.of(&table::RUNS);
    for how in RunEnd::ALL {
        family.is(&[how.as_str()], tally.ends(how));
    }
    page.of(&table::RUN_SECONDS).took(&[], &tally.took);
    page.of(&table::TOKENS)
        .is(&["input"], tally.input.get())
        .is(&["output"], tally.output.get())
        .is(&["cache_read"], tally.cache_read.get())
        .is(&["cache_write"], tally.cache_write.get());
}

fn store(context: &Context, page: &mut Page) {
    let store = &context.store;
    let tally = store.commits();
    page.of(&table::STORE_OPEN).is(&[], store.is_open());
    page.of(&table::COMMITS).took(&[], &tally.took);
    page.of(&table::COMMITS_FAILED).is(&[], tally.failed.get());
    page.of(&table::WRITES).is(&[], tally.writes.get());
    page.of(&table::WRITES_WAITING).is(&[], store.waiting());
    let mut family = page.of(&table::STORE_BYTES);
    for (file, bytes) in store.bytes() {
        family.is(&[file], bytes);
    }
}

fn jobs(context: &Context, page: &mut Page) {
    // While the store cannot be read nobody knows; then the numbers are absent, and `openclaw_store_open` says why.
    let jobs = context.store.read(cron::count).ok();
    let mut family = page.of(&table::CRON_JOBS);
    if let Some(jobs) = jobs {
        family.is(&[], jobs);
    }
    let tally = &context.metrics.jobs;
    page.of(&table::CRON_RUNS)
        .is(&["ok"], tally.ok.get())
        .is(&["error"], tally.error.get())
        .is(&["skipped"], tally.skipped.get());
    let next = context.store.read(agenda::next_wake).ok().flatten();
    let mut family = page.of(&table::CRON_NEXT);
    if let Some(next) = next {
        family.is(&[], seconds(next));
    }
}

fn nodes(context: &Context, page: &mut Page) {
    let connected = context.nodes(|nodes| nodes.count());
    page.of(&table::NODES).is(&[], connected);
    let pending = context.invokes(|invokes| invokes.pending());
    page.of(&table::INVOKES).is(&[], pending);
}

#[cfg(test)]
mod tests {
    use super::super::table::ALL;
    use super::page;
    use crate::testing::Gateway;

    #[tokio::test(flavor = "local")]
    async fn the_page_tells_of_everything_in_the_table_in_its_order() {
        let gateway = Gateway::start().await;
        let page = page(&gateway.context);
        let told: Vec<&str> = page
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .filter_map(|rest| rest.split(' ').next())
            .collect();
        let names: Vec<&str> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(told, names);
    }
}
