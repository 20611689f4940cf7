//! What a gateway sends, as far as a client reads it, and how a connection ends.

use serde::Deserialize;
use serde_json::Value;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::{CallError, Refusal};

/// A frame of a kind that says something to a client.
#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
pub enum Frame {
    /// The answer to a request.
    #[serde(rename = "res")]
    Response(Response),
    /// Something that happened.
    #[serde(rename = "event")]
    Event(Event),
}

/// The answer to a request; a run has two, of which the first says `accepted`.
#[derive(Debug, Deserialize)]
pub struct Response {
    /// The request.
    pub id: String,
    /// Whether it was granted.
    #[serde(default)]
    pub ok: bool,
    /// What was answered.
    pub payload: Option<Value>,
    /// Why it was refused.
    pub error: Option<Refusal>,
}

/// Something that happened.
#[derive(Debug, Deserialize)]
pub struct Event {
    /// What.
    pub event: String,
    /// The details.
    #[serde(default)]
    pub payload: Value,
}

impl Frame {
    /// What cannot be read is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// The end of a connection that was closed.
pub(crate) fn closed(frame: Option<CloseFrame>) -> CallError {
    match frame {
        Some(frame) => CallError::Closed {
            code: frame.code.into(),
            reason: frame.reason.to_string(),
        },
        None => CallError::Closed {
            code: 1006,
            reason: String::new(),
        },
    }
}

/// The end of a connection that broke.
pub(crate) fn lost(error: tungstenite::Error) -> CallError {
    if let tungstenite::Error::Capacity(error) = error {
        return CallError::Closed {
            code: 1009,
            reason: error.to_string(),
        };
    }
    // The broken rule tells more than that the connection is gone; an IO error does not.
    let reason = if let tungstenite::Error::Protocol(error) = error {
        error.to_string()
    } else {
        String::new()
    };
    CallError::Closed { code: 1006, reason }
}
