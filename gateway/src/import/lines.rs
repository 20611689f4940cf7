//! A transcript of another version: lines of JSON, each of which names the one it follows.  (pure)

use std::collections::{BTreeMap, BTreeSet};

use openclaw_shared::clock::WallTime;
use openclaw_shared::digest;
use openclaw_shared::transcript::Message;
use serde_json::{Map, Value};

use crate::services::transcripts::MESSAGE;

/// The newest version of the shape that is known here.
const NEWEST: u64 = 3;
/// The longest id of an entry, in bytes.
const LONGEST_ID: usize = 64;

/// An entry.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) at: WallTime,
    pub(super) kind: String,
    /// The message, when it is one.
    pub(super) message: Option<Message>,
    pub(super) role: Option<String>,
    /// As it is kept.
    pub(super) body: String,
}

/// A file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Lines {
    pub(super) begun: Option<WallTime>,
    /// The conversation, from its beginning to its last line.
    pub(super) entries: Vec<Entry>,
    /// What a person should know.
    pub(super) notes: Vec<String>,
}

/// Whose place an entry takes up after.
enum Parent {
    /// The line before.
    Before,
    /// Nobody: a conversation begins.
    None,
    /// This one.
    Entry(String),
}

/// Reads a file, or says why it is none.
pub(super) fn read(text: &str) -> Result<Lines, String> {
    let mut lines = Lines::default();
    let mut found: Vec<(Entry, Parent)> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut unknown = 0;
    let all: Vec<&str> = text.lines().collect();
    for (index, line) in all.iter().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let number = index + 1;
        let object = match serde_json::from_str(line) {
            Ok(Value::Object(object)) => object,
            // Whoever wrote it was stopped while it did.
            Err(_) if number == all.len() && !text.ends_with('\n') => {
                lines.notes.push(format!(
                    "its last line ({number}) is not complete and is left out"
                ));
                break;
            }
            Ok(_) => return Err(format!("line {number} is no JSON object")),
            Err(error) => return Err(format!("line {number} is not JSON: {error}")),
        };
        if object.get("type").and_then(Value::as_str) == Some("session") {
            header(&mut lines, &object)?;
            continue;
        }
        let (entry, parent) =
            entry(object, line).ok_or_else(|| format!("line {number} is no entry"))?;
        if entry.kind == MESSAGE && entry.message.is_none() {
            unknown += 1;
        }
        if places.insert(entry.id.clone(), found.len()).is_some() {
            return Err(format!("line {number} has the id of an earlier one"));
        }
        found.push((entry, parent));
    }
    if unknown > 0 {
        lines.notes.push(format!(
            "{unknown} messages are of a kind that is not known here, and are left out"
        ));
    }
    let total = found.len();
    let kept = followed(&found, &places);
    let others = total - kept.len();
    if others > 0 {
        lines.notes.push(format!(
            "{others} entries are not part of what the conversation came to, and are left out"
        ));
    }
    lines.entries = found
        .into_iter()
        .enumerate()
        .filter(|(place, (entry, _))| {
            kept.contains(place) && (entry.kind != MESSAGE || entry.message.is_some())
        })
        .map(|(_, (entry, _))| entry)
        .collect();
    Ok(lines)
}

fn header(lines: &mut Lines, object: &Map<String, Value>) -> Result<(), String> {
    let version = object.get("version").and_then(Value::as_u64).unwrap_or(1);
    if version > NEWEST {
        return Err(format!(
            "it is of version {version}, which is not known here"
        ));
    }
    lines.begun = lines.begun.or_else(|| time(object));
    Ok(())
}

fn time(object: &Map<String, Value>) -> Option<WallTime> {
    WallTime::parse_iso8601(object.get("timestamp")?.as_str()?)
}

fn entry(mut object: Map<String, Value>, line: &str) -> Option<(Entry, Parent)> {
    let kind = object.get("type")?.as_str()?.to_owned();
    let id = match object.get("id").and_then(Value::as_str) {
        Some(id) if !id.is_empty() && id.len() <= LONGEST_ID => id.to_owned(),
        // Older versions have none; the same line always gets the same one.
        Some(_) | None => digest::short_hex(line.as_bytes()),
    };
    let parent = match object.get("parentId") {
        None => Parent::Before,
        Some(Value::String(id)) => Parent::Entry(id.clone()),
        Some(_) => Parent::None,
    };
    let said_at = time(&object);
    let (mut message, mut role) = (None, None);
    let body = if kind == MESSAGE {
        let body = object.remove("message")?;
        message = serde_json::from_value::<Message>(body.clone()).ok();
        role = body.get("role").and_then(Value::as_str).map(str::to_owned);
        body
    } else {
        for key in ["type", "id", "parentId", "timestamp"] {
            object.remove(key);
        }
        Value::Object(object)
    };
    let at = said_at
        .or_else(|| Some(WallTime::from_millis(message.as_ref()?.timestamp())))
        .unwrap_or_default();
    let entry = Entry {
        id,
        at,
        kind,
        message,
        role,
        body: body.to_string(),
    };
    Some((entry, parent))
}

