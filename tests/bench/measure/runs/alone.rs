//! One run after another, each in a session of its own, with nobody else there.

use std::time::Duration;

use anyhow::Result;

use super::model::Model;
use super::{Seen, TIMES_PEER, one};
use crate::measure::open;
use crate::process::CpuMark;
use crate::results::{Goal, Metric, Results, Section};
use crate::stats::{ms, percentile};
use crate::subject::Prepared;

const RUNS: u32 = 40;

pub(super) async fn measure(
    prepared: &Prepared,
    root: i32,
    round: usize,
    model: &Model,
    results: &mut Results,
) -> Result<()> {
    let model_alone = model.alone().await?;
    let mut connection = open(&prepared.target, 1).await?.remove(0);
    let mark = CpuMark::set(root)?;
    let mut seen = Vec::new();
    for number in 0..RUNS {
        let name = format!("bench-{round}-alone-{number}");
        seen.push(one(&mut connection, &format!("agent:main:{name}"), &name).await?);
    }
    let cpu: Duration = mark.since(root)?.into_iter().map(|(_, taken)| taken).sum();
    let middle = |of: fn(&Seen) -> Duration| percentile(seen.iter().map(of).collect(), 500);
    let mut add = |name: &str, value: Option<Duration>, goal: bool| {
        if let Some(value) = value {
            let mut metric = Metric::lower(Section::Runs, name, "ms");
            if goal {
                metric = metric.goal(Goal::TimesPeer(TIMES_PEER));
            }
            results.add(metric, prepared.subject, ms(value));
        }
    };
    add("`agent` to `accepted`", middle(|it| it.accepted), false);
    add(
        "`agent` to the first delta",
        middle(|it| it.first_delta),
        false,
    );
    let finished = middle(|it| it.finished);
    add("`agent` to the final", finished, false);
    add("the stand-in by itself", Some(model_alone), false);
    add(
        "overhead of a run (final less the stand-in)",
        finished.map(|it| it.saturating_sub(model_alone)),
        true,
    );
    add("server CPU of a run", Some(cpu / RUNS), true);
    Ok(())
}
