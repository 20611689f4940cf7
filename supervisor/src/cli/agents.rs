//! `openclaw agents`: who answers. Agents are entries of the configuration; to add one is a change like any other.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use openclaw_shared::config::Config;
use openclaw_shared::exit::Exit;
use openclaw_shared::identity_file::{self, IdentityFile};
use openclaw_shared::protocol::method::agents::AgentsList;
use serde_json::{Map, Value, json};

use super::answer::Answer as _;
use super::args::RpcFlags;
use super::config_edit::{Applied, Edit, apply};
use super::context::Context;
use super::failure::{Failure, Kind};
use super::guard;
use super::rpc::ask;
use super::table::Table;

mod edit;

/// `agents`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct AgentsArgs {
    #[command(flatten)]
    rpc: RpcFlags,
    #[command(subcommand)]
    command: Option<AgentsCommand>,
}

#[derive(Debug, Subcommand)]
enum AgentsCommand {
    /// Show the agents
    List {
        #[command(flatten)]
        rpc: Box<RpcFlags>,
        /// Show which channels each one answers on, as this instance's configuration says
        #[arg(long, conflicts_with_all = ["url", "port"])]
        bindings: bool,
    },
    /// Add an agent with a workspace and sessions of its own
    Add(AddArgs),
    /// Take an agent out of the configuration; its files stay
    Delete {
        /// The agent
        #[arg(value_name = "AGENT")]
        id: String,
        /// Do it; without this, only what would be done is said
        #[arg(long)]
        force: bool,
    },
    /// Say who an agent is
    SetIdentity(IdentityArgs),
}

#[derive(Debug, Args)]
struct AddArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
    /// Let it work in this folder [default: workspace-NAME in the state folder]
    #[arg(long, value_name = "DIR")]
    workspace: Option<String>,
    /// Let it use this model
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Keep its own state in this folder
    #[arg(long, value_name = "DIR")]
    agent_dir: Option<String>,
    /// Let it answer on this channel, or on this account of it; may be repeated
    #[arg(long, value_name = "CHANNEL[:ACCOUNT]")]
    bind: Vec<String>,
    /// Ask nothing; accepted for scripts, since nothing is ever asked
    #[arg(long, hide = true)]
    non_interactive: bool,
}

#[derive(Debug, Args)]
struct IdentityArgs {
    /// The agent [default: the default one]
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
    /// The agent that works in this folder
    #[arg(long, value_name = "DIR", conflicts_with = "agent")]
    workspace: Option<String>,
    /// Take what IDENTITY.md in its workspace says
    #[arg(long)]
    from_identity: bool,
    /// Take what this file says
    #[arg(long, value_name = "FILE")]
    identity_file: Option<PathBuf>,
    /// Its name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Its character in a few words
    #[arg(long, value_name = "TEXT")]
    theme: Option<String>,
    /// Its emoji
    #[arg(long, value_name = "EMOJI")]
    emoji: Option<String>,
    /// Its picture: a file in its workspace, an address, or a data URL
    #[arg(long, value_name = "PICTURE")]
    avatar: Option<String>,
}

pub(crate) async fn perform(context: &Context, arguments: AgentsArgs) -> Result<Exit, Failure> {
    match arguments.command {
        None => list(context, &arguments.rpc, false).await,
        Some(AgentsCommand::List { rpc, bindings }) => list(context, &rpc, bindings).await,
        Some(AgentsCommand::Add(arguments)) => add(context, arguments).await,
        Some(AgentsCommand::Delete { id, force }) => delete(context, &id, force).await,
        Some(AgentsCommand::SetIdentity(arguments)) => set_identity(context, arguments).await,
    }
}

