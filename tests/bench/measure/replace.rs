//! Restarts on request and by a change of configuration, many in a row under load: what the clients see of them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use openclaw_shared::clock::Moment;
use openclaw_tests::process::send;
use tokio::time::sleep;

use crate::load::Load;
use crate::load::tally;
use crate::options::Options;
use crate::output;
use crate::results::{Goal, Metric, Results, Section};
use crate::stats::{count, ms, percentile};
use crate::subject::{Prepared, RestartRequest, Running};

/// How long every client may take until it is served by the successor.
const SERVED_WITHIN: Duration = Duration::from_secs(20);
/// The load runs undisturbed for so long between two restarts.
const BETWEEN: Duration = Duration::from_millis(300);

#[derive(Clone, Copy)]
enum Cause {
    Request,
    ConfigChange,
}

impl Cause {
    fn name(self) -> &'static str {
        match self {
            Self::Request => "restart",
            Self::ConfigChange => "config change",
        }
    }
}

pub(super) async fn measure(
    prepared: &Prepared,
    options: &Options,
    results: &mut Results,
) -> Result<()> {
    for cause in [Cause::Request, Cause::ConfigChange] {
        output::progress(&format!(
            "{}: {} × {}",
            prepared.subject.name(),
            cause.name(),
            options.replacements
        ));
        series(prepared, cause, options, results)
            .await
            .with_context(|| cause.name().to_owned())?;
    }
    Ok(())
}

async fn series(
    prepared: &Prepared,
    cause: Cause,
    options: &Options,
    results: &mut Results,
) -> Result<()> {
    let mut running = prepared.launch()?;
    running.first_hello().await?;
    let load = Load::start(&options.load("health"), &prepared.target);
    let start = Moment::now();
    let mut served = load
        .served_anew(&vec![0; options.clients], SERVED_WITHIN)
        .await;
    let mut done = 0;
    while served && done < options.replacements {
        sleep(BETWEEN).await;
        let before = load.served();
        request(&running, prepared, cause, done + 1).await?;
        served = load.served_anew(&before, SERVED_WITHIN).await;
        done += usize::from(served);
    }
    sleep(BETWEEN).await;
    let clients = load.stop().await;
    let end = Moment::now();

    let seen = tally::tally(&clients, start, end);
    let subject = prepared.subject;
    let row = |what: &str| format!("{}: {what}", cause.name());
    let never = |what: &str| Metric::lower(Section::Replace, row(what), "").goal(Goal::Never);
    let plain = |what: &str| Metric::lower(Section::Replace, row(what), "");
    results.add(
        Metric::higher(Section::Replace, row("completed"), ""),
        subject,
        count(done),
    );
    results.add(never("refused connects"), subject, count(seen.refused));
    results.add(
        never("connects reset before hello"),
        subject,
        count(seen.connect_failed),
    );
    results.add(never("lost requests"), subject, count(seen.lost));
    results.add(
        never("connections cut without a close"),
        subject,
        count(seen.cut),
    );
    results.add(
        never("closes other than 1012"),
        subject,
        count(seen.closed_otherwise),
    );
    results.add(
        plain("requests failed by a close"),
        subject,
        count(seen.failed),
    );
    results.add(
        plain("requests answered with an error"),
        subject,
        count(seen.rejected),
    );
    results.add(
        Metric::higher(Section::Replace, row("requests answered"), ""),
        subject,
        count(seen.answered),
    );
    for (name, per_mille) in [("p50", 500), ("p99", 990)] {
        if let Some(gap) = percentile(seen.gaps.clone(), per_mille) {
            results.add(
                Metric::lower(
                    Section::Replace,
                    row(&format!("gap a client sees, {name}")),
                    "ms",
                ),
                subject,
                ms(gap),
            );
        }
    }
    ensure!(
        done == options.replacements,
        "only {done} of {} completed: {}",
        options.replacements,
        prepared.last_words()
    );
    Ok(())
}

/// Asks for one replacement; it need not be complete when this returns.
async fn request(
    running: &Running<'_>,
    prepared: &Prepared,
    cause: Cause,
    number: usize,
) -> Result<()> {
    match cause {
        Cause::ConfigChange => prepared.configure(number),
        Cause::Request => match prepared.restart_request() {
            RestartRequest::Command(mut command) => {
                // On a thread of its own, so that the clients do not stand still while the command runs.
                let output = tokio::task::spawn_blocking(move || command.output()).await?;
                let output = output.context("cannot run the restart command")?;
                ensure!(
                    output.status.success(),
                    "the restart command failed: {}",
                    String::from_utf8_lossy(&output.stderr).trim()
                );
                Ok(())
            }
            RestartRequest::Signal(signal) => {
                // The first process is only a launcher; the last one in the tree serves.
                let processes = running.processes();
                let serving = processes.last().context("nothing runs")?;
                send(serving.pid, signal);
                Ok(())
            }
            RestartRequest::None => Ok(()),
        },
    }
}
