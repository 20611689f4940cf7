//! Which keys hold secrets, told by their names.
//!
//! Typed secrets protect themselves (`Secret`); this is for the places where a configuration is still plain
//! values: issue texts, dumps and answers that show a configuration to somebody.

use serde_json::Value;

use super::path::{KeyPath, Step};
use crate::log::redact;
use crate::secret::{PLACEHOLDER, names_a_secret};

/// Objects whose every value may be a secret, whatever its name.
const BLOCKS: &[&str] = &["env", "headers"];

/// Keys that hold secrets by their type, though their names do not say so: an address may carry a token in its path.
const TYPED: &[&str] = &["cdpUrl", "proxy"];

/// Whether the value at this path must not be shown.
pub fn is_secret(path: &KeyPath) -> bool {
    let mut keys = path.steps().iter().filter_map(|step| match step {
        Step::Key(key) => Some(key.as_str()),
        Step::Index(_) => None,
    });
    keys.any(is_secret_key)
}

/// Whether a key says that everything below it is a secret.
pub(super) fn is_secret_key(key: &str) -> bool {
    BLOCKS.contains(&key) || TYPED.contains(&key) || names_a_secret(key)
}

/// Whether a text gives a secret away whatever its key is: an address with a password or a token in it.
pub(super) fn holds_a_secret(text: &str) -> bool {
    text.contains("://") && matches!(redact(text), std::borrow::Cow::Owned(_))
}

/// A copy to show: every secret string or number is replaced by a placeholder, `${VAR}` references stay.
pub fn redacted(value: &Value) -> Value {
    hidden(value, PLACEHOLDER, true)
}

/// A copy in which every secret string or number is replaced by `placeholder`; `${VAR}` references stay, or not.
pub(super) fn hidden(value: &Value, placeholder: &str, keeps_references: bool) -> Value {
    fn walk(value: &Value, is_secret: bool, hide: &dyn Fn(&Value, bool) -> Option<Value>) -> Value {
        match value {
            Value::Object(members) => Value::Object(
                members
                    .iter()
                    .map(|(key, member)| {
                        (
                            key.clone(),
                            walk(member, is_secret || is_secret_key(key), hide),
                        )
                    })
                    .collect(),
            ),
            Value::Array(elements) => elements
                .iter()
                .map(|element| walk(element, is_secret, hide))
                .collect(),
            Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {
                hide(value, is_secret).unwrap_or_else(|| value.clone())
            }
        }
    }
    walk(value, false, &|value, is_secret| {
        must_hide(value, is_secret, keeps_references).then(|| placeholder.into())
    })
}

/// Whether a value that is no container must be hidden.
pub(super) fn must_hide(value: &Value, is_secret: bool, keeps_references: bool) -> bool {
    match value {
        Value::String(text) if keeps_references && is_reference(text) => false,
        Value::String(text) if is_secret => !text.is_empty(),
        Value::String(text) => holds_a_secret(text),
        Value::Number(_) => is_secret,
        Value::Bool(_) | Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// Whether a text is one `${VAR}` and nothing else.
fn is_reference(text: &str) -> bool {
    text.strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
        .is_some_and(|name| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_told_by_name_and_block() {
        for (path, secret) in [
            ("gateway.auth.token", true),
            ("gateway.remote.password", true),
            ("channels.telegram.botToken", true),
            ("channels.telegram.webhookSecret", true),
            ("models.providers.x.apiKey", true),
            ("models.providers.x.headers.X-Any", true),
            ("env.vars.ANYTHING", true),
            ("agents.defaults.contextTokens", false),
            ("models.providers.x.models[0].maxTokens", false),
            ("gateway.port", false),
            ("hooks.token", true),
        ] {
            assert_eq!(is_secret(&path.parse().unwrap()), secret, "{path}");
        }
    }

    #[test]
    fn a_copy_to_show_has_no_secrets_but_keeps_references() {
        let shown = redacted(&json!({
            "gateway": {"port": 1, "auth": {"token": "abc", "password": "${PW}", "mode": "token"}},
            "env": {"vars": {"A": "x"}, "shellEnv": {"enabled": true}},
        }));
        let expected = json!({
            "gateway": {"port": 1, "auth": {"token": "***", "password": "${PW}", "mode": "token"}},
            "env": {"vars": {"A": "***"}, "shellEnv": {"enabled": true}},
        });
        assert_eq!(shown, expected);
    }
}
