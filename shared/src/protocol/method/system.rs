//! Health, status, presence and the log.

use super::methods;
use crate::protocol::params::activity::{Activity, ActivityParams};
use crate::protocol::params::health::{HealthParams, HealthSummary, StatusParams, StatusSummary};
use crate::protocol::params::logs::{LogsTailParams, LogsTailReply};
use crate::protocol::params::presence::{
    SystemEventParams, SystemEventReply, SystemPresenceParams,
};
use crate::protocol::snapshot::PresenceEntry;

methods! {
    "Health, presence and the log";
    /// The health summary.
    Health = "health", Read, HealthParams => HealthSummary;
    /// The newest lines of the instance's log.
    LogsTail = "logs.tail", Read, LogsTailParams => LogsTailReply;
    /// A short summary.
    Status = "status", Read, StatusParams => StatusSummary;
    /// What the gateway is doing at this moment. Our own addition.
    ActivityNow = "activity", Read, ActivityParams => Activity;
    /// Who is present.
    SystemPresence = "system-presence", Read, SystemPresenceParams => Vec<PresenceEntry>;
    /// Posts a presence entry or a note for the main session.
    SystemEvent = "system-event", Admin, SystemEventParams => SystemEventReply;
}
