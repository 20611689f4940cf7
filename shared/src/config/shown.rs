//! The configuration as clients are shown it, and the way back.
//!
//! A secret is shown as [`REDACTED`]. In the text only its own characters are replaced: comments, order and layout stay. A client
//! that sends the placeholder back means the secret that stands at that place, as it is written in the file: a `${VAR}` stays one.
//!
//! What stands in comments is shown as it is.

use serde_json::Value;

use super::path::{KeyPath, Step};
use super::sensitive::{hidden, is_secret_key, must_hide};
use super::tree::{self, Kind, Node, Span};
use crate::log::redact_with;

/// What stands for a secret.
pub const REDACTED: &str = "__OPENCLAW_REDACTED__";

/// Why a text that a client sent cannot be completed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// It is not JSON5.
    #[error("JSON5: {message} at {line}:{column}")]
    Unreadable {
        /// The line, counted from 1.
        line: u32,
        /// The column, counted from 1.
        column: u32,
        /// What is wrong there.
        message: String,
    },
    /// The placeholder stands where no secret was.
    #[error("{REDACTED} at {path} stands for no secret; write the value itself")]
    NoSecret {
        /// Where.
        path: KeyPath,
    },
}

/// Reads a text as one JSON5 value.
///
/// # Errors
/// With the first place that is none.
pub fn parse(text: &str) -> Result<Value, RestoreError> {
    document(text).map(|document| document.root.to_value())
}

/// A configuration with variables in place of its secrets; `is_resolved` tells that what looks like a `${VAR}` is a value.
#[must_use]
pub fn value(config: &Value, is_resolved: bool) -> Value {
    hidden(config, REDACTED, !is_resolved)
}

/// The text of a configuration file without its secrets.
#[must_use]
pub fn text(text: &str) -> String {
    let Ok(document) = document(text) else {
        // Without a tree nothing tells which value is a secret but its surroundings.
        return redact_with(text, REDACTED).into_owned();
    };
    let mut spans = Vec::new();
    find_secrets(&document.root, false, &mut spans);
    let placeholder = Value::from(REDACTED).to_string();
    let replacements = spans.into_iter().map(|span| (span, placeholder.clone()));
    spliced(text, replacements)
}

/// The text that a client means: each placeholder replaced by what stands at the same place in `old`, the configuration with its
/// `${VAR}` references as it is written in the files.
///
/// # Errors
/// When the text is not JSON5, or a placeholder stands for nothing.
pub fn restore(text: &str, old: &Value) -> Result<String, RestoreError> {
    if !text.contains(REDACTED) {
        document(text)?;
        return Ok(text.to_owned());
    }
    let document = document(text)?;
    let mut replacements = Vec::new();
    find_placeholders(
        &document.root,
        Some(old),
        &mut KeyPath::root(),
        &mut replacements,
    )?;
    Ok(spliced(text, replacements))
}

fn document(text: &str) -> Result<tree::Document, RestoreError> {
    tree::parse(text).map_err(|error| {
        let (line, column) = tree::position(text, error.offset);
        RestoreError::Unreadable {
            line,
            column,
            message: error.message,
        }
    })
}

fn find_secrets(node: &Node, is_secret: bool, spans: &mut Vec<Span>) {
    match &node.kind {
        Kind::Object(members) => {
            for member in members {
                let is_secret = is_secret || is_secret_key(&member.key);
                find_secrets(&member.value, is_secret, spans);
            }
        }
        Kind::Array(elements) => {
            for element in elements {
                find_secrets(element, is_secret, spans);
            }
        }
        Kind::Scalar(value) => {
            if must_hide(value, is_secret, true) {
                spans.push(node.span);
            }
        }
    }
}

fn find_placeholders(
    node: &Node,
    old: Option<&Value>,
    path: &mut KeyPath,
    replacements: &mut Vec<(Span, String)>,
) -> Result<(), RestoreError> {
    match &node.kind {
        Kind::Object(members) => {
            for member in members {
                let old = old.and_then(|old| old.get(&member.key));
                path.push(Step::Key(member.key.clone()));
                find_placeholders(&member.value, old, path, replacements)?;
                path.pop();
            }
        }
        Kind::Array(elements) => {
            let old = old.and_then(Value::as_array).map(Vec::as_slice);
            for (index, element) in elements.iter().enumerate() {
                let old = old.and_then(|old| counterpart(element, index, elements.len(), old));
                path.push(Step::Index(index));
                find_placeholders(element, old, path, replacements)?;
                path.pop();
            }
        }
        Kind::Scalar(value) if value == REDACTED => match old {
            Some(old @ (Value::String(_) | Value::Number(_))) => {
                replacements.push((node.span, old.to_string()));
            }
            Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => {
                return Err(RestoreError::NoSecret { path: path.clone() });
            }
        },
        Kind::Scalar(_) => {}
    }
    Ok(())
}

