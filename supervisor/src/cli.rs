//! The command line: what can be typed, which instance it is about, and how it ends.
//!
//! One file a command. Options bind to the nearest command; those of `gateway` that also make sense for its subcommands are
//! accepted on either side of the subcommand's name, and an option that has no effect is refused instead of swallowed.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use openclaw_shared::exit::Exit;
use openclaw_shared::instance::{Environment, ProfileError, VERSION};

mod args;
mod client;
mod completion;
mod config;
mod config_edit;
mod context;
mod control_client;
mod failure;
mod gateway;
mod gateway_call;
mod gateway_health;
mod gateway_lifecycle;
mod gateway_probe;
mod gateway_run;
mod gateway_status;
mod guard;
mod health;
mod logs;
mod output;
mod probe;
mod setup;
mod status;
mod target;

use args::Globals;
use context::Context;
use failure::{Failure, Kind};
use output::Output;

/// Run and talk to an OpenClaw gateway
#[derive(Debug, Parser)]
#[command(
    name = "openclaw",
    disable_version_flag = true,
    propagate_version = true,
    version = VERSION,
    after_help = "Every option may stand before or after the command it is for."
)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway, look at it, stop it
    Gateway(Box<gateway::GatewayArgs>),
    /// Write a first configuration and create the folders
    Setup(setup::SetupArgs),
    /// Show how this machine's gateway is doing, whether it runs or not
    Status(status::StatusArgs),
    /// Ask the running gateway for its health
    Health(health::HealthArgs),
    /// Show the gateway's log
    Logs(logs::LogsArgs),
    /// Read and change the configuration
    Config(config::ConfigArgs),
    /// Print a completion script for a shell
    Completion(completion::CompletionArgs),
}

/// Reads a command line. What cannot be read, and what only asks for help, is answered here.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<CommandLine, ExitCode> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let json = arguments.iter().any(|argument| argument == "--json");
    read(&arguments).map_err(|error| {
        let out = Output::new(json, false);
        match explain(&error) {
            Told::Answer(text) => {
                out.write(&text);
                Exit::Ok.into()
            }
            Told::Failure(failure) => {
                out.failure(&failure);
                failure.exit.into()
            }
        }
    })
}

/// Does what the command line says.
pub(crate) fn dispatch(line: CommandLine) -> ExitCode {
    let context = match Context::new(&line.globals, Environment::from_process()) {
        Ok(context) => context,
        Err(failure) => {
            Output::new(line.globals.json, false).failure(&failure);
            return failure.exit.into();
        }
    };
    let Some(command) = line.command else {
        context
            .out
            .write(&CommandLine::command().render_help().to_string());
        return Exit::Ok.into();
    };
    match command {
        Command::Gateway(arguments) => match arguments.into_task() {
            Ok(gateway::Task::Run(flags)) => {
                finish(&context, in_runtime(gateway_run::perform(&context, *flags)))
            }
            Ok(gateway::Task::Other(task)) => finish(&context, in_runtime(task.perform(&context))),
            Err(failure) => finish(&context, Err(failure)),
        },
        Command::Setup(arguments) => {
            finish(&context, in_runtime(setup::perform(&context, arguments)))
        }
        Command::Status(arguments) => {
            finish(&context, in_runtime(status::perform(&context, arguments)))
        }
        Command::Health(arguments) => {
            finish(&context, in_runtime(health::perform(&context, arguments)))
        }
        Command::Logs(arguments) => {
            finish(&context, in_runtime(logs::perform(&context, arguments)))
        }
        Command::Config(arguments) => {
            finish(&context, in_runtime(config::perform(&context, arguments)))
        }
        Command::Completion(arguments) => {
            finish(&context, completion::perform(&context, arguments))
        }
    }
}

fn finish(context: &Context, result: Result<Exit, Failure>) -> ExitCode {
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            context.out.failure(&failure);
            failure.exit.into()
        }
    }
}

fn in_runtime(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Kind::Failed, format!("no runtime: {error}")))?
        .block_on(command)
}

fn read(arguments: &[OsString]) -> Result<CommandLine, clap::Error> {
    let matches = CommandLine::command().try_get_matches_from(arguments)?;
    CommandLine::from_arg_matches(&matches)
}

/// What a command line that is not carried out gets to hear.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// What it asked for.
    Answer(String),
    /// What is wrong with it.
    Failure(Failure),
}

/// Says what clap found, in the words that scripts know.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the kinds of mistakes are clap's, and grow with it"
)]
fn explain(error: &clap::Error) -> Told {
    let text = |kind: ContextKind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        // The nearest comes last.
        Some(ContextValue::Strings(texts)) => texts.last().cloned(),
        _ => None,
    };
    let argument = text(ContextKind::InvalidArg).unwrap_or_default();
    let usage = |message: String| Failure::new(Kind::Usage, message);
    let meant = |failure: Failure, kind: ContextKind| match text(kind) {
        Some(suggestion) => failure.hint(format!("(Did you mean {suggestion}?)")),
        None => failure,
    };
    let failure = match error.kind() {
        ErrorKind::DisplayHelp => return Told::Answer(error.to_string()),
        ErrorKind::DisplayVersion => return Told::Answer(format!("{VERSION}\n")),
        _ if argument.starts_with("--profile") => {
            usage(format!("[openclaw] {}", ProfileError::Missing)).exit(Exit::Usage)
        }
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            let failure = usage(format!("error: unknown option '{argument}'"));
            meant(failure, ContextKind::SuggestedArg)
        }
        ErrorKind::UnknownArgument => usage(format!("error: unexpected argument '{argument}'")),
        ErrorKind::InvalidSubcommand => {
            let name = text(ContextKind::InvalidSubcommand).unwrap_or_default();
            let failure = usage(format!("error: unknown command '{name}'"));
            meant(failure, ContextKind::SuggestedSubcommand)
        }
        // Our own readers of values say all there is to say.
        ErrorKind::ValueValidation => {
            let source = std::error::Error::source(error);
            usage(source.map_or_else(|| error.to_string(), ToString::to_string))
        }
        ErrorKind::MissingRequiredArgument => {
            usage(format!("error: required option '{argument}' not specified"))
        }
        other => usage(first_paragraph(other, error)),
    };
    Told::Failure(
        match failure.hints.is_empty() && failure.exit == Exit::Failure {
            true => failure.hint("See openclaw --help."),
            false => failure,
        },
    )
}

/// What clap says about the rarer mistakes, without its usage lines.
fn first_paragraph(kind: ErrorKind, error: &clap::Error) -> String {
    let whole = error.to_string();
    let first = whole.split("\n\n").next().unwrap_or_default().trim_end();
    if first.is_empty() {
        format!("error: {kind}")
    } else {
        first.to_owned()
    }
}

#[cfg(test)]
mod tests;
