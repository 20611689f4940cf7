//! A release: archive, Debian package, install script, checksums, and a table of sizes, in `target/dist`.
//!
//! Both packages are one tree (`tree.rs`), wrapped in two ways. What packs is what Debian has on every machine that builds
//! packages: tar, gzip, dpkg-deb and dpkg-shlibdeps.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{command, peer, report, workspace};

mod archive;
mod debian;
mod notices;
mod product;
mod sizes;
mod tree;
mod verify;

use product::{MAIN, Product};
use tree::Source;

/// Flags of the chore.
#[derive(clap::Args)]
#[group(id = "release")]
pub(crate) struct Args {
    /// Pack the release binaries as they are, without building them
    #[arg(long)]
    no_build: bool,

    /// Put the release into this folder, which is emptied first [default: target/dist]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,

    /// Date everything with this second since 1970 [default: midnight of the version's date]
    #[arg(long, value_name = "SECONDS", env = "SOURCE_DATE_EPOCH")]
    date: Option<i64>,

    /// Install the peer as well, to print its size beside ours
    #[arg(long)]
    compare_peer: bool,

    #[command(flatten)]
    peer: peer::Args,

    /// Install the Debian package into a clean Debian tree, use it, remove it (as root; fetches from a mirror of Debian)
    #[arg(long)]
    verify: bool,

    #[command(flatten)]
    clean: verify::Args,
}

/// What a release consists of.
struct Release {
    folder: PathBuf,
    archive: PathBuf,
    package: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if !args.no_build {
        // The default members are the product; their binaries are what is packed.
        command::run(workspace::cargo().args(["build", "--release", "--locked", "--bins"]))?;
    }
    let target = workspace::target_dir()?;
    let built = target.join("release");
    let out = args.out.clone().unwrap_or_else(|| target.join("dist"));
    let product = Product::from_workspace(args.date)?;
    let source = Source {
        writer: built.join(MAIN),
        notices: notices::text(&product)?,
        programs: built.clone(),
    };
    let release = pack(&out, &source, &product)?;
    let peer = match args.compare_peer {
        true => Some(peer::install(&args.peer.dir()?)?),
        false => None,
    };
    report::answer(&sizes::table(&built, &product, &release, peer.as_deref())?);
    report::answer(&format!("The release is in {}.", out.display()));
    if args.verify {
        verify::run(&args.clean, &target.join("dist-verify"), &release, &product)?;
    }
    Ok(())
}

/// Packs a release into the folder `out`.
fn pack(out: &Path, source: &Source, product: &Product) -> Result<Release> {
    let cannot = || format!("cannot make {} a new folder", out.display());
    if out.exists() {
        fs::remove_dir_all(out).with_context(cannot)?;
    }
    let work = out.join("work");
    for folder in ["archive", "debian"] {
        fs::create_dir_all(work.join(folder)).with_context(cannot)?;
    }
    // The tools are started in folders of their own, so the names have to be whole.
    let out = &out.canonicalize().with_context(cannot)?;
    let work = out.join("work");
    report::step("packing the archive");
    let archive = archive::make(out, &work.join("archive"), source, product)?;
    report::step("packing the Debian package");
    let package = debian::make(out, &work.join("debian"), source, product)?;
    fs::remove_dir_all(&work).with_context(cannot)?;
    finish(out)?;
    Ok(Release {
        folder: out.clone(),
        archive,
        package,
    })
}

/// Puts the install script beside what is packed, and says what everything must be.
fn finish(out: &Path) -> Result<()> {
    let script = out.join(archive::INSTALL);
    fs::copy(workspace::root().join("packaging/install.sh"), &script)
        .with_context(|| format!("cannot write {}", script.display()))?;
    let mut sums = Command::new("sha256sum");
    sums.current_dir(out).arg("--");
    for file in tree::files_in(out)? {
        sums.args(file.file_name());
    }
    tree::write(out, "SHA256SUMS", command::output(&mut sums)?.as_bytes())
}

#[cfg(test)]
mod tests;