async fn list(context: &Context, rpc: &RpcFlags, bindings: bool) -> Result<Exit, Failure> {
    let config = match bindings {
        true => Some(effective(context)?),
        false => None,
    };
    let mut answer = ask::<AgentsList>(context, rpc, "agents list", json!({})).await?;
    if let (Some(config), Some(agents)) = (config, answer["agents"].as_array_mut()) {
        for agent in agents {
            agent["bindings"] = edit::bindings(&config, &agent.text("id")).into();
        }
    }
    context.out.answer(&answer, || render(&answer));
    Ok(Exit::Ok)
}

async fn add(context: &Context, arguments: AddArgs) -> Result<Exit, Failure> {
    let config = effective(context)?;
    let id = edit::id(&arguments.name)?;
    let folder = match &arguments.workspace {
        Some(written) => context
            .identity
            .expand(written, context.environment.working_dir()),
        None => own_workspace(context, &id),
    };
    let workspace = arguments
        .workspace
        .unwrap_or_else(|| context.shown(&folder));
    let edits = edit::add(
        &config,
        &edit::New {
            id: &id,
            name: arguments.name.trim(),
            workspace: &workspace,
            model: arguments.model.as_deref(),
            agent_dir: arguments.agent_dir.as_deref(),
            bind: &arguments.bind,
        },
    )?;
    std::fs::create_dir_all(&folder).map_err(|error| {
        Failure::new(
            Kind::Failed,
            format!("{} cannot be created: {error}", folder.display()),
        )
    })?;
    let applied = apply(context, &edits).await?;
    let done = format!("Added {id}, which works in {}.", context.shown(&folder));
    let facts = json!({ "agentId": id, "workspace": folder, "model": arguments.model, "bindings": arguments.bind });
    report(context, &applied, &done, facts);
    Ok(Exit::Ok)
}

async fn delete(context: &Context, wanted: &str, force: bool) -> Result<Exit, Failure> {
    let config = effective(context)?;
    let edits = edit::remove(&config, wanted)?;
    let id = edit::id(wanted)?;
    let folder = workspace_of(context, &context.config(), &id)?;
    let workspace = context.shown(&folder);
    if !force {
        let bindings = edits.len() - 1;
        return Err(Failure::new(
            Kind::Usage,
            format!("This would take {id} out of the configuration, and {bindings} bindings; its files in {workspace} and its sessions stay."),
        )
        .hint(format!("Do it: {}", context.command(&format!("agents delete {id} --force")))));
    }
    let applied = apply(context, &edits).await?;
    let done = format!("Deleted {id}; its files stay in {workspace}.");
    report(
        context,
        &applied,
        &done,
        json!({ "agentId": id, "workspace": folder }),
    );
    Ok(Exit::Ok)
}

async fn set_identity(context: &Context, arguments: IdentityArgs) -> Result<Exit, Failure> {
    let config = effective(context)?;
    let id = agent_meant(context, &config, &arguments)?;
    let file = match (&arguments.identity_file, arguments.from_identity) {
        (Some(file), _) => Some(file.clone()),
        (None, true) => {
            Some(workspace_of(context, &context.config(), &id)?.join(identity_file::NAME))
        }
        (None, false) => None,
    };
    let said = match &file {
        Some(file) => read_identity(file)?,
        None => IdentityFile::default(),
    };
    let fields = [
        ("name", arguments.name.or(said.name)),
        ("theme", arguments.theme.or(said.theme)),
        ("emoji", arguments.emoji.or(said.emoji)),
        ("avatar", arguments.avatar.or(said.avatar)),
    ];
    let fields: Map<String, Value> = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?))))
        .collect();
    if fields.is_empty() {
        let message = match file {
            Some(file) => format!(
                "{} says nothing about who the agent is.",
                context.shown(&file)
            ),
            None => "Nothing to set.".to_owned(),
        };
        return Err(Failure::new(Kind::Usage, message)
            .hint("Pass --name, --theme, --emoji, --avatar, or --from-identity."));
    }
    let edits: Vec<Edit> = edit::identify(&config, &id, fields.clone())?;
    let applied = apply(context, &edits).await?;
    let names: Vec<&str> = fields.keys().map(String::as_str).collect();
    let done = format!("Set the {} of {id}.", names.join(", "));
    report(
        context,
        &applied,
        &done,
        json!({ "agentId": id, "identity": fields }),
    );
    Ok(Exit::Ok)
}

