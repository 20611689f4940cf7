//! `edit`: one piece of a file is replaced by another.

use std::rc::Rc;

use serde_json::{Value, json};

use super::{FileTool, Place, Work};
use crate::tool::{ToolError, ToolOutput};
use crate::tools::arguments::Arguments;
use crate::tools::spec;

const NAME: &str = "edit";
/// The largest file that is edited, in bytes.
const LARGEST: u64 = 32 * 1024 * 1024;
/// So many lines before and after a change are shown with it.
const AROUND: usize = 4;
/// And so much of a change, in lines.
const MOST_SHOWN: usize = 400;

/// The tool.
pub(super) fn tool(place: &Rc<Place>) -> FileTool {
    let spec = spec(
        NAME,
        "Edit a file by replacing exact text. The oldText must match exactly (including whitespace). Use this for precise, \
         surgical edits.",
        &["path", "oldText", "newText"],
        json!({
            "path": { "description": "Path to the file to edit (relative or absolute)", "type": "string" },
            "oldText": { "description": "Exact text to find and replace (must match exactly)", "type": "string" },
            "newText": { "description": "New text to replace the old text with", "type": "string" },
        }),
    );
    FileTool {
        name: NAME,
        spec,
        place: place.clone(),
        read: asked,
    }
}

fn asked(arguments: &Arguments<'_>, path: String) -> Result<Work, ToolError> {
    let old = arguments.required(&["oldText", "old_string"])?.to_owned();
    let new = arguments.required(&["newText", "new_string"])?.to_owned();
    Ok(Box::new(move |place| {
        let bytes = place.read(&path, LARGEST).map_err(|error| {
            if error.starts_with("ENOENT") {
                format!("File not found: {path}")
            } else {
                error
            }
        })?;
        let text = String::from_utf8(bytes)
            .map_err(|_| format!("{path} is no text in UTF-8, and is not edited"))?;
        let edited = edited(&text, &old, &new, &path)?;
        place.write(&path, edited.as_bytes())?;
        Ok(ToolOutput {
            details: difference(&text, &edited),
            ..ToolOutput::text(format!("Successfully replaced text in {path}."))
        })
    }))
}

/// The text with the one place where `old` stands replaced. Models do not see how lines end, so that either way counts.
fn edited(text: &str, old: &str, new: &str, path: &str) -> Result<String, String> {
    if old.is_empty() {
        return Err("oldText must not be empty".to_owned());
    }
    let (old, new) = if text.contains(old) || !text.contains("\r\n") {
        (old.to_owned(), new.to_owned())
    } else {
        let with_returns = |text: &str| text.replace("\r\n", "\n").replace('\n', "\r\n");
        (with_returns(old), with_returns(new))
    };
    match text.matches(&old).count() {
        0 => Err(format!(
            "Could not find the exact text in {path}. The old text must match exactly including all whitespace and newlines."
        )),
        1 if old == new => Err(format!(
            "No changes made to {path}. The replacement produced identical content."
        )),
        1 => Ok(text.replacen(&old, &new, 1)),
        count => Err(format!(
            "Found {count} occurrences of the text in {path}. The text must be unique. Please provide more context to make it unique."
        )),
    }
}

/// What has changed, with the lines around it: ` 1 same`, `-2 old`, `+2 new`.
fn difference(before: &str, after: &str) -> Value {
    let (before, after): (Vec<&str>, Vec<&str>) =
        (before.lines().collect(), after.lines().collect());
    let same = |(one, other): &(&&str, &&str)| one == other;
    let head = before.iter().zip(&after).take_while(same).count();
    let rest = before.len().min(after.len()) - head;
    let tail = before.iter().rev().zip(after.iter().rev());
    let tail = tail.take_while(same).count().min(rest);
    let width = before.len().max(after.len()).to_string().len();
    let mut diff = Vec::new();
    let mut line = |sign: char, number: usize, text: &str| {
        if diff.len() < MOST_SHOWN {
            diff.push(format!("{sign}{number:>width$} {text}"));
        }
    };
    let mut lines = |sign: char, of: &[&str], from: usize, to: usize| {
        for (at, text) in of.iter().enumerate().take(to).skip(from) {
            line(sign, at + 1, text);
        }
    };
    let beyond = after.len() - tail;
    lines(' ', &before, head.saturating_sub(AROUND), head);
    lines('-', &before, head, before.len() - tail);
    lines('+', &after, head, beyond);
    lines(' ', &after, beyond, beyond + AROUND);
    json!({ "diff": diff.join("\n"), "firstChangedLine": head + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_is_replaced_or_none() {
        let edit = |text: &str, old: &str, new: &str| edited(text, old, new, "f");
        assert_eq!(edit("a b c", "b", "x"), Ok("a x c".to_owned()));
        assert_eq!(
            edit("a\r\nb\r\n", "a\nb", "x\ny"),
            Ok("x\r\ny\r\n".to_owned())
        );
        assert_eq!(edit("a$1", "a", "$0"), Ok("$0$1".to_owned()));
        assert!(
            edit("a a", "a", "x")
                .unwrap_err()
                .starts_with("Found 2 occurrences")
        );
        assert!(
            edit("a", "z", "x")
                .unwrap_err()
                .starts_with("Could not find")
        );
        assert!(edit("a", "a", "a").unwrap_err().starts_with("No changes"));
        assert!(edit("a", "", "x").is_err());
    }

    #[test]
    fn a_change_is_shown_with_its_lines() {
        assert_eq!(
            difference("hello\nworld\n", "hello\nthere\n"),
            json!({"diff": " 1 hello\n-2 world\n+2 there", "firstChangedLine": 2})
        );
        assert_eq!(
            difference("a\na\n", "a\na\na\n")["diff"],
            " 1 a\n 2 a\n+3 a"
        );
        let many: Vec<String> = (1..=20).map(|line| line.to_string()).collect();
        let before = many.join("\n");
        let after = before.replace("\n10\n", "\nten\n");
        assert_eq!(
            difference(&before, &after)["diff"],
            "  6 6\n  7 7\n  8 8\n  9 9\n-10 10\n+10 ten\n 11 11\n 12 12\n 13 13\n 14 14"
        );
    }
}
