//! The stand-in for a provider of models, in a process of its own.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use openclaw_shared::clock::Moment;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{ANSWERED_WITHIN, TOKENS, together};
use crate::stats::percentile;
use crate::subject::Programs;

/// How often it is asked when it is measured by itself.
const ASKED: usize = 40;

pub(super) struct Model {
    child: Child,
    port: u16,
}

impl Drop for Model {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Model {
    pub(super) fn start(programs: &Programs) -> Result<Self> {
        let mut child = Command::new(programs.ours.join("model-server"))
            .args(["--tokens", &TOKENS.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the stand-in for models")?;
        let out = child.stdout.take().context("it has an output")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let port = line.trim().parse().context("it says its port")?;
        Ok(Self { child, port })
    }

    /// How long it takes itself, asked by nobody in between.
    pub(super) async fn alone(&self) -> Result<Duration> {
        let body =
            json!({"model": "m1", "stream": true, "messages": [{"role": "user", "content": "hi"}]})
                .to_string();
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.port,
            body.len()
        );
        let mut took = Vec::new();
        for _ in 0..ASKED {
            let start = Moment::now();
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            // It keeps the connection for the next request.
            while !answer.ends_with(b"\r\n0\r\n\r\n") {
                let read = timeout(ANSWERED_WITHIN, stream.read_buf(&mut answer)).await;
                ensure!(
                    read.context("the stand-in is silent")?? > 0,
                    "the stand-in broke off"
                );
            }
            took.push(Moment::now().since(start));
        }
        percentile(took, 500).context("it was asked")
    }

    /// What a subject is told to ask it.
    pub(super) fn configuration(&self) -> Value {
        json!({
            "models": {"providers": {"stand-in": {
                "baseUrl": format!("http://127.0.0.1:{}/v1", self.port),
                "apiKey": "bench",
                "api": "openai-completions",
                "models": [{
                    "id": "m1", "name": "M1", "reasoning": false, "input": ["text"], "contextWindow": 200_000, "maxTokens": 8192,
                    "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0},
                }],
            }}},
            "agents": {"defaults": {
                "model": {"primary": "stand-in/m1"},
                "skipBootstrap": true,
                "maxConcurrent": together::SESSIONS,
                "heartbeat": {"every": "0m"},
            }},
        })
    }
}
