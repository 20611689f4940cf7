//! Where the workspace lies and where cargo puts what it builds.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The folder that holds the workspace's `Cargo.toml`.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("packaging/ is a folder of the workspace")
}

/// `cargo`, in the workspace's folder.
///
/// As if a person ran it: cargo tells the chore about its own package in variables, and some build scripts (ring's) would take
/// those for their own and be run again, with everything that depends on them.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new("cargo");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_about_a_package) {
            command.env_remove(name);
        }
    }
    command.current_dir(root());
    command
}

fn is_about_a_package(variable: &str) -> bool {
    [
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_BIN_",
        "CARGO_CRATE_",
    ]
    .iter()
    .any(|start| variable.starts_with(start))
}

/// The target directory, as cargo itself resolves it from flags, environment and configuration.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let output = cargo()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .context("cannot start `cargo metadata`")?;
    if !output.status.success() {
        bail!(
            "`cargo metadata` failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("cannot read what `cargo metadata` says")?;
    let directory = metadata["target_directory"]
        .as_str()
        .context("`cargo metadata` names no target directory")?;
    Ok(PathBuf::from(directory))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::{is_about_a_package, root};

    #[test]
    fn what_cargo_says_of_the_chore_is_told_apart_from_what_a_person_has_set() {
        for variable in [
            "CARGO_PKG_NAME",
            "CARGO_MANIFEST_DIR",
            "CARGO_MANIFEST_LINKS",
        ] {
            assert!(is_about_a_package(variable), "{variable}");
        }
        for variable in [
            "CARGO_HOME",
            "CARGO_TARGET_DIR",
            "CARGO_INCREMENTAL",
            "PATH",
        ] {
            assert!(!is_about_a_package(variable), "{variable}");
        }
    }

    /// The crates that `[workspace.dependencies]` names.
    fn declared() -> BTreeSet<String> {
        let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let dependencies = manifest["workspace"]["dependencies"].as_table().unwrap();
        dependencies.keys().cloned().collect()
    }

    /// The crates that begin a row of a table in `docs/DEPENDENCIES.md`.
    fn explained() -> BTreeSet<String> {
        let page = fs::read_to_string(root().join("docs/DEPENDENCIES.md")).unwrap();
        let rows = page
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
        rows.map(|(name, _)| name.to_owned()).collect()
    }

    #[test]
    fn every_dependency_is_explained_and_nothing_else_is() {
        assert_eq!(
            explained(),
            declared(),
            "docs/DEPENDENCIES.md (left) and Cargo.toml (right)"
        );
    }
}
