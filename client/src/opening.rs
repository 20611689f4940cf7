//! From an address to a gateway that has said hello: the connection, the challenge, and what proves who we are.

use std::time::Duration;

use openclaw_shared::clock::Moment;
use openclaw_shared::gateway_address::GatewayAddress;
use openclaw_shared::instance::VERSION;
use openclaw_shared::protocol::PROTOCOL_VERSION;
use openclaw_shared::protocol::connect::{
    ClientId, ClientInfo, ClientMode, ConnectAuth, ConnectParams,
};
use openclaw_shared::protocol::scope::Role;
use openclaw_shared::protocol::strict::{Int, NonEmpty};
use openclaw_shared::secret::Secret;
use openclaw_shared::trace::{self, TRACEPARENT};
use openclaw_shared::tui;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout_at;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::device::Device;
use crate::frame::{Frame, lost};
use crate::{As, CallError, Client, Gateway, Refusal};

/// The largest answer we take, as other clients of the protocol do.
const MAX_ANSWER: usize = 25 * 1024 * 1024;
/// How long a challenge is waited for before connecting without one by the secret alone. A gateway that sends one may be busy.
const CHALLENGE_WAIT: Duration = Duration::from_secs(2);

/// Opens a connection that has been let in. The secret is the one that was given for this call; else the token that the
/// gateway issued to this device; else, or when it does not take that one any more, the secret of the configuration.
pub(crate) async fn open(
    gateway: &Gateway,
    as_what: As,
    deadline: Moment,
    limit: Duration,
) -> Result<Client, CallError> {
    let (client, nonce) = reach(gateway, deadline, limit).await?;
    let mut device = Device::of(gateway.identity.as_deref(), as_what);
    // Without a nonce there is nothing to sign, and a device's token is worth nothing without its signature.
    let issued = match gateway.secret_is_given || nonce.is_none() {
        true => None,
        false => device.token_for(&gateway.url, gateway.is_ours),
    };
    let opened = match issued {
        Some(issued) => {
            let auth = ConnectAuth {
                token: Some(issued.expose().clone()),
                password: None,
            };
            match client.introduce(as_what, auth, &device, nonce).await {
                Err(CallError::NotAdmitted(refusal, _)) if refusal.is_about_the_secret() => {
                    device.forget();
                    if !gateway.has_secret() {
                        return Err(CallError::NotAdmitted(refusal, None));
                    }
                    let (client, nonce) = reach(gateway, deadline, limit).await?;
                    let auth = shared_secret(gateway, device.exists() && nonce.is_some());
                    client.introduce(as_what, auth, &device, nonce).await
                }
                outcome => outcome,
            }
        }
        None => {
            let auth = shared_secret(gateway, device.exists() && nonce.is_some());
            client.introduce(as_what, auth, &device, nonce).await
        }
    };
    let mut client = opened?;
    device.keep(&gateway.url, &client.hello);
    client.trouble = device.trouble().to_vec();
    Ok(client)
}

/// What proves that the caller knows the secret.
fn shared_secret(gateway: &Gateway, with_device: bool) -> ConnectAuth {
    let own = |secret: &Option<Secret<String>>| secret.as_ref().map(|own| own.expose().clone());
    let password = own(&gateway.password);
    // A gateway of the existing kind asks for a device identity when there is no token at all, also when it is the
    // password that counts; a caller without an identity therefore presents its password in both places.
    let stand_in = password.clone().filter(|_| !with_device);
    ConnectAuth {
        token: own(&gateway.token).or(stand_in),
        password,
    }
}

/// Opens a WebSocket and waits for the challenge; older gateways send none.
async fn reach(
    gateway: &Gateway,
    deadline: Moment,
    limit: Duration,
) -> Result<(Client, Option<NonEmpty>), CallError> {
    let address = GatewayAddress::parse(&gateway.url).map_err(|_| {
        CallError::Unsupported(format!("the address {} cannot be used", gateway.url))
    })?;
    if address.is_encrypted() {
        return Err(CallError::Unsupported(
            "wss:// is not available in this build; use an SSH tunnel and ws://127.0.0.1:<port>"
                .to_owned(),
        ));
    }
    let stream = TcpStream::connect((address.host(), address.port()))
        .await
        .map_err(|error| CallError::Connect {
            to: address.to_string(),
            error,
        })?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_ANSWER))
        .max_frame_size(Some(MAX_ANSWER));
    let mut request = gateway
        .url
        .as_str()
        .into_client_request()
        .map_err(not_upgraded)?;
    if let Some(trace) = trace::current() {
        request
            .headers_mut()
            .insert(TRACEPARENT, trace.traceparent());
    }
    let (socket, _) = client_async_with_config(request, stream, Some(config))
        .await
        .map_err(not_upgraded)?;
    let mut client = Client {
        socket,
        next_id: 0,
        deadline,
        limit,
        hello: Value::Null,
        trouble: Vec::new(),
    };
    let nonce = client.wait_for_challenge(gateway.has_secret()).await?;
    Ok((client, nonce))
}

