//! What belongs to an instance on the disk, for the commands that clear it away.
//!
//! Invariant: what another profile works with is never among it. The workspaces of all profiles lie in the state folder of the
//! default one, under whatever names their configurations give them, so a folder is taken apart entry by entry, and never as a whole.

use std::fs;
use std::path::{Path, PathBuf};

use openclaw_shared::paths::StatePaths;
use serde::Serialize;

use super::context::Context;
use super::failure::{Failure, Kind};

mod others;

use self::others::{Other, Tie};

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
/// Folders that an instance, this product's or an earlier one's, makes for itself.
const FOLDERS: [&str; 9] = [
    "browser",
    "canvas",
    "completions",
    "cron",
    "hooks",
    "logs",
    "media",
    "sandboxes",
    "skills",
];
/// Where a reset puts what it takes away.
pub(crate) const BACKUPS: &str = "backups";

/// What is to go, and what stays though it lies there.
#[derive(Debug, Default)]
pub(crate) struct Belongings {
    /// What is to go, in order.
    pub(crate) paths: Vec<PathBuf>,
    /// What stays because of another profile.
    pub(crate) left: Vec<Left>,
}

/// Something that another profile works with, or may work with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Left {
    path: PathBuf,
    profile: String,
    /// Whether the other profile's configuration names it, as opposed to cannot be read.
    #[serde(rename = "named")]
    is_named: bool,
}

impl Left {
    /// A sentence about it.
    pub(crate) fn told(&self, context: &Context) -> String {
        let (path, profile) = (context.shown(&self.path), &self.profile);
        match self.is_named {
            true => format!("Left {path}: the profile {profile} works with it."),
            false => format!(
                "Left {path}: the configuration of the profile {profile} cannot be read, and may name it."
            ),
        }
    }
}

/// Sorts paths into what is to go and what stays.
#[derive(Debug)]
pub(crate) struct Sorting {
    others: Vec<Other>,
    sorted: Belongings,
}

impl Sorting {
    /// With nothing sorted yet.
    pub(crate) fn new(context: &Context) -> Self {
        Self {
            others: Other::all(context),
            sorted: Belongings::default(),
        }
    }

    /// Takes a path of our own, unless another profile has it, too.
    pub(crate) fn take(&mut self, path: PathBuf) {
        self.sort(path, Tie::Certain);
    }

    /// Takes a path that nobody here knows, unless another profile may have it.
    fn take_unknown(&mut self, path: PathBuf) {
        self.sort(path, Tie::Possible);
    }

    fn sort(&mut self, path: PathBuf, enough: Tie) {
        let Belongings { paths, left } = &mut self.sorted;
        if paths.contains(&path) {
            return;
        }
        let ties = self.others.iter().map(|other| (other.tie(&path), other));
        match ties
            .filter(|(tie, _)| *tie >= enough)
            .max_by_key(|(tie, _)| *tie)
        {
            None => paths.push(path),
            Some((tie, other)) => {
                let other = Left {
                    path,
                    profile: other.profile().to_owned(),
                    is_named: tie == Tie::Certain,
                };
                if !left.contains(&other) {
                    left.push(other);
                }
            }
        }
    }

    /// What was sorted.
    pub(crate) fn finish(self) -> Belongings {
        let mut sorted = self.sorted;
        sorted.paths.sort();
        sorted
    }
}

/// What of an instance is there, as far as this extent goes.
pub(crate) fn belongings(context: &Context, extent: Extent) -> Result<Sorting, Failure> {
    let identity = &context.identity;
    let workspace = context.instance()?.workspace;
    let mut sorting = Sorting::new(context);
    let config = &identity.config_path;
    let beside = config.parent().map(entries).unwrap_or_default();
    for path in beside.into_iter().filter(|path| is_config(path, config)) {
        sorting.take(path);
    }
    for path in entries(&identity.state_dir) {
        if workspace.starts_with(&path) {
            continue;
        }
        match part(&path) {
            Part::Config => sorting.take(path),
            Part::Conversations if extent >= Extent::Conversations => sorting.take(path),
            Part::Known if extent >= Extent::State => sorting.take(path),
            Part::Unknown if extent >= Extent::State => sorting.take_unknown(path),
            Part::Conversations | Part::Known | Part::Unknown | Part::Lock | Part::Workplace => {}
        }
    }
    if extent >= Extent::All && workspace.exists() {
        sorting.take(workspace);
    }
    Ok(sorting)
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
    Known,
    /// A folder that may be anybody's.
    Unknown,
    Lock,
    Workplace,
}

