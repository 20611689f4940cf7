//! Sessions and their messages as people read them.                                                    (pure)

use openclaw_client::harmless;
use openclaw_shared::clock::WallTime;
use openclaw_shared::transcript::{Message, Part};
use serde::Deserialize as _;
use serde_json::Value;

use super::super::answer::Answer as _;
use super::super::span::relative;
use super::super::table::Table;

/// How much of what a tool is given, or says, is shown.
const OF_A_TOOL: usize = 200;

/// The sessions as a table.
pub(super) fn list(answer: &Value, now: WallTime) -> Vec<String> {
    let sessions = answer.items("sessions");
    let mut lines = vec![format!("Sessions: {}", sessions.len())];
    lines.extend(
        answer
            .some_text("path")
            .map(|path| format!("Store: {path}")),
    );
    if sessions.is_empty() {
        return lines;
    }
    let mut table = Table::new(["Key", "Kind", "Changed", "Model", "Tokens", "Name"]);
    for session in sessions {
        let changed = session.time("updatedAt").map(|then| relative(now, then));
        let used = session["totalTokens"].as_u64().filter(|used| *used > 0);
        let tokens = match (used, session["contextTokens"].as_u64()) {
            (Some(used), Some(most)) if most > 0 => format!("{used}/{most}"),
            (Some(used), _) => used.to_string(),
            (None, _) => String::new(),
        };
        let names = ["label", "displayName"].iter();
        let name = names.filter_map(|key| session.some_text(key)).next();
        table.row([
            session.text("key"),
            session.text("kind"),
            changed.unwrap_or_default(),
            session.text("model"),
            tokens,
            name.unwrap_or_default(),
        ]);
    }
    lines.push(String::new());
    lines.extend(table.lines());
    lines
}

/// The newest messages of some sessions.
pub(super) fn previews(answer: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for preview in answer.items("previews") {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.push(preview.text("key"));
        match preview.text("status").as_str() {
            "ok" => {
                let items = preview.items("items").iter();
                lines.extend(items.flat_map(|item| said(&item.text("role"), &item.text("text"))));
            }
            "empty" => lines.push("  Nothing was said yet.".to_owned()),
            "missing" => lines.push("  There is no such session.".to_owned()),
            other => lines.push(format!("  It cannot be read ({other}).")),
        }
    }
    lines
}

/// The messages of a session, in full but for what tools are given and say.
pub(super) fn history(answer: &Value) -> Vec<String> {
    let messages = answer.items("messages");
    if messages.is_empty() {
        return vec!["Nothing was said yet.".to_owned()];
    }
    messages.iter().flat_map(message).collect()
}

fn message(message: &Value) -> Vec<String> {
    let Ok(message) = Message::deserialize(message) else {
        return vec!["  (a message of a kind that this version does not know)".to_owned()];
    };
    let role = match &message {
        Message::User(_) => "user",
        Message::Assistant(_) => "assistant",
        Message::ToolResult(_) => "tool",
    };
    let texts: Vec<String> = message
        .content()
        .iter()
        .map(|part| of_part(part, &message))
        .collect();
    let mut lines = said(role, texts.join("\n").trim_end());
    if let Message::Assistant(answer) = &message {
        lines.extend(
            answer
                .error_message
                .iter()
                .flat_map(|error| said("error", error)),
        );
    }
    lines
}

fn of_part(part: &Part, of: &Message) -> String {
    match part {
        Part::Text { text } if matches!(of, Message::ToolResult(_)) => short(text),
        Part::Text { text } => text.clone(),
        Part::Image { mime_type, .. } => format!("(an image, {mime_type})"),
        Part::ToolCall {
            name, arguments, ..
        } => {
            let arguments = Value::Object(arguments.clone()).to_string();
            format!("[{name}] {}", short(&arguments))
        }
        Part::Thinking { .. } => String::new(),
    }
}

fn short(text: &str) -> String {
    let mut short: String = text.chars().take(OF_A_TOOL).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// What somebody said, behind who it was. Each line is one of its own, because what prints them lets none contain another.
fn said(role: &str, text: &str) -> Vec<String> {
    const ROOM: usize = 9;
    let text = harmless(text);
    let lines = text.lines().enumerate().map(|(number, line)| {
        let who = if number == 0 { role } else { "" };
        format!("  {who:ROOM$}  {line}").trim_end().to_owned()
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sessions_fit_a_terminal() {
        let answer = json!({"path": "~/x", "sessions": [
            {"key": "agent:main:main", "kind": "direct", "updatedAt": 1_000, "totalTokens": 7, "contextTokens": 100, "label": "work"},
        ]});
        assert_eq!(
            list(&answer, WallTime::from_millis(61_000)),
            [
                "Sessions: 1",
                "Store: ~/x",
                "",
                "Key              Kind    Changed  Tokens  Name",
                "agent:main:main  direct  1m ago   7/100   work",
            ]
        );
    }

    #[test]
    fn what_was_said_is_shown_with_who_said_it() {
        let answer = json!({"messages": [
            {"role": "user", "content": "hi\nyou", "timestamp": 1},
            {"role": "assistant", "content": [{"type": "text", "text": "Let me look."},
                {"type": "toolCall", "id": "1", "name": "exec", "arguments": {"command": "ls"}}], "timestamp": 2},
            {"role": "toolResult", "toolCallId": "1", "toolName": "exec", "content": [{"type": "text", "text": "\u{1b}[2Ja"}], "timestamp": 3},
            {"role": "alien"},
        ]});
        assert_eq!(
            history(&answer),
            [
                "  user       hi",
                "             you",
                "  assistant  Let me look.",
                "             [exec] {\"command\":\"ls\"}",
                "  tool       \\u{1b}[2Ja",
                "  (a message of a kind that this version does not know)",
            ]
        );
        assert_eq!(history(&json!({"messages": []})), ["Nothing was said yet."]);
    }

    #[test]
    fn previews_say_what_there_is() {
        let answer = json!({"previews": [
            {"key": "a", "status": "ok", "items": [{"role": "user", "text": "hi"}]},
            {"key": "b", "status": "empty", "items": []}, {"key": "c", "status": "missing", "items": []},
        ]});
        assert_eq!(
            previews(&answer),
            [
                "a",
                "  user       hi",
                "",
                "b",
                "  Nothing was said yet.",
                "",
                "c",
                "  There is no such session."
            ]
        );
    }
}
