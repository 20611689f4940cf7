//! Where this life of the gateway stands, as the probes tell it.

use std::sync::atomic::{AtomicU8, Ordering};

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
#[derive(Debug, Default)]
pub(crate) struct Phases(AtomicU8);

impl Phases {
    pub(crate) fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> Phase {
        match self.0.load(Ordering::Relaxed) {
            0 => Phase::Standby,
            1 => Phase::Active,
            _ => Phase::Draining,
        }
    }
}
