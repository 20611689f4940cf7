//! `supervisor`: how patient the supervisor is with the children. Our own section: the Node implementation refuses it.

use crate::config::setting::{Whole, section};

section! {
    /// The supervisor.
    pub struct Supervisor {
        /// How long a child may take from its start to serving, in milliseconds.
        "readyTimeoutMs" => ready_timeout_ms: Whole<100, 600_000> = Whole::of(30_000);
        /// How long a child may take to finish what it accepted once it is told to leave, in milliseconds.
        "drainTimeoutMs" => drain_timeout_ms: Whole<100, 600_000> = Whole::of(10_000);
        /// How often a child is asked whether it lives, in milliseconds; three unanswered questions end it.
        "heartbeatMs" => heartbeat_ms: Whole<50, 600_000> = Whole::of(5_000);
    }
}
