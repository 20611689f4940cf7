//! How recovery stands, for people: nothing when all is well.

use openclaw_shared::clock::WallTime;
use openclaw_shared::control::FleetStatus;
use openclaw_shared::log::printable;
use openclaw_shared::recovery::{LastStop, Rung};

use super::super::gateway_watch;

/// The lines of a running instance.
pub(crate) fn lines(fleet: &FleetStatus) -> Vec<String> {
    let recovery = &fleet.recovery;
    let mut lines = Vec::new();
    if recovery.rung != Rung::Well {
        lines.push(format!("Recovery: {}", recovery.rung));
        // The last steps say how it came there.
        let first = recovery.steps.len().saturating_sub(3);
        for step in &recovery.steps[first..] {
            let at = WallTime::from_millis(step.ts).to_rfc3339();
            let who = step
                .child
                .map(|child| format!(" {child}:"))
                .unwrap_or_default();
            let wait = step.wait_ms.map(|wait| format!(" (waits {wait} ms)"));
            lines.push(format!(
                "  {at} {}:{who} {}{}",
                step.rung,
                printable(&step.reason),
                wait.unwrap_or_default()
            ));
        }
    }
    lines.extend(recovery.last_stop.as_ref().map(last_stop));
    lines.extend(fleet.watch.as_ref().map(gateway_watch::line));
    lines.extend(fleet.upgrade.as_ref().map(|upgrade| {
        let at = WallTime::from_millis(upgrade.ts).to_rfc3339();
        format!("Last upgrade: {at}: {}", printable(&upgrade.to_string()))
    }));
    lines
}

/// How a life of the instance ended by itself.
pub(crate) fn last_stop(stop: &LastStop) -> String {
    let at = WallTime::from_millis(stop.ts).to_rfc3339();
    let reason = printable(&stop.reason);
    format!("Last stop: {at}, exit code {}: {reason}", stop.code)
}
