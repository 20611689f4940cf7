//! What belongs to an instance on the disk, for the commands that clear it away.
//!
//! Invariant: what another profile works with is never among it. The workspaces of all profiles lie in the state folder of the
//! default one, so a folder is taken apart entry by entry, and never as a whole.

use std::fs;
use std::path::{Path, PathBuf};

use openclaw_shared::paths::StatePaths;

use super::context::Context;
use super::failure::{Failure, Kind};

/// How much of an instance is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Extent {
    /// The configuration, and what was kept of it.
    Config,
    /// That, the keys and tokens, and what was said.
    Conversations,
    /// Everything, but what agents work on.
    State,
    /// Everything.
    All,
}

/// Folders of other programs and of other profiles, and what holds an instance together while it is looked at.
const LOCKS: [&str; 4] = ["instance.lock", "node.lock", "run", BACKUPS];
/// Where a reset puts what it takes away.
pub(crate) const BACKUPS: &str = "backups";

/// What of an instance is there, as far as this extent goes.
pub(crate) fn belongings(context: &Context, extent: Extent) -> Result<Vec<PathBuf>, Failure> {
    let identity = &context.identity;
    let workspace = context.instance()?.workspace;
    let mut found = Vec::new();
    let config = &identity.config_path;
    let beside = config.parent().map(entries).unwrap_or_default();
    found.extend(beside.into_iter().filter(|path| is_config(path, config)));
    for path in entries(&identity.state_dir) {
        let is_meant = match part(&path) {
            Part::Config => true,
            Part::Conversations => extent >= Extent::Conversations,
            Part::Other => extent >= Extent::State,
            Part::Lock | Part::Workplace => false,
        };
        if is_meant && !found.contains(&path) && !workspace.starts_with(&path) {
            found.push(path);
        }
    }
    if extent >= Extent::All {
        found.extend(Some(workspace).filter(|workspace| workspace.exists()));
    }
    found.sort();
    Ok(found)
}

/// Refuses folders that cannot be an instance's own, however the environment names them.
///
/// # Errors
/// When clearing one of them away would take more than an instance.
pub(crate) fn require_own(context: &Context, folders: &[&Path]) -> Result<(), Failure> {
    let identity = &context.identity;
    let home = resolved(&identity.home);
    for folder in folders {
        let real = resolved(folder);
        let holds_more = real.parent().is_none() || home.starts_with(&real);
        if holds_more {
            return Err(Failure::new(
                Kind::Refused,
                format!(
                    "{} holds more than an instance; nothing was touched.",
                    context.shown(folder)
                ),
            )
            .hint("See what OPENCLAW_STATE_DIR and agents.defaults.workspace say."));
        }
    }
    Ok(())
}

/// Refuses a workspace that is more than one: somebody's home, or a folder with the state of an instance, this one's or another's.
///
/// # Errors
/// As [`require_own`].
pub(crate) fn require_workspace(context: &Context, workspace: &Path) -> Result<(), Failure> {
    require_own(context, &[workspace])?;
    let identity = &context.identity;
    let real = resolved(workspace);
    let holds = |path: &Path| resolved(path).starts_with(&real);
    if holds(&identity.state_dir) || holds(&identity.config_path) || is_state(&real) {
        return Err(Failure::new(
            Kind::Refused,
            format!(
                "The workspace {} holds the state of an instance; nothing was touched.",
                context.shown(workspace)
            ),
        )
        .hint("See what agents.defaults.workspace says."));
    }
    Ok(())
}

/// Refuses a folder that does not look like the state of an instance: it is not taken apart, whatever the environment says.
///
/// # Errors
/// When it does not.
pub(crate) fn require_state(context: &Context) -> Result<(), Failure> {
    let identity = &context.identity;
    if is_state(&identity.state_dir) || identity.config_path.exists() {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Refused,
        format!(
            "{} does not look like the state of an instance; nothing was touched.",
            context.shown(&identity.state_dir)
        ),
    )
    .hint("See what OPENCLAW_STATE_DIR says."))
}

fn is_state(folder: &Path) -> bool {
    let state = StatePaths(folder);
    let (sessions, store) = (state.sessions("main"), state.store());
    [state.config(), state.lock(), store, state.token(), sessions]
        .iter()
        .any(|path| path.exists())
}

fn resolved(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}

/// The entries of a folder, by name.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// The configuration file, its backups, and what was refused of it.
fn is_config(path: &Path, config: &Path) -> bool {
    let (Some(name), Some(own)) = (name(path), name(config)) else {
        return false;
    };
    match name.strip_prefix(own) {
        Some("" | ".rejected") => true,
        Some(rest) => rest.starts_with(".bak"),
        None => false,
    }
}

