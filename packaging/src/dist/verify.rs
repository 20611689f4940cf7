//! The slow check: the package in a clean Debian tree, where nothing else is, and the container image that is made of both.
//!
//! debootstrap makes the tree once and each check uses a copy. What happens then is scripts (`packaging/verify-deb`, inside the
//! tree, and `packaging/verify-image`), which run in namespaces of their own, so that no process and no mount outlives them.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Release;
use super::product::Product;
use crate::{command, report, workspace};

/// Where the tree comes from.
#[derive(clap::Args)]
#[group(id = "clean-tree")]
pub(crate) struct Args {
    /// The release of Debian to install into
    #[arg(long, value_name = "NAME", default_value = "bookworm")]
    suite: String,

    /// The mirror to get it from
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://deb.debian.org/debian"
    )]
    mirror: String,
}

/// Installs the package into a clean tree below `work`, uses it, and takes it away again.
pub(crate) fn run(args: &Args, work: &Path, release: &Release, product: &Product) -> Result<()> {
    if command::output(Command::new("id").arg("-u"))?.trim() != "0" {
        bail!("only root can make a clean Debian tree");
    }
    fs::create_dir_all(work).with_context(|| format!("cannot create {}", work.display()))?;
    let base = work.join(&args.suite);
    if !base.exists() {
        let fresh = work.join(format!("{}.new", args.suite));
        remove(&fresh)?;
        let mut debootstrap = Command::new("debootstrap");
        debootstrap.args(["--variant=minbase", &args.suite]);
        command::run(debootstrap.arg(&fresh).arg(&args.mirror))
            .context("the package debootstrap is needed, and a mirror of Debian")?;
        fs::rename(&fresh, &base).context("the tree gets its name when it is whole")?;
    }
    let root = work.join("root");
    remove(&root)?;
    let mut copy = Command::new("cp");
    command::run(
        copy.args(["--archive", "--reflink=auto"])
            .arg(&base)
            .arg(&root),
    )?;
    let mut copy = Command::new("cp");
    command::run(
        copy.arg("--recursive")
            .arg(&release.folder)
            .arg(root.join("release")),
    )?;
    fs::copy(
        workspace::root().join("packaging/verify-deb"),
        root.join("verify-deb"),
    )
    .context("the script goes in")?;

    let mut inside = apart();
    inside
        .arg("chroot")
        .arg(&root)
        .args(["/bin/bash", "/verify-deb"]);
    inside.args(["/release", &product.version, &free_port()?.to_string()]);
    // What this person has set is not what a clean machine has.
    inside.env_clear().env(
        "PATH",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    );
    command::run(&mut inside)?;
    remove(&root)?;
    report::answer(&format!("The package holds in {} (minbase).", args.suite));
    if command::succeeds(Command::new("buildah").arg("--version")) {
        image(&base, &work.join("image"), release)
    } else {
        report::answer("The container image was not built: the package buildah is not installed.");
        Ok(())
    }
}

/// Builds and runs the container image, on the tree `base`.
fn image(base: &Path, work: &Path, release: &Release) -> Result<()> {
    let source = workspace::root();
    let mut script = apart();
    script
        .arg("--mount-proc")
        .arg(source.join("packaging/verify-image"));
    command::run(
        script
            .arg(source)
            .args([&release.folder, base, work])
            .arg(free_port()?.to_string()),
    )?;
    report::answer("The container image holds, built on that tree and started.");
    Ok(())
}

/// Runs what follows with mounts and processes of its own, which end with it.
fn apart() -> Command {
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--pid", "--fork", "--kill-child"]);
    unshare
}

fn remove(folder: &Path) -> Result<()> {
    match folder.exists() {
        true => fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display())),
        false => Ok(()),
    }
}

/// A base port that is free together with the ports that are derived from it.
fn free_port() -> Result<u16> {
    for _ in 0..64 {
        let any = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a port of this machine")?;
        let base = any.local_addr().context("the port that was given")?.port();
        let is_free = |port: Option<u16>| {
            port.is_some_and(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        };
        if is_free(base.checked_add(2)) && is_free(base.checked_add(4)) {
            return Ok(base);
        }
    }
    bail!("no three ports of this machine are free");
}
