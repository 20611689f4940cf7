//! `openclaw setup`: a first configuration, and the folders an instance lives in. A second run changes nothing.

use std::path::{Path, PathBuf};

use clap::Args;
use openclaw_shared::clock::WallTime;
use openclaw_shared::config::KeyPath;
use openclaw_shared::exit::Exit;
use openclaw_shared::ipc::private_folder;
use openclaw_shared::paths::StatePaths;
use openclaw_shared::secret::Secret;
use serde_json::Value;

use super::args::secret;
use super::config_edit::{Applied, Edit, apply, forget_secrets};
use super::context::Context;
use super::control_client::Asked;
use super::failure::{Failure, Kind};
use super::guard;
use super::onboard::{self, OnboardArgs, Wishes};

/// `setup`.
#[derive(Debug, Default, Args)]
pub(crate) struct SetupArgs {
    /// Let the agent work in this folder
    #[arg(long, value_name = "DIR")]
    workspace: Option<String>,
    /// Run a gateway on this machine (local), or use one elsewhere (remote)
    #[arg(long, value_name = "MODE", value_parser = ["local", "remote"])]
    mode: Option<String>,
    /// The WebSocket address of the gateway elsewhere
    #[arg(long, value_name = "WS_URL")]
    remote_url: Option<String>,
    /// Present this token to the gateway elsewhere
    #[arg(long, value_name = "TOKEN", value_parser = secret)]
    remote_token: Option<Secret<String>>,
    /// Go through the first steps, as "onboard" does
    #[arg(long)]
    wizard: bool,
    /// Ask nothing, also with --wizard
    #[arg(long)]
    non_interactive: bool,
}

pub(crate) async fn perform(context: &Context, arguments: SetupArgs) -> Result<Exit, Failure> {
    if arguments.wizard {
        let wishes = Wishes::of_setup(
            arguments.mode.as_deref(),
            arguments.remote_url,
            arguments.remote_token,
            arguments.workspace,
        );
        let steps = OnboardArgs::for_setup(arguments.non_interactive, wishes);
        return onboard::perform(context, steps).await;
    }
    let Done {
        applied,
        workspace,
        sessions,
    } = set_up(context, &arguments).await?;
    let config = context.shown(&context.identity.config_path);
    let out = &context.out;
    if out.is_json() {
        out.document(&serde_json::json!({
            "ok": true,
            "changed": applied != Applied::Unchanged,
            "config": context.identity.config_path,
            "workspace": workspace,
            "sessions": sessions,
            "token": StatePaths(&context.identity.state_dir).token(),
        }));
        return Ok(Exit::Ok);
    }
    out.line(match applied {
        Applied::Unchanged => format!("Config OK: {config}"),
        Applied::Written | Applied::Taken(_) => format!("Wrote {config}"),
    });
    out.line(format!("Workspace OK: {}", context.shown(&workspace)));
    out.line(format!("Sessions OK: {}", context.shown(&sessions)));
    for line in token_lines(context) {
        out.line(line);
    }
    out.line(format!("Start the gateway: {}", context.command("gateway")));
    Ok(Exit::Ok)
}

/// The first configuration of the development instance, written when it is run without one.
///
/// # Errors
/// As [`perform`].
pub(crate) async fn bootstrap(context: &Context) -> Result<(), Failure> {
    set_up(context, &SetupArgs::default()).await?;
    context.out.note(format!(
        "Wrote {}.",
        context.shown(&context.identity.config_path)
    ));
    Ok(())
}

struct Done {
    applied: Applied,
    workspace: PathBuf,
    sessions: PathBuf,
}

async fn set_up(context: &Context, arguments: &SetupArgs) -> Result<Done, Failure> {
    guard::require_valid(context)?;
    let state_dir = &context.identity.state_dir;
    folder(context, state_dir, true)?;
    let applied = apply(context, &edits(context, arguments)?).await?;
    let Folders {
        workspace,
        sessions,
    } = folders(&context.again())?;
    Ok(Done {
        applied,
        workspace,
        sessions,
    })
}

