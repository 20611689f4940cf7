//! The peer's published web page, served from an origin of its own, in a real Chromium.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use openclaw_shared::clock::Moment;
use openclaw_tests::browser::Browser;
use openclaw_tests::home::TOKEN;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::peer::Peer;
use crate::report::Outcome;
use crate::stage::Stage;

const CLIENT: &str = "web page";
const PATIENCE: Duration = Duration::from_secs(12);

/// The views that must work without runs and channels, and a text that each shows when it has what it asked for.
const VIEWS: &[(&str, &str)] = &[
    ("overview", "Snapshot"),
    ("instances", "Connected Instances"),
    ("nodes", "Nodes"),
    ("config", "Settings"),
    ("logs", "Gateway file logs"),
    ("debug", "Snapshots"),
    ("sessions", "Sessions"),
    ("cron", "Scheduler"),
    ("channels", "Channel health"),
    ("skills", "Skills"),
];

/// All text of the page, shadow trees included.
const TEXT: &str = r"(() => {
  const read = (node) => [...node.childNodes].map((child) =>
    child.nodeType === 3 ? child.data : child.shadowRoot ? read(child.shadowRoot) : read(child)).join(' ');
  return read(document.body).replace(/\s+/g, ' ');
})()";

/// What the page shows as an error. That its form leaves settings without a fixed type to the raw text is a hint in the same
/// colours.
const ERRORS: &str = r"[...document.querySelectorAll('.callout.danger, .pill.danger')].map((it) => it.textContent.trim())
  .filter((it) => !it.startsWith('Form view can')).join(' | ')";

pub(crate) async fn run(peer: &Peer, record: Option<&Path>) -> Result<Vec<Outcome>> {
    let site = Site::serve(peer.web_page()).await?;
    let origin = format!("http://127.0.0.1:{}", site.port);
    let stage =
        Stage::open(&json!({ "gateway": { "controlUi": { "allowedOrigins": [origin] } } })).await?;
    let mut outcomes = Vec::new();
    // The page keeps the gateway's address where a user who typed it once has it.
    let settings =
        json!({ "gatewayUrl": format!("ws://127.0.0.1:{}", stage.recorder.port), "token": TOKEN });
    let Some(mut browser) = Browser::open(&format!("{origin}/favicon.svg")).await else {
        outcomes.push(Outcome::new(
            CLIENT,
            "a Chromium to show it",
            Err("there is none on this machine".to_owned()),
        ));
        return Ok(outcomes);
    };
    let keep = format!(
        "localStorage.setItem('openclaw.control.settings.v1', {})",
        json!(settings.to_string())
    );
    browser
        .shows("location.pathname", &json!("/favicon.svg"))
        .await;
    browser.evaluate(&keep).await;
    for (view, expected) in VIEWS {
        browser
            .evaluate(&format!("location.href = '{origin}/{view}'"))
            .await;
        outcomes.push(Outcome::new(
            CLIENT,
            format!("shows {view} without an error"),
            shown(&mut browser, view, expected).await,
        ));
    }
    outcomes.extend(chat(&mut browser, &origin).await);
    let refused = stage.recorder.refused();
    outcomes.push(Outcome::new(
        CLIENT,
        "none of its requests was refused",
        match refused.is_empty() {
            true => Ok(()),
            false => Err(refused.join(", ")),
        },
    ));
    stage.keep(record, "page")?;
    Ok(outcomes)
}

/// Writes into the page's form for messages, and sends it.
fn send(text: &str) -> String {
    format!(
        r"(() => {{
  const find = (root, what) => {{
    const found = root.querySelector(what);
    if (found) return found;
    for (const it of root.querySelectorAll('*')) {{
      const within = it.shadowRoot && find(it.shadowRoot, what);
      if (within) return within;
    }}
    return null;
  }};
  const area = find(document, 'textarea');
  if (!area || area.disabled) return false;
  area.value = {};
  area.dispatchEvent(new Event('input', {{ bubbles: true }}));
  area.dispatchEvent(new KeyboardEvent('keydown', {{ key: 'Enter', bubbles: true, cancelable: true }}));
  return true;
}})()",
        json!(text)
    )
}

