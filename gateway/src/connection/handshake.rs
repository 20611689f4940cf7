//! The first frame of a connection, and what follows from it.                            (pure)
//!
//! The checks run in the order that clients of the protocol rely on: frame, method, parameters, protocol, role, presence of a
//! device, the device's proof, the shared secret, the device's own token, its approval. Nothing a client says about itself is
//! believed; its role and scopes are what it asks to be limited to.
//!
//! A verdict may ask for something first: that the tailnet is asked, or that something is written. Then the same frame is
//! judged again, on what is known by then, so that nobody is let in on what has changed in between.
//!
//! Decisions:
//! - Without a device, a token must be presented; in password mode a password will do, because the peer's rule keeps programs
//!   out that know the password and nothing else.
//! - A role `node` needs a device identity; the shared secret alone does not make a device.
//! - While the store cannot be used, an operator on this machine that knows the shared secret is let in without a device token,
//!   because somebody must be able to see what is wrong. It could come in without a device at all, so this opens nothing.

use std::net::IpAddr;

use openclaw_shared::clock::WallTime;
use openclaw_shared::credentials::{AuthMode, Credentials};
use openclaw_shared::protocol::PROTOCOL_VERSION;
pub(crate) use openclaw_shared::protocol::close as close_code;
use openclaw_shared::protocol::connect::{ClientId, ClientInfo, ConnectAuth, ConnectParams};
use openclaw_shared::protocol::error::{ErrorCode, ErrorShape};
use openclaw_shared::protocol::frame::Request;
use openclaw_shared::protocol::hello::HelloAuth;
use openclaw_shared::protocol::params::devices::{LONGEST_SCOPE, MOST_SCOPES};
use openclaw_shared::protocol::scope::{Rights, Role};
use openclaw_shared::secret::Secret;
use serde_json::{Value, json};

use super::validate::Validator;
use crate::auth;
use crate::auth::{device, tailnet};
use crate::limits::CLOSE_REASON_BYTES;
use crate::services::devices::record::{Device, Token};
use crate::services::devices::scopes;
use crate::services::devices::standing::{self, Ask, Description, Proof, Standing};
use crate::store::StoreError;

/// How the Control UI may connect without a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ControlUiRules {
    /// `gateway.controlUi.allowInsecureAuth`.
    pub(crate) allow_insecure_auth: bool,
    /// `gateway.controlUi.dangerouslyDisableDeviceAuth`.
    pub(crate) disable_device_auth: bool,
}

/// The device of an id, as the store holds it.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Result<Option<Device>, StoreError>;

/// What is known of the identity that the tailnet gives the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tailnet {
    /// There is none, or it does not count here.
    NotClaimed,
    /// A proxy on this machine claims one; nobody has asked yet whether it holds.
    Claimed,
    /// It holds.
    Confirmed,
    /// It does not hold.
    Refused(tailnet::Failure),
}

