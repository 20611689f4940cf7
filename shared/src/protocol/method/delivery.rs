//! Sending through channels, and linking their accounts.

use super::methods;
use crate::protocol::params::delivery::{
    ChannelsLogoutParams, ChannelsLogoutReply, PollParams, PollReply, SendParams, SendReply,
    WebLoginStartParams, WebLoginStartReply, WebLoginWaitParams, WebLoginWaitReply,
};

methods! {
    "Sending, and accounts of channels";
    /// Sends a message through a channel.
    Send = "send", Write, SendParams => SendReply, planned "channels are not built";
    /// Sends a poll through a channel.
    Poll = "poll", Admin, PollParams => PollReply, planned "channels are not built";
    /// Removes the credentials of a channel's account.
    ChannelsLogout = "channels.logout", Admin, ChannelsLogoutParams => ChannelsLogoutReply, planned "channels are not built";
    /// Begins to link a WhatsApp account: a code to scan.
    WebLoginStart = "web.login.start", Admin, WebLoginStartParams => WebLoginStartReply, planned "channels are not built";
    /// Waits until the code is scanned.
    WebLoginWait = "web.login.wait", Admin, WebLoginWaitParams => WebLoginWaitReply, planned "channels are not built";
}
