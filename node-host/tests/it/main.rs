//! The real node host against a small gateway in the test, over a real socket, with real commands.
#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot go on without has failed it"
)]

mod commands;
mod connection;
mod ends;
mod stub;
