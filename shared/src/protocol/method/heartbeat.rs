//! What wakes an agent by itself.

use super::methods;
use crate::protocol::event::HeartbeatPayload;
use crate::protocol::params::heartbeat::{
    LastHeartbeatParams, SetHeartbeatsParams, SetHeartbeatsReply, WakeParams, WakeReply,
};

methods! {
    "Heartbeats";
    /// How the last heartbeat went; null when there was none.
    LastHeartbeat = "last-heartbeat", Read, LastHeartbeatParams => Option<HeartbeatPayload>;
    /// Switches heartbeats on or off, until they are switched again.
    SetHeartbeats = "set-heartbeats", Admin, SetHeartbeatsParams => SetHeartbeatsReply;
    /// Leaves a note for the main session. It waits, durably, for an agent to read it; with the mode `now` the agent is woken.
    Wake = "wake", Write, WakeParams => WakeReply;
}
