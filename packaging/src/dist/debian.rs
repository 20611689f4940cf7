//! The Debian package: the tree below `/usr`, and what dpkg wants to know.
//!
//! There are no maintainer scripts and no configuration files, so there is nothing that could go wrong when it is installed,
//! upgraded, removed or purged, and nothing of what people have is ever touched. Services belong to profiles:
//! `openclaw gateway install` writes them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::product::{MAIN, Product};
use super::tree::{self, DOCUMENTS, Layout, PROGRAMS, Source};
use crate::{command, workspace};

/// The revision of the packaging; a version that is packed a second time counts it up.
const REVISION: u32 = 1;
const MAINTAINER: &str = "OpenClaw maintainers <maintainers@openclaw.invalid>";

const DESCRIPTION: &str = "\
Description: personal AI assistant that runs at home: gateway and command line
 The gateway is the always-on part of OpenClaw: it owns the channels, runs the
 turns of agents, and is the one control plane for apps, web pages and devices.
 .
 One small supervisor owns the ports and keeps three processes alive: the
 gateway, the canvas host and browser control. Any of them may be killed, hang
 or be replaced while connections wait.
 .
 Each person, and each profile, has a service of its own; \"openclaw gateway
 install\" writes it.
";

/// Makes the package in the folder `out`, by way of the empty folder `work`.
pub(crate) fn make(out: &Path, work: &Path, source: &Source, product: &Product) -> Result<PathBuf> {
    let root = work.join("root");
    let usr = root.join("usr");
    tree::stage(&usr, source, product, Layout::Debian)?;
    documents(&usr, product, &source.notices)?;
    let control = control(
        product,
        &needed_libraries(work, &usr, product)?,
        kibibytes(&root)?,
    )?;
    let sums = checksums(&root)?;
    tree::write(&root, "DEBIAN/control", control.as_bytes())?;
    tree::write(&root, "DEBIAN/md5sums", sums.as_bytes())?;
    tree::settle(&root, &[&format!("usr/{PROGRAMS}")], product.epoch)?;

    let package = out.join(format!(
        "{MAIN}_{}_{}.deb",
        version(product),
        architecture(product)?
    ));
    let mut dpkg = Command::new("dpkg-deb");
    dpkg.env("SOURCE_DATE_EPOCH", product.epoch.to_string());
    dpkg.args(["--root-owner-group", "--build"]);
    command::output(dpkg.arg(&root).arg(&package)).context("dpkg-deb makes the package")?;
    Ok(package)
}

fn version(product: &Product) -> String {
    format!("{}-{REVISION}", product.version)
}

/// What Debian calls the processor.
fn architecture(product: &Product) -> Result<&'static str> {
    match product.arch.as_str() {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("nobody has said what Debian calls {other}"),
    }
}

fn control(product: &Product, libraries: &str, installed: u64) -> Result<String> {
    Ok(format!(
        "Package: {MAIN}\n\
         Version: {}\n\
         Architecture: {}\n\
         Maintainer: {MAINTAINER}\n\
         Installed-Size: {installed}\n\
         Depends: {libraries}\n\
         Recommends: ca-certificates, tzdata\n\
         Suggests: chromium, dbus-user-session\n\
         Section: net\n\
         Priority: optional\n\
         {DESCRIPTION}",
        version(product),
        architecture(product)?,
    ))
}

/// Which packages have the libraries that the programs are linked with: Debian's own tool knows.
fn needed_libraries(work: &Path, usr: &Path, product: &Product) -> Result<String> {
    // It reads a source package's control file, and wants to find one.
    tree::write(
        work,
        "debian/control",
        b"Source: openclaw\n\nPackage: openclaw\nArchitecture: any\n",
    )?;
    let mut tool = Command::new("dpkg-shlibdeps");
    tool.current_dir(work).arg("-O");
    for name in &product.programs {
        tool.arg(format!("-e{}", usr.join(PROGRAMS).join(name).display()));
    }
    let said = command::output(&mut tool)
        .context("the package dpkg-dev is needed to find out which libraries are")?;
    let needed = said
        .lines()
        .find_map(|line| line.strip_prefix("shlibs:Depends="));
    needed
        .map(str::to_owned)
        .context("dpkg-shlibdeps names no libraries")
}

fn documents(usr: &Path, product: &Product, notices: &str) -> Result<()> {
    let source = workspace::root();
    let license = fs::read_to_string(source.join("LICENSE")).context("cannot read LICENSE")?;
    let changes = fs::read(source.join("CHANGELOG.md")).context("cannot read CHANGELOG.md")?;
    let own = [
        ("changelog", changes),
        ("changelog.Debian", own_changes(product)?.into_bytes()),
        ("THIRD-PARTY-LICENSES", notices.as_bytes().to_vec()),
    ];
    for (name, text) in &own {
        tree::write(usr, &format!("{DOCUMENTS}/{name}"), text)?;
    }
    let compressed: Vec<PathBuf> = own
        .iter()
        .map(|(name, _)| usr.join(DOCUMENTS).join(name))
        .collect();
    tree::compress(&compressed)?;
    let copyright = copyright(&license)?;
    tree::write(usr, &format!("{DOCUMENTS}/copyright"), copyright.as_bytes())
}

/// The copyright file, in Debian's form. `license` is ours, with who holds it in its third line.
fn copyright(license: &str) -> Result<String> {
    let holder = license
        .lines()
        .find_map(|line| line.strip_prefix("Copyright (c) "))
        .context("LICENSE names no holder")?;
    let mut text = format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: OpenClaw\n\
         Comment: The crates that are linked into the programs, and their licences,\n \
         are in THIRD-PARTY-LICENSES.gz beside this file.\n\
         \n\
         Files: *\n\
         Copyright: {holder}\n\
         License: MIT\n"
    );
    let terms = license
        .lines()
        .skip_while(|line| !line.starts_with("Permission "));
    for line in terms {
        text.push_str(match line {
            "" => " .",
            _ => " ",
        });
        text.push_str(line);
        text.push('\n');
    }
    Ok(text)
}

/// What the packaging itself has changed, in Debian's form.
fn own_changes(product: &Product) -> Result<String> {
    let moment = jiff::Timestamp::from_second(product.epoch)?;
    let date = jiff::fmt::rfc2822::to_string(&moment.to_zoned(jiff::tz::TimeZone::UTC))?;
    Ok(format!(
        "{MAIN} ({}) unstable; urgency=medium\n\n  * Built from release {}; see changelog.gz.\n\n -- {MAINTAINER}  {date}\n",
        version(product),
        product.version
    ))
}

/// How much disk the tree takes, in the unit of the control file.
fn kibibytes(root: &Path) -> Result<u64> {
    let said = command::output(
        Command::new("du")
            .args(["--summarize", "--apparent-size", "-k"])
            .arg(root),
    )?;
    let number = said.split_whitespace().next().unwrap_or_default();
    number.parse().context("du says how much it is")
}

/// What `dpkg -V` compares with.
fn checksums(root: &Path) -> Result<String> {
    let mut find = Command::new("find");
    find.current_dir(root).args(["usr", "-type", "f"]);
    let said = command::output(&mut find)?;
    let mut files: Vec<&str> = said.lines().collect();
    files.sort_unstable();
    command::output(
        Command::new("md5sum")
            .current_dir(root)
            .arg("--")
            .args(files),
    )
}
