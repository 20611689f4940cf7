//! A device with a key of its own, as phones and other programs have one.

use openclaw_shared::clock::WallTime;
use openclaw_shared::identity::DeviceIdentity;
use openclaw_shared::protocol::connect::ConnectParams;
use openclaw_shared::protocol::strict::NonEmpty;
use serde_json::{Value, json};

use crate::client::{Attempt, Received, Socket, request};

/// A device. The same number is the same device.
#[derive(Debug)]
pub struct Device {
    identity: DeviceIdentity,
}

impl Device {
    /// The device of this number.
    #[must_use]
    pub fn new(number: u8) -> Self {
        Self {
            identity: DeviceIdentity::from_seed(&[number; 32]),
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.identity.device_id()
    }

    /// Signs the parameters of a connect, as they are, for the challenge with this nonce.
    ///
    /// # Panics
    /// When they are no parameters of a connect.
    pub fn sign(&self, params: &mut Value, nonce: &str) {
        let typed: ConnectParams =
            serde_json::from_value(params.clone()).expect("what is signed can be read");
        let nonce = NonEmpty::new(nonce).expect("a challenge has a nonce");
        let proof = self.identity.prove(&typed, &nonce, WallTime::now());
        params["device"] = json!(proof);
    }

    /// Connects with these parameters, signed, and these headers; what came of it.
    ///
    /// # Panics
    /// When there is no WebSocket or no challenge.
    pub async fn attempt(
        &self,
        port: u16,
        headers: &[(&str, &str)],
        mut params: Value,
    ) -> (Socket, Attempt) {
        let mut socket = Socket::open_with(port, "/", headers)
            .await
            .expect("a WebSocket opens");
        let challenge = socket.frame().await;
        let nonce = challenge["payload"]["nonce"].as_str().unwrap_or_default();
        self.sign(&mut params, nonce);
        socket.send(&request("connect", "connect", params)).await;
        let answer = match socket.receive().await {
            Received::Frame(answer) => answer,
            end @ (Received::Closed { .. } | Received::Cut) => {
                let attempt = Attempt {
                    answer: None,
                    end: Some(end),
                };
                return (socket, attempt);
            }
        };
        let end = match answer["ok"] == true {
            true => None,
            false => Some(socket.receive().await),
        };
        let attempt = Attempt {
            answer: Some(answer),
            end,
        };
        (socket, attempt)
    }
}
