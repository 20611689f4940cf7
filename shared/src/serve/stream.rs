//! The sockets a server speaks on, as one type, and how a handler gets one back by an upgrade.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream, tcp, unix};

use super::progress::Progress;

/// A connected socket.
///
/// One enum instead of a type parameter, so that hyper and everything above it exist once in
/// the binary, and an upgraded connection has a type that can be named.
#[derive(Debug)]
pub enum Stream {
    /// A TCP connection, with Nagle's algorithm off.
    Tcp(TcpStream),
    /// A connection on the local socket.
    Local(UnixStream),
}

impl Stream {
    /// Ready when there is something to read, the end included.
    pub(super) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Local(stream) => stream.poll_read_ready(cx),
        }
    }

    /// Takes the two directions apart.
    #[must_use]
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        match self {
            Self::Tcp(stream) => {
                let (read, write) = stream.into_split();
                (ReadHalf::Tcp(read), WriteHalf::Tcp(write))
            }
            Self::Local(stream) => {
                let (read, write) = stream.into_split();
                (ReadHalf::Local(read), WriteHalf::Local(write))
            }
        }
    }
}

/// Reads and throws away what comes, up to the peer's end or for `most` bytes.
///
/// The bytes go to the stack of one poll, because what is kept across polls is resident for every connection, and others get
/// their turn in between, because a flood is read faster than it is sent.
pub async fn discard(reader: &mut (impl AsyncRead + Unpin), most: usize) {
    const PER_TURN: usize = 16 * 1024;
    let mut read = 0;
    poll_fn(|cx| {
        let mut scrap = [MaybeUninit::uninit(); PER_TURN];
        let mut scrap = ReadBuf::uninit(&mut scrap);
        match Pin::new(&mut *reader).poll_read(cx, &mut scrap) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(_)) => return Poll::Ready(()),
            Poll::Ready(Ok(())) => {}
        }
        let count = scrap.filled().len();
        read += count;
        if count == 0 || read >= most {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The direction from the client.
#[derive(Debug)]
pub enum ReadHalf {
    /// Of a TCP connection.
    Tcp(tcp::OwnedReadHalf),
    /// Of a connection on the local socket.
    Local(unix::OwnedReadHalf),
}

impl ReadHalf {
    /// Ready when there is something to read, the end included.
    ///
    /// # Errors
    /// When the runtime is about to end.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(half) => half.as_ref().poll_read_ready(cx),
            Self::Local(half) => half.as_ref().poll_read_ready(cx),
        }
    }
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(half) => Pin::new(half).poll_read(cx, buf),
            Self::Local(half) => Pin::new(half).poll_read(cx, buf),
        }
    }
}

/// The direction to the client. Dropping it tells the client that nothing more comes.
#[derive(Debug)]
pub enum WriteHalf {
    /// Of a TCP connection.
    Tcp(tcp::OwnedWriteHalf),
    /// Of a connection on the local socket.
    Local(unix::OwnedWriteHalf),
}

impl WriteHalf {
    /// Writes what the socket takes at once.
    ///
    /// # Errors
    /// `WouldBlock` when it takes nothing, and what the system says.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(half) => half.try_write(bytes),
            Self::Local(half) => half.try_write(bytes),
        }
    }

    fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self, pieces) {
            (_, [only]) => self.try_write(only),
            (Self::Tcp(half), several) => half.try_write_vectored(several),
            (Self::Local(half), several) => half.try_write_vectored(several),
        }
    }

    /// Writes what the socket takes, or waits until it takes something.
    ///
    /// # Errors
    /// What the system says.
    pub fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.try_write_vectored(pieces) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return Poll::Ready(outcome),
            }
            let ready = match self {
                Self::Tcp(half) => half.as_ref().poll_write_ready(cx),
                Self::Local(half) => half.as_ref().poll_write_ready(cx),
            };
            match ready {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => {}
            }
        }
    }
}

/// A connection that has left HTTP behind.
#[derive(Debug)]
pub struct Upgrade {
    /// The socket itself, without any layer of the server.
    pub stream: Stream,
    /// What the client had sent beyond its request; comes before anything read from the socket.
    pub read_ahead: Bytes,
}

/// Why a connection did not leave HTTP behind.
#[derive(Debug, Error)]
pub enum NotUpgraded {
    /// The connection ended before the answer to the upgrade was sent.
    #[error("finish the upgrade")]
    Ended(#[source] hyper::Error),
    /// The request did not come from a [`super::Server`].
    #[error("take the socket of a foreign server")]
    Foreign,
}

/// Waits until the 101 answer is out, then hands over the socket.
///
/// `pending` is what `hyper::upgrade::on(&mut request)` gives; the task that awaits this must not
/// be the one that has yet to return the answer.
///
/// # Errors
/// When the connection ends first.
pub async fn upgrade(pending: OnUpgrade) -> Result<Upgrade, NotUpgraded> {
    let upgraded = pending.await.map_err(NotUpgraded::Ended)?;
    let parts = upgraded
        .downcast::<TokioIo<Watched>>()
        .map_err(|_unknown| NotUpgraded::Foreign)?;
    Ok(Upgrade {
        stream: parts.io.into_inner().stream,
        read_ahead: parts.read_buf,
    })
}

/// A socket whose traffic is written down in the connection's [`Progress`].
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) stream: Stream,
    progress: Arc<Progress>,
}

impl Watched {
    pub(super) fn new(stream: Stream, progress: Arc<Progress>) -> Self {
        Self { stream, progress }
    }

    fn note_write(&self, outcome: &Poll<io::Result<usize>>) {
        match outcome {
            Poll::Ready(Ok(count)) => self.progress.sent(Some(*count)),
            Poll::Pending => self.progress.sent(None),
            // The connection is about to end with this error.
            Poll::Ready(Err(_)) => {}
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buf);
        let fresh = &buf.filled()[before..];
        if !fresh.is_empty() {
            self.progress.received(fresh);
        }
        outcome
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note_write(&outcome);
        outcome
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note_write(&outcome);
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Local(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Local(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Local(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Local(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Local(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Local(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
