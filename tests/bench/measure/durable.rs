//! Writes whose acknowledgement is a promise: how many a second, and how long one takes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use openclaw_shared::clock::Moment;
use tokio::task::JoinSet;

use super::{knows, open};
use crate::connection::Connection;
use crate::options::Options;
use crate::results::{Metric, Results, Section};
use crate::stats::{count, ms, percentile};
use crate::subject::Prepared;
use crate::wire;

/// A method whose effect must be on the disk before its answer leaves. `#` stands for a number that no other request of
/// the run has, so that none of them repeats what is there already.
struct Write {
    method: &'static str,
    params: &'static str,
}

const WRITES: [Write; 1] = [Write {
    method: "voicewake.set",
    params: r##"{"triggers":["bench #"]}"##,
}];
const CLIENTS: [usize; 2] = [1, 32];
const SPAN: Duration = Duration::from_secs(2);
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

impl Write {
    fn request(&self, number: usize) -> Vec<u8> {
        wire::request(
            0,
            self.method,
            &self.params.replace('#', &number.to_string()),
        )
    }
}

pub(super) async fn measure(
    prepared: &Prepared,
    options: &Options,
    results: &mut Results,
) -> Result<()> {
    for write in &WRITES {
        if !knows(&prepared.target, &write.request(0)).await? {
            super::missing(results, prepared.subject, write.method);
            continue;
        }
        for clients in CLIENTS {
            let mut tasks = JoinSet::new();
            let start = Moment::now();
            let until = start + SPAN.min(options.rate_span());
            for (place, connection) in open(&prepared.target, clients)
                .await?
                .into_iter()
                .enumerate()
            {
                tasks.spawn_local(tokio::time::timeout(
                    SPAN + ANSWERED_WITHIN,
                    keep_writing(write, connection, place, until),
                ));
            }
            let mut took = Vec::new();
            while let Some(done) = tasks.join_next().await {
                took.extend(
                    done.context("a client panicked")?
                        .context("not answered in time")??,
                );
            }
            let elapsed = Moment::now().since(start);
            let name = match clients {
                1 => format!("{}, 1 client", write.method),
                several => format!("{}, {several} clients", write.method),
            };
            results.add(
                Metric::higher(Section::Durable, &*name, "/s"),
                prepared.subject,
                count(took.len()) / elapsed.as_secs_f64(),
            );
            if let Some(p99) = percentile(took, 990) {
                results.add(
                    Metric::lower(Section::Durable, format!("{name}: p99"), "ms"),
                    prepared.subject,
                    ms(p99),
                );
            }
        }
    }
    Ok(())
}

/// One write after the other.
async fn keep_writing(
    write: &Write,
    mut connection: Connection,
    place: usize,
    until: Moment,
) -> Result<Vec<Duration>> {
    let mut took = Vec::new();
    loop {
        let sent = Moment::now();
        if sent >= until {
            return Ok(took);
        }
        let number = 1 + place + took.len() * 1000;
        let ok = connection
            .ask(&write.request(number))
            .await
            .context("cut off")?;
        ensure!(ok, "a write was answered with an error");
        took.push(Moment::now().since(sent));
    }
}