/// The folders an instance lives in.
pub(crate) struct Folders {
    pub(crate) workspace: PathBuf,
    pub(crate) sessions: PathBuf,
}

/// Creates the folders that the configuration names, where they are missing.
///
/// # Errors
/// When one cannot be created.
pub(crate) fn folders(context: &Context) -> Result<Folders, Failure> {
    let workspace = context.instance()?.workspace;
    folder(context, &workspace, false)?;
    let sessions = StatePaths(&context.identity.state_dir).sessions("main");
    folder(context, &sessions, true)?;
    Ok(Folders {
        workspace,
        sessions,
    })
}

/// What the file does not say yet.
fn edits(context: &Context, arguments: &SetupArgs) -> Result<Vec<Edit>, Failure> {
    let config = context.config();
    let mut edits = match &arguments.remote_url {
        Some(url) if config.gateway.remote.url.as_ref() != Some(url) => forget_secrets(&config),
        Some(_) | None => Vec::new(),
    };
    let mut set = |path: &[&str], value: &str| {
        edits.push(Edit::Set(
            KeyPath::of_keys(path.iter().copied()),
            Value::from(value),
        ));
    };
    match (&arguments.mode, &arguments.remote_url) {
        (Some(mode), _) => set(&["gateway", "mode"], mode),
        (None, Some(_)) => set(&["gateway", "mode"], "remote"),
        (None, None) if config.gateway.mode.is_none() => set(&["gateway", "mode"], "local"),
        (None, None) => {}
    }
    if let Some(url) = &arguments.remote_url {
        set(&["gateway", "remote", "url"], url);
    }
    if let Some(token) = &arguments.remote_token {
        set(&["gateway", "remote", "token"], token.expose());
    }
    match &arguments.workspace {
        Some(workspace) => set(&["agents", "defaults", "workspace"], workspace),
        None if config.agents.defaults.workspace.is_none() => {
            let workspace = context.shown(&context.instance()?.workspace);
            set(&["agents", "defaults", "workspace"], &workspace);
        }
        None => {}
    }
    Ok(edits)
}

/// How to get at the token that clients need.
fn token_lines(context: &Context) -> Vec<String> {
    let auth = &context.config().gateway.auth;
    if auth.token.is_some() || auth.password.is_some() {
        return Vec::new();
    }
    let path = StatePaths(&context.identity.state_dir).token();
    let shown = context.shown(&path);
    match path.exists() {
        true => vec![format!(
            "Gateway token: {shown} (show it with: cat {shown})"
        )],
        false => vec![format!(
            "Gateway token: made at the first start, in {shown} (show it then with: cat {shown})"
        )],
    }
}

/// Creates a folder that only its owner can look into. One that exists and is not the state's own keeps its mode.
fn folder(context: &Context, path: &Path, own: bool) -> Result<(), Failure> {
    if !own && path.is_dir() {
        return Ok(());
    }
    private_folder(path).map_err(|error| {
        Failure::new(
            Kind::Failed,
            format!(
                "The folder {} cannot be created: {error}.",
                context.shown(path)
            ),
        )
    })
}

