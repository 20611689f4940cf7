//! What a subject costs while nobody asks anything of it: memory and processor time, for each of its processes.

use anyhow::Result;

use crate::options::Options;
use crate::process::{self, CpuMark, Process};
use crate::results::{Goal, Metric, Results, Section};
use crate::stats::ms;
use crate::subject::{Running, Subject};

/// The proportional set size of each process, and of all together.
pub(super) fn memory(running: &Running<'_>, subject: Subject, results: &mut Results) -> Result<()> {
    let mut total = 0.0;
    let mut parts = Vec::new();
    for process in running.processes() {
        let megabytes = f64::from(u32::try_from(process::pss(process.pid)? / 1000)?) / 1000.0;
        total += megabytes;
        parts.push((process, megabytes));
    }
    results.add(
        Metric::lower(Section::Idle, "idle PSS, all processes", "MB").goal(Goal::AtMost(15.0)),
        subject,
        total,
    );
    for (name, megabytes) in named(parts) {
        results.add(
            Metric::lower(Section::Idle, format!("idle PSS, {name}"), "MB"),
            subject,
            megabytes,
        );
    }
    Ok(())
}

/// The processor time over an idle span, for each process and all together.
pub(super) async fn cpu(
    running: &Running<'_>,
    subject: Subject,
    options: &Options,
    results: &mut Results,
) -> Result<()> {
    let mark = CpuMark::set(running.root())?;
    tokio::time::sleep(options.idle_span()).await;
    let parts = mark.since(running.root())?;
    let parts: Vec<_> = parts
        .into_iter()
        .map(|(process, taken)| (process, ms(taken)))
        .collect();
    let span = format!("CPU over {} idle s", options.idle_seconds);
    let total = parts.iter().map(|(_, taken)| taken).sum();
    let mut metric = Metric::lower(Section::Idle, format!("{span}, all processes"), "ms");
    if options.idle_seconds == 60 {
        metric = metric.goal(Goal::AtMost(30.0));
    }
    results.add(metric, subject, total);
    for (name, taken) in named(parts) {
        results.add(
            Metric::lower(Section::Idle, format!("{span}, {name}"), "ms"),
            subject,
            taken,
        );
    }
    Ok(())
}

/// Names for the rows: the program, with a number when several processes run the same one.
fn named(parts: Vec<(Process, f64)>) -> Vec<(String, f64)> {
    let mut named: Vec<(String, f64)> = Vec::new();
    for (process, value) in parts {
        let same = named
            .iter()
            .filter(|(name, _)| name.starts_with(&process.name))
            .count();
        let number = if same == 0 {
            String::new()
        } else {
            format!(" {}", same + 1)
        };
        named.push((format!("{}{number}", process.name), value));
    }
    named
}
