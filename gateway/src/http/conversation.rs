//! The conversation that a client of `/v1/…` brings along, as a run takes it.              (pure)
//!
//! The last thing that a person or a tool has said is what the run is asked; what comes before it is the history. Providers
//! refuse a conversation with a call that nobody answers, or an answer that nobody called for, so both are mended here.

use std::collections::BTreeSet;

use openclaw_shared::transcript::{
    AssistantMessage, Message, Part, StopReason, ToolResultMessage, UserMessage,
};

/// What a model reads where a client has not said what came out of a call.
const NO_RESULT: &str = "The client gave no result for this call.";

/// What a client has said, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Conversation {
    /// What comes before everything.
    pub(super) system: Vec<String>,
    pub(super) messages: Vec<Message>,
}

/// What a run is asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Prompt {
    pub(super) system: Option<String>,
    pub(super) history: Vec<Message>,
    /// Empty when the last word is a tool's, which stands at the end of the history.
    pub(super) message: String,
    pub(super) images: Vec<Part>,
}

/// Nobody has said anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Silence;

impl Conversation {
    /// A text, or text with pictures, of a person.
    pub(super) fn user(&mut self, content: Vec<Part>) {
        self.messages.push(Message::User(UserMessage {
            content,
            timestamp: 0,
        }));
    }

    /// What the model has said, and what it has called.
    pub(super) fn assistant(&mut self, content: Vec<Part>) {
        let calls = content
            .iter()
            .any(|part| matches!(part, Part::ToolCall { .. }));
        // What a client tells in pieces is one message: first the text, then each call.
        if let (true, Some(Message::Assistant(last))) = (calls, self.messages.last_mut()) {
            last.content.extend(content);
            last.stop_reason = StopReason::ToolUse;
            return;
        }
        self.messages.push(Message::Assistant(AssistantMessage {
            content,
            stop_reason: if calls {
                StopReason::ToolUse
            } else {
                StopReason::Stop
            },
            ..AssistantMessage::default()
        }));
    }

    /// What came out of a call.
    pub(super) fn tool(&mut self, id: &str, name: Option<&str>, content: Vec<Part>) {
        self.messages.push(Message::ToolResult(ToolResultMessage {
            tool_call_id: id.to_owned(),
            tool_name: name.unwrap_or_default().to_owned(),
            content,
            ..ToolResultMessage::default()
        }));
    }

    /// What a run is asked.
    ///
    /// # Errors
    /// When neither a person nor a tool has said anything.
    pub(super) fn into_prompt(mut self) -> Result<Prompt, Silence> {
        let last = self
            .messages
            .iter()
            .rposition(|message| !matches!(message, Message::Assistant(_)) && has_content(message))
            .ok_or(Silence)?;
        self.messages.truncate(last + 1);
        let mut history = mended(self.messages);
        let (message, images) = match history.pop() {
            Some(Message::User(user)) => {
                let (images, texts): (Vec<Part>, Vec<Part>) = user
                    .content
                    .into_iter()
                    .partition(|part| matches!(part, Part::Image { .. }));
                (openclaw_shared::transcript::text_of(&texts), images)
            }
            other => {
                history.extend(other);
                (String::new(), Vec::new())
            }
        };
        let system = self.system.join("\n\n");
        Ok(Prompt {
            system: (!system.trim().is_empty()).then_some(system),
            history,
            message,
            images,
        })
    }
}

fn has_content(message: &Message) -> bool {
    match message {
        Message::ToolResult(_) => true,
        Message::User(_) | Message::Assistant(_) => {
            message.content().iter().any(|part| match part {
                Part::Text { text } => !text.trim().is_empty(),
                Part::Image { .. } | Part::ToolCall { .. } => true,
                Part::Thinking { .. } => false,
            })
        }
    }
}

/// The same conversation with an answer to each call, behind it, and a call for each answer.
fn mended(messages: Vec<Message>) -> Vec<Message> {
    let mut mended = Vec::new();
    let mut open: Vec<(String, String)> = Vec::new();
    let mut answered = BTreeSet::new();
    for message in messages {
        match message {
            Message::ToolResult(mut result) => {
                let at = open.iter().position(|(id, _)| *id == result.tool_call_id);
                if let Some(at) = at {
                    let (id, name) = open.remove(at);
                    if result.tool_name.is_empty() {
                        result.tool_name = name;
                    }
                    answered.insert(id);
                    mended.push(Message::ToolResult(result));
                } else if !answered.contains(&result.tool_call_id) {
                    mended.push(Message::User(orphan(result)));
                }
            }
            Message::User(_) | Message::Assistant(_) => {
                close(&mut mended, &mut open);
                for part in message.content() {
                    if let Part::ToolCall { id, name, .. } = part {
                        open.push((id.clone(), name.clone()));
                    }
                }
                if has_content(&message) {
                    mended.push(message);
                }
            }
        }
    }
    let ends_with_answer = matches!(mended.last(), Some(Message::ToolResult(_)));
    if !open.is_empty() && ends_with_answer {
        close(&mut mended, &mut open);
    }
    mended
}

