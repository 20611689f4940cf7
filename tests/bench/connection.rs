//! One connection to a subject: TCP, WebSocket upgrade and `connect`, then frames in and out through one buffer.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::wire::{self, Incoming};

/// How long a subject may take from TCP connect to `hello-ok`. Longer than a peer under load needs to restart.
const HELLO_WITHIN: Duration = Duration::from_secs(20);
const READ_AT_LEAST: usize = 16 * 1024;

/// Where connections go, and with what.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) port: u16,
    pub(crate) token: String,
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotOpened {
    /// Nobody listens on the port.
    Refused,
    /// The connection ended before `hello-ok`.
    Cut,
    /// Something answered, but not with a hello.
    NoHello,
}

pub(crate) struct Connection {
    stream: TcpStream,
    inbox: Vec<u8>,
    /// How much of the inbox has been handed out.
    read: usize,
}

impl Connection {
    /// Connects and waits for the `hello-ok`.
    pub(crate) async fn open(target: &Target) -> Result<Self, NotOpened> {
        timeout(HELLO_WITHIN, Self::greet(target))
            .await
            .unwrap_or(Err(NotOpened::NoHello))
    }

    async fn greet(target: &Target) -> Result<Self, NotOpened> {
        let mut connection = Self::upgraded(target).await?;
        // The challenge comes first, and `connect` only after it, as the clients of a gateway do it.
        connection.wait_for(&Incoming::Other).await?;
        connection.send(&wire::connect(&target.token)).await?;
        connection.wait_for(&Incoming::Hello).await?;
        Ok(connection)
    }

    /// Connects and upgrades, and says nothing more.
    pub(crate) async fn upgraded(target: &Target) -> Result<Self, NotOpened> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, target.port))
            .await
            .map_err(|error| {
                let refused = error.kind() == io::ErrorKind::ConnectionRefused;
                if refused {
                    NotOpened::Refused
                } else {
                    NotOpened::Cut
                }
            })?;
        let mut connection = Self {
            stream,
            inbox: Vec::with_capacity(READ_AT_LEAST),
            read: 0,
        };
        connection
            .stream
            .set_nodelay(true)
            .map_err(|_| NotOpened::Cut)?;
        connection.send(&wire::upgrade(target.port)).await?;
        loop {
            connection.fill_or_cut().await?;
            if let Some((length, accepted)) = wire::upgraded(&connection.inbox) {
                connection.read = length;
                return if accepted {
                    Ok(connection)
                } else {
                    Err(NotOpened::NoHello)
                };
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), NotOpened> {
        self.write(bytes).await.map_err(|_| NotOpened::Cut)
    }

    async fn fill_or_cut(&mut self) -> Result<(), NotOpened> {
        match self.fill().await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(NotOpened::Cut),
        }
    }

    async fn wait_for(&mut self, awaited: &Incoming) -> Result<(), NotOpened> {
        loop {
            match self.next() {
                Some(incoming) if incoming == *awaited => return Ok(()),
                Some(Incoming::Other) => {}
                Some(Incoming::Closed(1012)) => return Err(NotOpened::Cut),
                Some(Incoming::Closed(_) | Incoming::Hello | Incoming::Answer { .. }) => {
                    return Err(NotOpened::NoHello);
                }
                None => self.fill_or_cut().await?,
            }
        }
    }

    /// Writes frames.
    pub(crate) async fn write(&mut self, frames: &[u8]) -> io::Result<()> {
        self.stream.write_all(frames).await
    }

    /// Reads once; false when the server has ended the connection.
    pub(crate) async fn fill(&mut self) -> io::Result<bool> {
        self.inbox.drain(..self.read);
        self.read = 0;
        // A large frame is read in large pieces: the kernel acknowledges what was read, and is in no hurry with small ones.
        self.inbox.reserve(READ_AT_LEAST.max(self.inbox.len()));
        Ok(self.stream.read_buf(&mut self.inbox).await? > 0)
    }

    /// The next complete frame that has been read.
    pub(crate) fn next(&mut self) -> Option<Incoming> {
        self.next_text().map(|(incoming, _)| incoming)
    }

    /// The same, with its payload.
    pub(crate) fn next_text(&mut self) -> Option<(Incoming, &[u8])> {
        let unread = &self.inbox[self.read..];
        let (incoming, payload) = wire::read(unread)?;
        self.read += payload.end;
        Some((incoming, &unread[payload]))
    }

    /// Asks for something and waits for the answer: whether it is a success. What comes in between is thrown away.
    pub(crate) async fn ask(&mut self, frame: &[u8]) -> io::Result<bool> {
        self.write(frame).await?;
        loop {
            match self.next() {
                Some(Incoming::Answer { ok, .. }) => return Ok(ok),
                Some(Incoming::Closed(_)) => return Err(io::ErrorKind::ConnectionReset.into()),
                Some(Incoming::Hello | Incoming::Other) => {}
                None => {
                    if !self.fill().await? {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
            }
        }
    }
}
