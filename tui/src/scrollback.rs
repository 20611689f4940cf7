//! What was said and done, as it is shown.                                                             (pure)
//!
//! Invariant: every text in here is harmless for a terminal, and has a bound.

use std::collections::VecDeque;

use openclaw_client::harmless;
use openclaw_shared::transcript::{Message, Part};
use serde::Deserialize as _;
use serde_json::Value;

use crate::wrap::{shorten, wrap};

/// How many entries are kept; the oldest make room.
const ENTRIES: usize = 5_000;
/// How much of one text is shown, in bytes.
const LONGEST: usize = 128 * 1024;
/// How much of what a tool is given is shown, in columns.
const ARGUMENTS: usize = 200;
/// How many lines of what a tool says are shown.
const TOOL_LINES: usize = 6;

/// What kind of thing an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What a person has said.
    User,
    /// What the agent has said.
    Answer,
    /// A tool that the agent has used.
    Tool,
    /// What this program has to say.
    Notice,
    /// What went wrong.
    Failure,
}

#[derive(Debug)]
struct Entry {
    kind: Kind,
    text: String,
    /// For a tool, its call.
    call: String,
    lines: Vec<String>,
    /// How wide the lines are; zero when they are not those of the text.
    columns: usize,
}

/// An answer that grows.
#[derive(Debug)]
struct Growing {
    run: String,
    /// The text up to the last tool, as the gateway said it.
    sealed: String,
    /// All of it so far.
    whole: String,
    /// Whether its last part has an entry, which is then the last answer.
    has_entry: bool,
}

/// Everything that can be scrolled through.
#[derive(Debug, Default)]
pub(crate) struct Scrollback {
    entries: VecDeque<Entry>,
    growing: Option<Growing>,
}

/// A line as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) kind: Kind,
    pub(crate) text: &'a str,
    /// Whether it is the first of its entry.
    pub(crate) is_first: bool,
}

/// How many columns stand before the text of each entry.
pub(crate) const INDENT: usize = 2;

