//! Runs of agents, with a stand-in for the provider of models that says 200 words as fast as it can: so all the time there is belongs to
//! the subject, but for what the stand-in needs itself, which is measured beside it.
//!
//! The peer fails some runs when many sessions are at work at once. Those are counted, and rates are of the others.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use openclaw_shared::clock::Moment;
use serde_json::json;
use tokio::time::timeout;

use super::{fail, open};
use crate::connection::Connection;
use crate::options::Options;
use crate::results::Results;
use crate::subject::Prepared;
use crate::wire::{self, Incoming};

mod alone;
mod lists;
mod memory;
mod model;
mod together;

use model::Model;

/// What the stand-in says.
const TOKENS: usize = 200;
/// Runs that are not counted: the first ones set things up that the later ones find.
const WARM_UP: usize = 5;
/// What ours should be better by.
const TIMES_PEER: f64 = 5.0;
/// How long a run may take.
const ANSWERED_WITHIN: Duration = Duration::from_secs(120);

/// What is measured of runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// One run after another
    Alone,
    /// Many sessions at once
    Together,
    /// Memory as runs go by; in the first round
    Memory,
    /// Very many sessions, and a very long conversation
    Lists,
}

/// A run, as a client sees it.
struct Seen {
    accepted: Duration,
    first_delta: Duration,
    finished: Duration,
}

/// What became of a run.
enum Run {
    Done(Seen),
    /// It was refused, or failed; what the subject says of it.
    Failed(String),
}

/// One run. Only an end of the connection, or one that never comes, is an error.
async fn run(connection: &mut Connection, session: &str, key: &str) -> Result<Run> {
    let answered = timeout(ANSWERED_WITHIN, follow(connection, session, key)).await;
    answered.context("a run was not answered in time")?
}

async fn follow(connection: &mut Connection, session: &str, key: &str) -> Result<Run> {
    let params = json!({"message": "hi", "sessionKey": session, "idempotencyKey": key});
    let request = wire::request(7, "agent", &params.to_string());
    let start = Moment::now();
    connection.write(&request).await?;
    let (mut accepted, mut first_delta) = (None, None);
    loop {
        while let Some((incoming, text)) = connection.next_text() {
            match incoming {
                Incoming::Answer { ok: true, .. } if accepted.is_none() => {
                    accepted = Some(Moment::now().since(start));
                }
                Incoming::Answer { ok: true, .. } => {
                    return Ok(Run::Done(Seen {
                        accepted: accepted.context("accepted first")?,
                        // Others may have said something first; whoever asked has seen something by now.
                        first_delta: first_delta.unwrap_or_else(|| Moment::now().since(start)),
                        finished: Moment::now().since(start),
                    }));
                }
                Incoming::Answer { ok: false, .. } => {
                    return Ok(Run::Failed(String::from_utf8_lossy(text).into_owned()));
                }
                Incoming::Closed(code) => bail!("closed with {code} in a run"),
                Incoming::Other if first_delta.is_none() && is_delta(text, key) => {
                    first_delta = Some(Moment::now().since(start));
                }
                Incoming::Other | Incoming::Hello => {}
            }
        }
        ensure!(connection.fill().await?, "cut off in a run");
    }
}

/// Whether an event tells what this run says.
fn is_delta(text: &[u8], key: &str) -> bool {
    text.starts_with(br#"{"type":"event","event":"agent""#)
        && has(text, br#""stream":"assistant""#)
        && has(text, key.as_bytes())
}

fn has(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// A run that must end well.
async fn one(connection: &mut Connection, session: &str, key: &str) -> Result<Seen> {
    match run(connection, session, key).await? {
        Run::Done(seen) => Ok(seen),
        Run::Failed(why) => bail!("a run failed: {why}"),
    }
}

pub(super) async fn measure(
    prepared: &Prepared,
    options: &Options,
    round: usize,
    results: &mut Results,
) {
    if let Err(error) = with_a_model(prepared, options, round, results).await {
        fail(results, prepared.subject, "runs", &error);
    }
    // What was configured for that does not concern what comes after it.
    if let Err(error) = prepared.configure(round) {
        fail(results, prepared.subject, "runs", &error);
    }
    if options.measures_runs(Part::Lists)
        && let Err(error) = lists::measure(prepared.subject, options, results).await
    {
        fail(results, prepared.subject, "long lists", &error);
    }
}

async fn with_a_model(
    prepared: &Prepared,
    options: &Options,
    round: usize,
    results: &mut Results,
) -> Result<()> {
    let with_memory = options.measures_runs(Part::Memory) && round == 1;
    let (with_alone, with_together) = (
        options.measures_runs(Part::Alone),
        options.measures_runs(Part::Together),
    );
    if !(with_alone || with_together || with_memory) {
        return Ok(());
    }
    let model = Model::start(&options.programs())?;
    prepared.configure_with(round, &model.configuration())?;
    let mut running = prepared.launch()?;
    drop(running.first_hello().await?);
    let (subject, root) = (prepared.subject, running.root());
    let mut connection = open(&prepared.target, 1).await?.remove(0);
    for number in 0..WARM_UP {
        let name = format!("bench-{round}-warm-{number}");
        one(&mut connection, &format!("agent:main:{name}"), &name).await?;
    }
    drop(connection);
    if with_alone {
        alone::measure(prepared, root, round, &model, results).await?;
    }
    if with_together {
        for subscribers in together::SUBSCRIBERS {
            let measured = together::measure(prepared, root, round, subscribers, results).await;
            if let Err(error) = measured {
                fail(results, subject, "runs at once", &error);
            }
        }
    }
    if with_memory {
        memory::measure(prepared, root, options, results).await?;
    }
    Ok(())
}
