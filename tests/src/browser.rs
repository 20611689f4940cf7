//! A real Chromium, driven over its DevTools protocol.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::eventually::{eventually, soon};
use crate::process::{self, Signal};

/// Where Debian puts it.
const PROGRAM: &str = "/usr/bin/chromium";

/// Nothing but what a test needs, and no word to anybody but the pages of the test.
const FLAGS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-breakpad",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--remote-debugging-port=0",
];

/// A browser with one page, gone when this is dropped.
#[derive(Debug)]
pub struct Browser {
    process: Child,
    folder: TempDir,
    page: WebSocketStream<TcpStream>,
    session: String,
    next_id: u64,
}

impl Browser {
    /// Opens a page; `None` when there is no browser on this machine.
    ///
    /// # Panics
    /// When there is one and it does not start.
    pub async fn open(url: &str) -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            return None;
        }
        let folder = TempDir::with_prefix("oc-chromium-").expect("a fresh profile");
        let process = start(folder.path());
        let port_file = folder.path().join("DevToolsActivePort");
        let (port, path) = eventually("the browser can be driven", async || {
            let text = std::fs::read_to_string(&port_file).map_err(|error| error.to_string())?;
            let mut lines = text.lines();
            let port = lines.next().and_then(|line| line.parse::<u16>().ok());
            port.zip(lines.next().map(str::to_owned))
                .ok_or_else(|| format!("half a file: {text}"))
        })
        .await;
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
        let stream = stream.expect("the browser listens where it says");
        let address = format!("ws://127.0.0.1:{port}{path}");
        let (page, _) = soon("the browser answers", client_async(address, stream))
            .await
            .expect("the browser speaks WebSocket");
        let session = String::new();
        let mut browser = Self {
            process,
            folder,
            page,
            session,
            next_id: 0,
        };
        let created = browser
            .ask("Target.createTarget", json!({ "url": url }))
            .await;
        let attach = json!({ "targetId": created["targetId"], "flatten": true });
        let attached = browser.ask("Target.attachToTarget", attach).await;
        browser.session = attached["sessionId"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        Some(browser)
    }

    /// What an expression gives in the page.
    pub async fn evaluate(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true });
        self.ask("Runtime.evaluate", parameters).await["result"]["value"].clone()
    }

    /// Waits until an expression gives a value.
    pub async fn shows(&mut self, expression: &str, value: &Value) {
        eventually(
            &format!("the page shows {expression} = {value}"),
            async || {
                let seen = self.evaluate(expression).await;
                if seen == *value {
                    Ok(())
                } else {
                    Err(seen.to_string())
                }
            },
        )
        .await;
    }

    async fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.next_id += 1;
        let id = self.next_id;
        let mut question = json!({ "id": id, "method": method, "params": parameters });
        if !self.session.is_empty() {
            question["sessionId"] = json!(self.session);
        }
        let question = Message::Text(question.to_string().into());
        self.page.send(question).await.expect("the browser listens");
        soon(method, async {
            loop {
                let message = self.page.next().await.expect("the browser stays");
                let Message::Text(text) = message.expect("the browser speaks WebSocket") else {
                    continue;
                };
                let message: Value = serde_json::from_str(&text).expect("the browser sends JSON");
                if message["id"] == id {
                    return message["result"].clone();
                }
            }
        })
        .await
    }
}

fn start(folder: &Path) -> Child {
    Command::new("setsid")
        .args(["setpriv", "--pdeathsig", "KILL", PROGRAM])
        .args(FLAGS)
        .arg(format!("--user-data-dir={}", folder.display()))
        .arg("about:blank")
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", folder)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the browser can be started")
}

impl Drop for Browser {
    fn drop(&mut self) {
        let session = i32::try_from(self.process.id()).unwrap_or_default();
        // Several rounds, because a browser starts helpers while it is being ended.
        for _ in 0..100 {
            let left = process::of_session(session);
            if left.is_empty() {
                break;
            }
            for process in left {
                process::send(process.pid, Signal::SIGKILL);
            }
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
        // Killed, so it ends.
        let _ = self.process.wait();
        end_strays(self.folder.path());
    }
}

/// Ends helpers that have left the session; they carry the folder of the profile in their arguments.
fn end_strays(folder: &Path) {
    let mark = folder.to_string_lossy();
    for process in process::all() {
        if process::arguments(process.pid)
            .iter()
            .any(|argument| argument.contains(&*mark))
        {
            process::send(process.pid, Signal::SIGKILL);
        }
    }
}
