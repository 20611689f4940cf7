//! What other profiles of this user work with, as their configurations name it.

use std::fs;
use std::path::{Path, PathBuf};

use openclaw_shared::config::Config;
use openclaw_shared::instance::Profile;
use openclaw_shared::paths::StatePaths;

use super::super::context::Context;
use super::resolved;

/// Another profile, and where its things are.
#[derive(Debug)]
pub(super) struct Other {
    profile: String,
    places: Vec<PathBuf>,
    /// Whether its configuration could be read, so that `places` is all of them.
    is_known: bool,
}

/// What another profile has to do with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tie {
    /// Nothing.
    None,
    /// It may work with it: its configuration cannot be read.
    Possible,
    /// It works with it, or with something inside.
    Certain,
}

impl Other {
    /// Every other profile that has a folder in the home.
    pub(super) fn all(context: &Context) -> Vec<Self> {
        let entries = fs::read_dir(&context.identity.home).into_iter().flatten();
        let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        folders.sort();
        let others = folders.iter().filter(|folder| folder.is_dir());
        let others = others.filter_map(|folder| profile(folder));
        others
            .filter(|profile| *profile != context.identity.profile)
            .filter_map(|profile| {
                let name = profile.name().unwrap_or("default");
                let other = context.of_profile(name).ok()?;
                Some(Self::of(name, &other))
            })
            .collect()
    }

    fn of(name: &str, context: &Context) -> Self {
        let identity = &context.identity;
        let mut places = vec![identity.state_dir.clone(), identity.config_path.clone()];
        if let Ok(instance) = context.instance() {
            places.extend([instance.workspace, instance.canvas_root, instance.log_dir]);
        }
        let mut name_of = |config: &Config| {
            let working_dir = context.environment.working_dir();
            let agents = config.agents.list.iter();
            let agents = agents.flat_map(|agent| [&agent.workspace, &agent.agent_dir]);
            let named = agents.chain([
                &config.agents.defaults.workspace,
                &config.canvas_host.root,
                &config.logging.file,
            ]);
            let named = named.flatten();
            places.extend(named.map(|written| identity.expand(written, working_dir)));
        };
        // What was good before the file was broken may still be what it works with.
        name_of(&context.config());
        let broken = context.loaded().as_ref().err();
        if let Some(readable) = broken.and_then(|error| error.readable.as_deref()) {
            name_of(readable);
        }
        Self {
            profile: name.to_owned(),
            places,
            is_known: broken.is_none(),
        }
    }

    /// Its name.
    pub(super) fn profile(&self) -> &str {
        &self.profile
    }

    /// What it has to do with a path.
    pub(super) fn tie(&self, path: &Path) -> Tie {
        let real = resolved(path);
        let lies_inside =
            |place: &PathBuf| place.starts_with(path) || real_of(place).starts_with(&real);
        match (self.places.iter().any(lies_inside), self.is_known) {
            (true, _) => Tie::Certain,
            (false, false) => Tie::Possible,
            (false, true) => Tie::None,
        }
    }
}

/// Where a path leads that need not exist: what is there of it, with its links followed.
fn real_of(path: &Path) -> PathBuf {
    let existing = path.ancestors().find_map(|part| {
        let real = fs::canonicalize(part).ok()?;
        Some(real.join(path.strip_prefix(part).ok()?))
    });
    existing.unwrap_or_else(|| path.to_path_buf())
}

/// The profile whose state folder this would be.
fn profile(folder: &Path) -> Option<Profile> {
    let suffix = folder.file_name()?.to_str()?.strip_prefix(".openclaw")?;
    let name = match suffix.strip_prefix('-') {
        Some("") => return None,
        Some(name) => name,
        // The workspaces of all profiles lie there, also when it is the state of none.
        None if suffix.is_empty() && StatePaths(folder).config().exists() => "",
        None => return None,
    };
    Profile::parse(name).ok()
}
