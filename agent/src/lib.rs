//! One turn of an agent: a model is asked, the tools that it calls are run, until it has answered.
//!
//! This crate knows no client, no session and no store. Whoever runs a turn hands it a [`model::Model`], a [`tool::Toolbox`] and a
//! [`turn::Journal`], which is told of everything that happens and keeps what must be kept. Everything is cancelled by dropping the future:
//! the provider's socket is closed, and a tool's processes end.
//!
//! Futures and streams of this crate stay on the thread they were made on.

pub mod compact;
pub mod mcp;
pub mod model;
pub mod picture;
pub mod prompt;
pub mod tool;
pub mod tool_policy;
pub mod tools;
pub mod turn;
pub mod workspace;