/// The configuration that is changed.
fn effective(context: &Context) -> Result<Value, Failure> {
    guard::require_valid(context)?;
    let loaded = context.loaded().as_ref().ok();
    Ok(loaded.map_or_else(|| json!({}), |loaded| loaded.effective.clone()))
}

fn own_workspace(context: &Context, id: &str) -> PathBuf {
    context.identity.state_dir.join(format!("workspace-{id}"))
}

/// Where an agent works.
fn workspace_of(context: &Context, config: &Config, id: &str) -> Result<PathBuf, Failure> {
    let list = &config.agents.list;
    let is_it = |written: &str| edit::id(written).is_ok_and(|written| written == id);
    let own = list
        .iter()
        .find(|entry| is_it(&entry.id))
        .and_then(|entry| entry.workspace.as_ref());
    if let Some(written) = own {
        return Ok(context.identity.expand(written, &context.identity.home));
    }
    match is_it(&default_agent(config)) {
        true => Ok(context.instance()?.workspace),
        false => Ok(own_workspace(context, id)),
    }
}

fn default_agent(config: &Config) -> String {
    let list = &config.agents.list;
    let default = list
        .iter()
        .find(|entry| entry.default)
        .or_else(|| list.first());
    default.map_or_else(|| edit::MAIN.to_owned(), |entry| entry.id.clone())
}

fn agent_meant(
    context: &Context,
    config: &Value,
    arguments: &IdentityArgs,
) -> Result<String, Failure> {
    let typed = context.config();
    let Some(written) = &arguments.workspace else {
        let wanted = arguments
            .agent
            .clone()
            .unwrap_or_else(|| default_agent(&typed));
        return edit::id(&wanted);
    };
    let folder = context
        .identity
        .expand(written, context.environment.working_dir());
    let ids = edit::ids(config);
    for id in &ids {
        if workspace_of(context, &typed, id)? == folder {
            return Ok(id.clone());
        }
    }
    Err(Failure::new(
        Kind::Usage,
        format!("No agent works in {}.", context.shown(&folder)),
    ))
}

fn read_identity(file: &Path) -> Result<IdentityFile, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::new(
            Kind::Usage,
            format!("{} cannot be read: {error}", file.display()),
        )
    };
    let mut text = String::new();
    std::fs::File::open(file)
        .map_err(unreadable)?
        .take(identity_file::LARGEST)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    Ok(IdentityFile::read(&text))
}

/// Says what was done, and from when on it counts.
fn report(context: &Context, applied: &Applied, done: &str, mut facts: Value) {
    let text = match applied {
        Applied::Unchanged => "The configuration says so already.".to_owned(),
        Applied::Written => done.to_owned(),
        Applied::Taken(outcome) => format!("{done} {outcome}"),
    };
    if context.out.is_json() {
        facts["ok"] = true.into();
        facts["changed"] = (*applied != Applied::Unchanged).into();
        facts["message"] = text.into();
        context.out.document(&facts);
    } else {
        context.out.line(text);
    }
}

fn render(answer: &Value) -> Vec<String> {
    let agents = answer.items("agents");
    if agents.is_empty() {
        return vec!["No agents.".to_owned()];
    }
    let default = answer.text("defaultId");
    let mut table = Table::new(["Agent", "Name", "Theme", "", "Answers on"]);
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
            agent.texts("bindings").join(", "),
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
        let bound = json!({"agents": [{"id": "main", "bindings": ["telegram", "discord:ops"]}, {"id": "b"}]});
        assert_eq!(
            render(&bound),
            ["Agent  Answers on", "main   telegram, discord:ops", "b"]
        );
    }
}
