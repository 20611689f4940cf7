//! A small client of the gateway: connect, call, read the answer.
//!
//! It reads answers leniently, because `--url` may lead to a gateway of another version.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use openclaw_shared::clock::Moment;
use openclaw_shared::exit::Exit;
use openclaw_shared::instance::VERSION;
use openclaw_shared::paths::StatePaths;
use openclaw_shared::protocol::PROTOCOL_VERSION;
use openclaw_shared::protocol::connect::{
    ClientId, ClientInfo, ClientMode, ConnectAuth, ConnectParams,
};
use openclaw_shared::protocol::scope::Role;
use openclaw_shared::protocol::strict::{Int, NonEmpty};
use openclaw_shared::secret::Secret;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout_at;
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::args::RpcFlags;
use super::context::Context;
use super::control_client::Asked;
use super::device::Device;
use super::failure::{Failure, Kind};
use super::target::{self, Inputs, Target};
use crate::supervise::read_token;

mod call_error;

pub(crate) use call_error::{CallError, Refusal};

/// The largest answer we take, as other clients of the protocol do.
const MAX_ANSWER: usize = 25 * 1024 * 1024;
/// How long a challenge is waited for before connecting without one, as other clients do.
const CHALLENGE_WAIT: Duration = Duration::from_millis(750);

/// How the command line introduces itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum As {
    /// A command that does something.
    Cli,
    /// A look whether the gateway answers.
    Probe,
}

/// A connection on which the gateway has said hello.
#[derive(Debug)]
pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
    next_id: u64,
    deadline: Moment,
    limit: Duration,
    /// The payload of `hello-ok`.
    pub(crate) hello: Value,
    /// What did not work although the gateway was reached, for people who ask for it.
    pub(crate) trouble: Vec<String>,
}

/// Chooses the gateway to talk to. A running instance of ours is asked for its port first, because it may have been
/// started with another one than the configuration says.
///
/// # Errors
/// As [`target::resolve`], and when the token file cannot be read.
pub(crate) async fn find_target(
    context: &Context,
    flags: &RpcFlags,
    fall_back: bool,
) -> Result<Target, Failure> {
    let (port, hosts) = match context.running().await {
        Asked::Answered(running) => (
            running.instance.ports.gateway,
            running.instance.hosts.clone(),
        ),
        Asked::Absent | Asked::Failed(_) => (context.instance()?.ports.gateway, Vec::new()),
    };
    let secret = |text: &str| Secret::new(text.trim().to_owned());
    let token_from_file = match &flags.token_file {
        Some(path) => Some(read_secret(path)?),
        None => None,
    };
    let environment = &context.environment;
    target::resolve(Inputs {
        flags: flags.clone(),
        port,
        hosts,
        config: context.config(),
        config_shown: context.shown(&context.identity.config_path),
        token_from_file,
        token_from_environment: environment
            .first(&["OPENCLAW_GATEWAY_TOKEN", "CLAWDBOT_GATEWAY_TOKEN"])
            .map(secret),
        password_from_environment: environment
            .first(&["OPENCLAW_GATEWAY_PASSWORD", "CLAWDBOT_GATEWAY_PASSWORD"])
            .map(secret),
        // A token that cannot be read is like none: the gateway then says that it is missing.
        generated_token: read_token(&context.identity.state_dir),
        identity: Some(StatePaths(&context.identity.state_dir).operator_identity()),
        fall_back,
    })
}

/// Reads a secret that stands alone in a file.
///
/// # Errors
/// When the file cannot be read or is blank.
pub(crate) fn read_secret(path: &std::path::Path) -> Result<Secret<String>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::new(
            Kind::Usage,
            format!("The token file {} cannot be read: {error}", path.display()),
        )
        .exit(Exit::Failure)
    })?;
    match text.trim() {
        "" => Err(Failure::new(
            Kind::Usage,
            format!("The token file {} is empty", path.display()),
        )),
        token => Ok(Secret::new(token.to_owned())),
    }
}

