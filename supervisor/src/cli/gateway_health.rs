//! `openclaw gateway health`: the gateway's health in a few lines.

use clap::Args;
use openclaw_shared::exit::Exit;
use openclaw_shared::log::printable;
use openclaw_shared::protocol::method::system::Health;
use serde_json::{Value, json};

use super::args::RpcFlags;
use super::context::Context;
use super::failure::Failure;
use super::output::Tone;
use super::rpc::Rpc;

/// `gateway health`.
#[derive(Debug, Clone, Args)]
pub(crate) struct GatewayHealthArgs {
    #[command(flatten)]
    pub(crate) rpc: RpcFlags,
}

pub(crate) async fn perform(
    context: &Context,
    arguments: GatewayHealthArgs,
) -> Result<Exit, Failure> {
    let health = ask(context, &arguments.rpc, false).await?;
    if context.out.is_json() {
        context.out.document(&health);
        return Ok(Exit::Ok);
    }
    let out = &context.out;
    out.line("Gateway Health");
    let took = health["durationMs"].as_u64().unwrap_or_default();
    out.line(match health["ok"].as_bool() {
        Some(false) => out.paint(Tone::Bad, &format!("Not OK ({took}ms)")),
        Some(true) | None => out.paint(Tone::Good, &format!("OK ({took}ms)")),
    });
    for line in channels(&health).into_iter().chain(children(&health)) {
        out.line(printable(&line));
    }
    Ok(Exit::Ok)
}

/// Asks the gateway for its health.
///
/// # Errors
/// When it does not answer.
pub(crate) async fn ask(context: &Context, rpc: &RpcFlags, probe: bool) -> Result<Value, Failure> {
    let params = if probe {
        json!({ "probe": true })
    } else {
        json!({})
    };
    let mut rpc = Rpc::open(context, rpc, "").await?;
    rpc.call::<Health>(params).await
}

/// One line a channel: `Telegram: linked`.
pub(crate) fn channels(health: &Value) -> Vec<String> {
    let order = health["channelOrder"].as_array().into_iter().flatten();
    order
        .filter_map(|id| {
            let id = id.as_str()?;
            let channel = &health["channels"][id];
            let label = health["channelLabels"][id].as_str().unwrap_or(id);
            let state = match (channel["configured"].as_bool(), channel["linked"].as_bool()) {
                (Some(false), _) => "not configured",
                (_, Some(true)) => "linked",
                (_, Some(false)) => "not linked",
                (Some(true), None) => "configured",
                (None, None) => "unknown",
            };
            Some(format!("{label}: {state}"))
        })
        .collect()
}

/// One line for each of our processes that is not as it should be.
fn children(health: &Value) -> Vec<String> {
    let children = health["supervisor"]["children"]
        .as_array()
        .into_iter()
        .flatten();
    children
        .filter_map(|child| {
            let (name, state) = (child["name"].as_str()?, child["state"].as_str()?);
            let why = child["lastError"]
                .as_str()
                .map(|why| format!(": {why}"))
                .unwrap_or_default();
            (!matches!(state, "active" | "disabled")).then(|| format!("{name}: {state}{why}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_as_it_should_be_is_named() {
        let health = json!({
            "channelOrder": ["telegram", "x"],
            "channelLabels": {"telegram": "Telegram"},
            "channels": {"telegram": {"configured": true, "linked": true}, "x": {"configured": false}},
            "supervisor": {"children": [
                {"name": "gateway", "state": "active"},
                {"name": "canvas-host", "state": "failed", "lastError": "died 5 times"},
                {"name": "browser-control", "state": "disabled"},
            ]}
        });
        assert_eq!(channels(&health), ["Telegram: linked", "x: not configured"]);
        assert_eq!(children(&health), ["canvas-host: failed: died 5 times"]);
    }
}