/// Moves the state and the workspace of the development instance aside, so that it begins anew. Nothing is deleted.
///
/// # Errors
/// When it runs, or a folder cannot be moved.
pub(crate) async fn reset(context: &Context) -> Result<(), Failure> {
    if !matches!(context.running().await, Asked::Absent) {
        return Err(Failure::new(
            Kind::Refused,
            "The development instance runs; it cannot be reset.",
        )
        .hint(format!(
            "Stop it first: {}",
            context.command("gateway stop")
        )));
    }
    let stamp = WallTime::now().to_rfc3339().replace([':', '.'], "-");
    for folder in [
        context.identity.state_dir.clone(),
        context.instance()?.workspace,
    ] {
        if !folder.exists() {
            continue;
        }
        let mut aside = folder.clone().into_os_string();
        aside.push(format!(".reset-{stamp}"));
        std::fs::rename(&folder, &aside).map_err(|error| {
            let shown = context.shown(&folder);
            Failure::new(
                Kind::Failed,
                format!("{shown} cannot be moved aside: {error}."),
            )
        })?;
        context.out.note(format!(
            "Moved {} to {}.",
            context.shown(&folder),
            context.shown(Path::new(&aside))
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::context::tests::in_home;
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn a_first_run_makes_everything_private_and_a_second_changes_nothing() {
        let home = tempfile::tempdir().unwrap();
        let context = in_home(home.path(), &[]);
        let done = set_up(&context, &SetupArgs::default()).await.unwrap();
        assert_eq!(done.applied, Applied::Written);
        let state = home.path().join(".openclaw");
        assert_eq!(
            (mode(&state), mode(&state.join("openclaw.json"))),
            (0o700, 0o600)
        );
        assert_eq!(
            (mode(&done.workspace), mode(&done.sessions)),
            (0o700, 0o700)
        );
        let text = std::fs::read_to_string(state.join("openclaw.json")).unwrap();
        let written: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            written,
            serde_json::json!({
                "gateway": {"mode": "local"},
                "agents": {"defaults": {"workspace": "~/.openclaw/workspace"}},
            })
        );
        let again = set_up(&in_home(home.path(), &[]), &SetupArgs::default())
            .await
            .unwrap();
        assert_eq!(again.applied, Applied::Unchanged);
        assert_eq!(
            std::fs::read_to_string(state.join("openclaw.json")).unwrap(),
            text
        );
    }

    #[tokio::test]
    async fn what_the_owner_wrote_stays_as_it_is() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join(".openclaw");
        std::fs::create_dir(&state).unwrap();
        let file = state.join("openclaw.json");
        std::fs::write(&file, "{\n  // mine\n  gateway: { mode: 'remote' },\n}\n").unwrap();
        set_up(&in_home(home.path(), &[]), &SetupArgs::default())
            .await
            .unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(
            text.contains("// mine") && text.contains("'remote'"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn the_secrets_of_one_gateway_are_not_offered_to_another() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join(".openclaw");
        std::fs::create_dir(&state).unwrap();
        let file = state.join("openclaw.json");
        let remote = "{ url: 'ws://one:1', token: 't', password: 'p' }";
        std::fs::write(
            &file,
            format!("{{ gateway: {{ mode: 'remote', remote: {remote} }} }}"),
        )
        .unwrap();
        let set_up_for = async |url: &str, token: Option<&str>| {
            let arguments = SetupArgs {
                remote_url: Some(url.to_owned()),
                remote_token: token.map(|token| Secret::new(token.to_owned())),
                ..SetupArgs::default()
            };
            let context = in_home(home.path(), &[]);
            set_up(&context, &arguments).await.unwrap();
            let config = context.again().config().gateway.remote;
            let token = config.token.map(|token| token.expose().clone());
            (token, config.password.is_some())
        };
        let same = set_up_for("ws://one:1", None).await;
        assert_eq!(same, (Some("t".to_owned()), true));
        let moved = set_up_for("ws://two:2", None).await;
        assert_eq!(moved, (None, false));
        let with_own = set_up_for("ws://three:3", Some("theirs")).await;
        assert_eq!(with_own, (Some("theirs".to_owned()), false));
    }

    #[tokio::test]
    async fn a_reset_moves_the_development_instance_aside() {
        let home = tempfile::tempdir().unwrap();
        let context = in_home(home.path(), &[("OPENCLAW_PROFILE", "dev")]);
        set_up(&context, &SetupArgs::default()).await.unwrap();
        reset(&context).await.unwrap();
        assert!(!home.path().join(".openclaw-dev").exists());
        let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().flatten().collect();
        let aside = |name: &str| {
            left.iter()
                .any(|entry| entry.file_name().to_string_lossy().starts_with(name))
        };
        assert!(aside(".openclaw-dev.reset-"), "{left:?}");
    }
}