impl Client {
    /// Connects and introduces itself, all within `limit`, which also holds for the first call.
    ///
    /// # Errors
    /// When the gateway cannot be reached, or does not let us in.
    pub(crate) async fn connect(
        target: &Target,
        as_what: As,
        limit: Duration,
    ) -> Result<Self, CallError> {
        let deadline = Moment::now() + limit;
        let late = |_| CallError::Timeout(limit);
        timeout_at(
            deadline.into_std().into(),
            open(target, as_what, deadline, limit),
        )
        .await
        .map_err(late)?
    }

    /// Gives the next call its own time.
    pub(crate) fn allow(&mut self, limit: Duration) {
        self.limit = limit;
        self.deadline = Moment::now() + limit;
    }

    /// Calls a method and waits for its answer; with `to_the_end` also past `status: "accepted"`.
    ///
    /// # Errors
    /// When the gateway refuses, leaves, or takes too long.
    pub(crate) async fn call(
        &mut self,
        method: &str,
        params: &Value,
        to_the_end: bool,
    ) -> Result<Value, CallError> {
        let deadline = self.deadline.into_std().into();
        let limit = self.limit;
        timeout_at(deadline, async {
            match self.request(method, params, to_the_end).await? {
                Ok(payload) => Ok(payload),
                Err(refusal) => Err(CallError::Refused(Box::new(refusal))),
            }
        })
        .await
        .map_err(|_| CallError::Timeout(limit))?
    }

    async fn request(
        &mut self,
        method: &str,
        params: &Value,
        to_the_end: bool,
    ) -> Result<Result<Value, Refusal>, CallError> {
        self.next_id += 1;
        let id = self.next_id.to_string();
        let frame = json!({ "type": "req", "id": id, "method": method, "params": params });
        self.socket
            .send(Message::text(frame.to_string()))
            .await
            .map_err(lost)?;
        loop {
            let Frame::Response(response) = self.receive().await? else {
                continue;
            };
            if response.id != id {
                continue;
            }
            if !response.ok {
                return Ok(Err(response.error.unwrap_or_else(Refusal::unexplained)));
            }
            let payload = response.payload.unwrap_or(Value::Null);
            if !to_the_end || payload["status"] != "accepted" {
                return Ok(Ok(payload));
            }
        }
    }

    /// The next frame that is one; what cannot be read is skipped.
    async fn receive(&mut self) -> Result<Frame, CallError> {
        loop {
            let text = match self.socket.next().await {
                Some(Ok(Message::Text(text))) => text.to_string(),
                Some(Ok(Message::Binary(bytes))) => String::from_utf8_lossy(&bytes).into_owned(),
                Some(Ok(Message::Close(frame))) => return Err(closed(frame)),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Err(error)) => return Err(lost(error)),
                None => return Err(closed(None)),
            };
            if let Some(frame) = Frame::parse(&text) {
                return Ok(frame);
            }
        }
    }
}

/// Opens a connection that has been let in. The secret is the one that was given for this call; else the token that the
/// gateway issued to this device; else, or when it does not take that one any more, the secret of the configuration.
async fn open(
    target: &Target,
    as_what: As,
    deadline: Moment,
    limit: Duration,
) -> Result<Client, CallError> {
    let (client, nonce) = reach(target, deadline, limit).await?;
    let mut device = Device::of(target.identity.as_deref(), as_what);
    // Without a nonce there is nothing to sign, and a device's token is worth nothing without its signature.
    let issued = match target.secret_is_given || nonce.is_none() {
        true => None,
        false => device.token_for(&target.url, target.is_ours),
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
                    if !target.has_secret() {
                        return Err(CallError::NotAdmitted(refusal, None));
                    }
                    let (client, nonce) = reach(target, deadline, limit).await?;
                    let auth = shared_secret(target, device.exists() && nonce.is_some());
                    client.introduce(as_what, auth, &device, nonce).await
                }
                outcome => outcome,
            }
        }
        None => {
            let auth = shared_secret(target, device.exists() && nonce.is_some());
            client.introduce(as_what, auth, &device, nonce).await
        }
    };
    let mut client = opened?;
    device.keep(&target.url, &client.hello);
    client.trouble = device.trouble().to_vec();
    Ok(client)
}

