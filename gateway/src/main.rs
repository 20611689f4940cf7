//! The gateway: WebSocket control plane and HTTP on the base port of an instance.

use std::process::ExitCode;

use openclaw_shared::child;
use openclaw_shared::control::ChildName;

mod auth;
mod connection;
mod context;
mod drain;
mod http;
mod hub;
mod life;
mod limits;
#[cfg(test)]
mod loopback_tests;
mod machine;
mod methods;
mod phase;
mod prepared;
mod quiet;
mod rounds;
mod services;
mod settings;
mod store;
#[cfg(test)]
mod testing;

fn main() -> ExitCode {
    child::run(ChildName::Gateway, life::serve)
}
