//! Who gets a processor first, when a server, a healthy client and a flood share two of them.
//!
//! A flood comes from other machines. On one machine its sender takes processor time away from the server, and a healthy client
//! that wakes up waits for the end of somebody's time slice, which is longer than what is measured. So the thread of the
//! healthy client goes before all others, and the one of the flood behind them. Where that is not permitted, things stay as they are.

use std::process::{Command, Stdio};

use nix::unistd::gettid;

/// How far behind all others a thread goes: it gets about a tenth of the time of one that it competes with.
const BEHIND: &str = "10";

/// This thread goes before all others from now on.
pub(crate) fn go_first() {
    order("chrt", &["--rr", "--pid", "1"]);
}

/// While this lives, this thread goes behind all others.
pub(crate) struct Behind(());

impl Behind {
    pub(crate) fn all() -> Self {
        order("renice", &["-n", BEHIND, "-p"]);
        Self(())
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        order("renice", &["-n", "0", "-p"]);
    }
}

fn order(program: &str, arguments: &[&str]) {
    let thread = gettid().to_string();
    let ordered = Command::new(program)
        .args(arguments)
        .arg(thread)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !ordered.is_ok_and(|status| status.success()) {
        crate::output::progress(&format!(
            "{program} is not permitted: the client and the flood compete"
        ));
    }
}