/// What proves that the caller knows the secret.
fn shared_secret(target: &Target, with_device: bool) -> ConnectAuth {
    let own = |secret: &Option<Secret<String>>| secret.as_ref().map(|own| own.expose().clone());
    let password = own(&target.password);
    // A gateway of the existing kind asks for a device identity when there is no token at all, also when it is the
    // password that counts; a caller without an identity therefore presents its password in both places.
    let stand_in = password.clone().filter(|_| !with_device);
    ConnectAuth {
        token: own(&target.token).or(stand_in),
        password,
    }
}

/// Opens a WebSocket and waits for the challenge; older gateways send none.
async fn reach(
    target: &Target,
    deadline: Moment,
    limit: Duration,
) -> Result<(Client, Option<NonEmpty>), CallError> {
    let uri: Uri = target.url.parse().map_err(|_| {
        CallError::Unsupported(format!("the address {} cannot be used", target.url))
    })?;
    if uri.scheme_str() == Some("wss") {
        return Err(CallError::Unsupported(
            "wss:// is not available in this build; use an SSH tunnel and ws://127.0.0.1:<port>"
                .to_owned(),
        ));
    }
    let host = uri.host().unwrap_or_default();
    let port = uri.port_u16().unwrap_or(80);
    let to = format!("{host}:{port}");
    let bare_host = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((bare_host, port))
        .await
        .map_err(|error| CallError::Connect {
            to: to.clone(),
            error,
        })?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_ANSWER))
        .max_frame_size(Some(MAX_ANSWER));
    let (socket, _) = client_async_with_config(target.url.as_str(), stream, Some(config))
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
    let nonce = client.wait_for_challenge().await?;
    Ok((client, nonce))
}

