//! A client of protocol 3, as strict as the real ones.

use std::collections::VecDeque;
use std::io;
use std::net::Ipv4Addr;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::eventually::soon;
use crate::process;

/// Where a gateway is, and its secret.
#[derive(Debug, Clone)]
pub struct Target {
    /// The base port.
    pub port: u16,
    /// The token.
    pub token: String,
}

/// A WebSocket; what is said on it is up to the test.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
}

/// What the gateway sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// A frame.
    Frame(Value),
    /// The close frame.
    Closed {
        /// Its code.
        code: u16,
        /// Its reason.
        reason: String,
    },
    /// The connection ended without a close frame.
    Cut,
}

/// Why there is no WebSocket.
#[derive(Debug)]
pub enum NotOpened {
    /// Nobody listens.
    Refused,
    /// It was accepted and then ended.
    Cut(String),
    /// The answer to the upgrade was another one.
    Answered(u16),
}

impl Socket {
    /// Opens a WebSocket.
    ///
    /// # Errors
    /// Says in which way it did not come about.
    pub async fn open(port: u16) -> Result<Self, NotOpened> {
        Self::open_with(port, "/", &[]).await
    }

    /// Opens a WebSocket with a path and headers of the test's own.
    ///
    /// # Errors
    /// Says in which way it did not come about.
    ///
    /// # Panics
    /// When the gateway does not answer, or the headers are none.
    pub async fn open_with(
        port: u16,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, NotOpened> {
        let stream = match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
            Ok(stream) => stream,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                return Err(NotOpened::Refused);
            }
            Err(error) => return Err(NotOpened::Cut(error.to_string())),
        };
        let url = format!("ws://127.0.0.1:{port}{path}");
        let mut request = url
            .into_client_request()
            .expect("the address is well formed");
        for (name, value) in headers {
            let name = http::HeaderName::try_from(*name).expect("a header has a name");
            let value = http::HeaderValue::try_from(*value).expect("a header has a value");
            request.headers_mut().insert(name, value);
        }
        match soon("the upgrade is answered", client_async(request, stream)).await {
            Ok((stream, _)) => Ok(Self { stream }),
            Err(Error::Http(answer)) => Err(NotOpened::Answered(answer.status().as_u16())),
            Err(error) => Err(NotOpened::Cut(error.to_string())),
        }
    }

    /// Sends a text.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.stream.send(Message::Text(Utf8Bytes::from(text))).await
    }

    /// Sends a frame. That the connection has ended is seen by what is received next.
    pub async fn send(&mut self, frame: &Value) {
        let _ = self.send_text(&frame.to_string()).await;
    }

    /// The next frame, the close, or the end.
    ///
    /// # Panics
    /// When nothing comes, or a frame is no JSON.
    pub async fn receive(&mut self) -> Received {
        soon("the gateway sends something", self.receive_whenever()).await
    }

    /// As [`Socket::receive`], however long it takes.
    ///
    /// # Panics
    /// When a frame is no JSON.
    pub async fn receive_whenever(&mut self) -> Received {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => {
                    let frame = serde_json::from_str(&text);
                    return Received::Frame(frame.expect("the gateway sends JSON"));
                }
                Some(Ok(Message::Close(Some(close)))) => {
                    // What is left to say is the answer to the close; the end follows it.
                    let _ = self.stream.close(None).await;
                    let reason = close.reason.to_string();
                    return Received::Closed {
                        code: close.code.into(),
                        reason,
                    };
                }
                Some(Ok(Message::Close(None))) => {
                    return Received::Closed {
                        code: 1005,
                        reason: String::new(),
                    };
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Binary(_) | Message::Frame(_))) => {
                    panic!("the gateway sends text");
                }
                Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)))
                | Some(Err(Error::Io(_) | Error::ConnectionClosed | Error::AlreadyClosed))
                | None => return Received::Cut,
                Some(Err(error)) => panic!("the gateway sent nonsense: {error}"),
            }
        }
    }

    /// The next text, JSON or not.
    ///
    /// # Panics
    /// When something else comes.
    pub async fn text(&mut self) -> String {
        match soon("a text comes", self.stream.next()).await {
            Some(Ok(Message::Text(text))) => text.to_string(),
            other => panic!("a text was expected: {other:?}"),
        }
    }

    /// The next frame.
    ///
    /// # Panics
    /// When the connection ends instead.
    pub async fn frame(&mut self) -> Value {
        match self.receive().await {
            Received::Frame(frame) => frame,
            ended @ (Received::Closed { .. } | Received::Cut) => {
                panic!("a frame was expected: {ended:?}")
            }
        }
    }

    /// Everything up to the end: the frames, and how it ended.
    pub async fn rest(&mut self) -> (Vec<Value>, Received) {
        let mut frames = Vec::new();
        loop {
            match self.receive().await {
                Received::Frame(frame) => frames.push(frame),
                ended @ (Received::Closed { .. } | Received::Cut) => return (frames, ended),
            }
        }
    }

    /// Closes it, as a client does that is done.
    pub async fn close(mut self) {
        // It may have been closed by the other side already.
        let _ = self.stream.close(None).await;
    }
}

