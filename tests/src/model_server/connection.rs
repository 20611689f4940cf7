//! One connection to the server: requests are read, and answered as their scripts say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::speech::{Dialect, Speech};
use super::{Answer, Asked, End, Script, Shared, lock};

/// Counts a connection for as long as it is open.
struct Open(Arc<Shared>);

impl Open {
    fn new(shared: Arc<Shared>) -> Self {
        shared.counts.send_modify(|counts| {
            counts.open += 1;
            counts.accepted += 1;
        });
        Self(shared)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.counts.send_modify(|counts| counts.open -= 1);
    }
}

pub(super) struct Connection {
    socket: TcpStream,
    shared: Arc<Shared>,
    /// What was read and not used yet.
    read: Vec<u8>,
}

/// Whether the connection goes on.
type Goes = std::io::Result<bool>;

impl Connection {
    pub(super) async fn serve(socket: TcpStream, shared: Arc<Shared>) {
        let _open = Open::new(shared.clone());
        // Small chunks are to leave at once, as they do from a real server.
        let _ = socket.set_nodelay(true);
        let mut connection = Self {
            socket,
            shared,
            read: Vec::new(),
        };
        while matches!(connection.exchange().await, Ok(true)) {}
    }

    async fn exchange(&mut self) -> Goes {
        let Some(asked) = self.request().await? else {
            return Ok(false);
        };
        if self.shared.keeps_requests {
            lock(&self.shared.asked).push(asked.clone());
        }
        self.shared.counts.send_modify(|counts| counts.asked += 1);
        let path = asked.path.split('?').next().unwrap_or_default();
        if asked.method == "GET" && path.ends_with("/models") {
            let models = ["tokens-200", "stall"].map(|id| json!({"id": id, "object": "model"}));
            let body = json!({"object": "list", "data": models});
            return self.answer(200, &[], &body.to_string()).await;
        }
        let Some(dialect) = Dialect::of(path) else {
            return self.answer(404, &[], "{\"error\":\"no such path\"}").await;
        };
        let model = dialect.model(path, &asked.body);
        let queued = lock(&self.shared.queue).pop_front();
        let script = queued
            .or_else(|| Script::named(&model))
            .unwrap_or_else(|| self.shared.default.clone());
        match script {
            Script::Close => Ok(false),
            Script::Silence => self.wait_for_leave().await,
            Script::Status {
                status,
                headers,
                body,
            } => self.answer(status, &headers, &body).await,
            Script::Pour {
                status,
                opening,
                piece,
                interval,
            } => {
                self.begin(status).await?;
                self.chunk(&opening).await?;
                while self.pause(interval).await? {
                    self.chunk(&piece).await?;
                }
                Ok(false)
            }
            Script::Answer(mut answer) => {
                if dialect.brings_results(&asked.body) {
                    answer.calls.clear();
                } else if !answer.calls.is_empty() {
                    answer.words.clear();
                }
                let speech = Speech::new(dialect, &model, &asked.body, &answer);
                self.speak(&answer, speech).await
            }
        }
    }

    async fn speak(&mut self, answer: &Answer, speech: Speech) -> Goes {
        self.begin(200).await?;
        self.chunk(&speech.opening).await?;
        for (number, frame) in speech.frames.iter().enumerate() {
            if answer.held_after == Some(number) && !self.held().await? {
                return Ok(false);
            }
            if !answer.interval.is_zero() && !self.pause(answer.interval).await? {
                return Ok(false);
            }
            self.chunk(frame).await?;
        }
        match answer.end {
            End::Whole | End::Length | End::NoLastFrame | End::Malformed | End::Failure => {
                // In one piece, so that a client that stops at the protocol's end has read the end of the body too.
                let text = &speech.ending;
                let framed = format!("{:x}\r\n{text}\r\n0\r\n\r\n", text.len());
                self.socket.write_all(framed.as_bytes()).await?;
                return Ok(true);
            }
            End::NoEnd => {}
            End::Stall => return self.wait_for_leave().await,
            End::BreakOff => {
                // A chunk that promises more than comes.
                self.socket.write_all(b"400\r\ndata: {\"id\"").await?;
                self.socket.flush().await?;
                return Ok(false);
            }
        }
        self.socket.write_all(b"0\r\n\r\n").await?;
        Ok(true)
    }

    /// Writes the head of an answer that comes in chunks.
    async fn begin(&mut self, status: u16) -> std::io::Result<()> {
        let head = format!(
            "HTTP/1.1 {status} Status\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        self.socket.write_all(head.as_bytes()).await
    }

    /// Writes a chunk of the body, unless there is nothing in it.
    async fn chunk(&mut self, text: &str) -> std::io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let framed = format!("{:x}\r\n{text}\r\n", text.len());
        self.socket.write_all(framed.as_bytes()).await
    }

    async fn answer(&mut self, status: u16, headers: &[(String, String)], body: &str) -> Goes {
        let mut head = format!(
            "HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let whole = format!("{head}\r\n{body}");
        self.socket.write_all(whole.as_bytes()).await?;
        Ok(true)
    }

    /// Waits so long; false when the client has left.
    async fn pause(&mut self, interval: Duration) -> Goes {
        let sleep = tokio::time::sleep(interval);
        tokio::pin!(sleep);
        loop {
            let mut more = [0; 4096];
            tokio::select! {
                () = &mut sleep => return Ok(true),
                read = self.socket.read(&mut more) => match read? {
                    0 => return Ok(false),
                    count => self.read.extend_from_slice(&more[..count]),
                },
            }
        }
    }

    /// Waits until it may go on; false when the client has left.
    async fn held(&mut self) -> Goes {
        let mut goes_on = self.shared.goes_on.subscribe();
        loop {
            let mut more = [0; 4096];
            tokio::select! {
                _ = goes_on.wait_for(|goes_on| *goes_on) => return Ok(true),
                read = self.socket.read(&mut more) => match read? {
                    0 => return Ok(false),
                    count => self.read.extend_from_slice(&more[..count]),
                },
            }
        }
    }

    async fn wait_for_leave(&mut self) -> Goes {
        while self.pause(Duration::from_secs(3_600)).await? {}
        Ok(false)
    }

    async fn request(&mut self) -> std::io::Result<Option<Asked>> {
        read_request(&mut self.socket, &mut self.read).await
    }
}

/// Reads a request; what was read of the next one stays in `read`.
pub(crate) async fn read_request(
    socket: &mut TcpStream,
    read: &mut Vec<u8>,
) -> std::io::Result<Option<Asked>> {
    let head_end = loop {
        if let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end;
        }
        if socket.read_buf(read).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&read[..head_end]).into_owned();
    read.drain(..head_end + 4);
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let mut word = || first.next().unwrap_or_default().to_owned();
    let (method, path) = (word(), word());
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    while read.len() < length {
        if socket.read_buf(read).await? == 0 {
            return Ok(None);
        }
    }
    let body: Vec<u8> = read.drain(..length).collect();
    Ok(Some(Asked {
        method,
        path,
        headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    }))
}
