//! The licences of the crates that are linked into the programs, as one text.
//!
//! Their authors ask for one thing: that whoever gets the programs gets the notices. Texts that many share are there once.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::product::{Crate, Product};

/// How the files begin that a crate keeps its licences in.
const NAMES: [&str; 6] = [
    "licen",
    "copying",
    "copyright",
    "notice",
    "unlicense",
    "authors",
];

/// The whole text.
pub(crate) fn text(product: &Product) -> Result<String> {
    let mut text = format!(
        "OpenClaw {} is built from these crates, each under the licence named with it.\n\
         Their texts follow. The Rust standard library is built in too, under MIT OR Apache-2.0;\n\
         SQLite, which comes with libsqlite3-sys, is in the public domain.\n\n",
        product.version
    );
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for one in &product.crates {
        let name = format!("{} {}", one.name, one.version);
        let license = one.license.as_deref().unwrap_or("see its text");
        let repository = one.repository.as_deref().unwrap_or("");
        let line = format!("{name:<40} {license}  {repository}");
        writeln!(text, "{}", line.trim_end())?;
        for found in licences(one)? {
            texts.entry(found).or_default().push(name.clone());
        }
    }
    // By who comes first, not by what the texts begin with.
    let mut texts: Vec<(Vec<String>, String)> =
        texts.into_iter().map(|(text, used)| (used, text)).collect();
    texts.sort();
    for (used, one) in texts {
        let rule = "-".repeat(78);
        write!(text, "\n{rule}\n{}\n{rule}\n\n{one}\n", used.join(", "))?;
    }
    Ok(text)
}

/// The licence texts that lie in a crate's folder.
fn licences(one: &Crate) -> Result<Vec<String>> {
    let folder = one.manifest_path.parent().unwrap_or(Path::new("/"));
    let unreadable = || format!("cannot read {}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        let name = entry.file_name().to_string_lossy().to_lowercase();
        let is_text = !name.ends_with(".rs") && !name.ends_with(".toml");
        if is_text && NAMES.iter().any(|start| name.starts_with(start)) && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    let mut texts = Vec::new();
    for file in files {
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        texts.push(plain(&String::from_utf8_lossy(&bytes)));
    }
    Ok(texts)
}

/// A text without what differs between editors, so that equal texts are equal.
fn plain(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::product::Product;
    use super::{plain, text};

    #[test]
    fn every_crate_is_named_and_shared_texts_are_there_once() {
        let product = Product::from_workspace(None).unwrap();
        let text = text(&product).unwrap();
        for one in &product.crates {
            assert!(text.contains(&format!("{} {}", one.name, one.version)));
        }
        let apache = "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION";
        let apaches = text.matches(apache).count();
        assert!(
            (1..product.crates.len() / 4).contains(&apaches),
            "{apaches}"
        );
    }

    #[test]
    fn editors_do_not_make_texts_differ() {
        assert_eq!(plain("\r\nMIT \r\n\r\nFree\r\n\r\n"), "MIT\n\nFree");
    }
}
