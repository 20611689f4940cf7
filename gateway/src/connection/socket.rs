//! One WebSocket on one stream: frames in, queued bytes out.
//!
//! Reading is tungstenite's; data frames are written by us, straight from the [`Outbound`] queue, so that a payload that goes
//! to a thousand clients is not copied a thousand times. tungstenite itself writes control frames only (pongs, and the
//! answer to a close).
//!
//! While the task of the connection sleeps with nothing to write, the direction to the client lies with its
//! [`super::link::Link`], so that an event goes out from where it is published.
//!
//! Invariant: the two never interleave. While one of our frames is sent in part, tungstenite finds the stream full; while
//! it has bytes of its own to write, we write none.

use std::io::{self, IoSlice, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use openclaw_shared::serve::{ReadHalf, Upgrade, WriteHalf, discard};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::outbound::Outbound;
use crate::limits::{LINGER_BYTES, READ_BUFFER, STRANGERS_LINGER_BYTES, STRANGERS_READ_BUFFER};

/// How many pieces one write gathers.
const SLICES: usize = 16;
/// What one client is sent, in bytes, before the others get their turn. A large event for a hundred clients is tens of megabytes.
/// It is enough for sixteen answers of ordinary size, so that what was asked for together is answered in one write.
const WRITTEN_PER_TURN: usize = 32 * 1024;

/// What is read of a message, in bytes, before the others get their turn.
const READ_PER_TURN: usize = 64 * 1024;
/// The same for a socket on which nobody has said who it is. A connect frame is below it.
const STRANGERS_READ_PER_TURN: usize = 8 * 1024;

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
    reader: ReadHalf,
    /// None while it is lent to the link, see [`Socket::lend_writer`].
    writer: Option<WriteHalf>,
    protocol: WebSocketContext,
    /// How much may still be read: before authentication altogether, afterwards until the next message is complete.
    /// tungstenite bounds the bytes of a message but not the number of its fragments, and empty ones never end.
    allowance: u64,
    /// What one message may cost, its framing included; known once the client is.
    per_message: Option<u64>,
    max_message: usize,
    /// What was read and is not accounted for by a message, see [`Socket::slim`].
    unexplained: u64,
    /// A message was read that made the buffer grow.
    is_swollen: bool,
    /// tungstenite has something to say by itself: a pong that may not be out, or all that follows a close.
    owes: bool,
}

impl Socket {
    /// Takes over an upgraded stream. Messages are limited to `max_message` bytes, and until
    /// [`Socket::lift_allowance`] everything read is limited to `allowance`.
    pub(crate) fn new(upgrade: Upgrade, max_message: usize, allowance: u64) -> Self {
        let config = config(STRANGERS_READ_BUFFER, max_message);
        let ahead = upgrade.read_ahead.len() as u64;
        let protocol = if upgrade.read_ahead.is_empty() {
            WebSocketContext::new(Role::Server, Some(config))
        } else {
            let part = upgrade.read_ahead.to_vec();
            WebSocketContext::from_partially_read(part, Role::Server, Some(config))
        };
        let (reader, writer) = upgrade.stream.into_split();
        Self {
            reader,
            writer: Some(writer),
            protocol,
            allowance: allowance.saturating_sub(ahead),
            per_message: None,
            max_message,
            unexplained: ahead,
            is_swollen: false,
            owes: false,
        }
    }

    /// Gives the direction to the client away while the task sleeps and nothing is left to be written, so that an event can go
    /// out from where it is published, without a turn of this task. None when tungstenite has begun to write something.
    pub(crate) fn lend_writer(&mut self) -> Option<WriteHalf> {
        self.writer.take_if(|_| !self.owes)
    }

    /// Takes it back, before anything else is done.
    pub(crate) fn return_writer(&mut self, writer: WriteHalf) {
        self.writer = Some(writer);
    }

    /// How many bytes lie here that have not become a message.
    pub(crate) const fn held(&self) -> u64 {
        self.unexplained
    }

    /// The client is known: from now on only the limit of each message counts, which is this one.
    pub(crate) fn lift_allowance(&mut self, max_message: usize) {
        self.max_message = max_message;
        self.protocol.set_config(|config| {
            config.max_message_size = Some(max_message);
            config.max_frame_size = Some(max_message);
        });
        // Half of it for the framing: fragments of seven bytes and more fit in.
        let per_message = 2 * self.max_message as u64;
        self.per_message = Some(per_message);
        self.allowance = per_message;
        // From the stranger's buffer to that of a client.
        self.is_swollen = true;
    }

