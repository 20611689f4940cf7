//! How a command that waits hears that nobody wants to wait any more.

use tokio::signal::unix::{SignalKind, signal};

/// What shells say of a program that was interrupted.
const INTERRUPTED: u8 = 130;
/// What shells say of a program that was asked to end.
const TERMINATED: u8 = 143;

/// Comes when this command is to end early, with what shells say of one that ended so.
pub(crate) async fn interrupted() -> u8 {
    let asked = async |kind: SignalKind| match signal(kind) {
        Ok(mut signals) => {
            signals.recv().await;
        }
        // Then the signal does what it does to every program.
        Err(_) => std::future::pending().await,
    };
    tokio::select! {
        () = asked(SignalKind::interrupt()) => INTERRUPTED,
        () = asked(SignalKind::terminate()) => TERMINATED,
    }
}
