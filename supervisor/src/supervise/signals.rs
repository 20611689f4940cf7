//! Signals as events.

use std::io;

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
}

/// The handlers; installed once.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user: Signal,
    has_terminal: bool,
}

impl Signals {
    /// Installs the handlers.
    ///
    /// # Errors
    /// As the system says.
    pub(crate) fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined1())?,
            // Asked while there still is one: once the terminal is closed this cannot be told any more.
            has_terminal: std::fs::File::open("/dev/tty").is_ok(),
        })
    }

    /// The next signal.
    pub(crate) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.user.recv() => Asked::Restart,
            _ = self.hangup.recv() => {
                if self.has_terminal { Asked::HangUp } else { Asked::Reload }
            }
        }
    }
}
