//! From TCP connect to `hello-ok`: one client after the other, and many at once, with what each then costs in memory.

use std::time::Duration;

use anyhow::{Result, anyhow};
use openclaw_shared::clock::Moment;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::GIVEN_BACK_WITHIN;
use crate::connection::{Connection, Target};
use crate::process::{CpuMark, tree_megabytes};
use crate::results::{Goal, Metric, Results, Section};
use crate::stats::{count, ms, percentile};
use crate::subject::{Prepared, Running, Subject};

/// Enough for a just-in-time compiler to have seen the path.
const WARM_UP: usize = 50;
const ONE_AFTER_ANOTHER: usize = 300;
const AT_ONCE: [usize; 2] = [200, 1000];
/// What follows a hello by itself (presence, health) has been sent by then.
const SETTLE: Duration = Duration::from_secs(1);

pub(super) async fn measure(prepared: &Prepared, results: &mut Results) -> Result<()> {
    let mut running = prepared.launch()?;
    running.first_hello().await?;
    one_after_another(&running, prepared, results).await?;
    for clients in AT_ONCE {
        at_once(clients, &running, prepared, results).await;
    }
    Ok(())
}

async fn one_after_another(
    running: &Running<'_>,
    prepared: &Prepared,
    results: &mut Results,
) -> Result<()> {
    connect(&prepared.target, WARM_UP).await?;
    let mark = CpuMark::set(running.root())?;
    let took = connect(&prepared.target, ONE_AFTER_ANOTHER).await?;
    let cpu: Duration = mark
        .since(running.root())?
        .into_iter()
        .map(|(_, taken)| taken)
        .sum();
    let row =
        |what: &str| Metric::lower(Section::Connect, format!("one after another: {what}"), "ms");
    for (name, per_mille) in [("p50", 500), ("p99", 990)] {
        if let Some(time) = percentile(took.clone(), per_mille) {
            let metric = if per_mille == 500 {
                row(name).goal(Goal::TimesPeer(4.0))
            } else {
                row(name)
            };
            results.add(metric, prepared.subject, ms(time));
        }
    }
    results.add(
        row("server CPU each").goal(Goal::TimesPeer(4.0)),
        prepared.subject,
        ms(cpu) / count(ONE_AFTER_ANOTHER),
    );
    Ok(())
}

async fn connect(target: &Target, times: usize) -> Result<Vec<Duration>> {
    let mut took = Vec::with_capacity(times);
    for _ in 0..times {
        let start = Moment::now();
        let connection = Connection::open(target).await;
        took.push(Moment::now().since(start));
        drop(connection.map_err(|reason| anyhow!("no connection: {reason:?}"))?);
    }
    Ok(took)
}

async fn at_once(
    clients: usize,
    running: &Running<'_>,
    prepared: &Prepared,
    results: &mut Results,
) {
    // What the connects before left behind is settled.
    sleep(SETTLE).await;
    let before = tree_megabytes(running.root());
    let mut tasks = JoinSet::new();
    let start = Moment::now();
    for _ in 0..clients {
        let target = prepared.target.clone();
        tasks.spawn_local(async move { Connection::open(&target).await });
    }
    let opened = tasks.join_all().await;
    let took = Moment::now().since(start);
    let open: Vec<Connection> = opened.into_iter().filter_map(Result::ok).collect();
    // They read what comes by itself, as clients do.
    let reading = keep_reading(open);
    sleep(SETTLE).await;
    let with_all = tree_megabytes(running.root());
    let still_open = reading.len();
    drop(reading);
    sleep(GIVEN_BACK_WITHIN).await;
    let after = tree_megabytes(running.root());

    let row = |what: &str, unit| {
        Metric::lower(Section::Connect, format!("{clients} at once: {what}"), unit)
    };
    let subject = prepared.subject;
    results.add(
        row("all have hello", "ms").goal(Goal::TimesPeer(4.0)),
        subject,
        ms(took),
    );
    results.add(
        row("failed", "").goal(Goal::Never),
        subject,
        count(clients - still_open),
    );
    let each = (with_all - before) * 1000.0 / count(clients);
    results.add(
        row("memory each", "KB").goal(Goal::AtMost(30.0)),
        subject,
        each,
    );
    let mut kept = row("memory kept after they left", "MB");
    if prepared.subject == Subject::Ours {
        kept = kept.goal(Goal::AtMost(super::KEPT_AT_MOST));
    }
    results.add(kept, subject, after - before);
}

/// Reads and throws away what comes until dropped.
fn keep_reading(connections: Vec<Connection>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for mut connection in connections {
        tasks.spawn_local(async move {
            while connection.fill().await.unwrap_or(false) {
                while connection.next().is_some() {}
            }
        });
    }
    tasks
}
