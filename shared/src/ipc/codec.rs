//! Length-framed JSON messages: four bytes of big-endian length, then one document.
//!
//! The limit holds before anything is allocated, so that garbage on a local socket costs its own connection only.

use std::io;

use bytes::{Buf as _, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The largest message. The largest real one is a launch with a whole configuration.
pub const MAX_MESSAGE: usize = 16 * 1024 * 1024;

const HEADER: usize = 4;

/// Reads messages. [`MessageReader::next`] may be dropped at any await without losing a byte.
#[derive(Debug)]
pub struct MessageReader<R> {
    source: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> MessageReader<R> {
    /// Reads from `source`.
    pub fn new(source: R) -> Self {
        Self {
            source,
            buffer: BytesMut::new(),
        }
    }

    /// Reads from `source`, of which this much was read already.
    pub fn resumed(source: R, read: &[u8]) -> Self {
        Self {
            source,
            buffer: BytesMut::from(read),
        }
    }

    /// The source, and what was read of it that is no whole message yet.
    pub fn into_parts(self) -> (R, BytesMut) {
        (self.source, self.buffer)
    }

    /// The next message, or `None` when the peer has closed between two messages.
    ///
    /// # Errors
    /// `InvalidData` for an oversized or malformed message, `UnexpectedEof` for half a message.
    pub async fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        loop {
            if let Some(message) = self.take_message()? {
                return Ok(Some(message));
            }
            if self.source.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }

    fn take_message<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let Some(header) = self.buffer.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*header) as usize;
        if length > MAX_MESSAGE {
            return Err(invalid(format!(
                "a message of {length} bytes is over the limit"
            )));
        }
        if self.buffer.len() < HEADER + length {
            // Grown by what arrives, not by what the header claims.
            return Ok(None);
        }
        self.buffer.advance(HEADER);
        let message = self.buffer.split_to(length);
        if self.buffer.is_empty() {
            // A launch is large and rare; its buffer is not kept for the small messages after it.
            self.buffer = BytesMut::new();
        }
        serde_json::from_slice(&message)
            .map(Some)
            .map_err(|error| invalid(error.to_string()))
    }
}

/// Writes one message and flushes it.
///
/// # Errors
/// `InvalidData` when it does not serialise or is over the limit; else as the sink.
pub async fn write_message<W, T>(sink: &mut W, message: &T) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
    T: Serialize,
{
    sink.write_all(&frame(message)?).await?;
    sink.flush().await
}

/// One message as it is written.
///
/// # Errors
/// `InvalidData` when it does not serialise or is over the limit.
pub fn frame<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut framed = vec![0; HEADER];
    serde_json::to_writer(&mut framed, message).map_err(|error| invalid(error.to_string()))?;
    let length = framed.len() - HEADER;
    let header = u32::try_from(length)
        .ok()
        .filter(|_| length <= MAX_MESSAGE)
        .ok_or_else(|| invalid(format!("a message of {length} bytes is over the limit")))?;
    framed[..HEADER].copy_from_slice(&header.to_be_bytes());
    Ok(framed)
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use std::io;

    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt as _;

    use super::{MessageReader, write_message};

    async fn read_all(bytes: &[u8]) -> io::Result<Vec<String>> {
        let mut reader = MessageReader::new(bytes);
        let mut messages = Vec::new();
        while let Some(message) = reader.next().await? {
            messages.push(message);
        }
        Ok(messages)
    }

    #[tokio::test]
    async fn messages_survive_any_cut_of_the_stream() {
        let (mut near, far) = tokio::io::duplex(3);
        let writing = async {
            for text in ["", "a", "äöü", &"x".repeat(1000)] {
                write_message(&mut near, &text).await.unwrap();
            }
            near.shutdown().await.unwrap();
        };
        let reading = async {
            let mut reader = MessageReader::new(far);
            let mut lengths = Vec::new();
            while let Some(text) = reader.next::<String>().await.unwrap() {
                lengths.push(text.len());
            }
            lengths
        };
        let ((), lengths) = tokio::join!(writing, reading);
        assert_eq!(lengths, [0, 1, 6, 1000]);
    }

    #[tokio::test]
    async fn a_huge_length_is_refused_from_the_header_alone() {
        let error = read_all(&[0xff, 0xff, 0xff, 0xff]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(read_all(&bytes));
        }
    }
}
