//! `openclaw uninstall`: removes the service and what an instance has left on the disk. The programs stay.

use std::fs;
use std::path::Path;

use clap::Args;
use openclaw_shared::exit::Exit;
use serde_json::json;

use super::belongings::{
    Belongings, Extent, Sorting, belongings, require_own, require_state, require_workspace,
};
use super::context::Context;
use super::failure::{Failure, Kind};
use super::own_program;
use super::prompt;
use super::reset::require_still;

/// `uninstall`.
#[derive(Debug, Args)]
#[command(
    after_help = "Without an option it asks for each. What is removed is gone; \"openclaw reset\" keeps a backup.\n\
                  The programs are removed by whatever has installed them."
)]
pub(crate) struct UninstallArgs {
    /// Remove the service
    #[arg(long)]
    service: bool,
    /// Remove the configuration and the state
    #[arg(long)]
    state: bool,
    /// Remove the workspace
    #[arg(long)]
    workspace: bool,
    /// Remove the macOS app
    #[arg(long)]
    app: bool,
    /// Remove all of it
    #[arg(long)]
    all: bool,
    /// Do it without asking
    #[arg(long, short = 'y')]
    yes: bool,
    /// Ask nothing; needs --yes
    #[arg(long)]
    non_interactive: bool,
    /// Change nothing, only say what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Stop the gateway first, if it runs without a service
    #[arg(long)]
    stop: bool,
}

/// What is to be removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Wanted {
    service: bool,
    state: bool,
    workspace: bool,
    app: bool,
}

impl Wanted {
    fn of(arguments: &UninstallArgs) -> Self {
        Self {
            service: arguments.service || arguments.all,
            state: arguments.state || arguments.all,
            workspace: arguments.workspace || arguments.all,
            app: arguments.app || arguments.all,
        }
    }

    fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

pub(crate) async fn perform(context: &Context, arguments: UninstallArgs) -> Result<Exit, Failure> {
    let may_ask = !arguments.non_interactive && !context.out.is_json() && prompt::is_possible();
    let mut wanted = Wanted::of(&arguments);
    if wanted.is_nothing() {
        if !may_ask {
            return Err(
                Failure::new(Kind::Usage, "Say what to remove.").hint(format!(
                    "All of it: {}",
                    context.command("uninstall --all --yes")
                )),
            );
        }
        wanted = ask(context).await?;
        if wanted.is_nothing() {
            context.out.note("Nothing was changed.");
            return Ok(Exit::Ok);
        }
    }
    let files = files(context, wanted)?;
    if arguments.dry_run {
        return Ok(told(context, wanted, &files, false));
    }
    if !arguments.yes {
        if !may_ask {
            return Err(Failure::new(
                Kind::Usage,
                "Nothing is removed without being asked for; pass --yes.",
            )
            .hint("See what would be removed: --dry-run instead."));
        }
        for line in lines(context, wanted, &files, "Remove") {
            prompt::say(&format!("  {line}"));
        }
        for left in &files.left {
            prompt::say(&left.told(context));
        }
        if !prompt::yes("Remove this for good?", false).await? {
            context.out.note("Nothing was changed.");
            return Ok(Exit::Ok);
        }
    }
    if wanted.service {
        own_program::run(context, &["gateway", "uninstall"]).await?;
    }
    if !files.paths.is_empty() {
        require_still(&context.again(), arguments.stop, "uninstall").await?;
    }
    // A gateway that ends takes some of its files along and leaves others.
    let files = self::files(&context.again(), wanted)?;
    for path in &files.paths {
        remove(path).map_err(|error| {
            Failure::new(
                Kind::Failed,
                format!("{} cannot be removed: {error}.", context.shown(path)),
            )
        })?;
    }
    if wanted.state {
        // Others may have something in it, such as the workspaces of other profiles.
        let _ = fs::remove_dir(&context.identity.state_dir);
    }
    Ok(told(context, wanted, &files, true))
}

async fn ask(context: &Context) -> Result<Wanted, Failure> {
    let shown = context.shown(&context.identity.state_dir);
    let workspace = context.shown(&context.instance()?.workspace);
    Ok(Wanted {
        service: prompt::yes("Remove the service?", false).await?,
        state: prompt::yes(
            &format!("Remove the configuration and the state ({shown})?"),
            false,
        )
        .await?,
        workspace: prompt::yes(&format!("Remove the workspace ({workspace})?"), false).await?,
        app: false,
    })
}

/// What is removed from the disk.
fn files(context: &Context, wanted: Wanted) -> Result<Belongings, Failure> {
    let identity = &context.identity;
    let workspace = context.instance()?.workspace;
    let mut files = Sorting::new(context);
    if wanted.state && identity.state_dir.exists() {
        require_own(context, &[&identity.state_dir])?;
        require_state(context)?;
        files = belongings(context, Extent::State)?;
        let left = ["instance.lock", "node.lock", "run", "backups"];
        let left = left.map(|name| identity.state_dir.join(name));
        for path in left.into_iter().filter(|path| path.exists()) {
            files.take(path);
        }
    }
    if wanted.workspace && workspace.exists() {
        require_workspace(context, &workspace)?;
        files.take(workspace);
    }
    Ok(files.finish())
}

/// Removes a file, a folder with all in it, or a link but not what it leads to.
fn remove(path: &Path) -> std::io::Result<()> {
    match fs::symlink_metadata(path)?.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    }
}

fn lines(context: &Context, wanted: Wanted, files: &Belongings, verb: &str) -> Vec<String> {
    let mut lines = Vec::new();
    if wanted.service {
        lines.push(format!("{verb} the service"));
    }
    let shown = files.paths.iter().map(|path| context.shown(path));
    lines.extend(shown.map(|path| format!("{verb} {path}")));
    lines
}

fn told(context: &Context, wanted: Wanted, files: &Belongings, done: bool) -> Exit {
    let out = &context.out;
    if out.is_json() {
        out.document(&json!({
            "ok": true,
            "removed": done,
            "service": wanted.service,
            "paths": files.paths,
            "left": files.left,
        }));
        return Exit::Ok;
    }
    for left in &files.left {
        out.note(left.told(context));
    }
    let verb = if done { "Removed" } else { "Would remove" };
    let lines = lines(context, wanted, files, verb);
    if lines.is_empty() {
        out.line("Nothing is there that could be removed.");
    }
    for line in lines {
        out.line(line);
    }
    if wanted.app {
        out.line(match cfg!(target_os = "macos") {
            true => "The app is removed by moving OpenClaw.app to the trash.",
            false => "There is no app on this system.",
        });
    }
    if done {
        out.line("The programs stay; remove them as they were installed.");
    }
    Exit::Ok
}
