//! Which keys hold secrets, told by their names.
//!
//! Typed secrets protect themselves (`Secret`); this is for the places where a configuration is still plain
//! values: issue texts, dumps and answers that show a configuration to somebody.

use serde_json::Value;

use super::path::{KeyPath, Step};
use crate::secret::PLACEHOLDER;

/// Endings of key names that mark a secret, lowercase and without separators.
const ENDINGS: &[&str] = &[
    "token",
    "password",
    "passphrase",
    "secret",
    "apikey",
    "accesskey",
    "privatekey",
    "secretkey",
    "credential",
    "credentials",
    "authorization",
    "cookie",
];

/// Objects whose every value may be a secret, whatever its name.
const BLOCKS: &[&str] = &["env", "headers"];

/// Whether the value at this path must not be shown.
pub fn is_secret(path: &KeyPath) -> bool {
    let mut keys = path.steps().iter().filter_map(|step| match step {
        Step::Key(key) => Some(key.as_str()),
        Step::Index(_) => None,
    });
    keys.any(|key| BLOCKS.contains(&key) || names_a_secret(key))
}

/// Whether a key's name says that its value is a secret.
fn names_a_secret(key: &str) -> bool {
    let name: String = key
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// A copy to show: every secret string or number is replaced by a placeholder, `${VAR}` references stay.
pub fn redacted(value: &Value) -> Value {
    fn walk(value: &Value, secret: bool) -> Value {
        match value {
            Value::Object(members) => Value::Object(
                members
                    .iter()
                    .map(|(key, member)| {
                        let secret =
                            secret || BLOCKS.contains(&key.as_str()) || names_a_secret(key);
                        (key.clone(), walk(member, secret))
                    })
                    .collect(),
            ),
            Value::Array(elements) => elements
                .iter()
                .map(|element| walk(element, secret))
                .collect(),
            Value::String(text) if secret && !text.is_empty() && !is_reference(text) => {
                PLACEHOLDER.into()
            }
            Value::Number(_) if secret => PLACEHOLDER.into(),
            Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => value.clone(),
        }
    }
    walk(value, false)
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
