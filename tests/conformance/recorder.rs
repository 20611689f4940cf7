//! A WebSocket proxy that writes down what clients ask and whether they got it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{accept_hdr_async, client_async};

use crate::anonymous::Words;

/// What was asked, in the order of the first time, and the last answer to it.
#[derive(Debug, Default)]
struct Notes {
    asked: Vec<Value>,
    open: BTreeMap<String, usize>,
}

/// The proxy; it ends with the runtime.
pub(crate) struct Recorder {
    pub(crate) port: u16,
    notes: Arc<Mutex<Notes>>,
}

impl Recorder {
    /// Listens on a free loopback port and passes everything on to the gateway on `to`.
    pub(crate) async fn start(to: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("the recorder needs a port")?;
        let port = listener.local_addr()?.port();
        let notes = Arc::new(Mutex::new(Notes::default()));
        let shared = notes.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let notes = shared.clone();
                tokio::spawn(async move {
                    if let Err(error) = pass_on(stream, to, &notes).await {
                        crate::report::progress(&format!("recorder: {error}"));
                    }
                });
            }
        });
        Ok(Self { port, notes })
    }

    /// Every request that was made, one JSON document a line, each method and parameters once, and `made` for the identifier of
    /// what it made. The same clients give the same lines on every machine.
    pub(crate) fn lines(&self, home: &str) -> String {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut words = Words::default();
        let mut lines: Vec<String> = Vec::new();
        for asked in &notes.asked {
            let plain = asked.to_string().replace(home, "/home/user");
            let mut asked: Value = serde_json::from_str(&plain).unwrap_or_default();
            let method = asked["method"].as_str().unwrap_or_default().to_owned();
            words.params(&method, &mut asked["params"]);
            if let Some(made) = asked.get_mut("made") {
                words.params("", made);
            }
            let line = format!("{asked}\n");
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        lines.concat()
    }

    /// The methods that were refused.
    pub(crate) fn refused(&self) -> Vec<String> {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes
            .asked
            .iter()
            .filter(|asked| asked["ok"] == false)
            .map(|asked| format!("{} ({})", asked["method"], asked["error"]))
            .collect()
    }
}

async fn pass_on(stream: TcpStream, to: u16, notes: &Mutex<Notes>) -> Result<(), Error> {
    let mut origin = None;
    #[expect(
        clippy::result_large_err,
        reason = "the type of the refusal is the library's"
    )]
    let note_origin = |request: &Request, response: Response| {
        origin = request.headers().get("origin").cloned();
        Ok(response)
    };
    let client = accept_hdr_async(stream, note_origin).await?;
    let mut request = format!("ws://127.0.0.1:{to}/").into_client_request()?;
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin);
    }
    let upstream = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await?;
    let (gateway, _) = client_async(request, upstream).await?;
    let (mut to_client, mut from_client) = client.split();
    let (mut to_gateway, mut from_gateway) = gateway.split();
    let up = async {
        while let Some(Ok(message)) = from_client.next().await {
            if let Message::Text(text) = &message {
                note(notes, text);
            }
            if to_gateway.send(message).await.is_err() {
                break;
            }
        }
        // Whoever leaves first ends both halves.
        to_gateway.close().await.ok();
    };
    let down = async {
        while let Some(Ok(message)) = from_gateway.next().await {
            if let Message::Text(text) = &message {
                note(notes, text);
            }
            if to_client.send(message).await.is_err() {
                break;
            }
        }
        to_client.close().await.ok();
    };
    tokio::join!(up, down);
    Ok(())
}

fn note(notes: &Mutex<Notes>, text: &str) {
    let Ok(frame) = serde_json::from_str::<Value>(text) else {
        return;
    };
    let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
    let id = frame["id"].as_str().unwrap_or_default().to_owned();
    match frame["type"].as_str() {
        Some("req") => {
            let at = notes.asked.len();
            let params = frame.get("params").cloned().unwrap_or(Value::Null);
            notes
                .asked
                .push(json!({ "method": frame["method"], "params": params }));
            notes.open.insert(id, at);
        }
        Some("res") => {
            if let Some(at) = notes.open.remove(&id) {
                let asked = &mut notes.asked[at];
                asked["ok"] = frame["ok"].clone();
                if frame["ok"] == false {
                    asked["error"] = frame["error"]["message"].clone();
                } else if asked["method"] == "cron.add" {
                    asked["made"] = frame["payload"]["id"].clone();
                }
            }
        }
        Some(_) | None => {}
    }
}