/// What the first frame is judged by.
#[derive(Clone, Copy)]
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
    /// Whether the client is a program of this machine that speaks to us directly.
    pub(crate) is_local: bool,
    /// Its address; none for the local socket.
    pub(crate) address: Option<IpAddr>,
    /// What the tailnet says of it.
    pub(crate) tailnet: Tailnet,
    /// What is known of devices.
    pub(crate) device: Lookup<'a>,
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Step {
    /// It is decided.
    Decided(Verdict),
    /// Ask the tailnet, then judge again.
    AskTailnet,
    /// Write what the standing of the device demands, then judge again; or let the owner decide, then refuse.
    Settle(Box<Unsettled>),
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

/// A client whose device has no token or no approval for what it asks.
#[derive(Debug)]
pub(crate) struct Unsettled {
    /// The request's id, as JSON.
    pub(crate) id: String,
    /// What it asks for.
    pub(crate) ask: Ask,
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
    /// The device that guessed, verified.
    pub(crate) device: Option<String>,
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
    /// What let it in.
    pub(crate) by: Proof,
    /// Its device, verified, with what it asked for.
    pub(crate) device: Option<Ask>,
    /// The device's own token.
    pub(crate) token: Option<HelloAuth>,
}

impl Refusal {
    /// The owner must approve the device first.
    pub(crate) fn pairing_required(unsettled: Unsettled, request: &str) -> Self {
        let error = ErrorShape::new(ErrorCode::NotPaired, "pairing required")
            .with_details(json!({ "requestId": request }));
        No::policy(error).into_refusal(unsettled.id)
    }

    /// The store cannot say who this is.
    pub(crate) fn unavailable(id: String, why: impl Into<String>) -> Self {
        No::policy(ErrorShape::unavailable(why)).into_refusal(id)
    }
}

/// Judges the first frame.
pub(crate) fn first_frame(text: &str, facts: &Facts<'_>) -> Step {
    let Some(request) = Request::parse(text) else {
        return Step::Decided(match serde_json::from_str::<Value>(text) {
            Ok(_) => Verdict::Close {
                code: close_code::POLICY,
                reason: "invalid request frame",
            },
            Err(_) => Verdict::Close {
                code: close_code::NORMAL,
                reason: "",
            },
        });
    };
    admit(&request, facts)
        .unwrap_or_else(|no| Step::Decided(no.into_refusal(request.id.get().to_owned()).into()))
}

impl From<Refusal> for Verdict {
    fn from(refusal: Refusal) -> Self {
        Self::Refuse(Box::new(refusal))
    }
}

/// Why the client is not let in.
struct No {
    error: ErrorShape,
    code: u16,
    is_guess: bool,
    device: Option<String>,
}

impl No {
    fn policy(error: ErrorShape) -> Box<Self> {
        Box::new(Self {
            error,
            code: close_code::POLICY,
            is_guess: false,
            device: None,
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

    fn into_refusal(self, id: String) -> Refusal {
        Refusal {
            id,
            reason: cut(&self.error.message),
            error: self.error,
            code: self.code,
            is_guess: self.is_guess,
            device: self.device,
        }
    }
}

fn admit(request: &Request<'_>, facts: &Facts<'_>) -> Result<Step, Box<No>> {
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
    let scopes = scopes_of(&params, role)?;
    let key = prove_identity(&params, role, facts)?;
    let entry = Entry {
        id: request.id.get().to_owned(),
        role,
        scopes,
        params,
    };
    let nothing = ConnectAuth::default();
    let secret = auth::check(
        facts.credentials,
        entry.params.auth.as_ref().unwrap_or(&nothing),
    );
    let vouched = match (facts.tailnet, secret) {
        (Tailnet::Confirmed, _) => Some(Proof::Tailnet),
        (_, Ok(())) => Some(Proof::Secret),
        (_, Err(_)) => None,
    };
    match (key, vouched) {
        (Some(key), _) => entry.with_device(key, vouched, secret, facts),
        (None, Some(by)) => Ok(entry.admit(by, None, None)),
        (None, None) => entry.stranger(None, secret, facts),
    }
}

/// A client that has passed every check before the one for what speaks for it.
struct Entry {
    id: String,
    role: Role,
    scopes: Vec<String>,
    params: ConnectParams,
}

impl Entry {
    fn with_device(
        self,
        key: ProvenKey,
        vouched: Option<Proof>,
        secret: Result<(), auth::Failure>,
        facts: &Facts<'_>,
    ) -> Result<Step, Box<No>> {
        let ask = self.ask(key, vouched, facts);
        let stored = match (facts.device)(&ask.device) {
            Ok(stored) => stored,
            Err(trouble) => return self.without_store(ask, &trouble),
        };
        match standing::decide(&ask, stored.as_ref()) {
            Standing::Stranger => self.stranger(Some(ask.device), secret, facts),
            Standing::Admitted { by, token } => {
                let token = token.map(|token| hello_auth(self.role, token));
                Ok(self.admit(by, Some(ask), token))
            }
            Standing::NeedsToken | Standing::PairSilently | Standing::AskOwner => {
                Ok(Step::Settle(Box::new(Unsettled { id: self.id, ask })))
            }
        }
    }

    fn ask(&self, key: ProvenKey, vouched: Option<Proof>, facts: &Facts<'_>) -> Ask {
        let client = &self.params.client;
        let auth = self.params.auth.as_ref();
        let address = facts.address.filter(|_| !facts.is_local);
        Ask {
            device: key.device,
            public_key: key.public_key,
            role: self.role,
            scopes: self.scopes.clone(),
            vouched,
            token: auth.and_then(|auth| auth.token.clone()).map(Secret::new),
            is_local: facts.is_local,
            // The Control UI is an operator. What calls itself by its name and wants to be a node is a node like any other.
            may_go_unpaired: self.role == Role::Operator
                && client.id == ClientId::ControlUi
                && facts.control_ui.allow_insecure_auth,
            says: description(client, address),
        }
    }

    fn without_store(self, ask: Ask, trouble: &StoreError) -> Result<Step, Box<No>> {
        match ask.vouched {
            Some(by) if ask.is_local && self.role == Role::Operator => {
                Ok(self.admit(by, Some(ask), None))
            }
            Some(_) | None => Err(No::policy(ErrorShape::unavailable(trouble.to_string()))),
        }
    }

    fn admit(self, by: Proof, device: Option<Ask>, token: Option<HelloAuth>) -> Step {
        let rights = Rights::new(self.role, self.scopes.iter().map(String::as_str));
        Step::Decided(Verdict::Admit(Box::new(Admission {
            id: self.id,
            params: self.params,
            scopes: self.scopes,
            rights,
            by,
            device,
            token,
        })))
    }

    /// Nothing speaks for it yet.
    fn stranger(
        self,
        device: Option<String>,
        secret: Result<(), auth::Failure>,
        facts: &Facts<'_>,
    ) -> Result<Step, Box<No>> {
        if facts.tailnet == Tailnet::Claimed {
            return Ok(Step::AskTailnet);
        }
        let Err(failure) = secret else {
            return Err(No::invalid("unauthorized"));
        };
        let text = match (failure, facts.tailnet) {
            (auth::Failure::Missing(_), Tailnet::Refused(why)) => why.text().to_owned(),
            _ => failure.text(&self.params.client),
        };
        // What is no shared secret may still be meant as the token of the device.
        let shows_token = self
            .params
            .auth
            .as_ref()
            .is_some_and(|auth| is_there(&auth.token));
        Err(Box::new(No {
            is_guess: failure.is_guess() || (device.is_some() && shows_token),
            device,
            ..*No::invalid(text)
        }))
    }
}

fn hello_auth(role: Role, token: Token) -> HelloAuth {
    HelloAuth {
        issued_at_ms: Some(token.rotated_at_ms.unwrap_or(token.created_at_ms)),
        device_token: token.token,
        role,
        scopes: token.scopes,
    }
}

/// A device that holds the key it claims.
struct ProvenKey {
    device: String,
    public_key: String,
}

fn parse_params(request: &Request<'_>, schema: &Validator) -> Result<ConnectParams, Box<No>> {
    // Unlike those of other methods, these parameters cannot be left out.
    let raw = request.params.map_or("null", |params| params.get());
    schema.parse("connect", raw).map_err(No::invalid)
}

/// What is asked for, as long as it can be a list of scopes: it is kept for as long as the device is known.
fn scopes_of(params: &ConnectParams, role: Role) -> Result<Vec<String>, Box<No>> {
    let said = params.scopes.as_ref();
    let is_list = |scopes: &&Vec<_>| {
        let fits =
            |scope: &openclaw_shared::protocol::strict::NonEmpty| scope.len() <= LONGEST_SCOPE;
        scopes.len() <= MOST_SCOPES && scopes.iter().all(fits)
    };
    if said.is_some_and(|scopes| !is_list(&scopes)) {
        return Err(No::invalid("too many scopes"));
    }
    Ok(scopes::asked(
        said.map(|scopes| scopes.iter().map(|scope| &**scope)),
        role,
    ))
}

fn description(client: &ClientInfo, address: Option<IpAddr>) -> Description {
    let optional = |text: &Option<_>| text.as_deref().map(Description::cut);
    Description {
        display_name: optional(&client.display_name),
        platform: Description::cut(&client.platform),
        device_family: optional(&client.device_family),
        client_id: client.id.to_string(),
        client_mode: client.mode.to_string(),
        remote_ip: address.map(|address| address.to_string()),
    }
}

/// The verified device, if one was sent.
fn prove_identity(
    params: &ConnectParams,
    role: Role,
    facts: &Facts<'_>,
) -> Result<Option<ProvenKey>, Box<No>> {
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
        Ok(public_key) => Ok(Some(ProvenKey {
            device: proof.id.to_string(),
            public_key,
        })),
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
    let mode = facts
        .credentials
        .map_or(AuthMode::Token, |credentials| credentials.mode);
    is_there(&auth.token) || (mode == AuthMode::Password && is_there(&auth.password))
}

fn is_there(secret: &Option<String>) -> bool {
    secret.as_ref().is_some_and(|text| !text.is_empty())
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
