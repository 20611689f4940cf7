//! Where this life of the gateway stands, as the probes tell it.

use tokio::sync::watch;

/// The phases of a life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Built, not serving.
    Standby,
    /// Serving.
    Active,
    /// Leaving.
    Draining,
}

/// The current phase.
#[derive(Debug)]
pub(crate) struct Phases(watch::Sender<Phase>);

impl Default for Phases {
    fn default() -> Self {
        Self(watch::Sender::new(Phase::Standby))
    }
}

impl Phases {
    pub(crate) fn set(&self, phase: Phase) {
        self.0.send_replace(phase);
    }

    pub(crate) fn get(&self) -> Phase {
        *self.0.borrow()
    }

    /// Resolves when this life serves; never when it does not come to that.
    pub(crate) async fn active(&self) {
        // The sender lives as long as this.
        let _ = self
            .0
            .subscribe()
            .wait_for(|phase| *phase == Phase::Active)
            .await;
    }
}