/// What an entry of the state folder is.
fn part(path: &Path) -> Part {
    let Some(name) = name(path) else {
        return Part::Unknown;
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
        name if FOLDERS.contains(&name) => Part::Known,
        _ if path.is_dir() => Part::Unknown,
        _ => Part::Known,
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
        let found = belongings(&context, extent).unwrap().finish();
        found.paths.iter().map(relative).collect()
    }

    #[test]
    fn what_other_profiles_name_is_left_with_a_word() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join(".openclaw");
        for folder in ["lab", "deep/agent", "logs", "linked", "stuff"] {
            fs::create_dir_all(state.join(folder)).unwrap();
        }
        fs::write(state.join("openclaw.json"), "{}").unwrap();
        std::os::unix::fs::symlink(state.join("linked"), home.path().join("link")).unwrap();
        let other = |name: &str, text: &str| {
            let folder = home.path().join(format!(".openclaw-{name}"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("openclaw.json"), text).unwrap();
        };
        other("a", "{agents: {defaults: {workspace: '~/.openclaw/lab'}}}");
        other(
            "b",
            "{agents: {list: [{id: 'x', workspace: '~/.openclaw/deep/agent/new'}]}}",
        );
        other("c", "{canvasHost: {root: '~/link/canvas'}}");
        let told = |extent| {
            let context = in_home(home.path(), &[]);
            let left = belongings(&context, extent).unwrap().finish().left;
            let told: Vec<String> = left.iter().map(|left| left.told(&context)).collect();
            told
        };
        assert_eq!(
            found(home.path(), Extent::State),
            ["logs", "openclaw.json", "stuff"]
        );
        let expected = [
            "Left ~/.openclaw/deep: the profile b works with it.",
            "Left ~/.openclaw/lab: the profile a works with it.",
            "Left ~/.openclaw/linked: the profile c works with it.",
        ];
        assert_eq!(told(Extent::State), expected);
        assert!(told(Extent::Conversations).is_empty());

        // One that cannot be read may name what is not known here.
        other("broken", "{agents: ");
        assert_eq!(found(home.path(), Extent::State), ["logs", "openclaw.json"]);
        let told = told(Extent::State);
        let of_broken = "Left ~/.openclaw/stuff: the configuration of the profile broken cannot be read, and may name it.";
        assert!(told.iter().any(|told| told == of_broken), "{told:?}");
        assert_eq!(told.len(), 4);
    }

    #[test]
    fn a_workspace_that_two_profiles_share_is_left() {
        let home = tempfile::tempdir().unwrap();
        let shared = "{agents: {defaults: {workspace: '~/shared'}}}";
        for folder in [".openclaw", ".openclaw-a", "shared"] {
            fs::create_dir(home.path().join(folder)).unwrap();
        }
        for folder in [".openclaw", ".openclaw-a"] {
            fs::write(home.path().join(folder).join("openclaw.json"), shared).unwrap();
        }
        for profile in ["default", "a"] {
            let context = in_home(home.path(), &[("OPENCLAW_PROFILE", profile)]);
            let sorted = belongings(&context, Extent::All).unwrap().finish();
            let workspace = home.path().join("shared");
            assert!(!sorted.paths.contains(&workspace), "{sorted:?}");
            assert!(
                sorted.left.iter().any(|left| left.path == workspace),
                "{sorted:?}"
            );
        }
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
