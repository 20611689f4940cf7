//! What follows from a change of the list of devices, once it is durable: who hears of it, and whose connections end.   (pure)

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::devices::PairDecision;
use openclaw_shared::protocol::scope::Role;

use super::pending::Request;
use crate::connection::link::{Admitted, AdmittedBy};

/// Something that people who may pair hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Announcement {
    /// A request waits.
    Requested(Box<Request>),
    /// A request waits no longer.
    Resolved {
        request: String,
        device: String,
        role: Role,
        decision: PairDecision,
        at: WallTime,
    },
}

impl Announcement {
    pub(super) fn resolved(request: &Request, decision: PairDecision, at: WallTime) -> Self {
        Self::Resolved {
            request: request.id.clone(),
            device: request.device.clone(),
            role: request.role,
            decision,
            at,
        }
    }
}

/// Connections of a device that what they came in by no longer speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(super) device: String,
    pub(super) which: Which,
    /// The reason that they read.
    pub(crate) why: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// Those that came in by the token for this role.
    ByToken(Role),
    /// Those in this role.
    In(Role),
    /// All of them.
    All,
}

impl Ended {
    /// Whether a connection is one of them.
    pub(crate) fn names(&self, admitted: &Admitted) -> bool {
        let is_meant = match self.which {
            Which::ByToken(role) => {
                admitted.by == AdmittedBy::DeviceToken && admitted.rights.role() == role
            }
            Which::In(role) => admitted.rights.role() == role,
            Which::All => true,
        };
        is_meant && admitted.device.as_deref() == Some(&*self.device)
    }
}

/// A change that was made, and what is to be done when it is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Done<T> {
    pub(crate) value: T,
    /// What is to be announced.
    pub(crate) announcements: Vec<Announcement>,
    /// Whose connections end.
    pub(crate) ended: Vec<Ended>,
}

impl<T> Done<T> {
    /// A change that ends no connection.
    pub(super) const fn announcing(value: T, announcements: Vec<Announcement>) -> Self {
        Self {
            value,
            announcements,
            ended: Vec::new(),
        }
    }

    /// A change of a token that nobody is told of but those who came in by it.
    pub(super) fn ending(value: T, device: &str, role: Role, why: &'static str) -> Self {
        Self {
            value,
            announcements: Vec::new(),
            ended: vec![Ended {
                device: device.to_owned(),
                which: Which::ByToken(role),
                why,
            }],
        }
    }
}
