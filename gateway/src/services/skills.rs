//! What agents can be taught: `SKILL.md` files in the workspace and in the state folder, and whether this machine has what
//! each asks for.
//!
//! Everything is bounded (folders, sizes), links are not followed, and a file that cannot be read is left out with a line in the
//! log. Looking blocks as long as the file system does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use openclaw_shared::instance::{Environment, Identity};
use openclaw_shared::protocol::params::skills::{
    SkillConfigCheck, SkillInstaller, SkillRequirements, SkillRow, SkillsStatusReply,
};
use serde_json::Value;

use crate::services::beneath::Folder;
use crate::settings::Settings;
use crate::settings::catalog::Catalog;

mod front_matter;

use front_matter::Skill;

/// Skills of one folder at most.
const MOST_SKILLS: usize = 500;
/// The largest file that is read, in bytes.
const LARGEST_FILE: u64 = 256 * 1024;
const FILE: &str = "SKILL.md";

/// What a skill may ask of this machine.
pub(crate) struct Machine<'a> {
    /// The folders of programs.
    pub(crate) path: Vec<PathBuf>,
    pub(crate) environment: &'a Environment,
    /// The system, as skills name it.
    pub(crate) os: &'static str,
}

impl<'a> Machine<'a> {
    /// This machine, as the environment shows it.
    pub(crate) fn of(environment: &'a Environment) -> Self {
        let path = environment.get("PATH").unwrap_or_default();
        Self {
            path: std::env::split_paths(&path)
                .filter(|folder| folder.is_absolute())
                .collect(),
            environment,
            os: match std::env::consts::OS {
                "macos" => "darwin",
                "windows" => "win32",
                other => other,
            },
        }
    }

    fn has_program(&self, name: &str) -> bool {
        let is_plain = !name.is_empty() && !name.contains(['/', '\\', '\0']);
        is_plain
            && self
                .path
                .iter()
                .any(|folder| is_executable(&folder.join(name)))
    }
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok()
}

/// The skills of the default agent. Reads files.
pub(crate) fn status(
    settings: &Settings,
    identity: &Identity,
    machine: &Machine<'_>,
) -> SkillsStatusReply {
    let workspace = settings.catalog.workspace(settings.default_agent(), true);
    SkillsStatusReply {
        workspace_dir: identity.display(&workspace),
        managed_skills_dir: identity.display(&settings.catalog.managed_skills()),
        skills: of(settings, machine, &workspace, &|path| {
            identity.display(path)
        }),
    }
}

/// The skills that an agent can use, with the whole paths of their files. Reads files.
pub(crate) fn ready(settings: &Settings, machine: &Machine<'_>, agent: &str) -> Vec<SkillRow> {
    let is_default = agent == settings.default_agent();
    let workspace = settings.catalog.workspace(agent, is_default);
    let mut skills = of(settings, machine, &workspace, &|path| {
        path.display().to_string()
    });
    skills.retain(|skill| skill.eligible);
    skills
}

/// Those of all agents and those of a workspace, by name.
fn of(
    settings: &Settings,
    machine: &Machine<'_>,
    workspace: &Path,
    shown: &dyn Fn(&Path) -> String,
) -> Vec<SkillRow> {
    let mut skills = BTreeMap::new();
    for (folder, source) in [
        (settings.catalog.managed_skills(), "openclaw-managed"),
        (workspace.join("skills"), "openclaw-workspace"),
    ] {
        for (name, skill) in find(&folder) {
            let base = folder.join(&name);
            let place = Place {
                source,
                file_path: shown(&base.join(FILE)),
                base_dir: shown(&base),
            };
            // The workspace comes last: what it brings replaces what has the same name.
            skills.insert(
                skill.name.clone(),
                judge(skill, place, &settings.catalog, machine),
            );
        }
    }
    skills.into_values().collect()
}

/// The programs that skills ask for, sorted; nodes are asked which of them they have. Reads files.
pub(crate) fn bins(settings: &Settings) -> Vec<String> {
    bins_of(settings, settings.default_agent())
}

