//! `openclaw agents`: who answers.

use clap::{Args, Subcommand};
use openclaw_shared::exit::Exit;
use openclaw_shared::protocol::method::agents::AgentsList;
use serde_json::{Value, json};

use super::answer::Answer as _;
use super::args::{RpcFlags, everywhere};
use super::context::Context;
use super::failure::Failure;
use super::rpc::ask;
use super::table::Table;

/// `agents`.
#[derive(Debug, Args)]
#[command(mut_args = everywhere)]
pub(crate) struct AgentsArgs {
    #[command(flatten)]
    rpc: RpcFlags,
    #[command(subcommand)]
    command: AgentsCommand,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum AgentsCommand {
    /// Show the agents
    List,
}

pub(crate) async fn perform(context: &Context, arguments: AgentsArgs) -> Result<Exit, Failure> {
    let AgentsCommand::List = arguments.command;
    let answer = ask::<AgentsList>(context, &arguments.rpc, "agents list", json!({})).await?;
    context.out.answer(&answer, || render(&answer));
    Ok(Exit::Ok)
}

fn render(answer: &Value) -> Vec<String> {
    let agents = answer.items("agents");
    if agents.is_empty() {
        return vec!["No agents.".to_owned()];
    }
    let default = answer.text("defaultId");
    let mut table = Table::new(["Agent", "Name", "Theme", ""]);
    for agent in agents {
        let id = agent.text("id");
        let identity = &agent["identity"];
        let name = agent
            .some_text("name")
            .or_else(|| identity.some_text("name"));
        let standing = if id == default { "default" } else { "" };
        table.row([
            id,
            name.unwrap_or_default(),
            identity.text("theme"),
            standing.to_owned(),
        ]);
    }
    table.lines()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_agent_is_marked() {
        let answer = json!({"defaultId": "main", "agents": [{"id": "main", "identity": {"name": "Molty"}}, {"id": "build"}]});
        assert_eq!(
            render(&answer),
            ["Agent  Name", "main   Molty  default", "build"]
        );
    }
}