impl Client {
    async fn wait_for_challenge(
        &mut self,
        has_secret: bool,
    ) -> Result<Option<NonEmpty>, CallError> {
        // Who has no secret has nothing to say without a challenge.
        let deadline = match has_secret {
            true => self.deadline.min(Moment::now() + CHALLENGE_WAIT),
            false => self.deadline,
        };
        let challenge = async {
            loop {
                if let Frame::Event(event) = self.receive().await?
                    && event.event == "connect.challenge"
                {
                    let nonce = event.payload["nonce"].as_str();
                    return Ok(nonce.and_then(NonEmpty::new));
                }
            }
        };
        timeout_at(deadline.into_std().into(), challenge)
            .await
            .unwrap_or(Ok(None))
    }

    /// Says who we are.
    async fn introduce(
        mut self,
        as_what: As,
        auth: ConnectAuth,
        device: &Device,
        nonce: Option<NonEmpty>,
    ) -> Result<Self, CallError> {
        let mut params = introduction(as_what, auth);
        if let Some(nonce) = &nonce {
            device.sign(&mut params, nonce);
        }
        let params = serde_json::to_value(params).unwrap_or_default();
        let without_device = || device.trouble().first().cloned();
        match self.request("connect", &params, false).await {
            Ok(Ok(hello)) => {
                self.hello = hello;
                Ok(self)
            }
            Ok(Err(refusal)) => Err(CallError::NotAdmitted(Box::new(refusal), without_device())),
            // The refusal may be lost when the server closes fast; its reason says the same.
            Err(CallError::Closed { code: 1008, reason }) if is_a_refusal(&reason) => {
                let refusal = Refusal::saying(reason);
                Err(CallError::NotAdmitted(Box::new(refusal), without_device()))
            }
            Err(error) => Err(error),
        }
    }
}

fn is_a_refusal(reason: &str) -> bool {
    ["unauthorized", "pairing required", "device "]
        .iter()
        .any(|beginning| reason.starts_with(beginning))
}

fn introduction(as_what: As, auth: ConnectAuth) -> ConnectParams {
    let (id, mode, scopes): (ClientId, ClientMode, &[&str]) = match as_what {
        As::Cli => (
            ClientId::Cli,
            ClientMode::Cli,
            &["operator.admin", "operator.approvals", "operator.pairing"],
        ),
        As::Probe => (ClientId::Cli, ClientMode::Probe, &["operator.admin"]),
        As::Tui => (ClientId::GatewayClient, ClientMode::Ui, &["operator.admin"]),
    };
    let filled = |text: &str| NonEmpty::new(text).expect("a name of ours has characters");
    let version = || Int::new(PROTOCOL_VERSION).expect("versions of the protocol begin with 1");
    let has_secret = auth.token.is_some() || auth.password.is_some();
    ConnectParams {
        min_protocol: version(),
        max_protocol: version(),
        client: ClientInfo {
            id,
            display_name: (as_what == As::Tui).then(|| filled(tui::PROGRAM)),
            version: filled(VERSION),
            platform: filled(std::env::consts::OS),
            device_family: None,
            model_identifier: None,
            mode,
            instance_id: None,
        },
        caps: Some(Vec::new()),
        commands: None,
        permissions: None,
        path_env: None,
        role: Some(filled(Role::Operator.as_str())),
        scopes: Some(scopes.iter().map(|scope| filled(scope)).collect()),
        device: None,
        auth: has_secret.then_some(auth),
        locale: None,
        user_agent: None,
    }
}

fn not_upgraded(error: tungstenite::Error) -> CallError {
    if let tungstenite::Error::Http(response) = error {
        return CallError::NotWebSocket(format!("HTTP status {}", response.status()));
    }
    if matches!(
        error,
        tungstenite::Error::Io(_) | tungstenite::Error::ConnectionClosed
    ) {
        return lost(error);
    }
    CallError::NotWebSocket(error.to_string())
}
