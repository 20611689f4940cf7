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
use openclaw_shared::memory;
use openclaw_shared::trace::{self, Trace};

mod agent;
mod agents;
mod answer;
mod approvals;
mod args;
mod belongings;
mod call_failure;
mod channels;
mod completion;
mod config;
mod config_edit;
mod context;
pub(crate) mod control_client;
mod cron;
mod dashboard;
mod devices;
mod doctor;
mod failure;
mod gateway;
mod gateway_call;
mod gateway_discover;
mod gateway_health;
mod gateway_install;
mod gateway_lifecycle;
mod gateway_probe;
mod gateway_rescue;
mod gateway_run;
mod gateway_status;
mod gateway_upgrade;
mod gateway_usage_cost;
mod gateway_watch;
mod guard;
mod health;
mod interrupt;
mod logs;
mod man;
mod models;
mod named;
mod node;
mod nodes;
mod onboard;
mod output;
mod own_program;
mod pairing;
mod probe;
mod prompt;
mod request;
mod reset;
mod rpc;
mod sessions;
mod setup;
mod sibling;
mod skills;
mod span;
mod status;
mod system;
mod table;
mod target;
mod top;
mod tui;
mod uninstall;

use args::Globals;
use context::Context;
use failure::{Failure, Kind};
use output::Output;

use crate::supervise::upgrade::handed::HandedOver;

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
    /// Run the gateway, look at it, stop it, make it a service
    Gateway(Box<gateway::GatewayArgs>),
    /// Go through the first steps: gateway, token, model, workspace, service
    Onboard(Box<onboard::OnboardArgs>),
    /// Go through some of the first steps again
    Configure(onboard::ConfigureArgs),
    /// Write a first configuration and create the folders
    Setup(setup::SetupArgs),
    /// Open the gateway's web page
    Dashboard(Box<dashboard::DashboardArgs>),
    /// Say what is wrong with this instance, and repair it
    Doctor(doctor::DoctorArgs),
    /// Show how this machine's gateway is doing, whether it runs or not
    Status(status::StatusArgs),
    /// Ask the running gateway for its health
    Health(health::HealthArgs),
    /// Show the gateway's log
    Logs(logs::LogsArgs),
    /// Read and change the configuration
    Config(config::ConfigArgs),
    /// Use the devices that execute commands for the gateway
    Nodes(Box<nodes::NodesArgs>),
    /// Say which devices may connect
    Devices(devices::DevicesArgs),
    /// Say which programs may be executed
    Approvals(approvals::ApprovalsArgs),
    /// Leave notes for the main session, show who is present, switch heartbeats
    System(system::SystemArgs),
    /// Have agents do work at set times
    Cron(Box<cron::CronArgs>),
    /// Say something to an agent, and show its answer
    Agent(Box<agent::AgentArgs>),
    /// Watch processes, clients, runs and queues
    Top(top::TopArgs),
    /// Chat with an agent in the terminal
    Tui(Box<tui::TuiArgs>),
    /// Show conversations, begin them again, delete them
    Sessions(sessions::SessionsArgs),
    /// Show and change the agents that answer
    Agents(agents::AgentsArgs),
    /// Show where messages come from and go to
    Channels(channels::ChannelsArgs),
    /// Show and choose the models that agents use
    Models(models::ModelsArgs),
    /// Show what agents know how to do
    Skills(skills::SkillsArgs),
    /// Make this machine a node, which runs commands for a gateway
    Node(Box<node::NodeArgs>),
    /// Begin anew, with a backup of what was there
    Reset(reset::ResetArgs),
    /// Remove the service, the state, the workspace
    Uninstall(uninstall::UninstallArgs),
    /// Print a completion script for a shell
    Completion(completion::CompletionArgs),
    /// Write the manual pages into a folder
    #[command(hide = true)]
    Man(man::ManArgs),
}

