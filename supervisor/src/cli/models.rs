//! `openclaw models`: the models that agents can use, where they come from, and which one is used.

use clap::{Args, Subcommand};
use openclaw_shared::clock::WallTime;
use openclaw_shared::config::Config;
use openclaw_shared::exit::Exit;
use openclaw_shared::model_providers::{Keyring, Providers};
use openclaw_shared::protocol::method::agents::ModelsList;
use serde_json::{Value, json};

use super::answer::Answer as _;
use super::args::{RpcFlags, everywhere};
use super::context::Context;
use super::control_client::Asked;
use super::failure::Failure;
use super::rpc::ask;
use super::table::Table;

mod choice;
mod scan;
mod status;

/// `models`.
#[derive(Debug, Args)]
#[command(mut_args = everywhere)]
pub(crate) struct ModelsArgs {
    #[command(flatten)]
    rpc: RpcFlags,
    #[command(subcommand)]
    command: Option<ModelsCommand>,
}

#[derive(Debug, Clone, Subcommand)]
enum ModelsCommand {
    /// Show which model is used, what stands in for it, and where each key comes from
    Status,
    /// Show the models that can be chosen
    List {
        /// Only those of this provider
        #[arg(long, value_name = "PROVIDER")]
        provider: Option<String>,
    },
    /// Use a model where nobody says otherwise
    Set {
        /// The model, as provider/model, or an alias of it
        #[arg(value_name = "MODEL")]
        model: String,
    },
    /// Ask the model servers of this machine what they have
    Scan {
        /// Only this provider
        #[arg(long, value_name = "PROVIDER")]
        provider: Option<String>,
    },
}

pub(crate) async fn perform(context: &Context, arguments: ModelsArgs) -> Result<Exit, Failure> {
    match arguments.command.unwrap_or(ModelsCommand::Status) {
        ModelsCommand::Status => Ok(status::show(context)),
        ModelsCommand::List { provider } => {
            list(context, &arguments.rpc, provider.as_deref()).await
        }
        ModelsCommand::Set { model } => choice::set(context, &model).await,
        ModelsCommand::Scan { provider } => {
            let limit = arguments.rpc.limit();
            Ok(scan::show(context, provider.as_deref(), limit).await)
        }
    }
}

/// The providers, as a gateway of this instance would see them.
fn providers(context: &Context, config: &Config) -> (Providers, Keyring) {
    let identity = &context.identity;
    let keyring = Keyring::read(
        config,
        context.environment.variables(),
        &identity.state_dir,
        &identity.home,
        WallTime::now(),
    );
    (Providers::of(config, &keyring), keyring)
}

async fn list(
    context: &Context,
    flags: &RpcFlags,
    provider: Option<&str>,
) -> Result<Exit, Failure> {
    // Which models there are is known without a gateway, unless a certain one is meant.
    let is_meant = flags.url.is_some() || flags.port.is_some();
    let is_absent = !is_meant && matches!(context.running().await, Asked::Absent);
    let mut answer = if is_absent {
        from_config(context)
    } else {
        ask::<ModelsList>(context, flags, "models list", json!({})).await?
    };
    if let (Some(provider), Some(models)) = (provider, answer["models"].as_array_mut()) {
        models.retain(|model| model.text("provider").eq_ignore_ascii_case(provider));
    }
    context.out.answer(&answer, || render(&answer));
    Ok(Exit::Ok)
}

fn from_config(context: &Context) -> Value {
    let config = context.config();
    let (providers, _) = providers(context, &config);
    let models: Vec<Value> = providers
        .listed()
        .map(|(provider, model)| {
            json!({
                "id": model.id, "name": model.name, "provider": provider.id, "contextWindow": model.context_window,
                "reasoning": model.reasoning, "input": model.input,
            })
        })
        .collect();
    json!({ "models": models })
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