impl Scrollback {
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.growing = None;
    }

    /// Adds an entry.
    pub(crate) fn push(&mut self, kind: Kind, text: &str) {
        self.push_call(kind, text, "");
    }

    fn push_call(&mut self, kind: Kind, text: &str, call: &str) {
        self.entries.push_back(Entry {
            kind,
            text: bounded(text),
            call: call.to_owned(),
            lines: Vec::new(),
            columns: 0,
        });
        if self.entries.len() > ENTRIES {
            self.entries.pop_front();
        }
    }

    /// Shows the answer of a run as far as it is there; `whole` is all of it so far, or all since the last tool.
    pub(crate) fn grow(&mut self, run: &str, whole: &str) {
        let mut growing = match self.growing.take() {
            Some(growing) if growing.run == run => growing,
            Some(_) | None => Growing {
                run: run.to_owned(),
                sealed: String::new(),
                whole: String::new(),
                has_entry: false,
            },
        };
        let part = whole
            .strip_prefix(&*growing.sealed)
            .unwrap_or(whole)
            .trim_start();
        let entry = self
            .entries
            .iter_mut()
            .rfind(|entry| entry.kind == Kind::Answer);
        match entry.filter(|_| growing.has_entry) {
            Some(entry) => entry.set(part),
            None if part.is_empty() => {}
            None => {
                self.push(Kind::Answer, part);
                growing.has_entry = true;
            }
        }
        whole.clone_into(&mut growing.whole);
        self.growing = Some(growing);
    }

    /// Ends the answer of a run, with its last words when they are said again. Says whether any of it was seen growing.
    pub(crate) fn end(&mut self, run: &str, whole: Option<&str>) -> bool {
        if let Some(whole) = whole {
            self.grow(run, whole);
        }
        let is_its = self
            .growing
            .as_ref()
            .is_some_and(|growing| growing.run == run);
        if is_its {
            self.growing = None;
        }
        is_its
    }

    /// A tool begins: what the run says next is another text.
    pub(crate) fn tool(&mut self, run: &str, call: &str, name: &str, arguments: &Value) {
        if let Some(growing) = self.growing.as_mut().filter(|growing| growing.run == run) {
            growing.sealed.clone_from(&growing.whole);
            growing.has_entry = false;
        }
        self.push_call(Kind::Tool, &headline(name, arguments), call);
    }

    /// What a tool has said, so far or at its end.
    pub(crate) fn tool_says(&mut self, call: &str, said: &str, is_error: bool) {
        let entry = self
            .entries
            .iter_mut()
            .rfind(|entry| entry.kind == Kind::Tool && entry.call == call);
        let Some(entry) = entry else { return };
        let head = entry.text.lines().next().unwrap_or_default().to_owned();
        let said = harmless(said.trim_end());
        let lines: Vec<&str> = said.lines().collect();
        let shown = lines[..lines.len().min(TOOL_LINES)].join("\n");
        let mut text = head;
        if is_error {
            text.push_str("\n(failed)");
        }
        if !shown.is_empty() {
            text.push('\n');
            text.push_str(&shown);
        }
        if lines.len() > TOOL_LINES {
            text.push_str(&format!("\n… ({} more lines)", lines.len() - TOOL_LINES));
        }
        entry.set(&text);
    }

    /// Shows the messages of a transcript in the place of everything else.
    pub(crate) fn show(&mut self, messages: &[Value]) {
        self.clear();
        for message in messages {
            match Message::deserialize(message) {
                Ok(message) => self.show_one(&message),
                Err(_) => self.push(
                    Kind::Notice,
                    "(a message of a kind that this version does not know)",
                ),
            }
        }
    }

    fn show_one(&mut self, message: &Message) {
        if let Message::ToolResult(result) = message {
            return self.tool_says(&result.tool_call_id, &message.text(), result.is_error);
        }
        let kind = if matches!(message, Message::User(_)) {
            Kind::User
        } else {
            Kind::Answer
        };
        for part in message.content() {
            match part {
                Part::Text { text } if text.trim().is_empty() => {}
                Part::Text { text } => self.push(kind, text),
                Part::Image { mime_type, .. } => {
                    self.push(kind, &format!("(an image, {mime_type})"))
                }
                Part::ToolCall {
                    id,
                    name,
                    arguments,
                } => {
                    let arguments = Value::Object(arguments.clone());
                    self.push_call(Kind::Tool, &headline(name, &arguments), id);
                }
                Part::Thinking { .. } => {}
            }
        }
        if let Message::Assistant(answer) = message
            && let Some(error) = &answer.error_message
        {
            self.push(Kind::Failure, error);
        }
    }

    /// Cuts everything to a width, and says how many lines that makes.
    pub(crate) fn lay_out(&mut self, columns: usize) -> usize {
        let room = columns.saturating_sub(INDENT).max(1);
        let mut before = None;
        let mut count = 0;
        for entry in &mut self.entries {
            if entry.columns != room {
                entry.lines = wrap(&entry.text, room);
                entry.columns = room;
            }
            count += entry.lines.len() + usize::from(is_apart(before, entry.kind));
            before = Some(entry.kind);
        }
        count
    }

    /// So many lines from a place on, of what was laid out; none stands for the space between entries.
    pub(crate) fn lines(&self, from: usize, count: usize) -> Vec<Option<Line<'_>>> {
        let mut before = None;
        let all = self.entries.iter().flat_map(|entry| {
            let is_apart = is_apart(before, entry.kind);
            before = Some(entry.kind);
            let lines = entry.lines.iter().enumerate().map(|(number, text)| {
                Some(Line {
                    kind: entry.kind,
                    text,
                    is_first: number == 0,
                })
            });
            std::iter::repeat_n(None, usize::from(is_apart)).chain(lines)
        });
        all.skip(from).take(count).collect()
    }
}

impl Entry {
    fn set(&mut self, text: &str) {
        self.text = bounded(text);
        self.columns = 0;
    }
}

/// Whether there is space between two entries; tools stand close to each other.
fn is_apart(before: Option<Kind>, kind: Kind) -> bool {
    before.is_some_and(|before| before != Kind::Tool || kind != Kind::Tool)
}

fn headline(name: &str, arguments: &Value) -> String {
    let arguments = if arguments.is_null() {
        String::new()
    } else {
        arguments.to_string()
    };
    shorten(
        &harmless(&format!("{name} {arguments}")).replace('\n', " "),
        ARGUMENTS,
    )
}

