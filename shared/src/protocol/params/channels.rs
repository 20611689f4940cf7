//! `channels.status`: the messaging networks.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::protocol::strict::{Int, strict_options};

/// Parameters of `channels.status`.
#[strict_options]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChannelsStatusParams {
    /// Whether each network is asked.
    pub probe: Option<bool>,
    /// How long that may take, in milliseconds; 10,000 when absent.
    pub timeout_ms: Option<Int<0>>,
}

/// How a channel is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelMeta {
    /// The channel.
    pub id: String,
    /// Its name for people.
    pub label: String,
    /// Its name in full.
    pub detail_label: String,
    /// The symbol apps show.
    pub system_image: String,
}

/// How a channel is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelState {
    /// Whether the configuration has what it takes.
    pub configured: bool,
    /// Whether it is authenticated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked: Option<bool>,
    /// Whether it is at work.
    pub running: bool,
    /// Whether the network is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected: Option<bool>,
    /// When it was started, in milliseconds since the epoch.
    pub last_start_at: Option<u64>,
    /// When it was stopped, in milliseconds since the epoch.
    pub last_stop_at: Option<u64>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// When the network was asked last, in milliseconds since the epoch.
    pub last_probe_at: Option<u64>,
}

/// How an account of a channel is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelAccount {
    /// The account.
    pub account_id: String,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether the configuration wants it.
    pub enabled: bool,
    /// Whether the configuration has what it takes.
    pub configured: bool,
    /// Whether it is at work.
    pub running: bool,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// Reply of `channels.status`; everything is empty when no channel is configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelsStatusReply {
    /// The gateway's time, in milliseconds since the epoch.
    pub ts: u64,
    /// The channels, in the order to show them.
    pub channel_order: Vec<String>,
    /// Their names for people.
    pub channel_labels: BTreeMap<String, String>,
    /// Their names in full.
    pub channel_detail_labels: BTreeMap<String, String>,
    /// The symbols apps show.
    pub channel_system_images: BTreeMap<String, String>,
    /// The same, as rows.
    pub channel_meta: Vec<ChannelMeta>,
    /// How each is.
    pub channels: BTreeMap<String, ChannelState>,
    /// The accounts of each.
    pub channel_accounts: BTreeMap<String, Vec<ChannelAccount>>,
    /// The account that is meant when none is named.
    pub channel_default_account_id: BTreeMap<String, String>,
}
