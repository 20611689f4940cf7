//! A stand-in for a provider of models: it says exactly what a test says it says, and remembers what it was asked.
//!
//! It speaks the protocols of OpenAI (chat completions and responses), Anthropic and Gemini, on a free port of the loopback
//! address. Each request takes the next script that was queued; without one, the name of the model that is asked for is the
//! script ([`Script::named`]), and otherwise the server's own is played.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::eventually::DEADLINE;

mod connection;
mod script;
mod speech;

use connection::Connection;
pub(crate) use connection::read_request;
pub use script::{Answer, End, Script};

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
