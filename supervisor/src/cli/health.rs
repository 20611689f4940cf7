//! `openclaw health`: what the running gateway says of itself. A gateway that does not answer is a failure; a channel that is
//! not linked is not.

use clap::Args;
use openclaw_shared::exit::Exit;
use openclaw_shared::log::printable;
use serde_json::Value;

use super::args::RpcFlags;
use super::context::Context;
use super::failure::Failure;
use super::gateway_health::{ask, channels};

/// `health`.
#[derive(Debug, Args)]
#[command(after_help = "With --verbose the gateway looks again, and everything is shown.")]
pub(crate) struct HealthArgs {
    #[command(flatten)]
    rpc: RpcFlags,
}

pub(crate) async fn perform(context: &Context, arguments: HealthArgs) -> Result<Exit, Failure> {
    let health = ask(context, &arguments.rpc, arguments.rpc.verbose).await?;
    if context.out.is_json() {
        context.out.document(&health);
        return Ok(Exit::Ok);
    }
    for line in render(&health, arguments.rpc.verbose) {
        context.out.line(printable(&line));
    }
    Ok(Exit::Ok)
}

fn render(health: &Value, verbose: bool) -> Vec<String> {
    let mut lines = channels(health);
    let agents: Vec<&Value> = health["agents"].as_array().into_iter().flatten().collect();
    let names = agents.iter().filter_map(|agent| {
        let id = agent["agentId"].as_str()?;
        let default = agent["isDefault"].as_bool() == Some(true);
        Some(format!("{id}{}", if default { " (default)" } else { "" }))
    });
    let names: Vec<String> = names.collect();
    if !names.is_empty() {
        lines.push(format!("Agents: {}", names.join(", ")));
    }
    let shown = agents
        .iter()
        .filter(|agent| verbose || agent["isDefault"].as_bool() == Some(true));
    for agent in shown {
        let id = agent["agentId"].as_str().unwrap_or("main");
        let heartbeat = &agent["heartbeat"];
        let every = match heartbeat["enabled"].as_bool() {
            Some(false) => "disabled",
            Some(true) | None => heartbeat["every"].as_str().unwrap_or("unknown"),
        };
        lines.push(format!("Heartbeat interval: {every} ({id})"));
        if let Some(path) = agent["sessions"]["path"].as_str() {
            let count = agent["sessions"]["count"].as_u64().unwrap_or_default();
            lines.push(format!("Session store ({id}): {path} ({count} entries)"));
        }
    }
    for child in health["supervisor"]["children"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let text = |key: &str| child[key].as_str().unwrap_or("unknown").to_owned();
        let why = child["lastError"]
            .as_str()
            .map(|why| format!(" ({why})"))
            .unwrap_or_default();
        lines.push(format!("Process {}: {}{why}", text("name"), text("state")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn health_in_the_known_lines() {
        let agent = json!({
            "agentId": "main", "isDefault": true,
            "heartbeat": {"enabled": true, "every": "30m"},
            "sessions": {"path": "~/.openclaw/agents/main/sessions/sessions.json", "count": 0}
        });
        let health = json!({
            "agents": [agent],
            "supervisor": {"children": [{"name": "gateway", "state": "active", "lastError": null}]}
        });
        assert_eq!(
            render(&health, false),
            [
                "Agents: main (default)",
                "Heartbeat interval: 30m (main)",
                "Session store (main): ~/.openclaw/agents/main/sessions/sessions.json (0 entries)",
                "Process gateway: active",
            ]
        );
    }
}
