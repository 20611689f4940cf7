//! What every connection inherits from the socket that it comes in by.
//!
//! The kernel gives it to a connection when it is made, not when it is accepted. Whoever binds sets it before anybody can connect;
//! what waits in the backlog while the first process starts would otherwise be without.

use std::io;
use std::os::fd::AsFd;

use socket2::SockRef;

/// How much the kernel takes of what we write, in bytes, before the first byte of it is on its way. By itself it would keep
/// megabytes for a client that has stopped reading, and nobody here would know that the client is behind.
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 64 * 1024;

/// The largest segment, in bytes: that of the largest frames in use on a network, so that it limits the loopback interface only. There
/// a segment would be as large as the window of a client (64 KB), so that the client's kernel, which acknowledges every second
/// segment at once, would acknowledge the last of a large answer only after its delay of 40 ms.
const LARGEST_SEGMENT: u32 = 8_960;

/// Sets it on a TCP socket that listens or is about to.
///
/// # Errors
/// Fails when the kernel refuses one of the options.
pub fn set(listener: &impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(listener);
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
    socket.set_tcp_mss(LARGEST_SEGMENT)?;
    // Without this, small answers wait for the client's delayed acknowledgement.
    socket.set_tcp_nodelay(true)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_connection_is_sent_small_segments_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        set(&listener).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert!(accepted.nodelay().unwrap());
        let segment = SockRef::from(&accepted).tcp_mss().unwrap();
        assert!(segment <= LARGEST_SEGMENT, "{segment} bytes");
    }
}
