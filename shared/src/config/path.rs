//! Where a value sits in the configuration: `agents.list[0].id`, `channels.telegram.groups["a.b"]`.
//!
//! One type for the paths people type on the command line, the keys that issues name and the paths that
//! edits follow. Text and path convert both ways without loss.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// One step from a container to a value inside it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// A member of an object.
    Key(String),
    /// An element of an array, counted from 0.
    Index(usize),
}

/// The steps from the root of the configuration to one value; empty for the root itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPath {
    steps: Vec<Step>,
}

/// Why a text is not a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read the path {path:?}: {reason}")]
pub struct PathError {
    path: String,
    reason: &'static str,
}

impl KeyPath {
    /// The path of the root.
    pub fn root() -> Self {
        Self::default()
    }

    /// A path of plain object keys.
    pub fn of_keys<'a>(keys: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            steps: keys
                .into_iter()
                .map(|key| Step::Key(key.to_owned()))
                .collect(),
        }
    }

    /// The steps from the root.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.steps.is_empty()
    }

    /// The path of a member below this one.
    pub fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    /// The path of an element below this one.
    pub fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    /// The path one step further down.
    pub fn with(&self, step: Step) -> Self {
        let mut steps = self.steps.clone();
        steps.push(step);
        Self { steps }
    }

    /// Goes one step down in place.
    pub fn push(&mut self, step: Step) {
        self.steps.push(step);
    }

    /// Goes one step up in place.
    pub fn pop(&mut self) -> Option<Step> {
        self.steps.pop()
    }

    /// The value at this path. A numeric step finds an element of an array as well as a member whose
    /// name is that number, whichever way it was written.
    pub fn find<'v>(&self, root: &'v Value) -> Option<&'v Value> {
        self.steps
            .iter()
            .try_fold(root, |value, step| match (value, step) {
                (Value::Array(elements), Step::Index(index)) => elements.get(*index),
                (Value::Array(elements), Step::Key(key)) => {
                    elements.get(key.parse::<usize>().ok()?)
                }
                (Value::Object(members), Step::Key(key)) => members.get(key),
                (Value::Object(members), Step::Index(index)) => members.get(&index.to_string()),
                _ => None,
            })
    }
}

impl From<Vec<Step>> for KeyPath {
    fn from(steps: Vec<Step>) -> Self {
        Self { steps }
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.steps.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) if is_plain(key) => {
                    write!(f, "{}{key}", if position == 0 { "" } else { "." })?;
                }
                Step::Key(key) => write!(f, "[{}]", Value::from(key.as_str()))?,
            }
        }
        Ok(())
    }
}

/// A key that needs no quotes in a path.
fn is_plain(key: &str) -> bool {
    !key.is_empty()
        && !key.chars().any(|c| {
            matches!(c, '.' | '[' | ']' | '\\' | '"' | '\'') || c.is_whitespace() || c.is_control()
        })
}

impl FromStr for KeyPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let fail = |reason| PathError {
            path: text.to_owned(),
            reason,
        };
        let mut steps = Vec::new();
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(fail("it is empty"));
        }
        while !rest.is_empty() {
            if let Some(inside) = rest.strip_prefix('[') {
                let (step, after) = bracketed(inside).map_err(fail)?;
                steps.push(step);
                rest = after;
            } else {
                let (key, after) = dotted(rest).map_err(fail)?;
                steps.push(Step::Key(key));
                rest = after;
            }
            match rest.chars().next() {
                None | Some('[') => {}
                Some('.') => {
                    rest = &rest[1..];
                    if rest.is_empty() {
                        return Err(fail("it ends with a dot"));
                    }
                    if rest.starts_with('[') {
                        return Err(fail("a dot is followed by a bracket"));
                    }
                }
                Some(_) => {
                    return Err(fail(
                        "a bracket must be followed by a dot, a bracket or the end",
                    ));
                }
            }
        }
        Ok(Self { steps })
    }
}

/// Reads a key up to the next unescaped dot or bracket.
fn dotted(text: &str) -> Result<(String, &str), &'static str> {
    let mut key = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => key.push(chars.next().ok_or("it ends with a backslash")?.1),
            '.' | '[' if key.is_empty() && at == 0 => return Err("a key is empty"),
            '.' | '[' => return Ok((key, &text[at..])),
            ']' => return Err("a bracket is closed that was not opened"),
            _ => key.push(c),
        }
    }
    Ok((key, ""))
}

