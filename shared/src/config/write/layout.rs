//! How a document is laid out, so that what is added looks like what is there.

use serde_json::{Map, Value};

use crate::config::tree::{Document, Kind, Node, is_identifier};

/// The layout that new text follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// What one level is indented by.
    unit: String,
    /// Whether keys are written in quotes.
    quoted: bool,
    /// The line end of the document.
    pub(super) newline: &'static str,
}

impl Layout {
    /// Takes the layout from a document: its first key tells how keys are written and indented.
    pub(super) fn of(document: &Document) -> Self {
        let text = &document.text;
        let first = match &document.root.kind {
            Kind::Object(members) => members.first(),
            Kind::Scalar(_) | Kind::Array(_) => None,
        };
        let unit = first.and_then(|member| indent_of_own_line(text, member.key_span.start));
        Self {
            unit: unit
                .filter(|unit| !unit.is_empty())
                .unwrap_or("  ")
                .to_owned(),
            quoted: first
                .is_none_or(|member| text[member.key_span.start..].starts_with(['"', '\''])),
            newline: if text.contains("\r\n") { "\r\n" } else { "\n" },
        }
    }

    /// The indent one level further in.
    pub(super) fn deeper(&self, indent: &str) -> String {
        format!("{indent}{}", self.unit)
    }

    /// A member as it is written; without an indent on one line, else over several.
    pub(super) fn member(&self, key: &str, value: &Value, indent: Option<&str>) -> String {
        format!("{}: {}", self.key(key), self.value(value, indent))
    }

    /// A value as it is written; without an indent on one line, else over several.
    pub(super) fn value(&self, value: &Value, indent: Option<&str>) -> String {
        match value {
            Value::Object(members) if !members.is_empty() => self.object(members, indent),
            Value::Array(elements) if !elements.is_empty() => {
                let inner = indent.map(|indent| self.deeper(indent));
                let items = elements
                    .iter()
                    .map(|element| self.value(element, inner.as_deref()));
                self.bracketed('[', items.collect(), ']', indent)
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => value.to_string(),
        }
    }

    /// Items behind each other, as they follow in a container.
    pub(super) fn join(&self, items: impl Iterator<Item = String>, indent: Option<&str>) -> String {
        let separator = indent.map_or(", ".to_owned(), |indent| {
            format!(",{}{indent}", self.newline)
        });
        items.collect::<Vec<_>>().join(&separator)
    }

    fn object(&self, members: &Map<String, Value>, indent: Option<&str>) -> String {
        let inner = indent.map(|indent| self.deeper(indent));
        let items = members
            .iter()
            .map(|(key, value)| self.member(key, value, inner.as_deref()));
        self.bracketed('{', items.collect(), '}', indent)
    }

    fn bracketed(
        &self,
        open: char,
        items: Vec<String>,
        close: char,
        indent: Option<&str>,
    ) -> String {
        let Some(indent) = indent else {
            let blank = if open == '{' { " " } else { "" };
            return format!("{open}{blank}{}{blank}{close}", items.join(", "));
        };
        let (newline, inner) = (self.newline, self.deeper(indent));
        let lines = items.join(&format!(",{newline}{inner}"));
        format!("{open}{newline}{inner}{lines}{newline}{indent}{close}")
    }

    fn key(&self, key: &str) -> String {
        if self.quoted || !is_identifier(key) {
            Value::from(key).to_string()
        } else {
            key.to_owned()
        }
    }
}

/// The blanks before an offset, if nothing else stands before it on its line.
pub(super) fn indent_of_own_line(text: &str, offset: usize) -> Option<&str> {
    let line = &text[line_start(text, offset)..offset];
    line.chars().all(is_blank).then_some(line)
}

/// The blanks at the start of the line that holds an offset.
pub(super) fn indent_of_line(text: &str, offset: usize) -> &str {
    let line = &text[line_start(text, offset)..offset];
    &line[..line.find(|c| !is_blank(c)).unwrap_or(line.len())]
}

/// Whether a container is written over several lines.
pub(super) fn spans_lines(text: &str, node: &Node) -> bool {
    text[node.span.start..node.span.end].contains('\n')
}

pub(super) fn line_start(text: &str, offset: usize) -> usize {
    text[..offset].rfind('\n').map_or(0, |newline| newline + 1)
}

pub(super) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}
