//! A stand-in for a provider of models: it says exactly what a test says it says, and remembers what it was asked.
//!
//! It speaks the protocols of OpenAI (chat completions and responses), Anthropic and Gemini, on a free port of the loopback
//! address. Each request takes the next script that was queued; without one, the name of the model that is asked for is the
//! script ([`Script::named`]), and otherwise the server's own is played.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::eventually::DEADLINE;

mod speech;

use speech::{Dialect, Speech};

/// What a request gets.
#[derive(Debug, Clone)]
pub enum Script {
    /// An answer, or a part of one.
    Answer(Answer),
    /// A status and a body, at once.
    Status {
        /// The status.
        status: u16,
        /// Headers.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// The connection is closed without an answer.
    Close,
    /// Nothing at all; the connection stays open.
    Silence,
    /// The beginning of an answer, and then the same piece of its body again and again, until the client leaves.
    Pour {
        /// The status.
        status: u16,
        /// What comes first.
        opening: String,
        /// The piece.
        piece: String,
        /// How long it takes from one to the next.
        interval: Duration,
    },
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What is thought first.
    pub thought: String,
    /// The text, one word a chunk.
    pub words: Vec<String>,
    /// The tools that are called, with their arguments. A request that brings their results gets the text alone.
    pub calls: Vec<(String, Value)>,
    /// How long it takes from one chunk to the next.
    pub interval: Duration,
    /// After how many chunks it waits until [`ModelServer::go_on`].
    pub held_after: Option<usize>,
    /// How it ends.
    pub end: End,
}

/// How an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// As the protocol says.
    Whole,
    /// As the protocol says, because nothing more may be written.
    Length,
    /// As the protocol says, but without its last frame.
    NoLastFrame,
    /// Nothing more comes; the connection stays open.
    Stall,
    /// The connection is closed in the middle.
    BreakOff,
    /// The body ends as if it were whole; the protocol's end is missing.
    NoEnd,
    /// A chunk that is no JSON, and then the rest.
    Malformed,
    /// An error of the provider in the place of the rest.
    Failure,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            thought: String::new(),
            words: Vec::new(),
            calls: Vec::new(),
            interval: Duration::ZERO,
            held_after: None,
            end: End::Whole,
        }
    }
}

impl Answer {
    /// A text in words.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self {
            words: text.split_inclusive(' ').map(str::to_owned).collect(),
            ..Self::default()
        }
    }

    /// So many words.
    #[must_use]
    pub fn tokens(count: usize) -> Self {
        Self {
            words: (0..count).map(|index| format!("w{index} ")).collect(),
            ..Self::default()
        }
    }

    /// It ends like this.
    #[must_use]
    pub const fn ending(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    /// After so many chunks it waits until [`ModelServer::go_on`].
    #[must_use]
    pub const fn held_after(mut self, chunks: usize) -> Self {
        self.held_after = Some(chunks);
        self
    }

    /// So much time passes from one chunk to the next.
    #[must_use]
    pub const fn every(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }
}

impl Script {
    /// A whole answer.
    #[must_use]
    pub fn say(text: &str) -> Self {
        Self::Answer(Answer::text(text))
    }

    /// So many words, in this rhythm.
    #[must_use]
    pub fn tokens(count: usize, interval: Duration) -> Self {
        Self::Answer(Answer::tokens(count).every(interval))
    }

    /// Calls a tool, and says the text when its result comes.
    #[must_use]
    pub fn call(name: &str, arguments: Value, then: &str) -> Self {
        Self::Answer(Answer {
            calls: vec![(name.to_owned(), arguments)],
            ..Answer::text(then)
        })
    }

    /// An error with OpenAI's body, which the others understand too.
    #[must_use]
    pub fn status(status: u16, message: &str) -> Self {
        Self::Status {
            status,
            headers: Vec::new(),
            body: json!({"error": {"message": message, "type": "stand_in"}}).to_string(),
        }
    }

    /// This, and then the same piece again every so many milliseconds.
    #[must_use]
    pub fn pour(opening: &str, piece: &str, millis: u64) -> Self {
        Self::Pour {
            status: 200,
            opening: opening.to_owned(),
            piece: piece.to_owned(),
            interval: Duration::from_millis(millis),
        }
    }

    /// Too many requests; come again after so many seconds.
    #[must_use]
    pub fn limited(retry_after: &str) -> Self {
        Self::Status {
            status: 429,
            headers: vec![("retry-after".to_owned(), retry_after.to_owned())],
            body: json!({"error": {"message": "slow down", "type": "rate_limit_error"}})
                .to_string(),
        }
    }

