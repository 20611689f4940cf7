//! How a command that waits hears that nobody wants to wait any more.

use tokio::signal::unix::{SignalKind, signal};

/// What shells say of a program that was interrupted.
const INTERRUPTED: u8 = 130;
/// What shells say of a program that was asked to end.
const TERMINATED: u8 = 143;

/// Comes when this command is to end early, with what shells say of one that ended so. Signals are heard from the call on, whenever
/// their coming is first waited for.
pub(crate) fn interrupted() -> impl Future<Output = u8> {
    let asked = |kind: SignalKind| {
        let heard = signal(kind);
        async move {
            match heard {
                Ok(mut signals) => {
                    signals.recv().await;
                }
                // Then the signal does what it does to every program.
                Err(_) => std::future::pending().await,
            }
        }
    };
    let interrupt = asked(SignalKind::interrupt());
    let terminate = asked(SignalKind::terminate());
    async {
        tokio::select! {
            () = interrupt => INTERRUPTED,
            () = terminate => TERMINATED,
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::{Signal, raise};

    use super::*;

    #[tokio::test]
    async fn a_signal_that_comes_before_anybody_waits_is_heard() {
        let heard = interrupted();
        raise(Signal::SIGINT).unwrap();
        assert_eq!(heard.await, INTERRUPTED);
    }
}
