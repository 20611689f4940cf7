//! Requests a second and the server's processor time for each, for some methods and shapes of load.
//!
//! Closed loop: each connection keeps a number of requests in flight, and an answer is what lets the next request go.
//! The shape that goals compare for one connection is the one on one processor (see [`crate::affinity`]); the same on two
//! is shown beside it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use openclaw_shared::clock::Moment;
use tokio::task::JoinSet;

use super::{knows, missing, open};
use crate::affinity::OneProcessor;
use crate::connection::Connection;
use crate::options::Options;
use crate::process::CpuMark;
use crate::results::{Goal, Metric, Results, Section};
use crate::stats::{count, percentile, us};
use crate::subject::{Prepared, Running, Subject};
use crate::wire::{self, Incoming};

/// What is asked for, and how many times better than the peer ours should be at 1 × 1, 8 × 1 and 32 × 16.
struct Question {
    method: &'static str,
    goals: [Option<f64>; 3],
}

const EVERYWHERE: [Option<f64>; 3] = [Some(5.0), Some(5.0), Some(5.0)];
const MODEST: [Option<f64>; 3] = [Some(1.5), None, Some(3.0)];

const QUESTIONS: [Question; 6] = [
    Question::new("status", EVERYWHERE),
    Question::new("health", EVERYWHERE),
    Question::new("system-presence", MODEST),
    Question::new("node.list", MODEST),
    Question::new("config.get", MODEST),
    Question::new("sessions.list", MODEST),
];

impl Question {
    const fn new(method: &'static str, goals: [Option<f64>; 3]) -> Self {
        Self { method, goals }
    }
}

/// Connections, requests in flight on each, and whether client and server share one processor.
const SHAPES: [(usize, usize, bool); 4] =
    [(1, 1, true), (8, 1, false), (32, 16, false), (1, 1, false)];
/// The methods that are also measured in the last shape, which only shows what waking another processor costs.
const ON_TWO_PROCESSORS: usize = 2;
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
    let subject = prepared.subject;
    for (place, question) in QUESTIONS.iter().enumerate() {
        // The echo does the same whatever the method is called.
        let asks = if subject.speaks_the_protocol() {
            std::slice::from_ref(question)
        } else if place == 0 {
            &QUESTIONS
        } else {
            break;
        };
        if !knows(&prepared.target, &wire::request(0, question.method, "{}")).await? {
            missing(results, subject, question.method);
            continue;
        }
        for (column, shape) in SHAPES.into_iter().enumerate() {
            let load = Shape {
                method: question.method,
                connections: shape.0,
                in_flight: shape.1,
                one_processor: shape.2,
            };
            if column == SHAPES.len() - 1 && place >= ON_TWO_PROCESSORS {
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
            for question in asks {
                let shape = Shape {
                    method: question.method,
                    ..load
                };
                let goal = question.goals.get(column).copied().flatten();
                record(
                    &shape,
                    goal,
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
    times_peer: Option<f64>,
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
    if let Some(times) = times_peer {
        rate = rate.goal(Goal::TimesPeer(times));
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
