//! What is packed: which programs, of which version, for which machines; and the crates that are linked into them.
//!
//! All of it is what cargo says of the workspace, so that a new program is packed as soon as it is a default member.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::{command, workspace};

/// The program that people call; the others lie beside it.
pub(crate) const MAIN: &str = "openclaw";

/// One release for one kind of machine.
#[derive(Debug, Clone)]
pub(crate) struct Product {
    /// The version of the workspace, which is the date it was made for.
    pub(crate) version: String,
    /// The processor, as Rust calls it.
    pub(crate) arch: String,
    /// The names of all programs, sorted.
    pub(crate) programs: Vec<String>,
    /// The crates that are linked into them, without our own.
    pub(crate) crates: Vec<Crate>,
    /// The moment that everything in a package is dated with, in seconds since 1970, so that the same programs make the
    /// same package.
    pub(crate) epoch: i64,
}

/// A crate of somebody else.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Crate {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    pub(crate) repository: Option<String>,
    /// Its `Cargo.toml`, beside which the licence texts lie.
    pub(crate) manifest_path: PathBuf,
}

impl Product {
    /// What cargo says of this workspace, on this machine. Where no date is given, it is midnight of the version's.
    pub(crate) fn from_workspace(epoch: Option<i64>) -> Result<Self> {
        let metadata = metadata()?;
        let members: BTreeSet<&str> = metadata
            .workspace_default_members
            .iter()
            .map(String::as_str)
            .collect();
        let ours: Vec<&Package> = metadata
            .packages
            .iter()
            .filter(|package| members.contains(package.id.as_str()))
            .collect();
        let mut programs: Vec<String> = ours
            .iter()
            .flat_map(|package| &package.targets)
            .filter(|target| target.kind.iter().any(|kind| kind == "bin"))
            .map(|target| target.name.clone())
            .collect();
        programs.sort();
        let version = ours
            .iter()
            .find(|package| package.about.name == MAIN)
            .map(|package| package.about.version.clone())
            .with_context(|| format!("the workspace has no package {MAIN}"))?;
        Ok(Self {
            epoch: epoch.map_or_else(|| midnight(&version), Ok)?,
            version,
            arch: std::env::consts::ARCH.to_owned(),
            programs,
            crates: linked(&metadata, &members),
        })
    }

    /// The name of a release and of the folder in its archive: `openclaw-2026.11.22-x86_64-linux`.
    pub(crate) fn name(&self) -> String {
        format!("{MAIN}-{}-{}-linux", self.version, self.arch)
    }
}

/// Midnight of the date that a version begins with.
fn midnight(version: &str) -> Result<i64> {
    let numbers: Vec<&str> = version.split(['.', '-', '+']).collect();
    let [year, month, day, ..] = numbers[..] else {
        bail!("the version {version} does not begin with a date");
    };
    let date = jiff::civil::Date::new(year.parse()?, month.parse()?, day.parse()?)
        .with_context(|| format!("the version {version} does not begin with a date"))?;
    let moment = date.to_zoned(jiff::tz::TimeZone::UTC)?.timestamp();
    Ok(moment.as_second())
}

/// Every crate that the members' programs are linked with, or made by: whatever is reached without going through the needs of
/// tests and build scripts.
fn linked(metadata: &Metadata, members: &BTreeSet<&str>) -> Vec<Crate> {
    let nodes: BTreeMap<&str, &Node> = metadata
        .resolve
        .nodes
        .iter()
        .map(|node| (node.id.as_str(), node))
        .collect();
    let mut reached: BTreeSet<&str> = BTreeSet::new();
    let mut next: Vec<&str> = members.iter().copied().collect();
    while let Some(id) = next.pop() {
        if reached.insert(id) {
            let needs = nodes.get(id).into_iter().flat_map(|node| &node.deps);
            let linked = needs.filter(|need| need.dep_kinds.iter().any(|one| one.kind.is_none()));
            next.extend(linked.map(|need| need.pkg.as_str()));
        }
    }
    let mut crates: Vec<Crate> = metadata
        .packages
        .iter()
        .filter(|package| package.source.is_some() && reached.contains(package.id.as_str()))
        .map(|package| package.about.clone())
        .collect();
    crates.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    crates
}

/// The parts of `cargo metadata` that are read here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_default_members: Vec<String>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    source: Option<String>,
    targets: Vec<Target>,
    #[serde(flatten)]
    about: Crate,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Need>,
}

#[derive(Deserialize)]
struct Need {
    pkg: String,
    dep_kinds: Vec<NeedKind>,
}

#[derive(Deserialize)]
struct NeedKind {
    /// `None` is an ordinary dependency; the others are called "dev" and "build".
    kind: Option<String>,
}

fn metadata() -> Result<Metadata> {
    let about = command::output(Command::new("rustc").arg("-vV"))?;
    let host = about
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc does not say which machine this is")?;
    let text = command::output(workspace::cargo().args([
        "metadata",
        "--locked",
        "--format-version",
        "1",
        "--filter-platform",
        host,
    ]))?;
    serde_json::from_str(&text).context("cannot read what `cargo metadata` says")
}

#[cfg(test)]
mod tests {
    use super::{MAIN, Product, midnight};

    #[test]
    fn the_programs_are_those_of_the_product() {
        let product = Product::from_workspace(None).unwrap();
        for name in [MAIN, "openclaw-gateway", "openclaw-node-host"] {
            assert!(
                product.programs.iter().any(|program| program == name),
                "{name} is missing: {product:?}"
            );
        }
        for name in ["xtask", "bench", "openclaw-test-stub"] {
            assert!(!product.programs.iter().any(|program| program == name));
        }
    }

    #[test]
    fn what_only_tests_and_chores_need_is_not_linked() {
        let product = Product::from_workspace(None).unwrap();
        let has = |name: &str| product.crates.iter().any(|one| one.name == name);
        assert!(has("tokio") && has("rusqlite"));
        assert!(!has("proptest"));
        assert!(!has("openclaw-shared"), "our own crates are not foreign");
    }

    #[test]
    fn a_version_is_a_date() {
        assert_eq!(midnight("2026.11.22").unwrap(), 1_795_305_600);
        assert_eq!(midnight("2026.11.22-rc.1").unwrap(), 1_795_305_600);
        assert!(midnight("1.2").is_err());
        assert!(midnight("2026.13.1").is_err());
    }
}
