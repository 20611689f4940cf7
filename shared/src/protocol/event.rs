//! The one table of all events: who sees them, and what happens to them when a client is slow.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::method::{Availability, schema_in, schema_of};
use super::params::health::HealthSummary;
use super::scope::Scope;
use super::snapshot::PresenceEntry;

/// Who sees an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Every admitted client, nodes included.
    Everybody,
    /// Operators, whatever their scopes.
    Operators,
    /// Operators that hold this scope.
    Holders(Scope),
    /// The one client it is sent to; it carries no `seq`.
    One,
}

/// An event of the protocol, as a type.
pub trait Event {
    /// Its name on the wire.
    const NAME: &'static str;
    /// Who sees it.
    const AUDIENCE: Audience;
    /// Whether a client with too much waiting loses this event instead of its connection.
    const DROP_IF_SLOW: bool;
    /// Whether it carries `stateVersion`.
    const VERSIONED: bool;
    /// What it carries.
    type Payload: Serialize + JsonSchema + 'static;
}

/// One line of the table, for code that needs all of them.
#[derive(Debug, Clone, Copy)]
pub struct EventInfo {
    /// The name on the wire.
    pub name: &'static str,
    /// What it says, for people.
    pub doc: &'static str,
    /// Who sees it.
    pub audience: Audience,
    /// Whether a slow client loses it instead of its connection.
    pub drop_if_slow: bool,
    /// Whether it carries `stateVersion`.
    pub versioned: bool,
    /// Whether it may arrive.
    pub availability: Availability,
    /// The JSON Schema (draft-07) of its payload.
    pub payload_schema: fn() -> Schema,
    /// The schema of its payload by reference, the types it consists of added to the generator's definitions.
    pub payload_in: fn(&mut SchemaGenerator) -> Schema,
}

/// The names of the events that may arrive: `features.events`.
pub fn features() -> impl Iterator<Item = &'static str> {
    EVENTS
        .iter()
        .filter(|event| event.availability == Availability::Works)
        .map(|event| event.name)
}

/// Declares the events, one line each. A line that ends in `planned "…"` declares an event that is part of the protocol and
/// does not arrive yet.
macro_rules! events {
    (@availability) => { Availability::Works };
    (@availability $why:literal) => { Availability::Planned($why) };
    ($( $(#[doc = $doc:literal])+
        $event:ident = $name:literal, $audience:expr, drop $drop:literal, versioned $versioned:literal, $payload:ty
        $(, planned $why:literal)?; )+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, Copy)]
            pub struct $event;

            impl Event for $event {
                const NAME: &'static str = $name;
                const AUDIENCE: Audience = $audience;
                const DROP_IF_SLOW: bool = $drop;
                const VERSIONED: bool = $versioned;
                type Payload = $payload;
            }
        )+

        /// Every event; those that work in the order of `features.events`.
        pub const EVENTS: &[EventInfo] = &[ $( EventInfo {
            name: $name,
            doc: concat!($($doc, "\n"),+),
            audience: $audience,
            drop_if_slow: $drop,
            versioned: $versioned,
            availability: events!(@availability $($why)?),
            payload_schema: schema_of::<$payload>,
            payload_in: schema_in::<$payload>,
        } ),+ ];
    };
}

events! {
    /// The first frame on every connection; it carries no `seq`.
    Challenge = "connect.challenge", Audience::One, drop false, versioned false, ChallengePayload;
    /// The presence list changed.
    Presence = "presence", Audience::Operators, drop true, versioned true, PresencePayload;
    /// The gateway is alive.
    Tick = "tick", Audience::Everybody, drop true, versioned false, TickPayload;
    /// The gateway is leaving.
    Shutdown = "shutdown", Audience::Everybody, drop false, versioned false, ShutdownPayload;
    /// The health summary was refreshed.
    Health = "health", Audience::Operators, drop false, versioned true, HealthSummary;
}

/// Payload of [`Challenge`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChallengePayload {
    /// Random, one per connection; part of what a device signs.
    pub nonce: String,
    /// The gateway's time, in milliseconds since the epoch.
    pub ts: u64,
}

/// Payload of [`Presence`]: the whole list, not a difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PresencePayload {
    /// The list, newest first.
    pub presence: Vec<PresenceEntry>,
}

/// Payload of [`Tick`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TickPayload {
    /// The gateway's time, in milliseconds since the epoch.
    pub ts: u64,
}

/// Payload of [`Shutdown`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShutdownPayload {
    /// Why, for people.
    pub reason: String,
    /// When the gateway is expected back, in milliseconds; null when it is not.
    pub restart_expected_ms: Option<u64>,
}
