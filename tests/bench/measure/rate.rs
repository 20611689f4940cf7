//! Requests a second and the server's processor time for each, for three methods and some shapes of load.
//!
//! Closed loop: each connection keeps a number of requests in flight, and an answer is what lets the next request go.
//! The shape that goals compare for one connection is the one on one processor (see [`crate::affinity`]); the same on two
//! is shown beside it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use openclaw_shared::clock::Moment;
use tokio::task::JoinSet;

use crate::affinity::OneProcessor;
use crate::connection::{Connection, Target};
use crate::options::Options;
use crate::process::CpuMark;
use crate::results::{Goal, Metric, Results, Section};
use crate::stats::{count, percentile, us};
use crate::subject::{Prepared, Running, Subject};
use crate::wire::{self, Incoming};

const METHODS: [&str; 3] = ["status", "health", "system-presence"];
/// Connections, requests in flight on each, and whether client and server share one processor.
const SHAPES: [(usize, usize, bool); 4] =
    [(1, 1, true), (1, 1, false), (8, 1, false), (32, 16, false)];
/// Long enough for a just-in-time compiler to have seen the path.
const WARM_UP: Duration = Duration::from_millis(700);
/// How long answers may still come in after the last request.
const DRAIN: Duration = Duration::from_secs(10);

pub(super) async fn measure(
    running: &Running<'_>,
    prepared: &Prepared,
    options: &Options,
    results: &mut Results,
) -> Result<()> {
    for method in METHODS {
        for shape in SHAPES {
            let load = Shape {
                method,
                connections: shape.0,
                in_flight: shape.1,
                one_processor: shape.2,
            };
            let subject = prepared.subject;
            // The echo does the same whatever the method is called.
            if !subject.speaks_the_protocol() && method != METHODS[0] {
                continue;
            }
            let _placement = load
                .one_processor
                .then(|| OneProcessor::shared_with(running.root()))
                .transpose()?;
            let mut connections = open(&prepared.target, load.connections).await?;
            connections = load.drive(connections, WARM_UP).await?.connections;
            let mark = CpuMark::set(running.root())?;
            let start = Moment::now();
            let driven = load.drive(connections, options.rate_span()).await?;
            let elapsed = Moment::now().since(start);
            let cpu: Duration = mark
                .since(running.root())?
                .into_iter()
                .map(|(_, taken)| taken)
                .sum();
            let methods = if subject.speaks_the_protocol() {
                &[method][..]
            } else {
                &METHODS[..]
            };
            for method in methods {
                record(
                    &Shape { method, ..load },
                    subject,
                    &driven.latencies,
                    elapsed,
                    cpu,
                    results,
                );
            }
        }
    }
    Ok(())
}

fn record(
    shape: &Shape,
    subject: Subject,
    latencies: &[Duration],
    elapsed: Duration,
    cpu: Duration,
    results: &mut Results,
) {
    let answers = count(latencies.len());
    let (connections, in_flight) = (shape.connections, shape.in_flight);
    let compared = shape.one_processor || connections > 1;
    let place = if compared { "" } else { " on two processors" };
    let name = format!("{}, {connections} × {in_flight}{place}", shape.method);
    let mut rate = Metric::higher(Section::Requests, &*name, "/s");
    if compared && shape.method != "system-presence" {
        rate = rate.goal(Goal::TimesPeer(5.0));
    }
    if shape.one_processor {
        rate = rate.goal(Goal::ShareOfEcho(0.5));
    }
    results.add(rate, subject, answers / elapsed.as_secs_f64());
    results.add(
        Metric::lower(Section::Requests, format!("{name}: server CPU each"), "µs"),
        subject,
        us(cpu) / answers,
    );
    if let Some(p99) = percentile(latencies.to_vec(), 990) {
        results.add(
            Metric::lower(Section::Requests, format!("{name}: p99"), "µs"),
            subject,
            us(p99),
        );
    }
}

/// One shape of load.
#[derive(Debug, Clone, Copy)]
struct Shape {
    method: &'static str,
    connections: usize,
    in_flight: usize,
    one_processor: bool,
}

struct Driven {
    connections: Vec<Connection>,
    latencies: Vec<Duration>,
}

async fn open(target: &Target, connections: usize) -> Result<Vec<Connection>> {
    let mut open = Vec::new();
    for _ in 0..connections {
        let connection = Connection::open(target).await;
        open.push(connection.map_err(|reason| anyhow::anyhow!("no connection: {reason:?}"))?);
    }
    Ok(open)
}

impl Shape {
    async fn drive(&self, connections: Vec<Connection>, span: Duration) -> Result<Driven> {
        let frames: Arc<[Vec<u8>]> = wire::requests(self.method, 2 * self.in_flight).into();
        let until = Moment::now() + span;
        let mut tasks = JoinSet::new();
        for connection in connections {
            let driving = drive(connection, Arc::clone(&frames), self.in_flight, until);
            tasks.spawn(tokio::time::timeout(span + DRAIN, driving));
        }
        let mut driven = Driven {
            connections: Vec::new(),
            latencies: Vec::new(),
        };
        while let Some(done) = tasks.join_next().await {
            let (connection, latencies) = done
                .context("a client panicked")?
                .with_context(|| format!("{} was not answered in time", self.method))??;
            driven.connections.push(connection);
            driven.latencies.extend(latencies);
        }
        Ok(driven)
    }
}

/// Keeps `in_flight` requests open until the span is over, then waits for what is still open.
///
/// Each place in flight uses two ids by turns, so that an answer that comes twice is noticed rather than counted.
async fn drive(
    mut connection: Connection,
    frames: Arc<[Vec<u8>]>,
    in_flight: usize,
    until: Moment,
) -> Result<(Connection, Vec<Duration>)> {
    let mut sent = vec![None; frames.len()];
    let mut outbox = Vec::new();
    for id in 0..in_flight {
        sent[id] = Some(Moment::now());
        outbox.extend_from_slice(&frames[id]);
    }
    let mut open = in_flight;
    let mut latencies = Vec::with_capacity(1 << 17);
    while open > 0 {
        if !outbox.is_empty() {
            connection.write(&outbox).await.context("cannot write")?;
            outbox.clear();
        }
        ensure!(
            connection.fill().await.context("cannot read")?,
            "the server ended the connection"
        );
        // One reading of the clock serves everything that one read brought.
        let now = Moment::now();
        while let Some(incoming) = connection.next() {
            match incoming {
                Incoming::Answer { id, ok } => {
                    ensure!(ok, "a request was answered with an error");
                    let asked = sent.get_mut(id).and_then(Option::take);
                    latencies.push(now.since(asked.context("an answer to no open request")?));
                    if now < until {
                        let other = (id + in_flight) % frames.len();
                        outbox.extend_from_slice(&frames[other]);
                        sent[other] = Some(now);
                    } else {
                        open -= 1;
                    }
                }
                Incoming::Closed(code) => anyhow::bail!("the server closed with {code}"),
                Incoming::Hello | Incoming::Other => {}
            }
        }
    }
    Ok((connection, latencies))
}