    /// Whether nothing is left inside tungstenite that a read could bring out without reading from the stream.
    ///
    /// It cannot be asked for that, but it can be counted: a message cannot have cost fewer bytes than one frame with the
    /// shortest header, so when all that was read is explained by the messages that came out of it, nothing is left.
    const fn is_drained(&self) -> bool {
        self.unexplained == 0 && !self.owes
    }

    /// Gives back the buffer that a large message left behind, which tungstenite keeps at the size of the largest one.
    fn slim(&mut self) {
        if self.is_swollen && self.is_drained() {
            let config = config(READ_BUFFER, self.max_message);
            self.protocol = WebSocketContext::new(Role::Server, Some(config));
            self.is_swollen = false;
        }
    }

    /// Takes note of a message of so many bytes.
    fn explain(&mut self, payload: usize) {
        let header = match payload {
            0..=125 => 6,
            126..=0xffff => 8,
            _ => 14,
        };
        self.unexplained = self.unexplained.saturating_sub(header + payload as u64);
        self.is_swollen |= payload > READ_BUFFER;
    }

    /// Reads the next message. Pings are answered on the way, unless `mid_frame` says that one of our frames is under way.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        mid_frame: bool,
    ) -> Poll<Result<Incoming, Ended>> {
        // Events wake the same task as requests do. Without this look, each of them would have tungstenite prepare its
        // buffer for a read that brings nothing.
        if self.is_drained() && self.reader.poll_read_ready(cx).is_pending() {
            self.slim();
            return Poll::Pending;
        }
        let before = self.allowance;
        let left = if self.is_stranger() {
            STRANGERS_READ_PER_TURN
        } else {
            READ_PER_TURN
        };
        let mut io = Io {
            reader: &mut self.reader,
            writer: self.writer.as_ref(),
            cx,
            mid_frame,
            allowance: &mut self.allowance,
            left,
        };
        let read = self.protocol.read(&mut io);
        self.unexplained += before - self.allowance;
        if let (Ok(_), Some(per_message)) = (&read, self.per_message) {
            self.allowance = per_message;
        }
        if let Ok(message) = &read {
            self.explain(message.len());
        }
        match read {
            Ok(Message::Text(text)) => Poll::Ready(Ok(Incoming::Text(text))),
            Ok(Message::Binary(bytes)) => Poll::Ready(Ok(Incoming::Binary(bytes))),
            Ok(Message::Ping(_) | Message::Close(_) | Message::Frame(_)) => {
                self.owes = true;
                Poll::Ready(Ok(Incoming::Control))
            }
            Ok(Message::Pong(_)) => Poll::Ready(Ok(Incoming::Control)),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                self.slim();
                Poll::Pending
            }
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

    /// Writes of what waits as much as one turn allows. Ready when nothing waits any more; an error means that the peer is gone. `progress` is set when
    /// at least one byte went out.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        outbound: &mut Outbound,
        progress: &mut bool,
    ) -> Poll<Result<(), Ended>> {
        if !outbound.is_mid_frame() {
            let mut io = Io {
                reader: &mut self.reader,
                writer: self.writer.as_ref(),
                cx,
                mid_frame: false,
                allowance: &mut self.allowance,
                left: 0,
            };
            match self.protocol.flush(&mut io) {
                Ok(()) => self.owes &= !self.protocol.can_read(),
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Poll::Pending;
                }
                Err(_) => return Poll::Ready(Err(Ended::Gone)),
            }
        }
        let mut left = WRITTEN_PER_TURN;
        while !outbound.is_empty() {
            if left == 0 {
                // The others get their turn first.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = outbound.slices(&mut slices, left);
            let Some(writer) = &self.writer else {
                debug_assert!(false, "a task that runs has taken its writer back");
                return Poll::Pending;
            };
            match writer.poll_write_vectored(cx, &slices[..filled]) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Ended::Gone)),
                Poll::Ready(Ok(count)) => {
                    *progress = true;
                    left -= count;
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
    ///
    /// A stranger is read for as long as a client would be that had just the wrong secret; what floods us may lose its
    /// close frame.
    pub(crate) fn finish(self) -> impl Future<Output = ()> {
        let most = if self.is_stranger() {
            STRANGERS_LINGER_BYTES
        } else {
            LINGER_BYTES
        };
        // Of all the rest nothing is kept: what was read of a message that will never be complete, and the direction to the
        // client, whose end is thereby told.
        let mut reader = self.into_reader();
        async move { discard(&mut reader, most).await }
    }

    /// Whether nobody has said on it who it is.
    pub(crate) const fn is_stranger(&self) -> bool {
        self.per_message.is_none()
    }

    fn into_reader(self) -> ReadHalf {
        self.reader
    }
}

