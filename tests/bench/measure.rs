//! The measurements, one file each, and the order in which they are taken.
//!
//! Whatever can be measured on one life of a subject is measured in rounds: every subject in turn is launched, measured
//! and ended, and then the next round begins. Slow changes of the machine thus meet all subjects alike, and every median
//! is one over separate launches.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use openclaw_shared::clock::Moment;

use crate::connection::{Connection, Target};
use crate::options::Options;
use crate::output;
use crate::results::Results;
use crate::stats::ms;
use crate::subject::{Prepared, Subject};

mod connect;
mod durable;
mod fanout;
mod flood;
mod idle;
mod kill;
mod rate;
mod replace;
mod runs;
mod startup;
mod stopped;

pub(crate) use runs::Part as RunsPart;

/// How long the memory of clients that left may take to be given back.
const GIVEN_BACK_WITHIN: Duration = Duration::from_millis(2500);
/// What may be left of it, in megabytes: the free pages that any allocator keeps between those in use.
const KEPT_AT_MOST: f64 = 2.0;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Measurement {
    /// Spawn to the first hello-ok
    Startup,
    /// Memory when idle, per process
    Memory,
    /// Processor time when idle
    IdleCpu,
    /// Requests a second and processor time for each
    Rate,
    /// Connects, one after another and many at once, with their memory
    Connect,
    /// One event to many clients
    Fanout,
    /// Writes that are on the disk before they are acknowledged
    Durable,
    /// Clients that stop reading while large events go round
    Stopped,
    /// Floods of silent sockets and of garbage
    Flood,
    /// Runs of agents, with a stand-in for models
    Runs,
    /// kill -9 of each child under load
    Kill,
    /// Restarts and configuration changes under load
    Replace,
}

/// Takes all measurements that the options ask for. A subject that fails one is noted, and the others go on.
pub(crate) async fn all(options: &Options) -> Results {
    let mut results = Results::default();
    let mut prepared = Vec::new();
    for subject in options.subjects() {
        match Prepared::new(subject, &options.programs()).context("cannot prepare") {
            Ok(one) => prepared.push(one),
            Err(error) => fail(&mut results, subject, "prepare", &error),
        }
    }
    for one in &prepared {
        // The first launch on a fresh home sets things up that later ones find; it is shown, not compared.
        if let Err(error) = first_launch(one).await {
            fail(&mut results, one.subject, "first launch", &error);
        }
    }
    if options.measures_lives() {
        for round in 1..=options.rounds {
            for one in &prepared {
                output::progress(&format!(
                    "round {round} of {}: {}",
                    options.rounds,
                    one.subject.name()
                ));
                if let Err(error) = life(one, options, &mut results).await {
                    fail(&mut results, one.subject, "round", &error);
                }
                lives_of_their_own(one, options, round, &mut results).await;
            }
        }
    }
    for one in prepared
        .iter()
        .filter(|one| one.subject.speaks_the_protocol())
    {
        if options.measures(Measurement::Kill)
            && let Err(error) = kill::measure(one, options, &mut results).await
        {
            fail(&mut results, one.subject, "kill", &error);
        }
        if options.measures(Measurement::Replace)
            && let Err(error) = replace::measure(one, options, &mut results).await
        {
            fail(&mut results, one.subject, "replace", &error);
        }
    }
    results
}

async fn first_launch(prepared: &Prepared) -> Result<()> {
    let start = Moment::now();
    let mut running = prepared.launch()?;
    running.first_hello().await?;
    let took = ms(Moment::now().since(start));
    output::progress(&format!(
        "{}: first hello on a fresh home after {took:.1} ms",
        prepared.subject.name()
    ));
    Ok(())
}

/// One life of a subject, with everything that is measured in rounds.
async fn life(prepared: &Prepared, options: &Options, results: &mut Results) -> Result<()> {
    let running = startup::measure(prepared, options, results).await?;
    if options.measures(Measurement::Memory) || options.measures(Measurement::IdleCpu) {
        tokio::time::sleep(options.settle()).await;
    }
    if options.measures(Measurement::Memory) {
        idle::memory(&running, prepared.subject, results)?;
    }
    if options.measures(Measurement::IdleCpu) {
        idle::cpu(&running, prepared.subject, options, results).await?;
    }
    if options.measures(Measurement::Rate) {
        rate::measure(&running, prepared, options, results).await?;
    }
    if options.measures(Measurement::Fanout) {
        fanout::measure(&running, prepared, options, results).await?;
    }
    if options.measures(Measurement::Durable) && prepared.subject.speaks_the_protocol() {
        durable::measure(prepared, options, results).await?;
    }
    Ok(())
}

/// What is measured on fresh launches, because it looks at memory that other measurements would have touched.
async fn lives_of_their_own(
    prepared: &Prepared,
    options: &Options,
    round: usize,
    results: &mut Results,
) {
    if options.measures(Measurement::Connect)
        && let Err(error) = connect::measure(prepared, results).await
    {
        fail(results, prepared.subject, "connect", &error);
    }
    // The echo has no limits that could be seen to hold.
    if !prepared.subject.speaks_the_protocol() {
        return;
    }
    if options.measures(Measurement::Stopped)
        && let Err(error) = stopped::measure(prepared, results).await
    {
        fail(results, prepared.subject, "stopped", &error);
    }
    if options.measures(Measurement::Flood)
        && let Err(error) = flood::measure(prepared, results).await
    {
        fail(results, prepared.subject, "flood", &error);
    }
    if options.measures(Measurement::Runs) {
        runs::measure(prepared, options, round, results).await;
    }
}

async fn open(target: &Target, connections: usize) -> Result<Vec<Connection>> {
    let mut open = Vec::new();
    for _ in 0..connections {
        let connection = Connection::open(target).await;
        open.push(connection.map_err(|reason| anyhow!("no connection: {reason:?}"))?);
    }
    Ok(open)
}

/// Whether a subject answers this request with success.
async fn knows(target: &Target, request: &[u8]) -> Result<bool> {
    let mut connection = open(target, 1).await?.remove(0);
    connection.ask(request).await.context("no answer")
}

/// Notes, once, that a subject does not answer a method.
fn missing(results: &mut Results, subject: Subject, method: &str) {
    let text = format!("{}: missing: {method}", subject.name());
    if !results.failures.contains(&text) {
        results.failures.push(text);
    }
}

fn fail(results: &mut Results, subject: Subject, what: &str, error: &anyhow::Error) {
    let text = format!("{}: {what}: {error:#}", subject.name());
    output::progress(&text);
    results.failures.push(text);
}
