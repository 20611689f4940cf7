//! One JSON5 document, kept byte for byte, with the place of every value in it.
//!
//! The text itself is the lossless part; the tree over it says where each key and value starts and ends.
//! Loading turns nodes into values, errors turn offsets into line and column, and edits cut and splice the
//! text at those offsets. Because there is one tree, what an edit changes is what a load reads.
//!
//! Invariant: nesting is limited by [`MAX_DEPTH`] while parsing, so that every recursion over a tree or over
//! a value made from it is bounded.

mod parse;
mod scan;

use serde_json::{Map, Value};

pub(crate) use parse::parse;
pub(crate) use scan::{Scanner, is_identifier};

/// How deep objects and arrays may nest.
pub(crate) const MAX_DEPTH: usize = 64;

/// A range of bytes in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A parsed document and its exact text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Document {
    pub(crate) text: String,
    pub(crate) root: Node,
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) kind: Kind,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// null, a boolean, a number or a string.
    Scalar(Value),
    Array(Vec<Node>),
    /// Members in the order of the text, duplicates included.
    Object(Vec<Member>),
}

/// One `key: value` of an object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Member {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

/// The first place where a text stops being JSON5. The message never quotes a string's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) offset: usize,
    pub(crate) message: String,
    pub(crate) hint: Option<&'static str>,
}

impl Node {
    /// The plain value; of duplicate keys the last one counts, as in JavaScript.
    pub(crate) fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Scalar(value) => value.clone(),
            Kind::Array(elements) => elements.iter().map(Node::to_value).collect(),
            Kind::Object(members) => Value::Object(
                members
                    .iter()
                    .map(|member| (member.key.clone(), member.value.to_value()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }
}

/// Line and column of a byte offset in a text, both counted from 1, the column in characters.
pub(crate) fn position(text: &str, offset: usize) -> (u32, u32) {
    let before = &text[..text.floor_char_boundary(offset)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = 1 + before.bytes().filter(|byte| *byte == b'\n').count();
    // A byte order mark is invisible in every editor and takes no column.
    let column = 1 + before[line_start..]
        .chars()
        .filter(|c| *c != '\u{feff}')
        .count();
    let bounded = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    (bounded(line), bounded(column))
}