/// The programs that the skills of an agent ask for, sorted. Reads files.
pub(crate) fn bins_of(settings: &Settings, agent: &str) -> Vec<String> {
    let is_default = agent == settings.default_agent();
    let workspace = settings.catalog.workspace(agent, is_default);
    let mut bins: Vec<String> = [settings.catalog.managed_skills(), workspace.join("skills")]
        .iter()
        .flat_map(|folder| find(folder))
        .flat_map(|(_, skill)| {
            let installed = skill
                .install
                .into_iter()
                .flat_map(|installer| installer.bins);
            let asked = skill
                .requirements
                .bins
                .into_iter()
                .chain(skill.requirements.any_bins);
            asked.chain(installed).collect::<Vec<_>>()
        })
        .map(|bin| bin.trim().to_owned())
        .filter(|bin| !bin.is_empty())
        .collect();
    bins.sort();
    bins.dedup();
    bins
}

fn find(folder: &Path) -> Vec<(String, Skill)> {
    let Some(opened) = Folder::open(folder) else {
        return Vec::new();
    };
    let skill = |name: String| {
        let bytes = opened.folder(&name)?.read(FILE, LARGEST_FILE)?;
        match front_matter::read(&String::from_utf8_lossy(&bytes), &name) {
            Ok(skill) => Some((name, skill)),
            Err(why) => {
                tracing::warn!(target: "skills", skill = name, why, "a skill is left out");
                None
            }
        }
    };
    opened
        .names(MOST_SKILLS)
        .into_iter()
        .filter_map(skill)
        .collect()
}

struct Place {
    source: &'static str,
    file_path: String,
    base_dir: String,
}

fn judge(skill: Skill, place: Place, catalog: &Catalog, machine: &Machine<'_>) -> SkillRow {
    let settings = catalog.skills.get(&skill.key).cloned().unwrap_or_default();
    let asks = skill.requirements;
    let has_env = |name: &String| {
        machine
            .environment
            .get(name)
            .is_some_and(|value| !value.is_empty())
            || settings.env.contains(name)
            || (settings.has_api_key && skill.primary_env.as_ref() == Some(name))
    };
    let checks: Vec<SkillConfigCheck> = asks
        .config
        .iter()
        .map(|path| {
            let value = value_at(&catalog.values, path);
            SkillConfigCheck {
                path: path.clone(),
                value: value.cloned(),
                satisfied: value.is_some_and(is_truthy),
            }
        })
        .collect();
    let without = |names: &[String], has: &dyn Fn(&String) -> bool| -> Vec<String> {
        names.iter().filter(|name| !has(name)).cloned().collect()
    };
    let has_one =
        asks.any_bins.is_empty() || asks.any_bins.iter().any(|bin| machine.has_program(bin));
    let has_os = asks.os.is_empty() || asks.os.iter().any(|os| os == machine.os);
    let missing = SkillRequirements {
        bins: without(&asks.bins, &|bin| machine.has_program(bin)),
        any_bins: if has_one {
            Vec::new()
        } else {
            asks.any_bins.clone()
        },
        env: without(&asks.env, &has_env),
        config: checks
            .iter()
            .filter(|check| !check.satisfied)
            .map(|check| check.path.clone())
            .collect(),
        os: if has_os { Vec::new() } else { asks.os.clone() },
    };
    let has_all = skill.always || missing == SkillRequirements::default();
    SkillRow {
        name: skill.name,
        description: skill.description,
        source: place.source.to_owned(),
        file_path: place.file_path,
        base_dir: place.base_dir,
        skill_key: skill.key,
        primary_env: skill.primary_env,
        emoji: skill.emoji,
        homepage: skill.homepage,
        always: skill.always,
        disabled: settings.is_disabled,
        // The list concerns skills that come with an installation, and none does.
        blocked_by_allowlist: false,
        eligible: has_all && !settings.is_disabled,
        requirements: asks,
        missing,
        config_checks: checks,
        install: skill.install,
    }
}

fn value_at<'a>(values: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.')
        .try_fold(values, |value, key| value.get(key))
        .filter(|value| !value.is_null())
}

fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is_on) => *is_on,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// An installer that a skill names.
fn installer(value: &Value, at: usize) -> Option<SkillInstaller> {
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let kind = text("kind")?;
    let bins = front_matter::texts(value.get("bins"));
    Some(SkillInstaller {
        id: text("id").unwrap_or_else(|| format!("{kind}-{at}")),
        label: text("label").unwrap_or_else(|| format!("Install {} ({kind})", bins.join(", "))),
        kind,
        bins,
    })
}

#[cfg(test)]
mod tests;
