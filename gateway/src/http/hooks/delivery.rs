//! What tells one delivery of a hook from another.                                         (pure)
//!
//! Whoever posts a hook posts it again when it has not heard that it arrived. What is one delivery is told by the sender's own
//! name for it, where it gives one; then it is done once for as long as names are kept, also across restarts. Without a
//! name, the same bytes at the same place are one delivery within [`UNNAMED`]; where the body carries the id of what it tells
//! about, within [`NAMED`].

use std::time::Duration;

use http::HeaderMap;
use openclaw_shared::digest;
use serde_json::{Map, Value};

use super::template;
use crate::services::hook_deliveries::Delivery;

/// How long the name of a delivery is kept.
pub(super) const NAMED: Duration = Duration::from_hours(24);
/// How long the same bytes without a name are one delivery. Longer than an impatient sender waits before it tries again, and
/// shorter than the pause between two events that happen to read alike.
pub(super) const UNNAMED: Duration = Duration::from_secs(60);
/// The longest name, in bytes.
const LONGEST_NAME: usize = 256;

/// Headers by which senders name a delivery, the plainest one first.
const HEADERS: [&str; 11] = [
    "idempotency-key",
    "x-github-delivery",
    "x-gitea-delivery",
    "x-gogs-delivery",
    "x-gitlab-event-uuid",
    "x-request-uuid",
    "x-shopify-webhook-id",
    "linear-delivery",
    "webhook-id",
    "svix-id",
    "ce-id",
];

/// Members of a body by which senders name what it tells about.
const MEMBERS: [&str; 4] = ["id", "event_id", "eventId", "messages[0].id"];

/// What is wrong with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Idempotency-Key must be one text of 1 to {LONGEST_NAME} visible characters")]
pub(super) struct BadName;

/// Names a delivery to a place below the path of hooks.
///
/// # Errors
/// When a sender names it by what is no name.
pub(super) fn of(
    path: &str,
    headers: &HeaderMap,
    bytes: &[u8],
    body: &Map<String, Value>,
) -> Result<Delivery, BadName> {
    let hash = digest::hex(bytes);
    for header in HEADERS {
        let mut values = headers.get_all(header).iter();
        let Some(value) = values.next() else {
            continue;
        };
        let name = value.to_str().map(str::trim).unwrap_or_default();
        let is_name = (1..=LONGEST_NAME).contains(&name.len()) && values.next().is_none();
        if is_name {
            return Ok(Delivery {
                key: digest::hex(format!("{header}\n{path}\n{name}").as_bytes()),
                body: hash,
                kept_for: NAMED,
            });
        }
        // Of other headers we only guess that they are a name.
        if header == HEADERS[0] {
            return Err(BadName);
        }
    }
    let body_value = Value::Object(body.clone());
    let has_id = MEMBERS
        .iter()
        .any(|member| match template::find(&body_value, member) {
            Some(Value::String(id)) => !id.is_empty(),
            Some(Value::Number(_)) => true,
            Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => false,
        });
    Ok(Delivery {
        key: digest::hex(format!("body\n{path}\n{hash}").as_bytes()),
        body: hash,
        kept_for: if has_id { NAMED } else { UNNAMED },
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use serde_json::{Map, Value};

    use super::{BadName, Delivery, NAMED, UNNAMED, of};

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    fn object(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    fn delivery(
        path: &str,
        pairs: &[(&'static str, &str)],
        body: &str,
    ) -> Result<Delivery, BadName> {
        of(path, &headers(pairs), body.as_bytes(), &object(body))
    }

    #[test]
    fn a_name_counts_whatever_the_body_says() {
        let first = delivery("ci", &[("idempotency-key", "1")], "{}").unwrap();
        let again = delivery("ci", &[("idempotency-key", "1")], r#"{"a":1}"#).unwrap();
        assert_eq!((&first.key, first.kept_for), (&again.key, NAMED));
        assert_ne!(first.body, again.body);
        let others = [
            delivery("cd", &[("idempotency-key", "1")], "{}"),
            delivery("ci", &[("idempotency-key", "2")], "{}"),
            delivery("ci", &[("x-github-delivery", "1")], "{}"),
            delivery("ci", &[], "{}"),
        ];
        for other in others {
            assert_ne!(other.unwrap().key, first.key);
        }
        let both = delivery(
            "ci",
            &[("x-github-delivery", "9"), ("idempotency-key", "1")],
            "{}",
        );
        assert_eq!(both.unwrap().key, first.key);
    }

    #[test]
    fn without_a_name_the_same_bytes_are_one_delivery() {
        let plain = delivery("ci", &[], r#"{"a":1}"#).unwrap();
        assert_eq!(
            plain,
            delivery("ci", &[("x-other", "1")], r#"{"a":1}"#).unwrap()
        );
        assert_ne!(plain.key, delivery("ci", &[], r#"{"a":2}"#).unwrap().key);
        assert_eq!(plain.kept_for, UNNAMED);
        for with_id in [
            r#"{"id":"x"}"#,
            r#"{"id":5}"#,
            r#"{"messages":[{"id":"m"}]}"#,
        ] {
            assert_eq!(
                delivery("ci", &[], with_id).unwrap().kept_for,
                NAMED,
                "{with_id}"
            );
        }
        assert_eq!(
            delivery("ci", &[], r#"{"id":""}"#).unwrap().kept_for,
            UNNAMED
        );
    }

    #[test]
    fn what_is_no_name_is_refused_where_it_is_said_to_be_one() {
        let long = "x".repeat(257);
        for bad in ["", " ", long.as_str()] {
            assert_eq!(
                delivery("ci", &[("idempotency-key", bad)], "{}"),
                Err(BadName)
            );
        }
        let twice = [("idempotency-key", "1"), ("idempotency-key", "2")];
        assert_eq!(delivery("ci", &twice, "{}"), Err(BadName));
        let guess = delivery("ci", &[("x-github-delivery", "")], "{}").unwrap();
        assert_eq!(guess.key, delivery("ci", &[], "{}").unwrap().key);
    }
}
