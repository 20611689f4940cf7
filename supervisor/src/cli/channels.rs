//! `openclaw channels`: where messages come from and go to.

use clap::{Args, Subcommand};
use openclaw_shared::exit::Exit;
use openclaw_shared::protocol::method::channels::ChannelsStatus;
use serde_json::{Value, json};

use super::answer::Answer as _;
use super::args::{RpcFlags, everywhere};
use super::context::Context;
use super::failure::Failure;
use super::rpc::{Rpc, patiently};
use super::table::Table;

/// `channels`.
#[derive(Debug, Args)]
#[command(mut_args = everywhere)]
pub(crate) struct ChannelsArgs {
    #[command(flatten)]
    rpc: RpcFlags,
    #[command(subcommand)]
    command: ChannelsCommand,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum ChannelsCommand {
    /// Show how each channel is
    Status {
        /// Let the gateway ask each network
        #[arg(long)]
        probe: bool,
    },
    /// Show the accounts of each channel
    List,
}

pub(crate) async fn perform(context: &Context, arguments: ChannelsArgs) -> Result<Exit, Failure> {
    let (command, probe) = match arguments.command {
        ChannelsCommand::Status { probe } => ("channels status", probe),
        ChannelsCommand::List => ("channels list", false),
    };
    let params = if probe {
        json!({ "probe": true })
    } else {
        json!({})
    };
    let mut rpc = Rpc::for_command(context, &arguments.rpc, command).await?;
    let asking = rpc.call::<ChannelsStatus>(params);
    let answer = patiently(context, "Asking the networks…", asking).await?;
    context.out.answer(&answer, || match arguments.command {
        ChannelsCommand::Status { .. } => states(&answer),
        ChannelsCommand::List => accounts(&answer),
    });
    Ok(Exit::Ok)
}

fn label(answer: &Value, id: &str) -> String {
    let label = answer["channelLabels"].some_text(id);
    label.unwrap_or_else(|| id.to_owned())
}

fn none() -> Vec<String> {
    vec!["No channels.".to_owned()]
}

fn states(answer: &Value) -> Vec<String> {
    let order = answer.texts("channelOrder");
    if order.is_empty() {
        return none();
    }
    let mut table = Table::new([
        "Channel",
        "Configured",
        "Linked",
        "Running",
        "Connected",
        "Error",
    ]);
    for id in order {
        let state = &answer["channels"][&id];
        let yes = |key: &str| match state[key].as_bool() {
            Some(true) => "yes".to_owned(),
            Some(false) => "no".to_owned(),
            None => String::new(),
        };
        table.row([
            label(answer, &id),
            yes("configured"),
            yes("linked"),
            yes("running"),
            yes("connected"),
            state.text("lastError"),
        ]);
    }
    table.lines()
}

fn accounts(answer: &Value) -> Vec<String> {
    let order = answer.texts("channelOrder");
    if order.is_empty() {
        return none();
    }
    let mut table = Table::new(["Channel", "Account", "Name", "Enabled", "Configured"]);
    for id in order {
        for account in answer["channelAccounts"].items(&id) {
            let yes = |key: &str| if account.is_on(key) { "yes" } else { "no" }.to_owned();
            table.row([
                label(answer, &id),
                account.text("accountId"),
                account.text("name"),
                yes("enabled"),
                yes("configured"),
            ]);
        }
    }
    table.lines()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_that_is_not_at_work_says_why() {
        let answer = json!({"channelOrder": ["telegram"], "channelLabels": {"telegram": "Telegram"},
            "channels": {"telegram": {"configured": true, "running": false, "lastError": "not part of this version"}},
            "channelAccounts": {"telegram": [{"accountId": "default", "enabled": true, "configured": true}]}});
        assert_eq!(
            states(&answer),
            [
                "Channel   Configured  Running  Error",
                "Telegram  yes         no       not part of this version",
            ]
        );
        assert_eq!(
            accounts(&answer),
            [
                "Channel   Account  Enabled  Configured",
                "Telegram  default  yes      yes",
            ]
        );
    }
}
