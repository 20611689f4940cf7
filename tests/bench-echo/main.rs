//! A bare tokio-tungstenite echo: what this machine can do when a server does nothing.
//!
//! It takes the port as its only argument, greets like a gateway (challenge, then a hello to the first frame) so that the
//! same client can measure it, and from then on answers every text frame with the same text. One thread, one task for
//! each connection, library defaults throughout.
//!
//! A request that a gateway would answer with an event to everybody makes it write the same bytes to every socket, one
//! after the other, past the library: nothing can send to many clients for less.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

const CHALLENGE: &str = r#"{"type":"event","event":"connect.challenge","payload":{"nonce":"0"}}"#;
const HELLO: &str = r#"{"type":"res","id":"hello","ok":true,"payload":{"type":"hello-ok"}}"#;

const BROADCAST: &str = r#""method":"talk.mode""#;
const EVENT: &str = r#"{"type":"event","event":"talk.mode","payload":{"enabled":true,"phase":"listening","ts":1795330738405},"seq":1}"#;

/// Second descriptors of all sockets, to write past their tasks.
type Sockets = Arc<Mutex<BTreeMap<u64, std::net::TcpStream>>>;

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
    let sockets = Sockets::default();
    for number in 0.. {
        let (stream, _) = listener.accept().await.context("cannot accept")?;
        let sockets = sockets.clone();
        tokio::spawn(async move {
            // A connection that fails concerns its client alone, which notices by itself.
            echo(stream, number, &sockets).await.ok();
            lock(&sockets).remove(&number);
        });
    }
    Ok(())
}

fn lock(sockets: &Sockets) -> std::sync::MutexGuard<'_, BTreeMap<u64, std::net::TcpStream>> {
    sockets.lock().unwrap_or_else(PoisonError::into_inner)
}

fn broadcast(sockets: &Sockets) {
    let mut frame = vec![0x81, u8::try_from(EVENT.len()).expect("the event is short")];
    frame.extend(EVENT.as_bytes());
    for mut socket in lock(sockets).values() {
        // Whoever does not read loses the event.
        socket.write_all(&frame).ok();
    }
}

async fn echo(stream: TcpStream, number: u64, sockets: &Sockets) -> Result<()> {
    stream.set_nodelay(true)?;
    let second = std::net::TcpStream::from(stream.as_fd().try_clone_to_owned()?);
    let mut socket = tokio_tungstenite::accept_async(stream).await?;
    socket.send(Message::text(CHALLENGE)).await?;
    if socket.next().await.transpose()?.is_some() {
        socket.send(Message::text(HELLO)).await?;
    }
    lock(sockets).insert(number, second);
    while let Some(message) = socket.next().await.transpose()? {
        if message.is_text() {
            if message.to_text()?.contains(BROADCAST) {
                broadcast(sockets);
            }
            socket.send(message).await?;
        }
    }
    Ok(())
}