/// Reads what stands between brackets: an index, a quoted key or a bare key.
fn bracketed(inside: &str) -> Result<(Step, &str), &'static str> {
    const UNCLOSED: &str = "a bracket is not closed";
    let quote = inside.chars().next().filter(|c| matches!(c, '"' | '\''));
    let body = if quote.is_some() {
        &inside[1..]
    } else {
        inside
    };
    let end_char = quote.unwrap_or(']');
    let mut key = String::new();
    let mut chars = body.char_indices();
    let after = loop {
        let (at, c) = chars.next().ok_or(UNCLOSED)?;
        match c {
            '\\' if quote.is_some() => {
                // The shortest escape that is not the character itself is a JSON escape, which is how
                // control characters in a key are displayed.
                let rest = &body[at..];
                let (unescaped, length) = json_escape(rest).ok_or("an escape is not valid")?;
                key.push(unescaped);
                for _ in 1..rest[..length].chars().count() {
                    chars.next();
                }
            }
            '\\' => key.push(chars.next().ok_or(UNCLOSED)?.1),
            c if c == end_char => break &body[at + c.len_utf8()..],
            _ => key.push(c),
        }
    };
    if quote.is_some() {
        return Ok((Step::Key(key), after.strip_prefix(']').ok_or(UNCLOSED)?));
    }
    if key.is_empty() {
        return Err("a bracket is empty");
    }
    match key.parse::<usize>() {
        Ok(index) if key == index.to_string() => Ok((Step::Index(index), after)),
        _ => Ok((Step::Key(key), after)),
    }
}

/// The character an escape at the start of `text` stands for, and the escape's length in bytes.
fn json_escape(text: &str) -> Option<(char, usize)> {
    let second = text.chars().nth(1)?;
    let simple = |c| Some((c, 1 + second.len_utf8()));
    match second {
        'n' => simple('\n'),
        'r' => simple('\r'),
        't' => simple('\t'),
        'b' => simple('\u{8}'),
        'f' => simple('\u{c}'),
        'u' => {
            let digits = text.get(2..6)?;
            Some((char::from_u32(u32::from_str_radix(digits, 16).ok()?)?, 6))
        }
        other => simple(other),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: &str) {
        let outcome = match text.parse::<KeyPath>() {
            Ok(path) => path
                .steps()
                .iter()
                .map(|step| match step {
                    Step::Key(key) => format!("{key:?}"),
                    Step::Index(index) => index.to_string(),
                })
                .collect::<Vec<_>>()
                .join(" "),
            Err(error) => error.reason.to_owned(),
        };
        assert_eq!(outcome, expected, "path {text}");
    }

    #[test]
    fn paths_are_read_as_people_write_them() {
        check("gateway.port", r#""gateway" "port""#);
        check("agents.list[0].id", r#""agents" "list" 0 "id""#);
        check(r#"a["k.x"].b"#, r#""a" "k.x" "b""#);
        check("a['k.x']", r#""a" "k.x""#);
        check("a[key].b", r#""a" "key" "b""#);
        check(r"a.k\.x", r#""a" "k.x""#);
        check("[0]", "0");
        check("a[-100123]", r#""a" "-100123""#);
        check("", "it is empty");
        check("a.", "it ends with a dot");
        check(".a", "a key is empty");
        check("a..b", "a key is empty");
        check("a[0", "a bracket is not closed");
        check("a[]", "a bracket is empty");
        check("a]", "a bracket is closed that was not opened");
        check(
            "a[0]b",
            "a bracket must be followed by a dot, a bracket or the end",
        );
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            any::<String>().prop_map(Step::Key),
            "[a-z]{1,6}".prop_map(Step::Key),
            (0usize..1000).prop_map(Step::Index),
        ]
    }

    proptest! {
        #[test]
        fn a_path_survives_being_printed_and_read(steps in prop::collection::vec(any_step(), 1..6)) {
            let path = KeyPath::from(steps);
            prop_assert_eq!(path.to_string().parse::<KeyPath>(), Ok(path));
        }

        #[test]
        fn reading_any_text_as_a_path_never_panics(text in any::<String>()) {
            let _ = text.parse::<KeyPath>();
        }
    }
}
