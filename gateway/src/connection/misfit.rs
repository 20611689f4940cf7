//! Frames after the handshake that are no requests.                                      (pure)

use openclaw_shared::protocol::error::ErrorShape;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::validate::Validator;

/// What a frame is that did not parse as a request.
#[derive(Debug, PartialEq)]
pub(super) enum Misfit {
    /// No JSON; there is nobody to answer.
    Nothing,
    /// JSON, but no request.
    Invalid {
        /// The id to answer with, as JSON.
        id: String,
        /// What is wrong.
        error: ErrorShape,
    },
    /// A request after all, rewritten without keys that occur twice: the last one counts.
    Valid(String),
}

/// As much of a frame as can be read without understanding it. Raw values may nest deeper than [`Value`]s, and may hold
/// text that is no Unicode.
#[derive(Deserialize)]
struct Sketch<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

pub(super) fn judge(text: &str, request: &Validator) -> Misfit {
    let invalid = |id: String, complaint: &str| Misfit::Invalid {
        id,
        error: ErrorShape::invalid_request(format!("invalid request frame: {complaint}")),
    };
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return match serde_json::from_str::<Sketch<'_>>(text) {
            Ok(Sketch { id: Some(id) }) if is_plain(id.get()) => invalid(
                id.get().to_owned(),
                "must be valid Unicode of reasonable depth",
            ),
            Ok(_) | Err(_) => Misfit::Nothing,
        };
    };
    match request.complaints(&value) {
        None => Misfit::Valid(value.to_string()),
        Some(complaints) => {
            let id = value.get("id").filter(|id| !id.is_null());
            invalid(
                id.map_or_else(|| "\"invalid\"".to_owned(), Value::to_string),
                &complaints,
            )
        }
    }
}

/// Whether an id is a string that can be sent back.
fn is_plain(id: &str) -> bool {
    serde_json::from_str::<String>(id).is_ok()
}

#[cfg(test)]
mod tests {
    use openclaw_shared::protocol::frame::RequestShape;

    use super::{Misfit, judge};
    use crate::connection::validate::Validator;

    #[track_caller]
    fn check(frame: &str, id: &str, complaint: &str) {
        match judge(frame, &Validator::of::<RequestShape>()) {
            Misfit::Invalid { id: seen, error } => {
                assert_eq!(seen, id, "{frame}");
                assert_eq!(
                    error.message,
                    format!("invalid request frame: {complaint}"),
                    "{frame}"
                );
            }
            other @ (Misfit::Nothing | Misfit::Valid(_)) => panic!("{frame}: {other:?}"),
        }
    }

    #[test]
    fn every_misfit_is_named_as_clients_know_it() {
        check("[]", "\"invalid\"", "must be object");
        check("1", "\"invalid\"", "must be object");
        check(
            r#"{"type":"req","id":5}"#,
            "5",
            "must have required property 'method'; at /id: must be string",
        );
        check(
            "{}",
            "\"invalid\"",
            "must have required property 'type'; must have required property 'id'; must have required property 'method'",
        );
        check(
            r#"{"type":"res","id":"a","method":"health"}"#,
            "\"a\"",
            "at /type: must be equal to constant",
        );
        check(
            r#"{"type":"req","id":"","method":"","x":1}"#,
            "\"\"",
            "at root: unexpected property 'x'; at /id: must NOT have fewer than 1 characters; at /method: must NOT have fewer than 1 characters",
        );
        check(
            r#"{"type":"req","id":"a","method":"\ud800"}"#,
            "\"a\"",
            "must be valid Unicode of reasonable depth",
        );
    }

    #[test]
    fn no_json_is_nothing_and_a_key_that_occurs_twice_is_no_misfit() {
        let validator = Validator::of::<RequestShape>();
        for nothing in ["", "{", "hello", "\u{feff}{}", "{\"id\":\"a\""] {
            assert_eq!(judge(nothing, &validator), Misfit::Nothing, "{nothing:?}");
        }
        let twice = r#"{"type":"req","id":"1","id":"2","method":"health"}"#;
        let Misfit::Valid(text) = judge(twice, &validator) else {
            panic!("a request")
        };
        assert_eq!(text, r#"{"type":"req","id":"2","method":"health"}"#);
    }
}
