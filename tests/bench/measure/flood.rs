//! Sockets that say nothing, and sockets that send garbage: what a healthy client notices, and what memory they cost.

use std::time::Duration;

use anyhow::{Context, Result};
use openclaw_shared::clock::Moment;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{GIVEN_BACK_WITHIN, KEPT_AT_MOST};
use crate::connection::{Connection, Target};
use crate::healthy::Healthy;
use crate::priority::Behind;
use crate::process::tree_megabytes;
use crate::results::{Goal, Metric, Results, Section};
use crate::stats::{count, ms};
use crate::subject::Prepared;
use crate::wire::{self, Part};

const SOCKETS: [usize; 2] = [100, 1000];
const GARBAGE: usize = 5_000_000;
const FRAGMENT: usize = 16 * 1024;
const PIECE: usize = 64 * 1024;
const WARM_UP: Duration = Duration::from_millis(500);
const QUIET: Duration = Duration::from_millis(1000);
/// The sockets are opened and used at once; they are held for as long as this.
const FLOOD: Duration = Duration::from_millis(1500);
/// Between two looks at the memory while the flood lasts.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What the sockets of a flood do once they are upgraded.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Silent,
    Whole,
    Fragments,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Silent, Self::Whole, Self::Fragments];

    fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent sockets",
            Self::Whole => "sockets with 5 MB of garbage",
            Self::Fragments => "sockets with 5 MB of garbage in fragments",
        }
    }
}

pub(super) async fn measure(prepared: &Prepared, results: &mut Results) -> Result<()> {
    for kind in Kind::ALL {
        let mut running = prepared.launch()?;
        running.first_hello().await?;
        for sockets in SOCKETS {
            let healthy = Healthy::start(&prepared.target, running.root())?;
            sleep(WARM_UP).await;
            let quiet = Moment::now();
            sleep(QUIET).await;
            let before = tree_megabytes(running.root());
            let behind = Behind::all();
            let begun = Moment::now();
            let flood = flood(kind, sockets, &prepared.target);
            let mut most = before;
            while Moment::now().since(begun) < FLOOD {
                sleep(LOOK_EVERY).await;
                most = most.max(tree_megabytes(running.root()));
            }
            let end = Moment::now();
            drop((flood, behind));
            sleep(GIVEN_BACK_WITHIN).await;
            let after = tree_megabytes(running.root());
            let seen = healthy.stop()?;

            let subject = prepared.subject;
            let row = |what: &str, unit| {
                Metric::lower(
                    Section::Flood,
                    format!("{sockets} {}: {what}", kind.name()),
                    unit,
                )
            };
            let calm = seen.p99(quiet, begun).context("no quiet answers")?;
            let flooded = seen.p99(begun, end).context("no answers")?;
            results.add(row("p99 before", "ms"), subject, ms(calm));
            results.add(row("p99", "ms"), subject, ms(flooded));
            results.add(
                row("p99, times that before", "").goal(Goal::AtMost(3.0)),
                subject,
                ms(flooded) / ms(calm),
            );
            results.add(
                row("memory growth", "MB").goal(Goal::AtMost(8.0)),
                subject,
                most - before,
            );
            results.add(
                row("memory kept", "MB").goal(Goal::AtMost(KEPT_AT_MOST)),
                subject,
                after - before,
            );
            results.add(
                row("newcomers turned away", "").goal(Goal::Never),
                subject,
                count(seen.turned_away(begun)),
            );
            if let Some(hello) = seen.newcomers_p99(begun) {
                results.add(row("a newcomer's hello, p99", "ms"), subject, ms(hello));
            }
        }
    }
    Ok(())
}

/// All sockets of a flood, until it is dropped. What becomes of them is the server's choice.
fn flood(kind: Kind, sockets: usize, target: &Target) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for _ in 0..sockets {
        let target = target.clone();
        tasks.spawn_local(async move {
            if let Ok(mut connection) = Connection::upgraded(&target).await {
                // A server that has had enough ends the writing with an error.
                write_garbage(kind, &mut connection).await.ok();
                while connection.fill().await.unwrap_or(false) {
                    while connection.next().is_some() {}
                }
            }
        });
    }
    tasks
}

async fn write_garbage(kind: Kind, connection: &mut Connection) -> std::io::Result<()> {
    let garbage = [b'x'; PIECE];
    match kind {
        Kind::Silent => {}
        Kind::Whole => {
            connection
                .write(&wire::plain_header(Part::Whole, GARBAGE))
                .await?;
            let mut left = GARBAGE;
            while left > 0 {
                let piece = left.min(PIECE);
                connection.write(&garbage[..piece]).await?;
                left -= piece;
            }
        }
        Kind::Fragments => {
            let mut part = Part::First;
            for _ in 0..GARBAGE / FRAGMENT {
                connection
                    .write(&wire::plain_header(part, FRAGMENT))
                    .await?;
                connection.write(&garbage[..FRAGMENT]).await?;
                part = Part::Further;
            }
        }
    }
    Ok(())
}
