//! Values that must not be seen.
//!
//! A [`Secret`] prints and serialises as a placeholder, so that a log line, a debug dump or an answer that contains one by
//! accident leaks nothing. Whoever needs the value writes [`Secret::expose`], which is easy to search for.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use subtle::ConstantTimeEq;

/// What is printed instead of a secret.
pub const PLACEHOLDER: &str = "***";

/// A value that prints and serialises as [`PLACEHOLDER`].
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// Gives the value to the one place that needs it.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(PLACEHOLDER)
    }
}

impl<T> fmt::Display for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(PLACEHOLDER)
    }
}

impl<T> Serialize for Secret<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(PLACEHOLDER)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}

/// Parts of names that tell of a secret, in lowercase and without separators.
const SECRET_WORDS: [&str; 9] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "authorization",
    "apikey",
    "privatekey",
    "credential",
    "cookie",
];
/// A name with one of these endings is about a secret without being one.
const HARMLESS_ENDINGS: [&str; 7] = [
    "configured",
    "source",
    "mode",
    "file",
    "path",
    "present",
    "required",
];

/// Whether what has this name is a secret: `token`, `gateway.auth.password`, `OPENAI_API_KEY`, … The one list for logs, for the
/// configuration as people see it, and for its schema.
#[must_use]
pub fn names_a_secret(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    if HARMLESS_ENDINGS
        .iter()
        .any(|ending| plain.ends_with(ending))
    {
        return false;
    }
    // `tokens` counts something; `token` is one.
    plain.ends_with("token")
        || SECRET_WORDS.iter().any(|word| plain.contains(word))
        || ["accesskey", "secretkey", "signingkey"]
            .iter()
            .any(|end| plain.ends_with(end))
        || (name.ends_with("_KEY") && !name.chars().any(char::is_lowercase))
}

/// Compares in a time that depends only on the length of `presented`, also when the lengths differ.
#[must_use]
pub fn constant_time_eq(presented: &[u8], expected: &[u8]) -> bool {
    // Comparing `presented` with itself when the lengths differ keeps the work the same without revealing `expected`.
    let same_length = presented.len() == expected.len();
    let other = if same_length { expected } else { presented };
    bool::from(presented.ct_eq(other)) & same_length
}

/// Serialises secrets in clear, for the control channel alone.
///
/// Use as `#[serde(with = "secret::in_clear")]` on an `Option<Secret<String>>`.
pub mod in_clear {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Secret;

    /// Writes the value itself.
    ///
    /// # Errors
    /// As the serializer.
    pub fn serialize<S: Serializer>(
        secret: &Option<Secret<String>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        secret.as_ref().map(Secret::expose).serialize(serializer)
    }

    /// Reads what [`serialize`] wrote.
    ///
    /// # Errors
    /// As the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Secret<String>>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(Secret::new))
    }
}

#[cfg(test)]
mod tests {
    use super::{Secret, constant_time_eq};

    #[test]
    fn a_secret_never_prints_itself() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(format!("{secret:?} {secret}"), "*** ***");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"***\"");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn comparison_accepts_the_value_and_no_near_miss() {
        let expected = "токен-1";
        for near_miss in [
            "",
            "токен-",
            "токен-12",
            "Токен-1",
            " токен-1",
            "токен-1\0",
            "token-1",
        ] {
            assert!(
                !constant_time_eq(near_miss.as_bytes(), expected.as_bytes()),
                "{near_miss:?}"
            );
        }
        assert!(constant_time_eq(expected.as_bytes(), expected.as_bytes()));
    }

    #[test]
    fn names_of_secrets() {
        for name in [
            "token",
            "authToken",
            "gateway.auth.password",
            "client_secret",
            "API-Key",
            "X_KEY",
        ] {
            assert!(super::names_a_secret(name), "{name}");
        }
        for name in [
            "tokens",
            "totalTokens",
            "key",
            "auth",
            "tokenSource",
            "password_file",
            "conn",
        ] {
            assert!(!super::names_a_secret(name), "{name}");
        }
    }
}
