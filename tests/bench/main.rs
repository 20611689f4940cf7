//! The measurements of this project: the peer, this gateway and a bare echo, in turn, in one run.
//!
//! Never a timed test: it prints what it saw and leaves the judgement to the reader, except that it says which goals were
//! reached. Everything runs on one thread, the clients included, and talks to loopback only.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use serde_json::json;
use tokio::task::LocalSet;

mod affinity;
mod conditions;
mod connection;
mod healthy;
mod load;
mod measure;
mod options;
mod output;
mod priority;
mod probe;
mod process;
mod results;
mod stats;
mod subject;
mod wire;

use conditions::Conditions;
use options::Options;

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::progress(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let conditions = Conditions::read(options);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let results = LocalSet::new().block_on(&runtime, measure::all(options));
    output::table(&conditions, &results);
    if let Some(path) = &options.json {
        let text =
            serde_json::to_string_pretty(&json!({ "conditions": conditions, "results": results }))
                .context("cannot render the samples")?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
