//! The messaging networks, as far as the configuration knows them. None is at work in this version, and each says so.  (pure)

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::channels::{
    ChannelAccount, ChannelMeta, ChannelState, ChannelsStatusReply,
};

use crate::settings::catalog::ConfiguredChannel;

/// The networks an answer can be sent to.
pub(crate) const NETWORKS: &[&str] = &[
    "whatsapp",
    "telegram",
    "discord",
    "googlechat",
    "slack",
    "mattermost",
    "signal",
    "imessage",
    "msteams",
];

/// Whether a run may be said to come by this channel: a network, the page, or whatever was last.
pub(crate) fn is_known(channel: &str) -> bool {
    let channel = channel.trim().to_lowercase();
    matches!(channel.as_str(), "" | "last" | "webchat") || NETWORKS.contains(&channel.as_str())
}

/// Why no channel runs.
const NOT_HERE: &str = "channels are not part of this version";
/// The account of a channel that names none.
const DEFAULT_ACCOUNT: &str = "default";

/// How each configured channel is.
pub(crate) fn status(channels: &[ConfiguredChannel], now: WallTime) -> ChannelsStatusReply {
    let by_id = |text: fn(&ConfiguredChannel) -> &'static str| {
        let pairs = channels
            .iter()
            .map(|channel| (channel.id.to_owned(), text(channel).to_owned()));
        pairs.collect()
    };
    ChannelsStatusReply {
        ts: now.as_millis(),
        channel_order: channels
            .iter()
            .map(|channel| channel.id.to_owned())
            .collect(),
        channel_labels: by_id(|channel| channel.label),
        channel_detail_labels: by_id(|channel| channel.detail_label),
        channel_system_images: by_id(|channel| channel.system_image),
        channel_meta: channels.iter().map(meta).collect(),
        channels: channels
            .iter()
            .map(|channel| (channel.id.to_owned(), state(channel)))
            .collect(),
        channel_accounts: channels
            .iter()
            .map(|channel| (channel.id.to_owned(), accounts(channel)))
            .collect(),
        channel_default_account_id: channels
            .iter()
            .map(|channel| {
                let first = channel
                    .accounts
                    .first()
                    .map_or(DEFAULT_ACCOUNT, |(name, _)| name);
                (channel.id.to_owned(), first.to_owned())
            })
            .collect(),
    }
}

fn meta(channel: &ConfiguredChannel) -> ChannelMeta {
    ChannelMeta {
        id: channel.id.to_owned(),
        label: channel.label.to_owned(),
        detail_label: channel.detail_label.to_owned(),
        system_image: channel.system_image.to_owned(),
    }
}

fn state(channel: &ConfiguredChannel) -> ChannelState {
    let is_linked = channel.id == "whatsapp";
    ChannelState {
        configured: channel.is_configured,
        linked: is_linked.then_some(false),
        running: false,
        connected: is_linked.then_some(false),
        last_start_at: None,
        last_stop_at: None,
        last_error: Some(NOT_HERE.to_owned()),
        last_probe_at: None,
    }
}

fn accounts(channel: &ConfiguredChannel) -> Vec<ChannelAccount> {
    let account = |id: &str, is_enabled: bool| ChannelAccount {
        account_id: id.to_owned(),
        name: None,
        enabled: channel.is_enabled && is_enabled,
        configured: channel.is_configured,
        running: false,
        last_error: Some(NOT_HERE.to_owned()),
    };
    if channel.accounts.is_empty() {
        vec![account(DEFAULT_ACCOUNT, true)]
    } else {
        let named = channel.accounts.iter();
        named
            .map(|(id, is_enabled)| account(id, *is_enabled))
            .collect()
    }
}
