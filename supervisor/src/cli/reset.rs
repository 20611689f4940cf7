//! `openclaw reset`: begins anew, as far as one wants. Nothing is deleted: what goes is moved into a folder of backups.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use openclaw_shared::clock::WallTime;
use openclaw_shared::exit::Exit;
use openclaw_shared::ipc::private_folder;
use serde_json::{Value, json};

use super::belongings::{
    BACKUPS, Belongings, Extent, belongings, require_own, require_state, require_workspace,
};
use super::context::Context;
use super::control_client::Asked;
use super::failure::{Failure, Kind};
use super::own_program;
use super::prompt;

/// `reset`.
#[derive(Debug, Args)]
#[command(
    after_help = "What goes is moved into the folder \"backups\" of the state folder, so it can be put back.\n\
                  Scopes: config; config+creds+sessions (also tokens, paired devices and what was said); full (everything,\n\
                  the workspace included)."
)]
pub(crate) struct ResetArgs {
    /// How much begins anew
    #[arg(long, value_name = "SCOPE")]
    scope: Option<Scope>,
    /// Do it without asking
    #[arg(long, short = 'y')]
    yes: bool,
    /// Ask nothing; needs --scope and --yes
    #[arg(long)]
    non_interactive: bool,
    /// Change nothing, only say what would go
    #[arg(long)]
    dry_run: bool,
    /// Stop the gateway first, if it runs
    #[arg(long)]
    stop: bool,
}

/// How much begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scope {
    /// The configuration
    Config,
    /// That, tokens, paired devices, and what was said
    #[value(name = "config+creds+sessions")]
    ConfigCredsSessions,
    /// Everything, the workspace included
    Full,
}

impl Scope {
    const ALL: [Self; 3] = [Self::Config, Self::ConfigCredsSessions, Self::Full];

    const fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::ConfigCredsSessions => "config+creds+sessions",
            Self::Full => "full",
        }
    }

    const fn meaning(self) -> &'static str {
        match self {
            Self::Config => "the configuration",
            Self::ConfigCredsSessions => "also tokens, paired devices and what was said",
            Self::Full => "everything, the workspace included",
        }
    }

    const fn extent(self) -> Extent {
        match self {
            Self::Config => Extent::Config,
            Self::ConfigCredsSessions => Extent::Conversations,
            Self::Full => Extent::All,
        }
    }
}

pub(crate) async fn perform(context: &Context, arguments: ResetArgs) -> Result<Exit, Failure> {
    let may_ask = !arguments.non_interactive && !context.out.is_json() && prompt::is_possible();
    let Some(scope) = scope(&arguments, may_ask).await? else {
        context.out.note("Nothing was changed.");
        return Ok(Exit::Ok);
    };
    let found = belongings(context, scope.extent())?.finish();
    if !found.paths.is_empty() {
        require_own(context, &[&context.identity.state_dir])?;
        require_state(context)?;
        if scope.extent() == Extent::All {
            require_workspace(context, &context.instance()?.workspace)?;
        }
    }
    if arguments.dry_run || found.paths.is_empty() {
        report(context, scope, &found, None);
        return Ok(Exit::Ok);
    }
    if !arguments.yes {
        if !may_ask {
            return Err(Failure::new(
                Kind::Usage,
                "A reset is not done without being asked for; pass --yes.",
            )
            .hint(format!(
                "See what would go: {}",
                context.command(&format!("reset --scope {} --dry-run", scope.name()))
            )));
        }
        for path in &found.paths {
            prompt::say(&format!("  {}", context.shown(path)));
        }
        for left in &found.left {
            prompt::say(&left.told(context));
        }
        if !prompt::yes("Move all of this into the backups?", false).await? {
            context.out.note("Nothing was changed.");
            return Ok(Exit::Ok);
        }
    }
    require_still(context, arguments.stop, "reset").await?;
    // A gateway that ends takes some of its files along and leaves others.
    let found = belongings(&context.again(), scope.extent())?.finish();
    let backup = move_away(context, &found.paths)?;
    report(context, scope, &found, Some(&backup));
    Ok(Exit::Ok)
}

