//! The page of documentation about the configuration, `docs/CONFIG.md`.

use std::fmt::Write as _;

use super::model::{Place, Shape, Word, places, root, sentence};
use super::reload::{self, Effect, Process};
use super::section::ReloadMode;

const INTRODUCTION: &str = "\
# Configuration

<!-- Generated from the sections declared in shared/src/config. Do not edit: run `cargo xtask codegen`. -->

The configuration is one JSON5 file: comments, trailing commas and keys without quotes are fine. Every key is optional. `$include`
takes in other files, `${NAME}` an environment variable; `$${NAME}` is the text itself. A key that is not known is kept and
warned about. `openclaw config get|set|unset|patch` change the file and keep its comments and layout; so do `config.patch` and,
with the text as given, `config.set` and `config.apply` on the wire, where secrets are shown as `__OPENCLAW_REDACTED__` and kept
when that is sent back.

*A change* says what an edit of the key does in the reload mode `hybrid`: taken by the running processes, or by replacing the
ones named, each by a successor that is ready before it leaves. A change that does not work is rolled back.
";

/// The whole page.
#[must_use]
pub fn render() -> String {
    let mut page = INTRODUCTION.to_owned();
    let root = root();
    for field in &root.fields {
        let own = super::model::Section {
            doc: "",
            fields: vec![field.clone()],
        };
        let rows = places(&own, "");
        section(&mut page, field.key, &sentence(field.doc), &rows);
    }
    page
}

fn section(page: &mut String, key: &str, doc: &str, rows: &[Place<'_>]) {
    let _ = write!(page, "\n## `{key}`\n\n{doc}\n");
    let leaves: Vec<&Place<'_>> = rows
        .iter()
        .filter(|row| row.field.shape.section().is_none())
        .collect();
    if leaves.is_empty() {
        return;
    }
    page.push_str("\n| Key | Value | Default | Meaning | A change |\n|---|---|---|---|---|\n");
    for row in leaves {
        let default = row
            .field
            .default
            .as_ref()
            .map_or_else(String::new, |default| format!("`{default}`"));
        let _ = writeln!(
            page,
            "| `{}` | {} | {default} | {} | {} |",
            row.path,
            kind(&row.field.shape),
            meaning(row),
            change(&row.path),
        );
    }
}

fn kind(shape: &Shape) -> String {
    match shape {
        Shape::Any => "any".to_owned(),
        Shape::Text => "text".to_owned(),
        Shape::Secret => "secret".to_owned(),
        Shape::Flag => "true or false".to_owned(),
        Shape::Number => "number".to_owned(),
        Shape::Integer { min, max } if *max >= u64::from(u32::MAX) => {
            format!("integer, {min} or more")
        }
        Shape::Integer { min, max } => format!("integer, {min} to {max}"),
        Shape::Words(words) => words
            .iter()
            .map(|Word { word, .. }| format!("`{word}`"))
            .collect::<Vec<_>>()
            .join(", "),
        Shape::List(element) if element.section().is_some() => "list of objects".to_owned(),
        Shape::List(element) => format!("list of {}", kind(element)),
        Shape::Map(member) if member.is_container() => "objects by name".to_owned(),
        Shape::Map(member) => format!("{} by name", kind(member)),
        Shape::Block | Shape::Section(_) | Shape::Open(..) => "object".to_owned(),
    }
}

fn meaning(row: &Place<'_>) -> String {
    let mut meaning = sentence(row.field.doc);
    if let Shape::Words(words) = row.field.shape {
        for Word { word, doc } in words {
            let _ = write!(meaning, " `{word}`: {}", sentence(doc));
        }
    }
    meaning.replace('|', "\\|")
}

/// What a change of this key asks for.
fn change(path: &str) -> String {
    let key = path.replace("[]", "").replace(".*", ".x");
    let plan = reload::plan(ReloadMode::Hybrid, &[key]);
    let with = |effect| {
        let concerned = Process::ALL
            .into_iter()
            .filter(|process| plan.effect(*process) == effect);
        concerned.map(Process::as_str).collect::<Vec<_>>()
    };
    let replaced = with(Effect::Replace);
    if !replaced.is_empty() {
        return format!("replaces {}", replaced.join(", "));
    }
    if with(Effect::Hot).is_empty() {
        "is read when needed".to_owned()
    } else {
        "is taken at once".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::render;

    /// `UPDATE=1` rewrites the page; a person reviews it.
    #[test]
    fn the_page_in_the_repository_is_the_one_that_is_generated() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/CONFIG.md");
        let page = render();
        if crate::instance::Environment::from_process().is_on("UPDATE") {
            std::fs::write(&path, &page).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            there == page,
            "docs/CONFIG.md is stale: run the tests with UPDATE=1"
        );
    }
}
