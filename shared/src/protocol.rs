//! The wire between the gateway and its clients, as types.
//!
//! Everything else about the protocol derives from here: which methods and events exist and who may use them
//! ([`method`], [`event`], [`scope`]), the JSON Schema of their parameters, and the texts of errors. Nothing in here does
//! IO, reads a clock or keeps state.
//!
//! Invariant: a parameter type refuses exactly what its JSON Schema refuses. Arrays and null are no objects, an
//! integral float is an integer, bounds live in the type. A property test in the gateway holds the two to one verdict.

pub mod close;
pub mod connect;
pub mod error;
pub mod event;
pub mod frame;
pub mod hello;
pub mod method;
pub mod params;
pub mod scope;
pub mod snapshot;
pub mod strict;

/// The protocol this crate describes.
pub const PROTOCOL_VERSION: i64 = 3;

/// The largest frame a client may send, in bytes; announced as `policy.maxPayload`.
pub const MAX_PAYLOAD: usize = 512 * 1024;

/// How many bytes of events may wait for one client; announced as `policy.maxBufferedBytes`.
pub const MAX_BUFFERED_BYTES: usize = 1536 * 1024;

/// How often a `tick` event is sent, in milliseconds; announced as `policy.tickIntervalMs`.
pub const TICK_INTERVAL_MS: u64 = 30_000;
