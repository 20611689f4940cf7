//! One look at a gateway: does it accept a connection, does it answer a request?

use std::time::Duration;

use openclaw_client::{As, CallError, Client};
use openclaw_shared::clock::Moment;
use openclaw_shared::log::printable;
use openclaw_shared::protocol::method::Method as _;
use openclaw_shared::protocol::method::config::ConfigGet;
use openclaw_shared::protocol::method::system::Status as SystemStatus;
use serde::Serialize;
use serde_json::{Value, json};

use super::target::Target;

/// What a look found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Probe {
    /// From the first byte to hello.
    pub(crate) connect: Result<Duration, ProbeError>,
    /// The answer of the method asked for.
    pub(crate) answer: Result<Value, ProbeError>,
    /// The payload of `hello-ok`.
    pub(crate) hello: Value,
    /// What the gateway says of its configuration, when it says anything.
    pub(crate) config: Option<Value>,
}

/// Why a look found nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ProbeError {
    pub(crate) message: String,
    /// The close code and reason, when the gateway closed.
    pub(crate) close: Option<(u16, String)>,
    /// Whether somebody listens there at all.
    pub(crate) reached: bool,
}

impl ProbeError {
    fn of(error: &CallError) -> Self {
        let close = match error {
            CallError::Closed { code, reason } => Some((*code, reason.clone())),
            CallError::Connect { .. }
            | CallError::NotWebSocket(_)
            | CallError::Unsupported(_)
            | CallError::Timeout(_)
            | CallError::NotAdmitted(..)
            | CallError::Refused(_) => None,
        };
        let reached = !matches!(error, CallError::Connect { .. } | CallError::Unsupported(_));
        Self {
            message: error.to_string(),
            close,
            reached,
        }
    }
}

impl Probe {
    /// Whether the gateway answered.
    pub(crate) const fn is_ok(&self) -> bool {
        self.answer.is_ok()
    }

    /// What went wrong, if anything did.
    pub(crate) fn error(&self) -> Option<String> {
        match (&self.connect, &self.answer) {
            (Err(error), _) => Some(format!("connect failed: {}", error.message)),
            (Ok(_), Err(error)) => Some(error.message.clone()),
            (Ok(_), Ok(_)) => None,
        }
    }

    /// Who answered: the gateway's own entry in its presence list.
    pub(crate) fn itself(&self) -> Option<Value> {
        let presence = self.hello["snapshot"]["presence"].as_array()?;
        let entry = presence.iter().find(|entry| entry["mode"] == "gateway")?;
        let text = |key: &str| entry[key].as_str().map(printable);
        Some(json!({
            "host": text("host"),
            "ip": text("ip"),
            "version": text("version").or_else(|| self.hello["server"]["version"].as_str().map(str::to_owned)),
            "platform": text("platform"),
        }))
    }
}

/// Looks at a gateway, and asks for its configuration too.
pub(crate) async fn probe_with_config(target: &Target, limit: Duration) -> Probe {
    look(target, SystemStatus::NAME, true, limit).await
}

/// Looks at a gateway.
pub(crate) async fn probe(target: &Target, method: &str, limit: Duration) -> Probe {
    look(target, method, false, limit).await
}

async fn look(target: &Target, method: &str, with_config: bool, limit: Duration) -> Probe {
    let begin = Moment::now();
    match Client::connect(&target.gateway, As::Probe, limit).await {
        Ok(mut client) => {
            let connect = Ok(Moment::now().since(begin));
            let answer = client.call(method, &json!({}), false).await;
            let answer = answer.map_err(|error| ProbeError::of(&error));
            let config = match with_config {
                // A gateway that does not tell is as well as one that does.
                true => client.call(ConfigGet::NAME, &json!({}), false).await.ok(),
                false => None,
            };
            Probe {
                connect,
                answer,
                hello: client.hello,
                config,
            }
        }
        Err(error) => {
            let error = ProbeError::of(&error);
            Probe {
                connect: Err(error.clone()),
                answer: Err(error),
                hello: Value::Null,
                config: None,
            }
        }
    }
}