fn name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Config,
    Conversations,
    Other,
    Lock,
    Workplace,
}

/// What an entry of the state folder is.
fn part(path: &Path) -> Part {
    let Some(name) = name(path) else {
        return Part::Other;
    };
    match name {
        name if LOCKS.contains(&name) => Part::Lock,
        // A workspace of whichever profile; that of this one is named by the configuration.
        name if name == "workspace" || name.starts_with("workspace-") => Part::Workplace,
        name if name.starts_with("last-good") => Part::Config,
        ".env" | "gateway-token" | "credentials" | "identity" | "devices" | "nodes" | "agents" => {
            Part::Conversations
        }
        name if name.starts_with("openclaw.sqlite") => Part::Conversations,
        _ => Part::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::context::tests::in_home;
    use super::*;

    fn found(home: &Path, extent: Extent) -> Vec<String> {
        let context = in_home(home, &[]);
        let state = home.join(".openclaw");
        let relative = |path: &PathBuf| {
            let path = path.strip_prefix(&state).unwrap_or(path);
            path.display().to_string()
        };
        let found = belongings(&context, extent).unwrap();
        found.iter().map(relative).collect()
    }

    #[test]
    fn each_extent_takes_what_it_says_and_nothing_of_another_profile() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join(".openclaw");
        fs::create_dir_all(state.join("workspace")).unwrap();
        fs::create_dir_all(state.join("workspace-rescue")).unwrap();
        fs::create_dir_all(state.join("agents/main/sessions")).unwrap();
        fs::create_dir_all(state.join("run")).unwrap();
        for file in [
            "openclaw.json",
            "openclaw.json.bak",
            "openclaw.json.bak.1",
            "last-good.json",
            "gateway-token",
            "openclaw.sqlite",
            "openclaw.sqlite-wal",
            "instance.lock",
            "exec-approvals.json",
        ] {
            fs::write(state.join(file), "{}").unwrap();
        }
        let config = [
            "last-good.json",
            "openclaw.json",
            "openclaw.json.bak",
            "openclaw.json.bak.1",
        ];
        assert_eq!(found(home.path(), Extent::Config), config);
        let mut expected: Vec<&str> = config.to_vec();
        expected.extend([
            "agents",
            "gateway-token",
            "openclaw.sqlite",
            "openclaw.sqlite-wal",
        ]);
        expected.sort_unstable();
        assert_eq!(found(home.path(), Extent::Conversations), expected);
        expected.push("exec-approvals.json");
        expected.sort_unstable();
        assert_eq!(found(home.path(), Extent::State), expected);
        expected.push("workspace");
        expected.sort_unstable();
        assert_eq!(found(home.path(), Extent::All), expected);
    }

    #[test]
    fn a_home_is_never_cleared_away() {
        let home = tempfile::tempdir().unwrap();
        let context = in_home(home.path(), &[]);
        let parent = home.path().parent().unwrap();
        for folder in [Path::new("/"), home.path(), parent] {
            require_own(&context, &[folder]).unwrap_err();
        }
        require_own(&context, &[&home.path().join(".openclaw")]).unwrap();
    }

    #[test]
    fn a_workspace_with_the_state_of_an_instance_is_none() {
        let home = tempfile::tempdir().unwrap();
        let rescue = in_home(home.path(), &[("OPENCLAW_PROFILE", "rescue")]);
        let check = |folder: &str| require_workspace(&rescue, &home.path().join(folder)).is_ok();
        for folder in [".openclaw/workspace-rescue", "work", ".openclaw-rescue"] {
            fs::create_dir_all(home.path().join(folder)).unwrap();
        }
        fs::write(home.path().join(".openclaw/gateway-token"), "t").unwrap();
        std::os::unix::fs::symlink(".openclaw", home.path().join("link")).unwrap();
        assert!(check(".openclaw/workspace-rescue") && check("work"));
        for wrong in ["", ".openclaw", "link", ".openclaw-rescue"] {
            assert!(!check(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn a_folder_of_something_else_is_no_state() {
        let home = tempfile::tempdir().unwrap();
        let photos = home.path().join("photos").display().to_string();
        let context = in_home(home.path(), &[("OPENCLAW_STATE_DIR", &photos)]);
        fs::create_dir_all(&photos).unwrap();
        fs::write(home.path().join("photos/cat.jpg"), "meow").unwrap();
        require_state(&context).unwrap_err();
        fs::write(home.path().join("photos/openclaw.json"), "{}").unwrap();
        require_state(&context).unwrap();
    }
}
