//! `openclaw models`: the models that agents can use, where they come from, and which one is used.

use clap::{Args, Subcommand};
use openclaw_shared::clock::WallTime;
use openclaw_shared::config::Config;
use openclaw_shared::exit::Exit;
use openclaw_shared::model_providers::{Keyring, Providers};

use super::args::{RpcFlags, everywhere};
use super::context::Context;
use super::failure::{Failure, Kind};

mod change;
mod choice;
mod list;
mod scan;
mod status;

use change::{Fallback, Purpose};

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
    Status(StatusArgs),
    /// Show the models that can be chosen
    List(ListArgs),
    /// Use a model where nobody says otherwise
    Set(ModelName),
    /// Use a model for images that the usual one cannot read
    SetImage(ModelName),
    /// Show and change short names of models
    Aliases {
        #[command(subcommand)]
        command: Option<AliasCommand>,
    },
    /// Show and change what stands in for the usual model
    Fallbacks {
        #[command(subcommand)]
        command: Option<FallbackCommand>,
    },
    /// Show and change what stands in for the model for images
    ImageFallbacks {
        #[command(subcommand)]
        command: Option<FallbackCommand>,
    },
    /// Ask the model servers of this machine what they have
    Scan {
        /// Only this provider
        #[arg(long, value_name = "PROVIDER")]
        provider: Option<String>,
    },
    /// Sign in to a provider
    #[command(hide = true)]
    Auth {
        /// What another version is told
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
}

#[derive(Debug, Clone, Default, Args)]
struct StatusArgs {
    /// Print the model that is used, and nothing else
    #[arg(long)]
    plain: bool,
    /// Exit with 1 when a provider that is used has no key
    #[arg(long)]
    check: bool,
    /// Ask each provider
    #[arg(long, hide = true)]
    probe: bool,
}

#[derive(Debug, Clone, Args)]
struct ListArgs {
    /// Only those of this provider
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<String>,
    /// Only those of model servers on this machine
    #[arg(long)]
    local: bool,
    /// Print their names, one a line
    #[arg(long)]
    plain: bool,
    /// Accepted for scripts: all that can be chosen are always shown
    #[arg(long, hide = true)]
    all: bool,
}

#[derive(Debug, Clone, Args)]
struct ModelName {
    /// The model, as provider/model, or an alias of it
    #[arg(value_name = "MODEL")]
    model: String,
}

#[derive(Debug, Clone, Subcommand)]
enum AliasCommand {
    /// Show the aliases
    List(Plain),
    /// Let an alias stand for a model
    Add {
        /// The alias
        #[arg(value_name = "ALIAS")]
        alias: String,
        #[command(flatten)]
        model: ModelName,
    },
    /// Remove an alias
    #[command(alias = "rm")]
    Remove {
        /// The alias
        #[arg(value_name = "ALIAS")]
        alias: String,
    },
}

#[derive(Debug, Clone, Subcommand)]
enum FallbackCommand {
    /// Show the models that stand in, in the order in which they are asked
    List(Plain),
    /// Add a model that stands in, as the last
    Add(ModelName),
    /// Remove a model that stands in
    #[command(alias = "rm")]
    Remove(ModelName),
    /// Remove every model that stands in
    Clear,
}

#[derive(Debug, Clone, Default, Args)]
struct Plain {
    /// Print one a line, and nothing else
    #[arg(long)]
    plain: bool,
}

pub(crate) async fn perform(context: &Context, arguments: ModelsArgs) -> Result<Exit, Failure> {
    let command = arguments.command;
    match command.unwrap_or_else(|| ModelsCommand::Status(StatusArgs::default())) {
        ModelsCommand::Status(wanted) => status::show(context, &wanted),
        ModelsCommand::List(wanted) => list::show(context, &arguments.rpc, &wanted).await,
        ModelsCommand::Set(wanted) => change::set(context, Purpose::Answers, &wanted.model).await,
        ModelsCommand::SetImage(wanted) => {
            change::set(context, Purpose::Images, &wanted.model).await
        }
        ModelsCommand::Aliases { command } => match command {
            None => Ok(status::aliases(context, false)),
            Some(AliasCommand::List(as_lines)) => Ok(status::aliases(context, as_lines.plain)),
            Some(AliasCommand::Add { alias, model }) => {
                change::add_alias(context, &alias, &model.model).await
            }
            Some(AliasCommand::Remove { alias }) => change::remove_alias(context, &alias).await,
        },
        ModelsCommand::Fallbacks { command } => fallbacks(context, Purpose::Answers, command).await,
        ModelsCommand::ImageFallbacks { command } => {
            fallbacks(context, Purpose::Images, command).await
        }
        ModelsCommand::Scan { provider } => {
            let limit = arguments.rpc.limit();
            Ok(scan::show(context, provider.as_deref(), limit).await)
        }
        ModelsCommand::Auth { rest: _ } => Err(no_sign_in(context)),
    }
}

async fn fallbacks(
    context: &Context,
    purpose: Purpose,
    command: Option<FallbackCommand>,
) -> Result<Exit, Failure> {
    match command.unwrap_or_else(|| FallbackCommand::List(Plain::default())) {
        FallbackCommand::List(as_lines) => Ok(status::fallbacks(context, purpose, as_lines.plain)),
        FallbackCommand::Add(wanted) => {
            change::fallback(context, purpose, Fallback::Add(&wanted.model)).await
        }
        FallbackCommand::Remove(wanted) => {
            change::fallback(context, purpose, Fallback::Remove(&wanted.model)).await
        }
        FallbackCommand::Clear => change::fallback(context, purpose, Fallback::Clear).await,
    }
}

fn no_sign_in(context: &Context) -> Failure {
    Failure::new(
        Kind::Unsupported,
        "This version does not sign in to providers; it uses keys, and the profiles in auth-profiles.json as they are.",
    )
    .hint(format!(
        "Give a provider its key: {}, or the variable NAME_API_KEY",
        context.command("config set models.providers.NAME.apiKey KEY")
    ))
    .hint(format!(
        "See where keys come from: {}",
        context.command("models status")
    ))
}

/// The model that answers where nobody says otherwise.
pub(crate) fn in_use(context: &Context) -> Option<String> {
    let config = context.config();
    let (providers, _) = providers(context, &config);
    choice::Choice::of(&config, &providers).resolved
}

/// The providers of models, with their keys.
pub(crate) fn providers_of(context: &Context) -> Providers {
    providers(context, &context.config()).0
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
