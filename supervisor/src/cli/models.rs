//! `openclaw models`: the models that agents can use.

use clap::{Args, Subcommand};
use openclaw_shared::exit::Exit;
use openclaw_shared::protocol::method::agents::ModelsList;
use serde_json::{Value, json};

use super::answer::Answer as _;
use super::args::{RpcFlags, everywhere};
use super::context::Context;
use super::failure::Failure;
use super::rpc::ask;
use super::table::Table;

/// `models`.
#[derive(Debug, Args)]
#[command(mut_args = everywhere)]
pub(crate) struct ModelsArgs {
    #[command(flatten)]
    rpc: RpcFlags,
    #[command(subcommand)]
    command: ModelsCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum ModelsCommand {
    /// Show the models that the configuration names
    List {
        /// Only those of this provider
        #[arg(long, value_name = "PROVIDER")]
        provider: Option<String>,
    },
}

pub(crate) async fn perform(context: &Context, arguments: ModelsArgs) -> Result<Exit, Failure> {
    let ModelsCommand::List { provider } = arguments.command;
    let mut answer = ask::<ModelsList>(context, &arguments.rpc, "models list", json!({})).await?;
    if let (Some(provider), Some(models)) = (provider, answer["models"].as_array_mut()) {
        models.retain(|model| model.text("provider").eq_ignore_ascii_case(&provider));
    }
    context.out.answer(&answer, || render(&answer));
    Ok(Exit::Ok)
}

fn render(answer: &Value) -> Vec<String> {
    let models = answer.items("models");
    if models.is_empty() {
        return vec!["No models.".to_owned()];
    }
    let mut table = Table::new(["Model", "Name", "Context", "Reads", "Thinks"]);
    for model in models {
        let context = model["contextWindow"].as_u64();
        table.row([
            format!("{}/{}", model.text("provider"), model.text("id")),
            model.text("name"),
            context.map(|tokens| tokens.to_string()).unwrap_or_default(),
            model.texts("input").join(", "),
            if model.is_on("reasoning") { "yes" } else { "" }.to_owned(),
        ]);
    }
    table.lines()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_shown_by_the_name_that_the_configuration_uses() {
        let answer = json!({"models": [{"id": "m1", "name": "Model One", "provider": "fk", "contextWindow": 8192}]});
        assert_eq!(
            render(&answer),
            ["Model  Name       Context", "fk/m1  Model One  8192"]
        );
    }
}
