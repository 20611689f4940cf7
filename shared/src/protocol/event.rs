//! The one table of all events: who sees them, and what happens to them when a client is slow.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::method::{Availability, schema_in, schema_of};
use super::params::agent_runs::AgentPayload;
use super::params::approvals::{ApprovalResolvedPayload, PendingApproval};
use super::params::chat::ChatPayload;
use super::params::cron::CronEventPayload;
use super::params::devices::{
    DevicePairResolvedPayload, NodePairResolvedPayload, PendingDevice, PendingNode,
};
use super::params::health::HealthSummary;
use super::params::nodes::{NodeInvokeCancelPayload, NodeInvokeRequestPayload};
use super::params::speech::TalkModePayload;
use super::params::voicewake::VoicewakeTriggers;
use super::scope::Scope;
use super::snapshot::PresenceEntry;
use crate::literals;

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
    /// A step of an agent's run.
    Agent = "agent", Audience::Operators, drop false, versioned false, AgentPayload;
    /// The answer of a run, for people: a `delta` may be dropped for a slow client, an end may not.
    Chat = "chat", Audience::Operators, drop false, versioned false, ChatPayload;
    /// A heartbeat of an agent is over.
    Heartbeat = "heartbeat", Audience::Operators, drop true, versioned false, HeartbeatPayload;
    /// People talk, or no longer do.
    TalkMode = "talk.mode", Audience::Everybody, drop true, versioned false, TalkModePayload;
    /// A job was added, changed or removed, or it runs.
    Cron = "cron", Audience::Operators, drop true, versioned false, CronEventPayload;
    /// The words that wake an assistant are others.
    VoicewakeChanged = "voicewake.changed", Audience::Everybody, drop true, versioned false, VoicewakeTriggers;
    /// A node waits for approval.
    NodePairRequested = "node.pair.requested", Audience::Holders(Scope::Pairing), drop true, versioned false, PendingNode;
    /// A node waits no longer.
    NodePairResolved = "node.pair.resolved", Audience::Holders(Scope::Pairing), drop true, versioned false, NodePairResolvedPayload;
    /// A device waits for approval.
    DevicePairRequested = "device.pair.requested", Audience::Holders(Scope::Pairing), drop true, versioned false, PendingDevice;
    /// A device waits no longer.
    DevicePairResolved = "device.pair.resolved", Audience::Holders(Scope::Pairing), drop true, versioned false, DevicePairResolvedPayload;
    /// A node is asked to run one of its commands.
    NodeInvokeRequest = "node.invoke.request", Audience::One, drop false, versioned false, NodeInvokeRequestPayload;
    /// Nobody waits any more for what a node was asked: it may stop, and its answer is ignored. Our own addition; a node that
    /// does not know it goes on and loses nothing.
    NodeInvokeCancel = "node.invoke.cancel", Audience::One, drop false, versioned false, NodeInvokeCancelPayload;
    /// Something waits for a person's approval before it is executed.
    ExecApprovalRequested = "exec.approval.requested", Audience::Holders(Scope::Approvals), drop true, versioned false, PendingApproval;
    /// An approval was decided, or it is too late.
    ExecApprovalResolved = "exec.approval.resolved", Audience::Holders(Scope::Approvals), drop true, versioned false, ApprovalResolvedPayload;
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

literals! {
    /// How a heartbeat ended.
    pub enum HeartbeatStatus {
        /// The agent had something to say, and it was sent.
        Sent = "sent",
        /// The agent had nothing to say.
        OkEmpty = "ok-empty",
        /// The agent said that all is well.
        OkToken = "ok-token",
        /// It did not take place.
        Skipped = "skipped",
        /// It could not be done.
        Failed = "failed",
    }
}

literals! {
    /// What a heartbeat shows people.
    pub enum HeartbeatIndicator {
        /// All is well.
        Ok = "ok",
        /// There is something to read.
        Alert = "alert",
        /// It failed.
        Error = "error",
    }
}

/// Payload of [`Heartbeat`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatPayload {
    /// When, in milliseconds since the epoch.
    pub ts: u64,
    /// How it ended.
    pub status: HeartbeatStatus,
    /// Whom the answer went to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The beginning of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<String>,
    /// Why it did not take place, or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Whether the answer has media.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_media: Option<bool>,
    /// The channel the answer went by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Whether it was kept from people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<bool>,
    /// What it shows people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indicator_type: Option<HeartbeatIndicator>,
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
