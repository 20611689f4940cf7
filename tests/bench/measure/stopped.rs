//! Clients that stop reading while large events go round: what they cost, how they end, and what others notice.
//!
//! Events that may be lost are only skipped for a client that does not read; in the end one is sent that may not be lost,
//! upon which such a client is to be dropped with its reason.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use openclaw_shared::clock::Moment;
use tokio::time::{sleep, timeout};

use super::fanout::BROADCAST;
use super::{GIVEN_BACK_WITHIN, KEPT_AT_MOST, open};
use crate::connection::Connection;
use crate::healthy::Healthy;
use crate::process::tree_megabytes;
use crate::results::{Goal, Metric, Results, Section};
use crate::stats::{count, ms};
use crate::subject::Prepared;
use crate::wire::{self, Incoming};

const STOPPED: [usize; 2] = [10, 100];
const EVENT_BYTES: usize = 256 * 1024;
/// Together more than the kernel's buffers on both sides and the budget of a connection hold.
const EVENTS: usize = 80;
const BETWEEN_EVENTS: Duration = Duration::from_millis(25);
const QUIET: Duration = Duration::from_millis(1500);
/// How long until the event that may not be lost is sent, and the drop with it.
const DROPPED_WITHIN: Duration = Duration::from_millis(2500);
const END_WITHIN: Duration = Duration::from_secs(5);
const POLICY_VIOLATION: u16 = 1008;
const REASON: &[u8] = b"slow consumer";

pub(super) async fn measure(prepared: &Prepared, results: &mut Results) -> Result<()> {
    for stopped in STOPPED {
        let mut running = prepared.launch()?;
        running.first_hello().await?;
        let healthy = Healthy::start(&prepared.target, running.root())?;
        let mut speaker = open(&prepared.target, 1).await?.remove(0);
        sleep(QUIET / 2).await;
        let quiet = Moment::now();
        sleep(QUIET).await;
        let with_events = Moment::now();
        send_events(&mut speaker).await?;
        let before = tree_megabytes(running.root());
        let silent = open(&prepared.target, stopped).await?;
        let with_stopped = Moment::now();
        send_events(&mut speaker).await?;
        let end = Moment::now();
        let with_all = tree_megabytes(running.root());

        // Health is refreshed and told to everybody, and that may not be lost.
        ask(
            &mut speaker,
            &wire::request(1, "health", r#"{"probe":true}"#),
        )
        .await?;
        sleep(DROPPED_WITHIN).await;
        let mut dropped = 0;
        for connection in silent {
            dropped += usize::from(ended_with_reason(connection).await);
        }
        sleep(GIVEN_BACK_WITHIN).await;
        let after = tree_megabytes(running.root());
        let seen = healthy.stop()?;

        let subject = prepared.subject;
        let row = |what: &str, unit| {
            Metric::lower(Section::Stopped, format!("{stopped} stopped: {what}"), unit)
        };
        let each = (with_all - before) / count(stopped);
        results.add(
            row("memory each", "MB").goal(Goal::AtMost(2.0)),
            subject,
            each,
        );
        results.add(
            row("memory kept after they left", "MB").goal(Goal::AtMost(KEPT_AT_MOST)),
            subject,
            after - before,
        );
        results.add(
            row("not dropped with 1008 slow consumer", "").goal(Goal::Never),
            subject,
            count(stopped - dropped),
        );
        let quiet = seen.p99(quiet, with_events).context("no quiet answers")?;
        let lively = seen.p99(with_events, with_stopped).context("no answers")?;
        let burdened = seen.p99(with_stopped, end).context("no answers")?;
        results.add(row("p99 when quiet", "ms"), subject, ms(quiet));
        results.add(
            row("p99 with events, none stopped", "ms"),
            subject,
            ms(lively),
        );
        results.add(row("p99 with events", "ms"), subject, ms(burdened));
        results.add(
            row("p99, times that with none stopped", "").goal(Goal::AtMost(2.0)),
            subject,
            ms(burdened) / ms(lively),
        );
    }
    Ok(())
}

async fn send_events(speaker: &mut Connection) -> Result<()> {
    let phase = "x".repeat(EVENT_BYTES);
    let frame = wire::request(
        0,
        BROADCAST,
        &format!(r#"{{"enabled":true,"phase":"{phase}"}}"#),
    );
    for _ in 0..EVENTS {
        ensure!(
            ask(speaker, &frame).await?,
            "missing: {BROADCAST} was answered with an error"
        );
        sleep(BETWEEN_EVENTS).await;
    }
    Ok(())
}

async fn ask(speaker: &mut Connection, frame: &[u8]) -> Result<bool> {
    let answered = timeout(END_WITHIN, speaker.ask(frame)).await;
    answered
        .context("not answered in time")?
        .context("the speaker was cut off")
}

/// Reads again, to the end: whether that says why.
async fn ended_with_reason(mut connection: Connection) -> bool {
    let reading = async {
        loop {
            while let Some((incoming, text)) = connection.next_text() {
                if let Incoming::Closed(code) = incoming {
                    return code == POLICY_VIOLATION && text.get(2..) == Some(REASON);
                }
            }
            if !connection.fill().await.unwrap_or(false) {
                return false;
            }
        }
    };
    timeout(END_WITHIN, reading).await.unwrap_or(false)
}
