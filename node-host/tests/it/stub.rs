//! A gateway that says what a test tells it to say, and a node host in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use futures_util::{SinkExt as _, StreamExt as _};
use openclaw_shared::log::LogSettings;
use openclaw_shared::node_host::NodeLaunch;
use openclaw_shared::secret::Secret;
use openclaw_tests::eventually::soon;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdout, Command};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_async};

/// Where node hosts connect to.
pub(crate) struct Gateway {
    listener: TcpListener,
}

impl Gateway {
    pub(crate) async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.listener.local_addr().unwrap())
    }

    /// The next node that asks to be let in.
    pub(crate) async fn caller(&self) -> Caller {
        soon("a connection", async {
            let (stream, _) = self.listener.accept().await.unwrap();
            let mut socket = accept_async(stream).await.unwrap();
            let challenge = json!({"type": "event", "event": "connect.challenge", "payload": {"nonce": "n-1", "ts": 1}});
            socket.send(Message::text(challenge.to_string())).await.unwrap();
            let mut caller = Caller { socket, connect: Value::Null };
            let frame = caller.receive().await;
            assert_eq!(frame["method"], "connect");
            caller.connect = frame["params"].clone();
            caller
        })
        .await
    }

    /// The next node, let in.
    pub(crate) async fn node(&self) -> Caller {
        let mut caller = self.caller().await;
        caller.admit(30_000, None).await;
        caller
    }
}

/// A connection of a node.
pub(crate) struct Caller {
    socket: WebSocketStream<TcpStream>,
    /// How it introduced itself.
    pub(crate) connect: Value,
}

impl Caller {
    pub(crate) async fn send(&mut self, frame: Value) {
        self.socket
            .send(Message::text(frame.to_string()))
            .await
            .unwrap();
    }

    pub(crate) async fn receive(&mut self) -> Value {
        soon("a frame", async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    other => panic!("instead of a frame: {other:?}"),
                }
            }
        })
        .await
    }

    /// Ends the connection with this code.
    pub(crate) async fn close(mut self, code: u16) {
        let frame = CloseFrame {
            code: code.into(),
            reason: "".into(),
        };
        self.socket.close(Some(frame)).await.unwrap();
    }

    /// The code with which the node closes.
    pub(crate) async fn closed(&mut self) -> Option<u16> {
        soon("the end of the connection", async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return None,
                }
            }
        })
        .await
    }

    pub(crate) async fn admit(&mut self, tick_ms: u64, token: Option<&str>) {
        let mut payload = json!({"type": "hello-ok", "protocol": 3,
            "policy": {"maxPayload": 524_288, "maxBufferedBytes": 1_572_864, "tickIntervalMs": tick_ms}});
        if let Some(token) = token {
            payload["auth"] =
                json!({"deviceToken": token, "role": "node", "scopes": [], "issuedAtMs": 1});
        }
        self.send(json!({"type": "res", "id": "connect", "ok": true, "payload": payload}))
            .await;
    }

    pub(crate) async fn refuse(mut self, code: &str, message: &str, details: Value) {
        let error = json!({"code": code, "message": message, "details": details});
        self.send(json!({"type": "res", "id": "connect", "ok": false, "error": error}))
            .await;
        // The other side may be gone already.
        let _ = self.socket.close(None).await;
    }

    pub(crate) fn device_id(&self) -> String {
        self.connect["device"]["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn request(&mut self, id: &str, command: &str, params: Value, more: Value) {
        let mut payload = json!({"id": id, "nodeId": self.device_id(), "command": command, "paramsJSON": params.to_string()});
        for (key, value) in more.as_object().unwrap() {
            payload[key] = value.clone();
        }
        self.send(json!({"type": "event", "event": "node.invoke.request", "payload": payload}))
            .await;
    }

    /// The parameters of the next call of this method; others are skipped.
    pub(crate) async fn next(&mut self, method: &str) -> Value {
        loop {
            let frame = self.receive().await;
            if frame["method"] == method {
                return frame["params"].clone();
            }
        }
    }

    /// The result of a request: the payload, or the message of the error.
    pub(crate) async fn result(&mut self) -> Result<Value, String> {
        let params = self.next("node.invoke.result").await;
        assert_eq!(params["nodeId"], self.device_id());
        if params["ok"] == true {
            Ok(serde_json::from_str(params["payloadJSON"].as_str().unwrap()).unwrap())
        } else {
            Err(params["error"]["message"].as_str().unwrap().to_owned())
        }
    }

    pub(crate) async fn invoke(&mut self, command: &str, params: Value) -> Result<Value, String> {
        self.request("1", command, params, json!({})).await;
        self.result().await
    }
}

/// A folder for a node host.
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    /// One whose owner allows everything.
    pub(crate) fn open() -> Self {
        let home = Self {
            folder: TempDir::new().unwrap(),
        };
        home.allow(json!({"version": 1, "defaults": {"security": "full"}}));
        home
    }

    pub(crate) fn allow(&self, file: Value) {
        std::fs::write(self.path("exec-approvals.json"), file.to_string()).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn launch(&self, gateway: &Gateway) -> NodeLaunch {
        NodeLaunch {
            url: gateway.url(),
            token: Some(Secret::new("shared-secret".to_owned())),
            password: None,
            secret_is_given: false,
            state_dir: self.folder.path().to_owned(),
            home: None,
            node_id: Some("presence-1".to_owned()),
            display_name: Some("Build Box".to_owned()),
            json: true,
            log: LogSettings::in_dir(self.path("logs")),
        }
    }

    pub(crate) async fn start(&self, gateway: &Gateway) -> Node {
        start(&self.launch(gateway), self.folder.path()).await
    }
}

pub(crate) async fn start(launch: &NodeLaunch, folder: &Path) -> Node {
    let mut child = Command::new(env!("CARGO_BIN_EXE_openclaw-node-host"))
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(&serde_json::to_vec(launch).unwrap())
        .await
        .unwrap();
    drop(stdin);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    Node { child, lines }
}

/// A node host that runs.
pub(crate) struct Node {
    pub(crate) child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Node {
    pub(crate) fn pid(&self) -> i32 {
        self.child.id().unwrap().try_into().unwrap()
    }

    /// Waits for a state.
    pub(crate) async fn says(&mut self, event: &str) -> Value {
        soon(event, async {
            loop {
                let line = self.lines.next_line().await.unwrap();
                let line = line.unwrap_or_else(|| panic!("it ended before it said {event}"));
                let state: Value = serde_json::from_str(&line).unwrap();
                if state["event"] == event {
                    return state;
                }
            }
        })
        .await
    }
}
