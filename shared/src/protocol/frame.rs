//! Request, response and event: the three shapes, and how a line of JSON becomes one.
//!
//! A server borrows from the frame it has read ([`Request`]); a client owns what it receives ([`Inbound`]). All shapes
//! are closed: a key that is not named here makes a frame invalid.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::ErrorShape;
use super::snapshot::StateVersion;
use super::strict::NonEmpty;
use crate::literals;

literals! {
    /// The mark of a request.
    pub enum RequestType {
        /// The only one.
        Req = "req",
    }
}

/// A request as read from a frame that is still in memory.
///
/// `id` and `params` stay raw: the id goes back byte for byte, and the parameters are parsed once, into the type of their
/// method.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request<'a> {
    /// Always `req`.
    #[serde(rename = "type")]
    pub kind: RequestType,
    /// What the answer is known by; a JSON string of at least one character.
    #[serde(borrow)]
    pub id: &'a RawValue,
    /// Which method.
    #[serde(borrow)]
    pub method: Cow<'a, str>,
    /// Its parameters; absent and null count as an empty object.
    #[serde(borrow, default)]
    pub params: Option<&'a RawValue>,
}

impl<'a> Request<'a> {
    /// Reads a request, if the text is one.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        // Serde would take an array for the struct.
        if !text.trim_ascii_start().starts_with('{') {
            return None;
        }
        let request: Self = serde_json::from_str(text).ok()?;
        let id = request.id.get();
        (id.starts_with('"') && id.len() > 2 && !request.method.is_empty()).then_some(request)
    }
}

/// The JSON Schema of a request; the source of the texts that refuse a frame.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RequestFrame")]
pub struct RequestShape {
    /// Always `req`.
    #[serde(rename = "type")]
    #[schemars(schema_with = "request_type")]
    pub kind: RequestType,
    /// What the answer is known by.
    pub id: NonEmpty,
    /// Which method.
    pub method: NonEmpty,
    /// Its parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "serde_json::Value")]
    pub params: Option<serde_json::Value>,
}

fn request_type(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "const": "req", "type": "string" })
}

/// The JSON Schema of a response, and a response as strictly as clients read it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ResponseFrame")]
pub struct ResponseShape {
    /// Always `res`.
    #[serde(rename = "type")]
    #[schemars(schema_with = "response_type")]
    pub kind: ResponseType,
    /// The request's id.
    pub id: NonEmpty,
    /// Whether it was done.
    pub ok: bool,
    /// The reply of its method; a failure may carry one beside its error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "serde_json::Value")]
    pub payload: Option<serde_json::Value>,
    /// Why it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorShape>,
}

/// The JSON Schema of an event, and an event as strictly as clients read it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "EventFrame")]
pub struct EventShape {
    /// Always `event`.
    #[serde(rename = "type")]
    #[schemars(schema_with = "event_type")]
    pub kind: EventType,
    /// Which event.
    pub event: NonEmpty,
    /// Its payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "serde_json::Value")]
    pub payload: Option<serde_json::Value>,
    /// Counts the events of this connection; a gap means that one was dropped. Absent on what is sent to one client alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// The versions after this event; on `presence` and `health` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_version: Option<StateVersion>,
}

literals! {
    /// The mark of a response.
    pub enum ResponseType {
        /// The only one.
        Res = "res",
    }
}

literals! {
    /// The mark of an event.
    pub enum EventType {
        /// The only one.
        Event = "event",
    }
}

fn response_type(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "const": "res", "type": "string" })
}

fn event_type(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "const": "event", "type": "string" })
}

/// A request as a client writes it.
#[derive(Debug, Clone, Serialize)]
pub struct OutboundRequest<'a, P> {
    /// Always `req`.
    #[serde(rename = "type")]
    pub kind: RequestType,
    /// What the answer is known by.
    pub id: &'a str,
    /// Which method.
    pub method: &'a str,
    /// Its parameters.
    pub params: &'a P,
}

/// A frame as a client receives it.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Inbound {
    /// The answer to a request.
    Res(Response),
    /// Something that happened.
    Event(Event),
}

/// The answer to a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Response {
    /// The request's id.
    pub id: String,
    /// Whether it was done.
    pub ok: bool,
    /// The reply of its method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<serde_json::Value>,
    /// Why it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorShape>,
}

/// Something that happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Which event.
    pub event: String,
    /// Its payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<serde_json::Value>,
    /// Counts the events of this connection; a gap means that one was dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// The versions after this event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_version: Option<StateVersion>,
}

#[cfg(test)]
mod tests {
    use super::Request;

    #[test]
    fn a_request_is_read_without_copying_and_misfits_are_none() {
        let text = r#" {"type":"req","id":"1","method":"health","params":{"probe":true}}"#;
        let request = Request::parse(text).unwrap();
        assert_eq!((request.id.get(), &*request.method), ("\"1\"", "health"));
        assert_eq!(request.params.unwrap().get(), r#"{"probe":true}"#);
        for misfit in [
            "",
            "[]",
            "null",
            r#"["req","1","health"]"#,
            r#"{"type":"req","id":5,"method":"health"}"#,
            r#"{"type":"req","id":"","method":"health"}"#,
            r#"{"type":"req","id":"1","method":""}"#,
            r#"{"type":"req","id":"1","method":["health"]}"#,
            r#"{"type":"res","id":"1","method":"health"}"#,
            r#"{"type":"req","id":"1","method":"health","extra":1}"#,
            r#"{"type":"req","id":"1","method":"health"} x"#,
        ] {
            assert!(Request::parse(misfit).is_none(), "{misfit}");
        }
    }

    #[test]
    fn depth_does_not_use_up_the_stack() {
        let deep = format!(
            r#"{{"type":"req","id":"1","method":"health","params":{{"x":{}1{}}}}}"#,
            "[".repeat(200_000),
            "]".repeat(200_000)
        );
        assert!(Request::parse(&deep).is_some());
        let unclosed = format!(
            r#"{{"type":"req","id":"1","params":{}"#,
            "[".repeat(500_000)
        );
        assert!(Request::parse(&unclosed).is_none());
    }
}
