//! How large a release is: each program, what is downloaded, what is on the disk then, and the peer beside it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::Release;
use super::product::Product;
use crate::command;

/// The table, as text for a person. `peer` is the folder of the peer's package.
pub(crate) fn table(
    built: &Path,
    product: &Product,
    release: &Release,
    peer: Option<&Path>,
) -> Result<String> {
    let mut rows = Vec::new();
    let mut programs = 0;
    for name in &product.programs {
        let size = size(&built.join(name))?;
        programs += size;
        rows.push((name.clone(), size));
    }
    rows.push(("all programs".to_owned(), programs));
    rows.push(("archive (tar.gz)".to_owned(), size(&release.archive)?));
    rows.push(("Debian package".to_owned(), size(&release.package)?));
    rows.push(("installed from it".to_owned(), installed(&release.package)?));
    if let Some(package) = peer {
        // Its dependencies lie beside it, in `node_modules`, and it needs a Node.
        let modules = package.parent().unwrap_or(package);
        rows.push(("peer, installed from npm".to_owned(), below(modules)?));
        let node = modules.ancestors().nth(2).map(|dir| dir.join("node"));
        if let Some(node) = node.filter(|dir| dir.exists()) {
            rows.push(("peer's Node".to_owned(), below(&node)?));
        }
    }
    let mut text = String::new();
    for (what, bytes) in rows {
        writeln!(text, "{what:<28}{:>10} MB", megabytes(bytes))?;
    }
    Ok(text.trim_end().to_owned())
}

fn size(file: &Path) -> Result<u64> {
    let about = fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(about.len())
}

/// What the package says that it takes on the disk.
fn installed(package: &Path) -> Result<u64> {
    let mut dpkg = Command::new("dpkg-deb");
    let said = command::output(dpkg.arg("--field").arg(package).arg("Installed-Size"))?;
    let kibibytes: u64 = said.trim().parse().context("the package has no size")?;
    Ok(kibibytes * 1024)
}

/// All bytes in the files below a folder.
fn below(folder: &Path) -> Result<u64> {
    let mut du = Command::new("du");
    let said = command::output(
        du.args(["--summarize", "--apparent-size", "--bytes"])
            .arg(folder),
    )?;
    let number = said.split_whitespace().next().unwrap_or_default();
    number.parse().context("du says how much it is")
}

/// Millions of bytes, with one decimal.
fn megabytes(bytes: u64) -> String {
    let tenths = bytes.saturating_add(50_000) / 100_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::megabytes;

    #[test]
    fn sizes_are_rounded_to_a_tenth_of_a_million() {
        assert_eq!(megabytes(0), "0.0");
        assert_eq!(megabytes(29_033_736), "29.0");
        assert_eq!(megabytes(29_050_000), "29.1");
    }
}
