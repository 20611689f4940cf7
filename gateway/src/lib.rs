//! The gateway: WebSocket control plane and HTTP on the base port of an instance.
//!
//! A library with one function, so that the fuzz targets reach what parses bytes; the program is `main.rs`.

use std::process::ExitCode;

use openclaw_shared::child;
use openclaw_shared::control::ChildName;

mod approvals;
mod auth;
mod briefing;
mod connection;
mod context;
mod cron;
mod desk;
mod discovery;
mod drain;
mod errands;
mod examine;
#[cfg(test)]
mod family_tests;
mod heartbeat;
mod hooks;
mod http;
mod hub;
mod import;
mod life;
mod limits;
#[cfg(test)]
mod loopback_tests;
mod machine;
mod methods;
mod metrics;
mod nodes;
mod pdf;
mod phase;
mod prepared;
mod quiet;
mod reception;
mod rounds;
mod runs;
mod services;
mod settings;
mod store;
#[cfg(test)]
mod testing;
mod toolbox;
mod watched;

#[cfg(fuzzing)]
pub use connection::fuzzing;

/// Runs the gateway as a child of the supervisor, to its end.
#[must_use]
pub fn run() -> ExitCode {
    if import::is_wanted() {
        return import::run();
    }
    if examine::is_wanted() {
        return examine::run();
    }
    if pdf::is_wanted() {
        return pdf::run();
    }
    if discovery::is_wanted() {
        return discovery::run();
    }
    child::run(ChildName::Gateway, life::serve)
}
