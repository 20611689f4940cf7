//! Memory as runs go by.

use anyhow::Result;

use super::one;
use crate::measure::open;
use crate::options::Options;
use crate::output::grouped;
use crate::process::tree_megabytes;
use crate::results::{Goal, Metric, Results, Section};
use crate::stats::count;
use crate::subject::{Prepared, Subject};

/// After how many runs memory is looked at first.
const SETTLED_AFTER: usize = 500;
/// After how many runs another session goes on.
const OF_A_SESSION: usize = 50;
/// What may be more after all runs than after the first ones, in megabytes: caches that have not been full by then.
const GROWS_AT_MOST: f64 = 4.0;

pub(super) async fn measure(
    prepared: &Prepared,
    root: i32,
    options: &Options,
    results: &mut Results,
) -> Result<()> {
    let subject = prepared.subject;
    let runs = match subject {
        Subject::Ours => options.runs,
        Subject::Peer | Subject::Echo => options.peer_runs,
    };
    let settled_after = SETTLED_AFTER.min(options.runs / 2);
    let mut connection = open(&prepared.target, 1).await?.remove(0);
    let after = |done: usize| {
        Metric::lower(
            Section::Runs,
            format!("memory after {} runs, all processes", grouped(count(done))),
            "MB",
        )
    };
    let mut settled = None;
    for done in 0..runs {
        let session = format!("agent:main:memory-{}", done / OF_A_SESSION);
        one(&mut connection, &session, &format!("memory-{done}")).await?;
        if done + 1 == settled_after {
            let megabytes = tree_megabytes(root);
            settled = Some(megabytes);
            results.add(after(settled_after), subject, megabytes);
        }
    }
    if runs <= settled_after {
        return Ok(());
    }
    let megabytes = tree_megabytes(root);
    results.add(after(runs), subject, megabytes);
    if let Some(settled) = settled {
        let (from, to) = (grouped(count(settled_after)), grouped(count(runs)));
        let name = format!("memory from {from} to {to} runs: growth");
        results.add(
            Metric::lower(Section::Runs, name, "MB").goal(Goal::AtMost(GROWS_AT_MOST)),
            subject,
            megabytes - settled,
        );
    }
    Ok(())
}
