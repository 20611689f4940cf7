//! A bare tokio-tungstenite echo: what this machine can do when a server does nothing.
//!
//! It takes the port as its only argument, greets like a gateway (challenge, then a hello to the first frame) so that the
//! same client can measure it, and from then on answers every text frame with the same text. One thread, one task for
//! each connection, library defaults throughout.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

const CHALLENGE: &str = r#"{"type":"event","event":"connect.challenge","payload":{"nonce":"0"}}"#;
const HELLO: &str = r#"{"type":"res","id":"hello","ok":true,"payload":{"type":"hello-ok"}}"#;

fn main() -> Result<()> {
    let port = std::env::args().nth(1).context("usage: bench-echo PORT")?;
    let port: u16 = port.parse().context("the port is not a number")?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(serve(port))
}

async fn serve(port: u16) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .with_context(|| format!("cannot bind port {port}"))?;
    loop {
        let (stream, _) = listener.accept().await.context("cannot accept")?;
        // A connection that fails concerns its client alone, which notices by itself.
        tokio::spawn(async move { echo(stream).await.ok() });
    }
}

async fn echo(stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut socket = tokio_tungstenite::accept_async(stream).await?;
    socket.send(Message::text(CHALLENGE)).await?;
    if socket.next().await.transpose()?.is_some() {
        socket.send(Message::text(HELLO)).await?;
    }
    while let Some(message) = socket.next().await.transpose()? {
        if message.is_text() {
            socket.send(message).await?;
        }
    }
    Ok(())
}
