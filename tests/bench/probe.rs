//! A quiet HTTP client beside the load: asks one child for one page again and again, so that its p99 can be compared
//! before and after another child is killed.

use std::cell::Cell;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use openclaw_shared::clock::Moment;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Often enough for a p99 within a second, rare enough not to be a load.
const EVERY: Duration = Duration::from_millis(5);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// One request of the probe: when it ended, how long it took, and how it came out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probed {
    pub(crate) at: Moment,
    pub(crate) took: Duration,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Any answer will do, a refusal for want of credentials too: it comes from the child that is looked at.
    Answered,
    /// Nobody listened.
    Refused,
    /// The connection ended, or stood still, without an answer.
    Cut,
}

pub(crate) struct Probe {
    task: JoinHandle<Vec<Probed>>,
    stop: Rc<Cell<bool>>,
}

impl Probe {
    /// Starts to ask for `path` on `port`. To be driven within a `LocalSet`.
    pub(crate) fn start(port: u16, path: &'static str) -> Self {
        let stop = Rc::new(Cell::new(false));
        let task = tokio::task::spawn_local(run(port, path, Rc::clone(&stop)));
        Self { task, stop }
    }

    pub(crate) async fn stop(self) -> Vec<Probed> {
        self.stop.set(true);
        self.task.await.unwrap_or_default()
    }
}

async fn run(port: u16, path: &'static str, stop: Rc<Cell<bool>>) -> Vec<Probed> {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    let mut seen = Vec::new();
    while !stop.get() {
        let start = Moment::now();
        let outcome = match timeout(ANSWER_WITHIN, ask(port, request.as_bytes())).await {
            Ok(Ok(bytes)) if bytes.starts_with(b"HTTP/1.1 ") => Outcome::Answered,
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => Outcome::Refused,
            Ok(_) | Err(_) => Outcome::Cut,
        };
        let at = Moment::now();
        seen.push(Probed {
            at,
            took: at.since(start),
            outcome,
        });
        sleep(EVERY).await;
    }
    seen
}

async fn ask(port: u16, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.set_nodelay(true)?;
    stream.write_all(request).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}
