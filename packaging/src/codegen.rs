//! What is generated from the protocol's types: the JSON Schema, types for TypeScript and Swift, and the pages of the
//! documentation.
//!
//! The types in `shared` are the only source. [`document`] collects them as JSON Schema, [`model`] reads that once into shapes,
//! and each renderer is a pure function from there to a text. The texts are checked in; a test fails when one is stale.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{report, workspace};

mod document;
mod model;
mod page;
mod schema;
mod swift;
mod typescript;

use document::Document;

/// Flags of the chore.
#[derive(clap::Args)]
#[group(id = "codegen")]
pub(crate) struct Args {
    /// Write nothing, and fail when something is stale
    #[arg(long)]
    check: bool,
}

/// A generated file.
struct Artefact {
    /// Where it lies, below the workspace.
    path: &'static str,
    text: String,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let stale = stale(workspace::root());
    if args.check {
        return if stale.is_empty() {
            Ok(())
        } else {
            bail!("{}", complaint(&stale))
        };
    }
    for Artefact { path, text } in &stale {
        let file = workspace::root().join(path);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        report::step(&format!("wrote {path}"));
    }
    Ok(())
}

/// Everything that is generated.
fn artefacts() -> Vec<Artefact> {
    let document = Document::collect();
    vec![
        Artefact {
            path: "docs/protocol/schema.json",
            text: schema::render(&document),
        },
        Artefact {
            path: "docs/protocol/openclaw.d.ts",
            text: typescript::render(&document),
        },
        Artefact {
            path: "docs/protocol/OpenClawProtocol.swift",
            text: swift::render(&document),
        },
        Artefact {
            path: "docs/PROTOCOL.md",
            text: page::render(&document),
        },
        Artefact {
            path: "docs/CONFIG.md",
            text: openclaw_shared::config::page::render(),
        },
    ]
}

/// What is missing below `root`, or says something else.
fn stale(root: &Path) -> Vec<Artefact> {
    let is_stale = |artefact: &Artefact| {
        let file: PathBuf = root.join(artefact.path);
        !fs::read_to_string(file).is_ok_and(|text| text == artefact.text)
    };
    artefacts().into_iter().filter(is_stale).collect()
}

fn complaint(stale: &[Artefact]) -> String {
    let paths: Vec<_> = stale.iter().map(|artefact| artefact.path).collect();
    format!(
        "stale: {}; run `cargo xtask codegen` and commit what it writes",
        paths.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::{complaint, stale};
    use crate::workspace;

    #[test]
    fn what_is_generated_is_current() {
        let stale = stale(workspace::root());
        assert!(stale.is_empty(), "{}", complaint(&stale));
    }
}
