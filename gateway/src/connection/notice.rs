//! An event on its way to everybody: serialised once, finished for each client with its `seq`.

use std::io::Write as _;

use bytes::Bytes;
use openclaw_shared::protocol::event::{Audience, Event};
use openclaw_shared::protocol::snapshot::StateVersion;

use super::outbound::{LONGEST_HEADER, text_header};
use crate::prepared::Prepared;

/// Events up to this size are written where they are published when nothing else waits for the client. For a thousand clients
/// that saves a thousand turns of their tasks; a large event would keep everybody else waiting for as long as it is copied.
pub(super) const AT_ONCE: usize = 8 * 1024;

/// An event for many clients. The frame of the one before is kept, because the next one differs from it in few bytes.
#[derive(Debug)]
pub(crate) struct Notice {
    /// The frame up to and including the payload; shared by the clients that it has to wait for.
    head: Bytes,
    /// What follows `seq`, with its comma; empty for an event without `stateVersion`.
    version: String,
    /// Who may see it.
    pub(super) audience: Audience,
    /// Whether a slow client loses it instead of its connection.
    pub(crate) may_be_lost: bool,
    /// Whether another event follows before anything else happens, so that this one need not be written by itself.
    pub(crate) is_followed: bool,
    /// Room for the header, the head if it is small, and the tail that was written last.
    frame: Vec<u8>,
}

impl Notice {
    /// An event, and which versions of the gateway's state it shows.
    pub(crate) fn of<E: Event>(payload: &Prepared<E::Payload>, version: StateVersion) -> Self {
        let version = if E::VERSIONED {
            format!(
                r#","stateVersion":{{"presence":{},"health":{}}}"#,
                version.presence, version.health
            )
        } else {
            String::new()
        };
        let head = event_head(E::NAME, payload.json());
        Self::new(head, version, E::AUDIENCE, E::DROP_IF_SLOW)
    }

    pub(super) fn new(head: Bytes, version: String, audience: Audience, may_be_lost: bool) -> Self {
        let mut frame = vec![0; LONGEST_HEADER];
        if is_small(&head) {
            frame.extend_from_slice(&head);
        }
        Self {
            head,
            version,
            audience,
            may_be_lost,
            is_followed: false,
            frame,
        }
    }

    /// The frame up to and including the payload.
    pub(super) const fn head(&self) -> &Bytes {
        &self.head
    }

    /// Writes the end of the frame for a client.
    pub(super) fn address(&mut self, seq: u64) {
        let start = self.tail_at();
        self.frame.truncate(start);
        write!(self.frame, r#","seq":{seq}{}}}"#, self.version)
            .expect("a vector takes what is written");
    }

    /// What follows the head in the frame that was addressed last.
    pub(super) fn tail(&self) -> &[u8] {
        &self.frame[self.tail_at()..]
    }

    /// The whole frame that was addressed last, its header included; none when it is large.
    pub(super) fn whole(&mut self) -> Option<&[u8]> {
        if !is_small(&self.head) {
            return None;
        }
        let mut header = [0; LONGEST_HEADER];
        let header = text_header(self.frame.len() - LONGEST_HEADER, &mut header);
        let start = LONGEST_HEADER - header.len();
        self.frame[start..LONGEST_HEADER].copy_from_slice(header);
        Some(&self.frame[start..])
    }

    fn tail_at(&self) -> usize {
        if is_small(&self.head) {
            LONGEST_HEADER + self.head.len()
        } else {
            LONGEST_HEADER
        }
    }
}

const fn is_small(head: &Bytes) -> bool {
    head.len() <= AT_ONCE
}

/// An event frame up to and including its payload.
pub(crate) fn event_head(name: &str, payload: &[u8]) -> Bytes {
    let mut head = Vec::with_capacity(payload.len() + name.len() + 40);
    head.extend_from_slice(br#"{"type":"event","event":""#);
    head.extend_from_slice(name.as_bytes());
    head.extend_from_slice(br#"","payload":"#);
    head.extend_from_slice(payload);
    head.into()
}