/// The parameters of a connect that is let in.
#[must_use]
pub fn connect_params(token: &str) -> Value {
    json!({
        "minProtocol": 3,
        "maxProtocol": 3,
        "client": { "id": "test", "version": "1", "platform": "linux", "mode": "test" },
        "role": "operator",
        "scopes": ["operator.admin"],
        "caps": [],
        "auth": { "token": token },
    })
}

/// A request frame.
#[must_use]
pub fn request(id: &str, method: &str, params: Value) -> Value {
    json!({ "type": "req", "id": id, "method": method, "params": params })
}

/// What came of a first frame that was not let in, or of one that was.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// The answer, if there was one.
    pub answer: Option<Value>,
    /// How the connection ended; absent when it did not.
    pub end: Option<Received>,
}

impl Attempt {
    /// The message of the error.
    #[must_use]
    pub fn error(&self) -> &str {
        let answer = self.answer.as_ref();
        answer
            .and_then(|answer| answer["error"]["message"].as_str())
            .unwrap_or_default()
    }

    /// The close code.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self.end {
            Some(Received::Closed { code, .. }) => Some(code),
            Some(Received::Frame(_) | Received::Cut) | None => None,
        }
    }
}

/// Opens a WebSocket, takes the challenge, sends this as the first frame, and sees what comes of it.
///
/// # Panics
/// When there is no WebSocket or no challenge.
pub async fn attempt(port: u16, first: &str) -> Attempt {
    let mut socket = Socket::open(port).await.expect("a WebSocket opens");
    attempt_on(&mut socket, first).await
}

/// As [`attempt`], on a WebSocket that has just been opened.
///
/// # Panics
/// When there is no challenge.
pub async fn attempt_on(socket: &mut Socket, first: &str) -> Attempt {
    let challenge = socket.frame().await;
    assert_eq!(challenge["event"], "connect.challenge", "{challenge}");
    challenged(socket, first).await
}

async fn challenged(socket: &mut Socket, first: &str) -> Attempt {
    // A gateway that closes before it has read everything is a fine answer too.
    let _ = socket.send_text(first).await;
    let mut answer = None;
    loop {
        match socket.receive().await {
            Received::Frame(frame) if frame["type"] == "res" && frame["ok"] == true => {
                return Attempt {
                    answer: Some(frame),
                    end: None,
                };
            }
            Received::Frame(frame) => {
                assert!(
                    answer.is_none(),
                    "more than one answer to a first frame: {frame}"
                );
                answer = Some(frame);
            }
            end @ (Received::Closed { .. } | Received::Cut) => {
                return Attempt {
                    answer,
                    end: Some(end),
                };
            }
        }
    }
}

/// A client that was let in.
#[derive(Debug)]
pub struct Client {
    socket: Socket,
    events: VecDeque<Value>,
    next_id: u64,
    /// What it was welcomed with.
    pub hello: Value,
}

impl Client {
    /// Connects with the token.
    ///
    /// # Panics
    /// When it is not let in.
    pub async fn connect(target: &Target) -> Self {
        Self::connect_as(target.port, connect_params(&target.token)).await
    }

