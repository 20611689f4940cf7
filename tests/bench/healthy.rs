//! One healthy client on a thread of its own: asks for `health` every few milliseconds, and lets a newcomer in now and
//! then, while something else is done to the server.
//!
//! On a thread of its own, so that what is measured is the server's patience and not that of the client that does the harm.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use openclaw_shared::clock::Moment;
use tokio::time::{sleep, timeout};

use crate::affinity::{self, Apart};
use crate::connection::{Connection, Target};
use crate::priority;
use crate::stats::percentile;
use crate::wire;

/// Between an answer and the next request.
const EVERY: Duration = Duration::from_millis(2);
/// Between two newcomers.
const NEWCOMER_EVERY: Duration = Duration::from_millis(100);
/// What counts as unanswered; it goes into the percentiles with this value.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The client at work.
pub(crate) struct Healthy {
    thread: JoinHandle<Result<Seen>>,
    stop: Arc<AtomicBool>,
    _apart: Apart,
}

/// What it saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// When a request was sent, and how long its answer took.
    answers: Vec<(Moment, Duration)>,
    /// When a newcomer knocked, and how long it took to its hello; none when it got none.
    newcomers: Vec<(Moment, Option<Duration>)>,
}

impl Healthy {
    /// Connects and begins to ask, on the processor of the server, whose first process is given; the calling thread goes to
    /// another one.
    pub(crate) fn start(target: &Target, server: i32) -> Result<Self> {
        let apart = Apart::from(server)?;
        let of_server = apart.of_server();
        let stop = Arc::new(AtomicBool::new(false));
        let (target, stopping) = (target.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            affinity::go_to(of_server);
            priority::go_first();
            run(&target, &stopping)
        });
        Ok(Self {
            thread,
            stop,
            _apart: apart,
        })
    }

    /// Ends it and returns what it saw.
    pub(crate) fn stop(self) -> Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .map_err(|_| anyhow!("the healthy client panicked"))?
            .context("the healthy client")
    }
}

impl Seen {
    /// The 99th percentile of the requests sent in a span of time.
    pub(crate) fn p99(&self, from: Moment, until: Moment) -> Option<Duration> {
        let span = self
            .answers
            .iter()
            .filter(|(at, _)| *at >= from && *at < until);
        percentile(span.map(|(_, took)| *took).collect(), 990)
    }

    /// How many newcomers knocked since `from` and got no hello.
    pub(crate) fn turned_away(&self, from: Moment) -> usize {
        let since = self.newcomers.iter().filter(|(at, _)| *at >= from);
        since.filter(|(_, hello)| hello.is_none()).count()
    }

    /// The 99th percentile of the newcomers' time to hello.
    pub(crate) fn newcomers_p99(&self, from: Moment) -> Option<Duration> {
        let since = self.newcomers.iter().filter(|(at, _)| *at >= from);
        percentile(since.filter_map(|(_, hello)| *hello).collect(), 990)
    }
}

fn run(target: &Target, stop: &AtomicBool) -> Result<Seen> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")?
        .block_on(async {
            let (answers, newcomers) = tokio::join!(ask(target, stop), knock(target, stop));
            Ok(Seen {
                answers: answers?,
                newcomers,
            })
        })
}

async fn ask(target: &Target, stop: &AtomicBool) -> Result<Vec<(Moment, Duration)>> {
    let frame = wire::request(0, "health", "{}");
    let mut connection = Connection::open(target)
        .await
        .map_err(|reason| anyhow!("no connection: {reason:?}"))?;
    let mut answers = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let sent = Moment::now();
        let took = match timeout(ANSWER_WITHIN, connection.ask(&frame)).await {
            Ok(answered) => {
                answered.context("its connection ended")?;
                Moment::now().since(sent)
            }
            Err(_) => ANSWER_WITHIN,
        };
        answers.push((sent, took));
        sleep(EVERY).await;
    }
    Ok(answers)
}

async fn knock(target: &Target, stop: &AtomicBool) -> Vec<(Moment, Option<Duration>)> {
    let mut newcomers = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let at = Moment::now();
        let opened = timeout(ANSWER_WITHIN, Connection::open(target)).await;
        let hello = matches!(opened, Ok(Ok(_))).then(|| Moment::now().since(at));
        newcomers.push((at, hello));
        sleep(NEWCOMER_EVERY).await;
    }
    newcomers
}
