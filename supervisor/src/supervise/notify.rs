//! What the service manager is told (`sd_notify`), and how often it wants to hear that we live.

use std::time::Duration;

use sd_notify::NotifyState;

/// A state of the instance in the service manager's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    /// It serves.
    Ready,
    /// A new configuration or a restart is under way; [`Notice::Ready`] ends it.
    Reloading,
    /// It is leaving, which may take this long.
    Stopping { within: Duration },
    /// It lives.
    Watchdog,
}

/// Tells the service manager; nothing happens where there is none.
pub(crate) fn tell(notice: Notice, status: &str) {
    let mut states = match notice {
        Notice::Ready => vec![NotifyState::Ready],
        Notice::Reloading => {
            let mut states = vec![NotifyState::Reloading];
            states.extend(NotifyState::monotonic_usec_now());
            states
        }
        Notice::Stopping { within } => {
            let budget = u32::try_from(within.as_micros()).unwrap_or(u32::MAX);
            vec![
                NotifyState::Stopping,
                NotifyState::ExtendTimeoutUsec(budget),
            ]
        }
        Notice::Watchdog => vec![NotifyState::Watchdog],
    };
    if notice != Notice::Watchdog {
        states.push(NotifyState::Status(status));
    }
    if let Err(error) = sd_notify::notify(&states) {
        tracing::warn!(target: "supervisor", %error, "the service manager could not be told");
    }
}

/// How long a stop may take: the gateway has its time to drain first, then the others have theirs side by side. The configuration may allow
/// for more than the unit does.
pub(crate) fn budget_of_stop(drain: Duration) -> Duration {
    const REST: Duration = Duration::from_secs(10);
    2 * drain + REST
}

/// How often to say [`Notice::Watchdog`]: twice in the time after which the service manager would lose patience.
pub(crate) fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}