fn bounded(text: &str) -> String {
    let cut = text.floor_char_boundary(LONGEST);
    let mut shown = harmless(text[..cut].trim_end());
    if cut < text.len() {
        shown.push_str(&format!("\n… ({} more bytes)", text.len() - cut));
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(scrollback: &mut Scrollback, columns: usize, expected: &[&str]) {
        let count = scrollback.lay_out(columns);
        let lines = scrollback.lines(0, usize::MAX);
        assert_eq!(lines.len(), count);
        let shown: Vec<String> = lines
            .into_iter()
            .map(|line| match line {
                None => String::new(),
                Some(line) => {
                    let mark = match (line.is_first, line.kind) {
                        (false, _) | (_, Kind::Answer) => ' ',
                        (true, Kind::User) => '>',
                        (true, Kind::Tool) => '*',
                        (true, Kind::Notice) => '-',
                        (true, Kind::Failure) => '!',
                    };
                    format!("{mark} {}", line.text)
                }
            })
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn an_answer_grows_in_its_place_whichever_way_the_gateway_counts() {
        for continued in ["Let me look. It is 3.", "It is 3."] {
            let mut scrollback = Scrollback::default();
            scrollback.push(Kind::User, "how many?");
            scrollback.grow("r", "Let me");
            scrollback.grow("r", "Let me look.");
            scrollback.tool("r", "c1", "exec", &json!({"command": "ls"}));
            scrollback.tool_says("c1", "a\nb\nc\n", false);
            scrollback.grow("r", &continued[..continued.len() - 2]);
            assert!(scrollback.end("r", Some(continued)));
            check(
                &mut scrollback,
                40,
                &[
                    "> how many?",
                    "",
                    "  Let me look.",
                    "",
                    "* exec {\"command\":\"ls\"}",
                    "  a",
                    "  b",
                    "  c",
                    "",
                    "  It is 3.",
                ],
            );
            assert!(!scrollback.end("r", None));
        }
    }

    #[test]
    fn an_answer_that_was_not_seen_growing_is_shown_at_its_end() {
        let mut scrollback = Scrollback::default();
        assert!(scrollback.end("other", Some("done")));
        assert!(!scrollback.end("silent", None));
        scrollback.push(Kind::Failure, "broken");
        check(&mut scrollback, 40, &["  done", "", "! broken"]);
    }

    #[test]
    fn a_transcript_is_shown_with_its_tools() {
        let messages = [
            json!({"role": "user", "content": "hi", "timestamp": 1}),
            json!({"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "one moment"},
                {"type": "toolCall", "id": "1", "name": "a", "arguments": {}},
                {"type": "toolCall", "id": "2", "name": "b", "arguments": {}}], "timestamp": 2}),
            json!({"role": "toolResult", "toolCallId": "1", "content": [{"type": "text", "text": "x"}], "isError": true, "timestamp": 3}),
            json!({"role": "alien"}),
        ];
        let mut scrollback = Scrollback::default();
        scrollback.push(Kind::Notice, "before");
        scrollback.show(&messages);
        check(
            &mut scrollback,
            60,
            &[
                "> hi",
                "",
                "  one moment",
                "",
                "* a {}",
                "  (failed)",
                "  x",
                "* b {}",
                "",
                "- (a message of a kind that this version does not know)",
            ],
        );
    }

    #[test]
    fn rule_99_nothing_that_is_shown_can_command_a_terminal() {
        let evil = "x\x1b]0;t\x07\u{9b}2J\r\u{202e}";
        let mut scrollback = Scrollback::default();
        scrollback.push(Kind::User, evil);
        scrollback.grow("r", evil);
        scrollback.tool("r", "c", evil, &json!({ "a": evil }));
        scrollback.tool_says("c", evil, false);
        scrollback.show_one(
            &Message::deserialize(
                json!({"role": "assistant", "content": evil, "errorMessage": evil}),
            )
            .unwrap(),
        );
        scrollback.lay_out(30);
        for line in scrollback.lines(0, usize::MAX).into_iter().flatten() {
            assert!(!line.text.chars().any(char::is_control), "{line:?}");
            assert!(!line.text.contains('\u{202e}'), "{line:?}");
        }
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let mut scrollback = Scrollback::default();
        (0..ENTRIES + 10).for_each(|number| scrollback.push(Kind::Notice, &number.to_string()));
        assert_eq!(scrollback.entries.len(), ENTRIES);
        scrollback.clear();
        scrollback.push(Kind::Answer, &"é".repeat(LONGEST));
        assert!(scrollback.entries[0].text.len() < LONGEST + 100);
        scrollback.push(Kind::Tool, "t");
        let many = "line\n".repeat(100);
        scrollback.tool_says("", &many, false);
        assert_eq!(scrollback.entries[1].text.lines().count(), TOOL_LINES + 2);
    }
}