    /// The script that a model is named after: `tokens-200`, `tokens-200-every-5`, `stall`, `break-off`, `no-end`,
    /// `malformed`, `failure`, `close`, `silence`, `limited`, `long-line`, `endless-line`, `trickle`, `context-full`, `status-500`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let some = |end| Some(Self::Answer(Answer::tokens(3).ending(end)));
        match name {
            "stall" => some(End::Stall),
            "break-off" => some(End::BreakOff),
            "no-end" => some(End::NoEnd),
            "malformed" => some(End::Malformed),
            "failure" => some(End::Failure),
            "close" => Some(Self::Close),
            "silence" => Some(Self::Silence),
            "limited" => Some(Self::limited("1")),
            "long-line" => Some(Self::say(&"x".repeat(1 << 20))),
            "endless-line" => Some(Self::pour("data: {\"x\": \"", &"x".repeat(512), 1)),
            "trickle" => Some(Self::pour("data: ", " ", 20)),
            "context-full" => Some(Self::status(
                400,
                "This model's maximum context length is 10 tokens (context_length_exceeded)",
            )),
            _ => {
                if let Some(status) = name.strip_prefix("status-") {
                    return Some(Self::status(status.parse().ok()?, "as asked for"));
                }
                let (count, interval) = match name.strip_prefix("tokens-")?.split_once("-every-") {
                    Some((count, millis)) => (count, millis.parse().ok()?),
                    None => (name.strip_prefix("tokens-")?, 0),
                };
                let interval = Duration::from_millis(interval);
                Some(Self::tokens(count.parse().ok()?, interval))
            }
        }
    }
}

/// A request, as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The path, with what is behind the question mark.
    pub path: String,
    /// The headers, with names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body; null when it is no JSON.
    pub body: Value,
}

impl Asked {
    /// A header, or nothing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

#[derive(Debug)]
struct Shared {
    default: Script,
    queue: Mutex<VecDeque<Script>>,
    asked: Mutex<Vec<Asked>>,
    /// How many connections are open, and how many requests have come.
    counts: watch::Sender<Counts>,
    /// Whether what is held goes on.
    goes_on: watch::Sender<bool>,
    keeps_requests: bool,
}

/// What has happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that are open.
    pub open: usize,
    /// Connections that ever were.
    pub accepted: usize,
    /// Requests.
    pub asked: usize,
}

/// The server. It ends when this is dropped.
#[derive(Debug)]
pub struct ModelServer {
    port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ModelServer {
    /// Serves this script on a free port.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start(default: Script) -> Self {
        Self::listen(0, default, true).await.expect("a free port")
    }

    /// Serves this script on a port. Requests are kept for whoever wants to look at them, or counted only.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn listen(port: u16, default: Script, keeps_requests: bool) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            default,
            queue: Mutex::default(),
            asked: Mutex::default(),
            counts: watch::Sender::default(),
            goes_on: watch::Sender::default(),
            keeps_requests,
        });
        let task = tokio::spawn(serve(listener, shared.clone()));
        Ok(Self { port, shared, task })
    }

    /// Where it listens.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What OpenAI's paths are put behind.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// The next requests get these, one each.
    pub fn play(&self, scripts: impl IntoIterator<Item = Script>) {
        lock(&self.shared.queue).extend(scripts);
    }

    /// Answers that are held go on, and later ones are not held.
    pub fn go_on(&self) {
        self.shared.goes_on.send_replace(true);
    }

    /// What it was asked, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.shared.asked).clone()
    }

    /// What has happened so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        *self.shared.counts.borrow()
    }

    /// Waits until what has happened is as wished.
    ///
    /// # Panics
    /// When it does not come to that.
    pub async fn until(&self, what: &str, is_so: impl FnMut(&Counts) -> bool) {
        let mut counts = self.shared.counts.subscribe();
        let waited = tokio::time::timeout(DEADLINE, counts.wait_for(is_so)).await;
        assert!(
            matches!(waited, Ok(Ok(_))),
            "waited for {what}, have {:?}",
            self.counts()
        );
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else { return };
                connections.spawn(Connection::serve(socket, shared.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

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

struct Connection {
    socket: TcpStream,
    shared: Arc<Shared>,
    /// What was read and not used yet.
    read: Vec<u8>,
}

/// Whether the connection goes on.
type Goes = std::io::Result<bool>;

impl Connection {
    async fn serve(socket: TcpStream, shared: Arc<Shared>) {
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
