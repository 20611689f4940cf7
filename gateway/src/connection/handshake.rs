//! The first frame of a connection, and what follows from it.                            (pure)
//!
//! The checks run in the order that clients of the protocol rely on: frame, method, parameters, protocol, role, presence of a
//! device, the device's proof, the shared secret. Nothing a client says about itself is believed; its role and scopes are
//! what it asks to be limited to.
//!
//! Decisions:
//! - Without a device, a token must be presented; in password mode a password will do, because our own command line has no
//!   device identity yet.
//! - A role `node` needs a device identity; the shared secret alone does not make a device.
//! - A verified device is admitted by the shared secret and gets no token of its own: pairing does not exist yet.

use openclaw_shared::clock::WallTime;
use openclaw_shared::credentials::{AuthMode, Credentials};
use openclaw_shared::protocol::PROTOCOL_VERSION;
use openclaw_shared::protocol::connect::{ClientId, ConnectAuth, ConnectParams};
use openclaw_shared::protocol::error::{ErrorCode, ErrorShape};
use openclaw_shared::protocol::frame::Request;
use openclaw_shared::protocol::scope::{Rights, Role};
use serde_json::{Value, json};

use super::validate::Validator;
use crate::auth;
use crate::auth::device;
use crate::limits::CLOSE_REASON_BYTES;

/// WebSocket close codes.
pub(crate) mod close_code {
    /// An ordinary end.
    pub(crate) const NORMAL: u16 = 1000;
    /// The other side does not speak the protocol.
    pub(crate) const PROTOCOL: u16 = 1002;
    /// A text that is no text.
    pub(crate) const NOT_TEXT: u16 = 1007;
    /// A rule of ours.
    pub(crate) const POLICY: u16 = 1008;
    /// Too large.
    pub(crate) const TOO_LARGE: u16 = 1009;
    /// This life of the gateway ends.
    pub(crate) const RESTART: u16 = 1012;
}

/// How the Control UI may connect without a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ControlUiRules {
    /// `gateway.controlUi.allowInsecureAuth`.
    pub(crate) allow_insecure_auth: bool,
    /// `gateway.controlUi.dangerouslyDisableDeviceAuth`.
    pub(crate) disable_device_auth: bool,
}

/// What the first frame is judged by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// What this connection was challenged with.
    pub(crate) nonce: &'a str,
    /// The time.
    pub(crate) now: WallTime,
    /// The shared secrets.
    pub(crate) credentials: Option<&'a Credentials>,
    /// Rules for the Control UI.
    pub(crate) control_ui: ControlUiRules,
    /// The schema of `connect`.
    pub(crate) connect: &'a Validator,
}

/// What follows from the first frame.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Close without a word.
    Close {
        /// The close code.
        code: u16,
        /// Its reason.
        reason: &'static str,
    },
    /// Answer with an error, then close.
    Refuse(Box<Refusal>),
    /// Let it in.
    Admit(Box<Admission>),
}

/// An error answer and the close after it.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The request's id, as JSON.
    pub(crate) id: String,
    /// The error.
    pub(crate) error: ErrorShape,
    /// The close code.
    pub(crate) code: u16,
    /// Its reason.
    pub(crate) reason: String,
    /// Whether somebody guessed a secret.
    pub(crate) is_guess: bool,
}

/// A client that is let in.
#[derive(Debug)]
pub(crate) struct Admission {
    /// The request's id, as JSON.
    pub(crate) id: String,
    /// What it said.
    pub(crate) params: ConnectParams,
    /// The scopes that are in force.
    pub(crate) scopes: Vec<String>,
    /// What it may do.
    pub(crate) rights: Rights,
    /// Its device, verified.
    pub(crate) device: Option<String>,
}

/// Judges the first frame.
pub(crate) fn first_frame(text: &str, facts: &Facts<'_>) -> Verdict {
    let Some(request) = Request::parse(text) else {
        return match serde_json::from_str::<Value>(text) {
            Ok(_) => Verdict::Close {
                code: close_code::POLICY,
                reason: "invalid request frame",
            },
            Err(_) => Verdict::Close {
                code: close_code::NORMAL,
                reason: "",
            },
        };
    };
    match admit(&request, facts) {
        Ok(admission) => Verdict::Admit(Box::new(admission)),
        Err(no) => Verdict::Refuse(Box::new(Refusal {
            id: request.id.get().to_owned(),
            reason: cut(&no.error.message),
            error: no.error,
            code: no.code,
            is_guess: no.is_guess,
        })),
    }
}