/// Reads a command line. What cannot be read, and what only asks for help, is answered here.
///
/// Never a part of its caller: what it needs of the stack, hundreds of kilobytes, would be kept for as long as a gateway runs.
#[inline(never)]
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<CommandLine, ExitCode> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // What stands behind `--` is for another program.
    let mut own = arguments.iter().take_while(|argument| *argument != "--");
    let json = own.any(|argument| argument == "--json");
    read(&arguments).map_err(|error| {
        let out = Output::new(json, false);
        match explain(&error, &command_meant(&arguments)) {
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
///
/// `handed` is what the program before in this process has left to a gateway.
pub(crate) fn dispatch(line: CommandLine, handed: Option<&HandedOver>) -> ExitCode {
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
    // Whoever started the command may have a trace, and otherwise what it asks for gets one.
    let trace = trace::of_environment(&context.environment).into();
    let code = do_command(&context, trace, command).and_then(|done| match done {
        Done::Ended(code) => Ok(code),
        Done::Runs(flags) => gateway_run::perform(&context, *flags, handed).map(Into::into),
    });
    match code {
        Ok(code) => code,
        Err(failure) => {
            context.out.failure(&failure);
            failure.exit.into()
        }
    }
}

/// Does everything but running a gateway. Never a part of its caller, for the same reason as [`parse`]: there is room for each command.
#[inline(never)]
fn do_command(context: &Context, trace: Trace, command: Command) -> Result<Done, Failure> {
    in_runtime(trace::following(trace, perform(context, command)))
}

/// How a command ended.
enum Done {
    Ended(ExitCode),
    /// It is the gateway, which has runtimes of its own: it is executed anew within one process.
    Runs(Box<gateway_run::RunFlags>),
}

async fn perform(context: &Context, command: Command) -> Result<Done, Failure> {
    let done = match command {
        Command::Gateway(arguments) => match arguments.into_task()? {
            gateway::Task::Run(flags) => return Ok(Done::Runs(flags)),
            gateway::Task::Other(task) => task.perform(context).await,
        },
        Command::Onboard(arguments) => onboard::perform(context, *arguments).await,
        Command::Configure(arguments) => onboard::configure(context, arguments).await,
        Command::Setup(arguments) => setup::perform(context, arguments).await,
        Command::Dashboard(arguments) => dashboard::perform(context, *arguments).await,
        Command::Reset(arguments) => reset::perform(context, arguments).await,
        Command::Uninstall(arguments) => uninstall::perform(context, arguments).await,
        Command::Doctor(arguments) => doctor::perform(context, arguments).await,
        Command::Status(arguments) => status::perform(context, arguments).await,
        Command::Health(arguments) => health::perform(context, arguments).await,
        Command::Logs(arguments) => logs::perform(context, arguments).await,
        Command::Config(arguments) => config::perform(context, arguments).await,
        // A program that runs on a node ends with a code of its own.
        Command::Nodes(arguments) => {
            return nodes::perform(context, *arguments).await.map(Done::Ended);
        }
        Command::Devices(arguments) => devices::perform(context, arguments).await,
        Command::Approvals(arguments) => approvals::perform(context, arguments).await,
        Command::System(arguments) => system::perform(context, arguments).await,
        Command::Cron(arguments) => cron::perform(context, *arguments).await,
        // Shells know how a command ended that was interrupted.
        Command::Agent(arguments) => {
            return agent::perform(context, *arguments).await.map(Done::Ended);
        }
        Command::Top(arguments) => top::perform(context, arguments).await,
        Command::Tui(arguments) => tui::perform(context, *arguments).await,
        Command::Sessions(arguments) => sessions::perform(context, arguments).await,
        Command::Agents(arguments) => agents::perform(context, arguments).await,
        Command::Channels(arguments) => channels::perform(context, arguments).await,
        Command::Models(arguments) => models::perform(context, arguments).await,
        Command::Skills(arguments) => skills::perform(context, arguments).await,
        Command::Node(arguments) => node::perform(context, *arguments).await,
        Command::Completion(arguments) => completion::perform(context, arguments),
        Command::Man(arguments) => man::perform(context, &arguments),
    };
    done.map(|exit| Done::Ended(exit.into()))
}

fn in_runtime<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    runtime()
        .map_err(|error| Failure::new(Kind::Failed, format!("no runtime: {error}")))?
        .block_on(command)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(memory::before_sleep)
        .build()
}

fn read(arguments: &[OsString]) -> Result<CommandLine, clap::Error> {
    let matches = CommandLine::command().try_get_matches_from(arguments)?;
    CommandLine::from_arg_matches(&matches)
}

/// The command that a line is for, as far as one can tell although it cannot be read.
fn command_meant(arguments: &[OsString]) -> String {
    let lenient = CommandLine::command().ignore_errors(true);
    let mut path = vec!["openclaw".to_owned()];
    if let Ok(matches) = lenient.try_get_matches_from(arguments) {
        let mut within = &matches;
        while let Some((name, inner)) = within.subcommand() {
            path.push(name.to_owned());
            within = inner;
        }
    }
    path.join(" ")
}

/// What a command line that is not carried out gets to hear.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// What it asked for.
    Answer(String),
    /// What is wrong with it.
    Failure(Failure),
}

/// Says what clap found, in the words that scripts know. `command` is the one whose help says how it is done.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the kinds of mistakes are clap's, and grow with it"
)]
fn explain(error: &clap::Error, command: &str) -> Told {
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
        // A group of commands without a command: which there are is what is missing.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            return Told::Failure(usage(error.to_string().trim_end().to_owned()));
        }
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
        ErrorKind::ValueValidation => {
            let source = std::error::Error::source(error);
            let why = source.map_or_else(|| error.to_string(), ToString::to_string);
            // Our own readers of values are sentences that say it all; those of clap leave out what they are about.
            match why.starts_with(char::is_uppercase) {
                true => usage(why),
                false => usage(format!("error: invalid value for '{argument}': {why}")),
            }
        }
        ErrorKind::MissingRequiredArgument => match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::Strings(missing)) => usage(missing_words(missing)),
            _ => usage(missing_words(&[argument])),
        },
        other => usage(first_paragraph(other, error)),
    };
    Told::Failure(
        match failure.hints.is_empty() && failure.exit == Exit::Failure {
            true => failure.hint(format!("See {command} --help.")),
            false => failure,
        },
    )
}

/// What is missing: everything, so that nobody has to try once for each.
fn missing_words(missing: &[String]) -> String {
    let line = |missing: &String| {
        if missing.starts_with('-') {
            format!("error: required option '{missing}' not specified")
        } else {
            format!("error: missing required argument '{missing}'")
        }
    };
    let lines: Vec<String> = missing.iter().map(line).collect();
    lines.join("\n")
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
