//! What an installation is made of, as a tree below one prefix. The archive and the Debian package are this tree, wrapped.
//!
//! The programs lie together in `lib/openclaw`, because `openclaw` looks for the others beside itself; `bin/openclaw` is a link.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::product::{MAIN, Product};
use crate::command;

/// Whose customs the tree follows where they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `/usr/local`, `~/.local`: what whoever installs by hand uses.
    Plain,
    /// `/usr` of Debian.
    Debian,
}

impl Layout {
    /// Where zsh looks for completions that do not come with it.
    const fn zsh(self) -> &'static str {
        match self {
            Self::Plain => "share/zsh/site-functions/_openclaw",
            Self::Debian => "share/zsh/vendor-completions/_openclaw",
        }
    }
}

/// The folder of the programs, below the prefix.
pub(crate) const PROGRAMS: &str = "lib/openclaw";
/// The folder of what people read, below the prefix.
pub(crate) const DOCUMENTS: &str = "share/doc/openclaw";
/// The folder of the manual pages, below the prefix.
pub(crate) const PAGES: &str = "share/man/man1";

/// Where the parts of a release come from.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The folder of the programs.
    pub(crate) programs: PathBuf,
    /// The program that writes completions and manual pages: the one that people call, so that they fit it.
    pub(crate) writer: PathBuf,
    /// The licences of what is built in.
    pub(crate) notices: String,
}

/// Puts programs, completions and manual pages below `prefix`.
pub(crate) fn stage(
    prefix: &Path,
    source: &Source,
    product: &Product,
    layout: Layout,
) -> Result<()> {
    let programs = folder(prefix, PROGRAMS)?;
    for name in &product.programs {
        let built = source.programs.join(name);
        let place = programs.join(name);
        fs::copy(&built, &place)
            .with_context(|| format!("cannot copy {}; was it built?", built.display()))?;
        fs::set_permissions(&place, Permissions::from_mode(0o755))
            .with_context(|| format!("cannot make {} executable", place.display()))?;
    }
    let link = folder(prefix, "bin")?.join(MAIN);
    symlink(format!("../{PROGRAMS}/{MAIN}"), &link)
        .with_context(|| format!("cannot make the link {}", link.display()))?;

    for (shell, place) in [
        ("bash", "share/bash-completion/completions/openclaw"),
        ("zsh", layout.zsh()),
        ("fish", "share/fish/vendor_completions.d/openclaw.fish"),
    ] {
        let script = command::output(own(&source.writer, prefix).args(["completion", shell]))?;
        write(prefix, place, script.as_bytes())?;
    }
    let pages = folder(prefix, PAGES)?;
    let mut writer = own(&source.writer, prefix);
    command::output(writer.arg("man").arg("--to").arg(&pages))?;
    compress(&files_in(&pages)?)
}

/// The program itself, which must not see what this person has configured.
fn own(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("HOME", home).current_dir(home);
    command
}

/// Writes a file below the prefix, with the folders that lead to it.
pub(crate) fn write(prefix: &Path, place: &str, bytes: &[u8]) -> Result<()> {
    let path = prefix.join(place);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)
            .with_context(|| format!("cannot create {}", parent.display()))?;
    }
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn folder(prefix: &Path, place: &str) -> Result<PathBuf> {
    let path = prefix.join(place);
    fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
    Ok(path)
}

/// Compresses files in place, as `man` and Debian want it: the same bytes every time.
pub(crate) fn compress(files: &[PathBuf]) -> Result<()> {
    let mut gzip = Command::new("gzip");
    command::output(gzip.args(["--no-name", "--best", "--"]).args(files))?;
    Ok(())
}

/// The files of one folder, sorted.
pub(crate) fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = || format!("cannot read {}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        files.push(entry.with_context(unreadable)?.path());
    }
    files.sort();
    Ok(files)
}

/// Gives everything below `root` the modes and the date that it is to have wherever it was made. `executables` are the files,
/// below `root`, that may be executed; what lies in a folder of that name may be too.
pub(crate) fn settle(root: &Path, executables: &[&str], epoch: i64) -> Result<()> {
    settle_modes(root, root, executables)?;
    let mut find = Command::new("find");
    find.arg(root).args(["-exec", "touch", "--no-dereference"]);
    command::output(find.arg(format!("--date=@{epoch}")).args(["{}", "+"]))?;
    Ok(())
}

fn settle_modes(root: &Path, path: &Path, executables: &[&str]) -> Result<()> {
    let unreadable = || format!("cannot read {}", path.display());
    let kind = fs::symlink_metadata(path).with_context(unreadable)?;
    if kind.is_symlink() {
        return Ok(());
    }
    let place = path.strip_prefix(root).unwrap_or(path);
    let executable = executables.iter().any(|one| place.starts_with(one));
    let mode = match kind.is_dir() || executable {
        true => 0o755,
        false => 0o644,
    };
    fs::set_permissions(path, Permissions::from_mode(mode)).with_context(unreadable)?;
    if kind.is_dir() {
        for inner in files_in(path)? {
            settle_modes(root, &inner, executables)?;
        }
    }
    Ok(())
}
