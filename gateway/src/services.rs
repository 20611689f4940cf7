//! The nouns of the gateway. A service is asked for a value or told a fact; it never writes to a socket.

pub(crate) mod health;
pub(crate) mod log_tail;
pub(crate) mod presence;
