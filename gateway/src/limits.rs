//! Every bound of this process, with its reason.
//!
//! What clients are told (`policy`) is in `shared::protocol`; these are the gateway's own.

use std::time::Duration;

use openclaw_shared::protocol::MAX_PAYLOAD;
use openclaw_shared::protocol::scope::Role;

/// From the opened socket to a successful `connect`.
pub(crate) const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// How long a socket on which nobody has said who it is may hold up the end of this life. A client says so at once.
pub(crate) const STRANGERS_GRACE: Duration = Duration::from_secs(1);

/// What a client may send, in bytes, before it is authenticated. A connect frame is below 4 KiB.
pub(crate) const BYTES_BEFORE_AUTH: u64 = 64 * 1024;

/// WebSockets that have not authenticated yet. At the cap the oldest makes room, so that a flood of silent sockets cannot
/// keep a real client out.
/// It is far above the number of clients that come back in one moment after a restart, each of which is a stranger for a
/// moment, and the memory of so many silent sockets is bounded by what one costs.
pub(crate) const UNAUTHENTICATED_SOCKETS: usize = 1280;

/// The same for one address of another machine. This machine's own is bounded by the number for all: behind a tunnel or a
/// proxy that is not trusted, everybody comes from there.
pub(crate) const UNAUTHENTICATED_SOCKETS_OF_ONE: usize = 128;

/// What all strangers together may have sent of frames that are not complete, in bytes. Beyond it the oldest of them makes
/// room. A connect frame arrives in one piece or two.
pub(crate) const BYTES_OF_STRANGERS: usize = 512 * 1024;

/// The largest frame of a node, in bytes: photos, clips and files come in one. Only while such a frame arrives does its connection
/// hold as much, and only devices that their owner has approved get so far.
const LARGEST_OF_NODE: usize = 8 * 1024 * 1024;

/// The largest frame that a client may send, in bytes; announced as `policy.maxPayload`.
pub(crate) const fn largest_message(role: Role) -> usize {
    match role {
        Role::Operator => MAX_PAYLOAD,
        Role::Node => LARGEST_OF_NODE,
    }
}

/// tungstenite's read buffer; resident for every connection.
pub(crate) const READ_BUFFER: usize = 4 * 1024;

/// The same for a socket that has said nothing yet.
pub(crate) const STRANGERS_READ_BUFFER: usize = 1024;

/// Frames taken from one client before the others get their turn.
pub(crate) const FRAMES_PER_TURN: usize = 64;

/// Requests of one client that are worked on at the same time; more wait in its socket.
pub(crate) const REQUESTS_IN_FLIGHT: usize = 64;

/// Answers that may wait for one client, in bytes, before its requests are left unread. One larger answer may go beyond.
pub(crate) const WAITING_ANSWERS: usize = 256 * 1024;

/// How often connections are looked after: silence, stalled writes.
pub(crate) const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How many connections must have ended before memory is given back at a sweep. What fewer leave behind is little.
pub(crate) const DEPARTURES: usize = 8;

/// Silence after which a client is pinged.
pub(crate) const PING_AFTER: Duration = Duration::from_secs(30);

/// Silence after a ping upon which the peer counts as vanished. Generous: a laptop that naps is not gone.
pub(crate) const PONG_WINDOW: Duration = Duration::from_secs(90);

/// How long a client may leave everything unread, without a single byte drained, before it counts as gone.
pub(crate) const STALL_WINDOW: Duration = Duration::from_secs(30);

/// How long what a client has asked may still take when what it was let in by counts no more. Long enough for what is being
/// written, so that whoever revokes itself reads the answer; nothing that waits for people or for nodes.
pub(crate) const REVOKED_GRACE: Duration = Duration::from_secs(2);

/// Requests in a row that are refused, whatever they ask, until their client is sent away. No client that works has so many
/// wishes and not one that is granted.
pub(crate) const REFUSALS_IN_A_ROW: u32 = 1_000;

/// How many of them a second takes off the count: whoever asks in vain at leisure, as a page left open does, costs nothing.
pub(crate) const REFUSALS_FORGOTTEN_PER_SECOND: u32 = 10;

/// How long what is queued for a closing connection may take to be sent, its close frame last.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(10);

/// How long a closed connection is read on, so that the last frames are not destroyed by a reset.
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// What is read and thrown away at most in that time, in bytes; more than one whole frame of the largest size that clients
/// try.
pub(crate) const LINGER_BYTES: usize = 64 * 1024 * 1024;

/// The same for a socket that has not authenticated.
pub(crate) const STRANGERS_LINGER_BYTES: usize = 128 * 1024;

/// How often health is refreshed without a cause.
pub(crate) const HEALTH_INTERVAL: Duration = Duration::from_secs(60);

/// How long the reason of a close may be, in bytes; a control frame has no room for more.
pub(crate) const CLOSE_REASON_BYTES: usize = 120;

/// How often it is written down how devices were last seen.
pub(crate) const DEVICES_INTERVAL: Duration = Duration::from_secs(60);

/// How often requests are looked at that may have expired.
pub(crate) const EXPIRY_INTERVAL: Duration = Duration::from_secs(10);
