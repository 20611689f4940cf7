//! The local network: this gateway announces itself there, and others are searched for on behalf of the command line.
//!
//! What is announced is decided in `beacon.rs`, by plain data; `announcer.rs` and `search.rs` are the shells around multicast DNS.

mod announcer;
mod beacon;
mod search;

pub(crate) use announcer::Announcer;
pub(crate) use search::{is_wanted, run};
