//! `openclaw gateway discover`: which gateways announce themselves in the local network.
//!
//! The gateway's program, which lies beside this one, does the work, because only it links what speaks multicast DNS. What is found
//! is shown, and nothing else is done with it.

use std::process::Stdio;
use std::time::Duration;

use clap::Args;
use openclaw_shared::discovery::{ARGUMENT, Beacon, DOMAIN, DiscoverOrder, DiscoverReport};
use openclaw_shared::exit::Exit;
use openclaw_shared::import::{LARGEST_ORDER, PROGRAM};
use serde_json::json;

use super::args::millis;
use super::context::Context;
use super::failure::{Failure, Kind};
use super::sibling::{hand_over, sibling};

/// How long it is listened for.
const LIMIT: Duration = Duration::from_secs(2);
/// A search is not a watch.
const LONGEST: Duration = Duration::from_secs(120);

/// `gateway discover`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "What is announced is not checked by anybody. Connect only to a gateway whose token you have from somewhere else."
)]
pub(crate) struct DiscoverArgs {
    /// Listen for this many milliseconds [default: 2000]
    #[arg(long, value_name = "MS", value_parser = millis, allow_negative_numbers = true)]
    pub(crate) timeout: Option<Duration>,
    /// Only look on this machine
    #[arg(long)]
    only_here: bool,
}

pub(crate) fn perform(context: &Context, arguments: &DiscoverArgs) -> Result<Exit, Failure> {
    let limit = arguments.timeout.unwrap_or(LIMIT).min(LONGEST);
    let order = DiscoverOrder {
        timeout_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
        only_here: arguments.only_here,
    };
    let report = search(&order)?;
    if let Some(error) = report.error {
        return Err(failed(format!(
            "the local network cannot be searched: {error}"
        )));
    }
    let out = &context.out;
    out.answer(
        &json!({
            "timeoutMs": order.timeout_ms,
            "domains": [DOMAIN],
            "count": report.beacons.len(),
            "beacons": report.beacons,
        }),
        || lines(&report.beacons),
    );
    Ok(Exit::Ok)
}

fn lines(beacons: &[Beacon]) -> Vec<String> {
    let mut lines = vec![
        "Gateway Discovery".to_owned(),
        format!("Found {} gateway(s) · domains: {DOMAIN}", beacons.len()),
    ];
    for beacon in beacons {
        lines.push(format!("- {}", beacon.instance_name));
        let host = beacon.host.trim_end_matches('.');
        lines.push(format!("  host: {host} ({})", beacon.addresses.join(", ")));
        if let Some(url) = &beacon.ws_url {
            lines.push(format!("  ws: {url}"));
        }
        if let Some(name) = &beacon.tailnet_dns {
            lines.push(format!("  tailnet: {name}"));
        }
        if let Some(port) = beacon.ssh_port {
            lines.push(format!("  ssh: {host}:{port}"));
        }
    }
    lines
}

fn search(order: &DiscoverOrder) -> Result<DiscoverReport, Failure> {
    let mut program = sibling(PROGRAM)?;
    let done = program
        .arg(ARGUMENT)
        .stdin(hand_over(order, LARGEST_ORDER)?)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .output();
    let output = done.map_err(|error| {
        failed(format!("{PROGRAM} cannot be started: {error}"))
            .hint("Install openclaw as a whole: its programs lie in one folder.")
    })?;
    serde_json::from_slice(&output.stdout).map_err(|_| {
        failed(format!(
            "{PROGRAM} ended without a report ({})",
            output.status
        ))
    })
}

fn failed(why: String) -> Failure {
    Failure::new(Kind::Failed, format!("gateway discover failed: {why}"))
}
