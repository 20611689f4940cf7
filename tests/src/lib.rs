//! Drives the real binaries: the harness behind `tests/it`.
//!
//! Everything a test starts lives in a private home on its own locked block of ports and ends when the test does, also when
//! it fails. Nothing here sleeps a fixed time: it waits for a fact, with a deadline ([`eventually`]), and says what it was
//! waiting for when the fact does not come.
//!
//! Linux only: it reads `/proc` and starts instances in sessions of their own.
#![cfg(target_os = "linux")]

pub mod browser;
pub mod client;
pub mod device;
pub mod eventually;
pub mod faults;
pub mod golden;
pub mod home;
pub mod http;
pub mod instance;
pub mod load;
pub mod log;
pub mod mcp_server;
pub mod model_server;
pub mod pdf;
pub mod ports;
pub mod process;
pub mod raw;
pub mod systemd;
pub mod terminal;
pub mod tmux;

/// Says loudly why a test does not run here.
#[expect(
    clippy::print_stderr,
    reason = "a skipped test has nothing but its output to say so"
)]
pub fn skip(reason: &str) {
    eprintln!("SKIPPED: {reason}");
}
