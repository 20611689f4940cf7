//! One WebSocket on one stream: frames in, queued bytes out.
//!
//! Reading is tungstenite's; data frames are written by us, straight from the [`Outbound`] queue, so that a payload that goes
//! to a thousand clients is not copied a thousand times. tungstenite itself writes control frames only (pongs, and the
//! answer to a close).
//!
//! Invariant: the two never interleave. While one of our frames is sent in part, tungstenite finds the stream full; while
//! it has bytes of its own to write, we write none.

use std::io::{self, IoSlice, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use openclaw_shared::serve::{Stream, Upgrade};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::outbound::Outbound;
use crate::limits::{LINGER_BYTES, READ_BUFFER};

/// How many pieces one write gathers.
const SLICES: usize = 16;

/// What a client sent.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A text message.
    Text(Utf8Bytes),
    /// A binary message; the same JSON is accepted in it.
    Binary(Bytes),
    /// A control frame; it shows that somebody is there.
    Control,
}

/// Why nothing more can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The peer closed, in whatever way.
    Gone,
    /// A message above the limit, or too much before authentication.
    TooLarge,
    /// What came is not the WebSocket protocol.
    Malformed,
    /// A text message that is no UTF-8.
    NotText,
}

/// The socket of one connection.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Stream,
    protocol: WebSocketContext,
    /// How much may still be read: before authentication altogether, afterwards until the next message is complete.
    /// tungstenite bounds the bytes of a message but not the number of its fragments, and empty ones never end.
    allowance: u64,
    /// What one message may cost, its framing included; known once the client is.
    per_message: Option<u64>,
    max_message: usize,
}

impl Socket {
    /// Takes over an upgraded stream. Messages are limited to `max_message` bytes, and until
    /// [`Socket::lift_allowance`] everything read is limited to `allowance`.
    pub(crate) fn new(upgrade: Upgrade, max_message: usize, allowance: u64) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(max_message))
            .max_frame_size(Some(max_message));
        let ahead = upgrade.read_ahead.len() as u64;
        let protocol = if upgrade.read_ahead.is_empty() {
            WebSocketContext::new(Role::Server, Some(config))
        } else {
            let part = upgrade.read_ahead.to_vec();
            WebSocketContext::from_partially_read(part, Role::Server, Some(config))
        };
        Self {
            stream: upgrade.stream,
            protocol,
            allowance: allowance.saturating_sub(ahead),
            per_message: None,
            max_message,
        }
    }

    /// The client is known: from now on only the limit of each message counts.
    pub(crate) fn lift_allowance(&mut self) {
        // Half of it for the framing: fragments of seven bytes and more fit in.
        let per_message = 2 * self.max_message as u64;
        self.per_message = Some(per_message);
        self.allowance = per_message;
    }

    /// Reads the next message. Pings are answered on the way, unless `mid_frame` says that one of our frames is under way.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        mid_frame: bool,
    ) -> Poll<Result<Incoming, Ended>> {
        let mut io = Io {
            stream: &mut self.stream,
            cx,
            mid_frame,
            allowance: &mut self.allowance,
        };
        let read = self.protocol.read(&mut io);
        if let (Ok(_), Some(per_message)) = (&read, self.per_message) {
            self.allowance = per_message;
        }
        match read {
            Ok(Message::Text(text)) => Poll::Ready(Ok(Incoming::Text(text))),
            Ok(Message::Binary(bytes)) => Poll::Ready(Ok(Incoming::Binary(bytes))),
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_)) => {
                Poll::Ready(Ok(Incoming::Control))
            }
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            Err(error) => Poll::Ready(Err(self.end_of(&error))),
        }
    }

    fn end_of(&self, error: &Error) -> Ended {
        match error {
            Error::Io(_) if self.allowance == 0 => Ended::TooLarge,
            Error::ConnectionClosed | Error::AlreadyClosed | Error::Io(_) => Ended::Gone,
            Error::Capacity(CapacityError::MessageTooLong { .. }) => Ended::TooLarge,
            Error::Utf8(_) => Ended::NotText,
            Error::Protocol(
                tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            ) => Ended::Gone,
            Error::Capacity(_)
            | Error::Protocol(_)
            | Error::AttackAttempt
            | Error::WriteBufferFull(_)
            | Error::Tls(_)
            | Error::Url(_)
            | Error::Http(_)
            | Error::HttpFormat(_) => Ended::Malformed,
        }
    }

    /// Writes what waits. Ready when nothing waits any more; an error means that the peer is gone. `progress` is set when
    /// at least one byte went out.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        outbound: &mut Outbound,
        progress: &mut bool,
    ) -> Poll<Result<(), Ended>> {
        if !outbound.is_mid_frame() {
            let mut io = Io {
                stream: &mut self.stream,
                cx,
                mid_frame: false,
                allowance: &mut self.allowance,
            };
            match self.protocol.flush(&mut io) {
                Ok(()) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Poll::Pending;
                }
                Err(_) => return Poll::Ready(Err(Ended::Gone)),
            }
        }
        while !outbound.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = outbound.slices(&mut slices);
            let stream = Pin::new(&mut self.stream);
            let written = match &slices[..filled] {
                [only] => stream.poll_write(cx, only),
                several => stream.poll_write_vectored(cx, several),
            };
            match written {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Ended::Gone)),
                Poll::Ready(Ok(count)) => {
                    *progress = true;
                    outbound.advance(count);
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Says goodbye in a way that cannot destroy the last frames: no more from us, then read to the peer's end.
    ///
    /// Closing a socket that holds unread bytes makes the kernel send a reset, upon which the peer's kernel throws away
    /// what the peer has not read yet, the close frame included.
    pub(crate) async fn finish(mut self) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        if self.stream.shutdown().await.is_err() {
            // The peer is gone, and there is nobody to be polite to.
            return;
        }
        let mut scrap = [0; 4096];
        let mut read = 0;
        while read < LINGER_BYTES {
            match self.stream.read(&mut scrap).await {
                Ok(0) | Err(_) => return,
                Ok(count) => read += count,
            }
        }
    }
}

/// The stream as tungstenite sees it for the length of one call.
struct Io<'a, 'b> {
    stream: &'a mut Stream,
    cx: &'a mut Context<'b>,
    mid_frame: bool,
    allowance: &'a mut u64,
}

impl Read for Io<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if *self.allowance == 0 {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let most = usize::try_from(*self.allowance)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let buffer = &mut buffer[..most];
        let mut buffer = ReadBuf::new(buffer);
        match Pin::new(&mut *self.stream).poll_read(self.cx, &mut buffer) {
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) => {
                let count = buffer.filled().len();
                *self.allowance -= count as u64;
                Ok(count)
            }
        }
    }
}

impl Write for Io<'_, '_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if self.mid_frame {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        match Pin::new(&mut *self.stream).poll_write(self.cx, buffer) {
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            Poll::Ready(outcome) => outcome,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