/// A conversation: an answer comes, another one is stopped, and the session is listed.
async fn chat(browser: &mut Browser, origin: &str) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    browser
        .evaluate(&format!("location.href = '{origin}/chat?session=main'"))
        .await;
    let answered =
        said_and_seen(browser, "pineapple upside down", "pineapple upside down", 2).await;
    outcomes.push(Outcome::new(CLIENT, "chats: an answer comes", answered));
    let slow =
        "/slow 400\nalpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima";
    let begun = said_and_seen(browser, slow, "bravo", 2).await;
    outcomes.push(Outcome::new(CLIENT, "chats: an answer grows", begun));
    let stopped = match said_and_seen(browser, "/stop", "", 0).await {
        Ok(()) => quiet(browser).await,
        Err(error) => Err(error),
    };
    outcomes.push(Outcome::new(CLIENT, "chats: an answer is stopped", stopped));
    browser
        .evaluate(&format!("location.href = '{origin}/sessions'"))
        .await;
    outcomes.push(Outcome::new(
        CLIENT,
        "lists the session that was talked in",
        shown(browser, "sessions", "agent:main:main").await,
    ));
    outcomes
}

/// Sends a message and waits until the page shows a text so many times.
async fn said_and_seen(
    browser: &mut Browser,
    message: &str,
    expected: &str,
    times: usize,
) -> Result<(), String> {
    let start = Moment::now();
    let mut is_sent = false;
    loop {
        let text = browser.evaluate(TEXT).await;
        let text = text.as_str().unwrap_or_default().to_owned();
        if !is_sent && text.contains("Health OK") {
            is_sent = browser.evaluate(&send(message)).await == Value::Bool(true);
        } else if is_sent && text.matches(expected).count() >= times {
            return Ok(());
        }
        if Moment::now().since(start) > PATIENCE {
            return Err(format!("sent {is_sent}; text {text}"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until nothing grows any more, well before all of it would have been said.
async fn quiet(browser: &mut Browser) -> Result<(), String> {
    let mut last = String::new();
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let text = browser.evaluate(TEXT).await.to_string();
        if text == last {
            return match text.matches("lima").count() {
                0 | 1 => Ok(()),
                _ => Err("the whole answer came".to_owned()),
            };
        }
        last = text;
    }
    Err("the answer goes on".to_owned())
}

/// Waits until a view shows what it is there for, and then that it shows no error.
async fn shown(browser: &mut Browser, view: &str, expected: &str) -> Result<(), String> {
    let start = Moment::now();
    loop {
        let path = browser.evaluate("location.pathname").await;
        let text = browser.evaluate(TEXT).await;
        let errors = browser.evaluate(ERRORS).await;
        let text = text.as_str().unwrap_or_default();
        let is_there = path == Value::String(format!("/{view}"));
        let is_connected = text.contains("Health OK");
        if is_there && is_connected && text.contains(expected) && errors == "" {
            return Ok(());
        }
        if Moment::now().since(start) > PATIENCE {
            return Err(format!("at {path} errors {errors} text {text}"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A server of the published files, as a web server would serve them.
struct Site {
    port: u16,
}

impl Site {
    async fn serve(folder: PathBuf) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("the page needs a port")?;
        let port = listener.local_addr()?.port();
        let folder = Arc::new(folder);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let folder = folder.clone();
                // A browser that leaves early misses nothing.
                tokio::spawn(async move { answer(stream, &folder).await.ok() });
            }
        });
        Ok(Self { port })
    }
}

/// One request, one answer; anything that is no file is the page, which finds its view by the path.
async fn answer(mut stream: TcpStream, folder: &Path) -> Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 16 * 1024 {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head);
    let target = head.split(' ').nth(1).unwrap_or("/");
    let path = target
        .split('?')
        .next()
        .unwrap_or("/")
        .trim_start_matches('/');
    let is_plain = !path.is_empty() && !path.contains("..");
    let file = folder.join(path);
    let file = if is_plain && file.is_file() {
        file
    } else {
        folder.join("index.html")
    };
    let kind = match file.extension().and_then(|extension| extension.to_str()) {
        Some("js") => "text/javascript",
        Some("css") => "text/css",
        Some("svg") => "image/svg+xml",
        Some("html") => "text/html; charset=utf-8",
        Some(_) | None => "application/octet-stream",
    };
    let mut body = std::fs::read(&file)?;
    if kind.starts_with("text/html") {
        // Its own server names the folder it lies in; the assets of a view are looked for there.
        let text = String::from_utf8_lossy(&body).replace("\"./", "\"/");
        let names = "<script>window.__OPENCLAW_CONTROL_UI_BASE_PATH__=\"\";</script></head>";
        body = text.replace("</head>", names).into_bytes();
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await?;
    stream.shutdown().await?;
    Ok(())
}
