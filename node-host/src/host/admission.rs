//! How a node introduces itself, and what the gateway says to that.                                 (pure)

use std::time::Duration;

use openclaw_shared::clock::WallTime;
use openclaw_shared::identity::{DeviceIdentity, DeviceToken};
use openclaw_shared::instance::VERSION;
use openclaw_shared::protocol::PROTOCOL_VERSION;
use openclaw_shared::protocol::connect::{
    ClientId, ClientInfo, ClientMode, ConnectAuth, ConnectParams,
};
use openclaw_shared::protocol::error::ErrorCode;
use openclaw_shared::protocol::frame::Response;
use openclaw_shared::protocol::scope::Role;
use openclaw_shared::protocol::strict::{Int, NonEmpty};
use openclaw_shared::secret::Secret;

use crate::commands::{CAPS, COMMANDS};
use crate::node_file::NodeFile;

/// What is presented.
#[derive(Debug, Clone)]
pub(super) enum Credential {
    /// What the gateway has issued to this device.
    Issued(Secret<String>),
    /// What the gateway shares with all its clients.
    Shared {
        token: Option<Secret<String>>,
        password: Option<Secret<String>>,
    },
    None,
}

/// Why a node is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Somebody has to approve it.
    Pairing { request_id: Option<String> },
    /// What it presented is not right.
    Credential(String),
    /// Something else.
    Other(String),
}

/// What the gateway says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Admitted {
    pub(super) issued: Option<DeviceToken>,
    /// How often a tick comes.
    pub(super) tick: Duration,
    /// The longest frame that it takes, in bytes.
    pub(super) max_payload: usize,
}

/// The parameters of `connect`, signed for the connection of this nonce.
pub(super) fn introduce(
    node: &NodeFile,
    path: &str,
    identity: &DeviceIdentity,
    credential: &Credential,
    nonce: &NonEmpty,
    now: WallTime,
) -> ConnectParams {
    let protocol = Int::new(PROTOCOL_VERSION).expect("versions begin with 1");
    let named = |text: &str| NonEmpty::new(text).expect("names in this program are not empty");
    let list = |names: &[&str]| Some(names.iter().map(|name| named(name)).collect());
    let text =
        |secret: &Option<Secret<String>>| secret.as_ref().map(|secret| secret.expose().clone());
    let auth = match credential {
        Credential::Issued(token) => Some(ConnectAuth {
            token: Some(token.expose().clone()),
            password: None,
        }),
        Credential::Shared { token, password } => Some(ConnectAuth {
            token: text(token),
            password: text(password),
        }),
        Credential::None => None,
    };
    let mut params = ConnectParams {
        min_protocol: protocol,
        max_protocol: protocol,
        client: ClientInfo {
            id: ClientId::NodeHost,
            display_name: NonEmpty::new(&*node.display_name),
            version: named(VERSION),
            platform: named(std::env::consts::OS),
            device_family: None,
            model_identifier: None,
            mode: ClientMode::Node,
            instance_id: NonEmpty::new(&*node.node_id),
        },
        caps: list(&CAPS),
        commands: list(&COMMANDS),
        permissions: None,
        path_env: Some(path.to_owned()),
        role: Some(named(Role::Node.as_str())),
        scopes: Some(Vec::new()),
        device: None,
        auth,
        locale: None,
        user_agent: None,
    };
    params.device = Some(identity.prove(&params, nonce, now));
    params
}

/// Reads the answer to `connect`.
///
/// # Errors
/// When it is a refusal.
pub(super) fn read(answer: Response) -> Result<Admitted, Refusal> {
    if !answer.ok {
        let Some(error) = answer.error else {
            return Err(Refusal::Other("without a reason".to_owned()));
        };
        if error.code == ErrorCode::NotPaired && error.message.starts_with("pairing required") {
            let details = error.details.unwrap_or_default();
            let request_id = details["requestId"].as_str().map(str::to_owned);
            return Err(Refusal::Pairing { request_id });
        }
        return Err(of_text(error.message));
    }
    let hello = answer.payload.unwrap_or_default();
    let policy = &hello["policy"];
    let number =
        |key: &str, default: u64| policy[key].as_u64().filter(|n| *n > 0).unwrap_or(default);
    Ok(Admitted {
        issued: DeviceToken::issued(&hello["auth"]),
        tick: Duration::from_millis(number("tickIntervalMs", 30_000)),
        max_payload: usize::try_from(number("maxPayload", 524_288)).unwrap_or(usize::MAX),
    })
}

/// What a text of refusal means: that of an error, or of a close when the error was lost with the connection.
pub(super) fn of_text(message: String) -> Refusal {
    if message.starts_with("pairing required") {
        Refusal::Pairing { request_id: None }
    } else if message.starts_with("unauthorized") || message.starts_with("device token") {
        Refusal::Credential(message)
    } else {
        Refusal::Other(message)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn response(value: Value) -> Result<Admitted, Refusal> {
        read(serde_json::from_value(value).unwrap_or_else(|_| panic!("it is a response")))
    }

    #[test]
    fn the_gateways_words_are_understood() {
        let refused = |code: &str, message: &str, details: Value| {
            response(json!({"id": "1", "ok": false, "error": {"code": code, "message": message, "details": details}})).unwrap_err()
        };
        assert_eq!(
            refused("NOT_PAIRED", "pairing required", json!({"requestId": "r"})),
            Refusal::Pairing {
                request_id: Some("r".to_owned())
            }
        );
        assert!(matches!(
            refused(
                "INVALID_REQUEST",
                "unauthorized: gateway token mismatch (provide gateway auth token)",
                Value::Null
            ),
            Refusal::Credential(_)
        ));
        assert!(matches!(
            refused("INVALID_REQUEST", "protocol mismatch", Value::Null),
            Refusal::Other(_)
        ));
        let hello = json!({"id": "1", "ok": true, "payload": {"type": "hello-ok",
            "auth": {"deviceToken": "t", "role": "node", "scopes": [], "issuedAtMs": 1},
            "policy": {"maxPayload": 1000, "maxBufferedBytes": 1, "tickIntervalMs": 50}}});
        let admitted = response(hello).unwrap();
        assert_eq!(
            (admitted.tick, admitted.max_payload),
            (Duration::from_millis(50), 1000)
        );
        assert_eq!(admitted.issued.unwrap().token.expose(), "t");
        let bare = response(json!({"id": "1", "ok": true, "payload": {}})).unwrap();
        assert_eq!(
            (bare.tick, bare.max_payload),
            (Duration::from_secs(30), 524_288)
        );
    }
}
