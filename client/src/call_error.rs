//! Why a call did not succeed.

use std::fmt;
use std::io;
use std::time::Duration;

use openclaw_shared::log::printable;
use serde::Deserialize;
use serde_json::Value;

/// Why a call did not succeed.
#[derive(Debug)]
pub enum CallError {
    /// No TCP connection.
    Connect {
        /// The address.
        to: String,
        /// Why not.
        error: io::Error,
    },
    /// The server does not speak WebSocket.
    NotWebSocket(String),
    /// The address needs something this build cannot do.
    Unsupported(String),
    /// It took too long.
    Timeout(Duration),
    /// The connection ended.
    Closed {
        /// The close code; 1006 when there was none.
        code: u16,
        /// What was said with it.
        reason: String,
    },
    /// The gateway does not let us in; the second is why we came without a device, if we did.
    NotAdmitted(Box<Refusal>, Option<String>),
    /// The gateway refused the request.
    Refused(Box<Refusal>),
}

/// An error answer.
#[derive(Debug, Clone, Deserialize)]
pub struct Refusal {
    #[serde(default)]
    /// What kind of refusal.
    pub code: String,
    #[serde(default)]
    /// The reason, for people.
    pub message: String,
    #[serde(default)]
    /// What belongs to the reason.
    pub details: Value,
}

impl Refusal {
    /// A refusal of which only the words are known.
    #[must_use]
    pub fn saying(message: impl Into<String>) -> Self {
        Self {
            code: String::new(),
            message: message.into(),
            details: Value::Null,
        }
    }

    /// Whether the device has to be approved first, whatever the secret.
    #[must_use]
    pub fn is_about_pairing(&self) -> bool {
        self.code == "NOT_PAIRED" || self.message.starts_with("pairing required")
    }

    /// Whether another secret could be the right one.
    pub(crate) fn is_about_the_secret(&self) -> bool {
        self.message.starts_with("unauthorized")
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { to, error } => {
                match error.raw_os_error().map(nix::errno::Errno::from_raw) {
                    Some(errno) => write!(formatter, "connect {errno:?} {to}"),
                    None => write!(formatter, "connect {to}: {error}"),
                }
            }
            Self::NotWebSocket(why) => write!(formatter, "no gateway answers there: {why}"),
            Self::Unsupported(what) => formatter.write_str(what),
            Self::Timeout(limit) => {
                write!(formatter, "gateway timeout after {}ms", limit.as_millis())
            }
            Self::Closed { code, reason } => {
                let meaning = match code {
                    1006 => " abnormal closure (no close frame)",
                    1012 => " service restart",
                    _ => "",
                };
                let reason = if reason.is_empty() {
                    "no close reason"
                } else {
                    reason
                };
                write!(
                    formatter,
                    "gateway closed ({code}{meaning}): {}",
                    printable(reason)
                )
            }
            Self::NotAdmitted(refusal, _) | Self::Refused(refusal) => {
                formatter.write_str(&printable(&refusal.message))
            }
        }
    }
}

impl CallError {
    /// Whether asking again may help: the gateway is being replaced, or not there yet.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Closed { .. } | Self::Timeout(_) => true,
            Self::NotWebSocket(_)
            | Self::Unsupported(_)
            | Self::NotAdmitted(..)
            | Self::Refused(_) => false,
        }
    }
}

impl Refusal {
    pub(crate) fn unexplained() -> Self {
        Self::saying("the gateway gave no reason")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_is_explained() {
        let error = CallError::Closed {
            code: 1006,
            reason: String::new(),
        };
        assert_eq!(
            error.to_string(),
            "gateway closed (1006 abnormal closure (no close frame)): no close reason"
        );
    }
}