impl Client {
    async fn wait_for_challenge(&mut self) -> Result<Option<NonEmpty>, CallError> {
        let deadline = Moment::now() + CHALLENGE_WAIT;
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
    let (mode, scopes): (ClientMode, &[&str]) = match as_what {
        As::Cli => (
            ClientMode::Cli,
            &["operator.admin", "operator.approvals", "operator.pairing"],
        ),
        As::Probe => (ClientMode::Probe, &["operator.admin"]),
    };
    let filled = |text: &str| NonEmpty::new(text).expect("a name of ours has characters");
    let version = || Int::new(PROTOCOL_VERSION).expect("versions of the protocol begin with 1");
    let has_secret = auth.token.is_some() || auth.password.is_some();
    ConnectParams {
        min_protocol: version(),
        max_protocol: version(),
        client: ClientInfo {
            id: ClientId::Cli,
            display_name: None,
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

/// What a gateway sends, as far as a command reads it.
#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
enum Frame {
    #[serde(rename = "res")]
    Response(Response),
    #[serde(rename = "event")]
    Event(Event),
}

#[derive(Debug, Deserialize)]
struct Response {
    id: String,
    #[serde(default)]
    ok: bool,
    payload: Option<Value>,
    error: Option<Refusal>,
}

#[derive(Debug, Deserialize)]
struct Event {
    event: String,
    #[serde(default)]
    payload: Value,
}

impl Frame {
    fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

fn closed(frame: Option<CloseFrame>) -> CallError {
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

fn lost(error: tungstenite::Error) -> CallError {
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

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio_tungstenite::accept_async;

    use super::super::target::Source;
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    /// A gateway that follows a script: what it sends after each frame it gets.
    async fn gateway(listener: TcpListener, answers: Vec<Message>) -> Vec<Value> {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = accept_async(stream).await.unwrap();
        let challenge =
            json!({"type": "event", "event": "connect.challenge", "payload": {"nonce": "n"}});
        socket
            .send(Message::text(challenge.to_string()))
            .await
            .unwrap();
        let mut seen = Vec::new();
        for answer in answers {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => seen.push(serde_json::from_str(&text).unwrap()),
                _ => break,
            }
            socket.send(answer).await.unwrap();
        }
        seen
    }

    async fn listen() -> (TcpListener, Target) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target {
            url: format!("ws://{}", listener.local_addr().unwrap()),
            source: Source::Loopback,
            token: Some(Secret::new("t0p".to_owned())),
            password: None,
            bind: None,
            config: String::new(),
            secret_is_given: false,
            is_ours: true,
            identity: None,
        };
        (listener, target)
    }

    fn answer(id: &str, payload: Value) -> Message {
        Message::text(json!({"type": "res", "id": id, "ok": true, "payload": payload}).to_string())
    }

    #[tokio::test]
    async fn it_connects_as_a_command_line_and_calls() {
        let (listener, target) = listen().await;
        let answers = vec![
            answer("1", json!({"type": "hello-ok"})),
            answer("2", json!({"ok": true})),
        ];
        let calling = async {
            let mut client = Client::connect(&target, As::Cli, LIMIT).await.unwrap();
            client
                .call("health", &json!({"probe": false}), false)
                .await
                .unwrap()
        };
        let (seen, payload) = tokio::join!(gateway(listener, answers), calling);
        assert_eq!(payload, json!({"ok": true}));
        assert_eq!(seen[0]["method"], "connect");
        assert_eq!(seen[0]["params"]["client"]["id"], "cli");
        assert_eq!(seen[0]["params"]["auth"], json!({"token": "t0p"}));
        assert_eq!(seen[1]["params"], json!({"probe": false}));
    }

    #[tokio::test]
    async fn failures_say_what_happened() {
        let (listener, mut target) = listen().await;
        drop(listener);
        let error = Client::connect(&target, As::Cli, LIMIT).await.unwrap_err();
        let address = target.url.trim_start_matches("ws://");
        assert_eq!(error.to_string(), format!("connect ECONNREFUSED {address}"));

        target.url = "wss://127.0.0.1:1".to_owned();
        let error = Client::connect(&target, As::Cli, LIMIT).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported);
    }

    #[tokio::test]
    async fn a_silent_server_costs_the_limit_and_no_more() {
        let (listener, target) = listen().await;
        let limit = Duration::from_millis(50);
        let error = Client::connect(&target, As::Cli, limit).await.unwrap_err();
        assert_eq!(error.to_string(), "gateway timeout after 50ms");
        drop(listener);
    }

    #[tokio::test]
    async fn a_wrong_token_is_told_apart_from_a_refused_request() {
        let refusal = |message: &str| {
            let error = json!({"code": "INVALID_REQUEST", "message": message});
            Message::text(
                json!({"type": "res", "id": "1", "ok": false, "error": error}).to_string(),
            )
        };
        let (listener, target) = listen().await;
        let answers = vec![refusal("unauthorized: gateway token mismatch (hint)")];
        let (_, error) = tokio::join!(
            gateway(listener, answers),
            Client::connect(&target, As::Cli, LIMIT)
        );
        let error = error.unwrap_err();
        assert_eq!(error.kind(), Kind::Unauthorized);
        assert_eq!(
            error.to_string(),
            "unauthorized: gateway token mismatch (hint)"
        );
    }

    #[tokio::test]
    async fn the_end_of_a_run_is_waited_for_when_asked() {
        let (listener, target) = listen().await;
        let accepted = json!({"status": "accepted"});
        let both = async {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = accept_async(stream).await.unwrap();
            socket
                .send(Message::text(
                    r#"{"type":"event","event":"connect.challenge"}"#,
                ))
                .await
                .unwrap();
            socket.next().await;
            socket.send(answer("1", json!({}))).await.unwrap();
            socket.next().await;
            socket.send(answer("2", accepted)).await.unwrap();
            socket
                .send(Message::text(r#"{"type":"event","event":"tick"}"#))
                .await
                .unwrap();
            socket
                .send(answer("2", json!({"status": "ok"})))
                .await
                .unwrap();
        };
        let calling = async {
            let mut client = Client::connect(&target, As::Cli, LIMIT).await.unwrap();
            client.call("agent", &json!({}), true).await.unwrap()
        };
        let ((), payload) = tokio::join!(both, calling);
        assert_eq!(payload, json!({"status": "ok"}));
    }

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
