//! The measurements, one file each, and the order in which they are taken.
//!
//! Whatever can be measured on one life of a subject is measured in rounds: every subject in turn is launched, measured
//! and ended, and then the next round begins. Slow changes of the machine thus meet all subjects alike, and every median
//! is one over separate launches.

use anyhow::{Context, Result};
use openclaw_shared::clock::Moment;

use crate::options::Options;
use crate::output;
use crate::results::Results;
use crate::stats::ms;
use crate::subject::{Prepared, Subject};

mod idle;
mod kill;
mod rate;
mod replace;
mod startup;

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
    Ok(())
}

fn fail(results: &mut Results, subject: Subject, what: &str, error: &anyhow::Error) {
    let text = format!("{}: {what}: {error:#}", subject.name());
    output::progress(&text);
    results.failures.push(text);
}