/// The places of what the last line follows, and of itself.
fn followed(found: &[(Entry, Parent)], places: &BTreeMap<String, usize>) -> BTreeSet<usize> {
    let mut kept = BTreeSet::new();
    let mut next = found.len().checked_sub(1);
    while let Some(place) = next {
        kept.insert(place);
        let before = place.checked_sub(1);
        next = match found.get(place).map(|(_, parent)| parent) {
            Some(Parent::Before) => before,
            Some(Parent::None) | None => None,
            // One that is not in the file was cut off with what it stood in, and one that comes later would be a circle.
            Some(Parent::Entry(id)) => match places.get(id) {
                Some(parent) => Some(*parent).filter(|parent| *parent < place),
                None => before,
            },
        };
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::read;

    fn check(text: &str, expected: &str) {
        let shown = match read(text) {
            Err(why) => why,
            Ok(lines) => {
                let ids: Vec<&str> = lines
                    .entries
                    .iter()
                    .map(|entry| entry.id.as_str())
                    .collect();
                let notes: Vec<&str> = lines.notes.iter().map(String::as_str).collect();
                format!("{} | {}", ids.join(" "), notes.join("; "))
            }
        };
        assert_eq!(shown, expected, "{text}");
    }

    fn line(id: &str, parent: &str) -> String {
        format!(
            r#"{{"type":"message","id":"{id}",{parent}"timestamp":"2026-01-01T00:00:00Z","message":{{"role":"user","content":"x"}}}}"#
        ) + "\n"
    }

    #[test]
    fn a_file_is_read_along_what_its_last_line_follows() {
        let header = r#"{"type":"session","version":3,"id":"s","timestamp":"2026-01-01T00:00:00Z","cwd":"/"}"#;
        let (a, b) = (
            line("a", r#""parentId":null,"#),
            line("b", r#""parentId":"a","#),
        );
        check(&format!("{header}\n{a}{b}"), "a b | ");
        check(&format!("{a}{b}{}", line("c", "")), "a b c | ");
        check(
            &format!("{a}{b}{}", line("c", r#""parentId":"a","#)),
            "a c | 1 entries are not part of what the conversation came to, and are left out",
        );
        check(
            &format!(
                "{}{}",
                line("b", r#""parentId":"gone","#),
                line("c", r#""parentId":"b","#)
            ),
            "b c | ",
        );
        check(&line("a", r#""parentId":"a","#), "a | ");
        check("", " | ");
        let foreign =
            r#"{"type":"message","id":"f","parentId":"a","message":{"role":"bash","content":"x"}}"#;
        check(
            &format!("{a}{foreign}\n{}", line("c", r#""parentId":"f","#)),
            "a c | 1 messages are of a kind that is not known here, and are left out",
        );
        let other =
            r#"{"type":"model_change","id":"m","parentId":"a","timestamp":"x","modelId":"m1"}"#;
        check(&format!("{a}{other}\n"), "a m | ");
        let lines = read(other).unwrap();
        assert_eq!(lines.entries[0].body, r#"{"modelId":"m1"}"#);
    }

    #[test]
    fn a_file_that_is_none_is_refused_whole() {
        let a = line("a", "");
        check(
            &format!("{a}{{\"type\""),
            "a | its last line (2) is not complete and is left out",
        );
        check(
            &format!("{{\"type\"\n{a}"),
            "line 1 is not JSON: EOF while parsing an object at line 1 column 7",
        );
        check(&format!("{a}[]\n"), "line 2 is no JSON object");
        check(&format!("{a}{{}}\n"), "line 2 is no entry");
        check(&format!("{a}{a}"), "line 2 has the id of an earlier one");
        check(
            r#"{"type":"session","version":4}"#,
            "it is of version 4, which is not known here",
        );
    }

    #[test]
    fn an_entry_without_an_id_always_gets_the_same() {
        let text = r#"{"type":"message","message":{"role":"user","content":"x","timestamp":5}}"#;
        let (one, two) = (read(text).unwrap(), read(text).unwrap());
        assert_eq!(one, two);
        assert_eq!(one.entries[0].at.as_millis(), 5);
    }
}
