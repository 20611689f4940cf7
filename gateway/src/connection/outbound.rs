//! What waits to be sent to one client, and what happens when it does not read.          (pure)
//!
//! The queue holds WebSocket frames as bytes: small pieces are gathered in one buffer, large payloads are shared with the
//! other clients they go to. It knows no socket and no time; the shell writes what [`Outbound::slices`] shows and reports
//! progress with [`Outbound::advance`].
//!
//! Invariant: events never hold more than the budget. An event that may be lost is skipped, any other condemns the
//! connection. Answers do not count against that budget, they stop the reading of requests instead
//! ([`Outbound::may_read`]).
//!
//! Invariant: a frame of which a byte was sent is sent to its end, also when the connection is condemned.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

/// Payloads from this size on are shared instead of copied.
const SHARE_FROM: usize = 4 * 1024;
/// A gathering buffer beyond this is not extended, so that it can be given back in parts.
const GATHER_UP_TO: usize = 16 * 1024;
/// What an idle connection keeps of its buffer.
const KEEP_IDLE: usize = 4 * 1024;

/// How long the header of a frame can be that a server sends, in bytes.
pub(super) const LONGEST_HEADER: usize = 10;

const OPCODE_TEXT: u8 = 0x1;
const OPCODE_CLOSE: u8 = 0x8;
const OPCODE_PING: u8 = 0x9;
const FINAL: u8 = 0x80;

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// Events, in bytes.
    pub(crate) events: usize,
    /// Answers, in bytes, before requests are left unread.
    pub(crate) answers: usize,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "an overflow must end the connection"]
pub(crate) enum Offered {
    /// It waits to be sent.
    Queued,
    /// Too much waits already, and this event may be lost.
    Skipped,
    /// Too much waits already, and this event may not be lost.
    Overflow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Event,
    Answer,
    Control,
}

#[derive(Debug)]
struct Frame {
    kind: Kind,
    remaining: usize,
    begun: bool,
}