    /// Connects with these parameters.
    ///
    /// # Panics
    /// When it is not let in.
    pub async fn connect_as(port: u16, params: Value) -> Self {
        match Self::try_connect(port, params).await {
            Ok(client) => client,
            Err(why) => panic!("the client was not let in: {why}"),
        }
    }

    /// Connects with these parameters, or says why not.
    ///
    /// # Errors
    /// When it is not let in, also because the gateway ends meanwhile.
    pub async fn try_connect(port: u16, params: Value) -> Result<Self, String> {
        let mut socket = Socket::open(port)
            .await
            .map_err(|error| format!("{error:?}"))?;
        let connect = request("hello", "connect", params).to_string();
        match socket.receive().await {
            Received::Frame(challenge) if challenge["event"] == "connect.challenge" => {}
            other @ (Received::Frame(_) | Received::Closed { .. } | Received::Cut) => {
                return Err(format!("{other:?} in the place of a challenge"));
            }
        }
        match challenged(&mut socket, &connect).await {
            Attempt {
                answer: Some(answer),
                end: None,
            } => {
                let hello = answer["payload"].clone();
                Ok(Self {
                    socket,
                    events: VecDeque::new(),
                    next_id: 0,
                    hello,
                })
            }
            refused => Err(format!("{refused:?}")),
        }
    }

    /// Whether it is this process that serves it.
    #[must_use]
    pub fn is_served_by(&self, pid: i32) -> bool {
        let wire = self.socket.stream.get_ref();
        let (Ok(here), Ok(there)) = (wire.local_addr(), wire.peer_addr()) else {
            return false;
        };
        process::holds_connection(pid, there, here)
    }

    /// Calls a method.
    ///
    /// # Errors
    /// The error of the answer.
    ///
    /// # Panics
    /// When the connection ends instead.
    pub async fn call(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        let id = self.send(method, params).await;
        let answer = self.answer(&id).await;
        if answer["ok"] == true {
            Ok(answer["payload"].clone())
        } else {
            Err(answer["error"].clone())
        }
    }

    /// Calls a method of a life that may be about to leave. A client that is late comes in to one that is being replaced, and is
    /// sent on to its successor.
    ///
    /// # Errors
    /// How the connection ended instead.
    ///
    /// # Panics
    /// When the method is refused.
    pub async fn call_unless_sent_away(
        &mut self,
        method: &str,
        params: Value,
    ) -> Result<Value, Received> {
        let id = self.send(method, params).await;
        loop {
            match self.socket.receive().await {
                Received::Frame(frame) if frame["id"] == id.as_str() => {
                    assert_eq!(frame["ok"], true, "{frame}");
                    return Ok(frame["payload"].clone());
                }
                Received::Frame(frame) => self.events.push_back(frame),
                ended @ (Received::Closed { .. } | Received::Cut) => return Err(ended),
            }
        }
    }

    /// Sends a request and does not wait for its answer.
    pub async fn send(&mut self, method: &str, params: Value) -> String {
        self.next_id += 1;
        let id = format!("r{}", self.next_id);
        self.socket.send(&request(&id, method, params)).await;
        id
    }

    /// Waits for the answer to a request. Events that come before it are kept.
    ///
    /// # Panics
    /// When the connection ends instead.
    pub async fn answer(&mut self, id: &str) -> Value {
        loop {
            let frame = self.socket.frame().await;
            if frame["type"] == "res" && frame["id"] == id {
                return frame;
            }
            self.events.push_back(frame);
        }
    }

    /// The next event of this name; others are dropped.
    ///
    /// # Panics
    /// When the connection ends instead.
    pub async fn event(&mut self, name: &str) -> Value {
        loop {
            let frame = match self.events.pop_front() {
                Some(frame) => frame,
                None => self.socket.frame().await,
            };
            if frame["event"] == name {
                return frame;
            }
        }
    }

    /// Everything up to the end: the frames, those that were kept included, and how it ended.
    pub async fn rest(&mut self) -> (Vec<Value>, Received) {
        let mut frames: Vec<Value> = std::mem::take(&mut self.events).into();
        let (rest, end) = self.socket.rest().await;
        frames.extend(rest);
        (frames, end)
    }

    /// The WebSocket, for what a proper client does not do.
    pub const fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }
}
