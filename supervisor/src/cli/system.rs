//! `openclaw system`: notes for the main session, who is present, and heartbeats.

use clap::{Args, Subcommand, ValueEnum};
use openclaw_shared::clock::WallTime;
use openclaw_shared::exit::Exit;
use openclaw_shared::protocol::method::heartbeat::{LastHeartbeat, SetHeartbeats, Wake};
use openclaw_shared::protocol::method::system::SystemPresence;
use serde_json::{Value, json};

use super::answer::Answer as _;
use super::args::{RpcFlags, everywhere};
use super::context::Context;
use super::failure::Failure;
use super::rpc::ask;
use super::span::{relative, short};
use super::table::{Table, fields};

/// `system`.
#[derive(Debug, Args)]
#[command(mut_args = everywhere)]
pub(crate) struct SystemArgs {
    #[command(flatten)]
    rpc: RpcFlags,
    #[command(subcommand)]
    command: SystemCommand,
}

#[derive(Debug, Subcommand)]
enum SystemCommand {
    /// Leave a note for the main session
    Event {
        /// What it says
        #[arg(long, value_name = "TEXT")]
        text: String,
        /// When the agent is told
        #[arg(
            long,
            value_enum,
            value_name = "WHEN",
            default_value = "next-heartbeat"
        )]
        mode: Mode,
    },
    /// Show who is present
    Presence,
    /// Look at heartbeats, or switch them
    #[command(subcommand)]
    Heartbeat(HeartbeatCommand),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    Now,
    NextHeartbeat,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum HeartbeatCommand {
    /// Show how the last heartbeat went
    Last,
    /// Switch heartbeats on until the gateway is restarted
    Enable,
    /// Switch heartbeats off until the gateway is restarted
    Disable,
}

pub(crate) async fn perform(context: &Context, arguments: SystemArgs) -> Result<Exit, Failure> {
    let rpc = &arguments.rpc;
    match arguments.command {
        SystemCommand::Event { text, mode } => event(context, rpc, &text, mode).await,
        SystemCommand::Presence => presence(context, rpc).await,
        SystemCommand::Heartbeat(HeartbeatCommand::Last) => last(context, rpc).await,
        SystemCommand::Heartbeat(HeartbeatCommand::Enable) => switch(context, rpc, true).await,
        SystemCommand::Heartbeat(HeartbeatCommand::Disable) => switch(context, rpc, false).await,
    }
}

async fn event(context: &Context, rpc: &RpcFlags, text: &str, mode: Mode) -> Result<Exit, Failure> {
    let mode = match mode {
        Mode::Now => "now",
        Mode::NextHeartbeat => "next-heartbeat",
    };
    let params = json!({ "mode": mode, "text": text });
    let answer = ask::<Wake>(context, rpc, "system event", params).await?;
    let taken = answer.is_on("ok");
    context.out.answer(&answer, || {
        vec![
            if taken {
                "ok"
            } else {
                "The note is blank, so nothing was left."
            }
            .to_owned(),
        ]
    });
    Ok(if taken { Exit::Ok } else { Exit::Failure })
}

async fn presence(context: &Context, rpc: &RpcFlags) -> Result<Exit, Failure> {
    let answer = ask::<SystemPresence>(context, rpc, "system presence", json!({})).await?;
    context
        .out
        .answer(&answer, || present(&answer, WallTime::now()));
    Ok(Exit::Ok)
}

fn present(entries: &Value, now: WallTime) -> Vec<String> {
    let entries = entries.as_array().map(Vec::as_slice).unwrap_or_default();
    if entries.is_empty() {
        return vec!["Nobody is present.".to_owned()];
    }
    let mut table = Table::new([
        "Host", "IP", "Mode", "Version", "Platform", "Reason", "Seen",
    ]);
    for entry in entries {
        let seen = entry.time("ts").map(|then| relative(now, then));
        table.row([
            entry
                .some_text("host")
                .unwrap_or_else(|| entry.text("text")),
            entry.text("ip"),
            entry.text("mode"),
            entry.text("version"),
            entry.text("platform"),
            entry.text("reason"),
            seen.unwrap_or_default(),
        ]);
    }
    table.lines()
}

async fn last(context: &Context, rpc: &RpcFlags) -> Result<Exit, Failure> {
    let answer = ask::<LastHeartbeat>(context, rpc, "system heartbeat last", json!({})).await?;
    context.out.answer(&answer, || {
        if answer.is_null() {
            return vec!["There was no heartbeat yet.".to_owned()];
        }
        let took = answer["durationMs"]
            .as_u64()
            .map(std::time::Duration::from_millis);
        let when = answer
            .time("ts")
            .map(|then| relative(WallTime::now(), then));
        fields([
            ("Status", answer.some_text("status")),
            ("When", when),
            ("Took", took.map(short)),
            ("Reason", answer.some_text("reason")),
            ("To", answer.some_text("to")),
            ("Text", answer.some_text("preview")),
        ])
    });
    Ok(Exit::Ok)
}

async fn switch(context: &Context, rpc: &RpcFlags, enabled: bool) -> Result<Exit, Failure> {
    let verb = if enabled { "enable" } else { "disable" };
    let command = format!("system heartbeat {verb}");
    let params = json!({ "enabled": enabled });
    let answer = ask::<SetHeartbeats>(context, rpc, &command, params).await?;
    context.out.answer(&answer, || {
        let state = if answer.is_on("enabled") { "on" } else { "off" };
        vec![format!("Heartbeats are {state}.")]
    });
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_present_fits_a_terminal() {
        let entries = json!([
            {"host": "gw", "ip": "10.0.0.2", "version": "2026.11.22", "platform": "linux", "mode": "gateway", "reason": "self", "ts": 1_000},
            {"text": "Node: phone", "ts": 61_000},
        ]);
        assert_eq!(
            present(&entries, WallTime::from_millis(61_500)),
            [
                "Host         IP        Mode     Version     Platform  Reason  Seen",
                "gw           10.0.0.2  gateway  2026.11.22  linux     self    1m ago",
                "Node: phone                                                   just now",
            ]
        );
    }
}