async fn scope(arguments: &ResetArgs, may_ask: bool) -> Result<Option<Scope>, Failure> {
    if let Some(scope) = arguments.scope {
        return Ok(Some(scope));
    }
    if !may_ask {
        return Err(Failure::new(
            Kind::Usage,
            "error: required option '--scope <SCOPE>' not specified",
        )
        .hint("Scopes: config, config+creds+sessions, full."));
    }
    let mut choices: Vec<prompt::Choice<'_>> = Scope::ALL
        .iter()
        .map(|scope| (scope.name(), scope.meaning()))
        .collect();
    choices.push(("nothing", "leave everything as it is"));
    let chosen = prompt::choose("What begins anew?", &choices, choices.len() - 1).await?;
    Ok(Scope::ALL.get(chosen).copied())
}

/// Makes sure that nothing runs on what is about to go; with `stop` by stopping it.
///
/// # Errors
/// When it runs, or cannot be stopped.
pub(crate) async fn require_still(
    context: &Context,
    stop: bool,
    command: &str,
) -> Result<(), Failure> {
    if matches!(context.running().await, Asked::Absent) {
        return Ok(());
    }
    if !stop {
        return Err(Failure::new(
            Kind::Refused,
            "The gateway runs; nothing of it can be taken away.",
        )
        .hint(format!("Stop it: {}", context.command("gateway stop")))
        .hint(format!(
            "Or have it stopped: {}",
            context.command(&format!("{command} --stop"))
        )));
    }
    own_program::run(context, &["gateway", "stop"]).await?;
    Ok(())
}

/// Moves what was found aside, and says where to.
///
/// # Errors
/// With what could not be moved; what was moved before lies in the backup.
pub(crate) fn move_away(context: &Context, found: &[PathBuf]) -> Result<PathBuf, Failure> {
    let state = &context.identity.state_dir;
    let stamp = WallTime::now().to_rfc3339().replace([':', '.'], "-");
    let backup = state.join(BACKUPS).join(format!("reset-{stamp}"));
    let failed = |path: &Path, error: &io::Error| {
        Failure::new(
            Kind::Failed,
            format!("{} cannot be moved: {error}.", context.shown(path)),
        )
        .detail("Backup", context.shown(&backup))
        .hint("What was moved before lies in the backup.")
    };
    private_folder(state)
        .and_then(|()| private_folder(&state.join(BACKUPS)))
        .and_then(|()| private_folder(&backup))
        .map_err(|error| failed(&backup, &error))?;
    for path in found {
        let place = place_of(path, state, &backup, &stamp);
        fs::rename(path, &place).map_err(|error| failed(path, &error))?;
    }
    Ok(backup)
}

/// Where something goes: beside itself when it lies elsewhere, because only within a file system is a move one step.
fn place_of(path: &Path, state: &Path, backup: &Path, stamp: &str) -> PathBuf {
    match (path.parent() == Some(state), path.file_name()) {
        (true, Some(name)) => backup.join(name),
        (true, None) | (false, _) => {
            let mut aside = path.to_path_buf().into_os_string();
            aside.push(format!(".reset-{stamp}"));
            aside.into()
        }
    }
}

fn report(context: &Context, scope: Scope, found: &Belongings, backup: Option<&Path>) {
    let out = &context.out;
    if out.is_json() {
        out.document(&json!({
            "ok": true,
            "scope": scope.name(),
            "moved": backup.is_some(),
            "paths": found.paths,
            "left": found.left,
            "backup": backup.map_or(Value::Null, |backup| json!(backup)),
        }));
        return;
    }
    for left in &found.left {
        out.note(left.told(context));
    }
    if found.paths.is_empty() {
        out.line("Nothing is there that could go.");
        return;
    }
    let verb = if backup.is_some() {
        "Moved"
    } else {
        "Would move"
    };
    for path in &found.paths {
        out.line(format!("{verb} {}", context.shown(path)));
    }
    if let Some(backup) = backup {
        out.line(format!("Backup: {}", context.shown(backup)));
        out.line(format!("Begin anew: {}", context.command("onboard")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_elsewhere_is_put_beside_itself() {
        let (state, backup) = (
            Path::new("/h/.openclaw"),
            Path::new("/h/.openclaw/backups/x"),
        );
        let place = |path: &str| place_of(Path::new(path), state, backup, "T");
        assert_eq!(
            place("/h/.openclaw/agents"),
            Path::new("/h/.openclaw/backups/x/agents")
        );
        assert_eq!(place("/h/work"), Path::new("/h/work.reset-T"));
        assert_eq!(
            place("/h/.openclaw/deep/workspace"),
            Path::new("/h/.openclaw/deep/workspace.reset-T")
        );
    }
}