/// Why the client is not let in.
struct No {
    error: ErrorShape,
    code: u16,
    is_guess: bool,
}

impl No {
    fn policy(error: ErrorShape) -> Box<Self> {
        Box::new(Self {
            error,
            code: close_code::POLICY,
            is_guess: false,
        })
    }

    fn invalid(message: impl Into<String>) -> Box<Self> {
        Self::policy(ErrorShape::invalid_request(message))
    }

    fn no_device() -> Box<Self> {
        Self::policy(ErrorShape::new(
            ErrorCode::NotPaired,
            "device identity required",
        ))
    }
}

fn admit(request: &Request<'_>, facts: &Facts<'_>) -> Result<Admission, Box<No>> {
    if request.method != "connect" {
        return Err(No::invalid(
            "invalid handshake: first request must be connect",
        ));
    }
    let params = parse_params(request, facts.connect)?;
    if !(params.min_protocol.get()..=params.max_protocol.get()).contains(&PROTOCOL_VERSION) {
        let details = json!({ "expectedProtocol": PROTOCOL_VERSION });
        let error = ErrorShape::invalid_request("protocol mismatch").with_details(details);
        return Err(Box::new(No {
            code: close_code::PROTOCOL,
            ..*No::policy(error)
        }));
    }
    let role = match params.role.as_deref() {
        None => Role::Operator,
        Some(role) => Role::from_text(role).ok_or_else(|| No::invalid("invalid role"))?,
    };
    let scopes = scopes_of(&params, role);
    let device = prove_identity(&params, role, facts)?;
    let nothing = ConnectAuth::default();
    if let Err(failure) = auth::check(facts.credentials, params.auth.as_ref().unwrap_or(&nothing)) {
        let no = No::invalid(failure.text(&params.client));
        return Err(Box::new(No {
            is_guess: failure.is_guess(),
            ..*no
        }));
    }
    let rights = Rights::new(role, scopes.iter().map(String::as_str));
    Ok(Admission {
        id: request.id.get().to_owned(),
        params,
        scopes,
        rights,
        device,
    })
}

fn parse_params(request: &Request<'_>, schema: &Validator) -> Result<ConnectParams, Box<No>> {
    // Unlike those of other methods, these parameters cannot be left out.
    let raw = request.params.map_or("null", |params| params.get());
    schema.parse("connect", raw).map_err(No::invalid)
}

/// Absent scopes mean admin for an operator, because clients rely on it; an explicitly empty list means none.
fn scopes_of(params: &ConnectParams, role: Role) -> Vec<String> {
    match (&params.scopes, role) {
        (Some(scopes), _) => scopes.iter().map(|scope| scope.to_string()).collect(),
        (None, Role::Operator) => vec!["operator.admin".to_owned()],
        (None, Role::Node) => Vec::new(),
    }
}

/// The verified device, if one was sent.
fn prove_identity(
    params: &ConnectParams,
    role: Role,
    facts: &Facts<'_>,
) -> Result<Option<String>, Box<No>> {
    let is_control_ui = params.client.id == ClientId::ControlUi;
    let rules = facts.control_ui;
    let device = params
        .device
        .as_ref()
        .filter(|_| !(is_control_ui && rules.disable_device_auth));
    let Some(proof) = device else {
        return if is_control_ui && !rules.allow_insecure_auth && !rules.disable_device_auth {
            Err(No::invalid(
                "control ui requires HTTPS or localhost (secure context)",
            ))
        } else if role == Role::Node || !presents_secret(params, facts) {
            Err(No::no_device())
        } else {
            Ok(None)
        };
    };
    match device::verify(proof, params, role, facts.nonce, facts.now) {
        Ok(()) => Ok(Some(proof.id.to_string())),
        Err(failure) => {
            let mut error = ErrorShape::invalid_request(failure.text());
            if let device::Failure::Expired(ahead) = failure {
                error = error.with_details(json!({ "clockAheadMs": ahead }));
            }
            Err(No::policy(error))
        }
    }
}

fn presents_secret(params: &ConnectParams, facts: &Facts<'_>) -> bool {
    let Some(auth) = &params.auth else {
        return false;
    };
    let is_there = |secret: &Option<String>| secret.as_ref().is_some_and(|text| !text.is_empty());
    let mode = facts
        .credentials
        .map_or(AuthMode::Token, |credentials| credentials.mode);
    is_there(&auth.token) || (mode == AuthMode::Password && is_there(&auth.password))
}

fn cut(message: &str) -> String {
    let mut end = message.len().min(CLOSE_REASON_BYTES);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message[..end].to_owned()
}

#[cfg(test)]
mod tests;
