//! `send`, `poll`, and linking the account of a channel.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::protocol::strict::{Int, List, NonEmpty, strict_options};

/// Parameters of `send`.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SendParams {
    /// Whom to, as the channel names people.
    pub to: NonEmpty,
    /// The text.
    pub message: NonEmpty,
    /// A picture, sound or film to send along.
    pub media_url: Option<String>,
    /// Several of them.
    pub media_urls: Option<Vec<String>>,
    /// Whether a film plays like a moving picture.
    pub gif_playback: Option<bool>,
    /// The channel; `whatsapp` when absent.
    pub channel: Option<String>,
    /// The account on the channel.
    pub account_id: Option<String>,
    /// The session whose transcript records the message.
    pub session_key: Option<String>,
    /// Makes a repetition harmless.
    pub idempotency_key: NonEmpty,
}

/// Reply of `send`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SendReply {
    /// The idempotency key.
    pub run_id: String,
    /// The message, as the channel names it.
    pub message_id: String,
    /// The channel.
    pub channel: String,
    /// The chat on the channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_id: Option<String>,
    /// The room on the channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<String>,
    /// The address on WhatsApp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_jid: Option<String>,
    /// The conversation on the channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
}

/// Parameters of `poll`.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PollParams {
    /// Whom to, as the channel names people.
    pub to: NonEmpty,
    /// The question.
    pub question: NonEmpty,
    /// The answers to choose from.
    pub options: List<NonEmpty, 2, 12>,
    /// How many may be chosen; one when absent.
    pub max_selections: Option<Int<1, 12>>,
    /// How long it is open, in hours.
    pub duration_hours: Option<Int<1>>,
    /// The channel; `whatsapp` when absent.
    pub channel: Option<String>,
    /// The account on the channel.
    pub account_id: Option<String>,
    /// Makes a repetition harmless.
    pub idempotency_key: NonEmpty,
}

/// Reply of `poll`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PollReply {
    /// The idempotency key.
    pub run_id: String,
    /// The message, as the channel names it.
    pub message_id: String,
    /// The channel.
    pub channel: String,
    /// The address on WhatsApp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_jid: Option<String>,
    /// The room on the channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<String>,
    /// The conversation on the channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
    /// The poll, as the channel names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll_id: Option<String>,
}

/// Parameters of `channels.logout`.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChannelsLogoutParams {
    /// The channel.
    pub channel: NonEmpty,
    /// The account; the default one when absent.
    pub account_id: Option<String>,
}

/// Reply of `channels.logout`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelsLogoutReply {
    /// The channel.
    pub channel: String,
    /// The account.
    pub account_id: String,
    /// Whether there were credentials to remove.
    pub cleared: bool,
    /// Whether the channel was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logged_out: Option<bool>,
}

/// Parameters of `web.login.start`.
#[strict_options]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebLoginStartParams {
    /// Begin again, even when the account is linked.
    pub force: Option<bool>,
    /// How long to wait for the code, in milliseconds.
    pub timeout_ms: Option<Int<0>>,
    /// Log more of it.
    pub verbose: Option<bool>,
    /// The account; the default one when absent.
    pub account_id: Option<String>,
}

/// Reply of `web.login.start`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebLoginStartReply {
    /// One sentence for people.
    pub message: String,
    /// The code to scan, as a PNG data URL; absent when the account is linked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qr_data_url: Option<String>,
}

/// Parameters of `web.login.wait`.
#[strict_options]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebLoginWaitParams {
    /// How long to wait for the scan, in milliseconds.
    pub timeout_ms: Option<Int<0>>,
    /// The account; the default one when absent.
    pub account_id: Option<String>,
}

/// Reply of `web.login.wait`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WebLoginWaitReply {
    /// Whether the account is linked.
    pub connected: bool,
    /// One sentence for people.
    pub message: String,
}