fn config(read_buffer: usize, max_message: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(read_buffer)
        .write_buffer_size(0)
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message))
}

/// The stream as tungstenite sees it for the length of one call.
struct Io<'a, 'b> {
    reader: &'a mut ReadHalf,
    writer: Option<&'a WriteHalf>,
    cx: &'a mut Context<'b>,
    mid_frame: bool,
    allowance: &'a mut u64,
    /// What may be read in this call, in bytes.
    left: usize,
}

impl Read for Io<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if *self.allowance == 0 {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        if self.left == 0 {
            self.cx.waker().wake_by_ref();
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let most = usize::try_from(*self.allowance)
            .unwrap_or(usize::MAX)
            .min(buffer.len())
            .min(self.left);
        let buffer = &mut buffer[..most];
        let mut buffer = ReadBuf::new(buffer);
        match Pin::new(&mut *self.reader).poll_read(self.cx, &mut buffer) {
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) => {
                let count = buffer.filled().len();
                *self.allowance -= count as u64;
                self.left -= count;
                Ok(count)
            }
        }
    }
}

impl Write for Io<'_, '_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let Some(writer) = self.writer.filter(|_| !self.mid_frame) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        match writer.poll_write_vectored(self.cx, &[IoSlice::new(buffer)]) {
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            Poll::Ready(outcome) => outcome,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::{Context, Poll, Waker};

    use openclaw_shared::serve::{Stream, Upgrade};
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::UnixStream;

    use super::{Ended, Incoming, STRANGERS_READ_PER_TURN, Socket};

    const LARGEST: usize = 400_000;

    struct Pair {
        socket: Socket,
        client: UnixStream,
    }

    fn pair() -> Pair {
        let (ours, client) = UnixStream::pair().unwrap();
        let upgrade = Upgrade {
            stream: Stream::Local(ours),
            read_ahead: bytes::Bytes::new(),
        };
        let mut socket = Socket::new(upgrade, LARGEST, 1024);
        socket.lift_allowance(LARGEST);
        Pair { socket, client }
    }

