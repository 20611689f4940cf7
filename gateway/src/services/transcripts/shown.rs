//! A conversation as clients read it: the newest messages as they were written, as many as fit.

use rusqlite::Connection;
use serde_json::Value;

use super::{Row, cleaned, newest};
use crate::store::StoreError;

/// How large all messages of an answer are together, in bytes of JSON.
pub(crate) const MOST_BYTES: usize = 6 * 1024 * 1024;

/// The newest messages of a conversation as a list in JSON, the oldest of them first. What was put around a person's words for
/// the model is taken off.
pub(crate) fn messages(
    connection: &Connection,
    session_id: &str,
    limit: usize,
    most_bytes: usize,
) -> Result<String, StoreError> {
    let mut found: Vec<String> = Vec::new();
    // The brackets; each message brings a comma or stands for the one that is not there.
    let mut bytes = 1;
    newest(connection, session_id, |row| {
        let message = readable(row);
        bytes += message.len() + 1;
        if bytes > most_bytes {
            return false;
        }
        found.push(message);
        found.len() < limit
    })?;
    let mut list = String::with_capacity(bytes + 1);
    list.push('[');
    for (index, message) in found.iter().rev().enumerate() {
        if index > 0 {
            list.push(',');
        }
        list.push_str(message);
    }
    list.push(']');
    Ok(list)
}

fn readable(row: Row) -> String {
    // Most texts of people have nothing around them, and most messages are none of people; those are passed on as they are.
    let may_be_wrapped = row.role.as_deref() == Some("user")
        && (row.body.contains("\"[") || row.body.contains("[message_id:"));
    if !may_be_wrapped {
        return row.body;
    }
    let Ok(mut message) = serde_json::from_str::<Value>(&row.body) else {
        return row.body;
    };
    match message.get_mut("content") {
        Some(Value::String(text)) => *text = cleaned(text),
        Some(Value::Array(parts)) => {
            for part in parts {
                if part.get("type").and_then(Value::as_str) == Some("text")
                    && let Some(Value::String(text)) = part.get_mut("text")
                {
                    *text = cleaned(text);
                }
            }
        }
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => {}
    }
    message.to_string()
}

#[cfg(test)]
mod tests {
    use openclaw_shared::transcript::{Message, Part, UserMessage};
    use rusqlite::Connection;
    use serde_json::Value;

    use super::messages;
    use crate::services::transcripts::append;

    fn store(texts: &[&str]) -> Connection {
        let store = Connection::open_in_memory().unwrap();
        for tables in [
            include_str!("../../store/schema/sessions.sql"),
            include_str!("../../store/schema/transcripts.sql"),
        ] {
            store.execute_batch(tables).unwrap();
        }
        for text in texts {
            let message = Message::User(UserMessage {
                content: vec![Part::text(*text)],
                timestamp: 1,
            });
            append(&store, "s", &message).unwrap();
        }
        store
    }

    fn texts(store: &Connection, limit: usize, most_bytes: usize) -> Vec<String> {
        let list = messages(store, "s", limit, most_bytes).unwrap();
        assert!(list.len() <= most_bytes.max(2), "{} bytes", list.len());
        let list: Vec<Value> = serde_json::from_str(&list).unwrap();
        let text = |message: &Value| message["content"][0]["text"].as_str().unwrap().to_owned();
        list.iter().map(text).collect()
    }

    #[test]
    fn the_newest_messages_are_shown_as_people_wrote_them() {
        let store = store(&[
            "[WebChat 2026-11-22 07:12] one\n[message_id: r]",
            "two",
            "\"[three",
        ]);
        assert_eq!(texts(&store, 200, 10_000), ["one", "two", "\"[three"]);
        assert_eq!(texts(&store, 2, 10_000), ["two", "\"[three"]);
        assert_eq!(texts(&store, 1, 10_000), ["\"[three"]);
    }

    #[test]
    fn the_oldest_are_left_out_until_the_rest_fits() {
        let store = store(&["one", "two", "six"]);
        let one = messages(&store, "s", 1, 10_000).unwrap().len();
        for (most, expected) in [
            (one - 1, 0),
            (one, 1),
            (2 * one - 2, 1),
            (2 * one - 1, 2),
            (3 * one - 2, 3),
        ] {
            assert_eq!(texts(&store, 200, most).len(), expected, "{most} of {one}");
        }
    }
}