/// Answers the calls that nobody has answered.
fn close(mended: &mut Vec<Message>, open: &mut Vec<(String, String)>) {
    for (id, name) in open.drain(..) {
        mended.push(Message::ToolResult(ToolResultMessage {
            tool_call_id: id,
            tool_name: name,
            content: vec![Part::text(NO_RESULT)],
            is_error: true,
            ..ToolResultMessage::default()
        }));
    }
}

/// An answer without its call, as something that is told.
fn orphan(result: ToolResultMessage) -> UserMessage {
    let name = if result.tool_name.is_empty() {
        result.tool_call_id
    } else {
        result.tool_name
    };
    let mut content = vec![Part::text(format!("Tool:{name}:"))];
    content.extend(result.content);
    UserMessage {
        content,
        timestamp: 0,
    }
}

#[cfg(test)]
mod tests {
    use openclaw_shared::transcript::{Message, Part};
    use serde_json::Map;

    use super::{Conversation, Silence};

    fn call(id: &str) -> Part {
        Part::ToolCall {
            id: id.into(),
            name: "look".into(),
            arguments: Map::new(),
        }
    }

    fn shown(message: &Message) -> String {
        let parts: Vec<String> = message
            .content()
            .iter()
            .map(|part| match part {
                Part::Text { text } => text.clone(),
                Part::Image { .. } => "image".into(),
                Part::ToolCall { id, .. } => format!("call {id}"),
                Part::Thinking { .. } => "thinking".into(),
            })
            .collect();
        let who = match message {
            Message::User(_) => "user".to_owned(),
            Message::Assistant(_) => "assistant".to_owned(),
            Message::ToolResult(result) => {
                format!("{} of {}", result.tool_name, result.tool_call_id)
            }
        };
        format!("{who}: {}", parts.join("+"))
    }

    fn check(say: impl FnOnce(&mut Conversation), history: &[&str], message: &str) {
        let mut conversation = Conversation::default();
        say(&mut conversation);
        let prompt = conversation.into_prompt().unwrap();
        let seen: Vec<String> = prompt.history.iter().map(shown).collect();
        assert_eq!(seen, history);
        assert_eq!(prompt.message, message);
    }

    #[test]
    fn the_last_word_of_a_person_or_a_tool_is_what_is_asked() {
        let text = |text| vec![Part::text(text)];
        check(|it| it.user(text("hi")), &[], "hi");
        check(
            |it| {
                it.user(text("one"));
                it.assistant(text("two"));
                it.user(text("three"));
                it.assistant(text("half an ans"));
            },
            &["user: one", "assistant: two"],
            "three",
        );
        check(
            |it| {
                it.user(text("where"));
                it.assistant(text("I look"));
                it.assistant(vec![call("1")]);
                it.assistant(vec![call("2")]);
                it.tool("2", None, text("b"));
                it.tool("1", None, text("a"));
            },
            &[
                "user: where",
                "assistant: I look+call 1+call 2",
                "look of 2: b",
                "look of 1: a",
            ],
            "",
        );
        for say in [vec![], text(" ")] {
            let mut nobody = Conversation::default();
            nobody.assistant(text("me"));
            nobody.user(say);
            assert_eq!(nobody.into_prompt(), Err(Silence));
        }
    }

    #[test]
    fn calls_and_answers_are_mended() {
        let text = |text| vec![Part::text(text)];
        check(
            |it| {
                it.assistant(vec![call("1"), call("2")]);
                it.tool("2", Some("x"), text("b"));
                it.user(text("go on"));
            },
            &[
                "assistant: call 1+call 2",
                "x of 2: b",
                &format!("look of 1: {}", super::NO_RESULT),
            ],
            "go on",
        );
        check(|it| it.tool("9", None, text("lost")), &[], "Tool:9:\nlost");
        check(
            |it| {
                it.user(text("a"));
                it.assistant(vec![call("1"), call("2")]);
                it.tool("1", None, text("x"));
            },
            &[
                "user: a",
                "assistant: call 1+call 2",
                "look of 1: x",
                &format!("look of 2: {}", super::NO_RESULT),
            ],
            "",
        );
    }
}
