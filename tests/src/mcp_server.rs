//! A stand-in for a server of the Model Context Protocol that is reached by HTTP, written by hand so that a mistake of the client's
//! crate is not made twice.
//!
//! It has the tools `echo`, `stream` (answers in a stream), `hang`, `flood` and `pour` (answers without end), and `moved` (points
//! elsewhere). It forgets its sessions when it is told to ([`McpServer::forget`]).

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::model_server::{Asked, read_request};

/// The server. It ends when this is dropped.
#[derive(Debug)]
pub struct McpServer {
    port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    asked: Mutex<Vec<Asked>>,
    /// The session that is known; each is a number.
    session: AtomicUsize,
}

impl Drop for McpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl McpServer {
    /// Serves on a free port.
    ///
    /// # Panics
    /// When there is none.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared::default());
        let task = tokio::spawn(serve(listener, shared.clone()));
        Self { port, shared, task }
    }

    /// Where it is reached.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/mcp", self.port)
    }

    /// What it was asked, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        let asked = self.shared.asked.lock();
        asked.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It knows its sessions no longer, as after a restart.
    pub fn forget(&self) {
        self.shared.session.fetch_add(1, Ordering::Relaxed);
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else { return };
                let shared = shared.clone();
                connections.spawn(async move {
                    let mut connection = Connection { socket, shared, read: Vec::new() };
                    // Whoever leaves in the middle has seen enough.
                    while matches!(connection.exchange().await, Ok(true)) {}
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

struct Connection {
    socket: TcpStream,
    shared: Arc<Shared>,
    read: Vec<u8>,
}

impl Connection {
    async fn exchange(&mut self) -> std::io::Result<bool> {
        let Some(asked) = read_request(&mut self.socket, &mut self.read).await? else {
            return Ok(false);
        };
        let known = self.shared.asked.lock();
        known
            .unwrap_or_else(PoisonError::into_inner)
            .push(asked.clone());
        let session = self.shared.session.load(Ordering::Relaxed).to_string();
        let is_opening = asked.body["method"] == "initialize";
        match asked.method.as_str() {
            "POST" if !is_opening && asked.header("mcp-session-id") != session => {
                self.answer(404, "", "no such session").await
            }
            "POST" if asked.body["id"].is_null() => self.answer(202, "", "").await,
            "POST" => self.request(&asked.body, &session).await,
            "DELETE" => self.answer(200, "", "").await,
            _ => self.answer(405, "", "").await,
        }
    }

    async fn request(&mut self, body: &Value, session: &str) -> std::io::Result<bool> {
        let id = &body["id"];
        let whole =
            |result: Value| json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string();
        let said = |text: &str| whole(json!({"content": [{"type": "text", "text": text}]}));
        let text = body["params"]["arguments"].to_string();
        let tool = body["params"]["name"].as_str().unwrap_or_default();
        let header = format!("mcp-session-id: {session}\r\n");
        match (body["method"].as_str().unwrap_or_default(), tool) {
            ("initialize", _) => {
                let result = json!({
                    "protocolVersion": body["params"]["protocolVersion"],
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "stand-in", "version": "1"},
                });
                self.answer(200, &header, &whole(result)).await
            }
            ("tools/list", _) => {
                let tool = |name: &str| json!({"name": name, "description": name, "inputSchema": {"type": "object"}});
                let tools = ["echo", "stream", "hang", "flood", "pour", "moved"].map(tool);
                self.answer(200, "", &whole(json!({ "tools": tools })))
                    .await
            }
            ("tools/call", "echo") => self.answer(200, "", &said(&text)).await,
            ("tools/call", "stream") => {
                let event = format!("event: message\ndata: {}\n\n", said(&text));
                self.begin("text/event-stream").await?;
                self.chunk(&event).await?;
                self.socket.write_all(b"0\r\n\r\n").await?;
                Ok(true)
            }
            ("tools/call", "flood") => self.pour("application/json", "{\"x\": \"").await,
            ("tools/call", "pour") => self.pour("text/event-stream", "data: ").await,
            ("tools/call", "moved") => {
                let location = "location: http://127.0.0.1:1/elsewhere\r\n";
                self.answer(307, location, "").await
            }
            ("tools/call", "hang") => {
                // Whoever asked leaves, or asks again on this connection, which is not answered either.
                while read_request(&mut self.socket, &mut self.read)
                    .await?
                    .is_some()
                {}
                Ok(false)
            }
            _ => self.answer(200, "", &whole(json!({}))).await,
        }
    }

    /// The beginning of an answer, and then more of it for as long as anybody reads.
    async fn pour(&mut self, kind: &str, opening: &str) -> std::io::Result<bool> {
        self.begin(kind).await?;
        self.chunk(opening).await?;
        let piece = "x".repeat(256 * 1024);
        loop {
            self.chunk(&piece).await?;
        }
    }

    async fn begin(&mut self, kind: &str) -> std::io::Result<()> {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        self.socket.write_all(head.as_bytes()).await
    }

    async fn chunk(&mut self, text: &str) -> std::io::Result<()> {
        let framed = format!("{:x}\r\n{text}\r\n", text.len());
        self.socket.write_all(framed.as_bytes()).await
    }

    async fn answer(&mut self, status: u16, headers: &str, body: &str) -> std::io::Result<bool> {
        let whole = format!(
            "HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.socket.write_all(whole.as_bytes()).await?;
        Ok(true)
    }
}
