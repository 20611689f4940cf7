//! An operator's connection to a gateway: what the command line and the terminal chat have in common.
//!
//! It connects with the key of this user's device and with the token that fits, calls methods one at a time ([`Client::call`]), or
//! sends and receives side by side ([`Client::send`], [`Client::receive`]). What a refusal means for a person is not said here.
//!
//! Answers are read leniently, because the gateway may be of another version.

mod call_error;
mod connection;
mod device;
mod frame;
mod gateway;
mod opening;
mod text;

pub use call_error::{CallError, Refusal};
pub use connection::Client;
pub use frame::{Event, Frame, Response};
pub use gateway::{As, Gateway};
pub use text::harmless;
