//! What a gateway sends, as far as a command reads it, and how a connection ends.

use serde::Deserialize;
use serde_json::Value;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::{CallError, Refusal};

/// A frame of a kind that says something to a command.
#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
pub(super) enum Frame {
    #[serde(rename = "res")]
    Response(Response),
    #[serde(rename = "event")]
    Event(Event),
}

#[derive(Debug, Deserialize)]
pub(super) struct Response {
    pub(super) id: String,
    #[serde(default)]
    pub(super) ok: bool,
    pub(super) payload: Option<Value>,
    pub(super) error: Option<Refusal>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Event {
    pub(super) event: String,
    #[serde(default)]
    pub(super) payload: Value,
}

impl Frame {
    /// What cannot be read is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// The end of a connection that was closed.
pub(super) fn closed(frame: Option<CloseFrame>) -> CallError {
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
pub(super) fn lost(error: tungstenite::Error) -> CallError {
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
