//! The newest messages of a conversation in a few words each.

use openclaw_shared::protocol::params::sessions::PreviewItem;
use openclaw_shared::transcript::{Message, Part, text_of};
use rusqlite::Connection;

use super::newest;
use super::words::{cut, said};
use crate::store::StoreError;

/// How many messages are looked at for one item that is shown, since some have nothing to show.
const LOOKED_AT: usize = 4;

/// The newest items, the oldest of them first.
pub(crate) fn items(
    connection: &Connection,
    session_id: &str,
    limit: usize,
    most_chars: usize,
) -> Result<Vec<PreviewItem>, StoreError> {
    let mut found: Vec<PreviewItem> = Vec::new();
    let mut looked_at = 0;
    newest(connection, session_id, |row| {
        looked_at += 1;
        if let Ok(message) = serde_json::from_str::<Message>(&row.body) {
            // From the newest back, so what a message has is in reverse, too.
            found.extend(of(&message, most_chars).into_iter().rev());
        }
        found.len() < limit && looked_at < limit * LOOKED_AT
    })?;
    found.truncate(limit);
    found.reverse();
    Ok(found)
}

fn of(message: &Message, most_chars: usize) -> Vec<PreviewItem> {
    let item = |role: &str, text: &str| PreviewItem {
        role: role.to_owned(),
        text: cut(text, most_chars),
    };
    let mut items = Vec::new();
    let text = text_of(message.content());
    match message {
        Message::User(_) => items.push(item("user", &said(&text))),
        Message::ToolResult(_) => items.push(item("tool", &text)),
        Message::Assistant(answer) => {
            items.push(item("assistant", &text));
            let calls = answer.content.iter().filter_map(|part| match part {
                Part::ToolCall { name, .. } => Some(name.as_str()),
                Part::Text { .. } | Part::Image { .. } | Part::Thinking { .. } => None,
            });
            let calls: Vec<&str> = calls.collect();
            if !calls.is_empty() {
                items.push(item("tool", &format!("call {}", calls.join(", "))));
            }
        }
    }
    items.retain(|item| !item.text.is_empty());
    items
}

#[cfg(test)]
mod tests {
    use openclaw_shared::transcript::Message;
    use serde_json::{Value, json};

    use super::of;

    #[test]
    fn a_message_is_shown_by_what_it_says_and_calls() {
        let call =
            |name: &str| json!({"type": "toolCall", "id": "1", "name": name, "arguments": {}});
        for (message, expected) in [
            (
                json!({"role": "user", "content": "hi\n[message_id: r]"}),
                vec![("user", "hi")],
            ),
            (
                json!({"role": "assistant", "content": [{"type": "text", "text": "so"}, call("a"), call("b")]}),
                vec![("assistant", "so"), ("tool", "call a, b")],
            ),
            (json!({"role": "assistant", "content": []}), vec![]),
            (
                json!({"role": "toolResult", "toolCallId": "1", "content": [{"type": "text", "text": "0123456789abcdefghijklm"}]}),
                vec![("tool", "0123456789abcdefg...")],
            ),
        ] {
            let parsed: Message =
                serde_json::from_value::<Message>(Value::clone(&message)).unwrap();
            let items = of(&parsed, 20);
            let items: Vec<_> = items
                .iter()
                .map(|item| (item.role.as_str(), item.text.as_str()))
                .collect();
            assert_eq!(items, expected, "{message}");
        }
    }
}
