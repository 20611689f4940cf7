//! The one table of all events: who sees them, and what happens to them when a client is slow.

use serde::{Deserialize, Serialize};

use super::params::health::HealthSummary;
use super::scope::Scope;
use super::snapshot::PresenceEntry;

/// An event of the protocol, as a type.
pub trait Event {
    /// Its name on the wire.
    const NAME: &'static str;
    /// What it asks of whoever sees it; everybody sees an event without one.
    const GUARD: Option<Scope>;
    /// Whether a client with too much waiting loses this event instead of its connection.
    const DROP_IF_SLOW: bool;
    /// Whether it carries `stateVersion`.
    const VERSIONED: bool;
    /// What it carries.
    type Payload: Serialize;
}

macro_rules! events {
    ($( $(#[doc = $doc:literal])+
        $event:ident = $name:literal, $guard:expr, drop $drop:literal, versioned $versioned:literal, $payload:ty; )+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, Copy)]
            pub struct $event;

            impl Event for $event {
                const NAME: &'static str = $name;
                const GUARD: Option<Scope> = $guard;
                const DROP_IF_SLOW: bool = $drop;
                const VERSIONED: bool = $versioned;
                type Payload = $payload;
            }
        )+

        /// The names of every event, in the order of `features.events`.
        pub const EVENTS: &[&str] = &[ $( $name ),+ ];
    };
}

events! {
    /// The first frame on every connection; it carries no `seq`.
    Challenge = "connect.challenge", None, drop false, versioned false, ChallengePayload;
    /// The presence list changed.
    Presence = "presence", None, drop true, versioned true, PresencePayload;
    /// The gateway is alive.
    Tick = "tick", None, drop true, versioned false, TickPayload;
    /// The gateway is leaving.
    Shutdown = "shutdown", None, drop false, versioned false, ShutdownPayload;
    /// The health summary was refreshed.
    Health = "health", None, drop false, versioned true, HealthSummary;
}

/// Payload of [`Challenge`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengePayload {
    /// Random, one per connection; part of what a device signs.
    pub nonce: String,
    /// The gateway's time, in milliseconds since the epoch.
    pub ts: u64,
}

/// Payload of [`Presence`]: the whole list, not a difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PresencePayload {
    /// The list, newest first.
    pub presence: Vec<PresenceEntry>,
}

/// Payload of [`Tick`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickPayload {
    /// The gateway's time, in milliseconds since the epoch.
    pub ts: u64,
}

/// Payload of [`Shutdown`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShutdownPayload {
    /// Why, for people.
    pub reason: String,
    /// When the gateway is expected back, in milliseconds; null when it is not.
    pub restart_expected_ms: Option<u64>,
}
