//! How the messaging networks are.

use super::methods;
use crate::protocol::params::channels::{ChannelsStatusParams, ChannelsStatusReply};

methods! {
    "Channels";
    /// How each configured channel is. Channels are not part of this version, so none is at work, and each says so.
    ChannelsStatus = "channels.status", Read, ChannelsStatusParams => ChannelsStatusReply;
}
