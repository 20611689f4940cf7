//! kill -9 under load: what the clients of the killed process see, and what the clients of the others see.
//!
//! Every kill meets a fresh launch, so that no back-off from the kill before it is measured. The peer is one process
//! tree: all of it is killed, and started again at once, as an eager service manager would.

use std::time::Duration;

use anyhow::{Context, Result};
use openclaw_shared::clock::Moment;
use openclaw_tests::process::{Signal, send};
use tokio::time::sleep;

use crate::load::Load;
use crate::load::tally::{self, Note};
use crate::options::Options;
use crate::output;
use crate::probe::{Outcome, Probe, Probed};
use crate::results::{Goal, Metric, Results, Section};
use crate::stats::{count, ms, percentile};
use crate::subject::{Prepared, Running, Subject};

const GATEWAY: &str = "openclaw-gateway";
const CANVAS_HOST: &str = "openclaw-canvas-host";
const BROWSER_CONTROL: &str = "openclaw-browser-control";

/// How long is looked at on each side of a kill.
const SPAN: Duration = Duration::from_secs(2);
/// How long clients may take until all of them are served again.
const BACK_WITHIN: Duration = Duration::from_secs(30);

pub(super) async fn measure(
    prepared: &Prepared,
    options: &Options,
    results: &mut Results,
) -> Result<()> {
    let victims: &[&str] = match prepared.subject {
        Subject::Peer => &[GATEWAY],
        Subject::Ours => &[GATEWAY, CANVAS_HOST, BROWSER_CONTROL],
        Subject::Echo => &[],
    };
    for round in 1..=options.rounds {
        for victim in victims {
            output::progress(&format!(
                "kill {round} of {}: {}: {victim}",
                options.rounds,
                prepared.subject.name()
            ));
            let seen = one_kill(prepared, victim, options).await?;
            seen.record(prepared.subject, victim, results);
        }
    }
    Ok(())
}

/// What was seen around one kill.
struct Aftermath {
    steady_since: Moment,
    killed: Moment,
    clients: Vec<Vec<Note>>,
    canvas: Vec<Probed>,
    browser: Vec<Probed>,
}

async fn one_kill(prepared: &Prepared, victim: &str, options: &Options) -> Result<Aftermath> {
    let mut running = prepared.launch()?;
    running.first_hello().await?;
    let load = Load::start(&options.load("health"), &prepared.target);
    let unserved = vec![0; options.clients];
    anyhow::ensure!(
        load.served_anew(&unserved, BACK_WITHIN).await,
        "not all clients were served"
    );
    let probes = (prepared.subject == Subject::Ours).then(|| {
        let port = prepared.target.port;
        (
            Probe::start(port + 4, "/__openclaw__/canvas/"),
            Probe::start(port + 2, "/"),
        )
    });
    let steady_since = Moment::now();
    sleep(SPAN).await;

    let before = load.served();
    let killed = Moment::now();
    let _successor = match prepared.subject {
        Subject::Ours => {
            kill_child(&running, victim)?;
            None
        }
        Subject::Peer | Subject::Echo => {
            running.kill()?;
            Some(prepared.launch()?)
        }
    };
    if victim == GATEWAY {
        anyhow::ensure!(
            load.served_anew(&before, BACK_WITHIN).await,
            "not all clients came back"
        );
    }
    sleep(SPAN.saturating_sub(Moment::now().since(killed))).await;

    let clients = load.stop().await;
    let (canvas, browser) = match probes {
        Some((canvas, browser)) => (canvas.stop().await, browser.stop().await),
        None => (Vec::new(), Vec::new()),
    };
    Ok(Aftermath {
        steady_since,
        killed,
        clients,
        canvas,
        browser,
    })
}

fn kill_child(running: &Running<'_>, name: &str) -> Result<()> {
    let processes = running.processes();
    let child = processes
        .iter()
        .find(|process| process.name == name)
        .with_context(|| format!("no process {name}"))?;
    send(child.pid, Signal::SIGKILL);
    Ok(())
}

impl Aftermath {
    fn record(&self, subject: Subject, victim: &str, results: &mut Results) {
        let mut rows = Rows {
            subject,
            victim,
            results,
        };
        self.record_clients(&mut rows);
        if subject == Subject::Ours {
            self.record_probes(&mut rows);
        }
    }

    /// What the WebSocket clients saw.
    fn record_clients(&self, rows: &mut Rows<'_>) {
        let after = tally::tally(&self.clients, self.killed, Moment::now());
        rows.never("refused connects", count(after.refused));
        rows.never("lost requests", count(after.lost));
        rows.plain("WebSocket connections cut", "", count(after.cut));
        rows.plain("connects cut before hello", "", count(after.connect_failed));
        if rows.victim == GATEWAY {
            if let Some(hello) = tally::first_hello_after(&self.clients, self.killed) {
                rows.recovery("next hello-ok", hello.since(self.killed));
            }
            if let Some(gap) = percentile(after.gaps, 990) {
                rows.plain("gap a client sees, p99", "ms", ms(gap));
            }
        } else {
            let before = tally::tally(&self.clients, self.steady_since, self.killed);
            let after = tally::tally(&self.clients, self.killed, self.killed + SPAN);
            rows.p99("gateway's p99", before.latencies, after.latencies);
        }
    }

    /// What the quiet HTTP clients of the two other children saw.
    fn record_probes(&self, rows: &mut Rows<'_>) {
        let probes = [
            (CANVAS_HOST, "canvas host", &self.canvas),
            (BROWSER_CONTROL, "browser control", &self.browser),
        ];
        for (child, name, probed) in probes {
            let saw = |outcome| count(probed.iter().filter(|one| one.outcome == outcome).count());
            rows.never(&format!("{name}'s refused connects"), saw(Outcome::Refused));
            if child == rows.victim {
                rows.plain(
                    &format!("{name}'s HTTP requests cut"),
                    "",
                    saw(Outcome::Cut),
                );
            } else {
                rows.never(&format!("{name}'s HTTP requests cut"), saw(Outcome::Cut));
                let within = |from: Moment, until: Moment| {
                    let probed = probed.iter().filter(|one| one.at >= from && one.at < until);
                    probed.map(|one| one.took).collect()
                };
                rows.p99(
                    &format!("{name}'s p99"),
                    within(self.steady_since, self.killed),
                    within(self.killed, self.killed + SPAN),
                );
            }
        }
    }
}

/// The rows of one victim.
struct Rows<'a> {
    subject: Subject,
    victim: &'a str,
    results: &'a mut Results,
}

impl Rows<'_> {
    fn plain(&mut self, what: &str, unit: &'static str, value: f64) {
        let metric = self.metric(what, unit);
        self.results.add(metric, self.subject, value);
    }

    fn never(&mut self, what: &str, value: f64) {
        let metric = self.metric(what, "").goal(Goal::Never);
        self.results.add(metric, self.subject, value);
    }

    fn recovery(&mut self, what: &str, took: Duration) {
        let metric = self.metric(what, "ms").goal(Goal::TimesPeer(30.0));
        self.results.add(metric, self.subject, ms(took));
    }

    fn p99(&mut self, what: &str, before: Vec<Duration>, after: Vec<Duration>) {
        if let (Some(before), Some(after)) = (percentile(before, 990), percentile(after, 990)) {
            self.plain(&format!("{what} before"), "ms", ms(before));
            self.plain(&format!("{what} after"), "ms", ms(after));
        }
    }

    fn metric(&self, what: &str, unit: &'static str) -> Metric {
        Metric::lower(Section::Kill, format!("kill {}: {what}", self.victim), unit)
    }
}
