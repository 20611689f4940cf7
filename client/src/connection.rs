//! A connection: connect, call, read the answer; or send, and receive whatever comes.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use openclaw_shared::clock::Moment;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout_at;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Message;

use crate::frame::{Frame, closed, lost};
use crate::{As, CallError, Gateway, Refusal, opening};

/// A connection on which the gateway has said hello.
#[derive(Debug)]
pub struct Client {
    pub(crate) socket: WebSocketStream<TcpStream>,
    pub(crate) next_id: u64,
    pub(crate) deadline: Moment,
    pub(crate) limit: Duration,
    /// The payload of `hello-ok`.
    pub hello: Value,
    /// What did not work although the gateway was reached, for people who ask for it.
    pub trouble: Vec<String>,
}

impl Client {
    /// Connects and introduces itself, all within `limit`, which also holds for the first call.
    ///
    /// # Errors
    /// When the gateway cannot be reached, or does not let us in.
    pub async fn connect(
        gateway: &Gateway,
        as_what: As,
        limit: Duration,
    ) -> Result<Self, CallError> {
        let deadline = Moment::now() + limit;
        let late = |_| CallError::Timeout(limit);
        timeout_at(
            deadline.into_std().into(),
            opening::open(gateway, as_what, deadline, limit),
        )
        .await
        .map_err(late)?
    }

    /// Gives the next call its own time.
    pub fn allow(&mut self, limit: Duration) {
        self.limit = limit;
        self.deadline = Moment::now() + limit;
    }

    /// Calls a method and waits for its answer; with `to_the_end` also past `status: "accepted"`.
    ///
    /// # Errors
    /// When the gateway refuses, leaves, or takes too long.
    pub async fn call(
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

    /// Sends a request and does not wait for its answer, which [`Client::receive`] finds under the id that is returned.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn send(&mut self, method: &str, params: &Value) -> Result<String, CallError> {
        self.next_id += 1;
        let id = self.next_id.to_string();
        let frame = json!({ "type": "req", "id": id, "method": method, "params": params });
        self.socket
            .send(Message::text(frame.to_string()))
            .await
            .map_err(lost)?;
        Ok(id)
    }

    /// Says goodbye, when the gateway still reads.
    pub async fn close(&mut self) {
        // The connection ends either way.
        let _ = self.socket.close(None).await;
    }

    pub(crate) async fn request(
        &mut self,
        method: &str,
        params: &Value,
        to_the_end: bool,
    ) -> Result<Result<Value, Refusal>, CallError> {
        let id = self.send(method, params).await?;
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

    /// The next frame that is one; what cannot be read is skipped. Cancel-safe.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn receive(&mut self) -> Result<Frame, CallError> {
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

#[cfg(test)]
mod tests {
    use openclaw_shared::secret::Secret;
    use tokio::net::TcpListener;
    use tokio_tungstenite::accept_async;

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

    async fn listen() -> (TcpListener, Gateway) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Gateway {
            url: format!("ws://{}", listener.local_addr().unwrap()),
            token: Some(Secret::new("t0p".to_owned())),
            password: None,
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
        assert!(matches!(error, CallError::Unsupported(_)), "{error:?}");
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
        assert!(matches!(error, CallError::NotAdmitted(..)), "{error:?}");
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
}
