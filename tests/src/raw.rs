//! Bytes on a TCP connection: for what no library would send.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{Target, connect_params, request};
use crate::eventually::soon;

/// A WebSocket frame's kind, as its number.
pub mod opcode {
    /// The next part of a message.
    pub const CONTINUATION: u8 = 0;
    /// A text, or its first part.
    pub const TEXT: u8 = 1;
    /// The end.
    pub const CLOSE: u8 = 8;
    /// A ping.
    pub const PING: u8 = 9;
}

/// A connection.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
}

/// How a connection was ended by the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By a close frame with this code; 1005 when it had none.
    Closed(u16),
    /// Without one.
    Cut,
}

impl Raw {
    /// Connects.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn connect(port: u16) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
        Self {
            stream: stream.expect("the port accepts"),
            read: Vec::new(),
        }
    }

    /// Connects and becomes a WebSocket.
    ///
    /// # Panics
    /// When the upgrade is refused.
    pub async fn websocket(port: u16) -> Self {
        let mut raw = Self::connect(port).await;
        let request = format!(
            "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        raw.write(request.as_bytes())
            .await
            .expect("an upgrade can be sent");
        let head = raw.read_until(b"\r\n\r\n").await;
        assert!(
            head.starts_with(b"HTTP/1.1 101"),
            "{}",
            String::from_utf8_lossy(&head)
        );
        raw
    }

    /// Connects and is let in.
    ///
    /// # Panics
    /// When it is not.
    pub async fn admitted(target: &Target) -> Self {
        let mut raw = Self::websocket(target.port).await;
        let connect = request("hello", "connect", connect_params(&target.token)).to_string();
        raw.frame(true, opcode::TEXT, connect.as_bytes()).await;
        raw.hello().await;
        raw
    }

    /// Reads up to the welcome.
    ///
    /// # Panics
    /// When the connection ends instead.
    pub async fn hello(&mut self) {
        self.read_until(b"\"type\":\"hello-ok\"").await;
        // The rest of that frame is of no interest, and its beginning has been read.
        self.read_until(b"\"policy\":").await;
        self.read_until(b"}}}").await;
    }

    /// The head of an HTTP answer, or what came before the connection was ended.
    pub async fn head(&mut self) -> String {
        soon("an answer comes", async {
            while !self.read.windows(4).any(|window| window == b"\r\n\r\n") {
                if !self.fill().await {
                    break;
                }
            }
        })
        .await;
        String::from_utf8_lossy(&self.read).into_owned()
    }

    /// Sends as much of these bytes as the other side takes, and says whether it took all of them: one that has stopped to
    /// read takes nothing for a while.
    ///
    /// # Errors
    /// When the other side has ended the connection.
    pub async fn offer(&mut self, bytes: &[u8], patience: Duration) -> io::Result<bool> {
        match tokio::time::timeout(patience, self.stream.write_all(bytes)).await {
            Ok(written) => written.map(|()| true),
            Err(_) => Ok(false),
        }
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When the other side has ended the connection.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        soon("bytes can be sent", self.stream.write_all(bytes)).await
    }

    /// Sends a masked frame. That the other side has ended the connection is seen by what is read next.
    pub async fn frame(&mut self, fin: bool, opcode: u8, payload: &[u8]) {
        // See above: a refusal from the header alone closes while the payload is under way.
        let _ = self.write(&masked(fin, opcode, payload)).await;
    }

    /// Reads until the other side ends the connection, and says how it did.
    pub async fn end(&mut self) -> End {
        soon("the connection is ended", self.end_whenever()).await
    }

    async fn end_whenever(&mut self) -> End {
        loop {
            while let Some((opcode, payload, length)) = first_frame(&self.read) {
                if opcode == opcode::CLOSE {
                    let code = payload
                        .first_chunk()
                        .map_or(1005, |code| u16::from_be_bytes(*code));
                    return End::Closed(code);
                }
                self.read.drain(..length);
            }
            if !self.fill().await {
                return End::Cut;
            }
        }
    }

    /// Reads everything until the other side ends the connection.
    pub async fn to_end(&mut self) -> Vec<u8> {
        soon("the connection is ended", async {
            while self.fill().await {}
        })
        .await;
        std::mem::take(&mut self.read)
    }

    /// Reads up to the end of this mark.
    ///
    /// # Panics
    /// When the connection ends before.
    pub async fn read_until(&mut self, mark: &[u8]) -> Vec<u8> {
        let found = soon("an answer comes", async {
            loop {
                let at = self
                    .read
                    .windows(mark.len())
                    .position(|window| window == mark);
                if let Some(at) = at {
                    return at + mark.len();
                }
                assert!(self.fill().await, "the connection ended before an answer");
            }
        });
        let end = found.await;
        self.read.drain(..end).collect()
    }

    /// Reads what comes next; false at the end.
    async fn fill(&mut self) -> bool {
        // A reset ends the connection as well as an orderly end.
        matches!(self.stream.read_buf(&mut self.read).await, Ok(count) if count > 0)
    }
}

/// A frame as a client sends it.
#[must_use]
pub fn masked(fin: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x5a, 0xc3, 0x17, 0x9e];
    let mut frame = header(fin, opcode, payload.len() as u64);
    frame.extend(MASK);
    frame.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// The header of a masked frame, which may announce more than will ever come; the mask is not part of it.
#[must_use]
pub fn header(fin: bool, opcode: u8, length: u64) -> Vec<u8> {
    let mut header = vec![if fin { 0x80 | opcode } else { opcode }];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < 126 => header.push(0x80 | short),
        (_, Ok(medium)) => {
            header.push(0x80 | 126);
            header.extend(medium.to_be_bytes());
        }
        (_, Err(_)) => {
            header.push(0x80 | 127);
            header.extend(length.to_be_bytes());
        }
    }
    header
}

/// The first whole frame of a server in `bytes`: kind, payload, and its length with the header.
fn first_frame(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (start, length): (usize, usize) = match bytes.get(1)? & 0x7f {
        126 => (
            4,
            usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
        ),
        127 => {
            let length = u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
            (10, usize::try_from(length).ok()?)
        }
        length => (2, usize::from(length)),
    };
    let payload = bytes.get(start..start.checked_add(length)?)?;
    Some((bytes[0] & 0x0f, payload, start + length))
}