#[derive(Debug)]
enum Chunk {
    Gathered(Vec<u8>),
    Shared(Bytes),
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Gathered(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// The queue of one connection.
#[derive(Debug)]
pub(crate) struct Outbound {
    budget: Budget,
    chunks: VecDeque<Chunk>,
    /// How much of the first chunk is sent already.
    offset: usize,
    frames: VecDeque<Frame>,
    events: usize,
    answers: usize,
    sealed: bool,
    /// The buffer of the last frame, for the next one.
    spare: Vec<u8>,
}

impl Outbound {
    pub(crate) fn new(budget: Budget) -> Self {
        Self {
            budget,
            chunks: VecDeque::new(),
            offset: 0,
            frames: VecDeque::new(),
            events: 0,
            answers: 0,
            sealed: false,
            spare: Vec::new(),
        }
    }

    /// Queues an event: `head` and `tail` around a payload that other connections share.
    pub(crate) fn event(&mut self, head: &Bytes, tail: &[u8], may_be_lost: bool) -> Offered {
        if self.sealed {
            return Offered::Skipped;
        }
        if self.events > self.budget.events {
            return if may_be_lost {
                Offered::Skipped
            } else {
                Offered::Overflow
            };
        }
        self.frame(Kind::Event, OPCODE_TEXT, &[], Some(head), &[tail]);
        Offered::Queued
    }

    /// Queues an answer: a payload between what comes before and after it.
    pub(crate) fn answer(&mut self, head: &[&[u8]], payload: Option<&Bytes>, tail: &[&[u8]]) {
        if !self.sealed {
            self.frame(Kind::Answer, OPCODE_TEXT, head, payload, tail);
        }
    }

    /// Queues a ping.
    pub(crate) fn ping(&mut self) {
        if !self.sealed {
            self.frame(Kind::Control, OPCODE_PING, &[], None, &[]);
        }
    }

    /// Queues a close frame behind everything that waits; nothing can be queued after it.
    pub(crate) fn close(&mut self, code: u16, reason: &str) {
        if !self.sealed {
            self.frame(
                Kind::Control,
                OPCODE_CLOSE,
                &[&code.to_be_bytes(), reason.as_bytes()],
                None,
                &[],
            );
            self.sealed = true;
        }
    }

    /// Forgets what has not begun to be sent, then closes.
    pub(crate) fn condemn(&mut self, code: u16, reason: &str) {
        if self.sealed {
            return;
        }
        let begun = self
            .frames
            .front()
            .filter(|frame| frame.begun)
            .map_or(0, |frame| frame.remaining);
        self.frames.truncate(usize::from(begun > 0));
        self.truncate(begun);
        self.events = 0;
        self.answers = 0;
        if let Some(frame) = self.frames.front_mut() {
            // Its bytes are accounted for by nobody; only its end matters.
            frame.kind = Kind::Control;
        }
        self.close(code, reason);
    }

    /// Whether anything waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Whether the close frame is queued.
    pub(crate) const fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// Whether further requests may be read.
    pub(crate) fn may_read(&self) -> bool {
        self.answers <= self.budget.answers && !self.sealed
    }

    /// Whether a frame has been sent in part, so that no other byte may go out before its end.
    pub(crate) fn is_mid_frame(&self) -> bool {
        self.frames.front().is_some_and(|frame| frame.begun)
    }

    /// Everything that waits, in bytes.
    pub(crate) fn waiting(&self) -> usize {
        self.frames.iter().map(|frame| frame.remaining).sum()
    }

    /// The next bytes to write, `most` of them at most; the number of slices that were filled.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>], most: usize) -> usize {
        let mut left = most;
        let mut filled = 0;
        for (slot, chunk) in slices.iter_mut().zip(&self.chunks) {
            if left == 0 {
                break;
            }
            let skip = if filled == 0 { self.offset } else { 0 };
            let bytes = &chunk.bytes()[skip..];
            let bytes = &bytes[..bytes.len().min(left)];
            left -= bytes.len();
            *slot = IoSlice::new(bytes);
            filled += 1;
        }
        filled
    }

    /// Takes note that `count` bytes were written.
    pub(crate) fn advance(&mut self, count: usize) {
        let mut left = count;
        while left > 0 {
            let Some(frame) = self.frames.front_mut() else {
                break;
            };
            let taken = left.min(frame.remaining);
            frame.remaining -= taken;
            frame.begun = true;
            left -= taken;
            match frame.kind {
                Kind::Event => self.events -= taken,
                Kind::Answer => self.answers -= taken,
                Kind::Control => {}
            }
            if frame.remaining == 0 {
                self.frames.pop_front();
            }
        }
        debug_assert_eq!(left, 0, "more was written than was queued");
        self.offset += count - left;
        self.release();
    }

    fn release(&mut self) {
        while let Some(length) = self.chunks.front().map(|chunk| chunk.bytes().len()) {
            if self.offset < length {
                return;
            }
            self.offset -= length;
            let spent = self.chunks.pop_front();
            if self.chunks.is_empty()
                && let Some(Chunk::Gathered(mut buffer)) = spent
                && buffer.capacity() <= KEEP_IDLE
            {
                buffer.clear();
                self.spare = buffer;
            }
        }
    }

    fn frame(
        &mut self,
        kind: Kind,
        opcode: u8,
        head: &[&[u8]],
        payload: Option<&Bytes>,
        tail: &[&[u8]],
    ) {
        let pieces = |list: &[&[u8]]| list.iter().map(|piece| piece.len()).sum::<usize>();
        let length = pieces(head) + payload.map_or(0, Bytes::len) + pieces(tail);
        let mut header = [0; LONGEST_HEADER];
        let header = header_of(opcode, length, &mut header);
        let total = header.len() + length;
        self.gather(header);
        for piece in head {
            self.gather(piece);
        }
        match payload {
            Some(payload) if payload.len() >= SHARE_FROM => {
                self.chunks.push_back(Chunk::Shared(payload.clone()));
            }
            Some(payload) => self.gather(payload),
            None => {}
        }
        for piece in tail {
            self.gather(piece);
        }
        self.frames.push_back(Frame {
            kind,
            remaining: total,
            begun: false,
        });
        match kind {
            Kind::Event => self.events += total,
            Kind::Answer => self.answers += total,
            Kind::Control => {}
        }
    }

    fn gather(&mut self, piece: &[u8]) {
        if piece.is_empty() {
            return;
        }
        match self.chunks.back_mut() {
            Some(Chunk::Gathered(buffer)) if buffer.len() + piece.len() <= GATHER_UP_TO => {
                buffer.extend_from_slice(piece);
            }
            Some(Chunk::Gathered(_) | Chunk::Shared(_)) | None => {
                let mut buffer = std::mem::take(&mut self.spare);
                buffer.extend_from_slice(piece);
                self.chunks.push_back(Chunk::Gathered(buffer));
            }
        }
    }

    /// Keeps the first `keep` unsent bytes.
    fn truncate(&mut self, keep: usize) {
        let mut left = keep;
        let mut skip = self.offset;
        let mut kept = 0;
        for chunk in &mut self.chunks {
            if left == 0 {
                break;
            }
            let available = chunk.bytes().len() - skip;
            if available > left {
                match chunk {
                    Chunk::Gathered(buffer) => buffer.truncate(skip + left),
                    Chunk::Shared(bytes) => bytes.truncate(skip + left),
                }
            }
            left -= available.min(left);
            skip = 0;
            kept += 1;
        }
        self.chunks.truncate(kept);
        if kept == 0 {
            self.offset = 0;
        }
    }
}

/// The header of a text frame with so much behind it.
pub(super) fn text_header(length: usize, header: &mut [u8; LONGEST_HEADER]) -> &[u8] {
    header_of(OPCODE_TEXT, length, header)
}

fn header_of(opcode: u8, length: usize, header: &mut [u8; LONGEST_HEADER]) -> &[u8] {
    header[0] = FINAL | opcode;
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => {
            header[1] = short;
            &header[..2]
        }
        (_, Ok(medium)) => {
            header[1] = 126;
            header[2..4].copy_from_slice(&medium.to_be_bytes());
            &header[..4]
        }
        (_, Err(_)) => {
            header[1] = 127;
            header[2..10].copy_from_slice(&(length as u64).to_be_bytes());
            &header[..10]
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use bytes::Bytes;
    use proptest::prelude::*;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketContext};

    use super::{Budget, Offered, Outbound};

    const BUDGET: Budget = Budget {
        events: 1000,
        answers: 500,
    };

    /// Takes up to `count` bytes as a socket would.
    fn take(outbound: &mut Outbound, count: usize) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 4];
        let filled = outbound.slices(&mut slices, usize::MAX);
        let bytes: Vec<u8> = slices[..filled]
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .take(count)
            .collect();
        outbound.advance(bytes.len());
        bytes
    }

    fn take_all(outbound: &mut Outbound) -> Vec<u8> {
        let mut bytes = Vec::new();
        while !outbound.is_empty() {
            bytes.extend(take(outbound, usize::MAX));
        }
        bytes
    }

    /// What a client makes of the bytes.
    fn read(bytes: &[u8]) -> Vec<String> {
        struct Input<'a>(&'a [u8]);
        impl std::io::Read for Input<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                if self.0.is_empty() {
                    return Err(std::io::ErrorKind::WouldBlock.into());
                }
                self.0.read(buffer)
            }
        }
        impl std::io::Write for Input<'_> {
            fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
                Ok(buffer.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut context = WebSocketContext::new(Role::Client, None);
        let mut input = Input(bytes);
        let mut seen = Vec::new();
        while let Ok(message) = context.read(&mut input) {
            seen.push(match &message {
                Message::Text(text) => text.to_string(),
                Message::Ping(_) => "<ping>".to_owned(),
                Message::Close(Some(close)) => format!("<{} {}>", close.code, close.reason),
                Message::Binary(_)
                | Message::Pong(_)
                | Message::Close(None)
                | Message::Frame(_) => {
                    panic!("{message:?}")
                }
            });
        }
        seen
    }

    fn outbound() -> Outbound {
        Outbound::new(BUDGET)
    }

    #[test]
    fn frames_of_every_size_arrive_as_they_were_queued() {
        for size in [0, 1, 124, 125, 126, 127, 65_535, 65_536, 200_000] {
            let mut queue = outbound();
            let payload = Bytes::from("x".repeat(size));
            queue.answer(&[b"<"], Some(&payload), &[b">"]);
            queue.ping();
            queue.close(1012, "service restart");
            let expected = [format!("<{}>", "x".repeat(size)), "<ping>".into()];
            let seen = read(&take_all(&mut queue));
            assert_eq!(seen[..2], expected);
            assert_eq!(seen[2], "<1012 service restart>");
        }
    }

    #[test]
    fn an_event_over_the_budget_is_skipped_or_ends_the_connection() {
        let mut queue = outbound();
        let head = Bytes::from(vec![b'x'; 600]);
        assert_eq!(queue.event(&head, b"", false), Offered::Queued);
        assert_eq!(queue.event(&head, b"", false), Offered::Queued);
        assert_eq!(queue.event(&head, b"", true), Offered::Skipped);
        assert_eq!(queue.event(&head, b"", false), Offered::Overflow);
        let _ = take(&mut queue, 700);
        assert_eq!(queue.event(&head, b"", false), Offered::Queued);
    }

    #[test]
    fn a_large_answer_stops_the_reading_and_is_no_reason_to_lose_events() {
        let mut queue = outbound();
        queue.answer(&[], Some(&Bytes::from(vec![b'x'; 100_000])), &[]);
        assert!(!queue.may_read());
        assert_eq!(
            queue.event(&Bytes::from_static(b"tick"), b"", true),
            Offered::Queued
        );
        let _ = take(&mut queue, 99_600);
        assert!(queue.may_read());
    }

    #[test]
    fn a_condemned_connection_ends_after_the_frame_that_had_begun() {
        let mut queue = outbound();
        queue.answer(&[b"first"], None, &[]);
        queue.answer(&[b"second"], None, &[]);
        let mut bytes = take(&mut queue, 3);
        assert!(queue.is_mid_frame());
        queue.condemn(1008, "slow consumer");
        queue.answer(&[b"third"], None, &[]);
        bytes.extend(take_all(&mut queue));
        assert_eq!(read(&bytes), ["first", "<1008 slow consumer>"]);
    }

    #[test]
    fn a_condemned_connection_without_a_frame_under_way_ends_at_once() {
        let mut queue = outbound();
        queue.answer(&[b"first"], None, &[]);
        queue.condemn(1008, "slow consumer");
        assert_eq!(read(&take_all(&mut queue)), ["<1008 slow consumer>"]);
        assert!(queue.is_empty());
    }

    proptest! {
        #[test]
        fn any_pace_of_reading_gives_the_same_frames(
            sizes in prop::collection::vec(0usize..9_000, 1..12),
            paces in prop::collection::vec(1usize..5_000, 1..40),
            condemned_after in prop::option::of(0usize..40),
        ) {
            let mut queue = outbound();
            let expected: Vec<String> =
                sizes.iter().enumerate().map(|(at, size)| format!("{at}{}", "y".repeat(*size))).collect();
            for text in &expected {
                queue.answer(&[], Some(&Bytes::from(text.clone())), &[]);
            }
            let mut bytes = Vec::new();
            for (step, pace) in paces.iter().enumerate() {
                if condemned_after == Some(step) {
                    queue.condemn(1008, "slow consumer");
                }
                bytes.extend(take(&mut queue, *pace));
            }
            queue.close(1000, "");
            bytes.extend(take_all(&mut queue));
            prop_assert!(queue.is_empty() && queue.waiting() == 0);
            let seen = read(&bytes);
            let last = seen.last().unwrap();
            prop_assert!(last.starts_with("<1008") || last.starts_with("<1000"), "{}", last);
            let texts = &seen[..seen.len() - 1];
            prop_assert_eq!(texts, &expected[..texts.len()]);
            prop_assert!(last.starts_with("<1008") || texts.len() == expected.len());
        }
    }
}