    /// A masked frame whose mask is zero.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
            (Ok(short @ 0..=125), _) => bytes.push(0x80 | short),
            (_, Ok(medium)) => {
                bytes.push(0x80 | 126);
                bytes.extend(medium.to_be_bytes());
            }
            (_, Err(_)) => {
                bytes.push(0x80 | 127);
                bytes.extend((payload.len() as u64).to_be_bytes());
            }
        }
        bytes.extend([0; 4]);
        bytes.extend(payload);
        bytes
    }

    impl Pair {
        /// Sends bytes, and reads all that they complete.
        async fn send(&mut self, bytes: &[u8]) -> Vec<Result<String, Ended>> {
            let mut seen = Vec::new();
            for piece in bytes.chunks(16 * 1024) {
                self.client.write_all(piece).await.unwrap();
                // The runtime has to learn that there is something to read.
                tokio::task::yield_now().await;
                let mut cx = Context::from_waker(Waker::noop());
                loop {
                    match self.socket.poll_read(&mut cx, false) {
                        Poll::Pending => break,
                        Poll::Ready(Ok(Incoming::Text(text))) => seen.push(Ok(text.to_string())),
                        Poll::Ready(Ok(Incoming::Binary(_))) => panic!("no binary was sent"),
                        Poll::Ready(Ok(Incoming::Control)) => {
                            let mut outbound = super::super::outbound::Outbound::new(
                                super::super::outbound::Budget {
                                    events: 1,
                                    answers: 1,
                                },
                            );
                            let mut progress = false;
                            let written =
                                self.socket
                                    .poll_write(&mut cx, &mut outbound, &mut progress);
                            assert_eq!(written, Poll::Ready(Ok(())));
                        }
                        Poll::Ready(Err(ended)) => {
                            seen.push(Err(ended));
                            return seen;
                        }
                    }
                }
            }
            seen
        }
    }

    #[tokio::test]
    async fn a_large_message_leaves_no_large_buffer_behind() {
        let mut pair = pair();
        assert_eq!(
            pair.send(&frame(0x81, b"small")).await,
            [Ok("small".into())]
        );
        assert!(!pair.socket.is_swollen);
        let large = "x".repeat(LARGEST - 1);
        let bytes = frame(0x81, large.as_bytes());
        let (most, last) = bytes.split_at(300_000);
        assert_eq!(pair.send(most).await, []);
        assert_eq!(pair.send(last).await, [Ok(large)]);
        assert!(!pair.socket.is_swollen && pair.socket.held() == 0);
        assert_eq!(pair.send(&frame(0x81, b"next")).await, [Ok("next".into())]);
    }

    #[tokio::test]
    async fn what_lies_in_the_buffer_behind_a_large_message_is_kept() {
        let mut pair = pair();
        let large = "x".repeat(20_000);
        let mut bytes = frame(0x81, large.as_bytes());
        let second = frame(0x81, b"second");
        bytes.extend(&second[..3]);
        assert_eq!(pair.send(&bytes).await, [Ok(large)]);
        assert!(pair.socket.is_swollen);
        assert_eq!(pair.send(&second[3..]).await, [Ok("second".into())]);
        assert!(!pair.socket.is_swollen);
    }

    proptest! {
        #[test]
        fn any_cut_of_any_frames_gives_the_same_messages(
            sizes in prop::collection::vec((0usize..12_000, 0u8..4), 1..8),
            cuts in prop::collection::vec(1usize..9_000, 1..30),
        ) {
            let mut bytes = Vec::new();
            let mut expected = Vec::new();
            for (at, (size, kind)) in sizes.iter().enumerate() {
                let text = format!("{at}{}", "y".repeat(*size));
                let (head, tail) = text.as_bytes().split_at(text.len() / 2);
                match kind {
                    0 => bytes.extend(frame(0x81, text.as_bytes())),
                    1 => {
                        bytes.extend(frame(0x01, head));
                        bytes.extend(frame(0x89, b"ping"));
                        bytes.extend(frame(0x80, tail));
                    }
                    2 => {
                        bytes.extend(frame(0x89, b"ping"));
                        bytes.extend(frame(0x81, text.as_bytes()));
                    }
                    _ => {
                        bytes.extend(frame(0x01, b""));
                        bytes.extend(frame(0x00, head));
                        bytes.extend(frame(0x80, tail));
                    }
                }
                expected.push(Ok(text));
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let seen = runtime.block_on(async {
                let mut pair = pair();
                let mut seen = Vec::new();
                let mut rest = &bytes[..];
                for cut in cuts.iter().cycle() {
                    let (now, later) = rest.split_at((*cut).min(rest.len()));
                    seen.extend(pair.send(now).await);
                    rest = later;
                    if rest.is_empty() {
                        break;
                    }
                }
                seen
            });
            prop_assert_eq!(seen, expected);
        }
    }

    #[tokio::test]
    async fn of_a_stranger_little_is_read_in_one_turn() {
        let (ours, mut client) = UnixStream::pair().unwrap();
        let upgrade = Upgrade {
            stream: Stream::Local(ours),
            read_ahead: bytes::Bytes::new(),
        };
        let mut socket = Socket::new(upgrade, LARGEST, 64 * 1024);
        let message = frame(0x81, &vec![b'x'; 48 * 1024]);
        client.write_all(&message).await.unwrap();
        tokio::task::yield_now().await;
        let mut turns = 0;
        let read = poll_fn(|cx| {
            turns += 1;
            let before = socket.held();
            let read = socket.poll_read(cx, false);
            assert!(read.is_ready() || socket.held() <= before + STRANGERS_READ_PER_TURN as u64);
            read
        });
        let Ok(Incoming::Text(text)) = read.await else {
            panic!("it was a text");
        };
        assert_eq!(text.len(), 48 * 1024);
        assert!(turns >= 6, "{turns} turns");
    }
}
