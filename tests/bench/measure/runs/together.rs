//! Many sessions at work at once, while others watch.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result};
use openclaw_shared::clock::Moment;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Run, TIMES_PEER, TOKENS, has, run};
use crate::connection::Connection;
use crate::measure::open;
use crate::output;
use crate::process::CpuMark;
use crate::results::{Goal, Metric, Results, Section};
use crate::stats::{count, ms};
use crate::subject::Prepared;

/// Sessions that are at work at once, and how many runs each does.
pub(super) const SESSIONS: usize = 32;
const RUNS_OF_EACH: usize = 4;
/// Who watches, besides whoever asks.
pub(super) const SUBSCRIBERS: [usize; 2] = [1, 100];
/// How long watchers may still read when whoever asked has been answered.
const READ_WITHIN: Duration = Duration::from_secs(20);

/// What watchers have seen.
#[derive(Clone, Default)]
struct Shown {
    /// Whole answers, those of all watchers together.
    answers: Rc<Cell<usize>>,
}

/// Every session does its runs one after another, all sessions at once.
pub(super) async fn measure(
    prepared: &Prepared,
    root: i32,
    round: usize,
    subscribers: usize,
    results: &mut Results,
) -> Result<()> {
    let shown = Shown::default();
    let mut watching = JoinSet::new();
    for watcher in open(&prepared.target, subscribers).await? {
        watching.spawn_local(watch(watcher, shown.clone()));
    }
    let askers = open(&prepared.target, SESSIONS).await?;
    let mark = CpuMark::set(root)?;
    let start = Moment::now();
    let mut working = JoinSet::new();
    for (place, connection) in askers.into_iter().enumerate() {
        working.spawn_local(work(
            connection,
            format!("bench-{round}-{subscribers}-{place}"),
        ));
    }
    let (mut done, mut failed) = (0, 0);
    let mut why = None;
    while let Some(worked) = working.join_next().await {
        let worked = worked.context("a client panicked")?;
        done += worked.done;
        failed += RUNS_OF_EACH - worked.done;
        why = why.or(worked.why);
    }
    let elapsed = Moment::now().since(start);
    let all_shown = async {
        while shown.answers.get() < done * subscribers {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let all_shown = timeout(READ_WITHIN, all_shown).await.is_ok();
    let until_shown = Moment::now().since(start);
    let cpu: Duration = mark.since(root)?.into_iter().map(|(_, taken)| taken).sum();
    drop(watching);
    let name = match subscribers {
        1 => format!("{SESSIONS} sessions at once, 1 subscriber"),
        many => format!("{SESSIONS} sessions at once, {many} subscribers"),
    };
    if let Some(why) = why {
        let subject = prepared.subject.name();
        output::progress(&format!("{subject}: {name}: {failed} runs failed: {why}"));
    }
    let subject = prepared.subject;
    let mut add = |metric: Metric, value: f64| results.add(metric, subject, value);
    add(
        Metric::lower(Section::Runs, format!("{name}: failed runs"), "").goal(Goal::Never),
        count(failed),
    );
    if done == 0 {
        return Ok(());
    }
    let higher = |what: &str| Metric::higher(Section::Runs, format!("{name}: {what}"), "/s");
    add(higher("runs"), count(done) / elapsed.as_secs_f64());
    if all_shown {
        add(
            higher("tokens shown to each subscriber"),
            count(done * TOKENS) / until_shown.as_secs_f64(),
        );
    }
    // A run that fails takes processor time, too.
    add(
        Metric::lower(Section::Runs, format!("{name}: server CPU of a run"), "ms")
            .goal(Goal::TimesPeer(TIMES_PEER)),
        ms(cpu) / count(done + failed),
    );
    Ok(())
}

/// Reads whatever comes, and counts whole answers.
async fn watch(mut watcher: Connection, shown: Shown) {
    while watcher.fill().await.is_ok_and(|goes_on| goes_on) {
        while let Some((_, text)) = watcher.next_text() {
            if text.starts_with(br#"{"type":"event","event":"chat""#)
                && has(text, br#""state":"final","message":"#)
            {
                shown.answers.set(shown.answers.get() + 1);
            }
        }
    }
}

struct Worked {
    done: usize,
    why: Option<String>,
}

/// The runs of one session, one after another.
async fn work(mut connection: Connection, name: String) -> Worked {
    let session = format!("agent:main:{name}");
    let mut worked = Worked { done: 0, why: None };
    for number in 0..RUNS_OF_EACH {
        match run(&mut connection, &session, &format!("{name}-{number}")).await {
            Ok(Run::Done(_)) => worked.done += 1,
            Ok(Run::Failed(why)) => worked.why = Some(why),
            // What is left of them cannot be asked for on this connection.
            Err(error) => {
                worked.why = Some(format!("{error:#}"));
                break;
            }
        }
    }
    worked
}
