//! What somebody wants to execute on a node and people must allow first: records in the store, and who waits for them.
//!
//! A record is bound to what is shown: the exact program, arguments, folder and variables on one node, or, for clients that know
//! only a command text, a text that can mean nothing else. It is used once, within a few minutes, by the one who asked.
//!
//! Invariant: what a caller claims about an approval is worth nothing ([`run`]); the records are the only source.

pub(crate) mod display;
pub(crate) mod record;
pub(crate) mod run;
pub(crate) mod waiting;
