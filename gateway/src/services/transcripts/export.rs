//! A conversation as the lines of a file, in the shape that other versions write and read.

use openclaw_shared::clock::WallTime;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::{Map, Value, json};

use super::{MESSAGE, Row, after};
use crate::store::StoreError;

/// How large the entries of one page are together, in bytes of JSON. A single one may be larger.
const MOST_BYTES: usize = 1024 * 1024;
/// The version of the shape.
const VERSION: u32 = 3;

/// Some of a conversation.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Page {
    pub(crate) entries: Vec<Value>,
    /// Where to go on, when there is more.
    pub(crate) next: Option<i64>,
}

/// The entries after a number; the page from zero begins with the header. None when there is no such conversation.
pub(crate) fn page(
    connection: &Connection,
    session_id: &str,
    from: i64,
    limit: usize,
    cwd: &str,
) -> Result<Option<Page>, StoreError> {
    let begun: Option<i64> = connection
        .prepare_cached("SELECT begun_ms FROM transcripts WHERE session_id = ?1")?
        .query_row([session_id], |row| row.get(0))
        .optional()?;
    let Some(begun) = begun else {
        return Ok(None);
    };
    let mut page = Page::default();
    if from == 0 {
        page.entries.push(json!({
            "type": "session",
            "version": VERSION,
            "id": session_id,
            "timestamp": WallTime::from_millis(begun.unsigned_abs()).to_rfc3339(),
            "cwd": cwd,
        }));
    }
    let mut parent: Option<String> = connection
        .prepare_cached(
            "SELECT id FROM transcript_entries WHERE session_id = ?1 AND number <= ?2 ORDER BY number DESC LIMIT 1",
        )?
        .query_row(params![session_id, from], |row| row.get(0))
        .optional()?;
    let rows = after(connection, session_id, from, limit + 1)?;
    let (mut bytes, mut last) = (0, from);
    for (index, row) in rows.into_iter().enumerate() {
        bytes += row.body.len();
        if index == limit || (index > 0 && bytes > MOST_BYTES) {
            page.next = Some(last);
            break;
        }
        last = row.number;
        page.entries.push(entry(&row, parent.as_deref()));
        parent = Some(row.id);
    }
    Ok(Some(page))
}

fn entry(row: &Row, parent: Option<&str>) -> Value {
    let body: Value = serde_json::from_str(&row.body).unwrap_or_default();
    let mut entry = Map::new();
    entry.insert("type".to_owned(), row.kind.as_str().into());
    entry.insert("id".to_owned(), row.id.as_str().into());
    entry.insert("parentId".to_owned(), parent.into());
    entry.insert("timestamp".to_owned(), row.at.to_rfc3339().into());
    if row.kind == MESSAGE {
        entry.insert("message".to_owned(), body);
    } else if let Value::Object(rest) = body {
        entry.extend(rest);
    }
    entry.into()
}

#[cfg(test)]
mod tests {
    use openclaw_shared::clock::WallTime;
    use openclaw_shared::transcript::{Message, Part, UserMessage};
    use rusqlite::Connection;

    use super::page;
    use crate::services::transcripts::{Compaction, append, begin, compact};

    #[test]
    fn pages_put_together_are_the_file() {
        let store = Connection::open_in_memory().unwrap();
        for tables in [
            include_str!("../../store/schema/sessions.sql"),
            include_str!("../../store/schema/transcripts.sql"),
        ] {
            store.execute_batch(tables).unwrap();
        }
        assert_eq!(page(&store, "s", 0, 9, "/w").unwrap(), None);
        begin(&store, "s", "agent:main:main", WallTime::from_millis(0)).unwrap();
        for number in 0..5 {
            let message = Message::User(UserMessage {
                content: vec![Part::text(number.to_string())],
                timestamp: 1_000,
            });
            append(&store, "s", &message).unwrap();
            append(&store, "other", &message).unwrap();
        }
        let compaction = Compaction {
            summary: "Numbers.".to_owned(),
            first_kept_entry_id: "x".to_owned(),
            tokens_before: 5,
        };
        compact(&store, "s", WallTime::from_millis(2_000), &compaction).unwrap();
        let whole = page(&store, "s", 0, 100, "/w").unwrap().unwrap();
        assert_eq!(whole.next, None);
        let mut pages = Vec::new();
        let mut from = Some(0);
        while let Some(at) = from {
            let next = page(&store, "s", at, 2, "/w").unwrap().unwrap();
            pages.extend(next.entries);
            from = next.next;
        }
        assert_eq!(pages, whole.entries);
        assert_eq!(whole.entries.len(), 7);
        let (header, first, second, last) = (&pages[0], &pages[1], &pages[2], &pages[6]);
        assert_eq!(
            header.to_string(),
            r#"{"type":"session","version":3,"id":"s","timestamp":"1970-01-01T00:00:00.000Z","cwd":"/w"}"#
        );
        assert!(first["parentId"].is_null());
        assert_eq!(second["parentId"], first["id"]);
        assert_eq!(second["timestamp"], "1970-01-01T00:00:01.000Z");
        assert_eq!(second["message"]["content"][0]["text"], "1");
        assert_eq!(
            (&last["type"], &last["summary"], &last["tokensBefore"]),
            (&"compaction".into(), &"Numbers.".into(), &5.into())
        );
    }
}
