//! The release archive: the tree, with an install script beside it. The same programs make the same bytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::product::Product;
use super::tree::{self, DOCUMENTS, Layout, PROGRAMS, Source};
use crate::{command, workspace};

/// The script that installs an archive, at its root and beside it.
pub(crate) const INSTALL: &str = "install.sh";

/// Makes the archive in the folder `out`, by way of the empty folder `work`.
pub(crate) fn make(out: &Path, work: &Path, source: &Source, product: &Product) -> Result<PathBuf> {
    let name = product.name();
    let root = work.join(&name);
    tree::stage(&root, source, product, Layout::Plain)?;
    let workspace = workspace::root();
    for (from, to) in [
        ("packaging/install.sh", INSTALL),
        ("packaging/archive.md", "README.md"),
        ("LICENSE", "LICENSE"),
    ] {
        tree::write(&root, to, &fs::read(workspace.join(from))?)?;
    }
    for (from, to) in [("LICENSE", "LICENSE"), ("CHANGELOG.md", "CHANGELOG.md")] {
        let place = format!("{DOCUMENTS}/{to}");
        tree::write(&root, &place, &fs::read(workspace.join(from))?)?;
    }
    let place = format!("{DOCUMENTS}/THIRD-PARTY-LICENSES");
    tree::write(&root, &place, source.notices.as_bytes())?;
    tree::settle(&root, &[PROGRAMS, INSTALL], product.epoch)?;

    let archive = out.join(format!("{name}.tar.gz"));
    let mut tar = Command::new("tar");
    tar.arg("--create").arg("--file").arg(&archive);
    // Whoever packs, and in which order the folder was filled, must not show.
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"]);
    tar.args([
        "--format=ustar",
        "--use-compress-program=gzip --no-name --best",
    ]);
    command::output(tar.arg("--directory").arg(work).arg(&name))?;
    Ok(archive)
}
