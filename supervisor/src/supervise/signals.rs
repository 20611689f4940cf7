//! Signals as events.

use std::io;

use nix::sys::signal::{SigSet, Signal as Number};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// SIGTERM or SIGINT: stop; again: at once.
    Stop,
    /// SIGUSR1: replace every child, when that is allowed from outside.
    Restart,
    /// SIGHUP on an instance that has a terminal: the terminal is gone.
    HangUp,
    /// SIGHUP on an instance without a terminal: read the configuration again.
    Reload,
    /// SIGCHLD: a process has ended.
    Reap,
}

/// The handlers; installed once.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user: Signal,
    child: Signal,
    has_terminal: bool,
}

impl Signals {
    /// Installs the handlers. Whether there is a terminal is asked now, unless it is known.
    ///
    /// # Errors
    /// As the system says.
    pub(crate) fn install(has_terminal: Option<bool>) -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined1())?,
            child: signal(SignalKind::child())?,
            // Asked while there still is one: once the terminal is closed this cannot be told any more.
            has_terminal: has_terminal.unwrap_or_else(|| std::fs::File::open("/dev/tty").is_ok()),
        })
    }

    /// Whether the instance has a terminal, or had one when it was started.
    pub(crate) const fn has_terminal(&self) -> bool {
        self.has_terminal
    }

    /// The next signal.
    pub(crate) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.user.recv() => Asked::Restart,
            _ = self.child.recv() => Asked::Reap,
            _ = self.hangup.recv() => {
                if self.has_terminal { Asked::HangUp } else { Asked::Reload }
            }
        }
    }
}

/// The signals whose default is to end a process that has no handlers yet.
fn deadly() -> SigSet {
    [
        Number::SIGTERM,
        Number::SIGINT,
        Number::SIGHUP,
        Number::SIGUSR1,
    ]
    .into_iter()
    .collect()
}

/// Lets signals wait: while one program takes the place of another there is nobody to take them.
pub(crate) fn hold() {
    if let Err(error) = deadly().thread_block() {
        tracing::warn!(target: "supervisor", %error, "signals cannot be held back");
    }
}

/// Takes signals again, those that have waited first.
pub(crate) fn release() {
    if let Err(error) = deadly().thread_unblock() {
        tracing::warn!(target: "supervisor", %error, "signals are held back");
    }
}

/// Does something that starts a thread, which then takes no signals: those for this process reach this thread, and nobody else.
pub(crate) fn aside<T>(begin: impl FnOnce() -> T) -> T {
    let held = SigSet::thread_get_mask();
    hold();
    let begun = begin();
    if held.is_ok_and(|held| !held.contains(Number::SIGTERM)) {
        release();
    }
    begun
}