/// The element that an element of a changed array was before: the one of the same name, or the one at the same place if none was
/// added or taken away. A secret must never move to somebody else because a neighbour left.
fn counterpart<'v>(
    element: &Node,
    index: usize,
    length: usize,
    old: &'v [Value],
) -> Option<&'v Value> {
    const NAMES: [&str; 2] = ["id", "name"];
    let name_of = |key: &str| match &element.kind {
        Kind::Object(members) => {
            members
                .iter()
                .rfind(|member| member.key == key)
                .and_then(|member| match &member.value.kind {
                    Kind::Scalar(value @ Value::String(_)) => Some(value),
                    Kind::Scalar(_) | Kind::Array(_) | Kind::Object(_) => None,
                })
        }
        Kind::Scalar(_) | Kind::Array(_) => None,
    };
    for key in NAMES {
        if let Some(name) = name_of(key) {
            return old.iter().find(|old| old.get(key) == Some(name));
        }
    }
    old.get(index).filter(|_| length == old.len())
}

/// The text with spans replaced, which are given in the order of the text.
fn spliced(text: &str, replacements: impl IntoIterator<Item = (Span, String)>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut written = 0;
    for (span, replacement) in replacements {
        out.push_str(&text[written..span.start]);
        out.push_str(&replacement);
        written = span.end;
    }
    out.push_str(&text[written..]);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::testing::any_value;
    use super::*;

    const FILE: &str = r#"// mine
{
  gateway: { port: 1, auth: { token: 'gehe\'im', /* keep */ password: "${PW}", mode: "token" } },
  "env": { vars: { A: "x", N: 7 } },
  browser: { cdpUrl: "wss://me:pw@host/x", color: "blue" },
  agents: { list: [{ id: "a", tools: { apiKey: "ka" } }, { id: "b", tools: { apiKey: "kb" } }] },
}
"#;

    fn old() -> Value {
        parse(FILE).unwrap()
    }

    #[test]
    fn rule_103_only_the_characters_of_secrets_are_replaced() {
        let shown = text(FILE);
        let expected = r#"// mine
{
  gateway: { port: 1, auth: { token: "__OPENCLAW_REDACTED__", /* keep */ password: "${PW}", mode: "token" } },
  "env": { vars: { A: "__OPENCLAW_REDACTED__", N: "__OPENCLAW_REDACTED__" } },
  browser: { cdpUrl: "__OPENCLAW_REDACTED__", color: "blue" },
  agents: { list: [{ id: "a", tools: { apiKey: "__OPENCLAW_REDACTED__" } }, { id: "b", tools: { apiKey: "__OPENCLAW_REDACTED__" } }] },
}
"#;
        assert_eq!(shown, expected);
        assert_eq!(value(&old(), false), parse(expected).unwrap());
        let resolved = json!({"gateway": {"auth": {"token": "${LOOKS_LIKE_ONE}"}}});
        assert_eq!(value(&resolved, true)["gateway"]["auth"]["token"], REDACTED);
    }

    #[test]
    fn what_is_sent_back_means_what_was_there() {
        let restored = restore(&text(FILE), &old()).unwrap();
        assert_eq!(parse(&restored).unwrap(), old());
        assert!(restored.contains("/* keep */ password: \"${PW}\""));
        // A neighbour that leaves takes its secret along.
        let left = r#"{agents: {list: [{tools: {apiKey: "__OPENCLAW_REDACTED__"}, id: "b"}]}}"#;
        let restored = parse(&restore(left, &old()).unwrap()).unwrap();
        assert_eq!(restored["agents"]["list"][0]["tools"]["apiKey"], "kb");
    }

    #[test]
    fn a_placeholder_without_a_secret_is_refused_with_its_place() {
        for (sent, path) in [
            (
                r#"{hooks: {token: "__OPENCLAW_REDACTED__"}}"#,
                "hooks.token",
            ),
            (
                r#"{gateway: {auth: "__OPENCLAW_REDACTED__"}}"#,
                "gateway.auth",
            ),
            (
                r#"{agents: {list: [{id: "new", key: "__OPENCLAW_REDACTED__"}]}}"#,
                "agents.list[0].key",
            ),
            (
                r#"{agents: {list: [{tools: {apiKey: "__OPENCLAW_REDACTED__"}}]}}"#,
                "agents.list[0].tools.apiKey",
            ),
        ] {
            let error = restore(sent, &old()).unwrap_err();
            assert_eq!(
                error,
                RestoreError::NoSecret {
                    path: path.parse().unwrap()
                }
            );
        }
    }

    #[test]
    fn a_text_that_cannot_be_read_is_shown_without_what_looks_like_a_secret() {
        let shown = text("{ gateway: { auth: { token: \"geheim\", } ");
        assert!(!shown.contains("geheim"), "{shown}");
        let error = restore("{a:", &Value::Null).unwrap_err();
        assert!(error.to_string().ends_with("at 1:4"), "{error}");
    }

    proptest! {
        #[test]
        fn hiding_and_restoring_changes_nothing(config in any_value()) {
            let written = config.to_string();
            let old = parse(&written).unwrap();
            let shown = text(&written);
            prop_assert_eq!(parse(&shown).unwrap(), value(&old, false));
            let restored = restore(&shown, &old).unwrap();
            prop_assert_eq!(parse(&restored).unwrap(), old);
        }
    }
}
